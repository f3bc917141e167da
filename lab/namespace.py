"""Network namespaces and the cables between them.

A namespace has no name in the file system. It is held by one `cat` that reads a pipe of ours: when we end,
however we end, the pipe closes, the holder goes, and with it namespace, devices and mounts. That also works
inside a user namespace, where /run/netns cannot be written.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.process import PATIENCE_S, Child, until

DEATH_WITH_US = ("setpriv", "--pdeathsig", "KILL")

AT_ONCE = "for f in all default; do f=/proc/sys/net/ipv6/conf/$f/accept_dad; [ ! -e $f ] || echo 0 > $f; done"
"""Nobody else is on our cables: IPv6 addresses need no duplicate address detection (RFC 4862, section 5.4),
and until it is over a router cannot ask for its neighbours."""


class Namespace:
    """A network namespace with a mount namespace of its own, in which /run is empty.

    Args:
        name: For messages, and the host name of its programs' logs.
        holder: Process that lives in it.
    """

    def __init__(self, name: str, holder: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = holder.pid

    def __repr__(self) -> str:
        return f"Namespace({self.name!r}, pid={self.pid})"

    def command(self, *argv: str) -> list[str]:
        """The command line that runs `argv` inside, in our working directory."""
        enter = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--"]
        return [*enter, "env", "--chdir", os.getcwd(), *argv]

    def run(
        self,
        *argv: str,
        timeout_s: float = PATIENCE_S,
        check: bool = True,
        text_in: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and wait for it.

        Args:
            argv: The command.
            timeout_s: It is killed after so many seconds.
            check: Whether an exit code other than 0 is an error.
            text_in: Its standard input.
            env: Added to our environment.

        Raises:
            LabError: It failed or took too long.
        """
        try:
            done = subprocess.run(
                self.command(*argv),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                input=text_in if text_in is not None else "",
                env={**os.environ, **(env or {})},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: {' '.join(argv)}: not done after {timeout_s:g} s") from None
        if check and done.returncode != 0:
            text = (done.stderr or done.stdout).strip()[-600:]
            raise LabError(f"{self.name}: {' '.join(argv)}: exit code {done.returncode}: {text}")
        return done

    def spawn(self, name: str, *argv: str, log: Path, env: Mapping[str, str] | None = None) -> Child:
        """Start a program inside that goes on in the background; it dies with us."""
        return Child(f"{name} in {self.name}", self.command(*DEATH_WITH_US, *argv), log, env)

    def ip(self, *words: str) -> str:
        """Run iproute2's `ip` inside and return what it printed."""
        return self.run("ip", *words).stdout

    def address(self, device: str, *prefixes: str) -> None:
        """Give a device addresses, each as address/length; IPv6 ones can be used at once."""
        for prefix in prefixes:
            nodad = ("nodad",) if ":" in prefix else ()
            self.ip("address", "add", prefix, "dev", device, *nodad)

    def route(self, prefix: str, via: str) -> None:
        """Add a route over a neighbour."""
        self.ip("route", "add", prefix, "via", via)

    def forward(self) -> None:
        """Be a router, for IPv4 and IPv6."""
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.sysctl(key, "1")

    def sysctl(self, key: str, value: str) -> None:
        """Write a kernel parameter of this network namespace."""
        path = "/proc/sys/" + key.replace(".", "/")
        self.run("sh", "-c", f"echo {value} > {path}")

    def nft(self, rules: str) -> None:
        """Load a piece of nftables' language."""
        self.run("nft", "-f", "-", text_in=rules)


def _hold(name: str, stack: ExitStack) -> Namespace:
    read_end, write_end = os.pipe()
    stack.callback(os.close, write_end)
    try:
        holder = subprocess.Popen(
            [
                "unshare",
                "--net",
                "--mount",
                "sh",
                "-c",
                f"mount -t tmpfs tmpfs /run && {AT_ONCE} && ip link set lo up && exec cat",
            ],
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    finally:
        os.close(read_end)
    stack.callback(_release, holder)
    comm = Path(f"/proc/{holder.pid}/comm")

    def is_held() -> bool:
        if holder.poll() is not None:
            text = holder.stderr.read().decode(errors="replace").strip() if holder.stderr else ""
            raise LabError(f"no namespace for {name}: {text}")
        return comm.read_text() == "cat\n"

    until(is_held, PATIENCE_S, f"the namespace of {name}", every_s=0.002)
    return Namespace(name, holder)


def _release(holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.communicate()


@contextmanager
def namespaces(*names: str) -> Iterator[tuple[Namespace, ...]]:
    """Create namespaces, and remove them with everything in them at the end.

    Raises:
        LabError: The system does not let us.
    """
    with ExitStack() as stack:
        yield tuple(_hold(name, stack) for name in names)


def cable(one: Namespace, device_one: str, other: Namespace, device_other: str, mtu: int = 1500) -> None:
    """Join two namespaces by a veth pair and set both up; their link-local addresses are there.

    Args:
        one: Where the first end goes.
        device_one: Its name there.
        other: Where the second end goes.
        device_other: Its name there.
        mtu: Octets of the largest IP packet.
    """
    end = ("peer", "name", device_other, "netns", str(other.pid))
    one.ip("link", "add", device_one, "mtu", str(mtu), "type", "veth", *end)
    other.ip("link", "set", device_other, "mtu", str(mtu))
    ends = ((one, device_one), (other, device_other))
    for namespace, device in ends:
        namespace.ip("link", "set", device, "up")
    for namespace, device in ends:
        _settle(namespace, device)


def _settle(namespace: Namespace, device: str) -> None:
    """Wait for the link-local address of IPv6; without it a router asks for no neighbour."""
    switch = f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6"
    if namespace.run("cat", switch, check=False).stdout.strip() != "0":
        return

    def settled() -> bool:
        text = namespace.ip("-6", "address", "show", "dev", device)
        return " fe80:" in text and "tentative" not in text

    until(settled, PATIENCE_S, f"{device} in {namespace.name} to have its link-local address", every_s=0.01)


def whole_frames(namespace: Namespace, device: str) -> None:
    """Let no frame leave a device that is longer than its MTU, as on a network card without offloads."""
    namespace.ip("link", "set", device, "gso_max_segs", "1")
