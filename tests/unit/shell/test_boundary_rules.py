"""Rules of nftables from an SPD, as text; what they do to packets is tested in namespaces."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.databases.conditions import Conditions, Masked
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.selector import TrafficSelector, everything
from perilune.shell.boundary_book import BoundaryBook
from perilune.shell.boundary_rules import REMOVAL, BoundarySettings, comment_of, rules_of, ruleset, way_of

SETTINGS = BoundarySettings(device="perilune0", ports=(500, 4500), mark=220)


def selector(text: str, protocol: int = 0, first: int = 0, last: int = 65535) -> TrafficSelector:
    return TrafficSelector.of_network(ip_network(text), protocol, first, last)


def entry(
    id_: int = 1,
    name: str = "gw/net",
    *,
    action: Action = Action.PROTECT,
    local: TrafficSelector | None = None,
    remote: TrafficSelector | None = None,
    priority: int = 100,
) -> SpdEntry:
    return SpdEntry(
        id=PolicyId(id_),
        name=name,
        priority=priority,
        action=action,
        local=(local or selector("10.1.0.0/24"),),
        remote=(remote or selector("10.2.0.0/24"),),
    )


def sent(one: SpdEntry) -> list[str]:
    return [rule.match for rule in rules_of(one) if rule.way is Way.OUT]


def received(one: SpdEntry) -> list[str]:
    return [rule.match for rule in rules_of(one) if rule.way is Way.IN]


def test_each_way_has_its_own_source_and_destination() -> None:
    one = entry(local=selector("10.1.0.0/24", 6), remote=selector("10.2.0.7/32", 6, 443, 443))
    assert sent(one)[0] == (
        "meta nfproto ipv4 ip saddr 10.1.0.0-10.1.0.255 ip daddr 10.2.0.7 meta l4proto 6 @th,16,16 443"
    )
    assert received(one)[0] == (
        "meta nfproto ipv4 ip saddr 10.2.0.7 ip daddr 10.1.0.0-10.1.0.255 meta l4proto 6 @th,0,16 443"
    )


def test_fragments_without_ports_go_with_what_is_protected() -> None:
    ports = selector("10.2.0.0/24", 17, 53, 54)
    assert [match.endswith("ip frag-off & 0x1fff != 0") for match in sent(entry(remote=ports))] == [
        False,
        True,
    ]
    assert len(sent(entry(remote=ports, action=Action.BYPASS))) == 1
    opaque = selector("10.2.0.0/24", 17, 65535, 0)
    assert [match.endswith("ip frag-off & 0x1fff != 0") for match in sent(entry(remote=opaque))] == [True]


@pytest.mark.parametrize(
    ("protocol", "first", "last", "match"),
    [
        (1, 0x0800, 0x08FF, "@th,0,16 >= 2048 @th,0,16 <= 2303"),
        (58, 0x8000, 0x8000, "@th,0,16 32768"),
        (135, 0x0500, 0x05FF, "@th,16,8 5"),
    ],
)
def test_types_and_codes_are_where_the_header_has_them(
    protocol: int, first: int, last: int, match: str
) -> None:
    both = (selector(text, protocol, first, last) for text in ("2001:db8:1::/48", "2001:db8:2::/48"))
    assert sent(entry(local=next(both), remote=next(both)))[0].endswith(f"meta l4proto {protocol} {match}")


def test_fragments_that_hide_their_protocol_go_with_what_is_protected() -> None:
    udp = entry(local=selector("2001:db8:1::/48", 17), remote=selector("2001:db8:2::/48", 17))
    assert [match.endswith("frag nexthdr { 0, 43, 60 } frag frag-off != 0") for match in sent(udp)] == [
        False,
        True,
    ]
    assert "l4proto" not in sent(udp)[1]
    assert len(sent(replace(udp, action=Action.BYPASS))) == 1
    assert len(sent(entry(local=everything(6), remote=everything(6)))) == 1


def test_a_message_s_type_is_asked_of_its_sender_alone() -> None:
    def icmp(text: str, first: int, last: int) -> TrafficSelector:
        return selector(text, 1, first, last)

    echo = entry(local=icmp("10.1.0.0/24", 0x0800, 0x0800), remote=icmp("10.2.0.0/24", 0, 0))
    assert sent(echo)[0].endswith("meta l4proto 1 @th,0,16 2048")
    assert received(echo)[0].endswith("meta l4proto 1 @th,0,16 0")
    traceroute = entry(local=icmp("10.1.0.0/24", 0x1E00, 0x1EFF), remote=icmp("10.2.0.0/24", 65535, 0))
    assert sent(traceroute)[0].endswith("meta l4proto 1 @th,0,16 >= 7680 @th,0,16 <= 7935")
    assert [match.endswith("frag-off & 0x1fff != 0") for match in received(traceroute)] == [True]
    assert received(replace(traceroute, action=Action.BYPASS)) == []


def test_whole_families_need_no_addresses() -> None:
    assert sent(entry(local=everything(6), remote=everything(6))) == ["meta nfproto ipv6"]
    assert sent(entry(local=everything(6), remote=everything(4))) == []
    assert sent(entry(local=selector("10.1.0.0/24", 6), remote=selector("10.2.0.0/24", 17))) == []


def test_conditions_are_asked_as_far_as_a_packet_shows_them() -> None:
    marked = replace(entry(), conditions=Conditions(tos=Masked(0xB8, 0xFC), remote_address=Masked(5, 255)))
    assert sent(marked)[0].endswith("@nh,8,8 & 0xfc == 0xb8 ip daddr & 0.0.0.255 == 0.0.0.5")
    assert received(marked)[0].endswith("@nh,8,8 & 0xfc == 0xb8 ip saddr & 0.0.0.255 == 0.0.0.5")
    assert sent(replace(entry(), conditions=Conditions(flow_label=1))) == []
    classed = entry(local=everything(6), remote=everything(6))
    classed = replace(classed, conditions=Conditions(traffic_class=Masked(0xB8, 0xFC), flow_label=7))
    assert sent(classed) == ["meta nfproto ipv6 @nh,0,16 & 0xfc0 == 0xb80 ip6 flowlabel 7"]


def test_what_nothing_can_tell_is_dropped_when_it_leaves() -> None:
    levelled = replace(entry(), conditions=Conditions(level=(3, 5)))
    assert (len(sent(levelled)), received(levelled)) == (1, [])
    assert sent(replace(levelled, action=Action.BYPASS)) == []


def test_packets_that_may_be_a_user_s_are_dropped_and_only_those_that_are_let_by() -> None:
    own = replace(entry(), conditions=Conditions(user=1000))
    (rule,) = rules_of(own)
    assert (rule.way, rule.user) == (Way.OUT, 1000)
    text = ruleset([own], SETTINGS, {(Way.OUT, "gw/net"): [(7, 700)]})
    drop = 'counter packets 7 bytes 700 drop comment "gw/net"'
    assert f"iif != 0 return\n    meta skuid != 1000 return\n    {drop}" in text
    assert f"    {rule.match} jump sent-of-user-0\n" in text
    passed = ruleset([replace(own, action=Action.BYPASS), entry(2)], SETTINGS)
    assert f"    {rule.match} meta skuid 1000 counter packets 0 bytes 0 accept" in passed


def test_two_users_have_rules_of_their_own() -> None:
    entries = [replace(entry(user), conditions=Conditions(user=user)) for user in (1000, 1001)]
    text = ruleset(entries, SETTINGS)
    assert [f"jump sent-of-user-{number}" in text for number in range(3)] == [True, True, False]
    assert [way_of(name) for name in ("sent-of-user-1", "sent", "received", "output")] == [
        Way.OUT,
        Way.OUT,
        Way.IN,
        None,
    ]


def test_entry_of_one_way_has_rules_of_that_way() -> None:
    assert received(replace(entry(action=Action.DISCARD), way=Way.OUT)) == []
    assert len(received(replace(entry(action=Action.DISCARD), way=Way.IN))) == 1


def test_entries_are_asked_in_the_order_of_the_spd() -> None:
    text = ruleset(
        [
            entry(1, "wide", action=Action.DISCARD, priority=300),
            entry(3, "second", priority=200),
            entry(2, "first", action=Action.BYPASS, remote=selector("10.2.0.5/32"), priority=200),
        ],
        SETTINGS,
    )
    chain = text[text.index("chain sent") :]
    places = [chain.index(f'comment "{name}"') for name in ("first", "second")]
    assert places == sorted(places)
    assert 'comment "wide"' not in text, "the same packets are asked about once"


def test_far_ends_are_merged_and_those_of_bypass_left_out() -> None:
    entries = [
        entry(1, remote=selector("10.2.0.0/24")),
        entry(2, remote=selector("10.2.1.0/24")),
        entry(3, remote=selector("10.2.0.128/25")),
        entry(4, remote=selector("10.9.0.0/24"), action=Action.BYPASS),
    ]
    assert "elements = { 10.2.0.0-10.2.1.255 }" in ruleset(entries, SETTINGS)


def test_nothing_to_keep_from_the_wire_is_no_table() -> None:
    assert ruleset([], SETTINGS) == REMOVAL
    assert ruleset([entry(action=Action.BYPASS)], SETTINGS) == REMOVAL


def test_counters_go_on() -> None:
    text = ruleset([entry()], SETTINGS, {(Way.OUT, "gw/net"): [(7, 700)]})
    assert text.count("counter packets 7 bytes 700 drop") == 1
    assert text.count("counter packets 0 bytes 0 drop") == 1


@given(st.text(max_size=300))
def test_no_name_breaks_out_of_its_comment(name: str) -> None:
    comment = comment_of(name)
    assert len(comment) <= 100
    assert comment.isascii()
    assert not set(comment) & set('"\\\n')


def test_book_leaves_out_what_another_entry_of_the_child_covers() -> None:
    book = BoundaryBook()
    wide, narrow = entry(1), entry(2, remote=selector("10.2.0.5/32"))
    other, bypass = entry(3, "gw/other"), entry(4, action=Action.BYPASS)
    assert book.add(wide)
    assert not book.add(narrow)
    assert book.add(other)
    assert book.add(bypass)
    assert list(book.entries) == [wide, other, bypass]
    assert not book.remove(PolicyId(99))
    assert book.remove(wide.id)
    assert set(book.entries) == {narrow, other, bypass}
    assert book.remove(narrow.id)
    assert not book.remove(narrow.id)
    assert book.remove(bypass.id)
    assert list(book.entries) == [other]
