"""VICI sessions: who is answered, in which order, and who is told of events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perilune.agent.vici.codec import Node
from perilune.agent.vici.packet import Framer, Packet, PacketType
from perilune.agent.vici.server import Server
from perilune.agent.vici.session import MOST_QUEUED_REQUESTS, Call, Session
from perilune.model.errors import DecodeError, LocalError


class Desk:
    """A server with three commands: one answers at once, one never by itself, one fails."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []
        commands: dict[str, Callable[[Call], None]] = {
            "echo": lambda call: call.answer(call.request),
            "fail": _fail,
            "stream": _stream,
            "wait": self.waiting.append,
        }
        self.server = Server(commands, {"tick", "tock"})


def _fail(_call: Call) -> None:
    raise LocalError("no such connection")


def _stream(call: Call) -> None:
    call.event("tick", {"n": "1"})
    call.event("tick", {"n": "2"})
    call.answer()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def request(name: str, **message: str) -> bytes:
    return Packet(PacketType.CMD_REQUEST, name, dict(message)).encode()


def register(name: str) -> bytes:
    return Packet(PacketType.EVENT_REGISTER, name).encode()


def unregister(name: str) -> bytes:
    return Packet(PacketType.EVENT_UNREGISTER, name).encode()


def received(session: Session) -> list[Packet]:
    return [Packet.decode(octets) for octets in Framer().feed(session.take_output())]


def response(**message: str) -> Packet:
    return Packet(PacketType.CMD_RESPONSE, message=dict(message))


def event(name: str, message: Node) -> Packet:
    return Packet(PacketType.EVENT, name, message)


def test_requests_are_answered_in_order(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("echo", n="1") + request("nothing") + request("echo", n="2"))
    assert received(session) == [response(n="1"), Packet(PacketType.CMD_UNKNOWN), response(n="2")]
    assert received(session) == []


def test_request_waits_for_the_one_under_way(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("wait") + request("echo", n="2"))
    assert received(session) == []

    desk.waiting[0].answer({"n": "1"})
    assert received(session) == [response(n="1"), response(n="2")]


def test_second_answer_is_ignored(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("wait"))
    desk.waiting[0].answer()
    desk.waiting[0].answer()
    desk.waiting[0].refuse("late")
    assert received(session) == [response()]


def test_local_error_is_the_response(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("fail") + request("echo"))
    assert received(session) == [response(success="no", errmsg="no such connection"), response()]


def test_events_go_to_those_who_registered(desk: Desk) -> None:
    listening, deaf = desk.server.open(), desk.server.open()
    listening.receive(register("tick"))
    assert received(listening) == [Packet(PacketType.EVENT_CONFIRM)]

    desk.server.publish("tick", {"n": "1"})
    desk.server.publish("tock", {"n": "2"})
    assert received(listening) == [event("tick", {"n": "1"})]
    assert received(deaf) == []

    listening.receive(unregister("tick"))
    desk.server.publish("tick", {"n": "3"})
    assert received(listening) == [Packet(PacketType.EVENT_CONFIRM)]


def test_unknown_event_is_named_so(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(register("news") + unregister("news"))
    assert received(session) == [Packet(PacketType.EVENT_UNKNOWN)] * 2


def test_stream_goes_to_its_caller_only(desk: Desk) -> None:
    caller, other = desk.server.open(), desk.server.open()
    for session in (caller, other):
        session.receive(register("tick"))
        session.take_output()
    caller.receive(request("stream"))
    assert received(caller) == [event("tick", {"n": "1"}), event("tick", {"n": "2"}), response()]
    assert received(other) == []


def test_client_that_left_is_not_answered(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(register("tick") + request("wait"))
    session.take_output()
    desk.server.close(session)
    assert not desk.waiting[0].is_open
    desk.waiting[0].answer({"n": "1"})
    desk.server.publish("tick", {})
    assert session.take_output() == b""


@pytest.mark.parametrize("type_", [PacketType.CMD_RESPONSE, PacketType.EVENT, PacketType.EVENT_CONFIRM])
def test_what_only_servers_send_ends_the_session(desk: Desk, type_: PacketType) -> None:
    with pytest.raises(DecodeError, match="a client does not send"):
        desk.server.open().receive(Packet(type_).encode())


def test_too_many_requests_end_the_session(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("wait"))
    with pytest.raises(DecodeError, match="too many"):
        session.receive(request("echo") * (MOST_QUEUED_REQUESTS + 1))


def test_event_that_is_too_long_is_left_out_and_the_client_told(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(register("tick") + request("wait"))
    received(session)
    call = desk.waiting.pop()
    call.event("tick", {"n": "x" * 65536})
    call.event("tick", {"n": "2"})
    call.answer()
    second, last = received(session)
    assert second == event("tick", {"n": "2"})
    assert last.message["success"] == "no"
    assert "65536 octets" in str(last.message["errmsg"])


def test_event_that_is_too_long_keeps_nothing_else_from_happening(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(register("tick"))
    received(session)
    desk.server.publish("tick", {"n": "x" * 65536})
    desk.server.publish("tick", {"n": "2"})
    assert received(session) == [event("tick", {"n": "2"})]


def test_answer_that_is_too_long_becomes_a_refusal(desk: Desk) -> None:
    session = desk.server.open()
    session.receive(request("wait") + request("wait") + request("echo", n="1"))
    desk.waiting.pop(0).answer({"n": "x" * 65536})
    desk.waiting.pop(0).refuse("x" * 65536)
    first, second, third = received(session)
    assert "65536 octets" in str(first.message["errmsg"])
    assert second.message["success"] == "no"
    assert third == response(n="1")
