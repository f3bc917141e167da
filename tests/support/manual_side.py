"""A gateway with manual keys over an engine in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from perilune.config.load import load_text
from perilune.config.settings import Settings
from perilune.daemon.manual_sas import ManualSas
from perilune.databases.changes import Change
from perilune.dataplane.engine import Engine, SealedPacket
from perilune.dataplane.events import Event, SequenceLow, SoftExpire
from perilune.dataplane.stats import DataPlaneStats
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.settings import EndpointSettings
from perilune.model.address import Path
from perilune.model.time import Instant
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver, Observer
from perilune.shell.sequence_file import SequenceFile
from support.rng import SeededRng

CBC = f"proposal = aes128-sha256\nencryption_key = 0x{'11' * 16}\nintegrity_key = 0x{'22' * 32}\n"
GCM = "proposal = aes256gcm16\n" + "".join(
    f"encryption_key_{{{way}}} = 0x{octet * 36}\n" for way, octet in enumerate(("33", "44"))
)
NETS_V4, NETS_V6 = ("10.1.0.0/16", "10.2.0.0/16"), ("2001:db8:1::/48", "2001:db8:2::/48")


class EnginePlane:
    """An engine as a data plane without devices."""

    def __init__(self) -> None:
        self.engine = Engine()

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        self.engine.apply(changes, now)

    def take_events(self) -> list[Event]:
        return self.engine.take_events()

    def stats(self) -> DataPlaneStats:
        return self.engine.stats()

    def fileno(self) -> int:
        raise AssertionError("events are taken by hand")

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        raise AssertionError(f"manual keys have no IKE, and it sends {len(message)} octets on {path}")

    def send_keepalive(self, path: Path) -> None:
        raise AssertionError(f"nothing is kept alive on {path}")

    def close(self) -> None:
        """Nothing to close."""


class Side(Observer):
    """One gateway; site 1 sends what site 2 receives."""

    def __init__(self, file: FilePath | None = None, plane: EnginePlane | None = None) -> None:
        self.clock = MonotonicClock()
        self.plane = plane or EnginePlane()
        endpoint = IkeEndpoint(EndpointSettings(), SeededRng(1))
        self.driver = Driver(endpoint, self.plane, self, self.clock)
        self.sequences = SequenceFile(file) if file else None
        if self.sequences is not None:
            self.sequences.open()
        settings = Settings().daemon if file is None else load_text(daemon(file)).daemon
        self.manual = ManualSas(self.driver, self.plane, self.clock, settings, self.sequences)

    def load(self, text: str) -> None:
        self.manual.load(load_text(text).sas)

    def send(self, packet: Packet) -> list[SealedPacket]:
        sealed = self.plane.engine.seal(bytes(packet), self.clock.now())
        self.look()
        return sealed

    def receive(self, sealed: Sequence[SealedPacket]) -> list[bytes]:
        opened: list[bytes] = []
        for one in sealed:
            path = Path(one.path.remote, one.path.local)
            opened += self.plane.engine.open(one.data, path, one.encapsulation, self.clock.now())
        self.look()
        return opened

    def send_whole(self, packet: Packet) -> list[bytes]:
        """Send a packet; return it with its outer header."""
        return self.plane.engine.seal_packet(bytes(packet), self.clock.now())

    def receive_whole(self, packets: Sequence[bytes]) -> list[bytes]:
        now = self.clock.now()
        return [opened for one in packets for opened in self.plane.engine.open_packet(one, now)]

    def look(self) -> None:
        """Act on events as the driver does when the descriptor is readable."""
        for event in self.plane.take_events():
            match event:
                case SequenceLow():
                    self.manual.on_sequence_low(event)
                case SoftExpire():
                    self.manual.on_expire(event)

    def crash(self) -> None:
        """End as a killed process does: the system lets go of the lock, and nothing else happens."""
        if self.sequences is not None:
            self.sequences.close()

    @property
    def names(self) -> set[str]:
        return {entry.name for entry in self.driver.policies.values()}


def daemon(file: FilePath) -> str:
    return f"daemon {{ sequence_file = {file} }}\n"


def sa(site: int, nets: tuple[str, str] = NETS_V4, keys: str = CBC, more: str = "", name: str = "sun") -> str:
    """The section `sas` of a site, with the same SPIs both ways."""
    ours, theirs = nets if site == 1 else reversed(nets)
    ways = ("out", "in") if site == 1 else ("in", "out")
    return (
        f"sas {{\n{name} {{\nlocal_addrs = 192.0.2.{site}\nremote_addrs = 192.0.2.{3 - site}\nspi = 0x1001\n"
        f"local_ts = {ours}\nremote_ts = {theirs}\n{keys.format(*ways)}{more}\n}}\n}}\n"
    )


def packet(ipv6: bool = False, port: int = 53) -> Packet:
    header = IPv6(src="2001:db8:1::1", dst="2001:db8:2::1") if ipv6 else IP(src="10.1.0.1", dst="10.2.0.1")
    return header / UDP(sport=1024, dport=port) / b"to whom it may concern"
