"""SPD entries in so many words: what their packets ask for, and what SAs they get."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from exchanges.insider import Insider
from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, left, right, secret, selectors
from perilune.config.load import load_text
from perilune.databases.conditions import UNCONDITIONAL, Conditions, Masked, Populate
from perilune.databases.pad import StartAction
from perilune.databases.sad import Direction
from perilune.databases.spd import Action, PolicyId, SpdTemplate
from perilune.dataplane.events import Flow
from perilune.ike.events import Refused
from perilune.ike.received import require_selectors
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import NotifyType, PayloadType
from perilune.model.selector import TrafficSelector
from perilune.wire.payloads import NotifyPayload

HTTP = TrafficSelector.of_network(ip_network("10.2.0.0/24"), 6, 80, 90)
ENTRY = SpdTemplate(
    name="web",
    order=5,
    action=Action.PROTECT,
    local=selectors("10.1.0.0/24"),
    remote=(HTTP,),
    connection="left",
    child="net",
)


def flow(destination: str, port: int, *, source: str = "10.1.0.7") -> Flow:
    return Flow(ip_address(source), ip_address(destination), 6, (5000, port))


def pair_with(*templates: SpdTemplate) -> Pair:
    pair = Pair()
    name = left().name
    own = [replace(one, connection=name if one.child else "") for one in templates]
    pair.left.load(left(children=(child(),)), secret(), pair.now, policies=own)
    pair.do(lambda now: None)
    return pair


def policy_id(pair: Pair, name: str) -> PolicyId:
    return next(id_ for id_, entry in pair.left.data_plane.policies.items() if entry.name == name)


def acquire(pair: Pair, name: str, packet: Flow) -> None:
    id_ = policy_id(pair, name)
    pair.do(lambda now: pair.left.endpoint.acquire(id_, packet, now, pair.left.path()))
    pair.settle()


def test_entries_of_the_configuration_are_installed_as_they_are() -> None:
    expedited = Conditions(tos=Masked(0xB8, 0xFC))
    bypass = SpdTemplate(
        name="dns",
        order=3,
        action=Action.BYPASS,
        local=selectors("10.1.0.0/16"),
        remote=selectors("10.9.0.1/32"),
        conditions=expedited,
    )
    pair = pair_with(bypass, ENTRY)
    entries = sorted(pair.left.data_plane.policies.values(), key=lambda entry: entry.priority)
    assert [(one.name, one.priority, one.acquires) for one in entries] == [
        ("dns", 3, False),
        ("web", 5, True),
    ]
    assert entries[0].conditions == expedited


def test_an_sa_carries_what_its_entry_selects() -> None:
    pair = pair_with(ENTRY)
    acquire(pair, "web", flow("10.2.0.9", 80))
    assert (pair.left.child.local, pair.left.child.remote) == (ENTRY.local, ENTRY.remote)
    assert pair.left.child.policy == policy_id(pair, "web")
    pair.check_agreement()


# covers R4301-4.4.1.2-2
def test_populated_selectors_are_the_packets() -> None:
    pair = pair_with(replace(ENTRY, populate=Populate(remote_address=True, remote_port=True)))
    acquire(pair, "web", flow("10.2.0.9", 80))
    acquire(pair, "web", flow("10.2.0.9", 81))
    acquire(pair, "web", flow("10.2.0.10", 80))
    host, other = ip_address("10.2.0.9"), ip_address("10.2.0.10")
    assert sorted(str(one.remote[0]) for one in pair.left.children) == sorted(
        str(TrafficSelector(address, address, 6, port, port))
        for address, port in ((host, 80), (host, 81), (other, 80))
    )
    for found in pair.left.children:
        assert len(found.remote) == 1
        assert found.local == tuple(replace(one, protocol=6) for one in ENTRY.local)
        assert found.policy == policy_id(pair, "web")
    assert {sa.policy for sa in pair.left.sas(Direction.OUTBOUND).values()} == {policy_id(pair, "web")}
    pair.check_agreement()


# covers R4301-4.1-5
# covers R4301-4.4.1.2-6
def test_each_of_two_entries_for_one_child_has_its_own_sa() -> None:
    voice = replace(ENTRY, name="voice", order=4, conditions=Conditions(tos=Masked(0xB8, 0xFC)))
    pair = pair_with(voice, ENTRY)
    acquire(pair, "web", flow("10.2.0.9", 80))
    acquire(pair, "voice", flow("10.2.0.9", 80))
    assert {one.policy for one in pair.left.children} == {policy_id(pair, "web"), policy_id(pair, "voice")}
    pair.check_agreement()


def test_a_successor_serves_the_entry_of_its_predecessor() -> None:
    pair = pair_with(replace(ENTRY, populate=Populate(remote_address=True)))
    acquire(pair, "web", flow("10.2.0.9", 80))
    before = pair.left.child
    pair.do(lambda now: pair.left.endpoint.rekey_child(before.name.id, now))
    pair.settle()
    (after,) = [one for one in pair.left.children if one.name.id != before.name.id]
    assert (after.policy, after.local, after.remote) == (before.policy, before.local, before.remote)


CONFIG = """
connections {{ gw {{
    remote_addrs = 198.51.100.1
    local {{ auth = psk }}
    remote {{ auth = psk }}
    children {{ net {{ local_ts = 10.1.0.0/16
                     remote_ts = 10.2.0.0/16 }} }}
}} }}
policies {{ {policies} }}
secrets {{ ike {{ secret = "a shared secret" }} }}
"""


# covers R4301-4.4.1-8
def test_entries_are_created_ordered_edited_and_deleted_in_the_configuration() -> None:
    pair = Pair()

    def entries(policies: str) -> list[tuple[str, Action, str]]:
        settings = load_text(CONFIG.format(policies=policies))
        pair.left.endpoint.load(settings.connections, settings.secrets, pair.now, policies=settings.policies)
        pair.do(lambda now: None)
        spd = sorted(pair.left.data_plane.policies.values(), key=lambda entry: entry.priority)
        return [(one.name, one.action, str(one.remote[0])) for one in spd if one.name != "gw/net"]

    web = "web {{ action = {}\n order = {}\n remote = 10.2.0.7\n protocol = tcp\n remote_ports = {} }}\n"
    dns = "dns { action = bypass\n order = 20\n remote = 10.9.0.1\n protocol = udp\n remote_ports = 53 }\n"
    bypass, discard = Action.BYPASS, Action.DISCARD
    of_dns = ("dns", bypass, "10.9.0.1/32[udp/53]")
    created = entries(web.format("discard", 10, "80-90") + dns)
    assert created == [("web", discard, "10.2.0.7/32[tcp/80-90]"), of_dns]
    moved = entries(web.format("discard", 30, "80-90") + dns)
    assert moved == [of_dns, ("web", discard, "10.2.0.7/32[tcp/80-90]")]
    edited = entries(web.format("bypass", 30, "443") + dns)
    assert edited == [of_dns, ("web", bypass, "10.2.0.7/32[tcp/443]")]
    assert entries(dns) == [of_dns]
    assert entries("") == []


def test_an_entry_that_goes_from_the_configuration_goes_from_the_data_plane() -> None:
    pair = pair_with(ENTRY)
    pair.left.load(left(children=(child(),)), secret(), pair.now)
    pair.do(lambda now: None)
    assert [entry.name for entry in pair.left.data_plane.policies.values()] == ["gw/net"]


EACH_HOST = replace(
    ENTRY,
    local=selectors("10.2.0.0/24"),
    remote=selectors("10.1.0.0/24"),
    populate=Populate(remote_address=True),
)


def granular_pair(flags: Populate = EACH_HOST.populate) -> Pair:
    """Return a pair whose right side has an SA for each host of the left one, or what else the flags say."""
    pair = Pair()
    mirrored = child(local="10.2.0.0/16", remote="10.1.0.0/16")
    entry = replace(EACH_HOST, connection="gw", populate=flags)
    pair.right.load(right(children=(mirrored,)), secret(), pair.now, policies=[entry])
    pair.do(lambda now: None)
    return pair


def ask_for(pair: Pair, packet: Flow) -> None:
    path = pair.left.path()
    pair.do(lambda now: pair.left.endpoint.initiate("gw", "net", path, now, flow=packet))
    pair.settle()


# covers R4301-4.4.1.2-2
def test_responder_narrows_to_the_packet_that_the_initiator_names_first() -> None:
    pair = granular_pair()
    ask_for(pair, flow("10.2.0.9", 80))
    assert pair.left.child.local == selectors("10.1.0.7/32")
    assert pair.left.child.remote == selectors("10.2.0.0/24")
    ask_for(pair, flow("10.2.0.9", 80, source="10.1.0.8"))
    assert {one.local for one in pair.left.children} == {selectors("10.1.0.7/32"), selectors("10.1.0.8/32")}
    ids = {id_ for id_, entry in pair.right.data_plane.policies.items() if entry.name == "web"}
    assert {one.policy for one in pair.right.children} == ids
    pair.check_agreement()


def test_responder_wants_a_single_pair_where_the_initiator_names_none() -> None:
    pair = granular_pair()
    pair.initiate()
    pair.settle()
    refused = pair.right.take(Refused)
    assert refused.notify == "SINGLE_PAIR_REQUIRED"
    assert refused.hint == "policies.web.pfp"
    assert not pair.left.children


def test_initiator_repeats_a_request_for_the_packet_alone() -> None:
    exporting = EndpointSettings(export_keys=True)
    insider = Insider(Pair(left_settings=exporting))
    side = insider.pair.right
    packet = Flow(ip_address("10.2.0.9"), ip_address("10.1.0.7"), 6, (80, 5000))
    path = side.ike_sa.path
    insider.pair.do(lambda now: side.endpoint.initiate("gw", "net", path, now, flow=packet))
    insider.answer(NotifyPayload(NotifyType.SINGLE_PAIR_REQUIRED))
    _, asked = insider.asked()
    assert require_selectors(asked, PayloadType.TS_I).known[-1:] == selectors("10.2.0.9/32")
    assert require_selectors(asked, PayloadType.TS_R).known[-1:] == selectors("10.1.0.7/32")
    before = len(insider.pair.link.sent)
    insider.answer(NotifyPayload(NotifyType.SINGLE_PAIR_REQUIRED))
    assert len(insider.pair.link.sent) == before, "it is not asked for once more at once"


def test_child_of_ike_auth_is_asked_for_again_for_the_packet_alone() -> None:
    # The packet is a fragment that shows no ports, so that neither request has what the entry wants.
    pair = granular_pair(Populate(remote_port=True))
    ask_for(pair, Flow(ip_address("10.1.0.7"), ip_address("10.2.0.9"), 6, None))
    in_auth, again = pair.left.all(Refused)
    assert in_auth.notify == again.notify == "SINGLE_PAIR_REQUIRED"
    assert "10.1.0.0/16" in in_auth.ours
    assert "10.1.0.7/32 === " in again.ours
    assert not pair.left.children


# covers R4301-4.4.1.1-8
def test_an_sa_serves_the_entry_whose_packet_asked_for_it() -> None:
    """Of two entries with the same selectors, one is about a user of this host."""
    pair = Pair()
    trapped = child(start_action=StartAction.TRAP)
    of_user = SpdTemplate(
        name="alice",
        order=5,
        action=Action.PROTECT,
        local=selectors(LEFT_NET),
        remote=selectors(RIGHT_NET),
        conditions=Conditions(user=1000),
        connection=left().name,
        child="net",
    )
    pair.left.load(left(children=(trapped,)), secret(), pair.now, policies=[of_user])
    pair.do(lambda now: None)
    own = f"{left().name}/net"
    for name in (own, "alice", own):
        acquire(pair, name, flow("10.2.0.9", 80))
        latest = list(pair.left.data_plane.sas.values())[-1]
        assert pair.left.data_plane.policies[latest.policy].name == name
    sas = pair.left.data_plane.sas.values()
    assert len({sa.policy for sa in sas}) == 2
    others = pair.right.data_plane.policies.values()
    assert {one.conditions for one in others} == {UNCONDITIONAL}, "nobody told the peer of users"
