"""OpenVPN over UDP, in user space, with AES-256-GCM."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import INNER, OTHER, OUTER, Bed
from benchmarks.tunnels import Running, Tunnel
from lab.errors import MissingProgramError
from lab.namespace import Namespace

PROGRAM = Path("/usr/sbin/openvpn")
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
CIPHER = ("--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--disable-dco")


@dataclass(frozen=True, slots=True)
class OpenVpnTunnel(Tunnel):
    """OpenVPN with a certificate of each end's own, known to the other by its fingerprint."""

    def require(self) -> None:
        """Make sure that it is there."""
        if not PROGRAM.exists():
            raise MissingProgramError("openvpn", "openvpn")

    def version(self) -> str:
        """OpenVPN's."""
        words = [str(PROGRAM), "--version"]
        text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        return " ".join(text.split()[:2])

    @contextmanager
    def run(self, bed: Bed, directory: Path) -> Iterator[Running]:
        """Bring it up with fresh keys."""
        prints = {side: _key(namespace, directory / side) for side, namespace in bed.sides.items()}
        with ExitStack() as stack:
            children = []
            for side, namespace in bed.sides.items():
                words = _command(side, directory / side, prints[OTHER[side]])
                child = namespace.spawn("openvpn", *words, log=directory / f"{side}.log")
                children.append(stack.enter_context(child))
            for child in children:
                child.wait_for_log("Initialization Sequence Completed", 20.0)
            yield Running(INNER["b"], tuple(children))


def _key(namespace: Namespace, stem: Path) -> str:
    """Make a key and a certificate; return its fingerprint."""
    key, certificate = stem.with_suffix(".key"), stem.with_suffix(".crt")
    files = ("-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={stem.name}.bench")
    namespace.run("openssl", "req", "-x509", *CURVE, *files)
    words = ("openssl", "x509", "-fingerprint", "-sha256", "-noout", "-in", str(certificate))
    return namespace.run(*words).stdout.split("=", 1)[1].strip()


def _command(side: str, stem: Path, fingerprint: str) -> tuple[str, ...]:
    other = OTHER[side]
    return (
        str(PROGRAM),
        *("--dev", "vpn0", "--dev-type", "tun", "--proto", "udp4", "--port", "1194"),
        *("--local", OUTER[side], "--remote", OUTER[other], "--ifconfig", INNER[side], INNER[other]),
        *("--tls-server" if side == "b" else "--tls-client", "--dh", "none"),
        *("--key", f"{stem}.key", "--cert", f"{stem}.crt", "--peer-fingerprint", fingerprint),
        *(*CIPHER, "--verb", "3"),
    )
