"""Log lines: their shape, and that nothing from outside can forge one."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

import pytest

from perilune.daemon.event_log import context_of, counter_of, level_of, message_of
from perilune.daemon.log import EventHandler, IkeContext, LineFormatter, about, log_message
from perilune.daemon.supervisor import tell_supervisor
from perilune.ike.events import CookieDemanded, DownReason, Dropped, IkeSaDown, PathWanted, Refused
from support.nodes import IKE, PATH


def record(message: str, context: IkeContext | None = None, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("perilune.ike", level, "file", 1, "%s", (message,), None)
    made.__dict__.update(about(context))
    return made


def test_line_names_time_room_and_connection() -> None:
    line = LineFormatter().format(record("up", IkeContext("gw", 1, "5ad1.../08c2...")))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO ike: \[ike=gw 5ad1\.\.\./08c2\.\.\.\] up", line
    )


def test_line_about_nothing_in_particular() -> None:
    assert LineFormatter().format(record("ready")).endswith(" INFO ike: ready")


def test_what_would_forge_a_line_is_escaped() -> None:
    line = LineFormatter().format(record("id 'a\nERROR b\x1b[31m'"))
    assert line.endswith(r"ike: id 'a\nERROR b\x1b[31m'")


def test_long_message_is_cut() -> None:
    made = record("x" * 70000)
    assert LineFormatter().format(made).endswith("x... (70000 characters)")
    assert len(str(log_message(made)["msg"])) < 5000


def test_line_becomes_a_vici_event() -> None:
    seen: list[object] = []
    EventHandler(seen.append).handle(record("up", IkeContext("gw", 1, "a/b"), logging.WARNING))
    (message,) = seen
    assert isinstance(message, dict)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", str(message.pop("time")))
    assert message == {
        "group": "ike",
        "level": "0",
        "severity": "warning",
        "thread": "0",
        "ikesa-name": "gw",
        "ikesa-uniqueid": "1",
        "spis": "a/b",
        "msg": "up",
    }
    assert "ikesa-name" not in log_message(record("ready"))


def test_event_s_names_are_its_context_and_not_repeated() -> None:
    event = IkeSaDown(IKE, DownReason.PEER)
    assert str(context_of(event)) == "[ike=gw 5ad1c0de.../08c2fee1...] "
    assert message_of(event) == "IKE SA down, closed by the peer"
    assert str(context_of(PathWanted("gw", "net"))) == "[ike=gw] "
    assert message_of(PathWanted("gw", "net")) == "net is to be up"
    assert context_of(Dropped(PATH, "no such SPI")) is None


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (IkeSaDown(IKE, DownReason.LOCAL), logging.INFO),
        (IkeSaDown(IKE, DownReason.UNREACHABLE), logging.WARNING),
        (Refused(ike=IKE, what="IKE SA", by_peer=True, notify="X", why=""), logging.WARNING),
        (Dropped(PATH, "no such SPI"), logging.DEBUG),
    ],
)
def test_severity(event: IkeSaDown | Refused | Dropped, level: int) -> None:
    assert level_of(event) == level


def test_counters_have_readable_names() -> None:
    assert counter_of(IkeSaDown(IKE, DownReason.PEER)) == "ike_sa_down"


def test_supervisor_is_told_if_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_supervisor("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    tell_supervisor("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(5)
        supervisor.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_supervisor("READY=1")
        assert supervisor.recv(100) == b"READY=1"


def test_cookies_that_we_demand_of_a_flood_do_not_fill_the_log() -> None:
    assert level_of(CookieDemanded(IKE, by_peer=False, path=PATH)) == logging.DEBUG
    assert level_of(CookieDemanded(IKE, by_peer=True, path=PATH)) == logging.INFO
