"""Wireshark's key tables; that Wireshark opens captures with them is tested with a daemon."""

from __future__ import annotations

import stat
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest

from perilune.crypto.ike_keys import IkeKeys
from perilune.databases.sad import Direction, Encapsulation, EspKeys, SadEntry
from perilune.databases.spd import PolicyId
from perilune.model.address import Endpoint, Path
from perilune.model.errors import ResourceError
from perilune.model.iana import EncrId, IntegId, KeId, PrfId, SnId
from perilune.model.proposal import Encryption, EspSuite, IkeSuite
from perilune.model.secret import Secret
from perilune.model.selector import everything
from perilune.model.spi import IkeSpi, Spi
from perilune.shell.key_log import KeyLog, esp_line, ike_line

GCM = Encryption(EncrId.ENCR_AES_GCM_16, 128)
CBC = Encryption(EncrId.ENCR_AES_CBC, 256)
CHACHA = Encryption(EncrId.ENCR_CHACHA20_POLY1305, 256)
EMPTY = Secret(b"")
SPIS = (IkeSpi(0x5AD1C0DE11223344), IkeSpi(0x8C2FEE155667788))


def keys(encryption: Encryption, integrity_octets: int = 0) -> IkeKeys:
    return IkeKeys(
        sk_d=EMPTY,
        sk_ai=Secret(b"\xa1" * integrity_octets),
        sk_ar=Secret(b"\xa2" * integrity_octets),
        sk_ei=Secret(b"\xe1" * encryption.keying_octets),
        sk_er=Secret(b"\xe2" * encryption.keying_octets),
        sk_pi=EMPTY,
        sk_pr=EMPTY,
    )


def suite(encryption: Encryption, integrity: IntegId = IntegId.NONE) -> IkeSuite:
    return IkeSuite(encryption, PrfId.PRF_HMAC_SHA2_256, integrity, KeId.CURVE25519)


def sa(encryption: Encryption, integrity: IntegId = IntegId.NONE, octets: int = 0) -> SadEntry:
    return SadEntry(
        spi=Spi(0xC0FFEE01),
        direction=Direction.INBOUND,
        policy=PolicyId(1),
        path=Path(Endpoint(ip_address("192.0.2.1"), 4500), Endpoint(ip_address("192.0.2.2"), 4500)),
        encapsulation=Encapsulation.UDP,
        suite=EspSuite(encryption, integrity, SnId.SEQUENTIAL_32),
        keys=EspKeys(Secret(b"\xee" * encryption.keying_octets), Secret(b"\xaa" * octets)),
        local=(everything(4),),
        remote=(everything(4),),
        peer_spi=Spi(0xC0FFEE02),
    )


def test_ike_with_an_aead() -> None:
    assert ike_line(*SPIS, suite(GCM), keys(GCM)) == (
        f"5ad1c0de11223344,08c2fee155667788,{'e1' * 20},{'e2' * 20},"
        '"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"\n'
    )


def test_ike_with_cbc() -> None:
    line = ike_line(*SPIS, suite(CBC, IntegId.AUTH_HMAC_SHA2_256_128), keys(CBC, 32))
    assert line == (
        f"5ad1c0de11223344,08c2fee155667788,{'e1' * 32},{'e2' * 32},"
        f'"AES-CBC-256 [RFC3602]",{"a1" * 32},{"a2" * 32},"HMAC_SHA2_256_128 [RFC4868]"\n'
    )


@pytest.mark.parametrize(
    ("encryption", "integrity", "octets", "name"),
    [
        (Encryption(EncrId.ENCR_AES_CTR, 192), IntegId.AUTH_HMAC_SHA1_96, 20, "AES-CTR-192 [RFC5930]"),
        (Encryption(EncrId.ENCR_3DES, 192), IntegId.AUTH_HMAC_SHA1_96, 20, "3DES [RFC2451]"),
        (Encryption(EncrId.ENCR_AES_CCM_8, 128), IntegId.NONE, 0, "AES-CCM-128 with 8 octet ICV [RFC5282]"),
    ],
)
def test_ike_with_other_ciphers(encryption: Encryption, integrity: IntegId, octets: int, name: str) -> None:
    line = ike_line(*SPIS, suite(encryption, integrity), keys(encryption, octets))
    assert f'"{name}"' in line
    assert not line.startswith("#")


def test_what_wireshark_does_not_know_is_a_comment() -> None:
    camellia = Encryption(EncrId.ENCR_CAMELLIA_CBC, 128)
    xcbc = IntegId.AUTH_AES_XCBC_96
    assert ike_line(*SPIS, suite(camellia, IntegId.AUTH_HMAC_SHA2_256_128), keys(camellia, 32)).startswith(
        "#"
    )
    assert ike_line(*SPIS, suite(CBC, xcbc), keys(CBC, 16)).startswith("#")
    assert esp_line(sa(CBC, xcbc, 16)).startswith("#")


def test_esp_inbound_comes_from_the_peer_and_outbound_goes_there() -> None:
    inbound = sa(GCM)
    assert esp_line(inbound) == (
        '"IPv4","192.0.2.2","192.0.2.1","0xc0ffee01","AES-GCM with 16 octet ICV [RFC4106]",'
        f'"0x{"ee" * 20}","NULL",""\n'
    )
    outbound = replace(inbound, direction=Direction.OUTBOUND)
    assert esp_line(outbound).startswith('"IPv4","192.0.2.1","192.0.2.2"')


def test_esp_with_cbc() -> None:
    line = esp_line(sa(CBC, IntegId.AUTH_HMAC_SHA2_512_256, 64))
    assert line.endswith(
        f'"AES-CBC [RFC3602]","0x{"ee" * 32}","HMAC-SHA-512-256 [RFC4868]","0x{"aa" * 64}"\n'
    )


def test_what_wireshark_cannot_open_becomes_a_comment_without_keys() -> None:
    for line in (ike_line(*SPIS, suite(CHACHA), keys(CHACHA)), esp_line(sa(CHACHA))):
        assert line.startswith("# ")
        assert "does not know CHACHA20_POLY1305-256" in line
        assert "eeeeee" not in line
        assert "e1e1" not in line


def test_files_are_the_owner_s_alone_and_grow(tmp_path: FilePath) -> None:
    directory = tmp_path / "keys"
    log = KeyLog(directory)
    log.add_ike_sa(*SPIS, suite(GCM), keys(GCM))
    log.add_esp_sa(sa(GCM))
    KeyLog(directory).add_esp_sa(sa(CBC, IntegId.AUTH_HMAC_SHA2_256_128, 32))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    lines = {"ikev2_decryption_table": 1, "esp_sa": 2}
    for name, count in lines.items():
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
        assert len((directory / name).read_text().splitlines()) == count


def test_directory_that_cannot_be_is_a_typed_error(tmp_path: FilePath) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="key log"):
        KeyLog(tmp_path / "file")
    (tmp_path / "esp_sa").symlink_to("/dev/null")
    with pytest.raises(ResourceError, match="cannot write"):
        KeyLog(tmp_path)
