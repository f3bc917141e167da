"""Manual keys in every mode, of every algorithm, over both families; and read by scapy."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Packet

from perilune.config.algorithms import AH_KEYWORDS, KEYWORDS
from perilune.config.suites import read_suite
from perilune.databases.processing import SecurityProtocol
from perilune.model.errors import ConfigError
from perilune.model.iana import TransformType
from perilune.model.proposal import INTEG_KEY_OCTETS
from support.manual_side import CBC, Side, daemon, sa

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("10.1.0.1", "10.2.0.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
AH = f"protocol = ah\nproposal = sha256\nintegrity_key = 0x{'22' * 32}\n"


def both(text: str, more: str = "") -> tuple[Side, Side]:
    """Return two gateways with a section `sas`, the other's mirrored."""
    one, other = Side(), Side()
    one.load(f"sas {{\n{text}\n}}\n{more}")
    mirror = {"local_": "mine_", "remote_": "local_", "mine_": "remote_", "_local": "_mine"}
    mirror |= {"_remote": "_local", "_mine": "_remote"}
    for old, new in mirror.items():
        text = text.replace(old, new)
    other.load(f"sas {{\n{text}\n}}\n{more}")
    return one, other


def packet(ends: tuple[str, str]) -> Packet:
    header = IPv6 if ":" in ends[0] else IP
    return header(src=ends[0], dst=ends[1]) / UDP(sport=1024, dport=53) / b"to whom it may concern"


def section(outside: int, lines: str, name: str = "gw", spi: int = 0x1000) -> str:
    local, remote = OUTER[outside]
    return f"{name} {{\nlocal_addrs = {local}\nremote_addrs = {remote}\nspi = {spi}\n{lines}\n}}\n"


def nets(family: int) -> str:
    ours, theirs = (f"{end}/{32 if family == 4 else 128}" for end in INNER[family])
    return f"local_ts = {ours}\nremote_ts = {theirs}\n"


# covers R4301-4.5-1
@pytest.mark.parametrize("keys", [CBC, AH], ids=["esp", "ah"])
@pytest.mark.parametrize("outside", [4, 6])
@pytest.mark.parametrize("inside", [4, 6])
@pytest.mark.parametrize("mode", ["tunnel", "any", "beet"])
def test_whole_packets_of_either_family_in_either(keys: str, outside: int, inside: int, mode: str) -> None:
    local, remote = INNER[inside]
    addresses = f"inner_local = {local}\ninner_remote = {remote}\n" if mode == "beet" else nets(inside)
    one, other = both(section(outside, f"mode = {mode}\n{keys}{addresses}"))
    sealed = one.send_whole(packet(INNER[inside]))
    assert len(sealed) == 1
    (opened,) = other.receive_whole(sealed)
    received = IP(opened) if inside == 4 else IPv6(opened)
    assert (received.src, received.dst, bytes(received[UDP].payload)) == (
        local,
        remote,
        b"to whom it may concern",
    )


@pytest.mark.parametrize("keys", [CBC, AH], ids=["esp", "ah"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["transport", "any"])
def test_what_the_ends_say_themselves(keys: str, family: int, mode: str) -> None:
    one, other = both(section(family, f"mode = {mode}\n{keys}"))
    sealed = one.send_whole(packet(OUTER[family]))
    assert len(sealed) == 1
    assert other.receive_whole(sealed) == [bytes(packet(OUTER[family]))]


def test_ah_over_esp_is_two_sas_of_which_one_is_within_the_other() -> None:
    inner = section(4, f"mode = transport\n{CBC}within = outer\npriority = 1\n", "inner")
    outer = section(4, f"mode = transport\n{AH}priority = 2\n", "outer", 0x2000)
    one, other = both(inner + outer)
    (sealed,) = one.send_whole(packet(OUTER[4]))
    assert IP(sealed).proto == SecurityProtocol.AH
    assert other.receive_whole([sealed]) == [bytes(packet(OUTER[4]))]


def _esp_words() -> list[str]:
    words = []
    for word, transform in KEYWORDS.items():
        if transform.type != TransformType.ENCR:
            continue
        for text in (f"{word}-sha256", word):
            try:
                read_suite(text, SecurityProtocol.ESP)
            except ConfigError:
                continue
            words.append(text)
            break
    return words


def _ah_words() -> list[str]:
    macs = [word for word, one in KEYWORDS.items() if one.type == TransformType.INTEG and word != "noauth"]
    return [*macs, *AH_KEYWORDS]


def _keys(word: str, protocol: SecurityProtocol) -> str:
    suite = read_suite(word, protocol)
    encryption, integrity = suite.encryption.keying_octets, INTEG_KEY_OCTETS[suite.integrity]
    lines = [f"protocol = {protocol.name.lower()}", f"proposal = {word}", "allow_insecure = yes"]
    for way, first in (("{0}", 0x31), ("{1}", 0x92)):
        octets = bytes((first + 7 * index) & 0xFF for index in range(max(encryption, integrity)))
        if encryption:
            lines.append(f"encryption_key_{way} = 0x{octets[:encryption].hex()}")
        if integrity:
            lines.append(f"integrity_key_{way} = 0x{octets[:integrity].hex()}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("word", "protocol"),
    [
        *((word, SecurityProtocol.ESP) for word in _esp_words()),
        *((word, SecurityProtocol.AH) for word in _ah_words()),
    ],
)
def test_every_algorithm(tmp_path: FilePath, word: str, protocol: SecurityProtocol) -> None:
    keys = _keys(word, protocol)
    one, other = Side(tmp_path / "one"), Side(tmp_path / "other")
    one.load(sa(1, keys=keys) + daemon(tmp_path / "one"))
    other.load(sa(2, keys=keys) + daemon(tmp_path / "other"))
    sealed = one.send_whole(packet(INNER[4]))
    assert len(sealed) == 1
    assert other.receive_whole(sealed) == [bytes(packet(INNER[4]))]


@pytest.mark.parametrize("family", [4, 6])
def test_scapy_reads_what_we_send_and_we_what_it_sends(family: int) -> None:
    one, _ = both(section(family, f"mode = transport\n{CBC}"))
    theirs = SecurityAssociation(
        ESP,
        spi=0x1000,
        crypt_algo="AES-CBC",
        crypt_key=bytes([0x11] * 16),
        auth_algo="SHA2-256-128",
        auth_key=bytes([0x22] * 32),
    )
    (sealed,) = one.send_whole(packet(OUTER[family]))
    header = IP if family == 4 else IPv6
    opened = theirs.decrypt(header(sealed))
    assert bytes(opened[UDP].payload) == b"to whom it may concern"
    back = packet((OUTER[family][1], OUTER[family][0]))
    assert one.receive_whole([bytes(theirs.encrypt(header(bytes(back))))]) == [bytes(back)]
