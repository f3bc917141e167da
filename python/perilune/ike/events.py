"""What an endpoint tells: frozen values whose `str` is a line for a log.

`IkeEvent` is the sum of them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from perilune.crypto.ike_keys import IkeKeys
from perilune.databases.processing import Mode
from perilune.databases.sad import Encapsulation, EspKeys
from perilune.ike.names import ChildName, IkeName
from perilune.ike.nat import Nat
from perilune.model.address import Path
from perilune.model.iana import ExchangeType, PayloadType, ProtocolId
from perilune.model.identity import Identity
from perilune.model.proposal import EspSuite, IkeSuite
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi, format_spi


class DownReason(Enum):
    """Why an IKE SA or a Child SA ended."""

    EXPIRED = "its lifetime is over"
    LOCAL = "closed here"
    PEER = "closed by the peer"
    REDUNDANT = "both sides made one at once and the other was kept"
    REFUSED = "refused"
    REKEYED = "a successor replaced it"
    REPLACED = "the peer began anew"
    UNREACHABLE = "the peer does not answer"


@dataclass(frozen=True, slots=True)
class IkeSaUp:
    """An IKE SA is established: both sides proved who they are, as far as their connection asks for it."""

    ike: IkeName
    local_id: Identity
    remote_id: Identity
    suite: IkeSuite
    path: Path
    nat: Nat
    local_auth: str
    """By what we proved who we are, such as `PSK`."""

    remote_auth: str
    """By what the peer did; `nothing` where it is not authenticated at all."""

    def __str__(self) -> str:
        return (
            f"{self.ike}: IKE SA up, we are '{self.local_id}' by {self.local_auth}, the peer"
            f" '{self.remote_id}' by {self.remote_auth}, {self.path}, {self.nat}, {self.suite}"
        )


@dataclass(frozen=True, slots=True)
class IkeSaDown:
    """An IKE SA, established or not, is no more."""

    ike: IkeName
    reason: DownReason

    def __str__(self) -> str:
        return f"{self.ike}: IKE SA down, {self.reason.value}"


@dataclass(frozen=True, slots=True)
class IkeSaRekeyed:
    """Another IKE SA replaced one and inherited its children."""

    ike: IkeName
    new: IkeName
    suite: IkeSuite

    def __str__(self) -> str:
        return f"{self.ike}: IKE SA rekeyed, now {self.new}, {self.suite}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSaUp:
    """A Child SA carries packets."""

    ike: IkeName
    child: ChildName
    suite: EspSuite
    protocol: ProtocolId
    mode: Mode
    is_compressed: bool = False
    encapsulation: Encapsulation
    path: Path
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]

    def __str__(self) -> str:
        protocol = "AH " if self.protocol is ProtocolId.AH else ""
        mode = "" if self.mode is Mode.TUNNEL else f", {self.mode.value} mode"
        compressed = ", IPComp" if self.is_compressed else ""
        udp = " in UDP" if self.encapsulation is Encapsulation.UDP else ""
        form = f"{protocol}{self.suite}{mode}{compressed}{udp}"
        return f"{self.ike}: {self.child} up, {_between(self.local, self.remote)}, {form}"


@dataclass(frozen=True, slots=True)
class ChildSaDown:
    """A Child SA is no more and has no successor."""

    ike: IkeName
    child: ChildName
    reason: DownReason

    def __str__(self) -> str:
        return f"{self.ike}: {self.child} down, {self.reason.value}"


@dataclass(frozen=True, slots=True)
class ChildSaRekeyed:
    """Another Child SA replaced one, which is about to end."""

    ike: IkeName
    child: ChildName
    new: ChildName
    suite: EspSuite
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]

    def __str__(self) -> str:
        return (
            f"{self.ike}: {self.child} rekeyed, now {self.new},"
            f" {_between(self.local, self.remote)}, {self.suite}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One side refused what the other wanted; the wire says less than this."""

    ike: IkeName
    what: str
    """What was wanted, such as "IKE SA" or "child net"."""

    by_peer: bool
    """Whether the peer refused; else we did."""

    notify: str
    """Name of the notify that said so."""

    why: str
    """What differed; empty where the peer refused and did not say."""

    ours: str = ""
    """Our value of what differed."""

    theirs: str = ""
    """The peer's value of it."""

    hint: str = ""
    """The key of the configuration that has our value, such as `connections.gw.proposals`."""

    def __str__(self) -> str:
        by = "the peer" if self.by_peer else "we"
        why = f": {self.why}" if self.why else ""
        ours = f"; ours: {self.ours}" if self.ours else ""
        theirs = f"; theirs: {self.theirs}" if self.theirs else ""
        hint = f" (see {self.hint})" if self.hint else ""
        return f"{self.ike}: {by} refused {self.what} with {self.notify}{why}{ours}{theirs}{hint}"


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """One side could not prove to the other who it is."""

    ike: IkeName
    by_peer: bool
    """Whether the peer said so; else we found out."""

    reason: str
    path: Path
    hint: str = ""
    """The key of the configuration to look at, such as `connections.gw.remote.id`."""

    def __str__(self) -> str:
        who = "the peer did not authenticate us" if self.by_peer else "the peer is not authentic"
        hint = f" (see {self.hint})" if self.hint else ""
        return f"{self.ike}: AUTHENTICATION_FAILED: {who}: {self.reason}{hint}"


