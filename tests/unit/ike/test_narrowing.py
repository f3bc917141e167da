"""Traffic selectors that both sides allow (RFC 7296, section 2.9)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.settings import selectors
from perilune.databases.pad import DynamicSelector
from perilune.dataplane.events import Flow
from perilune.ike.narrowing import (
    MAX_SELECTORS,
    covers,
    narrow,
    require_subset,
    resolve,
    with_flow,
    without_contained,
)
from perilune.ike.refusal import Refusal
from perilune.model.selector import TrafficSelector


def test_nothing_in_common_is_empty() -> None:
    assert narrow(selectors("10.0.0.0/8"), selectors("192.168.0.0/16", "2001:db8::/32")) == ()


def test_result_is_the_intersection() -> None:
    ours, theirs = selectors("10.1.0.0/16", "10.2.0.0/16"), selectors("10.1.5.0/24", "10.2.0.0/15")
    assert narrow(ours, theirs) == selectors("10.1.5.0/24", "10.2.0.0/16")


def test_first_selector_is_part_of_the_result() -> None:
    packet = TrafficSelector(ip_address("10.1.2.3"), ip_address("10.1.2.3"), 6, 80, 80)
    result = narrow(selectors("10.1.2.0/24"), (packet, *selectors("10.1.0.0/16")))
    assert covers(result, [packet])
    assert result == selectors("10.1.2.0/24")


def test_selectors_that_others_contain_are_left_out() -> None:
    assert without_contained(selectors("10.1.0.0/16", "10.0.0.0/8", "10.2.0.0/16")) == selectors("10.0.0.0/8")


def test_dynamic_is_the_end_of_the_ike_sa() -> None:
    end = ip_address("2001:db8::5")
    assert resolve([DynamicSelector(17, 53, 53)], end) == (TrafficSelector(end, end, 17, 53, 53),)


def test_packet_comes_first() -> None:
    flow = Flow(ip_address("10.1.2.3"), ip_address("10.2.3.4"), 17, (5000, 53))
    local, remote = with_flow(selectors("10.1.0.0/16"), selectors("10.2.0.0/16"), flow)
    assert str(local[0]) == "10.1.2.3/32[udp/5000]"
    assert str(remote[0]) == "10.2.3.4/32[udp/53]"
    opaque = Flow(ip_address("10.1.2.3"), ip_address("10.2.3.4"), 47, None)
    assert str(with_flow(local, remote, opaque)[0][0]) == "10.1.2.3/32[47/any]"


def test_lists_are_no_longer_than_a_payload_can_count() -> None:
    many = tuple(
        TrafficSelector(ip_address(number * 256), ip_address(number * 256 + 1)) for number in range(1, 401)
    )
    assert len(narrow(many, selectors("0.0.0.0/0"))) == MAX_SELECTORS
    flow = Flow(ip_address("10.1.2.3"), ip_address("10.2.3.4"), 6, (1, 2))
    assert [len(side) for side in with_flow(many, many, flow)] == [MAX_SELECTORS] * 2


@pytest.mark.parametrize("answer", [(), selectors("10.0.0.0/8"), selectors("10.1.0.0/16", "10.9.0.0/16")])
def test_answer_beyond_the_offer_is_refused(answer: tuple[TrafficSelector, ...]) -> None:
    with pytest.raises(Refusal):
        require_subset(selectors("10.1.0.0/16"), answer, "hint")


def small(first: int, last: int, protocol: int) -> TrafficSelector:
    low, high = sorted((first, last))
    return TrafficSelector(ip_address(low), ip_address(high), protocol)


SMALL = st.lists(
    st.builds(small, st.integers(0, 15), st.integers(0, 15), st.sampled_from([0, 6, 17])), max_size=4
)


def packets(chosen: list[TrafficSelector] | tuple[TrafficSelector, ...]) -> set[tuple[int, int]]:
    """Return every packet, as address and protocol, that is selected."""
    return {
        (address, protocol)
        for address in range(16)
        for protocol in (6, 17, 47)
        for selector in chosen
        if selector.contains_address(ip_address(address)) and selector.protocol in {0, protocol}
    }


@given(SMALL, SMALL)
def test_result_selects_what_both_select(ours: list[TrafficSelector], theirs: list[TrafficSelector]) -> None:
    assert packets(narrow(ours, theirs)) == packets(ours) & packets(theirs)
