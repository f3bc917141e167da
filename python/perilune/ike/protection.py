"""Sealing and opening whole messages, in one piece or in fragments (RFC 7296, section 3.14; RFC 7383)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perilune.crypto.sk import SkCipher
from perilune.model.errors import LocalError, PeerError
from perilune.model.random import Rng
from perilune.wire.header import HEADER_OCTETS, Header
from perilune.wire.message import (
    Message,
    encode_chain,
    encode_encrypted_prefix,
    encode_fragment_prefix,
)
from perilune.wire.payloads import Payload

_GENERIC_OCTETS: Final = 4
_FRAGMENT_OCTETS: Final = 8
"""Generic header and the fragment's numbers."""


class Protection:
    """The ciphers of one IKE SA, ours and the peer's.

    Args:
        outbound: Seals our messages.
        inbound: Opens the peer's.
        rng: Where unpredictable initialization vectors come from.
    """

    __slots__ = ("_counter", "_inbound", "_outbound", "_rng")

    def __init__(self, outbound: SkCipher, inbound: SkCipher, rng: Rng) -> None:
        self._outbound = outbound
        self._inbound = inbound
        self._rng = rng
        self._counter = 0

    def seal(
        self, header: Header, payloads: Sequence[Payload], longest: int | None = None
    ) -> tuple[bytes, ...]:
        """Return a message, in fragments if it would be longer than `longest` octets.

        Raises:
            LocalError: The payloads are too long for one message or for all fragments of one.
        """
        inner_type, chain = encode_chain(payloads)
        sealed_octets = self._outbound.sealed_octets(len(chain))
        if longest is not None and HEADER_OCTETS + _GENERIC_OCTETS + sealed_octets > longest:
            return self._seal_fragments(header, inner_type, chain, longest)
        prefix = encode_encrypted_prefix(header, inner_type, sealed_octets)
        return (prefix + self._outbound.seal(prefix, chain, self._iv()),)

    def _seal_fragments(
        self, header: Header, inner_type: int, chain: bytes, longest: int
    ) -> tuple[bytes, ...]:
        room = self._outbound.plaintext_octets(longest - HEADER_OCTETS - _FRAGMENT_OCTETS)
        if room < 1:
            raise LocalError(f"no fragment of a message fits into {longest} octets")
        pieces = [chain[start : start + room] for start in range(0, len(chain), room)]
        datagrams: list[bytes] = []
        for number, piece in enumerate(pieces, 1):
            sealed_octets = self._outbound.sealed_octets(len(piece))
            prefix = encode_fragment_prefix(header, inner_type, number, len(pieces), sealed_octets)
            datagrams.append(prefix + self._outbound.seal(prefix, piece, self._iv()))
        return tuple(datagrams)

    def open(self, message: Message) -> bytes:
        """Return what the encrypted payload of a message, or of one fragment, holds.

        Raises:
            PeerError: It is not authentic, or there is none.
        """
        if message.encrypted is None:
            raise PeerError("it is not encrypted")
        return self._inbound.open(message.associated_data, message.encrypted.content)

    def _iv(self) -> bytes:
        octets = self._outbound.iv_octets
        if self._outbound.block_octets > 1:
            ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.14
            ##% Senders MUST select a new unpredictable
            ##% IV for every message
            return self._rng.octets(octets)
        self._counter += 1
        return self._counter.to_bytes(octets)
