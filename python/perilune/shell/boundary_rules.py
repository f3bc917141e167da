"""The boundary of RFC 4301, section 3.1, in nftables' words: what policy protects is not there in the clear.

    output    what this host sends               by the rules for what is sent
    forward   what passes through                by both
    input     what is for this host              by the rules for what is received

What goes into the TUN device is about to be protected, and what comes out of it was; both pass. So do IKE,
ESP and AH of this host, what IPv6 needs to find its neighbours, and ICMP errors about our own ESP. Other
ICMP errors from what is behind this host have to be of a type that is accepted (RFC 4301, section 6.1.2).
Everything else is looked at if its far end is in a selector of a policy that protects or discards: then the
SPD's entries are asked in their order.

A fragment without its first octets shows no ports. Where an entry that protects or discards wants certain
ones, it gets the fragment too; and where it wants a protocol, a fragment of IPv6 that does not show that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from perilune.databases.conditions import Masked
from perilune.databases.spd import Action, SpdEntry, Way
from perilune.dataplane.icmp import ALL_ERRORS, HARMLESS, IcmpKind
from perilune.model.address import IpAddress
from perilune.model.selector import ANY_PROTOCOL, LAST_PORT, TrafficSelector

TABLE: Final = "perilune"
REMOVAL: Final = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
"""Removes the table, whether it is there or not."""

_ICMPV6: Final = 6
_MOBILITY_HEADER: Final = 135
_MESSAGES: Final = frozenset({1, 58, _MOBILITY_HEADER})
"""ICMP for both versions and the Mobility Header, which have types and no ports."""

_LONGEST_COMMENT: Final = 100
_ANY_PORTS: Final = (0, LAST_PORT)
_IS_LATER_FRAGMENT: Final = {4: "ip frag-off & 0x1fff != 0", 6: "frag frag-off != 0"}
_HIDES_PROTOCOL: Final = f"frag nexthdr {{ 0, 43, 60 }} {_IS_LATER_FRAGMENT[6]}"
"""Behind options and routing headers a later fragment does not say of which protocol it is."""

CHAINS: Final = {Way.IN: "received", Way.OUT: "sent"}
"""Which rules are asked about what goes which way."""

_USERS_CHAIN: Final = "-of-user-"

Counts = Mapping[tuple[Way, str], Sequence[tuple[int, int]]]
"""Packets and octets that the rules of a policy, by its name as in `comment_of`, have counted so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundarySettings:
    """What is never looked at."""

    device: str
    """The TUN device."""

    ports: tuple[int, int]
    """Of IKE and of NAT traversal."""

    mark: int
    """Of the daemon's own packets; 0 is none."""

    icmp: tuple[IcmpKind, ...] = HARMLESS
    """ICMP errors to this host that are accepted from what is behind it."""


@dataclass(frozen=True, slots=True)
class BoundaryRule:
    """One rule."""

    way: Way
    """In or out."""

    match: str
    """In nftables' words."""

    verdict: str
    """`accept` or `drop`."""

    policy: str
    """Name of the SPD entry."""

    user: int | None = None
    """Whose packets are meant, of this host's own; None is anyone's, also of what is forwarded."""


def ruleset(entries: Iterable[SpdEntry], settings: BoundarySettings, counts: Counts | None = None) -> str:
    """Return what makes nftables enforce an SPD, in one transaction that replaces what was there.

    Args:
        entries: The SPD, in any order.
        settings: What is never looked at.
        counts: Where counters go on from.
    """
    ordered = sorted(entries, key=lambda entry: (entry.priority, entry.id))
    if not any(entry.action is not Action.BYPASS for entry in ordered):
        return REMOVAL
    rules: dict[tuple[Way, str, int | None], BoundaryRule] = {}
    for rule in (rule for entry in ordered for rule in rules_of(entry)):
        rules.setdefault((rule.way, rule.match, rule.user), rule)
    chains = [_policy_chain(way, rules.values(), counts or {}) for way in CHAINS]
    protecting = [entry for entry in ordered if entry.action is not Action.BYPASS]
    ends = {
        "far": [selector for entry in protecting for selector in entry.remote],
        "near": [selector for entry in protecting for selector in entry.local],
    }
    sets = [_set(name, version, selectors) for name, selectors in ends.items() for version in (4, 6)]
    told = _icmp_chain(settings.icmp)
    return REMOVAL + "\n".join([f"table inet {TABLE} {{", *sets, *chains, told, _hooks(settings), "}\n"])


