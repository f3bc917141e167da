"""What a child carries: `local_ts` and `remote_ts` (RFC 7296, section 3.13.1).

`ADDRESSES[PROTOCOL/PORTS]`, where ADDRESSES is a subnet, a range `a-b`, an address or `dynamic`; the part
in brackets may be missing, and so may `/PORTS`. Ports are `any`, `opaque`, a number, a range or a service's
name. For ICMP a port is 256 times the type plus the code, or `type(code)`.
"""

from __future__ import annotations

import re

from perilune.config.hosts import read_address, read_network, read_range
from perilune.config.values import Kind, list_of, nearest, quote
from perilune.databases.pad import ChildSelector, DynamicSelector
from perilune.model.address import IpAddress
from perilune.model.errors import ConfigError
from perilune.model.selector import LAST_PORT, TrafficSelector

PROTOCOLS = {
    "any": 0,
    "icmp": 1,
    "igmp": 2,
    "ipencap": 4,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6": 41,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "icmp6": 58,
    "eigrp": 88,
    "ospf": 89,
    "pim": 103,
    "ipcomp": 108,
    "vrrp": 112,
    "l2tp": 115,
    "isis": 124,
    "sctp": 132,
    "udplite": 136,
    "mpls-in-ip": 137,
}
"""Names of IANA's registry "Protocol Numbers", in lower case, with their usual aliases."""

SERVICES = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "tftp": 69,
    "http": 80,
    "kerberos": 88,
    "pop3": 110,
    "ntp": 123,
    "imap": 143,
    "imap2": 143,
    "snmp": 161,
    "snmp-trap": 162,
    "bgp": 179,
    "ldap": 389,
    "https": 443,
    "isakmp": 500,
    "syslog": 514,
    "ldaps": 636,
    "domain-s": 853,
    "imaps": 993,
    "pop3s": 995,
    "l2f": 1701,
    "l2tp": 1701,
    "radius": 1812,
    "nfs": 2049,
    "ipsec-nat-t": 4500,
    "sip": 5060,
    "postgresql": 5432,
    "http-alt": 8080,
}
"""Names of IANA's registry "Service Names": a table here, so that a file means the same on every machine."""

_ICMP = frozenset({1, 58})
LAST_PROTOCOL = 255
"""The greatest number of a protocol, and of an ICMP type or code."""

ANY_PORT = (0, LAST_PORT)
"""ANY as a range of ports (RFC 4301, section 4.4.1.2)."""

OPAQUE = (LAST_PORT, 0)
"""OPAQUE as a range of ports."""

_NUMBER = re.compile(r"[0-9]{1,5}|0x[0-9a-fA-F]{1,4}")
_TYPE_AND_CODE = re.compile(r"([0-9]{1,3})\(([0-9]{1,3})\)")


def read_selector(text: str) -> ChildSelector:
    """Read one traffic selector.

    Raises:
        ConfigError: It is none.
    """
    addresses, bracket, rest = text.partition("[")
    protocol, ports = 0, ANY_PORT
    if bracket:
        if not rest.endswith("]"):
            raise ConfigError(f"{quote(text)}: the '[' needs a ']' at the end")
        protocol, ports = _read_brackets(rest[:-1].strip())
    addresses = addresses.strip()
    if addresses == "dynamic":
        return DynamicSelector(protocol, *ports)
    return TrafficSelector(*read_addresses(addresses), protocol, *ports)


def read_addresses(text: str) -> tuple[IpAddress, IpAddress]:
    """Read a subnet, a range or an address, and return its first and its last address.

    Raises:
        ConfigError: It is none of these.
    """
    if "/" in text:
        return read_network(text)
    if "-" in text:
        return read_range(text)
    address = read_address(text)
    return address, address


def _read_brackets(text: str) -> tuple[int, tuple[int, int]]:
    protocol_text, _, port_text = (part.strip() for part in text.partition("/"))
    protocol = read_protocol(protocol_text)
    ports = read_ports(port_text, protocol)
    if protocol == 0 and ports != ANY_PORT:
        raise ConfigError(f"{quote(text)}: ports need a protocol, such as tcp/{port_text}")
    return protocol, ports


def read_protocol(text: str) -> int:
    """Read a protocol's name or number; 0 is any.

    Raises:
        ConfigError: It is neither.
    """
    name = text.lower() or "any"
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if not _NUMBER.fullmatch(name):
        raise ConfigError(f"{quote(text)} is no protocol", nearest=nearest(name, PROTOCOLS))
    if int(name, 0 if name.startswith("0x") else 10) > LAST_PROTOCOL:
        raise ConfigError(f"protocol {quote(text)} is not from 0 to {LAST_PROTOCOL}")
    return int(name, 0 if name.startswith("0x") else 10)


def read_ports(text: str, protocol: int) -> tuple[int, int]:
    """Read the first and the last port of a protocol, as IKE writes them.

    Raises:
        ConfigError: They are none.
    """
    if text in ("", "any"):
        return ANY_PORT
    if text == "opaque":
        return OPAQUE
    whole = _port(text, protocol)
    if whole is not None:
        return whole, whole
    first_text, dash, last_text = (part.strip() for part in text.partition("-"))
    first, last = (_port(part, protocol) for part in (first_text, last_text))
    if not dash or first is None or last is None:
        raise ConfigError(f"{quote(text)} is no port", nearest=nearest(text, SERVICES))
    if first > last:
        raise ConfigError(f"{quote(text)}: the first port lies behind the last")
    return first, last


def _port(text: str, protocol: int) -> int | None:
    """Read one port; return None where it is none."""
    icmp = _TYPE_AND_CODE.fullmatch(text)
    if icmp and protocol in _ICMP:
        type_, code = int(icmp[1]), int(icmp[2])
        return type_ << 8 | code if max(type_, code) <= LAST_PROTOCOL else None
    if not _NUMBER.fullmatch(text):
        return SERVICES.get(text.lower())
    port = int(text, 0 if text.startswith("0x") else 10)
    return port if port <= LAST_PORT else None


SELECTORS: Kind[tuple[ChildSelector, ...]] = list_of(Kind("traffic selectors", read_selector))
"""A list of traffic selectors."""
