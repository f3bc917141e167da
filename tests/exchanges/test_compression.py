"""IPComp: offered and accepted by IPCOMP_SUPPORTED, each side with an index of its own (RFC 7296, 2.22)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP

from exchanges.carriage import carry
from exchanges.insider import Insider
from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, esp_proposal, left, right, selectors
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ChildPolicy
from perilune.databases.processing import Mode
from perilune.databases.sad import Direction
from perilune.ike.compression import CompressionOffer, deflate
from perilune.ike.events import ChildSaRekeyed, ChildSaUp, Refused
from perilune.ike.received import find_notify
from perilune.ike.settings import EndpointSettings
from perilune.ike.spis import MOST_CPIS, SpiRegistry
from perilune.model.errors import PeerError
from perilune.model.iana import IpCompId, NotifyType, PayloadType
from perilune.model.time import Duration
from perilune.wire.payloads import NoncePayload, NotifyPayload, Payload, SaPayload, TsPayload
from support.rng import SeededRng

TEXT = IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / (b"again and " * 100)


def formed(*, compression: bool, mirrored: bool = False, mode: Mode = Mode.TUNNEL) -> ChildPolicy:
    ends = {"local": RIGHT_NET, "remote": LEFT_NET} if mirrored else {}
    return child(form=ChildForm(compression=compression, mode=mode), **ends)


def pair_of(ours: bool, theirs: bool) -> Pair:
    return Pair(
        left_entry=left(children=(formed(compression=ours),)),
        right_entry=right(children=(formed(compression=theirs, mirrored=True),)),
    )


def check_indices(pair: Pair) -> None:
    for side in pair.sides:
        inbound = side.peer.sas(Direction.INBOUND)
        for spi, entry in side.sas(Direction.OUTBOUND).items():
            assert entry.processing.compression == inbound[spi].processing.compression is not None


def test_both_sides_compress() -> None:
    pair = pair_of(True, True)
    # IKE_AUTH { IDi, AUTH, N(IPCOMP_SUPPORTED), SAi2, TSi, TSr } -->
    # <-- IKE_AUTH { IDr, AUTH, N(IPCOMP_SUPPORTED), SAr2, TSi, TSr }
    pair.initiate()
    pair.settle()
    check_indices(pair)
    assert (pair.left.child.cpi_in, pair.left.child.cpi_out) == (
        pair.right.child.cpi_out,
        pair.right.child.cpi_in,
    )
    assert pair.left.child.cpi_in != pair.left.child.cpi_out
    assert "IPComp" in str(pair.left.take(ChildSaUp))
    for side in pair.sides:
        packet = TEXT if side is pair.left else IP(src="10.2.0.1", dst="10.1.0.1") / TEXT[ICMP]
        sealed, opened = carry(side, packet)
        assert opened == bytes(packet)
        assert len(sealed) < len(opened) / 4


@pytest.mark.parametrize("who", ["left", "right"])
def test_successor_compresses_with_new_indices(who: str) -> None:
    pair = pair_of(True, True)
    pair.establish()
    old = pair.left.child
    side = getattr(pair, who)
    pair.do(lambda now: side.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(6))
    assert side.take(ChildSaRekeyed)
    check_indices(pair)
    assert {pair.left.child.cpi_in, pair.left.child.cpi_out}.isdisjoint({old.cpi_in, old.cpi_out})


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True), (False, False)])
def test_nobody_compresses_unless_both_want_it(ours: bool, theirs: bool) -> None:
    pair = pair_of(ours, theirs)
    pair.establish()
    assert {e.processing.compression for side in pair.sides for e in side.data_plane.sas.values()} == {None}
    sealed, opened = carry(pair.left, TEXT)
    assert len(sealed) > len(opened)


def insider(*, compression: bool = True) -> Insider:
    entry = right(children=(formed(compression=compression, mirrored=True),))
    return Insider(Pair(left_settings=EndpointSettings(export_keys=True), right_entry=entry))


def request(*notifies: NotifyPayload, ours: str = LEFT_NET, theirs: str = RIGHT_NET) -> tuple[Payload, ...]:
    return (
        *notifies,
        SaPayload((replace(esp_proposal(), spi=b"\1\2\3\4"),)),
        NoncePayload(b"n" * 32),
        TsPayload(PayloadType.TS_I, selectors(ours)),
        TsPayload(PayloadType.TS_R, selectors(theirs)),
    )


def test_responder_chooses_the_one_algorithm_that_it_has() -> None:
    lzs = CompressionOffer(0x1234, IpCompId.IPCOMP_LZS).payload
    ours = CompressionOffer(0x2345).payload
    reply = insider().create_child_sa(*request(lzs, replace(ours, data=ours.data + b"attributes")))
    assert reply is not None
    (accepted,) = CompressionOffer.read_all(reply)
    assert accepted.transform == IpCompId.IPCOMP_DEFLATE


def test_responder_does_not_accept_what_it_does_not_have() -> None:
    peer = insider()
    reply = peer.create_child_sa(*request(CompressionOffer(0x1234, IpCompId.IPCOMP_LZS).payload))
    assert reply is not None
    assert find_notify(reply, NotifyType.IPCOMP_SUPPORTED) is None
    assert find_notify(reply, NotifyType.NO_PROPOSAL_CHOSEN) is None


def test_malformed_offer_is_a_syntax_error() -> None:
    reply = insider().create_child_sa(*request(NotifyPayload(NotifyType.IPCOMP_SUPPORTED, b"\1\2")))
    assert reply is not None
    assert find_notify(reply, NotifyType.INVALID_SYNTAX)


@pytest.mark.parametrize(
    ("compression", "transforms"),
    [
        (True, [IpCompId.IPCOMP_LZS]),
        (True, [IpCompId.IPCOMP_DEFLATE, IpCompId.IPCOMP_DEFLATE]),
        (False, [IpCompId.IPCOMP_DEFLATE]),
    ],
)
def test_initiator_takes_nothing_but_what_it_offered(compression: bool, transforms: list[IpCompId]) -> None:
    peer = insider(compression=compression)
    side = peer.pair.right
    before = dict(side.data_plane.sas)
    peer.pair.do(lambda now: side.endpoint.rekey_child("net", now))
    answer = [CompressionOffer(0x1234 + i, one).payload for i, one in enumerate(transforms)]
    peer.answer(*request(*answer, ours=RIGHT_NET, theirs=LEFT_NET))
    refused = side.take(Refused)
    assert refused.hint == "connections.gw.children.net.ipcomp"
    assert side.data_plane.sas == before


@given(st.integers(0, 65535), st.integers(0, 255))
def test_offer_round_trip(cpi: int, transform: int) -> None:
    offer = CompressionOffer(cpi, transform)
    assert CompressionOffer.read_all([offer.payload]) == (offer,)
    assert deflate((offer,)) == (cpi if transform == IpCompId.IPCOMP_DEFLATE else None)


@given(st.binary(min_size=3, max_size=40))
def test_what_follows_the_algorithm_is_its_own_business(data: bytes) -> None:
    (offer,) = CompressionOffer.read_all([NotifyPayload(NotifyType.IPCOMP_SUPPORTED, data)])
    assert offer.payload.data == data[:3]


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\2"])
def test_what_is_too_short_is_malformed(data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        CompressionOffer.read_all([NotifyPayload(NotifyType.IPCOMP_SUPPORTED, data)])
    assert caught.value.notify is NotifyType.INVALID_SYNTAX


def test_indices_are_unique_until_they_are_given_back() -> None:
    spis = SpiRegistry(SeededRng(1))
    taken = [spis.take_inbound() for _ in range(MOST_CPIS)]
    indices = {spis.take_cpi(spi) for spi in taken}
    assert len(indices) == MOST_CPIS
    assert None not in indices
    last = spis.take_inbound()
    assert spis.take_cpi(last) is None
    spis.give_back_inbound(taken[0])
    assert spis.take_cpi(last) is not None
