"""SUPPORTED_AUTH_METHODS: telling the peer what it may prove itself by (RFC 9593).

A responder says so in IKE_SA_INIT, an initiator in IKE_AUTH; both only where a signature is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from perilune.crypto.signature_rules import old_method, schemes_for
from perilune.databases.proof import KnownKeys, NoProof, RemoteProof, SharedKey
from perilune.ike.received import find_notify
from perilune.ike.signature_hashes import AgreedHashes
from perilune.model.iana import AuthMethod, NotifyType
from perilune.wire.auth_announcements import (
    AuthAnnouncement,
    decode_auth_announcements,
    encode_auth_announcements,
)
from perilune.wire.payloads import NotifyPayload, Payload


def method_notifies(proofs: Iterable[RemoteProof], hashes: AgreedHashes) -> tuple[Payload, ...]:
    """Return the announcement of what a peer may prove itself by; none where no signature is wanted.

    Args:
        proofs: What connections ask for.
        hashes: Whether both sides know RFC 7427.
    """
    wanted = tuple(dict.fromkeys(proofs))
    if not any(isinstance(proof, KnownKeys) for proof in wanted):
        return ()
    all_of_them = (one for proof in wanted for one in _announcements(proof, hashes))
    data = encode_auth_announcements(dict.fromkeys(all_of_them))
    return (NotifyPayload(NotifyType.SUPPORTED_AUTH_METHODS, data),)


def announced_identifiers(payloads: Sequence[Payload]) -> frozenset[bytes]:
    """Return the AlgorithmIdentifiers that a peer announced for signatures.

    Raises:
        DecodeError: Its notify is malformed.
    """
    notify = find_notify(payloads, NotifyType.SUPPORTED_AUTH_METHODS)
    if notify is None:
        return frozenset()
    return frozenset(one.identifier for one in decode_auth_announcements(notify.data) if one.identifier)


def _announcements(proof: RemoteProof, hashes: AgreedHashes) -> Iterator[AuthAnnouncement]:
    match proof:
        case SharedKey():
            yield AuthAnnouncement(AuthMethod.SHARED_KEY_MIC)
        case NoProof():
            yield AuthAnnouncement(AuthMethod.NULL)
        case KnownKeys(keys, rules):
            for key in keys:
                for scheme in schemes_for(key, rules):
                    method = old_method(key, scheme)
                    if hashes.of_us is not None and scheme.identifiers:
                        yield AuthAnnouncement(AuthMethod.DIGITAL_SIGNATURE, 0, scheme.identifiers[0])
                    elif hashes.of_us is None and method is not None:
                        yield AuthAnnouncement(method, 0)
