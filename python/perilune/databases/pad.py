"""The Peer Authorization Database (RFC 4301, section 4.4.3): who may be a peer, and what it may have.

An entry is what swanctl.conf calls a connection; the words of its fields are swanctl.conf's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from perilune.databases.child_form import ChildForm
from perilune.databases.processing import Mode
from perilune.databases.proof import LocalProof, NoProof, RemoteProof, SharedKey, announced_hashes
from perilune.databases.sad import Lifetime
from perilune.databases.spd import Action, IcmpErrors
from perilune.model.address import IKE_PORT, IpAddress
from perilune.model.iana import HashId, IdType
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern, matches, same_identity
from perilune.model.proposal import Proposal
from perilune.model.secret import Secret
from perilune.model.selector import LAST_PORT, TrafficSelector, layer_text
from perilune.model.time import ZERO, Duration


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Addresses from one to another, both included."""

    first: IpAddress
    last: IpAddress

    def contains(self, address: IpAddress) -> bool:
        """Whether an address lies in the range."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class HostName:
    """A name whose addresses the driver looks up."""

    name: str

    def __str__(self) -> str:
        return self.name


ANY_IPV4 = AddressRange(IPv4Network("0.0.0.0/0")[0], IPv4Network("0.0.0.0/0")[-1])
ANY_IPV6 = AddressRange(IPv6Network("::/0")[0], IPv6Network("::/0")[-1])
Host = AddressRange | HostName
"""One element of `local_addrs` or `remote_addrs`; `%any` is both ANY_IPV4 and ANY_IPV6."""


@dataclass(frozen=True, slots=True)
class DynamicSelector:
    """`dynamic`: the address of the IKE SA's own end, with a protocol and ports."""

    protocol: int = 0
    first_port: int = 0
    last_port: int = LAST_PORT

    def __str__(self) -> str:
        return "dynamic" + layer_text(self.protocol, self.first_port, self.last_port)


ChildSelector = TrafficSelector | DynamicSelector
"""One element of `local_ts` or `remote_ts`."""


class StartAction(Enum):
    """When a child is set up (`start_action`)."""

    NONE = "none"
    START = "start"
    """As soon as the configuration is loaded."""

    TRAP = "trap"
    """With the first packet that wants it."""

    TRAP_START = "trap|start"


class LossAction(Enum):
    """What to do for a child that the peer closed or that liveness lost (`close_action`, `dpd_action`)."""

    CLEAR = "clear"
    START = "start"
    TRAP = "trap"


