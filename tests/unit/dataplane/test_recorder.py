"""The recorder refuses what the engine refuses, and keeps the rest."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import replace

import pytest

from perilune.databases.changes import AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction
from perilune.dataplane.events import SequenceExhausted
from perilune.dataplane.interface import DataPlane
from perilune.dataplane.recorder import Recorder, SentDatagram, sa_key
from perilune.model.errors import LocalError
from support.esp_tunnel import LEFT_SPI, POLICY, RIGHT_SPI, START, Tunnel, path

TUNNEL = Tunnel()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()
    recorder.close()


def test_it_is_a_data_plane(recorder: Recorder) -> None:
    plane: DataPlane = recorder
    assert plane.stats().sas == ()


def test_it_keeps_what_it_was_told(recorder: Recorder) -> None:
    recorder.apply(TUNNEL.changes(), START)
    assert [len(changes) for _, changes in recorder.transactions] == [3]
    assert {entry.spi for entry in recorder.sas.values()} == {LEFT_SPI, RIGHT_SPI}
    recorder.apply([RemovePolicy(POLICY)], START)
    assert (recorder.sas, recorder.policies) == ({}, {})


def test_a_moved_sa_has_another_name(recorder: Recorder) -> None:
    recorder.apply(TUNNEL.changes(), START)
    moved = path("192.0.2.1", "198.51.100.1", 4500)
    recorder.apply([MoveSa(Direction.OUTBOUND, RIGHT_SPI, TUNNEL.path, moved)], START)
    key = sa_key(Direction.OUTBOUND, RIGHT_SPI, moved)
    assert recorder.sas[key] == replace(TUNNEL.sa(Direction.OUTBOUND), path=moved)


def test_an_inbound_sa_is_named_by_its_spi_alone(recorder: Recorder) -> None:
    recorder.apply(TUNNEL.changes(), START)
    elsewhere = path("192.0.2.1", "198.51.100.1")
    recorder.apply([RemoveSa(Direction.INBOUND, LEFT_SPI, elsewhere)], START)
    assert {entry.direction for entry in recorder.sas.values()} == {Direction.OUTBOUND}


IMPOSSIBLE: dict[str, list[Change]] = {
    "twice": [TUNNEL.policy(), AddSa(TUNNEL.sa(Direction.INBOUND)), AddSa(TUNNEL.sa(Direction.INBOUND))],
    "no policy": [AddSa(TUNNEL.sa(Direction.INBOUND))],
    "nothing to remove": [RemoveSa(Direction.INBOUND, LEFT_SPI, TUNNEL.path)],
    "nothing to move": [MoveSa(Direction.INBOUND, LEFT_SPI, TUNNEL.path, TUNNEL.path)],
    "no such policy": [RemovePolicy(POLICY)],
}


@pytest.mark.parametrize("changes", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_it_refuses_what_the_engine_refuses(recorder: Recorder, changes: list[Change]) -> None:
    with pytest.raises(LocalError):
        recorder.apply(changes, START)
    assert (recorder.sas, recorder.policies, recorder.transactions) == ({}, {}, [])


def test_it_holds_no_file_descriptor_unless_asked() -> None:
    before = len(os.listdir("/proc/self/fd"))
    recorders = [Recorder() for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) == before
    recorders[0].tell(SequenceExhausted(RIGHT_SPI, LEFT_SPI, POLICY))
    assert select.select([recorders[0]], [], [], 0)[0] == [recorders[0]]
    recorders[0].close()


def test_events_make_it_readable(recorder: Recorder) -> None:
    event = SequenceExhausted(RIGHT_SPI, LEFT_SPI, POLICY)
    assert select.select([recorder], [], [], 0) == ([], [], [])
    recorder.tell(event)
    recorder.tell(event)
    assert select.select([recorder], [], [], 0)[0] == [recorder]
    assert recorder.take_events() == [event, event]
    assert recorder.take_events() == []
    assert select.select([recorder], [], [], 0) == ([], [], [])


def test_datagrams_are_kept(recorder: Recorder) -> None:
    recorder.send_ike(b"message", TUNNEL.path, encapsulated=False)
    recorder.send_keepalive(TUNNEL.path)
    assert recorder.sent == [
        SentDatagram(TUNNEL.path, encapsulated=False, message=b"message"),
        SentDatagram(TUNNEL.path, encapsulated=True, message=None),
    ]
