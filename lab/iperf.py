"""Throughput by iperf3, where it is installed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Throughput:
    """What TCP connections carried, together."""

    gbit_per_s: float
    """Payload received, in 10**9 bit/s."""
    octets: int
    """Payload received."""
    seconds: float
    """Time it took."""
    retransmits: int
    """Segments sent again."""


def installed() -> bool:
    """Whether iperf3 is there."""
    return shutil.which("iperf3") is not None


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent."""

    seconds: float = 2.0
    """For how long."""
    flows: int = 1
    """Over so many connections at once."""


ONE_FLOW = Load()


def tcp(client: Namespace, server: Namespace, target: str, log: Path, load: Load = ONE_FLOW) -> Throughput:
    """Send as fast as TCP can.

    Args:
        client: Where the data comes from.
        server: Where it goes.
        target: Address of the server.
        log: File for the server's output.
        load: For how long, and over how many connections.

    Raises:
        LabError: iperf3 failed.
    """
    log.unlink(missing_ok=True)
    listen = ("--server", "--one-off", "--bind", target, "--forceflush")
    with server.spawn("iperf3", "iperf3", *listen, log=log) as child:
        child.wait_for_log("Server listening")
        send = ("--client", target, "--time", f"{load.seconds:g}", "--parallel", str(load.flows))
        more = ("--json", "--connect-timeout", "4000")
        text = client.run("iperf3", *send, *more, timeout_s=load.seconds + 20, check=False).stdout
    try:
        end = json.loads(text)["end"]
        received = end["sum_received"]
        return Throughput(
            received["bits_per_second"] / 1e9,
            received["bytes"],
            received["seconds"],
            end["sum_sent"].get("retransmits", 0),
        )
    except (ValueError, KeyError) as error:
        raise LabError(f"iperf3: {text[-300:]}") from error
