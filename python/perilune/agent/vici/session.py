"""One VICI client: its requests, the events it registered for, and what it is to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Set

from perilune.agent.vici.codec import Node, Tree
from perilune.agent.vici.packet import Framer, Packet, PacketType
from perilune.model.errors import DecodeError, IpsecError, LocalError

MOST_QUEUED_REQUESTS = 64
"""Requests that may wait for the one under way; a client that sends more is sent away."""


class Call:
    """One command under way; its handler answers now or later, once.

    Args:
        session: Whose request it is.
        request: The message that came with it.
    """

    def __init__(self, session: Session, request: Tree) -> None:
        self.request = request
        self._session = session
        self._is_answered = False
        self._left_out = ""

    @property
    def is_open(self) -> bool:
        """Whether an answer is still wanted: there was none, and the client is there."""
        return not self._is_answered and not self._session.is_closed

    def event(self, name: str, message: Node) -> None:
        """Send an event to this client only, if it registered for such events."""
        if self.is_open:
            self._left_out = self._session.publish(name, message) or self._left_out

    def answer(self, message: Node | None = None) -> None:
        """Send the response; a second one, or one for a client that left, is ignored.

        An empty one tells of an event that had to be left out, if there was one.
        """
        if self.is_open:
            self._is_answered = True
            self._session.finish(message or (_failure(self._left_out) if self._left_out else {}))

    def refuse(self, reason: str) -> None:
        """Send the response of a command that failed."""
        self.answer(_failure(reason))


Handler = Callable[[Call], None]
"""Carries out a command. An `IpsecError` that it raises becomes its response."""


class Session:
    """One client.

    Args:
        commands: What to do for each command.
        events: Names of the events that a client may register for.
    """

    def __init__(self, commands: Mapping[str, Handler], events: Set[str]) -> None:
        self._commands = commands
        self._events = events
        self._registered: set[str] = set()
        self._framer = Framer()
        self._waiting: deque[Packet] = deque()
        self._is_busy = False
        self._is_running = False
        self._output = bytearray()
        self.is_closed = False

    def receive(self, data: bytes) -> None:
        """Take octets from the client and carry out what they ask for.

        Raises:
            DecodeError: They are not VICI, or too many requests wait; close the stream.
        """
        for octets in self._framer.feed(data):
            self._dispatch(Packet.decode(octets))
        self._run()

    def take_output(self) -> bytes:
        """Return the octets to send to the client since the last call."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def wants(self, name: str) -> bool:
        """Whether the client registered for an event."""
        return name in self._registered and not self.is_closed

    def publish(self, name: str, message: Node) -> str:
        """Send an event if the client registered for it.

        Returns:
            Why it was left out, as one that is too long for VICI is; empty where it was not.
        """
        if self.wants(name):
            try:
                self._send(Packet(PacketType.EVENT, name, message))
            except LocalError as error:
                return str(error)
        return ""

    def finish(self, message: Node) -> None:
        """Send the response of the request under way, then carry out those that waited."""
        try:
            self._send(Packet(PacketType.CMD_RESPONSE, message=message))
        except LocalError as error:
            self._send(Packet(PacketType.CMD_RESPONSE, message=_failure(str(error))))
        self._is_busy = False
        self._run()

    def close(self) -> None:
        """The client left: calls that are under way answer nobody."""
        self.is_closed = True
        self._waiting.clear()
        self._registered.clear()

    def _dispatch(self, packet: Packet) -> None:
        match packet.type:
            case PacketType.CMD_REQUEST:
                self._queue(packet)
            case PacketType.EVENT_REGISTER | PacketType.EVENT_UNREGISTER:
                self._register(packet)
            case type_:
                message = f"a client does not send {type_.name}"
                raise DecodeError(message, offset=0, field="VICI packet type", notify=None)

    def _queue(self, packet: Packet) -> None:
        if len(self._waiting) >= MOST_QUEUED_REQUESTS:
            raise DecodeError("too many requests wait", offset=0, field="VICI packet", notify=None)
        self._waiting.append(packet)

    def _register(self, packet: Packet) -> None:
        if packet.name not in self._events:
            self._send(Packet(PacketType.EVENT_UNKNOWN))
            return
        if packet.type is PacketType.EVENT_REGISTER:
            self._registered.add(packet.name)
        else:
            self._registered.discard(packet.name)
        self._send(Packet(PacketType.EVENT_CONFIRM))

    def _run(self) -> None:
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._waiting and not self._is_busy:
                self._start(self._waiting.popleft())
        finally:
            self._is_running = False

    def _start(self, packet: Packet) -> None:
        handler = self._commands.get(packet.name)
        if handler is None:
            self._send(Packet(PacketType.CMD_UNKNOWN))
            return
        self._is_busy = True
        call = Call(self, dict(packet.message))  # type: ignore[arg-type]  # decoded messages are trees
        try:
            handler(call)
        except IpsecError as error:
            call.refuse(str(error))

    def _send(self, packet: Packet) -> None:
        if not self.is_closed:
            self._output += packet.encode()


def _failure(reason: str) -> Node:
    return {"success": "no", "errmsg": reason}
