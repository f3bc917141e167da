"""The kernel itself, without our engine: it is a peer to be believed."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from lab.process import until
from lab.uml import MAC, PATIENCE_S, UserModeLinux
from perilune.databases.sad import Direction
from support.esp_tunnel import RIGHT_SPI, Tunnel, keys_of
from support.kernel_peer import INNER4, OUR_MAC, OUTER4, KernelPeer, echo_reply, echo_request, transport

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

TUNNEL = Tunnel(path=OUTER4, **INNER4)


def scapy_sa(direction: Direction, key: bytes | None = None) -> SecurityAssociation:
    """Return scapy's idea of one of our SAs."""
    entry = TUNNEL.sa(direction)
    ours, theirs = (str(end.address) for end in (entry.path.local, entry.path.remote))
    src, dst = (ours, theirs) if direction is Direction.OUTBOUND else (theirs, ours)
    return SecurityAssociation(
        ESP,
        spi=entry.spi,
        crypt_algo="AES-GCM",
        crypt_key=key or entry.keys.encryption.reveal(),
        tunnel_header=IP(src=src, dst=dst),
    )


def send(kernel: UserModeLinux, packet: Packet) -> None:
    kernel.send(bytes(Ether(src=OUR_MAC, dst=MAC) / packet))


def test_an_echo_that_scapy_seals_is_answered(kernel: UserModeLinux, peer: KernelPeer) -> None:
    """The kernel answers an echo request that scapy sealed, and scapy opens the answer."""
    peer.key_kernel(TUNNEL)
    frames: list[Packet] = []
    request = echo_request(TUNNEL, 100)
    send(kernel, scapy_sa(Direction.OUTBOUND).encrypt(request))

    def esp() -> Packet | None:
        return next((frame for frame in frames if ESP in frame), None)

    frame = kernel.serve(lambda octets: frames.append(Ether(octets)), esp, "ESP from the kernel")
    answer = scapy_sa(Direction.INBOUND).decrypt(frame[IP])
    assert transport(answer) == transport(echo_reply(request))
    assert peer.counters().failures == {}


def test_what_the_kernel_refuses_is_counted(kernel: UserModeLinux, peer: KernelPeer) -> None:
    """A packet under another key, one without an SA and one in the clear are failures in its counters."""
    peer.key_kernel(TUNNEL)
    request = echo_request(TUNNEL, 100)
    send(kernel, scapy_sa(Direction.OUTBOUND, keys_of(TUNNEL.suite, 9).encryption.reveal()).encrypt(request))
    send(kernel, IP(src="192.0.2.1", dst="192.0.2.2") / ESP(spi=0x7777, seq=1, data=bytes(40)))
    send(kernel, IP(src=request.src, dst=request.dst) / UDP(dport=9))
    wanted = {"XfrmInStateProtoError", "XfrmInNoStates", f"{int(RIGHT_SPI):#x} failed", "XfrmInTmplMismatch"}
    until(lambda: wanted <= peer.counters().failures.keys(), PATIENCE_S, f"the kernel to count {wanted}")
    assert peer.counters().packets[RIGHT_SPI] == 0
