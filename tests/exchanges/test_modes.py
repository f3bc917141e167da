"""Transport and BEET mode, and the padding of packets: asked for by one side, granted by the other."""

from __future__ import annotations

from dataclasses import replace
from hashlib import md5
from ipaddress import ip_address
from socket import IPPROTO_TCP

import pytest
from scapy.layers.inet import ICMP, IP, TCP

from exchanges.carriage import carry, from_elsewhere
from exchanges.insider import Insider
from exchanges.link import Nat
from exchanges.pair import Pair, Side
from exchanges.settings import LEFT, RIGHT, child, esp_proposal, left, right, selectors
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ANY_IPV4, ChildPolicy, DynamicSelector
from perilune.databases.processing import DontFragment, DscpMap, InnerAddresses, Mode, TfcToPathMtu
from perilune.databases.sad import Direction
from perilune.dataplane.events import Flow
from perilune.ike.events import ChildSaRekeyed, ChildSaUp, Refused
from perilune.ike.received import find, find_notify
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import NotifyType, PayloadType
from perilune.model.selector import TrafficSelector
from perilune.model.time import Duration
from perilune.wire.message import Message
from perilune.wire.payloads import NoncePayload, NotifyPayload, Payload, SaPayload, TsPayload, VendorPayload

OUTSIDE = "203.0.113.9"


def formed(mode: Mode, **changes: object) -> ChildPolicy:
    """Return a child between the ends of the IKE SA."""
    dynamic = {"local_ts": (DynamicSelector(),), "remote_ts": (DynamicSelector(),)}
    return child(**(dynamic | {"form": ChildForm(mode=mode)} | changes))


def beet(local: str, remote: str) -> ChildPolicy:
    return child(local=local, remote=remote, form=ChildForm(mode=Mode.BEET))


def pair_of(ours: ChildPolicy, theirs: ChildPolicy) -> Pair:
    return Pair(left_entry=left(children=(ours,)), right_entry=right(children=(theirs,)))


def transport() -> Pair:
    return pair_of(formed(Mode.TRANSPORT), formed(Mode.TRANSPORT))


def natted(ours: ChildPolicy, theirs: ChildPolicy) -> Pair:
    """Return a pair whose left side is behind a NAT."""
    pair = Pair(
        left_entry=left(children=(ours,)), right_entry=right(children=(theirs,), remote_addrs=(ANY_IPV4,))
    )
    pair.link.nat = Nat(ip_address(LEFT), ip_address(OUTSIDE))
    return pair


def modes(side: Side) -> set[Mode]:
    return {entry.processing.mode for entry in side.data_plane.sas.values()}


def test_transport_mode_is_between_the_ends_themselves() -> None:
    pair = transport()
    # IKE_AUTH { IDi, AUTH, N(USE_TRANSPORT_MODE), SAi2, TSi, TSr } -->
    # <-- IKE_AUTH { IDr, AUTH, N(USE_TRANSPORT_MODE), SAr2, TSi, TSr }
    pair.initiate()
    pair.settle()
    assert modes(pair.left) == modes(pair.right) == {Mode.TRANSPORT}
    up = pair.left.take(ChildSaUp)
    assert (up.local, up.remote) == (selectors(LEFT), selectors(RIGHT))
    assert up.mode is Mode.TRANSPORT
    assert "transport mode" in str(up)
    assert pair.right.child.mode is Mode.TRANSPORT
    pair.check_agreement()


@pytest.mark.parametrize("who", ["left", "right"])
@pytest.mark.parametrize("mode", [Mode.TRANSPORT, Mode.BEET])
def test_successor_has_the_mode_of_its_predecessor(who: str, mode: Mode) -> None:
    pair = pair_of(beet("10.1.0.1/32", "10.2.0.1/32"), beet("10.2.0.1/32", "10.1.0.1/32"))
    if mode is Mode.TRANSPORT:
        pair = transport()
    pair.establish()
    side = getattr(pair, who)
    pair.do(lambda now: side.endpoint.rekey_child("net", now))
    pair.settle()
    assert side.take(ChildSaRekeyed)
    pair.run(Duration.seconds(6))
    assert modes(pair.left) == modes(pair.right) == {mode}
    pair.check_agreement()


