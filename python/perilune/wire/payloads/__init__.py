"""The payloads of IKEv2, one frozen value each.

Each has a `payload_type`, `encode()`, which returns the body behind the generic payload header, and a class
method `decode(body, offset)`, where `offset` says where the body lies in the datagram so that an error can
name the octet. `Payload` is the sum of them all.
"""

from __future__ import annotations

from perilune.wire.payloads.authentication import AuthPayload
from perilune.wire.payloads.certificate import CertPayload, CertReqPayload
from perilune.wire.payloads.configuration import ConfigurationAttribute, CpPayload
from perilune.wire.payloads.delete import DeletePayload
from perilune.wire.payloads.eap import EapPayload
from perilune.wire.payloads.encrypted import EncryptedFragment, EncryptedPayload
from perilune.wire.payloads.identification import IdPayload
from perilune.wire.payloads.key_exchange import KePayload
from perilune.wire.payloads.nonce import NoncePayload
from perilune.wire.payloads.notify import NotifyPayload
from perilune.wire.payloads.security_association import SaPayload
from perilune.wire.payloads.traffic_selector import TsPayload, UnknownTrafficSelector
from perilune.wire.payloads.unknown import UnknownPayload
from perilune.wire.payloads.vendor_id import VendorPayload

__all__ = [
    "AuthPayload",
    "CertPayload",
    "CertReqPayload",
    "ConfigurationAttribute",
    "CpPayload",
    "DeletePayload",
    "EapPayload",
    "EncryptedFragment",
    "EncryptedPayload",
    "IdPayload",
    "KePayload",
    "NoncePayload",
    "NotifyPayload",
    "Payload",
    "SaPayload",
    "TsPayload",
    "UnknownPayload",
    "UnknownTrafficSelector",
    "VendorPayload",
]

Payload = (
    SaPayload
    | KePayload
    | IdPayload
    | CertPayload
    | CertReqPayload
    | AuthPayload
    | NoncePayload
    | NotifyPayload
    | DeletePayload
    | VendorPayload
    | TsPayload
    | CpPayload
    | EapPayload
    | EncryptedPayload
    | EncryptedFragment
    | UnknownPayload
)
"""Any payload."""
