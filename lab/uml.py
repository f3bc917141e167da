"""A whole Linux kernel as a program: Debian's User-Mode Linux, with the IPsec that this kernel may lack.

It runs on this machine's file system, read-only, in a PID namespace of its own, which wants root. Its one
network card `vec0` is our end of a pair of sockets, which carries Ethernet frames: no device of this machine
is involved, and what a frame holds is for the program that has the other end. Commands go over a serial line
to its init, `lab/programs/guest.sh`.

```
  our program ---- socket, one frame a message ---- vec0  kernel 6.1
              ---- serial line --------------------------  guest.sh
```

Time passes as it does for us. A boot takes about two seconds, a command some hundredths of one.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

from lab.errors import LabError, MissingProgramError
from lab.namespace import DEATH_WITH_US
from lab.process import Child
from lab.traffic import program

T = TypeVar("T")
FrameHandler = Callable[[bytes], None]

GUEST = Path(__file__).parent / "programs" / "guest.sh"
MAC = "02:00:00:00:00:02"
"""Ethernet address of its card."""

PATIENCE_S = 60.0
"""How long a boot or a command may take on a machine with much else to do."""

GRACE_S = 5.0
"""How long it may take to switch itself off."""

MEMORY_MB = 96
NO_WIDE_REGISTERS = ",".join(
    f"-{name}"
    for name in (
        *("AVX", "AVX2", "AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL", "AVX_VNNI"),
        "AVX_Fast_Unaligned_Load",
    )
)
"""For glibc: what FXSAVE does not save (see `lab/programs/fxsave.py`) is lost at a page fault there."""

MODULES = (
    *("ipv6", "esp4", "esp6", "ah4", "ah6", "ipcomp", "ipcomp6", "xfrm_user", "xfrm4_tunnel", "xfrm6_tunnel"),
    *("authenc", "authencesn", "cbc", "ccm", "chacha20poly1305", "ctr", "deflate", "echainiv", "ecb", "gcm"),
    *("ghash-generic", "hmac", "cmac", "xcbc", "seqiv", "drbg", "jitterentropy_rng", "sha512_generic"),
    *("chacha_generic", "poly1305_generic", "blowfish_generic", "camellia_generic", "cast5_generic"),
    *("des_generic", "rmd160", "sch_netem", "veth"),
)
"""Modules that it loads: protocols and algorithms of IPsec, and what routers do to packets."""


def require_uml() -> None:
    """Make sure that there is a User-Mode Linux.

    Raises:
        MissingProgramError: Something is not installed.
    """
    for name, package in (
        ("linux.uml", "user-mode-linux"),
        ("modprobe", "kmod"),
        ("ip", "iproute2"),
        ("ping", "iputils-ping"),
        ("unshare", "util-linux"),
    ):
        if not shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            raise MissingProgramError(name, package)


def ignore(_: bytes) -> None:
    """Do nothing with a frame."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a script."""

    code: int
    """Its exit code."""

    text: str
    """What it printed, errors too."""