def test_beet_mode_has_the_inner_addresses_of_both_ends() -> None:
    pair = pair_of(beet("10.1.0.1/32", "10.2.0.1/32"), beet("10.2.0.0/16", "10.1.0.0/16"))
    pair.establish()
    inner = InnerAddresses(ip_address("10.1.0.1"), ip_address("10.2.0.1"))
    assert {e.processing.inner for e in pair.left.data_plane.sas.values()} == {inner}
    mirrored = InnerAddresses(inner.remote, inner.local)
    assert {e.processing.inner for e in pair.right.data_plane.sas.values()} == {mirrored}


@pytest.mark.parametrize("is_beet", [True, False])
def test_private_numbers_are_announced_where_they_are_used(is_beet: bool) -> None:
    pair = pair_of(beet("10.1.0.1/32", "10.2.0.1/32"), beet("10.2.0.1/32", "10.1.0.1/32"))
    if not is_beet:
        pair = transport()
    pair.establish()
    for datagram in pair.link.sent[:2]:
        found = find(Message.decode(datagram.data).payloads, VendorPayload)
        assert (
            found is not None and found.data == md5(b"strongSwan", usedforsecurity=False).digest()
        ) == is_beet


def test_beet_mode_of_whole_networks_is_refused() -> None:
    pair = pair_of(beet("10.1.0.0/16", "10.2.0.0/16"), beet("10.2.0.0/16", "10.1.0.0/16"))
    pair.initiate()
    pair.settle()
    assert pair.left.take(Refused).notify == "TS_UNACCEPTABLE"
    assert not pair.left.children
    assert not pair.right.children


@pytest.mark.parametrize("mode", [Mode.TRANSPORT, Mode.BEET])
def test_initiator_does_not_take_a_tunnel_instead(mode: Mode) -> None:
    ours = formed(mode) if mode is Mode.TRANSPORT else beet(f"{LEFT}/32", f"{RIGHT}/32")
    pair = pair_of(ours, formed(Mode.TUNNEL))
    pair.initiate()
    pair.settle()
    refused = pair.left.take(Refused)
    assert "tunnel mode" in refused.why
    assert refused.hint == "connections.gw.children.net.mode"
    # The responder declined, as it may, and made a tunnel; the initiator deleted it.
    assert pair.right.take(ChildSaUp).mode is Mode.TUNNEL
    assert not pair.left.children
    assert not pair.right.children
    assert len(pair.left.ike_sas) == 1


@pytest.mark.parametrize("mode", [Mode.TRANSPORT, Mode.BEET])
def test_responder_does_not_make_a_tunnel_of_what_is_none(mode: Mode) -> None:
    theirs = formed(mode) if mode is Mode.TRANSPORT else beet(f"{RIGHT}/32", f"{LEFT}/32")
    pair = pair_of(formed(Mode.TUNNEL), theirs)
    pair.initiate()
    pair.settle()
    assert pair.left.take(Refused).notify == "NO_PROPOSAL_CHOSEN"
    refused = pair.right.take(Refused)
    assert refused.why == f"child net is for {mode.value} mode"
    assert refused.hint == "connections.gw.children.net.mode"
    assert not pair.right.children


def test_responder_prefers_the_child_of_the_mode_that_is_asked_for() -> None:
    tunnel, other = formed(Mode.TUNNEL, name="tunnel"), formed(Mode.TRANSPORT, name="other")
    pair = Pair(
        left_entry=left(children=(formed(Mode.TRANSPORT),)), right_entry=right(children=(tunnel, other))
    )
    pair.establish()
    assert pair.right.child.name.name == "other"


