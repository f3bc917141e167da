"""The tunnels to compare, in the order of the table."""

from __future__ import annotations

from benchmarks.peers.forwarder import ForwarderTunnel
from benchmarks.peers.ipsec import IpsecTunnel, StrongSwanTunnel
from benchmarks.peers.openvpn import OpenVpnTunnel
from benchmarks.peers.wireguard import NEWER, WireGuardGoTunnel
from benchmarks.tunnels import Tunnel

COMPARED = ("rtt", "tcp", "wire", "many", "small", "idle", "memory")
ALL = (*COMPARED, "cores")
FEW = ("rtt", "tcp", "wire")

CABLE = "plain veth"
OURS = "perilune aes256gcm16, ESP in UDP"
OURS_RAW = "perilune aes256gcm16, raw ESP"
OURS_CHACHA = "perilune chacha20poly1305, ESP in UDP"
STRONGSWAN = "strongSwan libipsec aes256gcm16, ESP in UDP"
WIREGUARD_GO = "wireguard-go (Debian)"
WIREGUARD_GO_NEWER = "wireguard-go, newer (GSO and GRO)"
FORWARDER = "bare forwarder AES-256-GCM"

TUNNELS: tuple[Tunnel, ...] = (
    Tunnel(CABLE, ("rtt", "tcp", "wire", "many", "small")),
    IpsecTunnel(OURS, ALL),
    IpsecTunnel(OURS_RAW, FEW, encap=False),
    IpsecTunnel(OURS_CHACHA, FEW, esp="chacha20poly1305"),
    IpsecTunnel("perilune chacha20poly1305, raw ESP", FEW, esp="chacha20poly1305", encap=False),
    StrongSwanTunnel(STRONGSWAN, COMPARED),
    WireGuardGoTunnel(WIREGUARD_GO, COMPARED),
    WireGuardGoTunnel(WIREGUARD_GO_NEWER, ALL, program=NEWER),
    OpenVpnTunnel("OpenVPN AES-256-GCM", COMPARED),
    ForwarderTunnel(FORWARDER, ALL, key_bits=256),
    ForwarderTunnel("bare forwarder, no encryption", COMPARED),
)
