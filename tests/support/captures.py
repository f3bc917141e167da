"""IKE messages out of packet captures."""

from __future__ import annotations

import warnings
from pathlib import Path

with warnings.catch_warnings():
    # Scapy names ciphers that the cryptography package wants nobody to use.
    warnings.simplefilter("ignore")
    from scapy.layers.inet import UDP
    from scapy.packet import Raw
    from scapy.utils import rdpcap

_NON_ESP_MARKER = bytes(4)


def ike_messages(capture: Path) -> list[bytes]:
    """Return what the UDP datagrams of port 500, and those of port 4500 with a non-ESP marker, carry."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packets = rdpcap(str(capture))
    messages = []
    for packet in packets:
        if UDP not in packet:
            continue
        ports = {packet[UDP].sport, packet[UDP].dport}
        payload = _payload(packet)
        if 4500 in ports and payload.startswith(_NON_ESP_MARKER):
            messages.append(payload[4:])
        elif 500 in ports:
            messages.append(payload)
    return messages


def _payload(packet: object) -> bytes:
    udp = packet[UDP]
    return bytes(udp.payload.load if isinstance(udp.payload, Raw) else udp.payload.original)