def rules_of(entry: SpdEntry) -> Iterator[BoundaryRule]:
    """Yield the rules of one entry."""
    verdict = "accept" if entry.action is Action.BYPASS else "drop"
    for local in entry.local:
        for remote in entry.remote:
            for way in CHAINS if entry.way is Way.BOTH else (entry.way,):
                asked = _conditions(entry, way, local.version)
                for match in _matches(way, local, remote, catches_fragments=verdict == "drop"):
                    if asked is not None:
                        text, user = " ".join([match, *asked]), entry.conditions.user
                        yield BoundaryRule(way, text, verdict, entry.name, user)


def way_of(chain: str) -> Way | None:
    """Return what the rules of a chain are asked about; None if policy made none of them."""
    names = {name: way for way, name in CHAINS.items()}
    return names.get(chain.partition(_USERS_CHAIN)[0])


def comment_of(name: str) -> str:
    """Return a policy's name as nftables can have it beside a rule."""
    shown = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\' else "?" for char in name
    )
    return shown[:_LONGEST_COMMENT]


def _matches(
    way: Way, local: TrafficSelector, remote: TrafficSelector, *, catches_fragments: bool
) -> Iterator[str]:
    """Yield what a pair of selectors selects: packets, and fragments that may be such packets."""
    if local.version != remote.version:
        return
    protocols = {local.protocol, remote.protocol} - {ANY_PROTOCOL}
    if len(protocols) > 1:
        return
    protocol = next(iter(protocols), ANY_PROTOCOL)
    source, destination = (local, remote) if way is Way.OUT else (remote, local)
    addresses = _addresses(source, destination)
    base = addresses + ([f"meta l4proto {protocol}"] if protocol else [])
    fragment = " ".join([*base, _IS_LATER_FRAGMENT[local.version]])
    is_message = protocol in _MESSAGES
    ports = _type(protocol, source) if is_message else _ports(source, destination)
    if not source.is_opaque and (is_message or not destination.is_opaque):
        yield " ".join(base + ports)
    is_for_hidden = source.is_opaque or destination.is_opaque
    if (is_for_hidden and _takes_hidden(source, destination)) or (
        catches_fragments and (ports or is_for_hidden)
    ):
        yield fragment
    if catches_fragments and protocol and local.version == 6:
        yield " ".join([*addresses, _HIDES_PROTOCOL])


def _takes_hidden(*ends: TrafficSelector) -> bool:
    """Whether a packet whose ports cannot be seen is selected."""
    return all(one.is_opaque or (one.first_port, one.last_port) == _ANY_PORTS for one in ends)


def _conditions(entry: SpdEntry, way: Way, version: int) -> list[str] | None:
    """Return what else has to hold; None if there is no rule, as it cannot hold or nothing can tell.

    The user is known of what this host sends. A level is known of nothing: what policy wants of it is dropped
    whatever its level is when it leaves past the engine, and nothing is done about what arrives.
    """
    asked = entry.conditions
    ends = {"local": asked.local_address, "remote": asked.remote_address}
    source, destination = ("local", "remote") if way is Way.OUT else ("remote", "local")
    words = [_bits(f"@nh,{'0,16' if version == 6 else '8,8'}", one) for one in _class_of(entry, version)]
    for field, end in (("saddr", source), ("daddr", destination)):
        if (masked := ends[end]) is not None:
            words.append(_address_bits(field, masked, version))
    if asked.flow_label is not None:
        words.append(f"ip6 flowlabel {asked.flow_label}")
    if (asked.tos and version == 6) or (
        (asked.traffic_class or asked.flow_label is not None) and version == 4
    ):
        return None
    is_blind = asked.level is not None or (asked.user is not None and way is Way.IN)
    return None if is_blind and (way is Way.IN or entry.action is Action.BYPASS) else words


