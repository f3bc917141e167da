"""A VICI client: one request at a time, over the daemon's control socket."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from perilune.agent.vici.codec import Node
from perilune.agent.vici.packet import Framer, Packet, PacketType
from perilune.cli.exit_codes import ExitCode
from perilune.config.schema.daemon import LONGEST_SOCKET_PATH_OCTETS
from perilune.config.values import quote
from perilune.model.errors import DecodeError, IpsecError

DEFAULT_URI = "unix:///run/perilune.vici"
_READ_OCTETS = 64 * 1024


class CommandError(IpsecError):
    """A command ends without having done what it was asked.

    Args:
        message: One sentence for the user.
        code: The exit code that says of which kind it was.
        hint: What the user may do about it.
    """

    def __init__(self, message: str, code: ExitCode, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def socket_path(uri: str) -> FilePath:
    """Return the file of a control socket.

    Args:
        uri: `unix:///run/perilune.vici`, or just the path.

    Raises:
        CommandError: The URI is of another kind, or longer than a socket's address may be.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = None
    if not parts or parts.scheme not in ("", "unix") or parts.netloc or not parts.path.startswith("/"):
        raise CommandError(
            f"{quote(uri)} is no control socket",
            ExitCode.WRONG_USE,
            "write unix:///run/perilune.vici, or its path",
        )
    if len(os.fsencode(parts.path)) > LONGEST_SOCKET_PATH_OCTETS:
        message = f"{quote(uri)} is too long: a socket's path has at most {LONGEST_SOCKET_PATH_OCTETS} octets"
        raise CommandError(message, ExitCode.WRONG_USE)
    return FilePath(parts.path)


class Client:
    """A connection to the daemon; use it in a `with` block.

    Args:
        uri: Where the daemon listens.
        timeout_s: Longest wait for an answer, in seconds; None waits as long as it takes.

    Raises:
        CommandError: From every method: nobody listens, the daemon went away, or it took too long.
    """

    def __init__(self, uri: str, timeout_s: float | None = 10.0) -> None:
        self._uri = uri
        self._timeout_s = timeout_s
        self._framer = Framer()
        self._packets: deque[Packet] = deque()
        self._socket = _connected(uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def request(
        self,
        command: str,
        message: Node | None = None,
        *,
        event: str | None = None,
        on_event: Callable[[Node], None] = lambda _message: None,
    ) -> Node:
        """Send a command and return its response.

        Args:
            command: The command.
            message: What goes with it.
            event: An event that the command tells its progress with.
            on_event: Called with the message of each such event as it comes.

        Raises:
            CommandError: The daemon refused (`success` is `no`), or does not know the command.
        """
        if event is not None:
            self._register(event)
        self._send(Packet(PacketType.CMD_REQUEST, command, message or {}))
        response = self._response(lambda packet: on_event(packet.message))
        if response.type is PacketType.CMD_UNKNOWN:
            raise CommandError(f"the daemon does not know the command {command}", ExitCode.REFUSED)
        _raise_refusal(command, response.message)
        return response.message

    def stream(self, command: str, event: str, message: Node | None = None) -> list[Node]:
        """Send a command that answers with events; return their messages."""
        events: list[Node] = []
        self.request(command, message, event=event, on_event=events.append)
        return events

    def listen(self, *events: str) -> Iterator[tuple[str, Node]]:
        """Register for events and return them as they come, for as long as the daemon lives."""
        for event in events:
            self._register(event)
        while True:
            packet = self._next(None)
            if packet.type is PacketType.EVENT:
                yield packet.name, packet.message

    def _register(self, event: str) -> None:
        self._send(Packet(PacketType.EVENT_REGISTER, event))
        if self._response(lambda _event: None).type is PacketType.EVENT_UNKNOWN:
            raise CommandError(f"the daemon does not know the event {event}", ExitCode.REFUSED)

    def _response(self, on_event: Callable[[Packet], None]) -> Packet:
        deadline = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            packet = self._next(deadline)
            if packet.type is not PacketType.EVENT:
                return packet
            on_event(packet)

    def _send(self, packet: Packet) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(packet.encode())
        except OSError as error:
            raise self._gone(error) from error

    def _next(self, deadline: float | None) -> Packet:
        while not self._packets:
            try:
                self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
                data = self._socket.recv(_READ_OCTETS)
            except TimeoutError as error:
                waited = f"within {self._timeout_s:g} s" if self._timeout_s else "in time"
                raise CommandError(f"no answer from the daemon {waited}", ExitCode.TIMED_OUT) from error
            except OSError as error:
                raise self._gone(error) from error
            if not data:
                raise self._gone(None)
            self._packets.extend(self._decoded(data))
        return self._packets.popleft()

    def _decoded(self, data: bytes) -> list[Packet]:
        try:
            return [Packet.decode(octets) for octets in self._framer.feed(data)]
        except DecodeError as error:
            message = f"what listens on {self._uri} does not speak VICI: {error}"
            raise CommandError(message, ExitCode.NO_DAEMON) from error

    def _gone(self, error: OSError | None) -> CommandError:
        why = f": {error.strerror}" if error is not None and error.strerror else ""
        return CommandError(f"the daemon on {self._uri} has gone{why}", ExitCode.NO_DAEMON)


def text_of(message: Node, key: str, default: str = "") -> str:
    """Return a text of a message; what is no text, or absent, is the default."""
    value = message.get(key)
    return value if isinstance(value, str) else default


def _raise_refusal(command: str, response: Node) -> None:
    if response.get("success") == "no":
        reason = str(response.get("errmsg") or f"{command} failed")
        late = response.get("timed-out") == "yes"
        raise CommandError(reason, ExitCode.TIMED_OUT if late else ExitCode.REFUSED)


def _connected(uri: str) -> socket.socket:
    path = socket_path(uri)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(str(path))
    except PermissionError as error:
        client.close()
        hint = "the control socket is the daemon's user's; try it as root"
        raise CommandError(f"you may not open {path}", ExitCode.NOT_ALLOWED, hint) from error
    except OSError as error:
        client.close()
        hint = "start it with 'perilune run -c FILE', or name its control socket with --uri or PERILUNE_URI"
        raise CommandError(f"no daemon listens on {path}", ExitCode.NO_DAEMON, hint) from error
    return client
