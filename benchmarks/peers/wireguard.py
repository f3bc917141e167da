"""wireguard-go: WireGuard in user space."""

from __future__ import annotations

import os
import shutil
import subprocess
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

NEWER = str(ROOT / "target" / "peers" / "wireguard-go")
"""Where `make bench` puts a wireguard-go of a later Debian."""
PORT = "51820"


@dataclass(frozen=True, slots=True)
class WireGuardGoTunnel(Tunnel):
    """One wireguard-go.

    Args:
        program: Its name, or its path where it is not installed.
    """

    program: str = "wireguard-go"

    def require(self) -> None:
        """Make sure that wireguard-go and wg are there."""
        for program, package in ((self.program, "wireguard-go"), ("wg", "wireguard-tools")):
            if not shutil.which(program):
                raise MissingProgramError(program, package)

    def version(self) -> str:
        """wireguard-go's."""
        words = [self.program, "--version"]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    @contextmanager
    def run(self, bed: Bed, directory: Path) -> Iterator[Running]:
        """Bring it up with fresh keys."""
        sides = bed.sides
        private = {side: sides[side].run("wg", "genkey").stdout.strip() for side in sides}
        public = {
            side: sides[side].run("wg", "pubkey", text_in=key).stdout.strip() for side, key in private.items()
        }
        with ExitStack() as stack:
            children = []
            for side, namespace in sides.items():
                words = (self.program, "--foreground", "wg0")
                log = directory / f"{side}.log"
                child = namespace.spawn("wireguard-go", *words, log=log, env={"LOG_LEVEL": "error"})
                children.append(stack.enter_context(child))
                self._configure(namespace, side, private[side], public[OTHER[side]], directory)
            yield Running(INNER["b"], tuple(children))

    def _configure(self, namespace: Namespace, side: str, key: str, peer: str, directory: Path) -> None:
        def is_there() -> bool:
            return namespace.run("wg", "show", "wg0", check=False).returncode == 0

        until(is_there, 5.0, "wireguard-go's device")
        key_file = directory / f"{side}.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key + os.linesep)
        other = OTHER[side]
        remote = ("allowed-ips", f"{INNER[other]}/32", "endpoint", f"{OUTER[other]}:{PORT}")
        own = ("private-key", str(key_file), "listen-port", PORT)
        namespace.run("wg", "set", "wg0", *own, "peer", peer, *remote)
        namespace.address("wg0", f"{INNER[side]}/24")
        namespace.ip("link", "set", "wg0", "mtu", "1420", "up")