def test_wide_selectors_in_transport_mode_mean_the_ends() -> None:
    pair = pair_of(
        child(local="0.0.0.0/0", remote="0.0.0.0/0", form=ChildForm(mode=Mode.TRANSPORT)),
        child(local="198.51.100.0/24", remote="192.0.2.0/24", form=ChildForm(mode=Mode.TRANSPORT)),
    )
    pair.establish()
    assert (pair.left.child.local, pair.left.child.remote) == (selectors(LEFT), selectors(RIGHT))


def test_selectors_in_transport_mode_that_are_not_of_the_ends_are_refused() -> None:
    pair = pair_of(
        child(form=ChildForm(mode=Mode.TRANSPORT)),
        child(local="10.2.0.0/16", remote="10.1.0.0/16", form=ChildForm(mode=Mode.TRANSPORT)),
    )
    pair.initiate()
    pair.settle()
    assert pair.left.take(Refused).notify == "TS_UNACCEPTABLE"
    assert not pair.right.children


@pytest.mark.parametrize("later", [None, "left", "right"])
def test_transport_mode_through_a_nat_has_the_addresses_that_each_side_sees(later: str | None) -> None:
    pair = natted(formed(Mode.TRANSPORT), formed(Mode.TRANSPORT))
    pair.initiate()
    pair.settle()
    if later:
        side = getattr(pair, later)
        pair.do(lambda now: side.endpoint.rekey_child("net", now))
        pair.run(Duration.seconds(6))
    assert not pair.left.has(Refused)
    for entry in pair.left.data_plane.sas.values():
        assert (entry.local, entry.remote) == (selectors(LEFT), selectors(RIGHT))
    for entry in pair.right.data_plane.sas.values():
        assert (entry.local, entry.remote) == (selectors(RIGHT), selectors(OUTSIDE))
    assert modes(pair.left) == modes(pair.right) == {Mode.TRANSPORT}


def test_checksums_are_right_behind_a_nat_in_transport_mode() -> None:
    pair = natted(formed(Mode.TRANSPORT), formed(Mode.TRANSPORT))
    pair.initiate()
    pair.settle()
    (outbound,) = pair.right.sas(Direction.OUTBOUND).values()
    packet = IP(src=LEFT, dst=RIGHT) / TCP(sport=1024, dport=80) / b"GET"
    _, opened = carry(pair.left, packet, from_elsewhere(OUTSIDE, outbound.path.remote.port))
    assert opened == bytes(IP(src=OUTSIDE, dst=RIGHT) / TCP(sport=1024, dport=80) / b"GET")


def test_beet_mode_sends_no_inner_header() -> None:
    pair = pair_of(beet("10.1.0.1/32", "10.2.0.1/32"), beet("10.2.0.1/32", "10.1.0.1/32"))
    pair.establish()
    packet = IP(src="10.1.0.1", dst="10.2.0.1") / TCP(sport=1024, dport=80) / b"GET"
    sealed, opened = carry(pair.left, packet)
    # Outer header, SPI and sequence number, IV; 23 octets, 3 of padding, trailer; ICV.
    assert IP(sealed).len == 20 + 8 + 8 + 28 + 16
    assert (IP(sealed).src, IP(sealed).dst) == (LEFT, RIGHT)
    assert bytes(IP(opened)[TCP]) == bytes(IP(bytes(packet))[TCP])


def test_padded_packets_are_all_of_one_length() -> None:
    pair = Pair(left_entry=left(children=(child(form=ChildForm(tfc=500)),)))
    pair.establish()
    sizes = set()
    for octets in (1, 100, 300):
        packet = IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / (b"x" * octets)
        sealed, opened = carry(pair.left, packet)
        assert opened == bytes(packet)
        sizes.add(len(sealed))
    assert len(sizes) == 1
    assert min(sizes) > 500


def test_request_through_a_nat_is_read_again_as_one_for_a_tunnel() -> None:
    # The responder's tunnel is for the address behind the NAT, which no substitution hides.
    ours = replace(formed(Mode.TRANSPORT), name="net")
    theirs = child(local=f"{RIGHT}/32", remote=f"{LEFT}/32")
    pair = natted(ours, theirs)
    pair.initiate()
    pair.settle()
    assert pair.right.take(ChildSaUp).remote == selectors(LEFT)
    assert "tunnel mode" in pair.left.take(Refused).why


