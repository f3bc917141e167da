"""Traffic between hosts, with an account of what arrived."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Namespace
from lab.process import PATIENCE_S, Child

ROOT = Path(__file__).parents[1]
TRANSFER_PORT = 7001
ECHO_PORT = 7002
WEB_PORT = 8080


def program(name: str, *arguments: str) -> list[str]:
    """Command line of one of the programs in `lab/programs`."""
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, "-s", "-m", f"lab.programs.{name}", *arguments]


@contextmanager
def services(namespace: Namespace, directory: Path) -> Iterator[Child]:
    """Offer transfers, the echo and the web page in a namespace.

    Args:
        namespace: Where.
        directory: Is served as web page; the log goes beside it.
    """
    log = directory.with_name(f"{directory.name}-{namespace.name}-services.log")
    ports = map(str, (TRANSFER_PORT, ECHO_PORT, WEB_PORT))
    with namespace.spawn("services", *program("services", str(directory), *ports), log=log) as child:
        child.wait_for_log("ready")
        yield child


@dataclass(frozen=True, slots=True)
class Transferred:
    """What one transfer each way moved; the checksums at both ends were equal."""

    up_octets: int
    """Octets from the client to the server."""
    down_octets: int
    """Octets from the server to the client."""
    seconds: float
    """Time it took."""

    @property
    def megabit_per_s(self) -> float:
        """Payload of both directions together, in 10**6 bit/s."""
        return (self.up_octets + self.down_octets) * 8 / self.seconds / 1e6


@dataclass(frozen=True, slots=True)
class Echoed:
    """What became of a stream of numbered datagrams."""

    sent: int
    """Datagrams sent."""
    received: int
    """Datagrams that came back at least once."""
    lost: int
    """Datagrams that never came back."""
    duplicates: int
    """Datagrams that came back once more than they should."""
    refused: int
    """Errors that the socket reported, such as ICMP unreachable."""
    longest_silence_ms: float
    """Longest time between two that came back."""
    round_trip_ms: float
    """Median round trip time."""


def transfer(namespace: Namespace, target: str, megabytes: float, timeout_s: float = 200.0) -> Transferred:
    """Move random octets to the services at `target` and back at the same time.

    Raises:
        LabError: Octets were lost or changed, or it did not end in time.
    """
    octets = str(int(megabytes * 1_000_000))
    command = program("transfer", target, str(TRANSFER_PORT), octets)
    return _transferred(namespace.run(*command, timeout_s=timeout_s, check=False).stdout)


def _transferred(text: str) -> Transferred:
    report = json.loads(text or "{}")
    equal = all(
        report.get(f"{way}_sha256") and report[f"{way}_sha256"] == report[f"{way}_sha256_seen"]
        for way in ("up", "down")
    )
    if not equal:
        raise LabError(f"the transfer failed: {report}")
    return Transferred(report["up_octets"], report["down_octets"], report["seconds"])


def ping(namespace: Namespace, target: str, count: int = 3, wait_s: float = 10.0) -> int:
    """Send ICMP echo requests, one after the other.

    Args:
        namespace: Where they come from.
        target: Where they go.
        count: How many.
        wait_s: Longest time to wait for each answer. A ping that sends several waits for the last ones only
            about as long as for the first, which a busy machine makes too short.

    Returns:
        How many were answered.
    """
    one = f"ping -n -q -c 1 -W {wait_s:g} {target} >/dev/null 2>&1"
    script = f"n=0; for i in $(seq {count}); do {one} && n=$((n+1)); done; echo $n"
    return int(namespace.run("sh", "-c", script, timeout_s=count * (wait_s + 1) + PATIENCE_S).stdout)


@contextmanager
def flood(namespace: Namespace, target: str, log: Path) -> Iterator[Child]:
    """Send an ICMP echo request every millisecond, answered or not.

    Args:
        namespace: Where they come from.
        target: Where they go.
        log: File for what ping says.
    """
    with namespace.spawn("flood", "ping", "-n", "-q", "-i", "0.001", target, log=log) as child:
        yield child


def datagrams(
    namespace: Namespace, target: str, count: int, interval_ms: float = 2.0, octets: int = 64
) -> Echoed:
    """Send numbered datagrams to the echo at `target` and account for them."""
    words = (target, str(ECHO_PORT), str(interval_ms), str(count), str(octets))
    limit_s = count * interval_ms / 1e3 + PATIENCE_S
    return Echoed(**json.loads(namespace.run(*program("datagrams", *words), timeout_s=limit_s).stdout))


def icmp_error(namespace: Namespace, target: str, kind: tuple[int, int], number: int, packet: bytes) -> None:
    """Send one ICMP error of IPv4, forged or not.

    Args:
        namespace: Where it comes from.
        target: Who gets it.
        kind: Its type and code.
        number: What is in its second word, such as an MTU.
        packet: What it quotes.
    """
    words = (target, *map(str, kind), str(number), packet.hex())
    namespace.run(*program("icmp_error", *words))


class Background:
    """Traffic that goes on until it is stopped.

    Args:
        child: One of the programs, which ends and reports on SIGINT.
    """

    def __init__(self, child: Child) -> None:
        self.child = child
        child.wait_for_log("started")

    def stop(self, timeout_s: float = PATIENCE_S) -> str:
        """Stop it.

        Returns:
            Its report, a JSON object.
        """
        self.child.interrupt()
        self.child.wait(timeout_s)
        return self.child.log().strip().splitlines()[-1]


class TransferStream(Background):
    """Random octets both ways as fast as they go."""

    def finish(self) -> Transferred:
        """Stop it and compare the checksums.

        Raises:
            LabError: Octets were lost or changed.
        """
        return _transferred(self.stop())


class DatagramStream(Background):
    """Numbered datagrams at a steady pace."""

    def finish(self) -> Echoed:
        """Stop it and account for them."""
        return Echoed(**json.loads(self.stop()))


@contextmanager
def transfer_stream(namespace: Namespace, target: str, logs: Path) -> Iterator[TransferStream]:
    """Keep a transfer going in the background.

    Args:
        namespace: Where the client is.
        target: Address of a host with services.
        logs: Directory.
    """
    words = program("transfer", target, str(TRANSFER_PORT), "0")
    with namespace.spawn("transfer", *words, log=_fresh(logs, "transfer")) as child:
        yield TransferStream(child)


@contextmanager
def datagram_stream(
    namespace: Namespace, target: str, logs: Path, interval_ms: float = 5.0
) -> Iterator[DatagramStream]:
    """Keep numbered datagrams going in the background; the arguments are those of a transfer."""
    words = program("datagrams", target, str(ECHO_PORT), str(interval_ms), "0")
    with namespace.spawn("datagrams", *words, log=_fresh(logs, "datagrams")) as child:
        yield DatagramStream(child)


def _fresh(logs: Path, name: str) -> Path:
    return logs / f"{name}-{os.urandom(3).hex()}.log"
