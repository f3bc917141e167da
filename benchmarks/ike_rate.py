"""IKE set-ups: how many a second of CPU time, IKE SA and Child SA together.

Two daemons of a kind, PSK, X25519, AES-GCM, one connection for each set-up so that none joins an IKE SA that
is there already. The Child SAs carry no traffic.
"""

from __future__ import annotations

import statistics
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from benchmarks.bed import OTHER, OUTER
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

CHARON_SETTINGS = "reuse_ikesa = no\ndos_protection = no\nthreads = 32"
OUR_SETTINGS = "daemon {\n  install_routes = no\n  half_open_cookie_threshold = 10000\n}\n"
KINDS = ("perilune", "strongSwan")
PARALLEL = (1, 8)
"""How many set-ups at once."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One round of one kind of daemon."""

    per_s: float
    """Set-ups per second of the clock, both ends on this machine."""
    initiator_cpu_ms: float
    """CPU time of the initiator for one, in milliseconds."""
    responder_cpu_ms: float
    """CPU time of the responder for one, in milliseconds."""
    latency_ms: float
    """Median time of one, in milliseconds."""
    failed: int
    """Set-ups that did not work out."""

    @property
    def per_cpu_s(self) -> float:
        """Set-ups per second of CPU time of both ends together."""
        return 1e3 / (self.initiator_cpu_ms + self.responder_cpu_ms)


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
            more="        policies = no\n" if kind == "strongSwan" else "",
        )
        for number in range(count)
    )
    text = f"connections {{\n{connections}}}\n{SECRETS}"
    return text + (OUR_SETTINGS if kind == "perilune" else "")


def daemon(kind: str, namespace: Namespace, directory: Path, text: str) -> IkeDaemon:
    """A daemon that sets up as fast as it can."""
    if kind == "strongSwan":
        return StrongSwan(namespace, directory, text, CHARON_SETTINGS, filelog_level=0)
    return Perilune(namespace, directory, text, log_level="warning")


def measure(kind: str, sides: dict[str, Namespace], directory: Path, count: int, parallel: int) -> Rate:
    """Set `count` tunnels up, `parallel` at a time.

    Raises:
        LabError: Not even one worked.
    """
    with ExitStack() as stack:
        daemons = {
            side: stack.enter_context(
                daemon(kind, sides[side], directory / side, config(side, count + 1, kind))
            )
            for side in "ba"
        }
        daemons["a"].initiate(f"k{count}")  # a first one, so that nothing is loaded on the way
        left: SimpleQueue[int] = SimpleQueue()
        for number in range(count):
            left.put(number)
        before = {side: one.child.scheduled_s() for side, one in daemons.items()}
        start = time.monotonic()
        latencies, failures = _work_off(daemons["a"], left, parallel)
        took = time.monotonic() - start
        cpu = {side: one.child.scheduled_s() - before[side] for side, one in daemons.items()}
    if not latencies:
        raise LabError(f"no set-up worked: {failures[0]}")
    done = len(latencies)
    return Rate(
        per_s=done / took,
        initiator_cpu_ms=cpu["a"] / done * 1e3,
        responder_cpu_ms=cpu["b"] / done * 1e3,
        latency_ms=statistics.median(latencies) * 1e3,
        failed=len(failures),
    )


def _work_off(initiator: IkeDaemon, left: SimpleQueue[int], parallel: int) -> tuple[list[float], list[str]]:
    latencies: list[float] = []
    failures: list[str] = []

    def work() -> None:
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

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, failures
