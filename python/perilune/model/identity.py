"""Who an IKE peer says it is (RFC 7296, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from perilune.model.address import IpAddress
from perilune.model.distinguished_name import DistinguishedName
from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import IdType

_MOST_SHOWN_OCTETS = 256
"""A peer may send 64 KiB; a name has 253 octets at most."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The contents of an ID payload."""

    type: IdType | int
    data: bytes

    @classmethod
    def of_address(cls, address: IpAddress) -> Identity:
        """Return ID_IPV4_ADDR or ID_IPV6_ADDR."""
        type_ = IdType.ID_IPV4_ADDR if address.version == 4 else IdType.ID_IPV6_ADDR
        return cls(type_, address.packed)

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read an identity as swanctl.conf writes it.

        `ipv4:`, `ipv6:`, `fqdn:`, `email:` (or `rfc822:`), `keyid:` and `asn1dn:` name the type; `@name` is
        a name and `@#0a0b` is a key id in hexadecimal; else an address, an `a@b`, a distinguished name or a
        plain one says its type itself.

        Raises:
            LocalError: The text is no identity of the type it names.
        """
        prefix, colon, rest = text.partition(":")
        if colon and prefix in _PREFIXES:
            return _PREFIXES[prefix](rest)
        if "=" in text:
            return _distinguished(text)
        if text.startswith("@#"):
            return _hexadecimal_key_id(text[2:])
        if text.startswith("@"):
            return _name(text[1:])
        try:
            return cls.of_address(ip_address(text))
        except ValueError:
            return _mail(text) if "@" in text else _name(text)

    def __str__(self) -> str:
        if len(self.data) > _MOST_SHOWN_OCTETS:
            shown = Identity(self.type, self.data[:_MOST_SHOWN_OCTETS])
            return f"{shown}... ({len(self.data)} octets)"
        match self.type:
            case IdType.ID_IPV4_ADDR if len(self.data) == 4:
                return str(IPv4Address(self.data))
            case IdType.ID_IPV6_ADDR if len(self.data) == 16:
                return str(IPv6Address(self.data))
            case IdType.ID_FQDN | IdType.ID_RFC822_ADDR:
                return _printable(self.data)
            case IdType.ID_KEY_ID:
                return f"keyid:0x{self.data.hex()}"
        name = "nobody" if self == NOBODY else _distinguished_text(self)
        return name or f"id type {self.type}:0x{self.data.hex()}"


NOBODY = Identity(IdType.ID_NULL, b"")
"""Who proves nothing (RFC 7619, section 2.2)."""


def _distinguished_text(identity: Identity) -> str | None:
    if identity.type != IdType.ID_DER_ASN1_DN:
        return None
    try:
        return _printable(str(DistinguishedName.decode(identity.data)).encode())
    except DecodeError:
        return None


def _printable(data: bytes) -> str:
    """Return a peer's octets as one line that no terminal acts upon."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _address(text: str, version: int) -> Identity:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise LocalError(f"'{text}' is no IPv{version} address") from error
    if address.version != version:
        raise LocalError(f"'{text}' is no IPv{version} address")
    return Identity.of_address(address)


def _distinguished(text: str) -> Identity:
    return Identity(IdType.ID_DER_ASN1_DN, DistinguishedName.parse(text).encode())


def _name(text: str) -> Identity:
    if not text or not text.isprintable() or " " in text:
        raise LocalError(f"'{text}' is no name")
    return Identity(IdType.ID_FQDN, text.encode())


def _mail(text: str) -> Identity:
    if not text.isprintable() or " " in text:
        raise LocalError(f"'{text}' is no mail address")
    return Identity(IdType.ID_RFC822_ADDR, text.encode())


def _hexadecimal_key_id(text: str) -> Identity:
    try:
        return Identity(IdType.ID_KEY_ID, bytes.fromhex(text))
    except ValueError as error:
        raise LocalError(f"'{text}' is no hexadecimal key id") from error


def _key_id(text: str) -> Identity:
    if text.startswith("0x"):
        return _hexadecimal_key_id(text[2:])
    return Identity(IdType.ID_KEY_ID, text.encode())


_PREFIXES = {
    "ipv4": lambda text: _address(text, 4),
    "ipv6": lambda text: _address(text, 6),
    "fqdn": _name,
    "email": _mail,
    "rfc822": _mail,
    "keyid": _key_id,
    "asn1dn": _distinguished,
}
