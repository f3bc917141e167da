"""Two IKE daemons of a kind with many connections, and set-ups between them.

PSK, X25519, AES-256-GCM, one connection for each set-up, so that none joins an IKE SA that is there already.
The Child SAs carry no traffic.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from benchmarks.bed import OTHER, OUTER, Bed
from lab.daemon import IkeDaemon
from lab.errors import LabError
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.strongswan import StrongSwan

CONNECTION = """\
  c{number} {{
    version = 2
    mobike = no
    rekey_time = 0
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = aes256gcm16-prfsha256-x25519
    local {{
      auth = psk
      id = c{number}.{side}.bench
    }}
    remote {{
      auth = psk
      id = c{number}.{other}.bench
    }}
    children {{
      k{number} {{
        esp_proposals = aes256gcm16
        rekey_time = 0
        local_ts = {inner}/32
        remote_ts = {other_inner}/32
{more}      }}
    }}
  }}
"""

SECRETS = """\
secrets {
  ike {
    secret = "measured, not guessed"
  }
}
"""

OURS, CHARON = "perilune", "strongSwan"
KINDS = (OURS, CHARON)
UNDEFENDED = {
    OURS: "daemon {\n  install_routes = no\n  half_open_cookie_threshold = 10000\n}\n",
    CHARON: "reuse_ikesa = no\ndos_protection = no\nthreads = 32",
}
"""So that set-ups from one address are not taken for an attack."""
DEFENDED = {OURS: "daemon {\n  install_routes = no\n}\n", CHARON: "reuse_ikesa = no\nthreads = 32"}
"""As they come: cookies when there are many half-open IKE SAs."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two daemons that run."""

    initiator: IkeDaemon
    responder: IkeDaemon

    def set_up(self, numbers: Iterable[int], parallel: int = 1) -> tuple[list[float], list[str]]:
        """Set connections up, so many at a time.

        Returns:
            The seconds that each took, and the reasons of those that did not work.
        """
        left: SimpleQueue[int] = SimpleQueue()
        for number in numbers:
            left.put(number)
        latencies: list[float] = []
        failures: list[str] = []
        arguments = (self.initiator, left, latencies, failures)
        threads = [threading.Thread(target=_work_off, args=arguments) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return latencies, failures


@contextmanager
def pair(
    kind: str, bed: Bed, directory: Path, count: int, settings: dict[str, str] = UNDEFENDED
) -> Iterator[Pair]:
    """Start two daemons with `count` connections, numbered from 0, of one child each.

    A further one is set up, so that nothing is loaded later on the way.
    """
    with ExitStack() as stack:
        daemons = {}
        for side in "ba":
            text = config(side, count + 1, kind)
            made = _daemon(kind, bed.sides[side], directory / side, text, settings[kind])
            daemons[side] = stack.enter_context(made)
        daemons["a"].initiate(f"k{count}")
        yield Pair(daemons["a"], daemons["b"])


def config(side: str, count: int, kind: str) -> str:
    """Configuration with `count` connections of one child each."""
    other = OTHER[side]
    network = {"a": 101, "b": 102}
    connections = "".join(
        CONNECTION.format(
            number=number,
            side=side,
            other=other,
            local=OUTER[side],
            remote=OUTER[other],
            inner=f"10.{network[side]}.{number // 250}.{number % 250 + 1}",
            other_inner=f"10.{network[other]}.{number // 250}.{number % 250 + 1}",
            # its user-space ESP wants an address of ours in every selector; without policies it does not
            more="        policies = no\n" if kind == CHARON else "",
        )
        for number in range(count)
    )
    return f"connections {{\n{connections}}}\n{SECRETS}"


def _daemon(kind: str, namespace: Namespace, directory: Path, text: str, settings: str) -> IkeDaemon:
    if kind == CHARON:
        return StrongSwan(namespace, directory, text, settings, filelog_level=0)
    return Perilune(namespace, directory, text + settings, log_level="warning")


def _work_off(
    initiator: IkeDaemon, left: SimpleQueue[int], latencies: list[float], failures: list[str]
) -> None:
    with initiator.control(20.0) as control:
        while True:
            try:
                number = left.get_nowait()
            except Empty:
                return
            start = time.monotonic()
            try:
                names = {"child": f"k{number}", "ike": f"c{number}"}
                control.request("initiate", timeout=10_000, loglevel=0, **names)
                latencies.append(time.monotonic() - start)
            except LabError as error:
                failures.append(str(error))
