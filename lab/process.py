"""Programs that run in the background, with a log, an end, and no sleeping while waiting for them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lab.errors import LabError

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long to wait for what is to happen soon, in seconds; only what is broken takes so long."""

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], T | None], timeout_s: float, what: str, every_s: float = 0.03) -> T:
    """Ask again and again until the answer is true.

    Args:
        condition: Is called until it returns something true.
        timeout_s: How long to go on asking, in seconds.
        what: What is waited for, for the error's text.
        every_s: Pause between two questions, in seconds.

    Returns:
        The first true answer.

    Raises:
        LabError: The time is over.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() >= deadline:
            raise LabError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(every_s)


class Child:
    """A program in the background.

    It is killed by the kernel when the thread that started it ends, so start it from the main thread.

    Args:
        name: For messages.
        argv: The command; its first word is looked up in PATH.
        log: File that gets its standard output and error; the directory must exist.
        env: Added to our environment.
        pass_fds: Descriptors of ours that it gets, under the same numbers.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log_path = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, minus the signal's number that ended it, or None while it runs."""
        return self._popen.poll()

    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern: str, timeout_s: float = PATIENCE_S, after: int = 0) -> re.Match[str]:
        """Wait until a line of its log matches.

        Args:
            pattern: Regular expression, searched for in the whole log.
            timeout_s: In seconds.
            after: Characters of the log to leave out, as counted by `len(child.log())` before.

        Raises:
            LabError: It ended, or the time is over; the end of the log is in the text.
        """

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log()[after:])
            if found is None and self.returncode is not None:
                raise LabError(f"{self.name} ended with {self.returncode}: {self.tail()}")
            return found

        try:
            return until(look, timeout_s, f"{self.name} to log {pattern!r}")
        except LabError as error:
            raise LabError(f"{error}\n{self.tail()}") from None

    def tail(self, lines: int = 25) -> str:
        """The last lines of its log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def wait(self, timeout_s: float) -> int:
        """Wait for its end.

        Returns:
            The exit code.

        Raises:
            LabError: It still runs after `timeout_s` seconds.
        """
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {timeout_s:g} s\n{self.tail()}") from None

    def interrupt(self) -> None:
        """Send it SIGINT, as Ctrl-C would."""
        if self.returncode is None:
            self._popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, without a chance to say goodbye."""
        self._popen.kill()
        self._popen.wait()

    def terminate(self, grace_s: float = 4.0) -> int:
        """Ask it to end, and insist after `grace_s` seconds.

        Returns:
            Its exit code.
        """
        if self.returncode is None:
            self._popen.terminate()
            try:
                self._popen.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def cpu_s(self) -> float:
        """CPU time so far in seconds, user and system, all threads; a clock tick (10 ms) is its grain."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S

    def scheduled_s(self) -> float:
        """CPU time so far of the threads that live now, by the scheduler's own sum in nanoseconds."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def resident_octets(self) -> int:
        """Memory that it has in use now (RSS)."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
