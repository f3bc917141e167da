"""The Security Association payload: offers and the choice among them (RFC 7296, section 3.3).

```
                     1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Last Substruc |   RESERVED    |         Proposal Length       |   proposal,
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   one or more
| Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                        SPI (variable)                         ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Last Substruc |   RESERVED    |        Transform Length       |   transform,
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   one or more
|Transform Type |   RESERVED    |          Transform ID         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|A|       Attribute Type        |    AF=0  Attribute Length     |   attribute,
|F|                             |    AF=1  Attribute Value      |   none or more
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          AF=0  Attribute Value, AF=1  Not Transmitted         |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```

What we do not know (a protocol, a transform, an attribute) is kept as numbers: it makes a proposal or a
transform unacceptable (section 3.3.6), not a message malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType, ProtocolId, TransformType
from perilune.model.proposal import Proposal, Transform
from perilune.wire.limits import MAX_PROPOSALS, MAX_TRANSFORM_ATTRIBUTES, MAX_TRANSFORMS
from perilune.wire.reading import require

KEY_LENGTH: Final = 0x800E
"""Attribute Key Length, type 14, with the AF bit of its short form (section 3.3.5)."""

_PROPOSAL: Final = Struct("!BxHBBBB")
_TRANSFORM: Final = Struct("!BxHBxH")
_ATTRIBUTE: Final = Struct("!HH")
_SHORT_FORM: Final = 0x8000
_LAST: Final = 0
_MORE_PROPOSALS: Final = 2
_MORE_TRANSFORMS: Final = 3
_PROTOCOLS: Final[dict[int, ProtocolId]] = {member.value: member for member in ProtocolId}
_TRANSFORM_TYPES: Final[dict[int, TransformType]] = {member.value: member for member in TransformType}


@dataclass(frozen=True, slots=True)
class SaPayload:
    """Proposals in order of preference; in an answer exactly the chosen one.

    A transform's `other_attributes` holds each attribute type with its AF bit, so that an attribute of the
    short form (bit set, value of two octets) and one of the long form go out as they came in.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.SA

    proposals: tuple[Proposal, ...]

    def encode(self) -> bytes:
        """Return the payload's body."""
        last = len(self.proposals) - 1
        return b"".join(
            _encode_proposal(proposal, _LAST if index == last else _MORE_PROPOSALS)
            for index, proposal in enumerate(self.proposals)
        )

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body.

        Args:
            body: Octets behind the generic payload header.
            offset: Where `body` lies in the datagram.

        Raises:
            DecodeError: Lengths, counts or Last Substruc fields disagree, there is no proposal or no
                transform, or there are more than `limits` allows.
        """
        proposals: list[Proposal] = []
        transforms = position = 0
        more = True
        while more:
            proposal, end, more = _decode_proposal(body, position, offset)
            proposals.append(proposal)
            transforms += len(proposal.transforms)
            if len(proposals) > MAX_PROPOSALS or transforms > MAX_TRANSFORMS:
                raise DecodeError("too many proposals", offset=offset + position, field="Proposals")
            position = end
        return cls(tuple(proposals))


def _encode_proposal(proposal: Proposal, last_substructure: int) -> bytes:
    last = len(proposal.transforms) - 1
    transforms = b"".join(
        _encode_transform(transform, _LAST if index == last else _MORE_TRANSFORMS)
        for index, transform in enumerate(proposal.transforms)
    )
    fixed = _PROPOSAL.pack(
        last_substructure,
        _PROPOSAL.size + len(proposal.spi) + len(transforms),
        proposal.number,
        proposal.protocol,
        len(proposal.spi),
        len(proposal.transforms),
    )
    return fixed + proposal.spi + transforms


def _encode_transform(transform: Transform, last_substructure: int) -> bytes:
    attributes = b""
    if transform.key_bits is not None:
        attributes = _ATTRIBUTE.pack(KEY_LENGTH, transform.key_bits)
    for type_, value in transform.other_attributes:
        attributes += type_.to_bytes(2) + (b"" if type_ & _SHORT_FORM else len(value).to_bytes(2)) + value
    length = _TRANSFORM.size + len(attributes)
    return _TRANSFORM.pack(last_substructure, length, transform.type, transform.id) + attributes


def _decode_proposal(body: bytes, start: int, offset: int) -> tuple[Proposal, int, bool]:
    """Return a proposal, where it ends in `body`, and whether another follows."""
    require(body, start + _PROPOSAL.size, offset, "Proposal")
    last, length, number, protocol, spi_octets, count = _PROPOSAL.unpack_from(body, start)
    end = start + length
    position = start + _PROPOSAL.size + spi_octets
    _check_substructure(position, end, len(body), start + offset, "Proposal Length")
    more = _more(last, _MORE_PROPOSALS, end < len(body), offset + start)
    spi = body[start + _PROPOSAL.size : position]
    transforms = _decode_transforms(body[position:end], offset + position)
    if len(transforms) != count:
        raise DecodeError(
            f"says {count}, the proposal has {len(transforms)}",
            offset=offset + start + 7,
            field="Num Transforms",
        )
    return Proposal(_PROTOCOLS.get(protocol, protocol), transforms, spi, number), end, more


def _decode_transforms(body: bytes, offset: int) -> tuple[Transform, ...]:
    """Return the transforms of a proposal; peers of one configuration say the same again and again."""
    return (_known_transforms if len(body) <= _LONGEST_KNOWN else _read_transforms)(body, offset)


def _read_transforms(body: bytes, offset: int) -> tuple[Transform, ...]:
    transforms: list[Transform] = []
    position = 0
    more = True
    while more:
        require(body, position + _TRANSFORM.size, offset, "Transform")
        last, length, type_, id_ = _TRANSFORM.unpack_from(body, position)
        end = position + length
        attributes = position + _TRANSFORM.size
        _check_substructure(attributes, end, len(body), offset + position, "Transform Length")
        more = _more(last, _MORE_TRANSFORMS, end < len(body), offset + position)
        type_ = _TRANSFORM_TYPES.get(type_, type_)
        if attributes == end:
            transforms.append(Transform(type_, id_))
        else:
            key_bits, others = _decode_attributes(body[attributes:end], offset + attributes)
            transforms.append(Transform(type_, id_, key_bits, others))
        position = end
    return tuple(transforms)


_known_transforms: Final = lru_cache(maxsize=256)(_read_transforms)
_LONGEST_KNOWN: Final = 256
"""Octets of transforms that are worth remembering; what is longer is rare, or meant to take memory."""


def _decode_attributes(body: bytes, offset: int) -> tuple[int | None, tuple[tuple[int, bytes], ...]]:
    """Return Key Length in bits, and the other attributes; a second Key Length is among those."""
    key_bits: int | None = None
    others: list[tuple[int, bytes]] = []
    position = 0
    while position < len(body):
        require(body, position + _ATTRIBUTE.size, offset, "Transform Attribute")
        if len(others) >= MAX_TRANSFORM_ATTRIBUTES:
            raise DecodeError("too many attributes", offset=offset + position, field="Transform Attributes")
        type_, value = _ATTRIBUTE.unpack_from(body, position)
        position += _ATTRIBUTE.size
        if type_ == KEY_LENGTH and key_bits is None:
            key_bits = value
        elif type_ & _SHORT_FORM:
            others.append((type_, body[position - 2 : position]))
        else:
            require(body, position + value, offset, "Attribute Value")
            others.append((type_, body[position : position + value]))
            position += value
    return key_bits, tuple(others)


def _check_substructure(fixed_end: int, end: int, body_end: int, offset: int, field: str) -> None:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3
    ##% When parsing an SA, an implementation MUST check that the total
    ##% Payload Length is consistent with the payload's internal lengths and
    ##% counts.
    if end < fixed_end:
        raise DecodeError("shorter than its fixed part", offset=offset + 2, field=field)
    if end > body_end:
        raise DecodeError(f"{end - body_end} octets too long", offset=offset + 2, field=field)


def _more(last_substructure: int, more_value: int, octets_follow: bool, offset: int) -> bool:
    """Whether another substructure follows, by the field and by the octets, which must agree."""
    if last_substructure != (more_value if octets_follow else _LAST):
        raise DecodeError(
            f"is {last_substructure} where {'more' if octets_follow else 'nothing'} follows",
            offset=offset,
            field="Last Substruc",
        )
    return octets_follow
