"""ESP that scapy makes is opened by our engine, and the other way round (RFC 4303).

scapy's IPsec layer shares no code with ours: it is Python above OpenSSL.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import IDEA, Camellia
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, GCM
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import CRYPT_ALGOS, ESP, CryptAlgo, SecurityAssociation
from scapy.packet import Packet, Raw

from perilune.databases.sad import Encapsulation
from perilune.model.address import Path
from perilune.model.iana import EncrId, IntegId
from perilune.model.proposal import EspSuite
from support.esp_tunnel import RIGHT_SPI, START, SUITES, Tunnel, aead, cbc, keys_of, path, separate

CRYPT_NAMES = {
    EncrId.ENCR_DES: "DES",
    EncrId.ENCR_3DES: "3DES",
    EncrId.ENCR_IDEA: "IDEA",
    EncrId.ENCR_CAST: "CAST",
    EncrId.ENCR_BLOWFISH: "Blowfish",
    EncrId.ENCR_NULL: None,
    EncrId.ENCR_AES_CBC: "AES-CBC",
    EncrId.ENCR_AES_CTR: "AES-CTR",
    EncrId.ENCR_AES_CCM_8: "AES-CCM-8",
    EncrId.ENCR_AES_CCM_12: "AES-CCM-12",
    EncrId.ENCR_AES_CCM_16: "AES-CCM",
    EncrId.ENCR_AES_GCM_8: "AES-GCM-8",
    EncrId.ENCR_AES_GCM_12: "AES-GCM-12",
    EncrId.ENCR_AES_GCM_16: "AES-GCM",
    EncrId.ENCR_NULL_AUTH_AES_GMAC: "AES-NULL-GMAC",
    EncrId.ENCR_CAMELLIA_CBC: "Camellia",
    EncrId.ENCR_CHACHA20_POLY1305: "CHACHA20-POLY1305",
}
AUTH_NAMES = {
    IntegId.NONE: None,
    IntegId.AUTH_HMAC_MD5_96: "HMAC-MD5-96",
    IntegId.AUTH_HMAC_SHA1_96: "HMAC-SHA1-96",
    IntegId.AUTH_AES_CMAC_96: "AES-CMAC-96",
    IntegId.AUTH_HMAC_SHA2_256_128: "SHA2-256-128",
    IntegId.AUTH_HMAC_SHA2_384_192: "SHA2-384-192",
    IntegId.AUTH_HMAC_SHA2_512_256: "SHA2-512-256",
}


def _salted(salt_octets: int, icv_octets: int, name: str, cipher: type, mode: type | None) -> CryptAlgo:
    return CryptAlgo(
        name,
        cipher=cipher,
        mode=mode,
        block_size=1,
        iv_size=8,
        key_size=(16, 24, 32),
        icv_size=icv_octets,
        salt_size=salt_octets,
        format_mode_iv=lambda iv, sa, **_: sa.crypt_salt + iv,
    )


CRYPT_ALGOS.update(
    {
        algorithm.name: algorithm
        for algorithm in (
            _salted(3, 8, "AES-CCM-8", AESCCM, None),
            _salted(3, 12, "AES-CCM-12", AESCCM, None),
            _salted(4, 8, "AES-GCM-8", AES, GCM),
            _salted(4, 12, "AES-GCM-12", AES, GCM),
            CryptAlgo("Camellia", cipher=Camellia, mode=CBC),
            CryptAlgo("IDEA", cipher=IDEA, mode=CBC),
        )
    }
)
"""Algorithms that scapy could have as well: all of them are OpenSSL's."""


