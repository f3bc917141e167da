"""Pre-shared keys and whose they are (RFC 7296, section 2.15). No message shows any of their text.

Not even an owner's: of `id = sun secret = "..."` on one line, all behind the first `=` is the id.
"""

from __future__ import annotations

import base64
import binascii

from perilune.config.identities import PEER
from perilune.config.values import Kind
from perilune.model.errors import ConfigError, LocalError
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern
from perilune.model.secret import Secret

LONGEST_SECRET_OCTETS = 4096
"""More than this is a file that was pasted by mistake."""


def _read_secret(text: str) -> Secret:
    octets = _decode(text)
    if not octets:
        raise ConfigError("the secret is empty")
    if len(octets) > LONGEST_SECRET_OCTETS:
        raise ConfigError(f"the secret has more than {LONGEST_SECRET_OCTETS} octets")
    return Secret(octets)


def _decode(text: str) -> bytes:
    try:
        if text.startswith("0x"):
            return binascii.unhexlify(text[2:].replace(":", ""))
        if text.startswith("0s"):
            return base64.b64decode(text[2:], validate=True)
    except ValueError:
        # The original error is left out: it might quote the secret.
        name = "hexadecimal" if text.startswith("0x") else "Base64"
        raise ConfigError(f"the secret is no {name}, as its first two characters say") from None
    return text.encode()


SECRET: Kind[Secret] = Kind("text, `0x` and hexadecimal, or `0s` and Base64", _read_secret)
"""A pre-shared key."""


def _read_passphrase(text: str) -> Secret:
    if not text or len(text) > LONGEST_SECRET_OCTETS:
        raise ConfigError(f"a passphrase has 1 to {LONGEST_SECRET_OCTETS} characters")
    return Secret(text.encode())


PASSPHRASE: Kind[Secret] = Kind("text", _read_passphrase)
"""What opens a private key."""


def _read_file_name(text: str) -> str:
    if not text or "=" in text or not text.isprintable():
        raise ConfigError("this is no name of a file; each setting needs a line of its own")
    return text


FILE_NAME: Kind[str] = Kind("name or path of a file", _read_file_name)
"""A file."""


def _read_owner(text: str) -> Identity | IdentityPattern | None:
    try:
        return PEER.read(text)
    except LocalError:
        raise ConfigError(
            "this is no identity; each setting needs a line of its own, and text with blanks needs quotes"
        ) from None


OWNER: Kind[Identity | IdentityPattern | None] = Kind(PEER.description, _read_owner)
"""An identity that may use a key; None is any."""
