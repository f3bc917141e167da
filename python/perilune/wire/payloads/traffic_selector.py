"""The Traffic Selector payloads TSi and TSr (RFC 7296, section 3.13).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Number of TSs |                 RESERVED                      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   TS Type     |IP Protocol ID |       Selector Length         |   selector,
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   one or more
|           Start Port          |           End Port            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                         Starting Address                      ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                         Ending Address                        ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, Self

from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import PayloadType, TsType
from perilune.model.selector import LAST_PORT, TrafficSelector
from perilune.wire.reading import nothing_behind, require

_FIXED: Final = Struct("!B3x")
_SELECTOR: Final = Struct("!BBH")
_PORTS: Final = Struct("!HH")
_ADDRESS_AT: Final = _SELECTOR.size + _PORTS.size
_ADDRESSES: Final[dict[int, tuple[type[IPv4Address | IPv6Address], int]]] = {
    TsType.TS_IPV4_ADDR_RANGE: (IPv4Address, 4),
    TsType.TS_IPV6_ADDR_RANGE: (IPv6Address, 16),
}


@dataclass(frozen=True, slots=True)
class UnknownTrafficSelector:
    """A selector of a type that we do not know; nothing matches it (section 2.9)."""

    type: int
    """TS Type."""

    protocol: int
    """The octet behind the type: the IP protocol in the types that are defined."""

    data: bytes
    """Octets behind Selector Length."""


@dataclass(frozen=True, slots=True)
class TsPayload:
    """Which packets a Child SA is to carry, at one of its ends."""

    payload_type: PayloadType
    """TS_I for the end that began the exchange, TS_R for the other."""

    selectors: tuple[TrafficSelector | UnknownTrafficSelector, ...]

    @property
    def known(self) -> tuple[TrafficSelector, ...]:
        """The selectors of types that we know, in order."""
        return tuple(selector for selector in self.selectors if isinstance(selector, TrafficSelector))

    def encode(self) -> bytes:
        """Return the payload's body."""
        return _FIXED.pack(len(self.selectors)) + b"".join(map(_encode_selector, self.selectors))

    @classmethod
    def decode(cls, body: bytes, offset: int, payload_type: PayloadType) -> Self:
        """Read the payload's body.

        Args:
            body: Octets behind the generic payload header.
            offset: Where `body` lies in the datagram.
            payload_type: TS_I or TS_R.

        Raises:
            DecodeError: There is no selector, the lengths and the count disagree, or a range is out of order.
        """
        require(body, _FIXED.size, offset, "Traffic Selector payload")
        (count,) = _FIXED.unpack_from(body)
        if count == 0:
            raise DecodeError("there must be one at least", offset=offset, field="Number of TSs")
        selectors: list[TrafficSelector | UnknownTrafficSelector] = []
        position = _FIXED.size
        for _ in range(count):
            require(body, position + _SELECTOR.size, offset, "Traffic Selector")
            type_, protocol, length = _SELECTOR.unpack_from(body, position)
            end = position + length
            if length < _SELECTOR.size or end > len(body):
                raise DecodeError(
                    f"cannot be {length}", offset=offset + position + 2, field="Selector Length"
                )
            data = body[position + _SELECTOR.size : end]
            selectors.append(_decode_selector(type_, protocol, data, offset + position))
            position = end
        nothing_behind(body, position, offset, "Traffic Selectors")
        return cls(payload_type, tuple(selectors))


def _encode_selector(selector: TrafficSelector | UnknownTrafficSelector) -> bytes:
    if isinstance(selector, UnknownTrafficSelector):
        length = _SELECTOR.size + len(selector.data)
        return _SELECTOR.pack(selector.type, selector.protocol, length) + selector.data
    first, last = selector.first_address.packed, selector.last_address.packed
    type_ = TsType.TS_IPV4_ADDR_RANGE if selector.version == 4 else TsType.TS_IPV6_ADDR_RANGE
    fixed = _SELECTOR.pack(type_, selector.protocol, _ADDRESS_AT + len(first) + len(last))
    return fixed + _PORTS.pack(selector.first_port, selector.last_port) + first + last


def _decode_selector(
    type_: int, protocol: int, data: bytes, offset: int
) -> TrafficSelector | UnknownTrafficSelector:
    """Read a selector whose own header lies at `offset`; `data` is what follows that header."""
    if type_ not in _ADDRESSES:
        return UnknownTrafficSelector(type_, protocol, data)
    address, octets = _ADDRESSES[type_]
    if len(data) != _PORTS.size + 2 * octets:
        raise DecodeError(f"is wrong for TS type {type_}", offset=offset + 2, field="Selector Length")
    first_port, last_port = _PORTS.unpack_from(data)
    if first_port > last_port and (first_port, last_port) != (LAST_PORT, 0):
        raise DecodeError(f"{first_port} lies behind {last_port}", offset=offset + 4, field="Start Port")
    middle = _PORTS.size + octets
    first, last = address(data[_PORTS.size : middle]), address(data[middle:])
    try:
        return TrafficSelector(first, last, protocol, first_port, last_port)
    except LocalError as error:
        raise DecodeError(str(error), offset=offset + _ADDRESS_AT, field="Starting Address") from error
