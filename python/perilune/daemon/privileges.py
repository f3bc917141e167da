"""Whether the system allows what the daemon does, asked before anything is begun."""

from __future__ import annotations

import errno
import os
import socket
import struct
from fcntl import ioctl
from pathlib import Path as FilePath

from perilune.config.settings import DaemonSettings
from perilune.model.errors import ResourceError
from perilune.shell.vici_socket import is_answered

_CAP_NET_ADMIN = 12
_CAP_NET_RAW = 13
_TUN_DEVICE = FilePath("/dev/net/tun")

# linux/if_tun.h; what the engine asks for
_TUNSETIFF = 0x4004_54CA
_TUN_WITH_VIRTIO_HEADER = 0x0001 | 0x1000 | 0x4000
_IFREQ = "16sh22x"


def check_system(settings: DaemonSettings) -> None:
    """Look for what would keep the daemon from working.

    Raises:
        ResourceError: A privilege, the TUN driver, its device or a port cannot be had; the message says
            what to do.
    """
    _check_capabilities()
    if settings.wire is None:
        _check_tun(_TUN_DEVICE)
    if is_answered(settings.vici):
        raise ResourceError(
            f"another daemon already listens on {settings.vici};"
            f" give this one its own with --uri, or end that one first"
        )
    for port in (settings.port, settings.port_nat_t):
        _check_port(port)
    if settings.wire is None:
        _check_name(_TUN_DEVICE, settings.tun)
    else:
        for key, name in (("inside", settings.wire.inside), ("outside", settings.wire.outside)):
            _check_interface(key, name)


def _check_capabilities() -> None:
    held = effective_capabilities()
    missing = [
        name
        for name, bit in (("CAP_NET_ADMIN", _CAP_NET_ADMIN), ("CAP_NET_RAW", _CAP_NET_RAW))
        if not held & (1 << bit)
    ]
    if missing:
        raise ResourceError(
            f"the daemon needs {' and '.join(missing)} for devices, routes and raw sockets;"
            f" run it as root, or give it these capabilities"
        )


def effective_capabilities(status: FilePath = FilePath("/proc/self/status")) -> int:
    """Return the capabilities of this process as the kernel counts them, one bit each."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return (1 << 64) - 1 if os.geteuid() == 0 else 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _check_tun(device: FilePath) -> None:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError as error:
        raise ResourceError(
            f"there is no {device};"
            f" load the kernel's driver with 'modprobe tun', or hand the device to the container"
        ) from error
    except OSError as error:
        raise ResourceError(f"{device} cannot be opened: {error.strerror or error}") from error


def _check_name(device: FilePath, name: str) -> None:
    """Look whether a device that is there already can be ours, as a persistent TUN device can."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return  # it will be made
    request = struct.pack(_IFREQ, name.encode(), _TUN_WITH_VIRTIO_HEADER)
    with device.open("rb+", buffering=0) as tun:
        try:
            ioctl(tun, _TUNSETIFF, request)
        except OSError as error:
            known = {
                errno.EBUSY: f"another program uses the device {name}",
                errno.EINVAL: f"another program uses the device {name}, or it is no TUN device of one queue",
            }
            why = known.get(error.errno or 0, f"the device {name} cannot be had: {error.strerror or error}")
            raise ResourceError(f"daemon.tun: {why}; choose another name") from error


def _check_interface(key: str, name: str) -> None:
    try:
        socket.if_nametoindex(name)
    except OSError as error:
        raise ResourceError(
            f"there is no interface {name}, which `daemon.{key}` names; `ip link` lists those there are"
        ) from error


def _check_port(port: int) -> None:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - as the daemon does
        try:
            probe = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue  # this host has not both families
        with probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise ResourceError(
                    f"UDP port {port} cannot be had: {error.strerror or error};"
                    f" does another IKE daemon, such as charon, run here?"
                ) from error
