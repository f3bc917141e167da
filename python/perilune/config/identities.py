"""Who the ends say they are: `id` of an authentication and of a secret (RFC 7296, section 3.5)."""

from __future__ import annotations

from perilune.config.values import Kind, quote, words
from perilune.model.distinguished_name import DistinguishedName
from perilune.model.errors import ConfigError, DecodeError
from perilune.model.iana import IdType
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern, parse_pattern

_TYPES = {
    "ipv4": IdType.ID_IPV4_ADDR,
    "ipv6": IdType.ID_IPV6_ADDR,
    "fqdn": IdType.ID_FQDN,
    "dns": IdType.ID_FQDN,
    "rfc822": IdType.ID_RFC822_ADDR,
    "email": IdType.ID_RFC822_ADDR,
    "userfqdn": IdType.ID_RFC822_ADDR,
    "keyid": IdType.ID_KEY_ID,
    "asn1dn": IdType.ID_DER_ASN1_DN,
}
_ALIASES = {"dns": "fqdn", "userfqdn": "email"}
_NEED_CERTIFICATES = ("asn1gn",)
_ADDRESS_OCTETS = {IdType.ID_IPV4_ADDR: 4, IdType.ID_IPV6_ADDR: 16}
ANY = "%any"
"""Stands for every identity."""


def _read_identity(text: str) -> Identity:
    if parse_pattern(text) is not None:
        raise ConfigError(f"{quote(text)} is a group, where one identity belongs")
    prefix, colon, rest = text.partition(":")
    if colon and prefix in _NEED_CERTIFICATES:
        raise ConfigError(f"{quote(text)}: general names need certificates, which are not supported yet")
    if colon and prefix.startswith("{"):
        raise ConfigError(f"{quote(text)}: types by their number are not supported yet")
    if colon and prefix in _TYPES and rest.startswith("#"):
        return _of_octets(_TYPES[prefix], rest[1:], text)
    if text.startswith("@@"):
        return Identity.parse(f"email:{text[2:]}")
    identity = Identity.parse(f"{_ALIASES[prefix]}:{rest}" if colon and prefix in _ALIASES else text)
    if b"*" in identity.data and identity.type in (IdType.ID_FQDN, IdType.ID_RFC822_ADDR):
        raise ConfigError(
            f"{quote(text)}: a wildcard is *.DOMAIN, *@DOMAIN, {ANY}, or in a distinguished name"
        )
    return identity


def _of_octets(type_: IdType, text: str, whole: str) -> Identity:
    """Read `type:#hex`: the octets of the ID payload."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"{quote(whole)}: hexadecimal digits belong behind '#'") from None
    if not data or len(data) != _ADDRESS_OCTETS.get(type_, len(data)):
        raise ConfigError(f"{quote(whole)} has not as many octets as its type")
    if type_ is IdType.ID_DER_ASN1_DN:
        try:
            DistinguishedName.decode(data)
        except DecodeError:
            raise ConfigError(f"{quote(whole)} is not the DER of a distinguished name") from None
    return Identity(type_, data)


def _read_peer(text: str) -> Identity | IdentityPattern | None:
    return None if text == ANY else _read_name(text)


def _read_name(text: str) -> Identity | IdentityPattern:
    return parse_pattern(text) or _read_identity(text)


_DESCRIPTION = "address, name, `a@b`, distinguished name, `keyid:`text, `type:#hex`"
_GROUPS = "; a group `*.DOMAIN`, `*@DOMAIN`, subnet, range `a-b`, `C=CH, O=*, CN=x`, `C=CH, *`"

IDENTITY: Kind[Identity] = Kind(_DESCRIPTION, _read_identity)
"""One identity."""

PEER: Kind[Identity | IdentityPattern | None] = Kind(_DESCRIPTION + _GROUPS + f"; or `{ANY}`", _read_peer)
"""One identity, or a group of them; None is any."""


def _read_peers(text: str) -> tuple[Identity | IdentityPattern, ...]:
    # A distinguished name has commas of its own; it stands alone.
    return tuple(map(_read_name, [text] if "=" in text else words(text)))


PEERS: Kind[tuple[Identity | IdentityPattern, ...]] = Kind("list of identities and groups", _read_peers)
"""Some identities and groups."""