def _class_of(entry: SpdEntry, version: int) -> list[Masked]:
    """Return what a condition wants of the octets of a header that have its traffic class."""
    asked = entry.conditions
    if version == 4:
        return [asked.tos] if asked.tos else []
    one = asked.traffic_class
    return [Masked(one.value << 4, one.mask << 4)] if one else []


def _bits(field: str, masked: Masked) -> str:
    return f"{field} & {masked.mask:#x} == {masked.value:#x}"


def _address_bits(field: str, masked: Masked, version: int) -> str:
    family = "ip" if version == 4 else "ip6"
    mask, value = (_address_of(version, bits) for bits in (masked.mask, masked.value))
    return f"{family} {field} & {mask} == {value}"


def _addresses(source: TrafficSelector, destination: TrafficSelector) -> list[str]:
    family = "ip" if source.version == 4 else "ip6"
    words = [f"meta nfproto ipv{source.version}"]
    for field, selector in (("saddr", source), ("daddr", destination)):
        if not _is_whole_family(selector):
            words.append(f"{family} {field} {_range(selector.first_address, selector.last_address)}")
    return words


def _type(protocol: int, sender: TrafficSelector) -> list[str]:
    """Return what a message's type has to be, which is asked of its sender's selector alone.

    A type is the sender's (RFC 4301, section 4.4.1.3); where it is is what RFC 7296, section 3.13.1, says.
    """
    first, last = sender.first_port, sender.last_port
    if (first, last) == _ANY_PORTS:
        return []
    if protocol == _MOBILITY_HEADER:
        return [_number_in("@th,16,8", first >> 8, last >> 8)]
    return [_number_in("@th,0,16", first, last)]


def _ports(source: TrafficSelector, destination: TrafficSelector) -> list[str]:
    """Return what has to be in the first octets behind the IP header."""
    ends = [(one.first_port, one.last_port) for one in (source, destination)]
    fields = zip(("@th,0,16", "@th,16,16"), ends, strict=True)
    return [_number_in(field, *range_) for field, range_ in fields if range_ != _ANY_PORTS]


def _number_in(field: str, first: int, last: int) -> str:
    return f"{field} {first}" if first == last else f"{field} >= {first} {field} <= {last}"


def _policy_chain(way: Way, rules: Iterable[BoundaryRule], counts: Counts) -> str:
    """Return the rules of one way; those that are about users' packets have chains of their own before it."""
    before, lines, seen = list[str](), [f"  chain {CHAINS[way]} {{"], dict[str, int]()
    for rule in (rule for rule in rules if rule.way is way):
        comment = comment_of(rule.policy)
        place = seen[comment] = seen.get(comment, -1) + 1
        known = counts.get((way, comment), ())
        packets, octets = known[place] if place < len(known) else (0, 0)
        verdict = f'counter packets {packets} bytes {octets} {rule.verdict} comment "{comment}"'
        if rule.user is None:
            lines.append(f"    {rule.match} {verdict}")
        elif rule.verdict == "accept":
            lines.append(f"    {rule.match} meta skuid {rule.user} {verdict}")
        else:
            name = f"{CHAINS[way]}{_USERS_CHAIN}{len(before)}"
            before.append(_user_chain(name, rule.user, verdict))
            lines.append(f"    {rule.match} jump {name}")
    return "\n".join([*before, *lines, "  }"])


def _user_chain(name: str, user: int, verdict: str) -> str:
    """Return a chain that drops what this host sends and may be a user's.

    The kernel does not know any more whose packets they are when a process has ended that left some behind.
    """
    return f"""\
  chain {name} {{
    iif != 0 return
    meta skuid != {user} return
    {verdict}
  }}"""


