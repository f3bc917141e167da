"""The right to create namespaces: as root, or else through a user namespace where the system allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.errors import LabError

INSIDE = "PERILUNE_LAB_USER_NAMESPACE"
USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "--net", "--mount")

ADVICE = """\
This system lets us create no network namespaces. What helps, one of:
  - run it as root (sudo)
  - allow user namespaces to everyone:
      sysctl -w kernel.unprivileged_userns_clone=1              (older Debian kernels)
      sysctl -w kernel.apparmor_restrict_unprivileged_userns=0  (Ubuntu)
  - in a container: start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun"""

NO_TUN = """\
There is no /dev/net/tun that we may open. What helps, one of:
  - load the driver, as root: modprobe tun
  - in a container: start it with --device /dev/net/tun"""


def _works(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def obtain(module: str, arguments: list[str]) -> None:
    """Make sure that we may create namespaces; start over inside a user namespace if that is what it takes.

    Args:
        module: Python module to start over with.
        arguments: Its command line.

    Raises:
        LabError: The system does not allow it; the text says what to do.
    """
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise LabError(NO_TUN)
    if _works("unshare", "--net", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"):
        return
    if os.environ.get(INSIDE) or not _works(*USER_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/run"):
        raise LabError(ADVICE)
    os.environ[INSIDE] = str(os.getuid())
    os.environ["PYTHONPATH"] = f"{Path.cwd()}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    os.execvp(  # noqa: S606  # itself, with no shell between
        USER_NAMESPACE[0], [*USER_NAMESPACE, sys.executable, "-m", module, *arguments]
    )


def standing() -> str:
    """In whose name namespaces are created, for a person to read."""
    uid = os.environ.get(INSIDE)
    return f"user {uid}, in a user namespace" if uid else "root"
