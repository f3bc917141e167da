"""Control of a running IKE daemon over VICI, ours and strongSwan's alike."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import LabError
from lab.process import until
from perilune.agent.vici.packet import Framer, Packet, PacketType

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChildSa:
    """A Child SA as the daemon lists it."""

    name: str
    """Its name in the configuration."""
    state: str
    """INSTALLED, REKEYED, DELETING, ..."""
    fields: Message
    """Everything that the daemon tells, by strongSwan's names."""

    @property
    def octets(self) -> int:
        """Octets of inner packets, both directions."""
        return int(self.fields.get("bytes-in", 0)) + int(self.fields.get("bytes-out", 0))


@dataclass(frozen=True, slots=True)
class IkeSa:
    """An IKE SA as the daemon lists it."""

    name: str
    """The connection's name."""
    state: str
    """CONNECTING, ESTABLISHED, REKEYING, DELETING, ..."""
    fields: Message
    """Everything that the daemon tells, by strongSwan's names."""

    @property
    def children(self) -> list[ChildSa]:
        """Its Child SAs."""
        listed = self.fields.get("child-sas", {})
        return [ChildSa(child["name"], child["state"], child) for child in listed.values()]

    @property
    def spis(self) -> tuple[str, str]:
        """SPI of the initiator and of the responder, in hexadecimal."""
        return self.fields["initiator-spi"], self.fields["responder-spi"]


class Control:
    """One connection to a daemon's control socket.

    Args:
        socket_path: Of the daemon.
        timeout_s: Longest time to wait for anything.

    Raises:
        LabError: Nobody answers there.
    """

    def __init__(self, socket_path: Path, timeout_s: float = 15.0) -> None:
        self._framer = Framer()
        self._packets: list[bytes] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            until(lambda: self._connects(socket_path), timeout_s, "room in the queue of the control socket")
        except OSError as error:
            self._socket.close()
            raise LabError(f"{socket_path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def request(self, command: str, **arguments: object) -> Message:
        """Send a command and return its answer.

        Raises:
            LabError: The daemon refuses, in its own words, or does not know the command.
        """
        return self.stream(command, None, **arguments)[1]

    def stream(self, command: str, event: str | None, **arguments: object) -> tuple[list[Message], Message]:
        """Send a command that reports by events.

        Args:
            command: Its name.
            event: Name of the event that carries its reports.
            arguments: With `_` for `-`.

        Returns:
            The events' messages and the answer.

        Raises:
            LabError: The daemon refuses.
        """
        if event:
            self._send(Packet(PacketType.EVENT_REGISTER, event))
            self._until(PacketType.EVENT_CONFIRM)
        message = {name.replace("_", "-"): _text(value) for name, value in arguments.items()}
        self._send(Packet(PacketType.CMD_REQUEST, command, message))
        events, answer = self._until(PacketType.CMD_RESPONSE)
        if event:
            self._send(Packet(PacketType.EVENT_UNREGISTER, event))
            self._until(PacketType.EVENT_CONFIRM)
        if answer.get("success", "yes") != "yes":
            raise LabError(f"{command}: {answer.get('errmsg', 'failed')}")
        return events, answer

    def list_sas(self) -> list[IkeSa]:
        """Every IKE SA with its children."""
        found = []
        for message in self.stream("list-sas", "list-sa")[0]:
            found += [IkeSa(name, fields["state"], fields) for name, fields in message.items()]
        return found

    def _connects(self, socket_path: Path) -> bool:
        try:
            self._socket.connect(str(socket_path))
        except BlockingIOError:  # the queue of connections is full
            return False
        return True

    def _send(self, packet: Packet) -> None:
        self._socket.sendall(packet.encode())

    def _until(self, wanted: PacketType) -> tuple[list[Message], Message]:
        events: list[Message] = []
        while True:
            packet = Packet.decode(self._next())
            if packet.type is PacketType.EVENT:
                events.append(packet.message)
            elif packet.type is wanted:
                return events, packet.message
            else:
                raise LabError(f"the daemon answers {packet.type.name}")

    def _next(self) -> bytes:
        while not self._packets:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise LabError(f"the daemon does not answer: {error}") from error
            if not data:
                raise LabError("the daemon hangs up")
            self._packets = self._framer.feed(data)
        return self._packets.pop(0)


def _text(value: object) -> str | list[Any] | dict[str, Any]:
    if isinstance(value, dict):
        return {name: _text(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [str(inner) for inner in value]
    return str(value)