SHA1, SHA2 = IntegId.AUTH_HMAC_SHA1_96, IntegId.AUTH_HMAC_SHA2_256_128
COMBINED = (
    *(aead(EncrId.ENCR_AES_CCM_16, bits) for bits in (128, 192, 256)),
    aead(EncrId.ENCR_AES_CCM_8, 128),
    aead(EncrId.ENCR_AES_CCM_12, 256),
    *(aead(EncrId.ENCR_AES_GCM_8, bits) for bits in (128, 192, 256)),
    aead(EncrId.ENCR_AES_GCM_12, 256),
    aead(EncrId.ENCR_AES_GCM_16, 192),
    *(aead(EncrId.ENCR_NULL_AUTH_AES_GMAC, bits) for bits in (128, 192, 256)),
)
SEPARATE = (
    *(separate(EncrId.ENCR_AES_CTR, bits, SHA2) for bits in (128, 192, 256)),
    *(separate(EncrId.ENCR_CAMELLIA_CBC, bits, SHA1) for bits in (128, 192, 256)),
    separate(EncrId.ENCR_AES_CBC, 128, SHA1),
    separate(EncrId.ENCR_AES_CBC, 256, IntegId.AUTH_AES_CMAC_96),
    *(separate(EncrId.ENCR_NULL, 0, one) for one in AUTH_NAMES if one is not IntegId.NONE),
    separate(EncrId.ENCR_DES, 64, IntegId.AUTH_HMAC_MD5_96),
    separate(EncrId.ENCR_3DES, 192, SHA1),
    separate(EncrId.ENCR_IDEA, 128, SHA1),
    *(separate(EncrId.ENCR_CAST, bits, SHA1) for bits in (40, 80, 128)),
    *(separate(EncrId.ENCR_BLOWFISH, bits, SHA1) for bits in (40, 128, 448)),
)
UNPROTECTED = (
    separate(EncrId.ENCR_AES_CBC, 256, IntegId.NONE),
    separate(EncrId.ENCR_3DES, 192, IntegId.NONE),
)
V4_V4 = Tunnel()
V6_V4 = Tunnel(left="2001:db8:1::/48", right="2001:db8:2::/48")
V4_V6 = Tunnel(path=path("2001:db8::1", "2001:db8::2"))
V6_V6 = replace(V6_V4, path=V4_V6.path)
NAT_T = Tunnel(path=path("192.0.2.1", "192.0.2.2", 4500), encapsulation=Encapsulation.UDP)
TUNNELS = {"4in4": V4_V4, "6in4": V6_V4, "4in6": V4_V6, "6in6": V6_V6, "4in-udp": NAT_T}
LENGTHS = (0, 1, 2, 3, 13, 64, 1372)


def outer(way: Path) -> Packet:
    """Return the header between the gateways."""
    header = IP if way.local.address.version == 4 else IPv6
    return header(src=str(way.local.address), dst=str(way.remote.address))


def inner(tunnel: Tunnel, length: int) -> Packet:
    """Return a packet from the left network to the right one."""
    payload = UDP(sport=1024, dport=4242) / Raw(bytes(n & 0xFF for n in range(length)))
    if ":" in tunnel.left:
        return IPv6(src="2001:db8:1::7", dst="2001:db8:2::9") / payload
    return IP(src="10.1.0.7", dst="10.2.0.9", ttl=63) / payload


def scapy_sa(tunnel: Tunnel, *, esn: int | None = None) -> SecurityAssociation:
    """Return scapy's idea of the SA from left to right."""
    keys, way = keys_of(tunnel.suite, 1), tunnel.path
    udp = tunnel.encapsulation is Encapsulation.UDP
    return SecurityAssociation(
        ESP,
        spi=RIGHT_SPI,
        crypt_algo=CRYPT_NAMES[tunnel.suite.encryption.id],
        crypt_key=keys.encryption.reveal() or None,
        auth_algo=AUTH_NAMES[tunnel.suite.integrity],
        auth_key=keys.integrity.reveal() or None,
        tunnel_header=outer(way),
        nat_t_header=UDP(sport=way.local.port, dport=way.remote.port) if udp else None,
        esn_en=esn is not None,
        esn=esn or 0,
    )


each_suite = pytest.mark.parametrize("suite", [*SUITES, *COMBINED, *SEPARATE, *UNPROTECTED], ids=str)
each_tunnel = pytest.mark.parametrize("tunnel", TUNNELS.values(), ids=TUNNELS)


