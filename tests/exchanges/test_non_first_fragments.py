"""NON_FIRST_FRAGMENTS_ALSO: fragments that show no ports, on SAs that want some (RFC 4301, section 7.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet import IP, TCP, fragment
from scapy.packet import Raw

from exchanges.carriage import NOW, engine_of
from exchanges.insider import Insider
from exchanges.pair import Pair
from exchanges.settings import child, esp_proposal, left, right, selectors
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ChildPolicy
from perilune.databases.sad import Direction
from perilune.ike.events import ChildSaRekeyed
from perilune.ike.received import find_notify
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import NotifyType, PayloadType
from perilune.model.selector import TrafficSelector
from perilune.model.time import Duration
from perilune.wire.payloads import NoncePayload, NotifyPayload, Payload, SaPayload, TsPayload

LEFT_TCP = tuple(replace(one, protocol=6) for one in selectors("10.1.0.0/16"))
WEB = tuple(replace(one, protocol=6, first_port=80, last_port=80) for one in selectors("10.2.0.0/16"))
FRAGMENTS = fragment(
    IP(src="10.1.0.1", dst="10.2.0.1", id=7) / TCP(sport=1024, dport=80) / Raw(bytes(2000)), 800
)
ALSO = NotifyPayload(NotifyType.NON_FIRST_FRAGMENTS_ALSO)


def web(
    local: tuple[TrafficSelector, ...], remote: tuple[TrafficSelector, ...], form: ChildForm
) -> ChildPolicy:
    return child(local_ts=local, remote_ts=remote, form=form)


def pair_of(ours: bool, theirs: bool) -> Pair:
    left_form, right_form = (ChildForm(fragments=wanted) for wanted in (ours, theirs))
    return Pair(
        left_entry=left(children=(web(LEFT_TCP, WEB, left_form),)),
        right_entry=right(children=(web(WEB, LEFT_TCP, right_form),)),
    )


def agreed(pair: Pair) -> set[bool]:
    return {entry.stateful_fragments for side in pair.sides for entry in side.data_plane.sas.values()}


# covers R4301-7.3-2
# covers R4301-7.3-3
@pytest.mark.parametrize("theirs", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_later_fragments_travel_only_if_both_sides_say_so(ours: bool, theirs: bool) -> None:
    pair = pair_of(ours, theirs)
    # IKE_AUTH { IDi, AUTH, N(NON_FIRST_FRAGMENTS_ALSO), SAi2, TSi, TSr } -->
    # <-- IKE_AUTH { IDr, AUTH, N(NON_FIRST_FRAGMENTS_ALSO), SAr2, TSi, TSr }
    pair.establish()
    both = ours and theirs
    assert agreed(pair) == {both}
    sender, receiver = engine_of(pair.left), engine_of(pair.right)
    sealed = [octets for piece in FRAGMENTS for octets in sender.seal_packet(bytes(piece), NOW)]
    opened = [IP(octets) for packet in sealed for octets in receiver.open_packet(packet, NOW)]
    assert len(FRAGMENTS) == 3
    # Without it the packet is put together first, and the peer gets it whole.
    assert len(opened) == (3 if both else 1)
    assert sum(len(one.payload) for one in opened) == 20 + 2000


@pytest.mark.parametrize("who", ["left", "right"])
def test_successor_has_the_same_agreement(who: str) -> None:
    pair = pair_of(True, True)
    pair.establish()
    side = getattr(pair, who)
    pair.do(lambda now: side.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(6))
    assert side.take(ChildSaRekeyed)
    assert agreed(pair) == {True}


def insider() -> Insider:
    entry = right(children=(web(WEB, LEFT_TCP, ChildForm(fragments=True)),))
    exporting = EndpointSettings(export_keys=True)
    plain = left(children=(web(LEFT_TCP, WEB, ChildForm()),))
    return Insider(Pair(left_settings=exporting, left_entry=plain, right_entry=entry))


def request(*notifies: NotifyPayload) -> tuple[Payload, ...]:
    return (
        *notifies,
        SaPayload((replace(esp_proposal(), spi=b"\1\2\3\4"),)),
        NoncePayload(b"n" * 32),
        TsPayload(PayloadType.TS_I, LEFT_TCP),
        TsPayload(PayloadType.TS_R, WEB),
    )


# covers R4301-7.3-2
@pytest.mark.parametrize("asked", [True, False])
def test_responder_says_so_only_to_who_asks(asked: bool) -> None:
    peer = insider()
    before = set(peer.pair.right.sas(Direction.OUTBOUND))
    reply = peer.create_child_sa(*request(*[ALSO] * asked))
    assert reply is not None
    assert (find_notify(reply, NotifyType.NON_FIRST_FRAGMENTS_ALSO) is not None) == asked
    (new,) = (e for spi, e in peer.pair.right.sas(Direction.OUTBOUND).items() if spi not in before)
    assert new.stateful_fragments == asked


# covers R4301-7.3-2
def test_initiator_says_so() -> None:
    peer = insider()
    peer.pair.do(lambda now: peer.pair.right.endpoint.rekey_child("net", now))
    _, asked = peer.asked()
    assert find_notify(asked, NotifyType.NON_FIRST_FRAGMENTS_ALSO) is not None