def _set(name: str, version: int, selectors: Iterable[TrafficSelector]) -> str:
    """Return the set of one end's addresses that somebody protects or discards."""
    ranges = [
        (int(selector.first_address), int(selector.last_address))
        for selector in selectors
        if selector.version == version
    ]
    lines = [f"  set {name}{version} {{", f"    type ipv{version}_addr", "    flags interval"]
    if ranges:
        elements = ", ".join(_range(*_addresses_of(version, range_)) for range_ in _merged(ranges))
        lines.append(f"    elements = {{ {elements} }}")
    return "\n".join([*lines, "  }"])


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same numbers in the fewest ranges."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _addresses_of(version: int, range_: tuple[int, int]) -> tuple[IpAddress, IpAddress]:
    first, last = (_address_of(version, number) for number in range_)
    return first, last


def _address_of(version: int, number: int) -> IpAddress:
    return ip_address(number.to_bytes(4 if version == 4 else 16))


def _range(first: IpAddress, last: IpAddress) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _is_whole_family(selector: TrafficSelector) -> bool:
    return (int(selector.first_address), int(selector.last_address)) == (
        0,
        2**selector.first_address.max_prefixlen - 1,
    )


def _hooks(settings: BoundarySettings) -> str:
    """Return the chains that the kernel asks: who passes anyway, and who is to be looked at."""
    ports = ", ".join(map(str, sorted(settings.ports)))
    # Any user may send from the port of NAT traversal, but only a privileged program has a mark.
    own = f"meta mark {settings.mark} accept" if settings.mark else f"udp sport {{ {ports} }} accept"
    device = f'"{settings.device}"'
    return f"""\
  chain output {{
    type filter hook output priority 0; policy accept;
    oifname {{ "lo", {device} }} accept
    {own}
    meta l4proto {{ 50, 51 }} accept
    {_NEIGHBORS}
    ip daddr @far4 goto sent
    ip6 daddr @far6 goto sent
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    iifname {device} accept
    oifname {device} accept
    ip daddr @far4 jump sent
    ip6 daddr @far6 jump sent
    ip saddr @far4 goto received
    ip6 saddr @far6 goto received
  }}
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname {{ "lo", {device} }} accept
    meta l4proto {{ 50, 51 }} accept
    udp dport {{ {ports} }} accept
    {_NEIGHBORS}
    {_errors_about_esp(ports)}
    ip saddr @near4 icmp type {{ {_types(4)} }} jump told
    ip6 saddr @near6 icmpv6 type {{ {_types(6)} }} jump told
    ip saddr @far4 goto received
    ip6 saddr @far6 goto received
  }}"""


def _icmp_chain(accepted: Sequence[IcmpKind]) -> str:
    """Return the chain that ICMP errors from behind this host return from, or are dropped in.

    RFC 4301, section 6.1.2.
    """
    lines = ["  chain told {"]
    for kind in accepted:
        name = "icmpv6" if kind.version == _ICMPV6 else "icmp"
        code = "" if kind.code is None else f" {name} code {kind.code}"
        lines.append(f"    {name} type {kind.type}{code} return")
    return "\n".join([*lines, "    counter drop", "  }"])


def _types(version: int) -> str:
    types = {kind.type for kind in ALL_ERRORS if kind.version == version}
    return ", ".join(map(str, sorted(types)))


_NEIGHBORS: Final = """\
icmpv6 type { 133, 134, 135, 136, 137 } ip6 hoplimit 255 accept
    icmpv6 type { 130, 131, 132, 143 } ip6 hoplimit 1 accept"""
"""Neighbor and Multicast Listener Discovery: no router lets such hop limits through (RFC 4861, section 7.1;
RFC 3810, section 5)."""


def _errors_about_esp(ports: str) -> str:
    """Return the rules for ICMP errors whose quotation is a packet of ours that ESP, AH or IKE sent."""
    ip = "icmp type { 3, 11, 12 }"  # unreachable, time exceeded, parameter problem; the quotation is at 8
    ip6 = "icmpv6 type { 1, 2, 3, 4 }"
    return "\n    ".join(
        [
            f"{ip} @th,136,8 {{ 50, 51 }} accept",
            f"{ip} @th,136,8 17 @th,224,16 {{ {ports} }} accept",
            f"{ip6} @th,112,8 {{ 50, 51 }} accept",
            f"{ip6} @th,112,8 17 @th,384,16 {{ {ports} }} accept",
        ]
    )
