"""Compare the engine's instructions per packet, counted by callgrind, to the committed numbers.

Only our own instructions count: the ciphers' library and the C library choose their code by the model of
the processor. Exit codes: 0 no count is more than 5 % above, 1 one is.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

BASELINE = Path("rust/engine/benches/instructions.toml")
BENCH = ("cargo", "bench", "--locked", "--quiet", "-p", "perilune-engine", "--bench", "instructions")
COUNTED = "instructions::counted"
TOLERANCE_PERCENT = 5
RENEW = "python -m benchmarks.instructions --renew"

NAME = re.compile(r"(c?)(fn|fl|fi|fe|ob|file|obj)=\((\d+)\)(?: (.*))?$")
COST = re.compile(r"[+\-*\d]")


def own_instructions(profile: Iterable[str]) -> int:
    """Add up what one profile of callgrind has of our own code, without what that calls elsewhere."""
    names: dict[tuple[str, str], str] = {}
    here = {"fn": "", "fl": "", "ob": ""}
    total, is_call = 0, False
    for line in profile:
        if match := NAME.match(line.rstrip()):
            called, kind, number, name = match.groups()
            space = {"fn": "fn", "ob": "ob", "obj": "ob"}.get(kind, "fl")
            known = names.setdefault((space, number), name or "")
            if not called and kind in here:
                here[kind] = known
        elif line.startswith("calls="):
            is_call = True
        elif COST.match(line):
            if not is_call and is_ours(**here):
                total += int(line.split()[-1])
            is_call = False
    return total


def is_ours(fn: str, fl: str, ob: str) -> bool:
    """Whether a function is neither of another library nor of AWS-LC, part of which has no file."""
    if Path(ob).name.startswith(("lib", "ld-")):
        return False
    if fn.startswith("aws_lc_") or fl.startswith("/aws-lc/"):
        return False
    return fl != "???" or "perilune" in fn


def count() -> dict[str, int]:
    """Build the program and count each of its cases, in instructions a packet."""
    built = subprocess.run(
        [*BENCH, "--no-run", "--message-format=json"], check=True, stdout=subprocess.PIPE, text=True
    )
    artifacts = (json.loads(line) for line in built.stdout.splitlines())
    program = next(path for artifact in artifacts if (path := artifact.get("executable")))
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        run = subprocess.run(
            [
                *("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={profile}"),
                *(f"--toggle-collect={COUNTED}", f"--dump-before={COUNTED}", program),
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        cases = [line.rsplit("\t", 1) for line in run.stdout.splitlines()]
        # Each profile is written when the next case begins, and the last one at the end.
        files = [Path(f"{profile}.{number}") for number in range(2, len(cases) + 1)] + [profile]
        return {
            name: round(own_instructions(file.read_text().splitlines()) / int(packets))
            for (name, packets), file in zip(cases, files, strict=True)
        }


def compiler() -> str:
    """Name the compiler, as another one makes other instructions."""
    return subprocess.run(
        ["rustc", "--version"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def differences(expected: Mapping[str, int], counted: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Say which counts are too high, or not expected at all, and which are low enough for new numbers."""
    worse: list[str] = []
    better: list[str] = []
    for name in sorted(expected.keys() | counted.keys()):
        before, now = expected.get(name), counted.get(name)
        if before is None or now is None:
            worse.append(f"{name}: {before} -> {now}; it has no number, or is not counted any more")
            continue
        if abs(now - before) * 100 > before * TOLERANCE_PERCENT:
            text = f"{name}: {before} -> {now} ({now / before - 1:+.1%})"
            (worse if now > before else better).append(text)
    return worse, better


def text_of(counted: Mapping[str, int]) -> str:
    """Write the committed numbers."""
    lines = [f"# Instructions a packet; `{RENEW}` writes this file.", f'compiler = "{compiler()}"', ""]
    lines += ["[instructions]", *(f'"{name}" = {number}' for name, number in counted.items()), ""]
    return "\n".join(lines)


def main() -> int:
    """Count, and compare or renew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write the numbers instead")
    options = parser.parse_args()
    counted = count()
    if options.renew:
        BASELINE.write_text(text_of(counted))
        return 0
    baseline = tomllib.loads(BASELINE.read_text())
    worse, better = differences(baseline["instructions"], counted)
    for line in better:
        print(f"fewer instructions: {line}")
    for line in worse:
        print(f"MORE INSTRUCTIONS: {line}")
    if worse or better:
        print(f"Where that is meant, {RENEW} writes the new numbers.")
    if baseline["compiler"] != compiler():
        print(f"Not enforced: the numbers are of {baseline['compiler']}, this is {compiler()}.")
        return 0
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
