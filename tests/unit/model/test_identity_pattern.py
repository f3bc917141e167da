"""Groups of identities, and distinguished names against the encoder of the package `cryptography`."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from perilune.model.distinguished_name import DistinguishedName
from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import IdType
from perilune.model.identity import Identity
from perilune.model.identity_pattern import matches, parse_pattern, same_identity

KENT = "C=US, ST=MA, O=BBN Technologies, CN=Stephen T. Kent"


# covers R4301-4.4.3.1-1
# covers R4301-4.4.3.1-2
@pytest.mark.parametrize(
    ("pattern", "members", "strangers"),
    [
        (
            "*.example.com",
            ["foo.example.com", "a.b.example.com", "FOO.Example.COM"],
            ["example.com", "fooexample.com", "foo.example.com.evil.org", "joe@foo.example.com"],
        ),
        (
            "*@example.com",
            ["foo@example.com", "Foo@Example.com"],
            ["foo@bar.example.com", "example.com", "email:@example.com", "foo@example.com.org"],
        ),
        ("192.0.2.0/28", ["192.0.2.0", "192.0.2.15"], ["192.0.2.16", "::ffff:192.0.2.1", "fqdn:192.0.2.1"]),
        ("192.0.2.7-192.0.2.9", ["192.0.2.7", "192.0.2.9"], ["192.0.2.6", "192.0.2.10"]),
        ("2001:db8::/64", ["2001:db8::1"], ["2001:db8:0:1::1", "192.0.2.1"]),
        (
            "C=US, ST=MA, *",
            [KENT, "C=us, ST=ma", "C=US, ST=MA, CN=x"],
            ["C=US, ST=CA, CN=x", "ST=MA, C=US", "C=US", "O=x, C=US, ST=MA"],
        ),
        ("C=CH, O=*, CN=moon", ["C=CH, O=x, CN=moon"], ["C=CH, CN=moon", "C=CH, O=x, CN=sun"]),
    ],
)
def test_members_of_a_group(pattern: str, members: list[str], strangers: list[str]) -> None:
    group = parse_pattern(pattern)
    assert group is not None
    assert [member for member in members if not matches(group, Identity.parse(member))] == []
    assert [stranger for stranger in strangers if matches(group, Identity.parse(stranger))] == []
    assert parse_pattern(str(group)) == group


@pytest.mark.parametrize(
    "text", ["gw.example", "gw-1.example", "joe@example.org", "192.0.2.1", KENT, "keyid:*"]
)
def test_one_identity_is_no_group(text: str) -> None:
    assert parse_pattern(text) is None


@pytest.mark.parametrize("text", ["*.", "*@", "*.*.org", "192.0.2.9-192.0.2.1", "C=US, *, CN=x", "C=, CN=x"])
def test_what_is_nearly_a_group_is_refused(text: str) -> None:
    with pytest.raises(LocalError):
        parse_pattern(text)


# covers R4301-4.4.1.1-9
def test_case_does_not_make_another_name() -> None:
    assert same_identity(Identity.parse("GW.example"), Identity.parse("gw.Example"))
    assert same_identity(Identity.parse("CN=Gw, O=A  b"), Identity.parse("CN=gw,O=a b"))
    assert not same_identity(Identity.parse("keyid:A"), Identity.parse("keyid:a"))


def test_names_are_encoded_as_certificates_have_them() -> None:
    expected = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "MA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "BBN Technologies"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Stephen T. Kent"),
        ]
    )
    assert DistinguishedName.parse(KENT).encode() == expected.public_bytes()
    assert str(DistinguishedName.decode(expected.public_bytes())) == KENT


_OIDS = st.sampled_from(
    [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.LOCALITY_NAME, NameOID.TITLE]
)
_VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60)


@given(
    st.lists(
        st.lists(st.tuples(_OIDS, _VALUES), min_size=1, max_size=3, unique_by=lambda one: one[0]), max_size=5
    )
)
def test_any_name_is_read_and_written_as_it_was(parts: list[list[tuple[x509.ObjectIdentifier, str]]]) -> None:
    rdns = [x509.RelativeDistinguishedName([x509.NameAttribute(*one) for one in part]) for part in parts]
    der = x509.Name(rdns).public_bytes()
    name = DistinguishedName.decode(der)
    assert name.encode() == der
    if parts:
        assert DistinguishedName.parse(str(name)).fits(name)


@given(st.binary(max_size=60))
def test_no_octets_raise_anything_but_decode_error(octets: bytes) -> None:
    try:
        name = DistinguishedName.decode(octets)
    except DecodeError:
        return
    str(name)


@given(st.binary(max_size=40))
def test_no_identity_of_a_peer_upsets_a_group(octets: bytes) -> None:
    for type_ in IdType:
        for pattern in ("*.a", "*@a", "0.0.0.0/0", "CN=*"):
            group = parse_pattern(pattern)
            assert group is not None
            matches(group, Identity(type_, octets))
