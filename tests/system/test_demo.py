"""The demo works by itself, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.process import PATIENCE_S, Child, until

ROOT = Path(__file__).parents[2]
MARK = "PERILUNE_TEST_MARK"

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        reason = "namespaces want root"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def marked(mark: str) -> list[str]:
    """Command lines of the processes that inherited a mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@contextmanager
def demo(tmp_path: Path) -> Iterator[tuple[Child, str]]:
    mark, files = uuid.uuid4().hex, tmp_path / "t"
    files.mkdir()
    env = {MARK: mark, "TMPDIR": str(files), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with Child("demo", [sys.executable, "-m", "demo"], tmp_path / "log", env) as child:
        yield child, mark


def nothing_is_left(mark: str) -> None:
    try:
        until(lambda: not marked(mark), PATIENCE_S, "every process to end")
    except LabError:
        pytest.fail(f"still there: {marked(mark)}")


def test_ends_well(tmp_path: Path) -> None:
    with demo(tmp_path) as (child, mark):
        assert child.wait(200.0) == 0, child.log()
    assert "All of it worked" in child.log()
    nothing_is_left(mark)
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ended_in_the_middle(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with demo(tmp_path) as (child, mark):
        child.wait_for_log("Two gateways start")
        os.kill(child.pid, number)
        assert child.wait(PATIENCE_S) == code, child.log()
    nothing_is_left(mark)
    assert list((tmp_path / "t").iterdir()) == []


def test_killed_in_the_middle(tmp_path: Path) -> None:
    with demo(tmp_path) as (child, mark):
        child.wait_for_log("Two gateways start")
        child.kill()
    nothing_is_left(mark)


def test_not_allowed() -> None:
    """Without the right to anything it says what to do."""
    limit = "echo 0 > /proc/sys/user/max_user_namespaces"
    demo = f"exec setpriv --bounding-set=-all --inh-caps=-all {sys.executable} -m demo"
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", f"{limit}; {demo}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "What helps" in done.stdout
    assert "Traceback" not in done.stderr
