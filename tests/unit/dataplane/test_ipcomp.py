"""zlib and the engine's DEFLATE understand each other (RFC 2394).

`tests/vectors/ipcomp_deflate.json` holds payloads, what zlib made of them, and what the engine makes of them
(`ours`); the Rust tests of `rust/wire/src/ipcomp.rs` read it too. Streams are raw, without a zlib header.
"""

from __future__ import annotations

import zlib

import pytest

from support.vectors import Json, printed

RAW = -15
VECTORS = printed("ipcomp_deflate.json")["payloads"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_zlib_decompresses_what_the_engine_compresses(vector: Json) -> None:
    stream = zlib.decompressobj(RAW)
    assert stream.decompress(bytes.fromhex(vector["ours"])).hex() == vector["payload"]
    assert stream.eof
    assert not stream.unused_data


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_engine_is_shown_what_is_a_stream_of_the_payload(vector: Json) -> None:
    assert zlib.decompress(bytes.fromhex(vector["zlib"]), RAW).hex() == vector["payload"]
