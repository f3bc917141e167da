"""What the audit log says of events."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from perilune.agent.audit.record import AuditRecord
from perilune.agent.audit.trail import Trail, of_ike_event
from perilune.databases.changes import AddPolicy, AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction, Encapsulation, EspKeys, SadEntry
from perilune.databases.spd import Action, SpdEntry
from perilune.dataplane.events import Audit, HardExpire, Limit, SequenceExhausted
from perilune.ike.events import AuthenticationFailed, IkeSaUp, MessageSent
from perilune.ike.nat import Nat
from perilune.model.address import Endpoint, Path
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.identity import Identity
from perilune.model.proposal import Encryption, EspSuite
from perilune.model.secret import Secret
from support.nodes import CHILD_STATUS, IKE, IKE_STATUS, NOW, PATH, POLICY, SPI_IN, SPI_OUT, network

ENTRY = SpdEntry(
    id=POLICY,
    name="gw/net",
    priority=200_129,
    action=Action.PROTECT,
    local=(network("10.1.0.0/16"),),
    remote=(network("10.2.0.0/16"),),
)
SA = SadEntry(
    spi=SPI_IN,
    direction=Direction.INBOUND,
    policy=POLICY,
    path=PATH,
    encapsulation=Encapsulation.UDP,
    suite=CHILD_STATUS.suite,
    keys=EspKeys(Secret(b"k" * 36)),
    local=ENTRY.local,
    remote=ENTRY.remote,
    peer_spi=SPI_OUT,
)


def records(*changes: Change) -> list[AuditRecord]:
    return list(Trail().of_changes(changes))


def test_sa_names_its_policy_and_ends() -> None:
    added, sa = records(AddPolicy(ENTRY), AddSa(SA))
    assert (added.event, added.fields["action"], added.fields["remote_ts"]) == (
        "policy_added",
        "protect",
        ["10.2.0.0/16"],
    )
    assert sa.event == "sa_added"
    assert sa.fields == {
        "direction": "inbound",
        "spi": "0xc0ffee01",
        "local": "192.0.2.1",
        "remote": "192.0.2.2",
        "suite": "AES_GCM_16-256",
        "encapsulation": "udp",
        "local_ts": ["10.1.0.0/16"],
        "remote_ts": ["10.2.0.0/16"],
        "policy": "gw/net",
    }
    assert "kkk" not in repr(sa)


def test_end_of_an_sa_and_of_a_policy() -> None:
    moved = Path(PATH.local, Endpoint(ip_address("192.0.2.77"), 4500))
    changes = (
        AddPolicy(ENTRY),
        MoveSa(Direction.OUTBOUND, SPI_OUT, PATH, moved),
        RemoveSa(Direction.OUTBOUND, SPI_OUT, moved),
        RemovePolicy(POLICY),
    )
    _, move, removal, policy = records(*changes)
    assert (move.event, move.fields["old_remote"], move.fields["remote"]) == (
        "sa_moved",
        "192.0.2.2",
        "192.0.2.77",
    )
    assert (removal.event, removal.fields["spi"]) == ("sa_removed", "0xc0ffee02")
    assert (policy.event, policy.fields) == ("policy_removed", {"policy": "gw/net"})


# covers R4301-4.2-1
def test_sa_without_integrity_is_told_to_be_insecure() -> None:
    cbc = EspSuite(Encryption(EncrId.ENCR_AES_CBC, 256), IntegId.NONE, SnId.SEQUENTIAL_32)
    naked = replace(SA, suite=cbc, keys=EspKeys(Secret(b"k" * 32)))
    assert [record.event for record in records(AddSa(naked))] == ["sa_added", "insecure_sa"]
    sound = replace(cbc, integrity=IntegId.AUTH_HMAC_SHA2_256_128)
    protected = replace(SA, suite=sound, keys=EspKeys(Secret(b"k" * 32), Secret(b"i" * 32)))
    assert [record.event for record in records(AddSa(protected))] == ["sa_added"]


def test_sa_of_an_algorithm_for_old_peers_is_told_to_be_insecure() -> None:
    des = EspSuite(Encryption(EncrId.ENCR_DES, 64), IntegId.AUTH_HMAC_SHA1_96, SnId.SEQUENTIAL_32)
    old = replace(SA, suite=des, allow_insecure=True, keys=EspKeys(Secret(b"k" * 8), Secret(b"i" * 20)))
    assert [record.event for record in records(AddSa(old))] == ["sa_added", "insecure_sa"]


def test_packet_has_what_the_standards_want() -> None:
    event = Audit(
        reason="replayed",
        time=NOW,
        spi=SPI_IN,
        source=ip_address("2001:db8::2"),
        destination=ip_address("2001:db8::1"),
        sequence=4711,
        flow_label=0xBEEF,
    )
    record = Trail().of_data_plane(event)
    assert (record.event, record.fields) == (
        "packet_dropped",
        {
            "reason": "replayed",
            "spi": "0xc0ffee01",
            "source": "2001:db8::2",
            "destination": "2001:db8::1",
            "sequence": 4711,
            "flow_label": 0xBEEF,
        },
    )
    bare = Trail().of_data_plane(replace(event, spi=None, sequence=None, flow_label=None))
    assert set(bare.fields) == {"reason", "source", "destination"}


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (HardExpire(Direction.INBOUND, SPI_IN, SPI_OUT, POLICY, Limit.OCTETS), "sa_expired"),
        (SequenceExhausted(SPI_OUT, SPI_IN, POLICY), "sequence_exhausted"),
    ],
)
def test_end_that_the_data_plane_made(event: HardExpire | SequenceExhausted, name: str) -> None:
    trail = Trail()
    list(trail.of_changes([AddPolicy(ENTRY)]))
    record = trail.of_data_plane(event)
    assert (record.event, record.fields["policy"]) == (name, "gw/net")


def test_failed_authentication_has_addresses_and_reason() -> None:
    record = of_ike_event(AuthenticationFailed(IKE, False, "AUTH does not fit", PATH))
    assert record is not None
    assert record.event == "authentication_failed"
    assert record.fields["remote"] == str(PATH.remote)
    assert record.fields["by_peer"] is False
    assert "AUTH does not fit" in str(record.fields["text"])
    assert record.fields["spi_i"] == "5ad1c0de11223344"


def test_ike_sa_has_identities_and_messages_are_not_audited() -> None:
    suite = IKE_STATUS.suite
    assert suite is not None
    up = IkeSaUp(IKE, Identity.parse("moon"), Identity.parse("sun"), suite, PATH, Nat(), "PSK", "nothing")
    record = of_ike_event(up)
    assert record is not None
    assert (record.event, record.fields["remote_id"]) == ("ike_sa_up", "sun")
    assert (record.fields["local_auth"], record.fields["remote_auth"]) == ("PSK", "nothing")
    assert of_ike_event(MessageSent(IKE, 34, False, 0, (33,), 300)) is None
