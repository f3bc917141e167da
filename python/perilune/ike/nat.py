"""Finding a NAT between two peers and going around it (RFC 7296, section 2.23)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from perilune.crypto.nat_detection import nat_detection_hash
from perilune.model.address import IKE_PORT, NAT_T_PORT, Endpoint, Path
from perilune.model.iana import NotifyType
from perilune.model.spi import IkeSpi
from perilune.wire.payloads import NotifyPayload, Payload


@dataclass(frozen=True, slots=True)
class Nat:
    """Who is behind a NAT, or pretends to be."""

    local_behind: bool = False
    remote_behind: bool = False

    @property
    def between(self) -> bool:
        """Whether ESP has to travel in UDP."""
        return self.local_behind or self.remote_behind

    def __str__(self) -> str:
        sides = ["here"] * self.local_behind + ["there"] * self.remote_behind
        return f"NAT {' and '.join(sides)}" if sides else "no NAT"


def nat_notifies(spi_i: IkeSpi, spi_r: IkeSpi, path: Path, *, pretend: bool) -> tuple[Payload, ...]:
    """Return the two notifies that let the peer find a NAT.

    Args:
        spi_i: SPIs as in the message's header.
        spi_r: Same.
        path: The way of the message.
        pretend: Send a source hash that fits no packet, so that the peer sees a NAT in any case.
    """
    source = Endpoint(path.local.address, 0) if pretend else path.local
    return (
        NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, nat_detection_hash(spi_i, spi_r, source)),
        NotifyPayload(NotifyType.NAT_DETECTION_DESTINATION_IP, nat_detection_hash(spi_i, spi_r, path.remote)),
    )


def find_nat(
    payloads: Iterable[Payload], spi_i: IkeSpi, spi_r: IkeSpi, path: Path, *, pretend: bool
) -> Nat | None:
    """Compare a message's hashes with the way it came.

    Args:
        payloads: Of the peer's IKE_SA_INIT message.
        spi_i: SPIs as in the message's header.
        spi_r: Same.
        path: The way of the message, seen from here.
        pretend: We pretend to be behind a NAT.

    Returns:
        None where the peer sent no hashes, and so cannot go around a NAT.
    """
    sources = _hashes(payloads, NotifyType.NAT_DETECTION_SOURCE_IP)
    destinations = _hashes(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)
    if not sources or not destinations:
        return None
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
    ##% If none of the NAT_DETECTION_SOURCE_IP payload(s) received matches
    ##% the expected value of the source IP and port found from the IP
    ##% header of the packet containing the payload, it means that the
    ##% system sending those payloads is behind a NAT
    local_is_seen = nat_detection_hash(spi_i, spi_r, path.local) in destinations
    remote_is_seen = nat_detection_hash(spi_i, spi_r, path.remote) in sources
    return Nat(local_behind=pretend or not local_is_seen, remote_behind=not remote_is_seen)


def nat_t_path(path: Path, nat_t_port: int) -> Path:
    """Return a path on the ports where IKE and ESP share UDP; a port other than IKE's stays."""
    local = Endpoint(path.local.address, nat_t_port)
    remote = path.remote if path.remote.port != IKE_PORT else Endpoint(path.remote.address, NAT_T_PORT)
    return Path(local, remote)


def _hashes(payloads: Iterable[Payload], type_: NotifyType) -> list[bytes]:
    return [p.data for p in payloads if isinstance(p, NotifyPayload) and p.type == type_]