# covers R4301-3.2-1
# covers R4303-2.3-1
# covers R4303-2.8-1
# covers R4303-3.3.2.1-2
@each_suite
@each_tunnel
def test_scapy_opens_what_we_seal(tunnel: Tunnel, suite: EspSuite) -> None:
    tunnel = tunnel.with_suite(suite)
    engine, theirs = tunnel.engine(), scapy_sa(tunnel)
    for length in LENGTHS:
        packet = inner(tunnel, length)
        [sealed] = engine.seal(bytes(packet), START)
        assert sealed.path == tunnel.path
        assert sealed.encapsulation is tunnel.encapsulation
        datagram = outer(tunnel.path) / ESP(sealed.data)
        # scapy checks ICV and padding, and takes the tunnel header off
        assert bytes(theirs.decrypt(datagram)) == bytes(packet)


@each_suite
@each_tunnel
def test_we_open_what_scapy_seals(tunnel: Tunnel, suite: EspSuite) -> None:
    tunnel = tunnel.with_suite(suite)
    engine, theirs = tunnel.engine(at_left=False), scapy_sa(tunnel)
    at_right = Path(tunnel.path.remote, tunnel.path.local)
    for length in LENGTHS:
        packet = inner(tunnel, length)
        datagram = theirs.encrypt(packet)
        esp = bytes(datagram[UDP].payload if UDP in datagram else datagram[ESP])
        assert engine.open(esp, at_right, tunnel.encapsulation, START) == [bytes(packet)]


ESN_SUITES = (
    aead(EncrId.ENCR_AES_GCM_16, 256, esn=True),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256, esn=True),
    cbc(256, IntegId.AUTH_HMAC_SHA2_256_128, esn=True),
    *(
        aead(one, 128, esn=True)
        for one in (EncrId.ENCR_AES_CCM_16, EncrId.ENCR_AES_GCM_8, EncrId.ENCR_NULL_AUTH_AES_GMAC)
    ),
    separate(EncrId.ENCR_AES_CTR, 128, SHA1, esn=True),
    separate(EncrId.ENCR_NULL, 0, SHA2, esn=True),
)


# covers R4303-3.3.2.1-1
# covers R4303-3.3.2.1-2
# covers R4303-3.3.2.2-1
@pytest.mark.parametrize("suite", ESN_SUITES, ids=str)
def test_extended_sequence_numbers(suite: EspSuite) -> None:
    tunnel = V4_V4.with_suite(suite)
    left, right = tunnel.engines()
    theirs, packet = scapy_sa(tunnel, esn=0), inner(tunnel, 64)

    [sealed] = left.seal(bytes(packet), START)
    assert bytes(theirs.decrypt(outer(tunnel.path) / ESP(sealed.data))) == bytes(packet)

    at_right = Path(tunnel.path.remote, tunnel.path.local)
    esp = bytes(theirs.encrypt(packet)[ESP])
    assert right.open(esp, at_right, tunnel.encapsulation, START) == [bytes(packet)]

    # Another high half is another ICV although the packets look the same.
    wrong = bytes(scapy_sa(tunnel, esn=1).encrypt(packet, seq_num=2)[ESP])
    assert right.open(wrong, at_right, tunnel.encapsulation, START) == []


# covers R4303-3.4.4.1-1
@pytest.mark.parametrize("suite", [*SUITES, *COMBINED, *SEPARATE], ids=str)
def test_any_flipped_bit_is_refused(suite: EspSuite) -> None:
    tunnel = V4_V4.with_suite(suite)
    engine, packet = tunnel.engine(at_left=False), inner(tunnel, 20)
    at_right = Path(tunnel.path.remote, tunnel.path.local)
    esp = bytes(scapy_sa(tunnel).encrypt(packet)[ESP])
    for octet in range(len(esp)):
        forged = bytearray(esp)
        forged[octet] ^= 0x40
        assert engine.open(bytes(forged), at_right, tunnel.encapsulation, START) == []
    assert engine.open(esp, at_right, tunnel.encapsulation, START) == [bytes(packet)]
