"""The engine in memory: what `cargo bench` prints, as figures.

`esp` is the time to seal and to open a packet beside the bare AEAD of the same library, `scale` what very
many SAs and policies cost. Both say themselves how they measure.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lab.errors import LabError, MissingProgramError
from lab.traffic import ROOT

T = TypeVar("T")
PATIENCE_S = 900
"""Compiling is in it, the first time."""

PACKET = re.compile(r"^(\S.*?) +(\d+) +(\d+) +(\d+|-) +(\d+) +(\d+|-)(?: .*)?$", re.MULTILINE)
SCALE = re.compile(r"^ *(\d+)((?: +-?[\d.]+){10,})$", re.MULTILINE)
STALL = re.compile(
    r"^([\d,]+ .*): ([\d.]+) ms; longest seal ([\d.]+) ms of its own, ([\d.]+) ms on the wall, ([\d.]+) ms",
    re.MULTILINE,
)
NAMES = {
    "AesGcm(Bits128": "AES-128-GCM",
    "AesGcm(Bits256": "AES-256-GCM",
    "ChaCha20Poly1305": "ChaCha20-Poly1305",
    "Cbc(Aes(Bits256)": "AES-256-CBC, HMAC-SHA-256",
}


@dataclass(frozen=True, slots=True)
class Packet:
    """A transform at one size, in nanoseconds a packet."""

    transform: str
    octets: int
    """Of the inner packet."""
    seal_ns: float
    bare_seal_ns: float | None
    """The AEAD alone."""
    open_ns: float
    bare_open_ns: float | None

    @property
    def over_ns(self) -> float | None:
        """What sealing or opening, whichever is more, takes longer than the AEAD alone."""
        if self.bare_seal_ns is None or self.bare_open_ns is None:
            return None
        return max(self.seal_ns - self.bare_seal_ns, self.open_ns - self.bare_open_ns)


@dataclass(frozen=True, slots=True)
class Scale:
    """So many SAs, each with a policy of its own."""

    sas: int
    policy_octets: float
    outbound_octets: float
    inbound_octets: float
    installed_per_s: float
    """SAs in a second."""
    seal_few_ns: float
    """A packet, of a hundred SAs spread over all."""
    seal_any_ns: float
    """A packet, of any SA, each out of the processor's caches."""
    open_few_ns: float
    open_any_ns: float


@dataclass(frozen=True, slots=True)
class Stall:
    """A transaction of 10,000 changes while another thread seals."""

    changes: str
    applied_ms: float
    own_ms: float
    """The longest that sealing one packet took of its own thread's time."""
    wall_ms: float
    """By the clock, in which a busy machine shows."""
    engine_ms: float
    """By the clock, without the time in which the thread was ready and had to wait for a processor."""


@dataclass(slots=True)
class EngineFigures:
    """What the benchmarks printed."""

    packets: list[Packet] = field(default_factory=list)
    scale: list[Scale] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)


def bench(name: str) -> str:
    """Run one of the engine's benchmarks.

    Args:
        name: Its name.

    Returns:
        What it printed.

    Raises:
        MissingProgramError: There is no cargo.
        LabError: It failed.
    """
    if not shutil.which("cargo"):
        raise MissingProgramError("cargo", "cargo-web")
    words = ["cargo", "bench", "-q", "--locked", "-p", "perilune-engine", "--bench", name]
    try:
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"cargo bench {name}: not done after {PATIENCE_S} s") from None
    if done.returncode:
        raise LabError(f"cargo bench {name}: {done.stderr.strip()[-600:]}")
    return done.stdout


def read_packets(text: str) -> list[Packet]:
    """What `esp` printed.

    Raises:
        LabError: There is no line of it.
    """

    def read(found: re.Match[str]) -> Packet:
        suite, *numbers = found.groups()
        octets, seal, bare_seal, opening, bare_open = (
            None if text == "-" else float(text) for text in numbers
        )
        transform = next((name for part, name in NAMES.items() if part in suite), suite)
        return Packet(transform, int(octets or 0), seal or 0, bare_seal, opening or 0, bare_open)

    return _all(PACKET, text, read)


def read_scale(text: str) -> list[Scale]:
    """What `scale` printed of the SAs.

    Raises:
        LabError: There is no line of it.
    """

    def read(found: re.Match[str]) -> Scale:
        policy, outbound, inbound, install, _, few, many, _, open_few, open_any = (
            float(word) for word in found[2].split()[:10]
        )
        return Scale(int(found[1]), policy, outbound, inbound, install, few, many, open_few, open_any)

    return _all(SCALE, text, read)


def read_stalls(text: str) -> list[Stall]:
    """What `scale` printed of changes.

    Raises:
        LabError: There is no line of it.
    """
    return _all(STALL, text, lambda found: Stall(found[1], *map(float, found.groups()[1:])))


def _all(pattern: re.Pattern[str], text: str, read: Callable[[re.Match[str]], T]) -> list[T]:
    found = [read(match) for match in pattern.finditer(text)]
    if not found:
        raise LabError(f"what the benchmark printed is not understood:\n{text[-600:]}")
    return found
