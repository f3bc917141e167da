"""Telling the service manager how we are (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def tell_supervisor(state: str) -> None:
    """Send a state such as `READY=1`, `RELOADING=1` or `STOPPING=1` to whoever started us, if it asked.

    A service manager that does not listen any more is no reason to stop.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as supervisor:
        try:
            supervisor.sendto(state.encode(), name)
        except OSError:
            return
