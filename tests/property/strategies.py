"""Hypothesis strategies for the values of IKE messages."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from perilune.model.iana import IdType, PayloadType, ProtocolId
from perilune.model.identity import Identity
from perilune.model.proposal import Proposal, Transform
from perilune.model.selector import TrafficSelector
from perilune.model.spi import IkeSpi
from perilune.wire.header import Flags, Header
from perilune.wire.payloads import (
    AuthPayload,
    CertPayload,
    CertReqPayload,
    ConfigurationAttribute,
    CpPayload,
    DeletePayload,
    EapPayload,
    EncryptedFragment,
    EncryptedPayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
    UnknownPayload,
    UnknownTrafficSelector,
    VendorPayload,
)

OCTET = st.integers(0, 0xFF)
SHORT = st.integers(0, 0xFFFF)
DATA = st.binary(max_size=64)

headers = st.builds(
    Header,
    spi_i=st.integers(0, 2**64 - 1).map(IkeSpi),
    spi_r=st.integers(0, 2**64 - 1).map(IkeSpi),
    exchange_type=OCTET,
    flags=st.builds(Flags, st.booleans(), st.booleans(), st.booleans()),
    message_id=st.integers(0, 2**32 - 1),
    minor_version=st.integers(0, 15),
)

long_attributes = st.tuples(st.integers(0, 0x7FFF), DATA)
short_attributes = st.tuples(
    st.integers(0x8000, 0xFFFF).filter(lambda type_: type_ != 0x800E), st.binary(min_size=2, max_size=2)
)
transforms = st.builds(
    Transform,
    type=OCTET,
    id=SHORT,
    key_bits=st.none() | SHORT,
    other_attributes=st.lists(long_attributes | short_attributes, max_size=3).map(tuple),
)
proposals = st.builds(
    Proposal,
    protocol=OCTET,
    transforms=st.lists(transforms, min_size=1, max_size=5).map(tuple),
    spi=st.binary(max_size=8),
    number=OCTET,
)


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    return min(pair), max(pair)


def _selectors(address: type[IPv4Address | IPv6Address], bits: int) -> st.SearchStrategy[TrafficSelector]:
    number = st.integers(0, 2**bits - 1)
    return st.builds(
        lambda addresses, protocol, ports: TrafficSelector(
            address(addresses[0]), address(addresses[1]), protocol, *ports
        ),
        st.tuples(number, number).map(_ordered),
        OCTET,
        st.tuples(SHORT, SHORT).map(_ordered) | st.just((0xFFFF, 0)),
    )


unknown_selectors = st.builds(
    UnknownTrafficSelector, OCTET.filter(lambda type_: type_ not in {7, 8}), OCTET, DATA
)
selectors = _selectors(IPv4Address, 32) | _selectors(IPv6Address, 128) | unknown_selectors

identities = (
    st.builds(Identity, st.just(IdType.ID_IPV4_ADDR), st.binary(min_size=4, max_size=4))
    | st.builds(Identity, st.just(IdType.ID_IPV6_ADDR), st.binary(min_size=16, max_size=16))
    | st.builds(Identity, OCTET.filter(lambda type_: type_ not in {1, 5}), DATA)
)

deletes = st.builds(
    DeletePayload,
    st.sampled_from([ProtocolId.AH, ProtocolId.ESP]),
    st.lists(st.binary(min_size=4, max_size=4), max_size=5).map(tuple),
) | st.just(DeletePayload(ProtocolId.IKE))

eap_messages = st.tuples(st.binary(min_size=2, max_size=2), DATA).map(
    lambda parts: parts[0] + (4 + len(parts[1])).to_bytes(2) + parts[1]
)

unknown_payloads = st.builds(
    UnknownPayload,
    st.integers(1, 0xFF).filter(lambda type_: type_ not in set(PayloadType)),
    st.just(False),
    DATA,
)

payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(SaPayload, st.lists(proposals, min_size=1, max_size=4).map(tuple)),
    st.builds(KePayload, SHORT, DATA),
    st.builds(
        IdPayload,
        st.sampled_from([PayloadType.ID_I, PayloadType.ID_R]),
        identities,
        st.binary(min_size=3, max_size=3),
    ),
    st.builds(CertPayload, OCTET, DATA),
    st.builds(CertReqPayload, OCTET, DATA),
    st.builds(AuthPayload, OCTET, DATA),
    st.builds(NoncePayload, st.binary(min_size=16, max_size=256)),
    st.builds(NotifyPayload, SHORT, DATA, OCTET, st.binary(max_size=8)),
    deletes,
    st.builds(VendorPayload, DATA),
    st.builds(
        TsPayload,
        st.sampled_from([PayloadType.TS_I, PayloadType.TS_R]),
        st.lists(selectors, min_size=1, max_size=4).map(tuple),
    ),
    st.builds(
        CpPayload,
        OCTET,
        st.lists(st.builds(ConfigurationAttribute, st.integers(0, 0x7FFF), DATA), max_size=4).map(tuple),
    ),
    st.builds(EapPayload, eap_messages),
    unknown_payloads,
)
"""Every payload that may stand anywhere."""

MANY = {PayloadType.CERT, PayloadType.CERTREQ, PayloadType.NOTIFY, PayloadType.DELETE, PayloadType.VENDOR}


def _without_second_ones(chain: list[Payload]) -> tuple[Payload, ...]:
    kept: list[Payload] = []
    for payload in chain:
        known_once = not isinstance(payload, UnknownPayload) and payload.payload_type not in MANY
        if not known_once or payload.payload_type not in {other.payload_type for other in kept}:
            kept.append(payload)
    return tuple(kept)


chains = st.lists(payloads, max_size=8).map(_without_second_ones)

encrypted_payloads = st.builds(EncryptedPayload, OCTET, DATA) | st.tuples(
    OCTET, st.tuples(st.integers(1, 0xFFFF), st.integers(1, 0xFFFF)).map(_ordered), DATA
).map(lambda parts: EncryptedFragment(parts[0], *parts[1], parts[2]))
"""Payloads that may stand at the end."""
