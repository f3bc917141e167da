"""Making and checking AUTH, by whatever either end proves who it is (RFC 7296, section 2.15).

A signature is made and checked at once, within the call that brought the message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perilune.crypto.auth import psk_auth, require_equal_auth, signed_octets
from perilune.crypto.signature import NotSigned, authentication_data, require_signature
from perilune.crypto.signature_rules import choose_scheme, schemes_for
from perilune.databases.pad import PadEntry, SharedSecret
from perilune.databases.proof import KnownKeys, NoProof, OwnKey, SharedKey, is_proof_of
from perilune.ike.exchanges.init_done import InitDone
from perilune.ike.refusal import NotAuthentic
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import AuthMethod
from perilune.model.secret import Secret
from perilune.wire.payloads import AuthPayload, IdPayload

PSK = "PSK"
"""How events name a proof by a shared secret."""

NULL = "nothing"
"""How events name the lack of any proof."""


@dataclass(frozen=True, slots=True)
class Proof:
    """AUTH of ours."""

    payload: AuthPayload
    by: str
    """By what, for events."""


def prove(
    entry: PadEntry,
    done: InitDone,
    id_payload: IdPayload,
    secret: SharedSecret | None,
    liked: frozenset[bytes],
) -> Proof:
    """Return AUTH that shows that we are who we say.

    Args:
        entry: The connection.
        done: What IKE_SA_INIT led to.
        id_payload: The ID payload that we send.
        secret: The one to prove ourselves with, where that is how.
        liked: AlgorithmIdentifiers that the peer announced (RFC 9593); none where it announced nothing.

    Raises:
        NotAuthentic: We have nothing that the peer would understand.
    """
    octets = _octets(done, id_payload, ours=True)
    match entry.local_proof:
        case OwnKey():
            return _signed(entry, entry.local_proof, done, octets, liked)
        case NoProof():
            data = psk_auth(done.keyed.suite.prf, _sk_p(done, ours=True), octets)
            return Proof(AuthPayload(AuthMethod.NULL, data), NULL)
    if secret is None:
        raise NotAuthentic("there is no secret to prove ourselves with", f"connections.{entry.name}.local.id")
    data = psk_auth(done.keyed.suite.prf, secret.secret, octets)
    return Proof(AuthPayload(AuthMethod.SHARED_KEY_MIC, data), PSK)


def require_proof(
    entry: PadEntry,
    done: InitDone,
    id_payload: IdPayload,
    auth: AuthPayload,
    secret: Callable[[], SharedSecret],
) -> str:
    """Make sure that the peer's AUTH shows that it is who it says.

    Args:
        entry: The connection.
        done: What IKE_SA_INIT led to.
        id_payload: The peer's ID payload.
        auth: Its AUTH.
        secret: Finds the secret that it has to have, where that is how; raises NotAuthentic.

    Returns:
        By what it did so, for events.

    Raises:
        NotAuthentic: It does not.
    """
    if not is_proof_of(entry.remote_proof, auth.method):
        raise wrong_method(entry, auth.method)
    octets = _octets(done, id_payload, ours=False)
    match entry.remote_proof:
        case SharedKey():
            shared = secret()
            _require_mic(done, shared.secret, octets, auth, f"{shared.key}.secret")
            return PSK
        case NoProof():
            _require_mic(done, _sk_p(done, ours=False), octets, auth, _remote_auth(entry))
            return NULL
        case KnownKeys():
            return _require_signature(entry, entry.remote_proof, done, auth, octets)


def wrong_method(entry: PadEntry, method: int | None) -> NotAuthentic:
    """Return the failure of a peer that proves itself by another method than its connection asks for.

    Args:
        entry: The connection.
        method: The Auth Method; None for EAP.
    """
    named = method.name if isinstance(method, AuthMethod) else f"method {method}"
    theirs = "EAP" if method is None else named
    why = f"the peer authenticates by {theirs}, where '{entry.remote_proof}' is asked for"
    return NotAuthentic(why, _remote_auth(entry))


def _remote_auth(entry: PadEntry) -> str:
    return f"connections.{entry.name}.remote.auth"


def _octets(done: InitDone, id_payload: IdPayload, *, ours: bool) -> bytes:
    """Return InitiatorSignedOctets or ResponderSignedOctets: those that we sign, or that the peer does."""
    keyed = done.keyed
    by_initiator = ours == keyed.original_initiator
    message = done.local_message if ours else done.remote_message
    peer_nonce = keyed.nonce_r if by_initiator else keyed.nonce_i
    sk_p = _sk_p(done, ours=ours)
    return signed_octets(keyed.suite.prf, message, peer_nonce, sk_p, id_payload.encode(), done.int_auth)


def _sk_p(done: InitDone, *, ours: bool) -> Secret:
    keyed = done.keyed
    return keyed.keys.sk_pi if ours == keyed.original_initiator else keyed.keys.sk_pr


def _signed(entry: PadEntry, proof: OwnKey, done: InitDone, octets: bytes, liked: frozenset[bytes]) -> Proof:
    try:
        method, scheme = choose_scheme(proof.key.public, proof.rules, done.hashes.of_peer, liked)
    except LocalError as error:
        raise NotAuthentic(f"we cannot sign: {error}", f"connections.{entry.name}.local.auth") from error
    data = authentication_data(proof.key, method, scheme, octets)
    return Proof(AuthPayload(method, data), str(scheme))


def _require_mic(done: InitDone, secret: Secret, octets: bytes, auth: AuthPayload, hint: str) -> None:
    try:
        require_equal_auth(psk_auth(done.keyed.suite.prf, secret, octets), auth.data)
    except PeerError as error:
        raise NotAuthentic(str(error), hint) from error


def _require_signature(
    entry: PadEntry, proof: KnownKeys, done: InitDone, auth: AuthPayload, octets: bytes
) -> str:
    ##= https://www.rfc-editor.org/rfc/rfc7427#section-3
    ##% If both ends
    ##% send and receive SIGNATURE_HASH_ALGORITHMS Notify payloads, and
    ##% signature authentication is to be used, then the authentication
    ##% method specified in this Authentication payload MUST be used.
    ours = done.hashes.of_us
    if (auth.method == AuthMethod.DIGITAL_SIGNATURE) != (ours is not None):
        agreed = "agreed on by both sides" if ours is not None else "not announced by both sides"
        why = f"the peer signs by method {auth.method}, with RFC 7427 {agreed}"
        raise NotAuthentic(why, _remote_auth(entry))
    reasons: list[str] = []
    for key in proof.keys:
        schemes = [scheme for scheme in schemes_for(key, proof.rules) if ours is None or scheme.hash in ours]
        try:
            return str(require_signature(key, schemes, auth.method, auth.data, octets))
        except NotSigned as error:
            reasons.append(str(error))
    few = "; ".join(dict.fromkeys(reasons[:_SHOWN]))
    raise NotAuthentic(few, f"connections.{entry.name}.remote.pubkeys")


_SHOWN = 4
"""How many keys a message names."""
