from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.model.errors import DecodeError
from perilune.wire.auth_announcements import (
    AuthAnnouncement,
    decode_auth_announcements,
    encode_auth_announcements,
)

OCTET = st.integers(0, 255)
ANNOUNCEMENTS = st.one_of(
    st.builds(AuthAnnouncement, OCTET),
    st.builds(AuthAnnouncement, OCTET, OCTET),
    st.builds(AuthAnnouncement, OCTET, OCTET, st.binary(max_size=252)),
)


@given(st.lists(ANNOUNCEMENTS, max_size=8))
def test_round_trip(announcements: list[AuthAnnouncement]) -> None:
    assert list(decode_auth_announcements(encode_auth_announcements(announcements))) == announcements


@given(st.binary(max_size=600))
def test_octets_are_announcements_or_an_error(data: bytes) -> None:
    with suppress(DecodeError):
        assert encode_auth_announcements(decode_auth_announcements(data)) == data


def test_each_length_of_the_rfc() -> None:
    data = bytes.fromhex("02020301000a0e01300506032b6570")
    assert decode_auth_announcements(data) == (
        AuthAnnouncement(2),
        AuthAnnouncement(1, 0),
        AuthAnnouncement(14, 1, bytes.fromhex("300506032b6570")),
    )


@pytest.mark.parametrize(
    ("text", "offset"), [("00", 0), ("01", 0), ("02", 0), ("02020302", 2), ("0202050e00", 2)]
)
def test_lengths_that_lead_astray(text: str, offset: int) -> None:
    with pytest.raises(DecodeError, match="SUPPORTED_AUTH_METHODS") as error:
        decode_auth_announcements(bytes.fromhex(text))
    assert error.value.offset == offset
