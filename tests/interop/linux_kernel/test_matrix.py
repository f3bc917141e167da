"""Every mode, family and transform that both our engine and Linux have, both ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from perilune.databases.processing import Mode
from perilune.model.iana import EncrId, IntegId
from perilune.model.proposal import EspSuite
from support.esp_tunnel import LEFT_SPI, RIGHT_SPI, Tunnel, aead, cbc
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

SUITES = (
    *(aead(EncrId.ENCR_AES_GCM_16, bits) for bits in (128, 192, 256)),
    aead(EncrId.ENCR_AES_GCM_16, 256, esn=True),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256, esn=True),
    *(cbc(bits, IntegId.AUTH_HMAC_SHA2_256_128) for bits in (128, 192, 256)),
    cbc(256, IntegId.AUTH_HMAC_SHA2_384_192),
    cbc(256, IntegId.AUTH_HMAC_SHA2_512_256),
    cbc(256, IntegId.AUTH_HMAC_SHA2_256_128, esn=True),
)
"""Rows of the table."""

LENGTHS = (0, 1, 702, 1303)
"""Octets in the echo requests: each remainder of the block length, and what nearly fills a frame."""


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the table."""

    suite: EspSuite
    column: str

    @property
    def row(self) -> str:
        return f"ESP {self.suite}"

    @property
    def tunnel(self) -> Tunnel:
        return replace(SHAPES[self.column], suite=self.suite)

    def __str__(self) -> str:
        return f"{self.row} {self.column}"


@pytest.mark.parametrize("case", [Case(suite, shape) for suite in SUITES for shape in SHAPES], ids=str)
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
