"""A node with two gateways' worth of state, for tests of what shows it and steers it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path as FilePath

from perilune.agent.node import AuditState, ChosenSas, NodeFacts
from perilune.agent.vici.commands import EVENTS, Commands
from perilune.agent.vici.operations import Operations
from perilune.agent.vici.server import Server
from perilune.config.load import load_text
from perilune.databases.pad import PadEntry
from perilune.databases.processing import Mode
from perilune.databases.sad import Direction, Encapsulation, EspKeys, Lifetime, Limits, SadEntry
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.stats import DataPlaneStats, DropStats, PolicyStats, SaStats
from perilune.ike.events import IkeEvent
from perilune.ike.names import ChildName, IkeName
from perilune.ike.nat import Nat
from perilune.ike.status import ChildSaState, ChildSaStatus, EndpointStatus, IkeSaState, IkeSaStatus
from perilune.model.address import Endpoint, Path
from perilune.model.errors import LocalError
from perilune.model.iana import EncrId, IntegId, KeId, PrfId, ProtocolId, SnId
from perilune.model.identity import Identity
from perilune.model.proposal import Encryption, EspSuite, IkeSuite
from perilune.model.secret import Secret
from perilune.model.selector import TrafficSelector
from perilune.model.spi import IkeSpi, Spi
from perilune.model.time import Duration, Instant
from perilune.shell.vici_socket import ViciSocket

CONFIG = """
connections {
  gw {
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2
    proposals = aes256gcm16-prfsha256-x25519
    local {
      id = moon
      auth = psk
    }
    remote {
      id = sun
      auth = psk
    }
    children {
      net {
        local_ts = 10.1.0.0/16
        remote_ts = 10.2.0.0/16
        start_action = trap
      }
      voice {
        local_ts = 10.1.9.0/24
        remote_ts = 10.2.9.0/24
      }
    }
  }
  road {
    local {
      id = moon
      auth = psk
    }
    remote {
      auth = psk
    }
    children {
      any {
        local_ts = 10.1.0.0/16
      }
    }
  }
}
secrets {
  ike-gw {
    id = sun
    secret = "not for the eyes of a test"
  }
}
"""
NOW = Instant(10_000_000_000_000)
POLICY = PolicyId(7)
SPI_IN, SPI_OUT = Spi(0xC0FFEE01), Spi(0xC0FFEE02)


def ago(seconds: float) -> Instant:
    """An instant before now."""
    return Instant(NOW.ns - Duration.seconds(seconds).ns)


def network(text: str) -> TrafficSelector:
    return TrafficSelector.of_network(ip_network(text))


IKE = IkeName("gw", 1, IkeSpi(0x5AD1C0DE11223344), IkeSpi(0x08C2FEE155667788))
CHILD = ChildName("net", 2, SPI_IN, SPI_OUT)
PATH = Path(Endpoint(ip_address("192.0.2.1"), 4500), Endpoint(ip_address("192.0.2.2"), 4500))
CHILD_STATUS = ChildSaStatus(
    name=CHILD,
    state=ChildSaState.INSTALLED,
    policy=POLICY,
    suite=EspSuite(Encryption(EncrId.ENCR_AES_GCM_16, 256), IntegId.NONE, SnId.SEQUENTIAL_32),
    protocol=ProtocolId.ESP,
    mode=Mode.TUNNEL,
    local=(network("10.1.0.0/16"),),
    remote=(network("10.2.0.0/16"),),
    encapsulation=Encapsulation.UDP,
    installed_at=ago(60),
)
IKE_STATUS = IkeSaStatus(
    name=IKE,
    state=IkeSaState.ESTABLISHED,
    original_initiator=True,
    path=PATH,
    local_id=Identity.parse("moon"),
    local_auth="PSK",
    remote_id=Identity.parse("sun"),
    remote_auth="RSASSA-PSS with SHA-256",
    suite=IkeSuite(
        Encryption(EncrId.ENCR_AES_CBC, 256),
        PrfId.PRF_HMAC_SHA2_256,
        IntegId.AUTH_HMAC_SHA2_256_128,
        KeId.CURVE25519,
    ),
    nat=Nat(local_behind=True),
    established_at=ago(90),
    rekey_at=NOW + Duration.seconds(13_000),
    children=(CHILD_STATUS,),
)


def _sa_stats(direction: Direction, spi: Spi, packets: int, idle_s: float) -> SaStats:
    return SaStats(
        direction=direction,
        spi=spi,
        peer_spi=SPI_OUT if spi == SPI_IN else SPI_IN,
        policy=POLICY,
        path=PATH,
        encapsulation=Encapsulation.UDP,
        packets=packets,
        octets=packets * 1000,
        errors=0,
        added=ago(60),
        last_used=ago(idle_s),
        sequence=packets,
        replay_window_packets=128,
        path_mtu=(1380, NOW + Duration.seconds(90)) if direction is Direction.OUTBOUND else None,
        is_ready=True,
        is_expired=False,
    )


MANUAL_SA = SadEntry(
    spi=SPI_OUT,
    direction=Direction.OUTBOUND,
    policy=POLICY,
    path=PATH,
    encapsulation=Encapsulation.UDP,
    suite=EspSuite(Encryption(EncrId.ENCR_AES_CBC, 128), IntegId.AUTH_HMAC_SHA2_256_128, SnId.SEQUENTIAL_32),
    keys=EspKeys(Secret(bytes(16)), Secret(bytes(32))),
    local=(network("10.1.0.0/16"),),
    remote=(network("10.2.0.0/16"),),
    lifetime=Lifetime(soft=Limits(packets=5), hard=Limits(time=Duration.seconds(3600))),
    peer_spi=SPI_IN,
)


class ExampleNode:
    """An `agent.node.Node` whose state is what a test gives it; it notes what it is told to do.

    `happenings` is what an initiation leads to.
    """

    def __init__(self) -> None:
        self.settings = load_text(CONFIG)
        self.ike_sas: tuple[IkeSaStatus, ...] = (IKE_STATUS,)
        self.done: list[tuple[object, ...]] = []
        self.cannot: str | None = None
        self.happenings: tuple[IkeEvent, ...] = ()
        self.tell: Callable[[IkeEvent], None] = lambda _event: None
        self.wrong: str | None = None
        self.audit_state: AuditState | None = None
        self.added: dict[str, dict[str, str]] = {}

    @property
    def facts(self) -> NodeFacts:
        return NodeFacts(
            version="0.1.0",
            sysname="Linux",
            release="6.1.0",
            machine="x86_64",
            started_at=ago(3700),
            started_text="Nov 21 04:00:00 2026",
        )

    @property
    def connections(self) -> Sequence[PadEntry]:
        return self.settings.connections

    @property
    def audit(self) -> AuditState | None:
        return self.audit_state

    @property
    def policies(self) -> Sequence[SpdEntry]:
        return [
            SpdEntry(
                id=POLICY,
                name="gw/net",
                priority=200_129,
                action=Action.PROTECT,
                local=(network("10.1.0.0/16"),),
                remote=(network("10.2.0.0/16"),),
            )
        ]

    @property
    def sad(self) -> Sequence[SadEntry]:
        return [MANUAL_SA]

    @property
    def exchanges(self) -> Mapping[str, int]:
        return {"child_sa_up": 1, "ike_sa_up": 1}

    def now(self) -> Instant:
        return NOW

    def status(self) -> EndpointStatus:
        return EndpointStatus(ike_sas=self.ike_sas, half_open=0)

    def stats(self) -> DataPlaneStats:
        return DataPlaneStats(
            sas=(
                _sa_stats(Direction.INBOUND, SPI_IN, 4200, 1.2),
                _sa_stats(Direction.OUTBOUND, SPI_OUT, 77, 0.4),
            ),
            policies=(
                PolicyStats(policy=POLICY, action=Action.PROTECT, packets=4277, octets=4_277_000, held=3),
            ),
            drops=(
                DropStats("replay", "The sequence number was seen before.", True, 12),
                DropStats("no_policy", "No policy selects the packet.", True, 0),
            ),
            work={"device_reads": 40, "udp_sends": 20},
        )

    def lifetime(self, spi_in: Spi) -> Lifetime | None:
        limits = {limit: Limits(time=Duration.seconds(limit)) for limit in (3600, 3960)}
        return Lifetime(soft=limits[3600], hard=limits[3960]) if spi_in == SPI_IN else None

    def initiate(self, connection: str, child: str | None, on_settled: Callable[[str], None]) -> None:
        self.done.append(("initiate", connection, child))
        for event in self.happenings:
            self.tell(event)
        if self.cannot is not None:
            on_settled(self.cannot)

    def add_sa(self, name: str, values: Mapping[str, str]) -> None:
        if name == "there":
            raise LocalError("there is an SA 'there' already")
        self.added[name] = dict(values)

    def remove_sa(self, name: str) -> None:
        if name not in self.added:
            raise LocalError(f"there is no SA '{name}' with manual keys")
        del self.added[name]

    def terminate(self, chosen: ChosenSas) -> int:
        self.done.append(("terminate", chosen))
        return 1

    def rekey(self, chosen: ChosenSas) -> int:
        self.done.append(("rekey", chosen))
        return len(chosen.ike_sas(self.status())) + len(chosen.children(self.status()))

    def reload(self) -> None:
        if self.wrong is not None:
            raise LocalError(self.wrong)
        self.done.append(("reload",))

    def stop(self) -> None:
        self.done.append(("stop",))

    def become_empty(self) -> None:
        """Lose every IKE SA."""
        self.ike_sas = ()

    def begin(self) -> None:
        """Have an IKE SA that is not established yet."""
        self.ike_sas = (
            replace(
                IKE_STATUS,
                state=IkeSaState.CONNECTING,
                local_id=None,
                local_auth=None,
                remote_id=None,
                remote_auth=None,
                suite=None,
                established_at=None,
                rekey_at=None,
                children=(),
            ),
        )


@contextmanager
def serving(node: ExampleNode, path: FilePath) -> Iterator[Operations]:
    """Have a node answer on a control socket, from a thread of its own."""
    operations = Operations()
    node.tell = operations.observe
    server = Server(Commands(node, operations).table, EVENTS)
    ready, ending = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        control = ViciSocket(path, server, lambda _reason: None)
        await control.open()
        ready.set()
        await ending.wait()
        await control.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield operations
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(10)
        loop.close()
