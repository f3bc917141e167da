"""A bare forwarder between TUN and UDP: what any tunnel in user space costs at least.

Its source does not belong to this repository: it is `tunfwd.c` in `../shared/bench`. It is compiled for the
run where that is there. It knows no key exchange, policy, SA lookup or replay window.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import INNER, OTHER, OUTER, Bed
from benchmarks.tunnels import Running, Tunnel
from lab.errors import MissingProgramError
from lab.namespace import Namespace
from lab.process import until
from lab.traffic import ROOT

SOURCES = ROOT.parent / "shared" / "bench"
CIPHER_HEADER = Path("/usr/include/intel-ipsec-mb.h")
DEVICE = "fwd0"


@functools.cache
def _built() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    directory = tempfile.TemporaryDirectory(prefix="perilune-forwarder-")
    words = ["make", "-s", "-C", str(SOURCES), f"OUT={directory.name}", f"{directory.name}/tunfwd"]
    subprocess.run(words, capture_output=True, check=False)
    return directory, Path(directory.name) / "tunfwd"


@dataclass(frozen=True, slots=True)
class ForwarderTunnel(Tunnel):
    """TSO on the TUN device, UDP_SEGMENT and UDP_GRO on the socket.

    Args:
        key_bits: Of AES-GCM by libipsec-mb; 0 is no encryption.
    """

    key_bits: int = 0

    def require(self) -> None:
        """Make sure that it can be compiled."""
        if self.key_bits and not CIPHER_HEADER.exists():
            raise MissingProgramError(CIPHER_HEADER.name, "libipsec-mb-dev")
        if not (SOURCES / "tunfwd.c").exists() or not _built()[1].exists():
            raise MissingProgramError("tunfwd", "none; its source belongs into ../shared/bench")

    @contextmanager
    def run(self, bed: Bed, directory: Path) -> Iterator[Running]:
        """Start both ends."""
        cipher = ("-c", str(self.key_bits)) if self.key_bits else ()
        with ExitStack() as stack:
            children = []
            for side, namespace in bed.sides.items():
                ends = ("-l", f"{OUTER[side]}:7000", "-r", f"{OUTER[OTHER[side]]}:7000")
                words = (str(_built()[1]), "-i", DEVICE, *ends, "-m", "gso", *cipher)
                child = namespace.spawn("tunfwd", *words, log=directory / f"{side}.log")
                children.append(stack.enter_context(child))
                _set_up(namespace, INNER[side])
            yield Running(INNER["b"], tuple(children))


def _set_up(namespace: Namespace, address: str) -> None:
    """Give the forwarder's device an address as soon as it is there."""

    def is_there() -> bool:
        return namespace.run("ip", "link", "show", DEVICE, check=False).returncode == 0

    until(is_there, 5.0, "tunfwd's device")
    namespace.address(DEVICE, f"{address}/24")
    namespace.ip("link", "set", DEVICE, "mtu", "1420", "up")
