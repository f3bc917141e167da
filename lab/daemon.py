"""What our daemon and strongSwan's have in common: a program, a log, and a VICI socket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from lab.errors import LabError
from lab.namespace import Namespace
from lab.process import PATIENCE_S, Child, until
from lab.vici import ChildSa, Control, IkeSa

T = TypeVar("T")


class IkeDaemon(ABC):
    """One IKE daemon in a namespace.

    Args:
        namespace: Where it runs.
        directory: Its own; created if need be. Configuration, socket and log are in it.
    """

    kind = "daemon"

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.namespace = namespace
        self.directory = directory
        self.socket_path = directory / "vici"
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def child(self) -> Child:
        """The running program.

        Raises:
            LabError: It was not started.
        """
        if self._child is None:
            raise LabError(f"{self.kind} in {self.namespace.name} does not run")
        return self._child

    def start(self) -> None:
        """Start it and wait until it takes commands."""
        self.socket_path.unlink(missing_ok=True)
        self._child = self._spawn()
        until(self._is_ready, PATIENCE_S, f"{self._child.name} to take commands")
        self._load()

    def stop(self) -> int:
        """Let it end as on a shutdown of the machine.

        Returns:
            Its exit code.
        """
        return self.child.terminate(PATIENCE_S) if self._child else 0

    def kill(self) -> None:
        """End it as a crash does: nothing is said to the peer."""
        self.child.kill()

    def control(self, timeout_s: float = PATIENCE_S) -> Control:
        """A new connection to it."""
        return Control(self.socket_path, timeout_s)

    def initiate(self, child: str, timeout_s: float = PATIENCE_S) -> None:
        """Set a child up, and the IKE SA that it needs.

        Args:
            child: Its name.
            timeout_s: How long it may take.

        Raises:
            LabError: It did not work out, with the daemon's reason.
        """
        with self.control(timeout_s + 3) as control:
            control.request("initiate", child=child, timeout=int(timeout_s * 1000), loglevel=0)

    def terminate(self, ike: str, timeout_s: float = PATIENCE_S) -> None:
        """Delete the IKE SAs of a connection, and their children with them."""
        with self.control(timeout_s + 3) as control:
            control.request("terminate", ike=ike, timeout=int(timeout_s * 1000))

    def terminate_if_there(self, ike: str) -> None:
        """The same, where it may be that there is none."""
        if self.ike_sas(ike):
            self.terminate(ike)

    def rekey_child(self, child: str) -> None:
        """Replace the Child SAs with that name."""
        with self.control() as control:
            control.request("rekey", child=child)

    def rekey_ike(self, connection: str) -> None:
        """Replace the IKE SAs of a connection."""
        with self.control() as control:
            control.request("rekey", ike=connection)

    def ike_sas(self, connection: str = "") -> list[IkeSa]:
        """The IKE SAs, all or those of one connection."""
        with self.control() as control:
            return [sa for sa in control.list_sas() if not connection or sa.name == connection]

    def child_sas(self, child: str = "") -> list[ChildSa]:
        """The Child SAs, all or those with one name."""
        return [sa for ike in self.ike_sas() for sa in ike.children if not child or sa.name == child]

    def wait_for_child(self, child: str, timeout_s: float = PATIENCE_S) -> ChildSa:
        """Wait until a child is installed."""

        def installed() -> ChildSa | None:
            return next((sa for sa in self.child_sas(child) if sa.state == "INSTALLED"), None)

        return self.wait(installed, timeout_s, f"child {child} to be installed")

    def wait(self, condition: Callable[[], T | None], timeout_s: float, what: str) -> T:
        """Wait for a state; the error has the end of the log."""
        try:
            return until(condition, timeout_s, what)
        except LabError as error:
            raise LabError(f"{error}\n{self.child.tail()}") from None

    def log(self) -> str:
        """Everything that it has logged so far."""
        return self.child.log()

    def _is_ready(self) -> bool:
        if self.child.returncode is not None:
            raise LabError(f"{self.child.name} ended with {self.child.returncode}\n{self.child.tail()}")
        try:
            with self.control(2.0) as control:
                control.request("version")
        except LabError:
            return False
        return True

    @abstractmethod
    def _spawn(self) -> Child:
        """Start the program."""

    @abstractmethod
    def _load(self) -> None:
        """Give it its configuration, where that takes a command."""
