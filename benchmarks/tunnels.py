"""Tunnels to compare, each between two namespaces a and b over one cable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.daemon import IkeDaemon
from lab.errors import LabError, MissingProgramError
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import Child, until
from lab.strongswan import StrongSwan, require_strongswan
from lab.traffic import ping

OUTER = {"a": "192.0.2.1", "b": "192.0.2.2"}
INNER = {"a": "10.98.0.1", "b": "10.98.0.2"}
OTHER = {"a": "b", "b": "a"}

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
class Running:
    """A tunnel that carries traffic."""

    target: str
    """Address of b, seen from a through the tunnel."""
    processes: tuple[Child, ...] = ()
    """The tunnel's own programs, both ends."""

    def cpu_s(self) -> float:
        """CPU seconds so far, both ends together."""
        return sum(process.cpu_s() for process in self.processes)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One row of the table.

    Args:
        name: As shown.
    """

    name: str

    def require(self) -> None:
        """Make sure that its programs are installed.

        Raises:
            MissingProgramError: One is not.
        """

    @contextmanager
    def run(self, sides: dict[str, Namespace], directory: Path) -> Iterator[Running]:
        """Bring it up, and down at the end.

        Args:
            sides: The two namespaces.
            directory: For its files.
        """
        yield Running(OUTER["b"])


@dataclass(frozen=True, slots=True)
class IpsecTunnel(Tunnel):
    """ESP between two IKE daemons.

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
    def run(self, sides: dict[str, Namespace], directory: Path) -> Iterator[Running]:
        """Bring it up by IKE."""
        with ExitStack() as stack:
            daemons = {}
            for side, namespace in sides.items():
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

    def daemon(self, namespace: Namespace, directory: Path, config: str) -> IkeDaemon:
        """The program of one side."""
        return StrongSwan(namespace, directory, config)


@dataclass(frozen=True, slots=True)
class WireGuardGoTunnel(Tunnel):
    """Debian's wireguard-go."""

    ports: dict[str, str] = field(default_factory=lambda: {"a": "51820", "b": "51820"})

    def require(self) -> None:
        """Make sure that wireguard-go and wg are there."""
        for program, package in (("wireguard-go", "wireguard-go"), ("wg", "wireguard-tools")):
            if not shutil.which(program):
                raise MissingProgramError(program, package)

    @contextmanager
    def run(self, sides: dict[str, Namespace], directory: Path) -> Iterator[Running]:
        """Bring it up with fresh keys."""
        private = {side: sides[side].run("wg", "genkey").stdout.strip() for side in sides}
        public = {
            side: sides[side].run("wg", "pubkey", text_in=key).stdout.strip() for side, key in private.items()
        }
        with ExitStack() as stack:
            children = []
            for side, namespace in sides.items():
                words = ("wireguard-go", "--foreground", "wg0")
                child = namespace.spawn("wireguard-go", *words, log=directory / f"{side}.log")
                children.append(stack.enter_context(child))
                self._configure(namespace, side, private[side], public[OTHER[side]], directory)
            yield Running(INNER["b"], tuple(children))

    def _configure(self, namespace: Namespace, side: str, key: str, peer: str, directory: Path) -> None:
        def is_there() -> bool:
            return namespace.run("wg", "show", "wg0", check=False).returncode == 0

        until(is_there, 5.0, "wireguard-go's device")
        key_file = directory / f"{side}.key"
        key_file.write_text(key)
        other = OTHER[side]
        remote = ("allowed-ips", f"{INNER[other]}/32", "endpoint", f"{OUTER[other]}:{self.ports[other]}")
        own = ("private-key", str(key_file), "listen-port", self.ports[side])
        namespace.run("wg", "set", "wg0", *own, "peer", peer, *remote)
        namespace.address("wg0", f"{INNER[side]}/24")
        namespace.ip("link", "set", "wg0", "mtu", "1420", "up")


@contextmanager
def inner_address(namespace: Namespace, address: str) -> Iterator[None]:
    """An address on the loopback device, for as long as a tunnel needs it."""
    namespace.address("lo", f"{address}/32")
    try:
        yield
    finally:
        namespace.ip("address", "del", f"{address}/32", "dev", "lo")


def wait_for_traffic(sides: dict[str, Namespace], running: Running) -> None:
    """Wait until a ping comes back through the tunnel.

    Raises:
        LabError: None does.
    """
    try:
        until(
            lambda: ping(sides["a"], running.target, count=1, wait_s=0.5), 10.0, "a ping through the tunnel"
        )
    except LabError as error:
        tails = "\n".join(process.tail(8) for process in running.processes)
        raise LabError(f"{error}\n{tails}") from None


TUNNELS: tuple[Tunnel, ...] = (
    Tunnel("plain veth"),
    IpsecTunnel("perilune aes256gcm16, ESP in UDP"),
    IpsecTunnel("perilune aes256gcm16, raw ESP", encap=False),
    IpsecTunnel("perilune chacha20poly1305, ESP in UDP", esp="chacha20poly1305"),
    IpsecTunnel("perilune chacha20poly1305, raw ESP", esp="chacha20poly1305", encap=False),
    StrongSwanTunnel("strongSwan libipsec aes256gcm16, ESP in UDP"),
    WireGuardGoTunnel("wireguard-go (Debian)"),
)
OURS = "perilune aes256gcm16, ESP in UDP"
"""The row that the ratios are to."""
