"""The control socket: who may open it, what a daemon before us leaves, and clients that misbehave."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from perilune.agent.vici.packet import Packet, PacketType
from perilune.agent.vici.server import Server
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.vici_socket import MOST_UNSENT_OCTETS, ViciSocket, is_answered

ASK = Packet(PacketType.CMD_REQUEST, "echo", {"n": "1"}).encode()
DEAF = "a client of the control socket does not read; it is disconnected"
ANSWER = Packet(PacketType.CMD_RESPONSE, message={"n": "1"}).encode()

Tell = Callable[[ViciSocket, str], None]


def server() -> Server:
    return Server({"echo": lambda call: call.answer(call.request)}, {"tick"})


def test_socket_is_the_owner_s_alone_and_goes_with_the_daemon(tmp_path: Path) -> None:
    async def scenario() -> None:
        control = ViciSocket(tmp_path / "vici", server(), lambda _reason: None)
        await control.open()
        assert stat.S_IMODE((tmp_path / "vici").stat().st_mode) == 0o600
        assert is_answered(tmp_path / "vici")
        await control.close()
        assert not (tmp_path / "vici").exists()

    asyncio.run(scenario())


def test_socket_of_a_killed_daemon_is_replaced_and_of_a_living_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "vici"))

    async def scenario() -> None:
        first = ViciSocket(tmp_path / "vici", server(), lambda _reason: None)
        await first.open()
        with pytest.raises(LocalError, match="another daemon"):
            await ViciSocket(tmp_path / "vici", server(), lambda _reason: None).open()
        await first.close()

    asyncio.run(scenario())


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    control = ViciSocket(tmp_path / "no" / "vici", server(), lambda _reason: None)
    with pytest.raises(ResourceError, match="cannot listen"):
        asyncio.run(control.open())


def test_clients_are_served_side_by_side_and_the_bad_one_is_sent_away(tmp_path: Path) -> None:
    refused: list[str] = []

    async def scenario() -> None:
        control = ViciSocket(tmp_path / "vici", server(), refused.append)
        await control.open()
        good_reader, good = await asyncio.open_unix_connection(tmp_path / "vici")
        bad_reader, bad = await asyncio.open_unix_connection(tmp_path / "vici")
        bad.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await bad_reader.read() == b""
        good.write(ASK[:7])
        await good.drain()
        good.write(ASK[7:] + ASK)
        assert await good_reader.readexactly(2 * len(ANSWER)) == 2 * ANSWER
        for writer in (good, bad):
            writer.close()
        await control.close()

    asyncio.run(scenario())
    assert len(refused) == 1
    assert "packet length" in refused[0]


def test_clients_that_wait_are_gone_after_the_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        control = ViciSocket(tmp_path / "vici", server(), lambda _reason: None)
        await control.open()
        reader, idle = await asyncio.open_unix_connection(tmp_path / "vici")
        idle.write(ASK)
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)
            deaf.connect(str(tmp_path / "vici"))
            await asyncio.get_running_loop().sock_sendall(deaf, ASK * 10000)
            await control.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        idle.close()

    asyncio.run(scenario())


async def go_deaf(path: Path, vici: Server, refused: list[str], tell: Tell) -> None:
    """Register for events and read none, while they come until somebody is refused."""
    control = ViciSocket(path, vici, lambda reason: tell(control, reason))
    await control.open()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(Packet(PacketType.EVENT_REGISTER, "tick").encode())
    await reader.readexactly(5)
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio has no other word for it
    for _ in range(2 * MOST_UNSENT_OCTETS // 65000):
        vici.publish("tick", {"n": b"\xff" * 65000})
        control.flush()
        if refused:
            break
    writer.close()
    await control.close()


def test_client_that_does_not_read_is_sent_away(tmp_path: Path) -> None:
    refused: list[str] = []
    asyncio.run(
        go_deaf(tmp_path / "vici", server(), refused, lambda _control, reason: refused.append(reason))
    )
    assert refused == [DEAF]


def test_telling_of_a_deaf_client_does_not_tell_that_client(tmp_path: Path) -> None:
    """As with a client of the log, which gets a line about each client that is sent away."""
    refused: list[str] = []
    vici = server()

    def tell(control: ViciSocket, reason: str) -> None:
        refused.append(reason)
        vici.publish("tick", {"reason": reason})
        control.flush()

    asyncio.run(go_deaf(tmp_path / "vici", vici, refused, tell))
    assert refused == [DEAF]
