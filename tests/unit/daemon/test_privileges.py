"""What the system must allow, and what is said when it does not."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from perilune.config.settings import DaemonSettings
from perilune.daemon import privileges
from perilune.dataplane.placement import Wire
from perilune.model.errors import ResourceError

ALL = (1 << 41) - 1


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DaemonSettings:
    """A system that allows everything; each test takes one thing away."""
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: ALL)
    monkeypatch.setattr(privileges, "_TUN_DEVICE", tmp_path / "tun")
    (tmp_path / "tun").write_text("")
    ports = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as two,
    ):
        for probe in (one, two):
            probe.bind(("0.0.0.0", 0))
            ports.append(probe.getsockname()[1])
    return DaemonSettings(vici=tmp_path / "vici", port=ports[0], port_nat_t=ports[1])


def test_system_that_allows_everything(settings: DaemonSettings) -> None:
    privileges.check_system(settings)


@pytest.mark.parametrize(("bit", "name"), [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")])
def test_missing_capability_is_named(
    settings: DaemonSettings, monkeypatch: pytest.MonkeyPatch, bit: int, name: str
) -> None:
    monkeypatch.setattr(privileges, "effective_capabilities", lambda: ALL & ~(1 << bit))
    with pytest.raises(ResourceError, match=f"needs {name} for .* run it as root"):
        privileges.check_system(settings)


def test_missing_tun_driver(settings: DaemonSettings, tmp_path: Path) -> None:
    (tmp_path / "tun").unlink()
    with pytest.raises(ResourceError, match="modprobe tun"):
        privileges.check_system(settings)
    (tmp_path / "tun").mkdir()
    with pytest.raises(ResourceError, match="cannot be opened"):
        privileges.check_system(settings)


def test_interface_that_is_not_there_is_named_with_its_key(settings: DaemonSettings, tmp_path: Path) -> None:
    (tmp_path / "tun").unlink()
    with pytest.raises(ResourceError, match=r"no interface beyond, which `daemon\.outside` names"):
        privileges.check_system(replace(settings, wire=Wire("lo", "beyond")))


@pytest.mark.parametrize("which", ["port", "port_nat_t"])
def test_port_of_another_daemon(settings: DaemonSettings, which: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"UDP port {port} cannot be had: .*charon"):
            privileges.check_system(replace(settings, **{which: port}))


def test_second_instance(settings: DaemonSettings) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(settings.vici))
        listening.listen()
        with pytest.raises(ResourceError, match="already listens"):
            privileges.check_system(settings)


def test_capabilities_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nCapEff:\t0000000000003000\n")
    assert privileges.effective_capabilities(tmp_path / "status") == 0x3000
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert privileges.effective_capabilities(tmp_path / "status") == 0
