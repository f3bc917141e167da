"""Every mode, family and transform that both our engine and Linux have, both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from perilune.databases.processing import Mode, SecurityProtocol
from perilune.model.iana import EncrId, IntegId
from perilune.model.proposal import EspSuite
from support.esp_tunnel import LEFT_SPI, RIGHT_SPI, Tunnel, aead, cbc, null, separate
from support.kernel_peer import (
    ENDS4,
    ENDS6,
    INNER4,
    INNER6,
    OUTER4,
    OUTER6,
    KernelPeer,
    echo_reply,
    echo_request,
    transport,
)

pytestmark = [pytest.mark.interop, pytest.mark.matrix]

SHAPES = {
    f"{mode.value} {inside}in{outside}": Tunnel(path=path, mode=mode, **networks)
    for mode in (Mode.TUNNEL, Mode.BEET)
    for outside, path in ((4, OUTER4), (6, OUTER6))
    for inside, networks in ((4, INNER4), (6, INNER6))
} | {
    "transport 4": Tunnel(path=OUTER4, mode=Mode.TRANSPORT, **ENDS4),
    "transport 6": Tunnel(path=OUTER6, mode=Mode.TRANSPORT, **ENDS6),
}
"""Columns of the table: mode, family inside, family outside."""

SHA1 = IntegId.AUTH_HMAC_SHA1_96
HASHES = (
    IntegId.AUTH_HMAC_SHA2_256_128,
    IntegId.AUTH_HMAC_SHA2_384_192,
    IntegId.AUTH_HMAC_SHA2_512_256,
    SHA1,
    IntegId.AUTH_AES_XCBC_96,
    IntegId.AUTH_AES_CMAC_96,
    IntegId.AUTH_HMAC_MD5_96,
    IntegId.PRIVATE_HMAC_RIPEMD_160_96,
)
ESP_SUITES = (
    *(aead(EncrId.ENCR_AES_GCM_16, bits) for bits in (128, 192, 256)),
    aead(EncrId.ENCR_AES_GCM_16, 256, esn=True),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256, esn=True),
    *(cbc(bits, IntegId.AUTH_HMAC_SHA2_256_128) for bits in (128, 192, 256)),
    *(cbc(256, integrity) for integrity in HASHES[1:4]),
    cbc(256, IntegId.AUTH_HMAC_SHA2_256_128, esn=True),
    *(null(integrity) for integrity in HASHES),
    aead(EncrId.ENCR_AES_GCM_8, 128),
    aead(EncrId.ENCR_AES_GCM_12, 256),
    aead(EncrId.ENCR_AES_CCM_8, 128),
    aead(EncrId.ENCR_AES_CCM_12, 192),
    aead(EncrId.ENCR_AES_CCM_16, 256, esn=True),
    aead(EncrId.ENCR_NULL_AUTH_AES_GMAC, 128),
    aead(EncrId.ENCR_NULL_AUTH_AES_GMAC, 256, esn=True),
    separate(EncrId.ENCR_AES_CTR, 128, SHA1),
    separate(EncrId.ENCR_AES_CTR, 256, IntegId.AUTH_HMAC_SHA2_256_128, esn=True),
    separate(EncrId.ENCR_CAMELLIA_CBC, 128, SHA1),
    separate(EncrId.ENCR_CAMELLIA_CBC, 256, IntegId.AUTH_AES_XCBC_96),
    separate(EncrId.ENCR_3DES, 192, SHA1),
    separate(EncrId.ENCR_DES, 64, IntegId.AUTH_HMAC_MD5_96),
    separate(EncrId.ENCR_BLOWFISH, 128, SHA1),
    separate(EncrId.ENCR_BLOWFISH, 448, SHA1),
    separate(EncrId.ENCR_CAST, 128, SHA1),
    separate(EncrId.ENCR_AES_CBC, 128, IntegId.NONE),
)
AH_SUITES = (
    *(null(integrity) for integrity in HASHES),
    null(IntegId.AUTH_HMAC_SHA2_256_128, esn=True),
)
"""Rows of the table."""

LENGTHS = (0, 1, 702, 1303)
"""Octets in the echo requests: each remainder of the block length, and what nearly fills a frame."""


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the table."""

    protocol: SecurityProtocol
    suite: EspSuite
    column: str

    @property
    def row(self) -> str:
        name = str(self.suite)
        return f"AH {name.partition('/')[2]}" if self.protocol is SecurityProtocol.AH else f"ESP {name}"

    @property
    def tunnel(self) -> Tunnel:
        return replace(SHAPES[self.column], protocol=self.protocol, suite=self.suite)

    def __str__(self) -> str:
        return f"{self.row} {self.column}"


CASES = [
    Case(protocol, suite, shape)
    for protocol, suites in ((SecurityProtocol.ESP, ESP_SUITES), (SecurityProtocol.AH, AH_SUITES))
    for suite in suites
    for shape in SHAPES
    if protocol is SecurityProtocol.ESP or not shape.startswith("beet")  # iproute2 has no AH in BEET mode
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_echo_each_way(case: Case, peer: KernelPeer) -> None:
    """What either side sends is answered through the other's SA."""
    peer.key(case.tunnel)

    for octets in LENGTHS:
        request = echo_request(case.tunnel, octets)
        answer, wanted = peer.answer_to(request), echo_reply(request)
        assert (answer.src, answer.dst) == (wanted.src, wanted.dst)
        assert transport(answer) == transport(wanted)

    counters = peer.ping_from_kernel(octets=333)
    assert counters.packets == dict.fromkeys((RIGHT_SPI, LEFT_SPI), len(LENGTHS) + 1)
    assert counters.failures == {}
