"""The engine between a device, or two interfaces, and sockets; on threads of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from perilune.databases.changes import Change
from perilune.databases.sad import SaName
from perilune.dataplane.events import Event
from perilune.dataplane.icmp import IcmpControls
from perilune.dataplane.native import (
    NativeRuntime,
    events_from_native,
    native_changes,
    native_path,
    stats_from_native,
)
from perilune.dataplane.placement import Wire
from perilune.dataplane.stats import DataPlaneStats
from perilune.model.address import IKE_PORT, NAT_T_PORT, IpAddress, Path
from perilune.model.time import Instant

_ICMPV6 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """Which device and sockets a `Runtime` has."""

    tun_name: str = "perilune%d"
    """Name of the TUN device; `%d` becomes the first free number."""

    wire: Wire | None = None
    """Two interfaces to be between, in place of a TUN device; needs CAP_NET_RAW."""

    local_addresses: tuple[IpAddress, ...] = field(default=())
    """Addresses to receive on; none means all of this host's, of both families."""

    ike_port: int = IKE_PORT
    nat_t_port: int = NAT_T_PORT
    raw_esp: bool = True
    """Whether ESP without UDP can be sent and received; needs CAP_NET_RAW."""

    tells_users: bool = False
    """Whether the TUN device is to be one for `know_users`, which costs the kernel some megabytes; with more
    than one worker it is in any case."""

    workers: int | None = None
    """How many threads carry packets, 1 to 64; None is as many as this process has processors, at most 8."""

    mark: int | None = None
    """SO_MARK of everything that is sent, so that routing can keep it out of the TUN device."""

    icmp: IcmpControls = field(default_factory=IcmpControls)
    """What ICMP errors from the unprotected side may do; without `raw_esp` none is heard."""


@dataclass(frozen=True, slots=True)
class DummiesWanted:
    """How many packets an SA is to have sent."""

    sa: SaName
    """An outbound one."""

    least: int
    """Packets since it was added, real ones included."""

    octets: int
    """Payload of each dummy, 0 to 65000; the SA's own padding comes on top."""


class Runtime:
    """A `DataPlane` with a TUN device or two interfaces, UDP and raw sockets.

    Its clock is the system's monotonic one: `now` is `time.monotonic_ns()`. A TUN device is created down and
    without address; give it addresses, an MTU and routes, and set it up. Interfaces have to be there; they
    are set up and made promiscuous, and between them passes what policy does not forbid or protect.

    Raises:
        LocalError: A setting that no device or socket can carry out.
        ResourceError: The system refused a device or socket; the message says which and why.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        wire = settings.wire
        self._native = NativeRuntime(
            device=(wire.inside, wire.outside) if wire else (settings.tun_name, settings.tells_users),
            local=([str(one) for one in settings.local_addresses], settings.ike_port, settings.nat_t_port),
            raw_esp=settings.raw_esp,
            mark=settings.mark,
            icmp=_native_icmp(settings.icmp),
            workers=settings.workers,
        )

    @property
    def device_name(self) -> str:
        """Name of the TUN device, or of the interface to the inside."""
        return self._native.device_name

    def know_users(self, users: Iterable[int]) -> None:
        """Tell the packets of these local users from those of others, for conditions that name them.

        A packet is the user's who made the socket that it was sent from. What no socket of this host sent is
        no user's, nor is what the kernel answers itself, from which root's packets cannot be told. A user who
        is known stays known.

        Raises:
            LocalError: The placement is `Wire`, where packets come from other hosts; or the TUN device has
                one queue, as its settings do not say `tells_users` or it was there before.
            ResourceError: The kernel lets this process load no BPF program, or these are more than 255 users,
                0 or 65534.
        """
        self._native.know_users(sorted(set(users)))

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        """See `DataPlane.apply`; held packets that got an SA leave at once."""
        self._native.apply(native_changes(changes), now.ns)

    def send_dummies(self, wanted: Sequence[DummiesWanted]) -> list[int | None]:
        """Send dummy packets (RFC 4303, section 2.6), as many as each SA lacks, 64 at most.

        Returns:
            How many packets each SA has sent now, of all sorts; None where there is no such SA of ESP.
        """
        return self._native.send_dummies(
            [(one.sa.spi, native_path(one.sa.path), one.least, one.octets) for one in wanted]
        )

    def take_events(self) -> list[Event]:
        """See `DataPlane.take_events`."""
        return events_from_native(self._native.take_events())

    def fileno(self) -> int:
        """See `DataPlane.fileno`."""
        return self._native.fileno()

    def stats(self) -> DataPlaneStats:
        """See `DataPlane.stats`."""
        return stats_from_native(self._native.stats())

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        """See `DataPlane.send_ike`."""
        self._native.send_ike(message, native_path(path), encapsulated)

    def send_keepalive(self, path: Path) -> None:
        """See `DataPlane.send_keepalive`."""
        self._native.send_keepalive(native_path(path))

    def close(self) -> None:
        """Stop the threads, remove a TUN device, erase all keys; may be called again."""
        self._native.close()


def _native_icmp(controls: IcmpControls) -> tuple[list[tuple[bool, int, int | None]], int]:
    accepted = [(kind.version == _ICMPV6, kind.type, kind.code) for kind in controls.accepted]
    return accepted, controls.least_path_mtu
