"""Protected messages as they were before encryption (RFC 9242, section 3.3.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, PayloadType
from perilune.model.spi import IkeSpi
from perilune.wire.header import HEADER_OCTETS, Flags, Header
from perilune.wire.message import (
    clear_octets,
    encode_encrypted_prefix,
    encode_fragment_prefix,
    encode_message,
)
from perilune.wire.payloads import NoncePayload

HEADER = Header(IkeSpi(1), IkeSpi(2), ExchangeType.IKE_INTERMEDIATE, Flags(True, False), 1)
CHAIN = bytes(range(200))
KE = PayloadType.KE


def test_lengths_count_what_is_not_encrypted_alone() -> None:
    octets = clear_octets(encode_encrypted_prefix(HEADER, KE, 777), CHAIN)
    # 28 octets of header, 4 of the Encrypted payload's own header.
    assert octets[:24] == replace(HEADER, next_payload=PayloadType.SK).encode()[:24]
    assert octets[24:28] == (28 + 4 + 200).to_bytes(4)
    assert octets[28:32] == bytes((KE, 0)) + (4 + 200).to_bytes(2)
    assert octets[32:] == CHAIN


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.3.2
##= type=test
##% This ensures that the IntAuth will be
##% the same regardless of whether or not IKE fragmentation takes place.
@pytest.mark.parametrize("total", [1, 2, 128])
def test_fragments_make_no_difference(total: int) -> None:
    whole = clear_octets(encode_encrypted_prefix(HEADER, KE, 0), CHAIN)
    prefix = encode_fragment_prefix(HEADER, KE, 1, total, 555)
    assert clear_octets(prefix, CHAIN) == whole


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.3.2
##= type=test
##% the RESERVED field in the
##% reconstructed Encrypted payload header MUST be set to the value of
##% the RESERVED field in the Encrypted Fragment payload header from the
##% first fragment
def test_reserved_bits_stay_as_they_came() -> None:
    prefix = bytearray(encode_fragment_prefix(HEADER, KE, 1, 2, 555))
    prefix[HEADER_OCTETS + 1] = 0x55
    assert clear_octets(bytes(prefix), CHAIN)[HEADER_OCTETS + 1] == 0x55


def test_payloads_before_the_encrypted_one_are_covered() -> None:
    nonce = encode_message(HEADER, (NoncePayload(bytes(32)),))
    before = bytearray(nonce)
    before[HEADER_OCTETS] = PayloadType.SKF
    prefix = bytes(before) + bytes((KE, 0, 0, 99)) + bytes((0, 1, 0, 2))
    octets = clear_octets(prefix, CHAIN)
    expected = bytearray(before)
    expected[HEADER_OCTETS] = PayloadType.SK
    expected[24:28] = (len(before) + 4 + len(CHAIN)).to_bytes(4)
    assert octets == bytes(expected) + bytes((KE, 0)) + (4 + len(CHAIN)).to_bytes(2) + CHAIN


def test_more_than_a_message_can_hold_is_refused() -> None:
    prefix = encode_encrypted_prefix(HEADER, KE, 0)
    assert len(clear_octets(prefix, bytes(0xFFFF - 4))) == HEADER_OCTETS + 0xFFFF
    with pytest.raises(PeerError):
        clear_octets(prefix, bytes(0xFFFF - 3))