@dataclass(frozen=True, slots=True)
class PeerUnreachable:
    """A request was retransmitted as often as is configured, and never answered."""

    ike: IkeName
    exchange: ExchangeType
    path: Path

    def __str__(self) -> str:
        return f"{self.ike}: no answer to {self.exchange.name} from {self.path.remote}"


@dataclass(frozen=True, slots=True)
class Retransmitted:
    """A request was sent once more."""

    ike: IkeName
    exchange: ExchangeType
    message_id: int
    attempt: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.ike}: retransmission {self.attempt} of {self.exchange.name} request {self.message_id}"


@dataclass(frozen=True, slots=True)
class CookieDemanded:
    """A responder wants to see first that an initiator receives at its address (RFC 7296, section 2.6)."""

    ike: IkeName
    by_peer: bool
    path: Path

    def __str__(self) -> str:
        by = "the peer demands" if self.by_peer else "we demand"
        return f"{self.ike}: {by} a cookie, {self.path}"


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """The peer's address or port changed, as a NAT may do."""

    ike: IkeName
    old: Path
    new: Path

    def __str__(self) -> str:
        return f"{self.ike}: the peer moved from {self.old.remote} to {self.new.remote}"


@dataclass(frozen=True, slots=True)
class PathWanted:
    """A child is to be up: look up the addresses and call `IkeEndpoint.initiate`.

    It is told again for as long as the child is wanted and nothing is under way.
    """

    connection: str
    child: str

    def __str__(self) -> str:
        return f"{self.connection}: {self.child} is to be up"


@dataclass(frozen=True, slots=True)
class NotTrapped:
    """A child's policy could not be installed, as an end of it is not known."""

    connection: str
    child: str
    why: str

    def __str__(self) -> str:
        return f"{self.connection}: no policy for {self.child}: {self.why}"


@dataclass(frozen=True, slots=True)
class IkeKeysDerived:
    """The keys of an IKE SA; told only where keys are to be exported."""

    ike: IkeName
    suite: IkeSuite
    keys: IkeKeys = field(repr=False)

    def __str__(self) -> str:
        return f"{self.ike}: IKE keys exported"


@dataclass(frozen=True, slots=True)
class ChildKeysDerived:
    """The keys of both directions of a Child SA; told only where keys are to be exported."""

    ike: IkeName
    child: ChildName
    suite: EspSuite
    path: Path
    inbound: EspKeys = field(repr=False)
    outbound: EspKeys = field(repr=False)

    def __str__(self) -> str:
        return f"{self.ike}: keys of {self.child} exported"


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message was sent for the first time."""

    ike: IkeName
    exchange: int
    response: bool
    message_id: int
    payloads: tuple[int, ...]
    """Types of the payloads, those inside an encrypted one instead of that one."""

    octets: int

    def __str__(self) -> str:
        return f"{self.ike}: sent {_message(self)}"


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message was received and is authentic as far as that can be known."""

    ike: IkeName
    exchange: int
    response: bool
    message_id: int
    payloads: tuple[int, ...]
    """Types of the payloads, those inside an encrypted one instead of that one."""

    octets: int

    def __str__(self) -> str:
        return f"{self.ike}: received {_message(self)}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A datagram, or a child's SPI in a message, was ignored."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"dropped a message from {self.path.remote}: {self.reason}"


@dataclass(frozen=True, slots=True)
class UnknownEspSpi:
    """The peer says that it has no Child SA with an SPI that we send with; nobody vouches for it."""

    ike: IkeName
    spi: Spi

    def __str__(self) -> str:
        return f"{self.ike}: the peer says that it does not know {format_spi(self.spi)}"


IkeEvent = (
    AuthenticationFailed
    | ChildKeysDerived
    | ChildSaDown
    | ChildSaRekeyed
    | ChildSaUp
    | CookieDemanded
    | Dropped
    | IkeKeysDerived
    | IkeSaDown
    | IkeSaRekeyed
    | IkeSaUp
    | MessageReceived
    | MessageSent
    | NotTrapped
    | PathWanted
    | PeerMoved
    | PeerUnreachable
    | Refused
    | Retransmitted
    | UnknownEspSpi
)
"""Anything that an endpoint tells."""


def _between(local: tuple[TrafficSelector, ...], remote: tuple[TrafficSelector, ...]) -> str:
    return f"{' '.join(map(str, local))} === {' '.join(map(str, remote))}"


def _message(event: MessageSent | MessageReceived) -> str:
    kind = "response" if event.response else "request"
    names = " ".join(_name(PayloadType, number) for number in event.payloads)
    exchange = _name(ExchangeType, event.exchange)
    return f"{exchange} {kind} {event.message_id} [{names}] {event.octets} octets"


def _name(numbers: type[PayloadType | ExchangeType], number: int) -> str:
    try:
        return numbers(number).name
    except ValueError:
        return str(number)