class SerialLine:
    """Questions to the init inside, one after the other, and its answers.

    Args:
        line: Our end.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._octets = bytearray()
        line.setblocking(False)

    def fileno(self) -> int:
        """Give the descriptor that is readable when there may be an answer."""
        return self._line.fileno()

    def write(self, text: str) -> None:
        """Send one line."""
        self._line.sendall(f"{text}\n".encode())

    def _receive(self) -> None:
        try:
            while octets := self._line.recv(65536):
                self._octets += octets
        except BlockingIOError:
            return
        raise LabError("its serial line is closed")

    def is_ready(self) -> bool:
        """Whether it has told that it waits for questions."""
        self._receive()
        found = self._octets.find(b"ready\n")
        if found >= 0:
            del self._octets[: found + len(b"ready\n")]
        return found >= 0

    def answer(self) -> Answer | None:
        """Take the answer to the last question; None while it is not complete."""
        self._receive()
        head, newline, rest = bytes(self._octets).partition(b"\n")
        if not newline:
            return None
        word, code, octets = head.split()
        if word != b"done":
            raise LabError(f"an answer begins with {head!r}")
        if len(rest) < int(octets):
            return None
        del self._octets[: len(head) + 1 + int(octets)]
        return Answer(int(code), rest[: int(octets)].decode(errors="replace"))


class UserModeLinux:
    """A kernel that has booted.

    Args:
        line: Its serial line.
        card: The other end of its network card, one Ethernet frame a message.
        directory: For the scripts.
    """

    def __init__(self, line: SerialLine, card: socket.socket, directory: Path) -> None:
        self._line = line
        self._card = card
        self._directory = directory
        self._numbers = count(1)
        card.setblocking(False)

    def send(self, frame: bytes) -> None:
        """Let a frame arrive at its card."""
        self._card.send(frame)

    def _frames(self) -> Iterator[bytes]:
        try:
            while frame := self._card.recv(65536):
                yield frame
        except BlockingIOError:
            return
        raise LabError("the kernel has ended")

    def serve(
        self,
        frame_handler: FrameHandler,
        condition: Callable[[], T | None],
        what: str,
        timeout_s: float = PATIENCE_S,
    ) -> T:
        """Take the frames that it sends, until a condition is true.

        Args:
            frame_handler: Is called with each frame.
            condition: Is asked after each frame.
            what: What is waited for, for the error's text.
            timeout_s: In seconds.

        Returns:
            The first true answer.

        Raises:
            LabError: The time is over, or the kernel has ended.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            for frame in self._frames():
                frame_handler(frame)
            if answer := condition():
                return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise LabError(f"waited {timeout_s:g} s in vain for {what}")
            select.select((self._card.fileno(), self._line.fileno()), (), (), left_s)

    def run(
        self,
        script: str,
        frame_handler: FrameHandler = ignore,
        *,
        check: bool = True,
        timeout_s: float = PATIENCE_S,
    ) -> Answer:
        """Run a script of `sh` inside, as root, and wait for its end.

        Args:
            script: Its text.
            frame_handler: Is called with each frame that the kernel sends in the meantime.
            check: Whether an exit code other than 0 is an error.
            timeout_s: In seconds. What is not done by then still runs, and nothing else can.

        Raises:
            LabError: It failed or took too long.
        """
        path = self._directory / f"{next(self._numbers)}.sh"  # a new name: no old text can be in its cache
        path.write_text(script)
        self._line.write(str(path))
        answer = self.serve(frame_handler, self._line.answer, f"the end of {script[:200]!r}", timeout_s)
        if check and answer.code != 0:
            raise LabError(
                f"exit code {answer.code} inside of {script[:2000]!r}: {answer.text.strip()[-600:]}"
            )
        return answer

    def wait_until_ready(self) -> None:
        """Wait until its init takes questions."""
        self.serve(ignore, self._line.is_ready, "User-Mode Linux to boot")

    def end(self, child: Child) -> None:
        """Switch it off; if its init is too busy for that, kill it."""
        if child.returncode is None:
            self._line.write("off")
            try:
                child.wait(GRACE_S)
            except LabError:
                child.kill()


def _with_room(megabytes: int, otherwise: Path) -> Path:
    """Where the file that is its memory can be: it must be mapped executable."""
    fast = Path("/dev/shm")  # noqa: S108  # the file has no name
    if fast.is_dir():
        status = os.statvfs(fast)
        room = status.f_bavail * status.f_frsize > 2 * megabytes * 1_000_000
        if room and not status.f_flag & os.ST_NOEXEC:
            return fast
    return otherwise


def _command(line: int, card: int, directory: Path) -> list[str]:
    # in a PID namespace, so that its end is the end of all of its processes
    private = ("unshare", "--pid", "--fork", "--kill-child")
    return [
        *(*DEATH_WITH_US, *private, *program("fxsave", "linux.uml", f"mem={MEMORY_MB}M")),
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "init=/bin/sh"),
        *("con=null", "con0=null,fd:1", "ssl=null", f"ssl0=fd:{line}", "quiet", f"uml_dir={directory}"),
        f"vec0:transport=fd,fd={card},mac={MAC}",
        f"GLIBC_TUNABLES=glibc.cpu.hwcaps={NO_WIDE_REGISTERS}",
        f"MODULES={','.join(MODULES)}",
        *("--", str(GUEST)),
    ]


@contextmanager
def user_mode_linux(directory: Path) -> Iterator[UserModeLinux]:
    """Boot a kernel, and end it.

    Args:
        directory: An empty one, on no file system that only a namespace sees. Its console is logged there.

    Raises:
        LabError: It does not boot.
        MissingProgramError: It is not installed.
    """
    require_uml()
    line, their_line = socket.socketpair()
    card, their_card = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with line, card:
        with their_line, their_card:
            fds = (their_line.fileno(), their_card.fileno())
            environment = {"TMPDIR": str(_with_room(MEMORY_MB, directory))}
            child = Child(
                "User-Mode Linux", _command(*fds, directory), directory / "console.log", environment, fds
            )
        with child:
            kernel = UserModeLinux(SerialLine(line), card, directory)
            try:
                kernel.wait_until_ready()
                yield kernel
            except LabError as error:
                raise LabError(f"{error}\n{child.tail()}") from None
            finally:
                kernel.end(child)
