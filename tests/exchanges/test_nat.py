"""A NAT between the two sides, or the pretence of one (RFC 7296, section 2.23)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exchanges.link import Nat
from exchanges.pair import Pair
from exchanges.settings import LEFT, host, left, right
from perilune.databases.pad import ANY_IPV4
from perilune.databases.sad import Direction, Encapsulation
from perilune.ike.events import IkeSaUp, PeerMoved
from perilune.model.address import NAT_T_PORT, Endpoint, Path
from perilune.model.time import Duration

OUTSIDE = ip_address("203.0.113.9")


def natted(seed: int = 0) -> Pair:
    pair = Pair(
        right_entry=right(remote_addrs=(ANY_IPV4,), dpd_delay=Duration.seconds(7)),
        left_entry=left(dpd_delay=Duration.seconds(10)),
        seed=seed,
    )
    pair.link.nat = Nat(ip_address(LEFT), OUTSIDE)
    return pair


def test_both_sides_find_the_nat_and_go_to_port_4500() -> None:
    pair = natted()
    pair.initiate()
    pair.settle()
    assert pair.left.take(IkeSaUp).nat.local_behind
    up = pair.right.take(IkeSaUp)
    assert up.nat.remote_behind
    assert not up.nat.local_behind
    assert [d.destination.port for d in pair.link.sent][:3] == [500, 40000, 4500]
    for side in pair.sides:
        for entry in side.data_plane.sas.values():
            assert entry.encapsulation is Encapsulation.UDP
            assert entry.path.local.port == NAT_T_PORT
    remote = next(iter(pair.right.data_plane.sas.values())).path.remote
    assert remote == Endpoint(OUTSIDE, 40001)
    pair.check_agreement()


def test_side_behind_the_nat_keeps_the_mapping_alive() -> None:
    pair = natted()
    pair.establish()
    pair.run(Duration.seconds(90))
    assert pair.left.keepalives >= 3
    assert pair.right.keepalives == 0


def test_new_mapping_is_followed_when_an_authentic_message_comes() -> None:
    pair = natted()
    pair.establish()
    assert pair.link.nat
    pair.link.nat.rebind()
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(1))
    moved = pair.right.take(PeerMoved)
    assert moved.new.remote.port == 40002
    for entry in pair.right.data_plane.sas.values():
        assert entry.path.remote == Endpoint(OUTSIDE, 40002)
    pair.run(Duration.seconds(20))
    pair.check_agreement()


@pytest.mark.parametrize("seed", range(6))
def test_new_mapping_is_kept_by_whichever_ike_sa_survives_a_collision(seed: int) -> None:
    pair = natted(seed)
    pair.establish()
    assert pair.link.nat
    for side in pair.sides:
        pair.do(lambda now, side=side: side.endpoint.rekey_ike("gw", now))
    pair.run(Duration.milliseconds(11))
    pair.link.nat.rebind()
    pair.run(Duration.seconds(3))
    assert pair.right.take(PeerMoved).new.remote.port == 40002
    assert pair.right.ike_sas[-1].path.remote.port == 40002
    pair.run(Duration.seconds(90))
    pair.check_agreement()


def test_new_mapping_is_followed_when_the_data_plane_tells() -> None:
    pair = natted()
    pair.establish()
    spi = pair.right.child.name.spi_in
    new = Path(Endpoint(pair.right.address, NAT_T_PORT), Endpoint(OUTSIDE, 50123))
    pair.do(lambda now: pair.right.endpoint.peer_moved(spi, new, now))
    assert pair.right.ike_sa.path == new
    assert {e.path for e in pair.right.data_plane.sas.values()} == {new}
    # The side behind the NAT does not follow (a single forged packet could break the connection).
    pair.do(lambda now: pair.left.endpoint.peer_moved(pair.left.child.name.spi_in, new, now))
    assert pair.left.ike_sa.path != new


def test_replayed_message_from_elsewhere_moves_nothing() -> None:
    pair = natted()
    pair.establish()
    path = pair.right.ike_sa.path
    for datagram in [d for d in pair.link.sent if d.source.address == pair.left.address]:
        elsewhere = Path(datagram.destination, Endpoint(ip_address("203.0.113.66"), 4444))
        pair.right.endpoint.receive_datagram(datagram.data, elsewhere, pair.now)
    pair.do(lambda now: None)
    assert pair.right.ike_sa.path == path


@pytest.mark.parametrize("who", ["left", "right"])
def test_pretended_nat_puts_esp_into_udp(who: str) -> None:
    pair = Pair(left_entry=left(encap=who == "left"), right_entry=right(encap=who == "right"))
    pair.initiate()
    pair.settle()
    assert {e.encapsulation for side in pair.sides for e in side.data_plane.sas.values()} == {
        Encapsulation.UDP
    }
    assert pair.link.sent[2].destination.port == NAT_T_PORT
    pair.check_agreement()


def test_without_a_nat_everything_stays_on_port_500() -> None:
    pair = Pair()
    pair.establish()
    assert {d.destination.port for d in pair.link.sent} == {500}
    assert {e.encapsulation for e in pair.left.data_plane.sas.values()} == {Encapsulation.NONE}


@pytest.mark.parametrize("addresses", [("2001:db8::1", "2001:db8:1::1"), (LEFT, "198.51.100.1")])
def test_both_families(addresses: tuple[str, str]) -> None:
    pair = Pair(
        addresses=addresses,
        left_entry=left(remote_addrs=host(addresses[1])),
        right_entry=right(remote_addrs=host(addresses[0])),
    )
    pair.establish()
    assert len(pair.left.sas(Direction.INBOUND)) == 1
