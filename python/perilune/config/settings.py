"""What a configuration says, frozen: two equal files give equal settings, so a reload is a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path as FilePath

from perilune.databases.manual import ManualSa
from perilune.databases.pad import PadEntry, SharedSecret
from perilune.databases.spd import SpdTemplate
from perilune.dataplane.icmp import HARMLESS, TOO_BIG, IcmpKind
from perilune.dataplane.placement import Wire
from perilune.model.address import IKE_PORT, NAT_T_PORT
from perilune.model.time import ZERO, Duration


class LogLevel(Enum):
    """How much the daemon tells (`daemon.log`); each level includes the ones below it in this list."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Unmatched(Enum):
    """What becomes of IP packets in the wire that no policy selects (`daemon.unmatched`)."""

    BYPASS = "pass"
    DISCARD = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """The daemon itself: the section `daemon`."""

    tun: str = "perilune0"
    """Name of the TUN device, at most 15 octets."""

    wire: Wire | None = None
    """The interfaces to be between; None is the TUN device instead."""

    unmatched: Unmatched = Unmatched.BYPASS
    """What becomes of packets between those interfaces that no policy selects."""

    workers: int | None = None
    """How many threads carry packets; None is as many as there are processors, at most 8."""

    mtu: int = 1400
    """MTU of the TUN device in octets: what fits through the tunnel unfragmented."""

    icmp_unprotected: tuple[IcmpKind, ...] = TOO_BIG
    """ICMP errors about packets of SAs that are accepted from the unprotected side."""

    icmp_protected: tuple[IcmpKind, ...] = HARMLESS
    """ICMP errors to this host that are accepted from the protected side."""

    least_path_mtu: int = 576
    """Least path MTU over IPv4 that an ICMP error is believed, in octets."""

    vici: FilePath = FilePath("/run/perilune.vici")
    """Where the control socket is."""

    port: int = IKE_PORT
    """UDP port of IKE."""

    port_nat_t: int = NAT_T_PORT
    """UDP port of IKE and ESP together."""

    install_routes: bool = True
    """Whether routes to the remote selectors are installed."""

    enforce_policy: bool | None = None
    """Whether what is to be protected is kept from passing in the clear, by the SPD and by nftables; None is
    yes, and by the SPD alone where there is no nftables."""

    routing_table: int = 220
    """Number of the routing table those routes go to."""

    routing_table_prio: int = 220
    """Priority of the rule that has the kernel ask that table."""

    fwmark: int = 0xDC
    """Mark on the daemon's own packets, which must not enter the tunnel again; 0 is none."""

    keylog: FilePath | None = None
    """Directory for Wireshark's key tables; None keeps keys inside."""

    log: LogLevel = LogLevel.INFO
    """Least severity that is logged."""

    audit_log: FilePath | None = None
    """File of the audit log; None writes none."""

    audit_log_octets: int = 64 << 20
    """Size from which on a new file is begun; 0 never."""

    sequence_file: FilePath | None = None
    """Where sequence numbers of manual SAs are kept over restarts."""

    half_open_cookie_threshold: int = 30
    """Half-open IKE SAs from which on a cookie is demanded (RFC 7296, section 2.6); 0 always demands one."""

    retransmit_tries: int = 5
    """Retransmissions of a request before its peer counts as lost."""

    retransmit_timeout: Duration = Duration.seconds(4)
    """Wait before the first retransmission (RFC 7296, section 2.4)."""

    retransmit_base: float = 1.8
    """Each wait is so many times the one before."""

    retransmit_limit: Duration = ZERO
    """Longest wait between two retransmissions; zero is no such limit."""

    keep_alive: Duration = Duration.seconds(20)
    """Silence after which a NAT's mapping is refreshed (RFC 3948, section 4); zero never refreshes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration."""

    connections: tuple[PadEntry, ...] = ()
    """In the order of the file, which is the order in which a responder tries them."""

    secrets: tuple[SharedSecret, ...] = ()
    """In the order of the file."""

    policies: tuple[SpdTemplate, ...] = ()
    """Entries of the SPD that the file has in so many words, in the order in which they are asked."""

    sas: tuple[ManualSa, ...] = ()
    """SAs with manual keys, in the order of the file."""

    daemon: DaemonSettings = DaemonSettings()
    warnings: tuple[str, ...] = ()
    """What is allowed and yet seldom meant; each starts with file, line and key."""

    @property
    def users(self) -> frozenset[int]:
        """Numbers of the users of this host whom policies name."""
        return frozenset(one.conditions.user for one in self.policies if one.conditions.user is not None)
