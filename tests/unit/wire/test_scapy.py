"""Against scapy's IKEv2 layer, which was not written here."""

from __future__ import annotations

import warnings

from perilune.model.iana import (
    EncrId,
    KeId,
    NotifyType,
    PayloadType,
    PrfId,
    ProtocolId,
    TransformType,
)
from perilune.model.identity import Identity
from perilune.model.proposal import Proposal, Transform
from perilune.model.selector import everything
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import (
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    SaPayload,
    TsPayload,
)
from support.messages import REQUEST

with warnings.catch_warnings():
    # Scapy names ciphers that the cryptography package wants nobody to use.
    warnings.simplefilter("ignore")
    from scapy.contrib import ikev2

OFFER = Proposal(
    ProtocolId.IKE,
    (
        Transform(TransformType.ENCR, EncrId.ENCR_AES_GCM_16, 256),
        Transform(TransformType.PRF, PrfId.PRF_HMAC_SHA2_512),
        Transform(TransformType.KE, KeId.ECP_256),
    ),
)


def test_scapy_reads_our_message() -> None:
    octets = encode_message(
        REQUEST,
        [
            SaPayload((OFFER,)),
            KePayload(KeId.ECP_256, b"\xaa" * 64),
            NoncePayload(b"\xbb" * 32),
            NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, b"\xcc" * 20),
        ],
    )
    message = ikev2.IKEv2(octets)
    assert message.init_SPI == REQUEST.spi_i.to_bytes(8)
    assert (message.exch_type, message.length) == (34, len(octets))
    proposal = message[ikev2.IKEv2_Proposal]
    assert (proposal.proto, proposal.trans_nb) == (1, 3)
    transforms = [proposal.trans.getlayer(ikev2.IKEv2_Transform, nb) for nb in (1, 2, 3)]
    assert [(t.transform_type, t.transform_id) for t in transforms] == [(1, 20), (2, 7), (4, 19)]
    assert transforms[0].key_length == 256
    assert (message[ikev2.IKEv2_KE].group, message[ikev2.IKEv2_KE].ke) == (19, b"\xaa" * 64)
    assert message[ikev2.IKEv2_Nonce].nonce == b"\xbb" * 32
    assert message[ikev2.IKEv2_Notify].type == 16388
    assert message[ikev2.IKEv2_Notify].notify == b"\xcc" * 20


def test_we_read_scapy_s_message() -> None:
    encryption = ikev2.IKEv2_Transform(transform_type=1, transform_id=20, length=12, key_length=256)
    others = ikev2.IKEv2_Transform(transform_type=2, transform_id=7) / ikev2.IKEv2_Transform(
        transform_type=4, transform_id=19
    )
    proposal = ikev2.IKEv2_Proposal(proposal=1, proto=1, trans_nb=3, trans=encryption / others)
    selector = ikev2.IPv4TrafficSelector(
        starting_address_v4="0.0.0.0", ending_address_v4="255.255.255.255", start_port=0, end_port=65535
    )
    packet = (
        ikev2.IKEv2(init_SPI=REQUEST.spi_i.to_bytes(8), exch_type=34, flags=8)
        / ikev2.IKEv2_SA(prop=proposal)
        / ikev2.IKEv2_KE(group=19, ke=b"\xaa" * 64)
        / ikev2.IKEv2_Nonce(nonce=b"\xbb" * 32)
        / ikev2.IKEv2_IDi(IDtype=2, ID=b"gw.example")
        / ikev2.IKEv2_TSi(number_of_TSs=1, traffic_selector=[selector])
        / ikev2.IKEv2_Notify(type=16388, notify=b"\xcc" * 20)
    )
    message = Message.decode(bytes(packet))
    assert message.header.spi_i == REQUEST.spi_i
    assert message.header.flags == REQUEST.flags
    assert message.payloads == (
        SaPayload((OFFER,)),
        KePayload(KeId.ECP_256, b"\xaa" * 64),
        NoncePayload(b"\xbb" * 32),
        IdPayload(PayloadType.ID_I, Identity.parse("gw.example")),
        TsPayload(PayloadType.TS_I, (everything(4),)),
        NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, b"\xcc" * 20),
    )
