"""Files that a daemon or a command reads back: the audit log, its head, sequence numbers of manual keys."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from perilune.agent.audit.chain import GENESIS, Head
from perilune.agent.audit.verify import Finding, Verifier
from perilune.cli.commands.audit import shown
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.sequence_file import KeyUse, SequenceFile


def run(data: bytes) -> None:
    """Read one of them; which one is the first octet."""
    if data:
        _FILES[data[0] % len(_FILES)](data[1:])


def _audit_log(data: bytes) -> None:
    """Whoever changes an octet of a log that is whole is found out."""
    lines = BytesIO(data).readlines()
    for line in lines:
        assert shown(line).isprintable()
    head, findings = _verified(lines)
    assert all(str(finding) for finding in findings)
    if findings or len(lines) < 2:
        return
    assert head.number == len(lines)
    assert Head.parse(str(head)) == head
    first, *others = lines
    for changed in (bytes([first[0] ^ 1]) + first[1:], first[:-1] + b" \n"):
        assert _verified([changed, *others])[1]
    assert _verified(lines[1:])[1]
    assert _verified(lines[:-1], head)[1]


def _verified(lines: list[bytes], *remembered: Head) -> tuple[Head, list[Finding]]:
    verifier = Verifier(remembered)
    verifier.read("audit.log", lines)
    return verifier.head, verifier.finish()


def _head(data: bytes) -> None:
    try:
        head = Head.parse(data.decode("ascii", "replace"))
    except LocalError:
        return
    assert head.number >= GENESIS.number
    assert Head.parse(str(head)) == head


def _sequences(data: bytes) -> None:
    """What was read is there again behind a number that was reserved."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "sequences"
        path.write_bytes(data)
        for sent in (7, 9):
            file = SequenceFile(path)
            try:
                file.open()
            except ResourceError:
                assert sent == 7, "what we wrote can be read"
                return
            before = file.use("key")
            file.reserve("key", sent)
            assert file.use("key") == KeyUse(max(sent, before.sent), before.received)
            file.close()


_FILES: tuple[Callable[[bytes], None], ...] = (_audit_log, _head, _sequences)
