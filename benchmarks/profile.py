"""Where a tunnel's CPU time goes while one TCP connection sends: perf's samples, by kind of work."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from dataclasses import dataclass

from benchmarks.measure import Subject, transfer
from lab.errors import LabError, MissingProgramError
from lab.namespace import Namespace
from lab.process import Child

SAMPLES_PER_S = 2000
FUNCTIONS = 12
LINE = re.compile(r"^ *([\d.]+)% *\|([^|]*)\|\[(.)\] (.*)$", re.MULTILINE)

KINDS: tuple[tuple[str, str], ...] = (
    ("encryption", r"gcm|aes|ghash|chacha|poly1305|CRYPTO|EVP|aead"),
    ("checksums", r"csum|checksum|sum_"),
    (
        "copies",
        r"copy_(to|from|user|page)|_copy|copyin|copyout|rep_movs|memcpy|memmove|memset|clear_page|skb_copy",
    ),
    ("memory", r"alloc|kfree|kmem|slab|free_|_free|page_pool|get_page|put_page|skb_release|release_data"),
    (
        "scheduling and waiting",
        r"sched|wake|ttwu|finish_task|switch|(en|de)queue_(task|entity)|_raw_spin|pick_next|update_curr|futex|poll|idle|eventfd",
    ),
    ("system calls", r"SYSCALL|syscall|entry_|fdget|fput|retpoline|x86_indirect|return_thunk|import_iovec"),
)
"""The first whose pattern is in a symbol's name is its kind."""
CIPHER_LIBRARIES = r"libcrypto|IPSec_MB"
KERNEL, OWN = "network path of the kernel", "own code"
ORDER = (*(name for name, _ in KINDS), KERNEL, OWN)


@dataclass(frozen=True, slots=True)
class Profile:
    """Of one tunnel under load."""

    cpu_s_per_gb: float
    """CPU seconds of both ends for 10**9 octets of payload."""
    shares: dict[str, float]
    """Of these, the part of each kind of work; all together are 1."""
    symbols: list[tuple[str, float]]
    """The functions with the largest parts."""


def record(subject: Subject, kind: str) -> Profile:
    """Send by TCP and take samples of the tunnel's programs meanwhile.

    Raises:
        MissingProgramError: There is no perf.
        LabError: perf does not work here.
    """
    perf = shutil.which("perf")
    if perf is None:
        raise MissingProgramError("perf", "linux-perf")
    side, data = subject.bed.sides["a"], subject.place / "perf.data"
    pids = ",".join(str(process.pid) for process in subject.running.processes)
    words = ("record", "-q", "-e", "cpu-clock", "-F", f"{SAMPLES_PER_S}", "-p", pids, "-o", str(data))
    with side.spawn("perf", perf, *words, log=subject.place / "perf.log") as recorder:
        sample = transfer(subject, kind)
        recorder.interrupt()
        recorder.wait(20)
    text = _report(side, perf, recorder, str(data))
    return Profile(sample[f"{kind}.cpu"], *shares(text))


def _report(side: Namespace, perf: str, recorder: Child, data: str) -> str:
    words = ("--stdio", "--no-children", "-F", "overhead,dso,symbol", "-t", "|", "-g", "none")
    done = side.run(perf, "report", "-i", data, *words, check=False)
    if not LINE.search(done.stdout):
        raise LabError(f"perf took no samples: {recorder.tail(5)} {done.stderr[-300:]}")
    return done.stdout


def shares(report: str) -> tuple[dict[str, float], list[tuple[str, float]]]:
    """Read what perf reports.

    Returns:
        The part of each kind of work, and the functions with the largest parts.
    """
    kinds: defaultdict[str, float] = defaultdict(float)
    symbols: defaultdict[str, float] = defaultdict(float)
    for percent, library, ring, symbol in LINE.findall(report):
        part = float(percent) / 100
        kinds[kind_of(symbol, library, in_kernel=ring == "k")] += part
        symbols[re.sub(r"::h[0-9a-f]{16}$", "", symbol.strip())] += part
    total = sum(kinds.values()) or 1.0
    most = sorted(symbols.items(), key=lambda item: -item[1])[:FUNCTIONS]
    return {kind: kinds[kind] / total for kind in ORDER}, most


def kind_of(symbol: str, library: str, *, in_kernel: bool) -> str:
    """What a function does, by its name, or by its library's if that is all there is."""
    if re.search(CIPHER_LIBRARIES, library):
        return KINDS[0][0]
    for name, pattern in KINDS:
        if re.search(pattern, symbol):
            return name
    return KERNEL if in_kernel else OWN
