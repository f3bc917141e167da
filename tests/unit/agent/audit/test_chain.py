"""A chain of lines, and what shows when somebody changes it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.agent.audit.chain import GENESIS, LONGEST_LINE_OCTETS, Head, decode_line, digest_of, encode_line
from perilune.agent.audit.record import AuditRecord
from perilune.agent.audit.verify import Flaw, Verifier
from perilune.model.errors import LocalError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def chain(*events: str) -> tuple[list[bytes], Head]:
    """Lines with these events, and their head."""
    lines, head = [], GENESIS
    for event in events:
        line, head = encode_line(AuditRecord(event, {"spi": "0xc0ffee01"}), NOON, head)
        lines.append(line)
    return lines, head


def flaws(lines: list[bytes], *remembered: Head) -> list[tuple[Flaw, int]]:
    verifier = Verifier(remembered)
    verifier.read("log", lines)
    return [(finding.flaw, finding.line) for finding in verifier.finish()]


def test_line_has_the_digest_of_the_line_before() -> None:
    lines, head = chain("log_started", "sa_added")
    first, second = map(decode_line, lines)
    assert (first["n"], first["previous"]) == (1, "0" * 64)
    assert (second["n"], second["previous"]) == (2, digest_of(lines[0]))
    assert head == Head(2, digest_of(lines[1]))
    assert second["time"] == "2026-11-21T12:00:00.000000+00:00"
    assert (second["event"], second["spi"]) == ("sa_added", "0xc0ffee01")


def test_whole_chain_has_no_flaw() -> None:
    lines, head = chain("log_started", "sa_added", "sa_removed")
    assert flaws(lines, head) == []
    assert flaws(lines, Head(2, digest_of(lines[1]))) == []
    assert flaws([]) == []


def test_end_that_was_cut_off_shows_against_a_head() -> None:
    lines, head = chain("log_started", "sa_added", "sa_removed")
    assert flaws(lines[:2]) == []
    assert flaws(lines[:2], head) == [(Flaw.TRUNCATED, 2)]
    assert flaws([], head) == [(Flaw.TRUNCATED, 0)]


def test_chain_that_was_made_anew_shows_against_a_head() -> None:
    head = chain("log_started", "authentication_failed")[1]
    assert flaws(chain("log_started", "sa_added", "sa_added")[0], head) == [(Flaw.REPLACED, 2)]


def test_files_are_one_chain() -> None:
    lines, head = chain("log_started", "sa_added", "sa_removed")
    verifier = Verifier((head,))
    verifier.read("log.1", lines[:2])
    verifier.read("log", lines[2:])
    assert verifier.finish() == []
    assert flaws(lines[2:], head) == [(Flaw.NO_BEGINNING, 1)]


def test_line_without_an_end_is_torn() -> None:
    lines, head = chain("log_started", "sa_added")
    assert flaws([lines[0], lines[1][:-1]], head) == [(Flaw.TORN, 2), (Flaw.TRUNCATED, 2)]


def test_gap_that_the_daemon_saw_is_told() -> None:
    assert flaws(chain("log_started", "log_gap", "sa_added")[0]) == [(Flaw.GAP, 2)]
    assert flaws(chain("log_started", "records_lost")[0]) == [(Flaw.GAP, 2)]


@given(st.data())
def test_whatever_is_changed_is_found_at_its_place_or_the_next(data: st.DataObject) -> None:
    lines, head = chain(*(f"event_{number}" for number in range(6)))
    place = data.draw(st.integers(0, 5))
    match data.draw(st.sampled_from(["octet", "left out", "doubled", "exchanged"])):
        case "octet":
            line = bytearray(lines[place])
            at = data.draw(st.integers(0, len(line) - 2))
            line[at] ^= data.draw(st.integers(1, 255))
            lines[place] = bytes(line)
        case "left out":
            del lines[place]
        case "doubled":
            lines.insert(place, lines[place])
        case _:
            other = (place + 1) % 6
            lines[place], lines[other] = lines[other], lines[place]
    found = flaws(lines, head)
    assert found
    assert found[0][1] <= place + 2 or found[0][0] in (Flaw.TRUNCATED, Flaw.REPLACED)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b"\xff\xfe",
        b'{"n":"1","time":"","event":"","previous":""}',
        b'{"n":true,"time":"","event":"","previous":""}',
        b"[" * 100_000,
        b'{"n":1,"time":"","event":"' + b"x" * LONGEST_LINE_OCTETS + b'","previous":""}',
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(LocalError):
        decode_line(line)
    assert flaws([line + b"\n"]) == [(Flaw.ALTERED, 1)]


@given(st.binary(max_size=200))
def test_no_octets_break_the_reader(octets: bytes) -> None:
    flaws(octets.splitlines(keepends=True))


def test_fields_cannot_stand_in_for_the_chain_s_own() -> None:
    record = AuditRecord(
        "refused", {"n": 7, "previous": "x", "event": "fine", "time": "never", "text": "a\nb"}
    )
    line, _ = encode_line(record, NOON, GENESIS)
    document = decode_line(line)
    assert (document["n"], document["event"], document["text"]) == (1, "refused", "a\nb")
    assert line.count(b"\n") == 1


def test_long_text_is_cut() -> None:
    line, _ = encode_line(AuditRecord("refused", {"text": "x" * 1_000_000}), NOON, GENESIS)
    assert len(decode_line(line)["text"]) == 4096


@pytest.mark.parametrize("text", ["", "17", "17:abc", f"x:{'0' * 64}", f"-1:{'0' * 64}", f"1:{'0' * 65}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match="is no head"):
        Head.parse(text)


def test_head_is_read_as_it_is_written() -> None:
    head = Head(17, "0123456789abcdef" * 4)
    assert Head.parse(str(head)) == Head.parse(f"00000000017:{head.digest}\n") == head
