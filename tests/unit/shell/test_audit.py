"""The audit log on a disc: restarts, full discs, files that are put aside or tampered with."""

from __future__ import annotations

import logging
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path as FilePath

import pytest

from perilune.agent.audit.chain import Head, decode_line
from perilune.agent.audit.record import AuditRecord
from perilune.agent.audit.verify import Flaw, Verifier
from perilune.model.errors import LocalError, ResourceError
from perilune.shell import audit
from perilune.shell.audit import AuditLog
from perilune.shell.audit_end import older_files, read_head
from perilune.shell.audit_file import head_path

STARTED, STOPPED = AuditRecord("log_started"), AuditRecord("log_stopped")


@contextmanager
def running(path: FilePath, largest_octets: int = 0) -> Iterator[AuditLog]:
    log = AuditLog(path, largest_octets)
    log.open(STARTED)
    yield log
    log.close(STOPPED)


DAEMON = """
import signal, sys
from pathlib import Path
from perilune.agent.audit.record import AuditRecord
from perilune.shell.audit import AuditLog
log = AuditLog(Path(sys.argv[1]), 0)
log.open(AuditRecord("log_started"))
log.add(AuditRecord("sa_added"))
print("written", flush=True)
signal.pause()
"""


def flaws(path: FilePath, *heads: Head) -> list[Flaw]:
    """What a verification finds, against the head beside the log and others."""
    beside = read_head(head_path(path))
    verifier = Verifier((*heads, *([beside] if beside else [])))
    for file in [*older_files(path), path]:
        verifier.read(str(file), file.read_bytes().splitlines(keepends=True))
    return [finding.flaw for finding in verifier.finish()]


def events(path: FilePath) -> list[str]:
    lines = [line for file in [*older_files(path), path] for line in file.read_bytes().splitlines()]
    return [decode_line(line)["event"] for line in lines]


@pytest.fixture
def path(tmp_path: FilePath) -> FilePath:
    return tmp_path / "audit.log"


def test_chain_goes_on_behind_a_restart(path: FilePath) -> None:
    for _ in range(3):
        with running(path) as log:
            log.add(AuditRecord("sa_added", {"spi": "0xc0ffee01"}))
    assert events(path) == ["log_started", "sa_added", "log_stopped"] * 3
    assert flaws(path) == []
    assert read_head(head_path(path)) == log.state.head
    assert log.state.head.number == 9


def test_files_are_their_owner_s_alone(path: FilePath) -> None:
    with running(path):
        for file in (path, head_path(path)):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_times_are_those_of_the_events(path: FilePath) -> None:
    then = datetime(2026, 11, 21, 3, 4, 5, 6, UTC)
    with running(path) as log:
        log.add(AuditRecord("packet_dropped"), then)
    assert decode_line(path.read_bytes().splitlines()[1])["time"] == "2026-11-21T03:04:05.000006+00:00"


