"""Every mode, family and transform that both our engine and Linux have, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from perilune.databases.processing import Mode, SecurityProtocol
from perilune.databases.sad import Direction, Encapsulation, SequenceState
from perilune.model.address import NAT_T_PORT
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.spi import Spi
from support.esp_tunnel import AES_GCM, CPIS, Tunnel, aead, cbc, null, path, separate
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
    first_address,
    transport,
)
from support.xfrm import Counters

pytestmark = [pytest.mark.interop, pytest.mark.matrix, pytest.mark.timeout(600)]

SHAPES = {
    f"{mode.value} {inside}in{outside}": Tunnel(path=ends, mode=mode, **networks)
    for mode in (Mode.TUNNEL, Mode.BEET)
    for outside, ends in ((4, OUTER4), (6, OUTER6))
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

ESN_SUITES = tuple(suite for suite in ESP_SUITES if suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64)
NEAR_THE_EDGE = SequenceState(used=(1 << 32) - 3)
"""The third packet is the first whose high half is not zero."""

OTHER_SPIS = (Spi(0x3000_0003), Spi(0x4000_0004))
LENGTHS = (0, 1, 702, 1303)
"""Octets in the echo requests: each remainder of the block length, and what nearly fills a frame."""


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the table."""

    row: str
    column: str
    tunnel: Tunnel

    def __str__(self) -> str:
        return f"{self.row} {self.column}"


def cases() -> Iterator[Case]:
    """Give every cell that there can be."""
    for column, shape in SHAPES.items():
        for suite in ESP_SUITES:
            yield Case(f"ESP {suite}", column, replace(shape, suite=suite))
        yield Case(f"ESP {AES_GCM} in UDP", column, in_udp(shape))
        if shape.mode is Mode.BEET:  # iproute2 has no AH in BEET mode
            continue
        for suite in AH_SUITES:
            name = str(suite).partition("/")[2]
            yield Case(f"AH {name}", column, replace(shape, protocol=SecurityProtocol.AH, suite=suite))
        yield Case("ESP within AH", column, replace(shape, within=within(shape, SecurityProtocol.AH)))
        yield Case("ESP within ESP", column, replace(shape, within=within(shape, SecurityProtocol.ESP)))
        if shape.mode is Mode.TUNNEL:
            yield Case("host's ESP within gateway's", column, host_within_gateway(shape))


def cases_across_the_edge() -> Iterator[Case]:
    """Give SAs whose numbers leave their first 32 bits, in a tunnel and in transport mode."""
    for column in ("tunnel 4in4", "transport 6"):
        shape = replace(SHAPES[column], sequence=NEAR_THE_EDGE)
        for suite in ESN_SUITES:
            yield Case(f"ESP {suite} across 2^32", column, replace(shape, suite=suite))
        for suite in AH_SUITES[-1:]:
            name = f"AH {str(suite).partition('/')[2]} across 2^32"
            yield Case(name, column, replace(shape, protocol=SecurityProtocol.AH, suite=suite))


def compressed_cases() -> Iterator[Case]:
    """Give SAs with IPComp in them."""
    for column in ("tunnel 4in4", "tunnel 6in6", "transport 4", "transport 6"):
        yield Case(f"IPComp in ESP {AES_GCM}", column, replace(SHAPES[column], compressed=True))


def in_udp(shape: Tunnel) -> Tunnel:
    """Return the same with ESP in UDP."""
    ends = shape.path.local.address, shape.path.remote.address
    return replace(shape, path=path(*map(str, ends), NAT_T_PORT), encapsulation=Encapsulation.UDP)


def within(shape: Tunnel, protocol: SecurityProtocol) -> Tunnel:
    """Return an SA between the same ends, in transport mode."""
    suite = null(IntegId.AUTH_HMAC_SHA2_256_128) if protocol is SecurityProtocol.AH else AES_GCM
    return replace(shape, protocol=protocol, mode=Mode.TRANSPORT, suite=suite, spis=OTHER_SPIS)


def host_within_gateway(shape: Tunnel) -> Tunnel:
    """Return an SA between the inner addresses, in transport mode, within a tunnel's."""
    ends = (first_address(shape.left), first_address(shape.right))
    gateway = replace(shape, spis=OTHER_SPIS)
    return replace(shape, path=path(*ends), mode=Mode.TRANSPORT, within=gateway)


def echo_each_way(case: Case, peer: KernelPeer) -> Counters:
    """Let each side ask and the other answer; return what the kernel has counted."""
    peer.key(case.tunnel)

    for octets in LENGTHS:
        request = echo_request(case.tunnel, octets)
        answer, wanted = peer.answer_to(request), echo_reply(request)
        assert (answer.src, answer.dst) == (wanted.src, wanted.dst)
        assert transport(answer) == transport(wanted)

    return peer.ping_from_kernel(octets=333)


# covers R4301-4.1-10
# covers R4302-2-1
# covers R4302-2.2-1
# covers R4302-2.6-1
# covers R4302-3.3.3.2-1
# covers R4303-A-1
@pytest.mark.parametrize("case", [*cases(), *cases_across_the_edge()], ids=str)
def test_an_echo_each_way(case: Case, peer: KernelPeer) -> None:
    """What either side sends is answered through the other's SAs."""
    counters = echo_each_way(case, peer)
    spis = [sa.spi for direction in Direction for sa in case.tunnel.bundle(direction)]
    assert counters.packets == dict.fromkeys(spis, len(LENGTHS) + 1)
    assert counters.failures == {}


@pytest.mark.parametrize("case", list(compressed_cases()), ids=str)
def test_an_echo_each_way_compressed(case: Case, peer: KernelPeer) -> None:
    """Long ones are compressed by whoever sends them, short ones travel as they are."""
    counters = echo_each_way(case, peer)
    to_kernel = case.tunnel.sa(Direction.OUTBOUND).spi
    assert counters.packets[to_kernel] == len(LENGTHS) + 1
    # The kernel took off IPComp of ours: of the requests that are long, and of our answer.
    assert counters.packets[CPIS[0]] == sum(octets > 300 for octets in LENGTHS) + 1
    assert counters.failures == {}