def test_packet_that_wants_transport_mode_goes_first_into_the_selectors() -> None:
    pair = pair_of(
        formed(Mode.TRANSPORT),
        formed(
            Mode.TRANSPORT,
            local_ts=(DynamicSelector(IPPROTO_TCP),),
            remote_ts=(DynamicSelector(IPPROTO_TCP),),
        ),
    )
    flow = Flow(ip_address(LEFT), ip_address(RIGHT), IPPROTO_TCP, (1024, 80))
    path = pair.left.path()
    pair.do(lambda now: pair.left.endpoint.initiate("gw", "net", path, now, flow=flow))
    pair.settle()
    end = ip_address(LEFT)
    assert pair.left.child.local == (TrafficSelector(end, end, IPPROTO_TCP),)


@pytest.mark.parametrize("tfc", [1000, TfcToPathMtu.PATH_MTU])
def test_only_what_is_sent_is_padded(tfc: int | TfcToPathMtu) -> None:
    form = ChildForm(tfc=tfc, dummies=9, df=DontFragment.CLEAR, dscp=DscpMap.all_to(0), path_mtu=1400)
    pair = Pair(left_entry=left(children=(child(form=form),)))
    pair.establish()
    (outbound,) = pair.left.sas(Direction.OUTBOUND).values()
    (inbound,) = pair.left.sas(Direction.INBOUND).values()
    assert (outbound.processing.tfc, inbound.processing.tfc) == (tfc, None)
    assert (outbound.processing.dummies, inbound.processing.dummies) == (9, 0)
    shape = outbound.processing
    assert (shape.df, shape.dscp, shape.path_mtu) == (DontFragment.CLEAR, DscpMap.all_to(0), 1400)


def padding_insider() -> Insider:
    form = ChildForm(tfc=1000)
    entry = right(children=(child(local="10.2.0.0/16", remote="10.1.0.0/16", form=form),))
    return Insider(Pair(left_settings=EndpointSettings(export_keys=True), right_entry=entry))


def child_payloads(spi: bytes) -> tuple[Payload, ...]:
    proposal = replace(esp_proposal(), spi=spi)
    return (
        SaPayload((proposal,)),
        NoncePayload(b"n" * 32),
        TsPayload(PayloadType.TS_I, selectors("10.1.0.0/16")),
        TsPayload(PayloadType.TS_R, selectors("10.2.0.0/16")),
    )


NO_PADDING = NotifyPayload(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED)


# covers R4303-2.7-3
@pytest.mark.parametrize("said", [True, False])
def test_nothing_is_padded_for_an_initiator_that_does_not_take_it(said: bool) -> None:
    insider = padding_insider()
    before = set(insider.pair.right.sas(Direction.OUTBOUND))
    reply = insider.create_child_sa(*[NO_PADDING] * said, *child_payloads(b"\1\2\3\4"))
    assert reply is not None
    (new,) = (e for spi, e in insider.pair.right.sas(Direction.OUTBOUND).items() if spi not in before)
    assert new.processing.tfc == (None if said else 1000)


# covers R4303-2.7-3
def test_nothing_is_padded_for_a_responder_that_does_not_take_it() -> None:
    insider = padding_insider()
    before = set(insider.pair.right.sas(Direction.OUTBOUND))
    insider.pair.do(lambda now: insider.pair.right.endpoint.rekey_child("net", now))
    _, asked = insider.asked()
    assert find_notify(asked, NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED) is None
    sa, nonce, ts_i, ts_r = child_payloads(b"\1\2\3\5")
    mirrored = (replace(ts_i, selectors=ts_r.selectors), replace(ts_r, selectors=ts_i.selectors))
    insider.answer(NO_PADDING, sa, nonce, *mirrored)
    (new,) = (e for spi, e in insider.pair.right.sas(Direction.OUTBOUND).items() if spi not in before)
    assert new.processing.tfc is None
