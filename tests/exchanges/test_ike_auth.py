"""IKE_SA_INIT and IKE_AUTH with a pre-shared key: four messages to an IKE SA and a Child SA."""

from __future__ import annotations

from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, selectors
from perilune.databases.sad import Direction, Encapsulation
from perilune.ike.events import ChildSaUp, IkeSaUp
from perilune.model.identity import Identity


def test_four_messages_set_up_an_ike_sa_and_a_child() -> None:
    pair = Pair()
    pair.initiate()
    pair.settle()

    assert len(pair.link.sent) == 4
    up = pair.left.take(IkeSaUp)
    assert (up.local_id, up.remote_id) == (Identity.parse("left.example"), Identity.parse("right.example"))
    child = pair.left.take(ChildSaUp)
    assert child.local == selectors(LEFT_NET)
    assert child.remote == selectors(RIGHT_NET)
    assert child.encapsulation is Encapsulation.NONE
    assert pair.right.has(IkeSaUp)
    assert pair.right.take(ChildSaUp).local == selectors(RIGHT_NET)
    pair.check_agreement()
    assert len(pair.left.sas(Direction.INBOUND)) == 1
    assert len(pair.left.sas(Direction.OUTBOUND)) == 1
