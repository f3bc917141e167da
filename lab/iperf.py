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
    """One TCP connection's."""

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


def tcp(client: Namespace, server: Namespace, target: str, log: Path, seconds: float = 2.0) -> Throughput:
    """Send as fast as one TCP connection can.

    Args:
        client: Where the data comes from.
        server: Where it goes.
        target: Address of the server.
        log: File for the server's output.
        seconds: How long to send.

    Raises:
        LabError: iperf3 failed.
    """
    log.unlink(missing_ok=True)
    listen = ("--server", "--one-off", "--bind", target, "--forceflush")
    with server.spawn("iperf3", "iperf3", *listen, log=log) as child:
        child.wait_for_log("Server listening")
        send = ("--client", target, "--time", f"{seconds:g}", "--json", "--connect-timeout", "4000")
        text = client.run("iperf3", *send, timeout_s=seconds + 20, check=False).stdout
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
