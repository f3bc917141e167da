"""Who the ends say they are: `id` of an authentication and of a secret (RFC 7296, section 3.5)."""

from __future__ import annotations

from perilune.config.values import Kind, quote
from perilune.model.errors import ConfigError
from perilune.model.iana import IdType
from perilune.model.identity import Identity

_TYPES = {
    "ipv4": IdType.ID_IPV4_ADDR,
    "ipv6": IdType.ID_IPV6_ADDR,
    "fqdn": IdType.ID_FQDN,
    "dns": IdType.ID_FQDN,
    "rfc822": IdType.ID_RFC822_ADDR,
    "email": IdType.ID_RFC822_ADDR,
    "userfqdn": IdType.ID_RFC822_ADDR,
    "keyid": IdType.ID_KEY_ID,
}
_ALIASES = {"dns": "fqdn", "userfqdn": "email"}
_NEED_CERTIFICATES = ("asn1dn", "asn1gn")
_ADDRESS_OCTETS = {IdType.ID_IPV4_ADDR: 4, IdType.ID_IPV6_ADDR: 16}
ANY = "%any"
"""Stands for every identity."""


def _read_identity(text: str) -> Identity:
    prefix, colon, rest = text.partition(":")
    if colon and prefix in _NEED_CERTIFICATES:
        raise ConfigError(
            f"{quote(text)}: distinguished names need certificates, which are not supported yet"
        )
    if colon and prefix.startswith("{"):
        raise ConfigError(f"{quote(text)}: types by their number are not supported yet")
    if colon and prefix in _TYPES and rest.startswith("#"):
        return _of_octets(_TYPES[prefix], rest[1:], text)
    if text.startswith("@@"):
        return Identity.parse(f"email:{text[2:]}")
    identity = Identity.parse(f"{_ALIASES[prefix]}:{rest}" if colon and prefix in _ALIASES else text)
    if b"*" in identity.data and identity.type in (IdType.ID_FQDN, IdType.ID_RFC822_ADDR):
        raise ConfigError(f"{quote(text)}: wildcards in identities are not supported yet; {ANY} takes any")
    return identity


def _of_octets(type_: IdType, text: str, whole: str) -> Identity:
    """Read `type:#hex`: the octets of the ID payload."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"{quote(whole)}: hexadecimal digits belong behind '#'") from None
    if not data or len(data) != _ADDRESS_OCTETS.get(type_, len(data)):
        raise ConfigError(f"{quote(whole)} has not as many octets as its type")
    return Identity(type_, data)


def _read_identity_or_any(text: str) -> Identity | None:
    return None if text == ANY else _read_identity(text)


_DESCRIPTION = "address, name, `a@b`, `keyid:`text, `type:#hex`"

IDENTITY: Kind[Identity] = Kind(_DESCRIPTION, _read_identity)
"""One identity."""

IDENTITY_OR_ANY: Kind[Identity | None] = Kind(_DESCRIPTION + f" or `{ANY}`", _read_identity_or_any)
"""One identity; None is any."""
