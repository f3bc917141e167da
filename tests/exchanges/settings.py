"""Connections and children in few words."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Final

from perilune.databases.pad import AddressRange, ChildPolicy, PadEntry, SharedSecret
from perilune.ike.settings import EndpointSettings
from perilune.model.algorithms import ENCRYPTION
from perilune.model.iana import (
    ADDITIONAL_KEY_EXCHANGES,
    EncrId,
    IntegId,
    KeId,
    PrfId,
    ProtocolId,
    SnId,
    TransformType,
)
from perilune.model.identity import Identity
from perilune.model.proposal import Proposal, Transform
from perilune.model.secret import Secret
from perilune.model.selector import TrafficSelector
from perilune.model.time import Duration

LEFT: Final = "192.0.2.1"
RIGHT: Final = "198.51.100.1"
LEFT_NET: Final = "10.1.0.0/16"
RIGHT_NET: Final = "10.2.0.0/16"


def ike_proposal(
    *methods: KeId,
    encr: EncrId = EncrId.ENCR_AES_GCM_16,
    bits: int = 256,
    prf: PrfId = PrfId.PRF_HMAC_SHA2_256,
    additional: Sequence[Sequence[KeId]] = (),
) -> Proposal:
    """Return a proposal; `additional` has the methods of ADDKE1, then those of ADDKE2, and so on."""
    transforms = [
        Transform(TransformType.ENCR, encr, bits if ENCRYPTION[encr].sends_key_bits else None),
        Transform(TransformType.PRF, prf),
    ]
    if not ENCRYPTION[encr].is_combined:
        transforms.append(Transform(TransformType.INTEG, IntegId.AUTH_HMAC_SHA2_256_128))
    transforms += [Transform(TransformType.KE, method) for method in methods or (KeId.CURVE25519,)]
    transforms += _additional(additional)
    return Proposal(ProtocolId.IKE, tuple(transforms))


def _additional(methods: Sequence[Sequence[KeId]]) -> list[Transform]:
    of_types = zip(ADDITIONAL_KEY_EXCHANGES, methods, strict=False)
    return [Transform(type_, method) for type_, allowed in of_types for method in allowed]


def esp_proposal(
    *methods: KeId,
    encr: EncrId = EncrId.ENCR_AES_GCM_16,
    bits: int = 128,
    numbers: tuple[SnId, ...] = (SnId.SEQUENTIAL_32,),
) -> Proposal:
    transforms = [Transform(TransformType.ENCR, encr, bits if ENCRYPTION[encr].sends_key_bits else None)]
    if not ENCRYPTION[encr].is_combined:
        transforms.append(Transform(TransformType.INTEG, IntegId.AUTH_HMAC_SHA2_256_128))
    transforms += [Transform(TransformType.KE, method) for method in methods]
    transforms += [Transform(TransformType.SN, number) for number in numbers]
    return Proposal(ProtocolId.ESP, tuple(transforms))


def selectors(*networks: str) -> tuple[TrafficSelector, ...]:
    return tuple(TrafficSelector.of_network(ip_network(network)) for network in networks)


def child(
    name: str = "net", *, local: str = LEFT_NET, remote: str = RIGHT_NET, **changes: object
) -> ChildPolicy:
    settings: dict[str, object] = {
        "name": name,
        "proposals": (esp_proposal(),),
        "local_ts": selectors(*local.split()),
        "remote_ts": selectors(*remote.split()),
    }
    return ChildPolicy(**(settings | changes))


def host(address: str) -> tuple[AddressRange, ...]:
    return (AddressRange(ip_address(address), ip_address(address)),)


def left(**changes: object) -> PadEntry:
    """Return the connection of the left side, which begins in most tests."""
    settings: dict[str, object] = {
        "name": "gw",
        "remote_addrs": host(RIGHT),
        "proposals": (ike_proposal(),),
        "local_id": Identity.parse("left.example"),
        "remote_id": Identity.parse("right.example"),
        "children": (child(),),
        "rekey_time": Duration(0),
    }
    return PadEntry(**(settings | changes))


def right(**changes: object) -> PadEntry:
    """Return the connection of the right side; unless it is changed it fits the left one."""
    settings: dict[str, object] = {
        "name": "gw",
        "remote_addrs": host(LEFT),
        "proposals": (ike_proposal(),),
        "local_id": Identity.parse("right.example"),
        "remote_id": Identity.parse("left.example"),
        "children": (child(local=RIGHT_NET, remote=LEFT_NET),),
        "rekey_time": Duration(0),
    }
    return PadEntry(**(settings | changes))


def secret(text: str = "a shared secret") -> SharedSecret:
    return SharedSecret(Secret(text.encode()))


def endpoint_settings(**changes: object) -> EndpointSettings:
    return EndpointSettings(**changes)
