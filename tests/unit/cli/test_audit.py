"""`perilune audit`, with the log of a node that answers and with files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import until
from perilune.agent.audit.record import AuditRecord
from perilune.cli.exit_codes import ExitCode
from perilune.cli.main import main
from perilune.shell.audit import AuditLog
from support.nodes import ExampleNode, serving


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    made = AuditLog(tmp_path / "audit.log", 0)
    made.open(AuditRecord("log_started"))
    made.add(AuditRecord("authentication_failed", {"remote": "192.0.2.2[500]", "text": "wrong key"}))
    yield made
    made.close(AuditRecord("log_stopped"))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExampleNode]:
    example = ExampleNode()
    monkeypatch.setenv("PERILUNE_URI", f"unix://{tmp_path}/vici")
    with serving(example, tmp_path / "vici"):
        yield example


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def test_whole_log(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    code, out, err = run(capsys, "audit", "verify", str(log.state.path))
    assert (code, err) == (ExitCode.DONE, "")
    assert out == f"2 records, unbroken\nhead {log.state.head}\n"


def test_changed_line_is_named(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    path = log.state.path
    path.write_bytes(path.read_bytes().replace(b"wrong key", b"right key"))
    code, _, err = run(capsys, "audit", "verify", str(path))
    assert code == ExitCode.NOT_WHOLE
    assert f"{path}:2: replaced: record 2 is not the one that was remembered" in err
    assert "is not whole" in err


def test_cut_log_shows_against_the_daemon_s_memory(
    capsys: pytest.CaptureFixture[str], log: AuditLog, node: ExampleNode
) -> None:
    node.audit_state = log.state
    assert run(capsys, "audit", "verify")[0] == ExitCode.DONE
    first = log.state.path.read_bytes().splitlines(keepends=True)[0]
    log.state.path.write_bytes(first)
    code, _, err = run(capsys, "audit", "verify")
    assert code == ExitCode.NOT_WHOLE
    assert "the log ends with record 1" in err


def test_head_that_a_person_remembers(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    path, other = str(log.state.path), f"2:{'ab' * 32}"
    assert run(capsys, "audit", "verify", path, "--head", str(log.state.head))[0] == ExitCode.DONE
    assert run(capsys, "audit", "verify", path, "--head", other)[0] == ExitCode.NOT_WHOLE
    assert run(capsys, "audit", "verify", path, "--head", "yesterday")[0] == ExitCode.WRONG_USE


def test_log_is_shown_for_people_and_programs(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    path = str(log.state.path)
    _, out, _ = run(capsys, "audit", "show", path)
    assert out.splitlines()[1].endswith('authentication_failed remote=192.0.2.2[500] text="wrong key"')
    _, out, _ = run(capsys, "audit", "show", path, "--json")
    assert [json.loads(line)["n"] for line in out.splitlines()] == [1, 2]


def test_line_that_cannot_be_read_is_shown_as_such(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "other.log"
    path.write_bytes(b"\x1b[31mred\n")
    _, out, _ = run(capsys, "audit", "show", str(path))
    assert out == "(a line that cannot be read: it is no JSON)\n"
    assert run(capsys, "audit", "verify", str(path))[0] == ExitCode.NOT_WHOLE


def test_a_forged_line_only_prints(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, clears = tmp_path / "forged.log", "\x1b[2J\x7f"
    fields = {"n": 1, "time": clears, "event": clears, "previous": "", clears: [clears, "a b"]}
    path.write_text(json.dumps(fields) + "\n")
    _, out, _ = run(capsys, "audit", "show", str(path))
    assert out.removesuffix("\n").isprintable()
    assert out.count("\\u001b[2J\\u007f") == 4


def test_log_is_followed_through_a_new_file(log: AuditLog, tmp_path: Path) -> None:
    path = log.state.path
    output = tmp_path / "output"
    words = [sys.executable, "-m", "perilune", "audit", "show", "--follow", str(path)]
    with output.open("wb") as file, subprocess.Popen(words, stdout=file) as follower:
        try:
            until(lambda: "authentication_failed" in output.read_text(), 60.0, "the lines that are there")
            log.add(AuditRecord("sa_added"))
            path.rename(path.with_name("audit.log.00000000001"))
            log.add(AuditRecord("sa_removed"))
            until(lambda: "sa_removed" in output.read_text(), 60.0, "the lines that came")
        finally:
            follower.kill()
    assert [line.split()[0] for line in output.read_text().splitlines()] == ["1", "2", "3", "4"]


# covers R4302-4-1
def test_daemon_without_a_log_says_so(capsys: pytest.CaptureFixture[str], node: ExampleNode) -> None:
    code, _, err = run(capsys, "audit", "verify")
    assert code == ExitCode.REFUSED
    assert "daemon.audit_log" in err


def test_no_daemon_and_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(capsys, "audit", "show", "--uri", f"unix://{tmp_path}/nobody")[0] == ExitCode.NO_DAEMON
    assert run(capsys, "audit", "verify", f"{tmp_path}/nothing")[0] == ExitCode.WRONG_USE


@pytest.mark.parametrize("words", [("show",), ("show", "--follow"), ("verify",)], ids=" ".join)
def test_log_that_was_taken_away_is_no_traceback(
    capsys: pytest.CaptureFixture[str], log: AuditLog, node: ExampleNode, words: tuple[str, ...]
) -> None:
    node.audit_state = log.state
    log.state.path.unlink()
    code, _, err = run(capsys, "audit", *words)
    assert code == ExitCode.NOT_ALLOWED
    assert f"cannot read {log.state.path}: No such file or directory" in err


def test_empty_log_is_named(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    path = log.state.path
    path.write_bytes(b"")
    code, _, err = run(capsys, "audit", "verify", str(path))
    assert code == ExitCode.NOT_WHOLE
    assert f"{path}: truncated: the log ends with record 0" in err


def test_head_that_is_none_is_named_with_its_file(capsys: pytest.CaptureFixture[str], log: AuditLog) -> None:
    path = log.state.path
    head = path.with_name("audit.log.head")
    head.write_text("nonsense")
    code, _, err = run(capsys, "audit", "verify", str(path))
    assert code == ExitCode.WRONG_USE
    assert f"{head}: 'nonsense' is no head" in err