class Fragmentation(Enum):
    """Use of IKE fragmentation (RFC 7383; `fragmentation`)."""

    YES = "yes"
    ACCEPT = "accept"
    FORCE = "force"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPolicy:
    """What one child may be: an SPD entry's template (RFC 4301, section 4.4.1.2)."""

    name: str
    action: Action = Action.PROTECT
    """From `mode`: pass is BYPASS, drop is DISCARD, every other PROTECT."""

    proposals: tuple[Proposal, ...] = ()
    """For ESP and AH, in order of preference; at least one where the action is PROTECT."""

    allow_insecure: bool = False
    """Whether the proposals may have algorithms that are for old peers only."""

    form: ChildForm = field(default_factory=ChildForm)
    """What its packets look like, where the action is PROTECT."""

    local_ts: tuple[ChildSelector, ...] = (DynamicSelector(),)
    remote_ts: tuple[ChildSelector, ...] = (DynamicSelector(),)
    lifetime: Lifetime = field(default_factory=Lifetime)
    """Soft and hard limits, before jitter."""

    rand_time: Duration = ZERO
    """Up to so much is taken from the soft time, at random, so that both ends seldom rekey at once."""

    rand_octets: int = 0
    rand_packets: int = 0
    start_action: StartAction = StartAction.NONE
    close_action: LossAction = LossAction.CLEAR
    dpd_action: LossAction = LossAction.CLEAR
    replay_window_packets: int = 128
    priority: int | None = None
    """Place in the SPD, smaller first; None puts narrower selectors before wider ones."""

    icmp_errors: IcmpErrors = IcmpErrors.RELATED
    """Which ICMP errors its SAs carry; an entry of `policies` says so for its own."""

    peers: tuple[Identity | IdentityPattern, ...] = ()
    """Names of those who may have it, of all that the connection accepts; none is all of them (section
    4.4.1.1, "Name")."""

    spd_entry: str = ""
    """Name of the entry of `policies` that its SAs are made for; empty where the child is its own entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PadEntry:
    """A connection: how a peer is found, how each side proves who it is, and its children."""

    name: str
    local_addrs: tuple[Host, ...] = (ANY_IPV4, ANY_IPV6)
    remote_addrs: tuple[Host, ...] = (ANY_IPV4, ANY_IPV6)
    local_port: int = IKE_PORT
    remote_port: int = IKE_PORT
    proposals: tuple[Proposal, ...]
    """IKE proposals in order of preference."""

    local_id: Identity | None = None
    """None is the address of our end, or nobody where we prove nothing."""

    local_proof: LocalProof = field(default_factory=SharedKey)
    """How we prove that."""

    remote_id: Identity | IdentityPattern | None = None
    """Who the peer is, or the group that it is of; None accepts any identity that is proven."""

    remote_proof: RemoteProof = field(default_factory=SharedKey)
    """How the peer is to prove that."""

    remote_claims: tuple[AddressRange, ...] = ()
    """Addresses that the peer may claim at its end of a child (section 4.4.3.3); none is any that a child
    allows."""

    order: int = 0
    """Entries with a smaller number are tried first, then those that name the peer most exactly."""

    encap: bool = False
    """Pretend a NAT, so that ESP always travels in UDP."""

    fragmentation: Fragmentation = Fragmentation.YES
    dpd_delay: Duration = ZERO
    """Silence after which the peer is asked whether it lives; zero never asks."""

    rekey_time: Duration = Duration.seconds(4 * 3600)
    """Age at which an IKE SA is rekeyed; zero never."""

    over_time: Duration = Duration.seconds(0.4 * 3600)
    """After rekey_time, how long until an IKE SA that was not rekeyed ends."""

    rand_time: Duration = Duration.seconds(0.4 * 3600)
    """Up to so much is taken from rekey_time, at random."""

    keyingtries: int = 1
    """How often a set-up is tried over before it fails; 0 never gives up."""

    children: tuple[ChildPolicy, ...] = ()

    def accepts(self, remote: Identity) -> bool:
        """Whether a peer of this identity may be one of the entry's.

        Who proves nothing may say anything, which then means nothing (RFC 7619, section 2.2).
        """
        if isinstance(self.remote_proof, NoProof):
            return True
        if remote.type == IdType.ID_NULL:
            return False
        return self.remote_id is None or matches(self.remote_id, remote)

    @property
    def signature_hashes(self) -> frozenset[HashId]:
        """Hashes to announce for its signatures (RFC 7427, section 4)."""
        return announced_hashes(self.local_proof) | announced_hashes(self.remote_proof)

    @property
    def definite_remote_id(self) -> Identity | None:
        """Who the peer is, where that is only one."""
        return self.remote_id if isinstance(self.remote_id, Identity) else None

    @property
    def modes(self) -> frozenset[Mode]:
        """Modes of its children."""
        return frozenset(child.form.mode for child in self.children if child.action is Action.PROTECT)

    def child(self, name: str) -> ChildPolicy | None:
        """Return the child with a name, or None."""
        return next((child for child in self.children if child.name == name), None)


ANY_SECTION = "ike*"
"""Stands in messages for the sections of `secrets`."""


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A pre-shared key and whose it is (`secrets.ike*`)."""

    secret: Secret
    owners: tuple[Identity | IdentityPattern, ...] = ()
    """Identities that may use it, or groups of them; empty is everyone."""

    name: str = ""
    """Of its section, such as `ike-gw`; empty where it has none."""

    @property
    def key(self) -> str:
        """Its section in the configuration, for messages: the secret itself is in none."""
        return f"secrets.{self.name or ANY_SECTION}"

    def fits(self, local: Identity, remote: Identity) -> int:
        """Return how well the secret fits a pair of identities: 0 is not at all, more is better."""
        if not self.owners:
            return 1
        exact = [owner for owner in self.owners if isinstance(owner, Identity)]
        has_remote = any(same_identity(owner, remote) for owner in exact)
        has_local = any(matches(owner, local) for owner in self.owners)
        if not has_remote and not any(matches(owner, remote) for owner in self.owners):
            return 0
        return 2 + 2 * has_remote + has_local
