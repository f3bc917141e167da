"""Where a connection's ends may be: `local_addrs` and `remote_addrs`."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from perilune.config.values import Kind, quote, words
from perilune.databases.pad import ANY_IPV4, ANY_IPV6, AddressRange, Host, HostName
from perilune.model.address import IpAddress
from perilune.model.errors import ConfigError

_ANY: dict[str, tuple[Host, ...]] = {
    "%any": (ANY_IPV4, ANY_IPV6),
    "%any4": (ANY_IPV4,),
    "%any6": (ANY_IPV6,),
    "0.0.0.0": (ANY_IPV4,),  # noqa: S104 - as in swanctl.conf it stands for every address, no socket is bound
    "::": (ANY_IPV6,),
}
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
LONGEST_NAME = 253
"""Octets of a name in the DNS (RFC 1035, section 2.3.4)."""


def read_address(text: str) -> IpAddress:
    """Read one address of either family.

    Raises:
        ConfigError: It is none, or has a zone, which an IKE peer's cannot have.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise ConfigError(f"{quote(text)} is no IP address") from None
    if "%" in text:
        raise ConfigError(f"{quote(text)}: addresses with a zone are not supported")
    return address


def read_range(text: str) -> tuple[IpAddress, IpAddress]:
    """Read `first-last`.

    Raises:
        ConfigError: One of them is no address, or they are out of order or of two families.
    """
    first_text, _, last_text = text.partition("-")
    first, last = read_address(first_text.strip()), read_address(last_text.strip())
    if first.version != last.version:
        raise ConfigError(f"{quote(text)}: the two ends are of different families")
    if int(first) > int(last):
        raise ConfigError(f"{quote(text)}: the first address lies behind the last")
    return first, last


def read_network(text: str) -> tuple[IpAddress, IpAddress]:
    """Read `address/length`; bits behind the prefix don't matter.

    Raises:
        ConfigError: It is no prefix.
    """
    address, _, length = text.partition("/")
    version = read_address(address).version
    if not re.fullmatch(r"[0-9]{1,3}", length) or int(length) > (32 if version == 4 else 128):
        raise ConfigError(f"{quote(text)} is no subnet such as 192.0.2.0/24 or 2001:db8::/32")
    network = ip_network(text, strict=False)
    return network[0], network[-1]


def _read_host(text: str) -> tuple[Host, ...]:
    if text.lower() in _ANY:
        return _ANY[text.lower()]
    if "/" in text:
        return (AddressRange(*read_network(text)),)
    if _looks_like_range(text):
        return (AddressRange(*read_range(text)),)
    if ":" in text or _looks_like_ipv4(text):
        address = read_address(text)
        return (AddressRange(address, address),)
    return (HostName(_name(text)),)


def _looks_like_ipv4(text: str) -> bool:
    """No top-level domain is a number (RFC 3696, section 2), so what ends in one is meant as an address."""
    return text.rstrip(".").rpartition(".")[2].isdigit()


def _looks_like_range(text: str) -> bool:
    first, dash, last = text.partition("-")
    return bool(dash) and all(":" in end or _looks_like_ipv4(end.strip()) for end in (first, last))


def _name(text: str) -> str:
    name = text.removesuffix(".")
    if len(name) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ConfigError(f"{quote(text)} is no address, range, subnet, name or %any")
    return name


def _read_hosts(text: str) -> tuple[Host, ...]:
    found = [host for word in words(text) for host in _read_host(word)]
    return tuple(dict.fromkeys(found))


HOSTS: Kind[tuple[Host, ...]] = Kind(
    "list of addresses, ranges `a-b`, subnets, names, `%any`, `%any4`, `%any6`", _read_hosts
)
"""A list of places where an end may be."""


def _read_ranges(text: str) -> tuple[AddressRange, ...]:
    if text == "any":
        return ()
    found: list[AddressRange] = []
    for word in words(text):
        if "/" in word:
            found.append(AddressRange(*read_network(word)))
        elif "-" in word:
            found.append(AddressRange(*read_range(word)))
        else:
            address = read_address(word)
            found.append(AddressRange(address, address))
    return tuple(found)


ADDRESS_RANGES: Kind[tuple[AddressRange, ...]] = Kind(
    "`any`, or a list of addresses, ranges `a-b` and subnets", _read_ranges
)
"""Some addresses of either family; none is any."""


def is_single(host: Host) -> bool:
    """Whether a connection can be begun to such a place: it is a name or one address."""
    return isinstance(host, HostName) or host.first == host.last
