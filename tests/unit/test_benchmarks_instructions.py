"""What counts as a regression of instructions, and whose instructions count."""

from __future__ import annotations

from benchmarks.instructions import differences, own_instructions

PROFILE = """\
ob=(1) target/release/deps/instructions-1
fl=(1) rust/engine/src/bundle.rs
fn=(1) perilune_engine::bundle::open
10 7
+1 5
fi=(2) /rustc/1/library/core/src/num.rs
20 3
cob=(2) /usr/lib/libc.so.6
cfi=(3) memmove.S
cfn=(2) memcpy
calls=1 0
30 1000
fl=(4) /aws-lc/crypto/gcm.c
fn=(3) gcm_setiv
40 100
fl=(5) ???
fn=(4) aes_hw_encrypt
50 200
ob=(2)
fl=(3)
fn=(2)
60 400
""".splitlines()


def test_only_our_own_instructions_are_added_up() -> None:
    assert own_instructions(PROFILE) == 7 + 5 + 3


def test_more_than_five_percent_is_a_regression() -> None:
    expected = {"seal": 1000, "open": 1000, "same": 1000, "gone": 1}
    counted = {"seal": 1051, "open": 949, "same": 1050, "new": 1}
    worse, better = differences(expected, counted)
    assert [line.split(":")[0] for line in worse] == ["gone", "new", "seal"]
    assert better == ["open: 1000 -> 949 (-5.1%)"]
