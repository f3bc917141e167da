"""SUPPORTED_AUTH_METHODS: telling the peer what it may prove itself by (RFC 9593).

A responder says so in IKE_SA_INIT, an initiator in IKE_AUTH; both only where a signature is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from perilune.crypto.signature_rules import old_method, schemes_for
from perilune.databases.proof import KnownKeys, NoProof, RemoteProof, SharedKey
from perilune.ike.received import find_notify
from perilune.model.iana import AuthMethod, NotifyType
from perilune.wire.auth_announcements import (
    AuthAnnouncement,
    decode_auth_announcements,
    encode_auth_announcements,
)
from perilune.wire.payloads import NotifyPayload, Payload

_WITHOUT_KEY = frozenset({AuthMethod.SHARED_KEY_MIC, AuthMethod.NULL})


def method_notifies(announcements: Iterable[AuthAnnouncement]) -> tuple[Payload, ...]:
    """Return the notify that tells what a peer may prove itself by; none where no signature is wanted.

    Args:
        announcements: Of what connections ask for; each is told once.
    """
    wanted = dict.fromkeys(announcements)
    if all(one.method in _WITHOUT_KEY for one in wanted):
        return ()
    return (NotifyPayload(NotifyType.SUPPORTED_AUTH_METHODS, encode_auth_announcements(wanted)),)


def announced_identifiers(payloads: Sequence[Payload]) -> frozenset[bytes]:
    """Return the AlgorithmIdentifiers that a peer announced for signatures.

    Raises:
        DecodeError: Its notify is malformed.
    """
    notify = find_notify(payloads, NotifyType.SUPPORTED_AUTH_METHODS)
    if notify is None:
        return frozenset()
    return frozenset(one.identifier for one in decode_auth_announcements(notify.data) if one.identifier)


def announcements(proof: RemoteProof, *, digital_signature: bool) -> Iterator[AuthAnnouncement]:
    """Yield what a peer may prove itself by where a proof is asked for.

    Args:
        proof: It.
        digital_signature: Whether both sides know RFC 7427.
    """
    match proof:
        case SharedKey():
            yield AuthAnnouncement(AuthMethod.SHARED_KEY_MIC)
        case NoProof():
            yield AuthAnnouncement(AuthMethod.NULL)
        case KnownKeys(keys, rules):
            for key in keys:
                for scheme in schemes_for(key, rules):
                    method = old_method(key, scheme)
                    if digital_signature and scheme.identifiers:
                        yield AuthAnnouncement(AuthMethod.DIGITAL_SIGNATURE, 0, scheme.identifiers[0])
                    elif not digital_signature and method is not None:
                        yield AuthAnnouncement(method, 0)
