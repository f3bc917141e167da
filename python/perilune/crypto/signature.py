"""Digital signatures of AUTH (RFC 7296, section 2.15; RFC 4754, RFC 7427, RFC 8420).

What stands before a signature of method 14 is an AlgorithmIdentifier. It is compared octet by octet with
those that are known, as RFC 7427, section 3, suggests; none is parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from perilune.crypto.keys import KeyKind, PrivateKey, PublicKey
from perilune.crypto.signature_rules import old_method
from perilune.crypto.signature_schemes import HASHES, SCHEMES, RsaPadding, SignatureScheme
from perilune.model.errors import PeerError
from perilune.model.iana import AuthMethod, NotifyType

_OF_IDENTIFIER: Final = {blob: scheme for scheme in SCHEMES for blob in scheme.identifiers}


def authentication_data(key: PrivateKey, method: AuthMethod, scheme: SignatureScheme, octets: bytes) -> bytes:
    """Return the Authentication Data that proves the possession of a key.

    A signature of RSASSA-PSS and of ML-DSA has random octets of its own.

    Args:
        key: The key.
        method: DIGITAL_SIGNATURE, or what `old_method` says.
        scheme: One for the key.
        octets: What is signed; see `perilune.crypto.auth.signed_octets`.
    """
    signature = _sign(key, scheme, octets)
    if method is AuthMethod.DIGITAL_SIGNATURE:
        identifier = scheme.identifiers[0]
        return bytes((len(identifier),)) + identifier + signature
    return _joined(signature, key.public.bits) if key.public.kind is KeyKind.ECDSA else signature


class NotSigned(PeerError):  # noqa: N818 - what the peer failed to show, not a defect
    """A signature is not that of a key, or not of a form that is known or allowed."""

    def __init__(self, why: str) -> None:
        super().__init__(why, notify=NotifyType.AUTHENTICATION_FAILED)


def require_signature(
    key: PublicKey, schemes: Sequence[SignatureScheme], method: int, data: bytes, octets: bytes
) -> SignatureScheme:
    """Make sure that Authentication Data shows the possession of a key.

    Args:
        key: The key.
        schemes: Those that will do.
        method: The Auth Method, that of a signature.
        data: The Authentication Data.
        octets: What is signed.

    Returns:
        How it was signed.

    Raises:
        NotSigned: It does not.
    """
    if method == AuthMethod.DIGITAL_SIGNATURE:
        scheme, signature = split_data(data)
        if scheme not in schemes:
            raise NotSigned(f"{scheme} is not allowed for {key}")
        _verify(key, scheme, signature, octets)
        return scheme
    fitting = [scheme for scheme in schemes if old_method(key, scheme) == method]
    if not fitting:
        raise NotSigned(f"method {method} is not allowed for {key}")
    signature = _split(data, key.bits) if key.kind is KeyKind.ECDSA else data
    for scheme in fitting[:-1]:
        try:
            _verify(key, scheme, signature, octets)
        except NotSigned:
            continue
        return scheme
    _verify(key, fitting[-1], signature, octets)
    return fitting[-1]


def split_data(data: bytes) -> tuple[SignatureScheme, bytes]:
    """Return the scheme and the signature of Authentication Data of method DIGITAL_SIGNATURE.

    Raises:
        NotSigned: Its AlgorithmIdentifier is cut off or not known.
    """
    if not data or len(data) <= 1 + data[0]:
        raise NotSigned(f"Authentication Data of {len(data)} octets is cut off")
    end = 1 + data[0]
    scheme = _OF_IDENTIFIER.get(data[1:end])
    if scheme is None:
        raise NotSigned(f"AlgorithmIdentifier 0x{data[1:end].hex()} is not known")
    return scheme, data[end:]


def _rsa_padding(scheme: SignatureScheme) -> padding.AsymmetricPadding:
    if scheme.padding is RsaPadding.PKCS1:
        return padding.PKCS1v15()
    digest = HASHES[scheme.hash]
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def _sign(key: PrivateKey, scheme: SignatureScheme, octets: bytes) -> bytes:
    match key.raw:
        case rsa.RSAPrivateKey():
            return key.raw.sign(octets, _rsa_padding(scheme), HASHES[scheme.hash])
        case ec.EllipticCurvePrivateKey():
            return key.raw.sign(octets, ec.ECDSA(HASHES[scheme.hash], deterministic_signing=True))
    return key.raw.sign(octets)


def _verify(key: PublicKey, scheme: SignatureScheme, signature: bytes, octets: bytes) -> None:
    try:
        match key.raw:
            case rsa.RSAPublicKey():
                key.raw.verify(signature, octets, _rsa_padding(scheme), HASHES[scheme.hash])
            case ec.EllipticCurvePublicKey():
                key.raw.verify(signature, octets, ec.ECDSA(HASHES[scheme.hash]))
            case _:
                key.raw.verify(signature, octets)
    except InvalidSignature:
        raise NotSigned(f"the signature is not that of {key} by {scheme}") from None


def _coordinate_octets(bits: int) -> int:
    return (bits + 7) // 8


def _joined(signature: bytes, bits: int) -> bytes:
    """Return r and s one behind the other (RFC 4754, section 7)."""
    size = _coordinate_octets(bits)
    r, s = decode_dss_signature(signature)
    return r.to_bytes(size) + s.to_bytes(size)


def _split(data: bytes, bits: int) -> bytes:
    """Return an ECDSA-Sig-Value of r and s one behind the other."""
    size = _coordinate_octets(bits)
    if len(data) != 2 * size:
        raise NotSigned(f"a signature of ECDSA with {bits} bits has {2 * size} octets, not {len(data)}")
    return encode_dss_signature(int.from_bytes(data[:size]), int.from_bytes(data[size:]))
