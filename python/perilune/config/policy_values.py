"""What values of the section `policies` mean: addresses with masks, protocols, message types, bits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from pwd import getpwnam

from perilune.config.hosts import read_address
from perilune.config.traffic_selectors import (
    ANY_PORT,
    LAST_PROTOCOL,
    OPAQUE,
    read_addresses,
    read_ports,
    read_protocol,
)
from perilune.config.values import Kind, number, quote, words
from perilune.databases.conditions import LARGEST_LEVEL, Masked, Populate
from perilune.model.address import IpAddress
from perilune.model.errors import ConfigError

_TYPE = re.compile(r"([0-9]{1,3})(?:\(([0-9]{1,3})\))?")
_TCP = 6
_NO_USER = 2**32 - 1
_OVERFLOW_USER = 65_534
_EVERYTHING = tuple((network[0], network[-1]) for network in map(ip_network, ("0.0.0.0/0", "::/0")))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ranges of addresses, or bits that an address has to have."""

    ranges: tuple[tuple[IpAddress, IpAddress], ...]
    """First and last of each."""

    masked: Masked | None = None


@dataclass(frozen=True, slots=True)
class MessageTypes:
    """A range of types and codes; a code is None where it is not told."""

    first: tuple[int, int | None]
    last: tuple[int, int | None]

    @property
    def icmp(self) -> tuple[int, int]:
        """As a range of ports, type in the high octet and code in the low one (RFC 4301, 4.4.1.1)."""
        (first, first_code), (last, last_code) = self.first, self.last
        return first << 8 | (first_code or 0), last << 8 | (LAST_PROTOCOL if last_code is None else last_code)

    @property
    def mobility(self) -> tuple[int, int]:
        """As a range of ports, type in the high octet and zero in the low one (RFC 7296, 3.13.1)."""
        return self.first[0] << 8, self.last[0] << 8


class AllTypes(Enum):
    """All types of messages, or none; as ranges of ports."""

    ANY = ANY_PORT
    OPAQUE = OPAQUE


def _read_address_list(text: str) -> Addresses:
    ranges: list[tuple[IpAddress, IpAddress]] = []
    for word in words(text):
        if word == "any":
            ranges += _EVERYTHING
        elif "&" in word:
            return _read_masked(word, alone=word == text.strip())
        else:
            ranges.append(read_addresses(word))
    return Addresses(tuple(ranges))


def _read_masked(word: str, *, alone: bool) -> Addresses:
    address, mask = (read_address(part.strip()) for part in word.split("&", 1))
    if not alone:
        raise ConfigError(f"{quote(word)}: an address with a mask stands alone; use one entry for each")
    if address.version != mask.version:
        raise ConfigError(f"{quote(word)}: address and mask are of different families")
    if int(address) & ~int(mask):
        raise ConfigError(f"{quote(word)}: the address has bits that the mask has not")
    everything = _EVERYTHING[0 if address.version == 4 else 1]
    return Addresses((everything,), Masked(int(address), int(mask)))


