"""Distinguished names as IKE carries them: the DER of an X.501 Name (RFC 5280, section 4.1.2.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from perilune.model.errors import DecodeError, LocalError

_SEQUENCE, _SET, _OID = 0x30, 0x31, 0x06
_UTF8, _PRINTABLE, _IA5 = 0x0C, 0x13, 0x16
_ENCODINGS: Final = {_UTF8: "utf-8", _PRINTABLE: "ascii", 0x14: "latin-1", _IA5: "ascii", 0x1E: "utf-16-be"}
"""Tags of the strings that a name may have: UTF8, Printable, Teletex, IA5, BMP."""

_OIDS: Final = {
    "CN": "2.5.4.3",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "SP": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "GN": "2.5.4.42",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "E": "1.2.840.113549.1.9.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
}
_NAMES: Final = {oid: name for name, oid in reversed(_OIDS.items())}
_IA5_ONLY: Final = frozenset({_OIDS["DC"], _OIDS["E"]})
_PRINTABLE_ONLY: Final = frozenset({_OIDS["C"], _OIDS["SERIALNUMBER"]})
_ATTRIBUTE: Final = re.compile(r'\s*([A-Za-z][A-Za-z0-9.]*|[0-9.]+)\s*=\s*("[^"]*"|(?:\\.|[^\\,"+])*)\s*')

ANY_VALUE: Final = "*"
"""Stands for every value of an attribute, in a name that others are compared with."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute."""

    oid: str
    value: str

    def fits(self, other: Attribute) -> bool:
        """Whether another is of the same type and, but for case and blanks, of the same value."""
        if self.oid != other.oid:
            return False
        return self.value == ANY_VALUE or _plain(self.value) == _plain(other.value)

    def __str__(self) -> str:
        value = re.sub(r'([,+"\\])', r"\\\1", self.value)
        return f"{_NAMES.get(self.oid, self.oid)}={value}"


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A name, its most significant part first; each part, an RDN, has one attribute or several."""

    rdns: tuple[tuple[Attribute, ...], ...]

    @classmethod
    def parse(cls, text: str) -> DistinguishedName:
        """Read a name such as `C=CH, O=Example, CN=moon`, in the order in which certificates have it.

        Raises:
            LocalError: The text is no name.
        """
        rdns: list[tuple[Attribute, ...]] = []
        position, joins = 0, False
        while position < len(text) or not rdns:
            match = _ATTRIBUTE.match(text, position)
            if not match or not match[2].strip():
                raise LocalError(f"'{text}' is no distinguished name")
            attribute = Attribute(_oid(match[1], text), _unescaped(match[2]))
            rdns[-1:] = [(*rdns[-1], attribute)] if joins else [*rdns[-1:], (attribute,)]
            position = match.end()
            if position == len(text):
                break
            if text[position] not in ",+":
                raise LocalError(f"'{text}' is no distinguished name")
            joins = text[position] == "+"
            position += 1
        return cls(tuple(rdns))

    @classmethod
    def decode(cls, data: bytes) -> DistinguishedName:
        """Read DER.

        Raises:
            DecodeError: It is no name.
        """
        name, rest = _read(data, _SEQUENCE)
        if rest:
            raise _malformed("octets behind the name")
        rdns: list[tuple[Attribute, ...]] = []
        while name:
            rdn, name = _read(name, _SET)
            attributes: list[Attribute] = []
            while rdn:
                pair, rdn = _read(rdn, _SEQUENCE)
                oid, value = _read(pair, _OID)
                attributes.append(Attribute(_read_oid(oid), _read_string(value)))
            if not attributes:
                raise _malformed("an RDN without attributes")
            rdns.append(tuple(attributes))
        return cls(tuple(rdns))

    def encode(self) -> bytes:
        """Return DER."""
        return _tlv(_SEQUENCE, b"".join(map(_encode_rdn, self.rdns)))

    def fits(self, other: DistinguishedName) -> bool:
        """Whether another name is this one; here a value may be ANY_VALUE."""
        return len(self.rdns) == len(other.rdns) and self.holds(other)

    def holds(self, other: DistinguishedName) -> bool:
        """Whether another name lies in the sub-tree of this one (RFC 4301, section 4.4.3.1)."""
        pairs = list(zip(self.rdns, other.rdns, strict=False))
        return len(pairs) == len(self.rdns) and all(_rdn_fits(mine, theirs) for mine, theirs in pairs)

    def __str__(self) -> str:
        return ", ".join("+".join(map(str, rdn)) for rdn in self.rdns)


def _rdn_fits(mine: tuple[Attribute, ...], theirs: tuple[Attribute, ...]) -> bool:
    return len(mine) == len(theirs) and all(any(one.fits(other) for other in theirs) for one in mine)


def _plain(value: str) -> str:
    return " ".join(value.casefold().split())


def _oid(name: str, text: str) -> str:
    oid = _OIDS.get(name.upper(), name.upper().removeprefix("OID."))
    arcs = oid.split(".")
    if len(arcs) < 2 or not all(arc.isdecimal() for arc in arcs) or int(arcs[0]) > 2:
        raise LocalError(f"'{text}': {name} is no attribute of a distinguished name")
    return oid


def _unescaped(value: str) -> str:
    if value.startswith('"'):
        return value[1:-1]
    return re.sub(r"\\(.)", r"\1", value.rstrip())


def _encode_rdn(rdn: tuple[Attribute, ...]) -> bytes:
    attributes = sorted(_encode_attribute(attribute) for attribute in rdn)
    return _tlv(_SET, b"".join(attributes))


def _encode_attribute(attribute: Attribute) -> bytes:
    tag = _UTF8
    if attribute.oid in _IA5_ONLY:
        tag = _IA5
    elif attribute.oid in _PRINTABLE_ONLY:
        tag = _PRINTABLE
    value = attribute.value.encode("utf-8" if tag == _UTF8 else "ascii", "replace")
    return _tlv(_SEQUENCE, _tlv(_OID, _encode_oid(attribute.oid)) + _tlv(tag, value))


def _encode_oid(oid: str) -> bytes:
    first, second, *rest = map(int, oid.split("."))
    octets = b""
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return octets


def _tlv(tag: int, value: bytes) -> bytes:
    if len(value) < 0x80:
        return bytes([tag, len(value)]) + value
    length = len(value).to_bytes((len(value).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + value


def _read(data: bytes, wanted: int) -> tuple[bytes, bytes]:
    """Return the value of the element that octets begin with, and the octets behind it."""
    tag, value, rest = _read_any(data)
    if tag != wanted:
        raise _malformed(f"tag {tag:#04x} where {wanted:#04x} belongs")
    return value, rest


def _read_any(data: bytes) -> tuple[int, bytes, bytes]:
    if len(data) < 2:
        raise _malformed("it ends too early")
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3 or len(data) < 2 + count:
            raise _malformed("an impossible length")
        length, start = int.from_bytes(data[2 : 2 + count]), 2 + count
    if len(data) < start + length:
        raise _malformed("it ends too early")
    return tag, data[start : start + length], data[start + length :]


def _read_oid(octets: bytes) -> str:
    arcs: list[int] = []
    arc = 0
    for octet in octets:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs or octets[-1] & 0x80:
        raise _malformed("an unfinished object identifier")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _read_string(data: bytes) -> str:
    tag, value, rest = _read_any(data)
    if rest or tag not in _ENCODINGS:
        raise _malformed(f"a value of tag {tag:#04x}")
    try:
        return value.decode(_ENCODINGS[tag])
    except UnicodeDecodeError as error:
        raise _malformed("a string of wrong characters") from error


def _malformed(what: str) -> DecodeError:
    return DecodeError(f"a distinguished name has {what}", offset=0, field="ID data", notify=None)
