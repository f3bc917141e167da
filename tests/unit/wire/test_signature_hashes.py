from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.model.errors import DecodeError
from perilune.wire.signature_hashes import decode_signature_hashes, encode_signature_hashes


@given(st.lists(st.integers(0, 0xFFFF)))
def test_round_trip(hashes: list[int]) -> None:
    assert decode_signature_hashes(encode_signature_hashes(hashes)) == tuple(hashes)


@given(st.binary())
def test_octets_are_identifiers_or_half_a_one_too_many(data: bytes) -> None:
    if len(data) % 2:
        with pytest.raises(DecodeError, match="SIGNATURE_HASH_ALGORITHMS"):
            decode_signature_hashes(data)
    else:
        assert encode_signature_hashes(decode_signature_hashes(data)) == data
