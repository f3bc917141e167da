"""Octets of messages, as an RFC or a sniffer would print them."""

from __future__ import annotations

from perilune.model.spi import IkeSpi
from perilune.wire.header import Flags, Header

REQUEST = Header(IkeSpi(0x0102030405060708), IkeSpi(0), 34, Flags(initiator=True, response=False), 0)
"""The header of a first message."""


def message(first_type: int, *payloads: str, version: int = 0x20) -> bytes:
    """Return a message of a first payload type and payloads in hexadecimal, generic headers included."""
    chain = bytes.fromhex("".join(payloads))
    fixed = bytes.fromhex("0102030405060708 0000000000000000") + bytes((first_type, version, 34, 0x08))
    return fixed + bytes(4) + (28 + len(chain)).to_bytes(4) + chain
