"""Whatever the link does, both sides agree in the end on what lives, and nothing lives unauthenticated."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, left, right
from exchanges.weather import RandomFault, Weather
from perilune.databases.changes import AddSa
from perilune.databases.pad import StartAction
from perilune.databases.sad import Lifetime, Limits
from perilune.ike.events import IkeSaRekeyed, IkeSaUp
from perilune.ike.settings import EndpointSettings
from perilune.model.time import Duration

WEATHERS = [
    Weather(loss=20),
    Weather(duplicates=50),
    Weather(reordering=50, duplicates=20),
    Weather(damage=10),
    Weather(loss=15, duplicates=15, reordering=15, damage=5),
]
SHORT = {
    "lifetime": Lifetime(soft=Limits(time=Duration.seconds(90)), hard=Limits(time=Duration.seconds(150))),
    "rand_time": Duration.seconds(3),
}
AGES = {
    "rekey_time": Duration.seconds(200),
    "over_time": Duration.seconds(100),
    "rand_time": Duration.seconds(3),
    "dpd_delay": Duration.seconds(30),
    "keyingtries": 0,
}


def stormy_pair(weather: Weather, seed: int) -> Pair:
    """Both sides start, rekey and probe on their own, often at nearly the same time."""
    settings = EndpointSettings(fragment_octets=300)
    start = StartAction.START
    pair = Pair(
        left_entry=left(children=(child(start_action=start, **SHORT),), **AGES),
        right_entry=right(
            children=(child(local=RIGHT_NET, remote=LEFT_NET, start_action=start, **SHORT),), **AGES
        ),
        left_settings=settings,
        right_settings=settings,
        seed=seed,
    )
    pair.link.add_fault(RandomFault(weather, seed))
    return pair


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_both_sides_agree_in_the_end(weather: Weather, seed: int) -> None:
    pair = stormy_pair(weather, seed)
    authenticated: set[str] = set()

    def no_child_before_authentication() -> None:
        for side in pair.sides:
            added = any(isinstance(c, AddSa) for _, batch in side.data_plane.transactions for c in batch)
            if side.has(IkeSaUp):
                authenticated.add(str(side.address))
            assert not added or str(side.address) in authenticated

    pair.watch(no_child_before_authentication)
    pair.run(Duration.seconds(1500))
    pair.link.mend()
    # Long enough for every retransmission and every liveness check to come to its end.
    pair.run(Duration.seconds(700))
    pair.run_until(lambda: _is_calm(pair))

    assert pair.left.has(IkeSaRekeyed) or pair.right.has(IkeSaRekeyed)
    assert pair.left.children
    assert pair.right.children
    pair.check_agreement()


def _is_calm(pair: Pair) -> bool:
    """Whether nothing is under way: no lingering SA, no IKE SA but established ones."""
    for side in pair.sides:
        if len(side.data_plane.sas) != 2 * len(side.children):
            return False
        if any(ike.state.value != "established" for ike in side.ike_sas):
            return False
    return pair.link.next_arrival() is None and len(pair.left.ike_sas) == len(pair.right.ike_sas)


@pytest.mark.parametrize("seed", range(4))
def test_same_seed_gives_the_same_run(seed: int) -> None:
    runs = []
    for _ in range(2):
        pair = stormy_pair(WEATHERS[-1], seed)
        pair.run(Duration.seconds(300))
        runs.append([(d.source, d.data) for d in pair.link.sent])
    assert runs[0] == runs[1]
