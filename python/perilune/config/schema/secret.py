"""Keys of `secrets`."""

from __future__ import annotations

from perilune.config.schema.section import OptionalKey, SectionSchema
from perilune.config.shared_secrets import FILE_NAME, SECRET
from perilune.config.shared_secrets import OWNER as OWNER_KIND
from perilune.config.shared_secrets import PASSPHRASE as PASSPHRASE_KIND
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
KEY_FILE: OptionalKey[str] = OptionalKey(
    "file",
    FILE_NAME,
    "an error",
    "The file, relative to the directory of the section's name beside the configuration.",
)
PASSPHRASE: OptionalKey[Secret] = OptionalKey(
    "secret", PASSPHRASE_KIND, "the key is not encrypted", "What opens the key."
)


def _key_section(name: str, doc: str) -> SectionSchema:
    return SectionSchema(f"{name}<suffix>", doc, keys=(KEY_FILE, PASSPHRASE), secret=True)


KEY_SECTIONS = (
    _key_section("private", "A private key in the directory `private`, of any kind."),
    _key_section("rsa", "The same in the directory `rsa`."),
    _key_section("ecdsa", "The same in the directory `ecdsa`."),
    _key_section("pkcs8", "The same in the directory `pkcs8`."),
)
"""Private keys, each in the directory that has the name of its section."""

SECRETS = SectionSchema(
    "secrets",
    "Pre-shared keys, and what opens private keys. A private key that is not encrypted needs no section.",
    sections=(IKE_SECRET, *KEY_SECTIONS),
    unsupported_sections=tuple(
        f"{name}<suffix>" for name in ("eap", "xauth", "ntlm", "ppk", "pkcs12", "token")
    ),
    secret=True,
)