def test_killed_daemon_leaves_a_log_that_is_whole(path: FilePath) -> None:
    with subprocess.Popen([sys.executable, "-c", DAEMON, str(path)], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"written\n"
        daemon.kill()
    assert flaws(path) == []
    with running(path):
        pass
    assert events(path) == ["log_started", "sa_added", "log_started", "log_stopped"]
    assert flaws(path) == []


def test_line_that_a_crash_tore_is_cut_off_and_told(path: FilePath) -> None:
    with running(path):
        pass
    with path.open("ab") as file:
        file.write(b'{"n":3,"time":"20')
    assert flaws(path) == [Flaw.TORN]
    with running(path):
        pass
    assert events(path)[2:] == ["log_started", "log_repaired", "log_stopped"]
    assert flaws(path) == []


def test_end_that_is_missing_at_a_start_is_written_down(
    path: FilePath, caplog: pytest.LogCaptureFixture
) -> None:
    with running(path) as log:
        log.add(AuditRecord("authentication_failed"))
    last = log.state.head
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    assert flaws(path) == [Flaw.TRUNCATED]
    with running(path):
        assert "the log ended with record 1, and 3 had been written" in caplog.text
    assert events(path) == ["log_started", "log_started", "log_gap", "log_stopped"]
    assert flaws(path) == [Flaw.GAP]
    assert Flaw.REPLACED in flaws(path, last)


def test_log_that_vanished_goes_on_behind_what_was_remembered(path: FilePath) -> None:
    with running(path) as log:
        pass
    path.unlink()
    with running(path):
        pass
    assert flaws(path, log.state.head) == [Flaw.NO_BEGINNING, Flaw.GAP]
    assert decode_line(path.read_bytes().splitlines()[0])["n"] == 3


def test_last_line_that_was_changed_is_told(path: FilePath) -> None:
    with running(path):
        pass
    path.write_bytes(path.read_bytes().replace(b"log_stopped", b"log_stopprd"))
    assert flaws(path) == [Flaw.REPLACED]
    with running(path):
        pass
    assert flaws(path) == [Flaw.GAP]
    path.write_bytes(b"nonsense\n")
    with running(path):
        pass
    assert flaws(path) == [Flaw.ALTERED]


def test_large_file_is_put_aside_and_the_chain_goes_on(path: FilePath) -> None:
    with running(path, largest_octets=1000) as log:
        for _ in range(30):
            log.add(AuditRecord("sa_added", {"spi": "0xc0ffee01"}))
    aside = older_files(path)
    assert len(aside) > 3
    for file in [*aside, path]:
        assert file.stat().st_size < 1400
    first = decode_line(aside[1].read_bytes().splitlines()[0])
    assert aside[1].name == f"audit.log.{first['n']:011}"
    assert flaws(path) == []
    path.unlink()
    with running(path, largest_octets=1000):
        pass
    assert Flaw.GAP in flaws(path)


def test_start_without_the_newest_file_goes_on_behind_the_older_one(path: FilePath) -> None:
    with running(path) as log:
        log.add(AuditRecord("sa_added"))
    path.rename(path.with_name("audit.log.00000000001"))
    with running(path):
        pass
    assert flaws(path) == []


def test_file_that_somebody_put_aside_is_followed(path: FilePath) -> None:
    with running(path) as log:
        path.rename(path.with_name("audit.log.00000000001"))
        log.add(AuditRecord("sa_added"))
        assert events(path) == ["log_started", "sa_added"]
        assert len(path.read_bytes().splitlines()) == 1
    assert flaws(path) == []


def test_file_that_somebody_emptied_is_told(path: FilePath, caplog: pytest.LogCaptureFixture) -> None:
    with running(path) as log:
        path.write_bytes(b"")
        log.add(AuditRecord("sa_added"))
    assert "has 0 octets, where" in caplog.text
    assert flaws(path) == [Flaw.NO_BEGINNING, Flaw.GAP]


def fill(log: AuditLog) -> None:
    """Make a log longer than whatever else this process writes meanwhile."""
    while log.state.path.stat().st_size < 1 << 20:
        log.add(AuditRecord("filling", {"text": "x" * 4096}))


@contextmanager
def disc_of(octets: int) -> Iterator[None]:
    """Let no file become longer than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disc_is_told_and_loses_nothing(path: FilePath, caplog: pytest.LogCaptureFixture) -> None:
    with running(path) as log:
        fill(log)
        with disc_of(path.stat().st_size + 50):
            for number in range(5):
                log.add(AuditRecord("sa_added", {"number": number}))
            log.flush()
            assert caplog.text.count("audit records wait") == 1
            assert (log.state.waiting, log.state.lost) == (5, 0)
            assert "cannot write" in log.state.failure
        log.flush()
        assert "can be written again" in caplog.text
        assert (log.state.waiting, log.state.failure) == (0, "")
    assert events(path)[-7:] == ["filling", *["sa_added"] * 5, "log_stopped"]
    assert flaws(path) == []


def test_what_finds_no_room_is_counted(path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_WAITING", 4)
    with running(path) as log:
        fill(log)
        with disc_of(path.stat().st_size):
            for _ in range(10):
                log.add(AuditRecord("sa_added"))
            assert (log.state.waiting, log.state.lost) == (4, 6)
        log.flush()
    lost = decode_line(path.read_bytes().splitlines()[-2])
    assert (lost["event"], lost["count"]) == ("records_lost", 6)
    assert flaws(path) == [Flaw.GAP]


def test_disc_that_stays_full_is_told_at_the_end(path: FilePath, caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(path, 0)
    log.open(STARTED)
    fill(log)
    with disc_of(path.stat().st_size + 10), caplog.at_level(logging.ERROR):
        log.close(STOPPED)
    assert "1 audit records were never written" in caplog.text


def test_second_writer_is_refused(path: FilePath) -> None:
    with running(path), pytest.raises(ResourceError, match="another daemon writes to it"):
        AuditLog(path, 0).open(STARTED)


@pytest.mark.parametrize("name", ["missing/audit.log", "."])
def test_log_that_cannot_be_opened_is_told(tmp_path: FilePath, name: str) -> None:
    with pytest.raises(ResourceError, match="cannot open"):
        AuditLog(tmp_path / name, 0).open(STARTED)


def test_link_is_not_followed(path: FilePath) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(ResourceError, match="cannot open"):
        AuditLog(path, 0).open(STARTED)


def test_head_that_is_none_is_told(path: FilePath, caplog: pytest.LogCaptureFixture) -> None:
    with running(path):
        pass
    head_path(path).write_text("nonsense")
    with pytest.raises(LocalError, match="is no head"):
        read_head(head_path(path))
    with running(path):
        assert "is no head of an audit log" in caplog.text
    assert flaws(path) == []


def test_disc_keeps_what_was_written(path: FilePath) -> None:
    with running(path) as log:
        keep = log.sync()
        assert keep is not None
        keep()
        assert log.sync() is None
