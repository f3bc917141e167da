"""Traffic selectors: what they select, and how they read."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from perilune.databases.pad import DynamicSelector
from perilune.model.errors import LocalError
from perilune.model.selector import TrafficSelector, everything


def net(text: str, protocol: int = 0, first: int = 0, last: int = 65535) -> TrafficSelector:
    return TrafficSelector.of_network(ip_network(text), protocol, first, last)


OPAQUE = (65535, 0)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (net("10.1.0.0/16"), "10.1.0.0/16"),
        (net("10.1.0.1/32", 6, 80, 80), "10.1.0.1/32[tcp/80]"),
        (net("10.1.0.0/16", 17, 5000, 6000), "10.1.0.0/16[udp/5000-6000]"),
        (net("::/0", 0, 53, 53), "::/0[any/53]"),
        (net("10.0.0.0/8", 132, *OPAQUE), "10.0.0.0/8[sctp/opaque]"),
        (TrafficSelector(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.5")), "10.0.0.1-10.0.0.5"),
        (net("10.0.0.0/8", 89), "10.0.0.0/8[89/any]"),
    ],
)
def test_a_selector_reads_as_swanctl_writes_it(selector: TrafficSelector, text: str) -> None:
    assert str(selector) == text


def test_a_dynamic_selector_reads_as_swanctl_writes_it() -> None:
    assert str(DynamicSelector()) == "dynamic"
    assert str(DynamicSelector(6, 443, 443)) == "dynamic[tcp/443]"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (net("10.0.0.0/8"), net("10.1.0.0/16", 6), net("10.1.0.0/16", 6)),
        (net("10.0.0.0/8", 6, 1, 100), net("0.0.0.0/0", 6, 50, 200), net("10.0.0.0/8", 6, 50, 100)),
        (net("10.0.0.0/8", 6), net("10.0.0.0/8", 17), None),
        (net("10.0.0.0/8"), net("11.0.0.0/8"), None),
        (everything(4), everything(6), None),
        (net("10.0.0.0/8", 6, *OPAQUE), net("10.0.0.0/8", 6), net("10.0.0.0/8", 6, *OPAQUE)),
        (net("10.0.0.0/8", 6, *OPAQUE), net("10.0.0.0/8", 6, 80, 80), None),
    ],
)
def test_the_intersection_is_what_both_select(
    one: TrafficSelector, other: TrafficSelector, both: TrafficSelector | None
) -> None:
    assert one.intersection(other) == both
    assert other.intersection(one) == both


def test_containing_is_intersecting_without_loss() -> None:
    assert net("10.0.0.0/8").contains(net("10.2.0.0/16", 6, 1, 2))
    assert not net("10.2.0.0/16").contains(net("10.0.0.0/8"))
    assert net("10.2.0.0/16").contains_address(ip_address("10.2.3.4"))
    assert not net("10.2.0.0/16").contains_address(ip_address("::1"))


def test_a_selector_has_one_family_and_an_order() -> None:
    with pytest.raises(LocalError, match="families"):
        TrafficSelector(IPv4Address("10.0.0.1"), IPv6Address("::1"))
    with pytest.raises(LocalError, match="behind"):
        TrafficSelector(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.1"))
