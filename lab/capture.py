"""What can be read on a wire."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.namespace import Namespace
from lab.process import PATIENCE_S, Child
from lab.traffic import program


@dataclass(frozen=True, slots=True)
class Overheard:
    """What an eavesdropper saw."""

    packets: Mapping[str, int]
    """Packets by kind: IKE, ESP, ESP in UDP, NAT keepalive, ICMP, TCP, UDP, other."""
    octets: Mapping[str, int]
    """Octets of their frames, by kind."""
    seen: Mapping[str, int]
    """How often each string that was looked for came by in the clear."""
    samples: Mapping[str, str]
    """The beginning of the first long frame of each kind, in hexadecimal."""
    unasked: int
    """Answers to a ping, in the clear, whose question did not come by in the clear."""
    missed: int
    """Frames that came too fast for the eavesdropper."""

    @property
    def esp(self) -> int:
        """ESP packets, in UDP or not."""
        return self.packets.get("ESP", 0) + self.packets.get("ESP in UDP", 0)


class Tap:
    """A running eavesdropper.

    Args:
        child: The program.
    """

    def __init__(self, child: Child) -> None:
        self._child = child
        child.wait_for_log("listening")

    def wait_for(self, kind: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until a packet of a kind came by.

        Raises:
            LabError: None did.
        """
        self._child.wait_for_log(rf"saw {re.escape(kind)}\n", timeout_s)

    def finish(self) -> Overheard:
        """Stop listening and tell."""
        self._child.interrupt()
        self._child.wait(PATIENCE_S)
        return Overheard(**json.loads(self._child.log().strip().splitlines()[-1]))


@contextmanager
def tap(namespace: Namespace, device: str, log: Path, needles: tuple[str, ...] = ()) -> Iterator[Tap]:
    """Listen on a device.

    Args:
        namespace: Where the device is.
        device: Its name.
        log: File for the program's output.
        needles: Strings to look for in every frame.
    """
    with namespace.spawn("eavesdropper", *program("eavesdrop", device, *needles), log=log) as child:
        yield Tap(child)
