"""SAs with manual keys: two daemons' worth of them over engines in memory, through restarts and reloads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest

from perilune.daemon import manual_sequences
from perilune.databases.changes import AddPolicy, Change
from perilune.databases.sad import Direction
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.engine import SealedPacket
from perilune.model.errors import LocalError
from perilune.model.selector import everything
from perilune.model.time import Instant
from perilune.shell.sequence_file import SequenceFile
from support.manual_side import CBC, GCM, NETS_V4, NETS_V6, EnginePlane, Side, daemon, packet, sa


def sequence(sealed: SealedPacket) -> int:
    return int.from_bytes(sealed.data[4:8])


@pytest.fixture
def file(tmp_path: FilePath) -> FilePath:
    return tmp_path / "sequences"


# covers R4301-4.5-1
@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("more", ["", "encap = udp"])
def test_what_one_side_sends_the_other_receives(ipv6: bool, more: str) -> None:
    one, other = Side(), Side()
    nets = NETS_V6 if ipv6 else NETS_V4
    one.load(sa(1, nets, more=more))
    other.load(sa(2, nets, more=more))
    sealed = one.send(packet(ipv6))
    assert len(sealed) == 1
    assert sealed[0].path.remote.address == ip_address("192.0.2.2")
    assert other.receive(sealed) == [bytes(packet(ipv6))]


def test_what_the_policy_names_never_leaves_in_the_clear_without_its_sa() -> None:
    one = Side()
    one.load(sa(1, more="hard_packets = 1"))
    assert len(one.send(packet())) == 1
    assert one.send(packet()) == []
    assert one.plane.engine.take_bypassed() == []


LET_BY = SpdEntry(
    id=PolicyId(9),
    name="rest",
    priority=2**32 - 1,
    action=Action.BYPASS,
    local=(everything(4),),
    remote=(everything(4),),
)


class WatchedPlane(EnginePlane):
    """Sends a packet behind each step of a change."""

    def __init__(self) -> None:
        super().__init__()
        self.is_watched = False

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        super().apply(changes, now)
        if self.is_watched:
            self.engine.seal(bytes(packet()), now)


def test_nothing_leaves_in_the_clear_while_an_sa_is_made_anew() -> None:
    plane = WatchedPlane()
    one = Side(plane=plane)
    one.driver.change([AddPolicy(LET_BY)])
    one.load(sa(1))
    plane.is_watched = True
    one.load(sa(1, keys=CBC.replace("22", "23")))
    assert len(one.send(packet())) == 1
    assert plane.engine.take_bypassed() == []
    assert len(one.driver.policies) == 2
    plane.is_watched = False
    one.load("")
    assert one.send(packet()) == []
    assert len(plane.engine.take_bypassed()) == 1


def test_nothing_leaves_in_the_clear_for_want_of_an_sa(file: FilePath) -> None:
    one = Side(file)
    one.driver.change([AddPolicy(LET_BY)])
    in_the_way = file.with_name(f"{file.name}.new")
    in_the_way.mkdir()
    for _ in range(2):
        one.load(sa(1, keys=GCM) + daemon(file))
        assert one.send(packet()) == []
        assert one.plane.engine.take_bypassed() == []
        assert len(one.driver.policies) == 2
    in_the_way.rmdir()
    one.load(sa(1, keys=GCM) + daemon(file))
    assert len(one.send(packet())) == 1
    one.load("")
    assert one.send(packet()) == []
    assert len(one.plane.engine.take_bypassed()) == 1


# covers R4303-3.3.3-2
def test_numbers_go_on_behind_a_crash(file: FilePath) -> None:
    other_file = file.with_name("other")
    other = Side(other_file)
    other.load(sa(2, keys=GCM) + daemon(other_file))
    seen: list[int] = []
    for _life in range(3):
        one = Side(file)
        one.load(sa(1, keys=GCM) + daemon(file))
        sealed = [piece for _ in range(5) for piece in one.send(packet())]
        assert len(other.receive(sealed)) == 5
        seen += map(sequence, sealed)
        one.crash()
    assert seen == sorted(set(seen))
    assert json.loads(file.read_text())["keys"].popitem()[1]["sent"] >= seen[-1]


def test_a_renamed_sa_goes_on_where_it_was(file: FilePath) -> None:
    one = Side(file)
    one.load(sa(1, keys=GCM) + daemon(file))
    before = sequence(one.send(packet())[0])
    one.load(sa(1, keys=GCM, name="sol") + daemon(file))
    assert sequence(one.send(packet())[0]) > before


def test_numbers_are_on_disc_before_they_are_used(file: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual_sequences, "_FIRST_BLOCK", 8)
    one = Side(file)
    one.load(sa(1, keys=GCM) + daemon(file))
    for expected in range(1, 200):
        (sealed,) = one.send(packet())
        assert sequence(sealed) == expected
        assert max(use["sent"] for use in json.loads(file.read_text())["keys"].values()) >= expected


def test_numbers_that_cannot_be_reserved_are_not_used(
    file: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manual_sequences, "_FIRST_BLOCK", 8)
    one = Side(file)
    one.load(sa(1, keys=GCM) + daemon(file))
    file.with_name(f"{file.name}.new").mkdir()
    sent = [piece for _ in range(20) for piece in one.send(packet())]
    assert len(sent) == 8
    assert one.plane.stats().dropped("sequence_exhausted") == 12


def test_a_receiver_remembers_what_it_received(file: FilePath) -> None:
    window = "replay_window = 64"
    sender_file = file.with_name("sender")
    one, other = Side(sender_file), Side(file)
    one.load(sa(1, more=window) + daemon(sender_file))
    other.load(sa(2, more=window) + daemon(file))
    sealed = one.send(packet())
    assert len(other.receive(sealed)) == 1
    other.manual.close()
    again = Side(file)
    again.load(sa(2, more=window) + daemon(file))
    assert again.receive(sealed) == []
    assert again.plane.stats().dropped("replayed") == 1
    assert len(again.receive(one.send(packet()))) == 1


def test_sas_with_one_key_remember_each_for_itself(file: FilePath) -> None:
    window = "replay_window = 64\n"
    other = Side(file)
    two = sa(2, more=window).removesuffix("}\n") + sa(2, NETS_V6, more=window, name="six").removeprefix(
        "sas {\n"
    ).replace("0x1001", "0x1002")
    other.load(two + daemon(file))
    sender_file = file.with_name("sender")
    one = Side(sender_file)
    one.load(sa(1, more=window) + daemon(sender_file))
    for _ in range(3):
        other.receive(one.send(packet()))
    other.manual.close()
    again = Side(file)
    again.load(two + daemon(file))
    inbound = [entry for entry in again.driver.sad.values() if entry.direction is Direction.INBOUND]
    assert {entry.spi: entry.sequence.used for entry in inbound} == {0x1001: 3, 0x1002: 0}


def test_sas_of_one_spi_remember_each_for_itself(file: FilePath) -> None:
    window = "replay_window = 64\n"
    keys = CBC.replace("11", "55")
    six = sa(2, NETS_V6, keys=keys, more=f"{window}lookup = spi-destination", name="six")
    six = six.replace("spi = 0x1001", "spi_in = 0x1001\nspi_out = 0x1002").removeprefix("sas {\n")
    other = Side(file)
    other.load(sa(2, more=window).removesuffix("}\n") + six + daemon(file))
    sender_file = file.with_name("sender")
    one = Side(sender_file)
    one.load(sa(1, NETS_V6, keys=keys, more=window) + daemon(sender_file))
    for _ in range(3):
        assert len(other.receive(one.send(packet(ipv6=True)))) == 1
    other.manual.note_received()
    received = [use["received"] for use in json.loads(file.read_text())["keys"].values()]
    assert sorted(received)[-2:] == [0, 3]
    assert sum(received) == 3


def test_a_reload_touches_only_what_changed() -> None:
    one = Side()
    two = sa(1).removesuffix("}\n") + sa(1, NETS_V6, name="other").removeprefix("sas {\n").replace(
        "0x1001", "0x1002"
    )
    one.load(two)
    one.send(packet())
    one.load(two.replace("2001:db8:2::/48", "2001:db8:3::/48"))
    packets = {
        entry.spi: entry.packets for entry in one.plane.stats().sas if entry.direction is Direction.OUTBOUND
    }
    assert packets == {0x1001: 1, 0x1002: 0}
    one.load("")
    assert one.names == set()
    assert one.plane.stats().sas == ()


def test_a_command_adds_and_removes() -> None:
    one, other = Side(), Side()
    other.load(sa(2))
    lines = sa(1).split("sun {\n")[1].split("\n}")[0].splitlines()
    values = dict((part.strip() for part in line.split("=", 1)) for line in lines if line)
    one.manual.add("mine", values)
    assert one.names == {"sas/mine"}
    with pytest.raises(LocalError, match="there is an SA 'mine' already"):
        one.manual.add("mine", values)
    with pytest.raises(LocalError, match="SA 'mine' has the SPI 0x00001001 already"):
        one.manual.add("yours", values)
    one.load("")
    assert other.receive(one.send(packet())) == [bytes(packet())]
    one.manual.remove("mine")
    assert one.driver.sad == {}
    with pytest.raises(LocalError, match="there is no SA 'mine' with manual keys"):
        one.manual.remove("mine")


def test_a_wrong_value_of_a_command_is_told_with_its_key() -> None:
    with pytest.raises(LocalError, match=r"^sas\.a\.spi: '5' is not from 256 to 4294967295"):
        Side().manual.add("a", {"spi": "5"})


def test_an_outer_sa_that_changes_takes_the_inner_one_along() -> None:
    one = Side()
    outer = sa(1, name="outer").replace("0x1001", "0x2001")
    inner = sa(1, more="within = outer", name="inner").removeprefix("sas {\n")
    both = outer.removesuffix("}\n") + inner
    one.load(both)
    with pytest.raises(LocalError, match="SA 'inner' is within 'outer'; remove it first"):
        one.manual.remove("outer")
    one.load(both.replace("0x2001", "0x3001"))
    outers = {entry.within.spi for entry in one.driver.sad.values() if entry.within}
    assert outers == {0x3001}
    assert len(one.driver.sad) == 4


def test_a_soft_limit_asks_for_new_keys(caplog: pytest.LogCaptureFixture) -> None:
    one = Side()
    one.load(sa(1, more="soft_packets = 1"))
    with caplog.at_level(logging.WARNING):
        one.send(packet())
    assert "SA sun has reached its soft limit of packets and wants new keys" in caplog.text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_text("not this"),
        lambda file: file.write_text('{"version": 1, "keys": {"a": {"sent": -1, "received": 0}}}'),
        lambda file: file.write_text('{"version": 2, "keys": {}}'),
        lambda file: file.mkdir(),
    ],
)
def test_a_spoilt_file_is_never_a_new_beginning(file: FilePath, spoil: Callable[[FilePath], object]) -> None:
    spoil(file)
    with pytest.raises(Exception, match=str(file)):
        SequenceFile(file).open()


def test_two_daemons_never_share_a_file(file: FilePath) -> None:
    first = SequenceFile(file)
    assert not first.open()
    with pytest.raises(Exception, match="another daemon uses it"):
        SequenceFile(file).open()
    first.reserve("a", 5)
    first.close()
    second = SequenceFile(file)
    assert second.open()
    assert second.use("a").sent == 5
