"""Children that AH protects: chosen, made anew, ended, and not sent through a NAT."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP

from exchanges.carriage import carry
from exchanges.insider import Insider
from exchanges.link import Nat
from exchanges.pair import Pair
from exchanges.settings import LEFT, LEFT_NET, RIGHT, RIGHT_NET, child, esp_proposal, left, right, selectors
from perilune.config.ah_proposals import read_ah_proposals
from perilune.config.algorithms import AH_KEYWORDS
from perilune.databases.child_form import ChildForm
from perilune.databases.pad import ANY_IPV4, ChildPolicy, DynamicSelector
from perilune.databases.processing import Mode, SecurityProtocol
from perilune.databases.sad import Direction
from perilune.ike.events import ChildKeysDerived, ChildSaDown, ChildSaRekeyed, ChildSaUp, Refused
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import EncrId, IntegId, PayloadType, ProtocolId, SnId
from perilune.model.proposal import Proposal
from perilune.model.time import Duration
from perilune.wire.payloads import DeletePayload, NoncePayload, SaPayload, TsPayload

AH = read_ah_proposals("sha256")
MACS = ("aescmac", "aesxcbc", "md5", "ripemd160", "sha1", "sha256", "sha384", "sha512", *AH_KEYWORDS)
INNER = IP(src="10.1.0.1", dst="10.2.0.1") / ICMP() / b"to whom it may concern"


def with_children(ours: ChildPolicy, theirs: ChildPolicy, **options: EndpointSettings) -> Pair:
    return Pair(
        left_entry=left(children=(ours,)),
        right_entry=right(children=(theirs,), remote_addrs=(ANY_IPV4,)),
        **options,
    )


def ah_pair(*proposals: Proposal, theirs: tuple[Proposal, ...] | None = None) -> Pair:
    """Return a pair whose two children have these proposals."""
    ours = proposals or AH
    return with_children(
        child(proposals=ours, allow_insecure=True),
        child(local=RIGHT_NET, remote=LEFT_NET, proposals=theirs or ours, allow_insecure=True),
    )


@pytest.mark.parametrize("mac", MACS)
def test_every_algorithm(mac: str) -> None:
    pair = ah_pair(*read_ah_proposals(f"{mac}-esn"))
    pair.establish()
    suite = pair.left.child.suite
    assert suite.encryption.id is EncrId.ENCR_NULL
    assert suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64
    assert {e.protocol for side in pair.sides for e in side.data_plane.sas.values()} == {SecurityProtocol.AH}
    sealed, opened = carry(pair.left, INNER)
    assert IP(sealed).proto == SecurityProtocol.AH
    assert opened == bytes(INNER)


@pytest.mark.parametrize("side", [0, 1])
def test_transport_mode(side: int) -> None:
    dynamic = (DynamicSelector(),)
    shape = {
        "proposals": AH,
        "form": ChildForm(mode=Mode.TRANSPORT),
        "local_ts": dynamic,
        "remote_ts": dynamic,
    }
    pair = with_children(child(**shape), child(**shape))
    pair.establish()
    sender = pair.sides[side]
    packet = IP(src=str(sender.address), dst=str(sender.peer.address)) / ICMP() / b"x"
    sealed, opened = carry(sender, packet)
    assert (IP(sealed).proto, IP(sealed).len) == (SecurityProtocol.AH, len(packet) + 28)
    assert opened == bytes(packet)


@pytest.mark.parametrize("who", ["left", "right"])
def test_rekeying_and_end(who: str) -> None:
    pair = ah_pair()
    pair.establish()
    side = getattr(pair, who)
    # CREATE_CHILD_SA { N(REKEY_SA, protocol AH), SA, Ni, TSi, TSr } -->
    pair.do(lambda now: side.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(6))
    assert side.take(ChildSaRekeyed)
    assert len(pair.left.sas(Direction.INBOUND)) == 1
    pair.check_agreement()
    # INFORMATIONAL { D(protocol AH) } -->
    pair.do(lambda now: side.endpoint.terminate_child("net", now))
    pair.settle()
    assert side.peer.take(ChildSaDown)
    assert not pair.left.data_plane.sas
    assert not pair.right.data_plane.sas


def test_esp_is_preferred_where_both_are_allowed() -> None:
    both = (esp_proposal(), *AH)
    pair = ah_pair(*both)
    pair.establish()
    assert pair.left.child.protocol is ProtocolId.ESP
    only_ah = ah_pair(*both, theirs=AH)
    only_ah.establish()
    assert only_ah.left.child.protocol is only_ah.right.child.protocol is ProtocolId.AH


def test_esp_and_ah_have_nothing_in_common() -> None:
    pair = ah_pair(*AH, theirs=(esp_proposal(),))
    pair.initiate()
    pair.settle()
    refused = pair.left.take(Refused)
    assert refused.notify == "NO_PROPOSAL_CHOSEN"
    assert refused.hint == "connections.gw.children.net.ah_proposals"
    assert pair.right.take(Refused).hint == "connections.gw.children.net.esp_proposals"


def behind_nat(pair: Pair) -> Pair:
    pair.link.nat = Nat(ip_address(LEFT), ip_address("203.0.113.9"))
    return pair


def test_ah_is_not_sent_through_a_nat() -> None:
    pair = behind_nat(ah_pair())
    pair.initiate()
    pair.settle()
    refused = pair.right.take(Refused)
    assert refused.why == "AH protects the addresses, which a NAT changes; there is NAT there"
    assert refused.hint == "connections.gw.children.net.ah_proposals; esp_proposals pass a NAT"
    at_left = pair.left.take(Refused)
    assert at_left.by_peer
    assert at_left.hint == "connections.gw.children.net.ah_proposals; esp_proposals pass a NAT"
    assert not pair.left.data_plane.sas
    assert not pair.right.data_plane.sas


def test_initiator_does_not_take_ah_through_a_nat_either() -> None:
    mirrored = child(local=RIGHT_NET, remote=LEFT_NET, proposals=AH)
    exporting = EndpointSettings(export_keys=True)
    insider = Insider(behind_nat(with_children(child(proposals=AH), mirrored, left_settings=exporting)))
    right_side = insider.pair.right
    right_side.events.clear()
    insider.pair.do(lambda now: right_side.endpoint.initiate("gw", "net", right_side.ike_sa.path, now))
    insider.answer(
        SaPayload((replace(AH[0], spi=b"\1\2\3\4"),)),
        NoncePayload(b"n" * 32),
        TsPayload(PayloadType.TS_I, selectors(RIGHT_NET)),
        TsPayload(PayloadType.TS_R, selectors(LEFT_NET)),
    )
    assert right_side.take(Refused).why.startswith("AH protects the addresses")
    assert not right_side.data_plane.sas
    # What the peer made of the request is deleted there.
    _, asked = insider.asked()
    assert [(p.protocol, len(p.spis)) for p in asked if isinstance(p, DeletePayload)] == [(ProtocolId.AH, 1)]


def test_behind_a_nat_esp_is_offered_where_it_is_allowed() -> None:
    pair = behind_nat(ah_pair(*AH, esp_proposal()))
    pair.establish()
    assert pair.left.child.protocol is ProtocolId.ESP


def test_events_name_the_protocol_and_no_key_of_ah_is_exported() -> None:
    exporting = EndpointSettings(export_keys=True)
    mirrored = child(local=RIGHT_NET, remote=LEFT_NET, proposals=AH)
    pair = with_children(child(proposals=AH), mirrored, left_settings=exporting)
    pair.initiate()
    pair.settle()
    assert not pair.left.has(ChildKeysDerived)
    up = pair.left.take(ChildSaUp)
    assert up.suite.integrity is IntegId.AUTH_HMAC_SHA2_256_128
    assert "AH NULL/HMAC_SHA2_256_128" in str(up)
    assert str(up.path.remote.address) == RIGHT
