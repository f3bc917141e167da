"""VICI's commands on a node, as a client sees them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perilune.agent.node import ChosenSas
from perilune.agent.vici.codec import Node
from perilune.agent.vici.commands import EVENTS, Commands
from perilune.agent.vici.news import name_of_news, news_of
from perilune.agent.vici.operations import Operations
from perilune.agent.vici.packet import Framer, Packet, PacketType
from perilune.agent.vici.server import Server
from perilune.agent.vici.session import Session
from perilune.databases.processing import Mode
from perilune.databases.sad import Encapsulation
from perilune.ike.events import (
    AuthenticationFailed,
    ChildSaDown,
    ChildSaUp,
    DownReason,
    IkeEvent,
    IkeSaDown,
    IkeSaRekeyed,
    IkeSaUp,
    PathWanted,
    Refused,
)
from perilune.ike.names import IkeName
from perilune.model.iana import ProtocolId
from perilune.model.spi import IkeSpi
from perilune.model.time import Duration
from support.nodes import CHILD, CHILD_STATUS, IKE, IKE_STATUS, NOW, PATH, ExampleNode

IKE_UP = IkeSaUp(
    IKE,
    IKE_STATUS.local_id,
    IKE_STATUS.remote_id,
    IKE_STATUS.suite,
    PATH,
    IKE_STATUS.nat,
    "PSK",
    "PSK",
)
CHILD_UP = ChildSaUp(
    ike=IKE,
    child=CHILD,
    suite=CHILD_STATUS.suite,
    protocol=ProtocolId.ESP,
    mode=Mode.TUNNEL,
    encapsulation=Encapsulation.UDP,
    path=PATH,
    local=CHILD_STATUS.local,
    remote=CHILD_STATUS.remote,
)


class Desk:
    """A client of an example node."""

    def __init__(self) -> None:
        self.node = ExampleNode()
        self.operations = Operations()
        self.session: Session = Server(Commands(self.node, self.operations).table, EVENTS).open()
        for event in EVENTS:
            self.session.receive(Packet(PacketType.EVENT_REGISTER, event).encode())
        self.received()

    def received(self) -> list[Packet]:
        return [Packet.decode(octets) for octets in Framer().feed(self.session.take_output())]

    def ask(self, command: str, **message: str) -> tuple[Node | None, list[Node]]:
        """Return the response, None if it is not there yet, and the events before it."""
        named = {name.replace("_", "-"): value for name, value in message.items()}
        self.session.receive(Packet(PacketType.CMD_REQUEST, command, named).encode())
        return self.answers()

    def answers(self) -> tuple[Node | None, list[Node]]:
        packets = self.received()
        response = next((p.message for p in packets if p.type is PacketType.CMD_RESPONSE), None)
        return response, [packet.message for packet in packets if packet.type is PacketType.EVENT]

    def happens(self, event: IkeEvent) -> tuple[Node | None, list[Node]]:
        self.operations.observe(event)
        return self.answers()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_list_sas_has_what_swanctl_reads(desk: Desk) -> None:
    response, (event,) = desk.ask("list-sas")
    assert response == {}
    assert event == {
        "gw": {
            "uniqueid": "1",
            "version": "2",
            "state": "ESTABLISHED",
            "local-host": "192.0.2.1",
            "local-port": "4500",
            "local-id": "moon",
            "remote-host": "192.0.2.2",
            "remote-port": "4500",
            "remote-id": "sun",
            "local-auth": "PSK",
            "remote-auth": "RSASSA-PSS with SHA-256",
            "initiator": "yes",
            "initiator-spi": "5ad1c0de11223344",
            "responder-spi": "08c2fee155667788",
            "nat-local": "yes",
            "nat-any": "yes",
            "encr-alg": "AES_CBC",
            "encr-keysize": "256",
            "integ-alg": "HMAC_SHA2_256_128",
            "prf-alg": "PRF_HMAC_SHA2_256",
            "dh-group": "CURVE_25519",
            "established": "90",
            "rekey-time": "13000",
            "child-sas": {
                "net-2": {
                    "name": "net",
                    "uniqueid": "2",
                    "reqid": "7",
                    "state": "INSTALLED",
                    "mode": "TUNNEL",
                    "protocol": "ESP",
                    "encap": "yes",
                    "spi-in": "c0ffee01",
                    "spi-out": "c0ffee02",
                    "encr-alg": "AES_GCM_16",
                    "encr-keysize": "256",
                    "bytes-in": "4200000",
                    "packets-in": "4200",
                    "use-in": "1",
                    "bytes-out": "77000",
                    "packets-out": "77",
                    "use-out": "0",
                    "rekey-time": "3540",
                    "life-time": "3900",
                    "install-time": "60",
                    "local-ts": ["10.1.0.0/16"],
                    "remote-ts": ["10.2.0.0/16"],
                }
            },
        }
    }


def test_sa_that_is_not_established_says_what_is_known(desk: Desk) -> None:
    desk.node.begin()
    _, (event,) = desk.ask("list-sas")
    sa = event["gw"]
    assert isinstance(sa, Mapping)
    assert (sa["state"], sa["local-id"], sa["remote-id"]) == ("CONNECTING", "%any", "%any")
    assert "encr-alg" not in sa
    assert "established" not in sa


@pytest.mark.parametrize(
    ("key", "value", "count"), [("ike", "gw", 1), ("ike", "road", 0), ("ike-id", "2", 0)]
)
def test_list_sas_can_be_narrowed(desk: Desk, key: str, value: str, count: int) -> None:
    _, events = desk.ask("list-sas", **{key: value})
    assert len(events) == count


def test_list_conns_has_what_swanctl_reads(desk: Desk) -> None:
    _, events = desk.ask("list-conns")
    gateway = events[0]["gw"]
    road = events[1]["road"]
    assert isinstance(gateway, Mapping)
    assert isinstance(road, Mapping)
    assert gateway["remote_addrs"] == ["192.0.2.2"]
    assert gateway["local-1"] == {"class": "pre-shared key", "id": "moon"}
    children = gateway["children"]
    assert isinstance(children, Mapping)
    net = children["net"]
    assert isinstance(net, Mapping)
    assert (net["mode"], net["start_action"]) == ("TUNNEL", "trap")
    assert (net["local-ts"], net["remote-ts"]) == (["10.1.0.0/16"], ["10.2.0.0/16"])
    assert road["remote_addrs"] == ["%any"]
    assert road["remote-1"] == {"class": "pre-shared key"}
    roads_children = road["children"]
    assert isinstance(roads_children, Mapping)
    any_child = roads_children["any"]
    assert isinstance(any_child, Mapping)
    assert any_child["remote-ts"] == ["dynamic"]


def test_get_conns_and_policies(desk: Desk) -> None:
    assert desk.ask("get-conns")[0] == {"conns": ["gw", "road"]}
    _, (event,) = desk.ask("list-policies", trap="yes")
    assert event == {
        "gw/net": {
            "child": "net",
            "ike": "gw",
            "mode": "TUNNEL",
            "local-ts": ["10.1.0.0/16"],
            "remote-ts": ["10.2.0.0/16"],
        }
    }
    assert desk.ask("list-policies", drop="yes")[1] == []


def test_version_and_stats(desk: Desk) -> None:
    version, _ = desk.ask("version")
    assert version == {
        "daemon": "perilune",
        "version": "0.1.0",
        "sysname": "Linux",
        "release": "6.1.0",
        "machine": "x86_64",
    }
    stats, _ = desk.ask("stats")
    assert stats is not None
    assert stats["uptime"] == {"running": "3700 seconds", "since": "Nov 21 04:00:00 2026"}
    assert stats["ikesas"] == {"total": "1", "half-open": "0"}


def test_status_shows_only_drops_that_happened(desk: Desk) -> None:
    status, _ = desk.ask("perilune-status")
    assert status is not None
    assert status["drops"] == {"replay": {"text": "The sequence number was seen before.", "packets": "12"}}
    assert status["exchanges"] == {"child_sa_up": "1", "ike_sa_up": "1"}
    assert status["work"] == {"device_reads": "40", "udp_sends": "20"}


def test_initiate_answers_once_the_child_is_up(desk: Desk) -> None:
    assert desk.ask("initiate", child="net") == (None, [])
    assert desk.node.done == [("initiate", "gw", "net")]

    response, (progress,) = desk.happens(IKE_UP)
    assert response is None
    assert progress["ikesa-name"] == "gw"

    response, (progress,) = desk.happens(CHILD_UP)
    assert response == {"success": "yes", "matches": "1", "terminated": "1"}
    assert "net{2}" in str(progress["msg"])


def test_initiate_of_an_ike_sa_alone(desk: Desk) -> None:
    desk.ask("initiate", ike="gw")
    response, _ = desk.happens(IKE_UP)
    assert response is not None
    assert response["success"] == "yes"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (
            [AuthenticationFailed(IKE, True, "wrong key", PATH), IkeSaDown(IKE, DownReason.REFUSED)],
            "wrong key",
        ),
        ([IkeSaDown(IKE, DownReason.UNREACHABLE)], "does not answer"),
        (
            [
                Refused(ike=IKE, what="child net", by_peer=True, notify="TS_UNACCEPTABLE", why=""),
            ],
            "TS_UNACCEPTABLE",
        ),
        (
            [
                Refused(ike=IKE, what="IKE SA", by_peer=True, notify="NO_PROPOSAL_CHOSEN", why="KE differs"),
                IkeSaDown(IKE, DownReason.REFUSED),
            ],
            "KE differs",
        ),
    ],
)
def test_initiate_says_why_it_failed(desk: Desk, events: list[IkeEvent], reason: str) -> None:
    desk.ask("initiate", child="net")
    for event in events[:-1]:
        assert desk.happens(event)[0] is None
    response, _ = desk.happens(events[-1])
    assert response is not None
    assert response["success"] == "no"
    assert reason in str(response["errmsg"])


def test_initiate_outlives_the_end_of_a_redundant_sa(desk: Desk) -> None:
    desk.ask("initiate", child="net")
    assert desk.happens(IkeSaDown(IKE, DownReason.REDUNDANT))[0] is None
    other = IkeName("road", 9, IkeSpi(1), IkeSpi(2))
    assert desk.happens(IkeSaDown(other, DownReason.REFUSED)) == (None, [])
    assert desk.happens(CHILD_UP)[0] is not None


def test_initiate_that_cannot_begin(desk: Desk) -> None:
    desk.node.cannot = "there is no route to 192.0.2.2"
    response, _ = desk.ask("initiate", child="net")
    assert response == {"success": "no", "errmsg": "there is no route to 192.0.2.2"}
    assert desk.happens(CHILD_UP) == (None, [])


def test_command_ends_when_its_time_is_over(desk: Desk) -> None:
    desk.ask("initiate", child="net", timeout="2500")
    due = NOW + Duration.milliseconds(2500)
    assert desk.operations.next_timeout() == due
    desk.operations.handle_timeout(due)
    response, _ = desk.answers()
    assert response is not None
    assert (response["success"], response["timed-out"]) == ("no", "yes")
    assert desk.operations.next_timeout() is None


@pytest.mark.parametrize("timeout", ["0", "-1", ""])
def test_command_may_take_its_time(desk: Desk, timeout: str) -> None:
    desk.ask("initiate", child="net", timeout=timeout)
    assert desk.operations.next_timeout() is None


def test_terminate_waits_for_the_end(desk: Desk) -> None:
    assert desk.ask("terminate", ike="gw")[0] is None
    assert desk.node.done == [("terminate", ChosenSas(ike="gw"))]
    new = IkeName("gw", 3, IkeSpi(1), IkeSpi(2))
    assert IKE_STATUS.suite is not None
    assert desk.happens(IkeSaRekeyed(IKE, new, IKE_STATUS.suite))[0] is None
    response, _ = desk.happens(IkeSaDown(IKE, DownReason.LOCAL))
    assert response is not None
    assert response["terminated"] == "1"


def test_terminate_of_a_child(desk: Desk) -> None:
    assert desk.ask("terminate", child_id="2")[0] is None
    assert desk.node.done == [("terminate", ChosenSas(child_id=2))]
    assert desk.happens(IkeSaDown(IKE, DownReason.LOCAL))[0] is None
    assert desk.happens(ChildSaDown(IKE, CHILD, DownReason.LOCAL))[0] is not None


def test_forced_terminate_does_not_wait(desk: Desk) -> None:
    response, _ = desk.ask("terminate", ike="gw", force="yes")
    assert response is not None
    assert response["terminated"] == "1"
    assert desk.happens(IkeSaDown(IKE, DownReason.LOCAL)) == (None, [])


def test_initiate_of_what_is_up_has_nothing_to_do(desk: Desk) -> None:
    desk.node.cannot = ""
    response, _ = desk.ask("initiate", child="net")
    assert response is not None
    assert response["success"] == "yes"


def test_rekey_counts(desk: Desk) -> None:
    assert desk.ask("rekey", ike="gw")[0] == {"success": "yes", "matches": "1"}
    assert desk.ask("rekey", child="net", ike="gw")[0] == {"success": "yes", "matches": "1"}


@pytest.mark.parametrize(
    ("command", "message", "reason"),
    [
        ("initiate", {}, "name one"),
        (
            "initiate",
            {"child": "nte"},
            "there is no child 'nte' in the configuration (did you mean 'net'?)",
        ),
        (
            "initiate",
            {"ike": "moonbase"},
            "there is no connection 'moonbase' in the configuration; there is 'gw', 'road'",
        ),
        ("initiate", {"ike": "raod", "child": "any"}, "there is no connection 'raod'"),
        ("initiate", {"ike": "raod", "child": "any"}, "(did you mean 'road'?)"),
        (
            "initiate",
            {"ike": "road", "child": "net"},
            "there is no child 'net' of connection 'road' in the configuration; there is 'any'",
        ),
        ("initiate", {"child": "net", "timeout": "soon"}, "timeout of the request is not a number"),
        ("terminate", {}, "which SAs"),
        ("terminate", {"ike": "road"}, "there is no such SA now; there is 'gw'"),
        ("terminate", {"ike": "gww"}, "there is no such SA now (did you mean 'gw'?)"),
        ("terminate", {"ike-id": "9" * 40}, "is not a number"),
        ("terminate", {"ike-id": "9"}, "there is no such SA now; there is gw #1"),
        ("terminate", {"child": "net", "ike-id": "5"}, "there is no such SA now; there is net #2"),
        ("rekey", {"child": "nte"}, "there is no such SA now (did you mean 'net'?)"),
        ("rekey", {"child-id": "99"}, "there is no such SA now; there is net #2"),
        ("list-sas", {"ike-id": "x"}, "is not a number"),
    ],
)
def test_wrong_requests_are_refused_in_words(
    desk: Desk, command: str, message: dict[str, str], reason: str
) -> None:
    response, _ = desk.ask(command, **message)
    assert response is not None
    assert response["success"] == "no"
    assert reason in str(response["errmsg"])


def test_wrong_name_where_nothing_is_up(desk: Desk) -> None:
    desk.node.become_empty()
    response, _ = desk.ask("terminate", ike="gw")
    assert response == {"success": "no", "errmsg": "there is no such SA now, nor any other"}


def test_reload_and_stop(desk: Desk) -> None:
    assert desk.ask("reload-settings")[0] == {"success": "yes"}
    assert desk.ask("perilune-stop")[0] == {"success": "yes"}
    assert desk.node.done == [("reload",), ("stop",)]
    desk.node.wrong = "a.conf:3: connections.gw: unknown key"
    assert desk.ask("reload-settings")[0] == {"success": "no", "errmsg": desk.node.wrong}


def test_news_of_sas() -> None:
    node = ExampleNode()
    name, message = name_of_news(CHILD_UP), news_of(CHILD_UP, node)
    assert name == "child-updown"
    assert message["up"] == "yes"
    assert isinstance(sa := message["gw"], Mapping)
    assert isinstance(children := sa["child-sas"], Mapping)
    assert list(children) == ["net-2"]

    node.become_empty()
    down = IkeSaDown(IKE, DownReason.PEER)
    name, message = name_of_news(down), news_of(down, node)
    assert name == "ike-updown"
    assert "up" not in message
    assert isinstance(sa := message["gw"], Mapping)
    assert sa["initiator-spi"] == "5ad1c0de11223344"
    assert name_of_news(PathWanted("gw", "net")) is None
