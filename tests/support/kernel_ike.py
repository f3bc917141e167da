"""Our IKE and engine at one end of a cable, strongSwan with a Linux kernel of its own at the other.

```
  10.1.0.7              192.0.2.1 ~ 192.0.2.2                           10.2.0.9
        engine, IkeEndpoint           charon-systemd, kernel 6.1 with ESP, AH and IPComp
```

Nothing here has sockets: datagrams and protected packets of both sides are Ethernet frames. strongSwan runs
inside the User-Mode Linux with its usual plugin for the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path as FilePath

from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from lab.strongswan import CHARON, strongswan_conf
from lab.uml import UserModeLinux
from perilune.config.load import load_text
from perilune.dataplane.engine import Engine
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import IkeEvent
from perilune.ike.outbox import Transmit
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import ChildSaStatus
from perilune.model.address import IKE_PORT, NAT_T_PORT, Endpoint, Path
from perilune.shell.clock import MonotonicClock
from perilune.shell.rng import KernelRng
from support.kernel_peer import ETHERNET, ETHERNET_OCTETS, OUR_MAC, PROTECTED, echo_reply

OURS, THEIRS = ip_address("192.0.2.1"), ip_address("192.0.2.2")
OUR_HOST, THEIR_HOST = "10.1.0.7", "10.2.0.9"
NON_ESP_MARKER = bytes(4)
SOCKET = "unix:///run/charon.vici"
PLUGINS = (
    "random nonce aes sha1 sha2 hmac kdf gcm ccm curve25519 pem pkcs1 x509 pubkey md5 xcbc cmac"
    " kernel-netlink socket-default vici"
)
"""Without OpenSSL and its like, which use registers that this kernel loses."""

SETUP = f"""\
set -e
ip link set vec0 up
ip address add {THEIRS}/24 dev vec0
ip address add {THEIR_HOST}/32 dev lo
ip neighbour add {OURS} lladdr {OUR_MAC} nud permanent dev vec0
ip route add 10.1.0.0/16 via {OURS} src {THEIR_HOST}
export STRONGSWAN_CONF=%(settings)s
setsid {CHARON} > /run/output 2>&1 &
until [ -S /run/charon.vici ]; do
    kill -0 $! || {{ cat /run/output; exit 1; }}
    sleep 0.1
done
swanctl --load-all --uri {SOCKET} --file %(config)s
"""


class KernelIke:
    """Both ends.

    Args:
        kernel: One that has just booted.
        directory: For strongSwan's files.
        theirs: Its swanctl.conf.
        ours: Our configuration.
    """

    def __init__(self, kernel: UserModeLinux, directory: FilePath, theirs: str, ours: str) -> None:
        self.kernel = kernel
        self._clock = MonotonicClock()
        self.engine = Engine()
        self.endpoint = IkeEndpoint(EndpointSettings(policies_stand=False), KernelRng())
        self.events: list[IkeEvent] = []
        self._opened: list[Packet] = []
        settings = load_text(ours)
        self.endpoint.load(settings.connections, settings.secrets, self._clock.now())
        self._drain()
        self._settings = directory / "strongswan.conf"
        log = FilePath("/run/charon.log")
        levels = {"default": 1, "ike": 2, "cfg": 2, "knl": 2}
        self._settings.write_text(strongswan_conf(PLUGINS, SOCKET, log, levels))
        config = directory / "swanctl.conf"
        config.write_text(theirs)
        kernel.run(SETUP % {"settings": self._settings, "config": config}, self._receive)

    def run(self, script: str) -> str:
        """Run a script beside strongSwan and return what it prints."""
        return self.kernel.run(script, self._receive).text

    def swanctl(self, *words: str) -> str:
        """Run a command of strongSwan."""
        return self.run(f"STRONGSWAN_CONF={self._settings} swanctl {' '.join(words)} --uri {SOCKET}")

    @property
    def children(self) -> list[ChildSaStatus]:
        """Our children that are up."""
        return [child for ike in self.endpoint.status().ike_sas for child in ike.children]

    def initiate(self, connection: str) -> None:
        """Set a child up from our side."""
        path = Path(Endpoint(OURS, IKE_PORT), Endpoint(THEIRS, IKE_PORT))
        self.endpoint.initiate(connection, None, path, self._clock.now())
        self._drain()
        self.wait_until(lambda: bool(self.children), f"{connection} to be up")

    def rekey_child(self, child: str) -> None:
        """Ask for a successor of a child from our side."""
        self.endpoint.rekey_child(child, self._clock.now())
        self._drain()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Carry frames until a condition is true."""
        self.kernel.serve(self._receive, condition, what)

    def terminate(self, connection: str) -> None:
        """End what there is of a connection, at both ends."""
        self.endpoint.terminate_ike(connection, self._clock.now())
        self._drain()
        self.wait_until(lambda: self.endpoint.is_quiet, f"the end of {connection}")

    def answer_to(self, request: Packet) -> Packet:
        """Send a packet through the SAs and wait for the first one that comes back."""
        self._opened.clear()
        self._send(request)
        self.kernel.serve(self._receive, lambda: bool(self._opened), f"an answer to {request.summary()}")
        return self._opened.pop()

    def _send(self, packet: Packet) -> None:
        for octets in self.engine.seal_packet(bytes(packet), self._clock.now()):
            self.kernel.send(ETHERNET[octets[0] >> 4] + octets)

    def _receive(self, frame: bytes) -> None:
        octets = frame[ETHERNET_OCTETS:]
        if frame[12:14] != b"\x08\x00" or octets[9] not in PROTECTED:
            return
        packet = IP(octets)
        if UDP in packet and self._is_ike(packet):
            return
        for inner in self.engine.open_packet(octets, self._clock.now()):
            opened = IP(inner)
            self._opened.append(opened)
            if answer := echo_reply(opened):
                self._send(answer)

    def _is_ike(self, packet: Packet) -> bool:
        """Give a datagram to our IKE if it is for it."""
        udp, data = packet[UDP], bytes(packet[UDP].payload)
        if udp.dport == NAT_T_PORT and not data.startswith(NON_ESP_MARKER):
            return False
        message = data.removeprefix(NON_ESP_MARKER) if udp.dport == NAT_T_PORT else data
        path = Path(Endpoint(OURS, udp.dport), Endpoint(THEIRS, udp.sport))
        self.endpoint.receive_datagram(message, path, self._clock.now())
        self._drain()
        return True

    def _drain(self) -> None:
        """Do what a driver does."""
        self.engine.apply(self.endpoint.sa_changes(), self._clock.now())
        for transmit in self.endpoint.transmits():
            if isinstance(transmit, Transmit):
                marker = NON_ESP_MARKER if transmit.encapsulated else b""
                local, remote = transmit.path.local, transmit.path.remote
                udp = UDP(sport=local.port, dport=remote.port) / Raw(marker + transmit.data)
                packet = bytes(IP(src=str(local.address), dst=str(remote.address)) / udp)
                self.kernel.send(ETHERNET[4] + packet)
        self.events += self.endpoint.events()
