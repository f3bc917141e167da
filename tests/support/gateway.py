"""A `Runtime` in a process of its own, in a network namespace.

The process answers calls of the runtime's methods over a pipe; it ends when the pipe closes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from lab.namespace import DEATH_WITH_US, Namespace
from perilune.databases.changes import Change
from perilune.dataplane.events import Event
from perilune.dataplane.runtime import RuntimeSettings
from perilune.dataplane.stats import DataPlaneStats
from perilune.model.address import Path
from perilune.model.time import Instant

E = TypeVar("E")
TIMEOUT_S: Final = 60.0
PROGRAM: Final = FilePath(__file__).with_name("gateway_process.py")


def now() -> Instant:
    """The clock that a runtime has, in every process the same."""
    return Instant(time.monotonic_ns())


class Gateway:
    """The far end of the pipe.

    Args:
        connection: Our end of the pipe.
        device_name: Name of the runtime's device.
        process: The runtime's process.
    """

    def __init__(self, connection: Connection, process: subprocess.Popen[bytes]) -> None:
        self._connection = connection
        self.process = process
        self.device_name = str(self._answer())

    def apply(self, changes: Sequence[Change]) -> None:
        self._call("apply", list(changes), now())

    def take_events(self) -> list[Event]:
        events: list[Event] = self._call("take_events")
        return events

    def wait_for(self, kind: type[E], timeout_s: float = TIMEOUT_S) -> E:
        """Return the first event of a kind; the runtime's descriptor says when there are any."""
        deadline, others = time.monotonic() + timeout_s, []
        while (left := deadline - time.monotonic()) > 0:
            self._call("wait", left)
            for event in self.take_events():
                if isinstance(event, kind):
                    return event
                others.append(event)
        raise AssertionError(f"no {kind.__name__} in {timeout_s:g} s, only {others}")

    def stats(self) -> DataPlaneStats:
        stats: DataPlaneStats = self._call("stats")
        return stats

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        self._call("send_ike", message, path, encapsulated=encapsulated)

    def send_keepalive(self, path: Path) -> None:
        self._call("send_keepalive", path)

    def close(self) -> None:
        self._call("close")

    def cpu_s(self) -> float:
        """CPU seconds of the process so far."""
        seconds: float = self._call("cpu_s")
        return seconds

    def _call(self, method: str, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - differs by method
        self._connection.send((method, args, kwargs))
        return self._answer()

    def _answer(self) -> object:
        assert self._connection.poll(TIMEOUT_S + 5), f"no answer, process exit: {self.process.poll()}"
        answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


@contextmanager
def gateway(namespace: Namespace, settings: RuntimeSettings) -> Iterator[Gateway]:
    """Start a runtime in a namespace, and end it."""
    ours, theirs = Pipe()
    argv = namespace.command(*DEATH_WITH_US, sys.executable, str(PROGRAM), str(theirs.fileno()))
    with ours, subprocess.Popen(argv, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        try:
            ours.send(settings)
            yield Gateway(ours, process)
        finally:
            ours.close()
            try:
                process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
    assert process.returncode == 0
