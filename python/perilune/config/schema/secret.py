"""Keys of `secrets`."""

from __future__ import annotations

from perilune.config.schema.section import OptionalKey, SectionSchema
from perilune.config.shared_secrets import OWNER as OWNER_KIND
from perilune.config.shared_secrets import SECRET
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern
from perilune.model.secret import Secret

SECRET_KEY: OptionalKey[Secret] = OptionalKey("secret", SECRET, "an error", "The pre-shared key.")
OWNER: OptionalKey[Identity | IdentityPattern | None] = OptionalKey(
    "id<suffix>",
    OWNER_KIND,
    "everyone",
    "Whose it is: `id`, `id-1`, `id-gw` and so on, one each. A secret serves a connection when the peer is"
    " one of them; best is one that names both ends.",
)
IKE_SECRET = SectionSchema(
    "ike<suffix>",
    "A pre-shared key for IKE: `ike`, `ike-1`, `ike-gw` and so on.",
    keys=(SECRET_KEY, OWNER),
    secret=True,
)
SECRETS = SectionSchema(
    "secrets",
    "Pre-shared keys.",
    sections=(IKE_SECRET,),
    unsupported_sections=tuple(
        f"{name}<suffix>"
        for name in ("eap", "xauth", "ntlm", "ppk", "private", "rsa", "ecdsa", "pkcs8", "pkcs12", "token")
    ),
    secret=True,
)
