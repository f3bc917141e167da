"""Groups of peers: forms of an ID in the PAD that fit more than one (RFC 4301, section 4.4.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from perilune.model.address import IpAddress
from perilune.model.distinguished_name import ANY_VALUE, DistinguishedName
from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import IdType
from perilune.model.identity import Identity


@dataclass(frozen=True, slots=True)
class NameTree:
    """Every DNS name below one, `*.example.org`."""

    domain: str
    """In lower case, without the leading dot."""

    def matches(self, identity: Identity) -> bool:
        """Whether an identity is of the group."""
        return identity.type == IdType.ID_FQDN and _lower(identity.data).endswith("." + self.domain)

    def __str__(self) -> str:
        return f"*.{self.domain}"


@dataclass(frozen=True, slots=True)
class MailTree:
    """Every mail address of a domain, `*@example.org`."""

    domain: str
    """In lower case."""

    def matches(self, identity: Identity) -> bool:
        """Whether an identity is of the group."""
        user, _, domain = _lower(identity.data).rpartition("@")
        return identity.type == IdType.ID_RFC822_ADDR and bool(user) and domain == self.domain

    def __str__(self) -> str:
        return f"*@{self.domain}"


@dataclass(frozen=True, slots=True)
class AddressIds:
    """Every address from one to another, both included."""

    first: IpAddress
    last: IpAddress

    def matches(self, identity: Identity) -> bool:
        """Whether an identity is of the group."""
        type_, octets = (IdType.ID_IPV4_ADDR, 4) if self.first.version == 4 else (IdType.ID_IPV6_ADDR, 16)
        if identity.type != type_ or len(identity.data) != octets:
            return False
        return int(self.first) <= int.from_bytes(identity.data) <= int(self.last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class DnTree:
    """Distinguished names that are like one, or that lie in its sub-tree."""

    name: DistinguishedName
    """With `*` for values that may be any."""

    with_subtree: bool
    """Whether more RDNs may follow: `C=US, O=Example, *`."""

    def matches(self, identity: Identity) -> bool:
        """Whether an identity is of the group."""
        if identity.type != IdType.ID_DER_ASN1_DN:
            return False
        try:
            other = DistinguishedName.decode(identity.data)
        except DecodeError:
            return False
        return self.name.holds(other) if self.with_subtree else self.name.fits(other)

    def __str__(self) -> str:
        return f"{self.name}, *" if self.with_subtree else str(self.name)


IdentityPattern = NameTree | MailTree | AddressIds | DnTree
"""A group of identities; a key id has none, as it has no structure."""


def same_identity(one: Identity, other: Identity) -> bool:
    """Whether two identities name the same; case counts neither in DNS names nor in distinguished ones."""
    if one == other or one.type != other.type:
        return one == other
    if one.type != IdType.ID_DER_ASN1_DN:
        return spelling(one) == spelling(other)
    try:
        return DistinguishedName.decode(one.data).fits(DistinguishedName.decode(other.data))
    except DecodeError:
        return False


def spelling(identity: Identity) -> tuple[int, bytes] | None:
    """Return what is equal for two identities if and only if they name the same.

    None for a distinguished name: whether two are the same takes a look at both.
    """
    if identity.type == IdType.ID_DER_ASN1_DN:
        return None
    if identity.type == IdType.ID_FQDN:
        return identity.type, identity.data.lower()
    return identity.type, identity.data


def matches(wanted: Identity | IdentityPattern, identity: Identity) -> bool:
    """Whether an identity is the one that is wanted, or of the group."""
    return same_identity(wanted, identity) if isinstance(wanted, Identity) else wanted.matches(identity)


def parse_pattern(text: str) -> IdentityPattern | None:
    """Read a group of identities; return None where the text has not the form of one.

    `*.example.org` and `*@example.org`, a subnet or a range `a-b` of addresses, and a distinguished name with
    `*` for a value or, at the end, for what follows.

    Raises:
        LocalError: It has the form and is none.
    """
    text = text.removeprefix("asn1dn:").strip()
    if "=" in text:
        return _parse_dn(text)
    for prefix, kind in (("*.", NameTree), ("*@", MailTree)):
        domain = text.removeprefix(prefix).lower()
        if text.startswith(prefix):
            if not domain or "*" in domain or "@" in domain or " " in domain or not domain.isprintable():
                raise LocalError(f"'{text}': a domain belongs behind '{prefix}'")
            return kind(domain)
    return _parse_addresses(text)


def _parse_dn(text: str) -> DnTree | None:
    shown, comma, last = text.rpartition(",")
    with_subtree = bool(comma) and last.strip() == ANY_VALUE
    name = DistinguishedName.parse(shown if with_subtree else text)
    has_any = any(attribute.value == ANY_VALUE for rdn in name.rdns for attribute in rdn)
    return DnTree(name, with_subtree) if with_subtree or has_any else None


def _parse_addresses(text: str) -> AddressIds | None:
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if "/" in text:
            network = ip_network(text)
            return AddressIds(network[0], network[-1])
        if not dash:
            return None
        ends = ip_address(first), ip_address(last)
    except ValueError:
        return None  # names have dashes too
    if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
        raise LocalError(f"'{text}' is no range of addresses")
    return AddressIds(*ends)


def _lower(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace").lower()
