"""Whole IKE messages: a header and a chain of payloads (RFC 7296, section 3.1).

A protected message is written in two steps, because the cipher covers everything before it:

    inner_type, chain = encode_chain(payloads)
    prefix = encode_encrypted_prefix(header, inner_type, cipher.sealed_octets(len(chain)))
    datagram = prefix + cipher.seal(prefix, chain, iv)

and read in two:

    message = Message.decode(datagram)
    chain = cipher.open(message.associated_data, message.encrypted.content)
    payloads = decode_chain(message.encrypted.inner_type, chain)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from perilune.model.errors import DecodeError, PeerError
from perilune.model.iana import NotifyType, PayloadType
from perilune.wire.chain import decode_chain, decode_message_chain, encode_chain, encode_generic_header
from perilune.wire.header import HEADER_OCTETS, MAJOR_VERSION, Header
from perilune.wire.payloads import EncryptedFragment, EncryptedPayload, Payload
from perilune.wire.payloads.encrypted import FRAGMENT

__all__ = [
    "Message",
    "clear_octets",
    "decode_chain",
    "decode_header",
    "encode_chain",
    "encode_encrypted_prefix",
    "encode_fragment_prefix",
    "encode_message",
]

_Encrypted = EncryptedPayload | EncryptedFragment


_NEXT_PAYLOAD_AT: Final = 16
_LENGTH_AT: Final = 24
_GENERIC_OCTETS: Final = 4
_LONGEST_PAYLOAD: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came from the network, all but its encrypted part decoded."""

    header: Header

    payloads: tuple[Payload, ...]
    """In order; an `EncryptedPayload` or `EncryptedFragment` can only be the last."""

    octets: bytes
    """The whole message; IKE_SA_INIT's are signed by AUTH (section 2.15)."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a datagram, without its non-ESP marker if it had one.

        Raises:
            DecodeError: It is malformed; see `decode_header` and `decode_chain`.
        """
        return cls.decode_behind(decode_header(data), data)

    @classmethod
    def decode_behind(cls, header: Header, data: bytes) -> Self:
        """Read a datagram whose header `decode_header` has read.

        Raises:
            DecodeError: The payloads are malformed; see `decode_chain`.
        """
        payloads = decode_message_chain(header.next_payload, data, HEADER_OCTETS)
        return cls(header, payloads, data)

    @property
    def encrypted(self) -> EncryptedPayload | EncryptedFragment | None:
        """The encrypted payload that ends the message, if one does."""
        last = self.payloads[-1] if self.payloads else None
        return last if isinstance(last, _Encrypted) else None

    @property
    def associated_data(self) -> bytes:
        """All octets before the content of the encrypted payload; the whole message where there is none."""
        encrypted = self.encrypted
        return self.octets[: len(self.octets) - len(encrypted.content)] if encrypted else self.octets


def decode_header(data: bytes) -> Header:
    """Read and judge the header of a datagram; costs a microsecond or two.

    Raises:
        DecodeError: The datagram is shorter than a header (no notify), of another major version than 2
            (INVALID_MAJOR_VERSION), or not as long as its Length field says (INVALID_SYNTAX).
    """
    header = Header.decode(data)
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.1
    ##% MUST reject or ignore messages containing a
    ##% version number greater than 2 with an INVALID_MAJOR_VERSION
    ##% notification message as described in Section 2.5.
    if header.major_version != MAJOR_VERSION:
        raise DecodeError(
            f"{header.major_version} is not {MAJOR_VERSION}",
            offset=17,
            field="Major Version",
            notify=NotifyType.INVALID_MAJOR_VERSION,
        )
    if header.length != len(data):
        raise DecodeError(
            f"says {header.length} octets, the datagram has {len(data)}", offset=24, field="Length"
        )
    return header


def encode_message(header: Header, payloads: Iterable[Payload]) -> bytes:
    """Write a message whose payloads go as they are, such as those of IKE_SA_INIT.

    Args:
        header: Its Next Payload and Length are replaced by the right ones.
        payloads: In order.

    Raises:
        LocalError: A payload is too long for its length field.
    """
    first_type, chain = encode_chain(payloads)
    return header.encode_before(first_type, len(chain)) + chain


def encode_encrypted_prefix(header: Header, inner_type: int, sealed_octets: int) -> bytes:
    """Write a message of one Encrypted payload up to the payload's content.

    Args:
        header: Its Next Payload and Length are replaced by the right ones.
        inner_type: Type of the first payload inside.
        sealed_octets: Length of the content: initialization vector, ciphertext and checksum.

    Returns:
        The associated data, behind which the content is to be put.

    Raises:
        LocalError: The content is too long for the payload's length field.
    """
    generic = encode_generic_header(inner_type, sealed_octets)
    return header.encode_before(PayloadType.SK, len(generic) + sealed_octets) + generic


def encode_fragment_prefix(
    header: Header, inner_type: int, number: int, total: int, sealed_octets: int
) -> bytes:
    """Write a message of one Encrypted Fragment payload up to the payload's content.

    Args:
        header: As in `encode_encrypted_prefix`.
        inner_type: Type of the first payload of the whole chain; goes into the first fragment only.
        number: Fragment Number, from 1.
        total: Total Fragments.
        sealed_octets: Length of the content.

    Returns:
        The associated data, behind which the content is to be put.

    Raises:
        LocalError: The content is too long for the payload's length field.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7383#section-2.5
    ##% In the rest of the Fragment messages (with Fragment Number greater
    ##% than 1), this field MUST be set to zero.
    first = inner_type if number == 1 else PayloadType.NONE
    generic = encode_generic_header(first, FRAGMENT.size + sealed_octets) + FRAGMENT.pack(number, total)
    return header.encode_before(PayloadType.SKF, len(generic) + sealed_octets) + generic


def clear_octets(prefix: bytes, chain: bytes) -> bytes:
    """Return a protected message as it was before it was encrypted and cut into fragments.

    Its two Length fields count no initialization vector, padding or checksum: it is the chunks A and P that
    AUTH signs of an IKE_INTERMEDIATE message (RFC 9242, section 3.3.2).

    Args:
        prefix: The octets before the content of its encrypted payload, or of the first fragment's.
        chain: What the encrypted payload holds, without padding.

    Raises:
        PeerError: The chain is longer than what an unfragmented message can hold.
    """
    type_at, start = _NEXT_PAYLOAD_AT, HEADER_OCTETS
    while prefix[type_at] not in {PayloadType.SK, PayloadType.SKF}:
        type_at, start = start, start + int.from_bytes(prefix[start + 2 : start + _GENERIC_OCTETS])
    payload_octets = _GENERIC_OCTETS + len(chain)
    if payload_octets > _LONGEST_PAYLOAD:
        raise PeerError(f"its fragments hold {len(chain)} octets, more than one message could")
    head = bytearray(prefix[: start + 2] + payload_octets.to_bytes(2))
    head[type_at] = PayloadType.SK
    head[_LENGTH_AT:HEADER_OCTETS] = (start + payload_octets).to_bytes(4)
    return bytes(head) + chain
