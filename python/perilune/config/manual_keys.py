"""Keys that somebody typed in: octets only, never a passphrase. No message shows any of their text."""

from __future__ import annotations

import base64
import binascii

from perilune.config.values import Kind
from perilune.model.errors import ConfigError
from perilune.model.secret import Secret

LONGEST_KEY_OCTETS = 128
"""More than any algorithm takes."""


def _read_key(text: str) -> Secret:
    octets = _decode(text)
    if not octets or len(octets) > LONGEST_KEY_OCTETS:
        raise ConfigError(f"the key has {len(octets)} octets, not 1 to {LONGEST_KEY_OCTETS}")
    return Secret(octets)


def _decode(text: str) -> bytes:
    try:
        if text.startswith("0x"):
            return binascii.unhexlify(text[2:].replace(":", "").replace("_", ""))
        if text.startswith("0s"):
            return base64.b64decode(text[2:], validate=True)
    except ValueError:
        # The original error is left out: it might quote the key.
        name = "hexadecimal" if text.startswith("0x") else "Base64"
        raise ConfigError(f"the key is no {name}, as its first two characters say") from None
    raise ConfigError(
        "a key is 0x and hexadecimal, or 0s and Base64; a passphrase has too little chance in it"
    )


MANUAL_KEY: Kind[Secret] = Kind("`0x` and hexadecimal, or `0s` and Base64", _read_key)
"""A key of an algorithm."""
