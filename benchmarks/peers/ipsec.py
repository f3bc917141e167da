"""ESP in user space between two IKE daemons, ours or strongSwan's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import INNER, OTHER, OUTER, Bed
from benchmarks.tunnels import Running, Tunnel
from lab.daemon import IkeDaemon
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.strongswan import StrongSwan, require_strongswan

SITE = """\
connections {{
  bench {{
    version = 2
    mobike = no
    encap = {encap}
    local_addrs = {local}
    remote_addrs = {remote}
    proposals = aes256gcm16-prfsha256-x25519
    local {{
      auth = psk
      id = {side}.bench
    }}
    remote {{
      auth = psk
      id = {other}.bench
    }}
    children {{
      bench {{
        esp_proposals = {esp}
        local_ts = {inner}/32
        remote_ts = {other_inner}/32
        rekey_time = 0
      }}
    }}
  }}
}}
secrets {{
  ike {{
    id-a = a.bench
    id-b = b.bench
    secret = "measured, not guessed"
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class IpsecTunnel(Tunnel):
    """ESP between two of our daemons.

    Args:
        esp: The proposal.
        encap: Whether ESP goes in UDP although no NAT asks for it.
    """

    esp: str = "aes256gcm16"
    encap: bool = True

    def daemon(self, namespace: Namespace, directory: Path, config: str) -> IkeDaemon:
        """The program of one side."""
        return Perilune(namespace, directory, config)

    @contextmanager
    def run(self, bed: Bed, directory: Path) -> Iterator[Running]:
        """Bring it up by IKE."""
        with ExitStack() as stack:
            daemons = {}
            for side, namespace in bed.sides.items():
                stack.enter_context(inner_address(namespace, INNER[side]))
                daemon = self.daemon(namespace, directory / side, self._config(side))
                daemons[side] = stack.enter_context(daemon)
            daemons["a"].initiate("bench")
            yield Running(INNER["b"], tuple(daemon.child for daemon in daemons.values()))

    def _config(self, side: str) -> str:
        other = OTHER[side]
        return SITE.format(
            side=side,
            other=other,
            local=OUTER[side],
            remote=OUTER[other],
            inner=INNER[side],
            other_inner=INNER[other],
            esp=self.esp,
            encap="yes" if self.encap else "no",
        )


@dataclass(frozen=True, slots=True)
class StrongSwanTunnel(IpsecTunnel):
    """charon with kernel-libipsec; its ESP is always in UDP."""

    def require(self) -> None:
        """Make sure that strongSwan is there."""
        require_strongswan()

    def version(self) -> str:
        """StrongSwan's."""
        program = shutil.which("swanctl") or "swanctl"
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        found = re.search(r"strongSwan \d\S*", done.stdout)  # it also complains that no daemon runs
        return found.group() if found else ""

    def daemon(self, namespace: Namespace, directory: Path, config: str) -> IkeDaemon:
        """The program of one side."""
        return StrongSwan(namespace, directory, config)


@contextmanager
def inner_address(namespace: Namespace, address: str) -> Iterator[None]:
    """An address on the loopback device, for as long as a tunnel needs it."""
    namespace.address("lo", f"{address}/32")
    try:
        yield
    finally:
        namespace.ip("address", "del", f"{address}/32", "dev", "lo")
