"""What single values mean."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from perilune.config.hosts import HOSTS, is_single
from perilune.config.identities import IDENTITY, PEER, PEERS
from perilune.config.shared_secrets import SECRET
from perilune.config.values import (
    COUNT,
    FINE_TIME,
    PORT,
    SIZE,
    TIME,
    YES_NO,
    choice,
    fraction,
    list_of,
    number,
)
from perilune.databases.pad import ANY_IPV4, ANY_IPV6, AddressRange, HostName
from perilune.model.distinguished_name import DistinguishedName
from perilune.model.errors import ConfigError, LocalError
from perilune.model.iana import IdType
from perilune.model.identity import Identity
from perilune.model.identity_pattern import DnTree, MailTree, NameTree
from perilune.model.time import Duration


def span(first: str, last: str) -> AddressRange:
    return AddressRange(ip_address(first), ip_address(last))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("30m", 1800), ("4h", 14400), ("1d", 86400), ("2 H", 7200)],
)
def test_time(text: str, seconds: int) -> None:
    assert TIME.read(text) == Duration.seconds(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5", "1w", "1h30m", "99999999999", "4000d", "٣", "1\n"])
def test_no_time(text: str) -> None:
    with pytest.raises(ConfigError):
        TIME.read(text)


def test_time_with_a_fraction() -> None:
    assert FINE_TIME.read("0.25") == Duration.milliseconds(250)
    assert FINE_TIME.read("2m") == Duration.seconds(120)
    for text in ("1e3", "nan", "inf", "1.5h", "9999999999.0"):
        with pytest.raises(ConfigError):
            FINE_TIME.read(text)


def test_size() -> None:
    assert [SIZE.read(text) for text in ("1500", "64k", "20M", "1 g")] == [1500, 65536, 20 << 20, 1 << 30]
    for text in ("1t", "-1", "1.5k", "9223372036854775807k"):
        with pytest.raises(ConfigError):
            SIZE.read(text)


def test_number() -> None:
    assert (number(0, 300).read("0x10"), COUNT.read("9223372036854775807"), PORT.read("500")) == (
        16,
        2**63 - 1,
        500,
    )
    for kind, text in (
        (PORT, "0"),
        (PORT, "65536"),
        (COUNT, "9223372036854775808"),
        (COUNT, "1_000"),
        (COUNT, ""),
    ):
        with pytest.raises(ConfigError):
            kind.read(text)


def test_fraction() -> None:
    assert fraction(1, 10).read("1.8") == 1.8
    for text in ("0.5", "11", "nan", "1,5"):
        with pytest.raises(ConfigError):
            fraction(1, 10).read(text)


def test_words() -> None:
    assert [YES_NO.read(text) for text in ("yes", "No", "true", "0", "disabled")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    with pytest.raises(ConfigError, match="'yess' is not one of yes, no") as caught:
        YES_NO.read("yess")
    assert caught.value.nearest == "yes"
    assert list_of(choice({"a": 1, "b": 2})).read(" a,b ,, a,") == (1, 2, 1)
    with pytest.raises(ConfigError, match="empty"):
        list_of(YES_NO).read(" , ")


def test_message_shows_hostile_text_harmlessly() -> None:
    with pytest.raises(ConfigError) as caught:
        YES_NO.read("\x1b[2J\n" + "x" * 10_000)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("%any", (ANY_IPV4, ANY_IPV6)),
        ("%any4", (ANY_IPV4,)),
        ("%any6, ::", (ANY_IPV6,)),
        ("0.0.0.0/0", (ANY_IPV4,)),
        ("192.0.2.1", (span("192.0.2.1", "192.0.2.1"),)),
        ("192.0.2.9/29", (span("192.0.2.8", "192.0.2.15"),)),
        ("192.0.2.1 - 192.0.2.7", (span("192.0.2.1", "192.0.2.7"),)),
        ("2001:db8::1-2001:db8::f", (span("2001:db8::1", "2001:db8::f"),)),
        ("2001:db8::/64", (span("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),)),
        ("gw-1.example.org.", (HostName("gw-1.example.org"),)),
        ("gw, 192.0.2.1", (HostName("gw"), span("192.0.2.1", "192.0.2.1"))),
    ],
)
def test_hosts(text: str, hosts: tuple[AddressRange | HostName, ...]) -> None:
    assert HOSTS.read(text) == hosts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.256",
        "192.0.2",
        "192.0.2.1/33",
        "192.0.2.1/255.255.255.0",
        "192.0.2.7-192.0.2.1",
        "192.0.2.1-::1",
        "fe80::1%eth0",
        "%defaultroute",
        "-gw",
        "gw..example",
        "a b",
        "x" * 64,
        "2001:db8::g",
    ],
)
def test_no_host(text: str) -> None:
    with pytest.raises(ConfigError):
        HOSTS.read(text)


def test_where_a_connection_can_be_begun_to() -> None:
    assert [is_single(host) for host in HOSTS.read("gw, 192.0.2.1, 192.0.2.0/24, %any")] == [
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "type_", "data"),
    [
        ("moon.example.org", IdType.ID_FQDN, b"moon.example.org"),
        ("@moon", IdType.ID_FQDN, b"moon"),
        ("dns:moon", IdType.ID_FQDN, b"moon"),
        ("fqdn:192.0.2.1", IdType.ID_FQDN, b"192.0.2.1"),
        ("a@b", IdType.ID_RFC822_ADDR, b"a@b"),
        ("@@a@b", IdType.ID_RFC822_ADDR, b"a@b"),
        ("userfqdn:a@b", IdType.ID_RFC822_ADDR, b"a@b"),
        ("CN=a", IdType.ID_DER_ASN1_DN, bytes.fromhex("300c310a300806035504030c0161")),
        (
            "asn1dn:#300c310a300806035504030c0161",
            IdType.ID_DER_ASN1_DN,
            bytes.fromhex("300c310a300806035504030c0161"),
        ),
        ("192.0.2.1", IdType.ID_IPV4_ADDR, bytes([192, 0, 2, 1])),
        ("ipv4:#c0000201", IdType.ID_IPV4_ADDR, bytes([192, 0, 2, 1])),
        ("::1", IdType.ID_IPV6_ADDR, bytes(15) + b"\x01"),
        ("keyid:abc", IdType.ID_KEY_ID, b"abc"),
        ("keyid:#00ff", IdType.ID_KEY_ID, b"\x00\xff"),
        ("@#00ff", IdType.ID_KEY_ID, b"\x00\xff"),
    ],
)
def test_identity(text: str, type_: IdType, data: bytes) -> None:
    assert IDENTITY.read(text) == PEER.read(text) == Identity(type_, data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C=CH, moon",
        "C=CH, CN=*",
        "10.0.0.0/24",
        "asn1dn:#30",
        "*.example.org",
        "*@x",
        "ipv4:#00",
        "ipv4:x",
        "keyid:#0",
        "{9}:x",
        "a b",
    ],
)
def test_no_identity(text: str) -> None:
    with pytest.raises(LocalError):
        IDENTITY.read(text)


def test_a_peer_may_be_one_of_a_group() -> None:
    assert PEER.read("*.example.org") == NameTree("example.org")
    assert PEER.read("C=CH, *") == DnTree(DistinguishedName.parse("C=CH"), with_subtree=True)
    assert PEERS.read("moon, *@example.org") == (Identity(IdType.ID_FQDN, b"moon"), MailTree("example.org"))
    assert PEERS.read("C=CH, CN=moon") == (Identity.parse("C=CH, CN=moon"),)


def test_any_identity() -> None:
    assert PEER.read("%any") is None


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("pass word", b"pass word"),
        ("0x00ff", b"\x00\xff"),
        ("0x00:ff", b"\x00\xff"),
        ("0sAP8=", b"\x00\xff"),
        ("ü", b"\xc3\xbc"),
    ],
)
def test_secret(text: str, octets: bytes) -> None:
    assert SECRET.read(text).reveal() == octets


@pytest.mark.parametrize("text", ["", "0x", "0s", "0xhunter2", "0shunter2!", "0x123", "hunter2" * 1000])
def test_no_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SECRET.read(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