def _read_protocols(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for word in words(text):
        first, dash, last = word.partition("-")
        if dash and first.strip().isdecimal() and last.strip().isdecimal():
            bounds = read_protocol(first.strip()), read_protocol(last.strip())
            if not 0 < bounds[0] <= bounds[1]:
                raise ConfigError(f"{quote(word)} is no range of protocols")
            found += range(bounds[0], bounds[1] + 1)
        else:
            found.append(read_protocol(word))
    if 0 in found and len(found) > 1:
        raise ConfigError(f"{quote(text)}: 'any' stands alone")
    return tuple(dict.fromkeys(found))


def _read_port_list(text: str) -> tuple[tuple[int, int], ...]:
    ranges = tuple(read_ports(word, _TCP) for word in words(text))
    _check_alone(text, ranges)
    return ranges


def _read_types(text: str) -> tuple[MessageTypes, ...] | AllTypes:
    if text in ("any", "opaque"):
        return AllTypes.ANY if text == "any" else AllTypes.OPAQUE
    return tuple(_read_type_range(word) for word in words(text))


def _read_type_range(word: str) -> MessageTypes:
    first, dash, last = (part.strip() for part in word.partition("-"))
    types = MessageTypes(_read_type(first, word), _read_type(last if dash else first, word))
    if types.icmp[0] > types.icmp[1]:
        raise ConfigError(f"{quote(word)}: the first type lies behind the last")
    return types


def _read_type(text: str, whole: str) -> tuple[int, int | None]:
    match = _TYPE.fullmatch(text)
    if not match or int(match[1]) > LAST_PROTOCOL or int(match[2] or 0) > LAST_PROTOCOL:
        raise ConfigError(f"{quote(whole)} is no type such as 8, 3(1) or 3(0)-3(13)")
    return int(match[1]), None if match[2] is None else int(match[2])


def _check_alone(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    """Refuse `any` and `opaque` beside something else (RFC 4301, section 4.4.1.2)."""
    if len(ranges) > 1 and {ANY_PORT, OPAQUE} & set(ranges):
        raise ConfigError(f"{quote(text)}: 'any' and 'opaque' stand alone")


def _read_octet_bits(text: str) -> Masked:
    octet = number(0, 255)
    value, slash, mask = (part.strip() for part in text.partition("/"))
    bits, counting = octet.read(value), octet.read(mask) if slash else 255
    if bits & ~counting:
        raise ConfigError(f"{quote(text)}: the value has bits that the mask has not")
    return Masked(bits, counting)


def _read_levels(text: str) -> tuple[int, int]:
    level = number(0, LARGEST_LEVEL)
    first, dash, last = (part.strip() for part in text.partition("-"))
    bounds = level.read(first), level.read(last if dash else first)
    if bounds[0] > bounds[1]:
        raise ConfigError(f"{quote(text)}: the first level is greater than the last")
    return bounds


def _read_user(text: str) -> int:
    try:
        user = int(text) if text.isdecimal() else getpwnam(text).pw_uid
    except (KeyError, ValueError) as error:
        raise ConfigError(f"there is no user {quote(text)} on this host") from error
    if user == 0:
        raise ConfigError("root's packets cannot be told from those that the kernel itself sends")
    if user in {_OVERFLOW_USER, _NO_USER} or user > _NO_USER:
        raise ConfigError(f"{user} is nobody's number")
    return user


_FLAGS = {
    "local": ("local_address",),
    "local_ts": ("local_address",),
    "remote": ("remote_address",),
    "remote_ts": ("remote_address",),
    "protocol": ("protocol",),
    "local_port": ("local_port",),
    "remote_port": ("remote_port",),
    "ports": ("local_port", "remote_port"),
}


def _read_flags(text: str) -> Populate:
    if text == "none":
        return Populate()
    flags: dict[str, bool] = {}
    for word in words(text):
        if word not in _FLAGS:
            raise ConfigError(f"{quote(word)} is none of {', '.join(_FLAGS)}")
        flags |= dict.fromkeys(_FLAGS[word], True)
    return Populate(**flags)


ADDRESSES: Kind[Addresses] = Kind(
    "`any`, or a list of subnets, ranges `a-b` and addresses, or `ADDRESS&MASK`", _read_address_list
)
"""Addresses of one end."""

PROTOCOLS: Kind[tuple[int, ...]] = Kind("list of names, numbers and ranges", _read_protocols)
"""Next layer protocols; one that is 0 is any."""

PORTS: Kind[tuple[tuple[int, int], ...]] = Kind(
    "`any`, `opaque`, or a list of ports, ranges and services", _read_port_list
)
"""Ranges of ports."""

TYPES: Kind[tuple[MessageTypes, ...] | AllTypes] = Kind(
    "`any`, `opaque`, or a list such as `8, 3(1), 3(4)-3(13)`", _read_types
)
"""Types of messages."""

OCTET_BITS: Kind[Masked] = Kind("octet, or `VALUE/MASK`", _read_octet_bits)
"""Some bits of an octet."""

LEVELS: Kind[tuple[int, int]] = Kind(f"0 to {LARGEST_LEVEL}, or a range", _read_levels)
"""Sensitivity levels."""

USERS: Kind[int] = Kind("name or number", _read_user)
"""Number of a user of this host."""

FLAGS: Kind[Populate] = Kind("`none`, or a list of " + ", ".join(f"`{word}`" for word in _FLAGS), _read_flags)
"""Populate-from-packet flags."""
