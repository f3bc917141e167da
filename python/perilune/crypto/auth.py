"""AUTH by a pre-shared key (RFC 7296, section 2.15)."""

from __future__ import annotations

import hmac
from typing import Final

from perilune.crypto.prf import prf
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType, PrfId
from perilune.model.secret import Secret

_KEY_PAD: Final = b"Key Pad for IKEv2"


def signed_octets(  # noqa: PLR0913, PLR0917 - the quantities that the sections name
    prf_id: PrfId, first_message: bytes, peer_nonce: bytes, sk_p: Secret, id_body: bytes, int_auth: bytes
) -> bytes:
    """Return InitiatorSignedOctets or ResponderSignedOctets.

    Args:
        prf_id: The IKE SA's PRF.
        first_message: The signer's own message of IKE_SA_INIT, the latest one it sent, from its SPIs to
            its last payload: without a non-ESP marker.
        peer_nonce: The nonce of the signer's peer, without its payload header.
        sk_p: SK_pi where the original initiator signs, else SK_pr.
        id_body: The signer's ID payload without its generic header.
        int_auth: IntAuth (RFC 9242, section 3.3.2); empty where there was no IKE_INTERMEDIATE.
    """
    return first_message + peer_nonce + prf(prf_id, sk_p, id_body) + int_auth


def psk_auth(prf_id: PrfId, secret: Secret, octets: bytes) -> bytes:
    """Return the contents of AUTH with method SHARED_KEY_MIC.

    Args:
        prf_id: The IKE SA's PRF.
        secret: The pre-shared key, without a terminator.
        octets: See `signed_octets`.
    """
    return prf(prf_id, prf(prf_id, secret, _KEY_PAD), octets)


def require_equal_auth(expected: bytes, received: bytes) -> None:
    """Make sure, in constant time, that AUTH is what its sender's key gives.

    Raises:
        PeerError: It is not; the notify is AUTHENTICATION_FAILED.
    """
    if not hmac.compare_digest(expected, received):
        raise PeerError(
            "AUTH does not fit: the keys, the identities or the first messages differ",
            notify=NotifyType.AUTHENTICATION_FAILED,
        )
