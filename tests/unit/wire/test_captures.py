"""Messages that other implementations, and fuzzers of other parsers, put on a wire."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from perilune.model.errors import DecodeError
from perilune.model.iana import NotifyType
from perilune.wire.message import Message, encode_message
from support.captures import ike_messages
from support.vectors import SHARED

FOLDER = SHARED / "pcap_ike_parse"
CAPTURES = sorted(FOLDER.iterdir()) if SHARED.exists() else []
WELL_FORMED = {
    "ikev2_nat_t.pcapng": 30,
    "ikev2_notify_redirect.pcap": 4,
    "ikev2four.pcap": 21,
    "suricata-ikev2-weak-dh.pcap": 1,
}
"""Captures of IKEv2 without a fault, and how many messages are in each."""

pytestmark = pytest.mark.skipif(not SHARED.exists(), reason="the larger collection of vectors is not here")


@pytest.mark.parametrize("name", WELL_FORMED)
def test_real_messages_are_read_whole_and_written_alike(name: str) -> None:
    messages = [Message.decode(octets) for octets in ike_messages(FOLDER / name)]
    assert len(messages) == WELL_FORMED[name]
    for message in messages:
        assert encode_message(message.header, message.payloads) == message.octets


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.name not in WELL_FORMED], ids=lambda c: c.name)
def test_ikev1_and_malformed_messages_are_refused(capture: Path) -> None:
    for octets in ike_messages(capture):
        with pytest.raises(DecodeError) as refusal:
            Message.decode(octets)
        if octets[17] >> 4 == 1:
            assert refusal.value.notify is NotifyType.INVALID_MAJOR_VERSION


@pytest.mark.parametrize("name", WELL_FORMED)
def test_every_flipped_octet_is_read_or_refused(name: str) -> None:
    outcomes: Counter[bool] = Counter()
    for octets in {m[18:19] + m[:16]: m for m in ike_messages(FOLDER / name)}.values():
        for position in range(min(len(octets), 400)):
            for value in (0x00, 0xFF, octets[position] ^ 0x80, octets[position] ^ 0x01):
                damaged = octets[:position] + bytes((value,)) + octets[position + 1 :]
                try:
                    Message.decode(damaged)
                except DecodeError:
                    outcomes[False] += 1
                else:
                    outcomes[True] += 1
    assert outcomes[True]
    assert outcomes[False]
