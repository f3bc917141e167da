"""Which gateway is asked for which destinations, and what it has to prove (RFC 4301, section 4.5.3)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exchanges.pair import Pair
from exchanges.settings import RIGHT, child, host, right
from perilune.config.load import load_text
from perilune.dataplane.events import Flow
from perilune.ike.events import IkeSaDown, PathWanted

CONFIG = """
connections {{
    gw {{
        remote_addrs = {near}
        local {{ auth = psk
                id = left.example }}
        remote {{ auth = psk
                 id = right.example }}
        children {{ net {{ local_ts = 10.1.0.0/16
                         remote_ts = 10.2.0.0/16, 10.4.0.0-10.5.255.255
                         start_action = trap }} }}
    }}
    far {{
        remote_addrs = 203.0.113.1, 203.0.113.2
        local {{ auth = psk
                id = left.example }}
        remote {{ auth = psk
                 id = far.example }}
        children {{ net {{ local_ts = 10.1.0.0/16
                         remote_ts = 10.3.0.0/16
                         start_action = trap }} }}
    }}
}}
secrets {{
    ike-near {{ id = right.example
               secret = "{secret}" }}
    ike-far {{ id = far.example
              secret = "of the other" }}
}}
"""


def pair_with(secret: str) -> Pair:
    pair = Pair(right_entry=right(children=(child(local="10.2.0.0/16 10.4.0.0/15", remote="10.1.0.0/16"),)))
    settings = load_text(CONFIG.format(near=RIGHT, secret=secret))
    pair.left.endpoint.load(settings.connections, settings.secrets, pair.now)
    pair.do(lambda now: None)
    return pair


def send(pair: Pair, destination: str) -> None:
    """Let the data plane ask for an SA for the first packet to a destination."""
    flow = Flow(ip_address("10.1.0.7"), ip_address(destination), 17, (1024, 53))
    (entry,) = (
        one
        for one in pair.left.data_plane.policies.values()
        if any(selector.contains_address(flow.destination) for selector in one.remote)
    )
    pair.left.obeys_wishes = False
    pair.do(lambda now: pair.left.endpoint.acquire(entry.id, flow, now))


# covers R4301-4.5.3-1
@pytest.mark.parametrize(
    ("destination", "connection", "gateways"),
    [
        ("10.2.0.9", "gw", (RIGHT,)),
        ("10.5.7.1", "gw", (RIGHT,)),
        ("10.3.0.9", "far", ("203.0.113.1", "203.0.113.2")),
    ],
)
def test_each_range_of_destinations_has_its_gateways(
    destination: str, connection: str, gateways: tuple[str, ...]
) -> None:
    pair = pair_with("a shared secret")
    send(pair, destination)
    assert pair.left.take(PathWanted).connection == connection
    (entry,) = (
        one for one in load_text(CONFIG.format(near=RIGHT, secret="s")).connections if one.name == connection
    )
    assert entry.remote_addrs == tuple(one for address in gateways for one in host(address))


# covers R4301-4.5.3-1
@pytest.mark.parametrize(("secret", "is_up"), [("a shared secret", True), ("of somebody else", False)])
def test_a_gateway_has_to_prove_that_it_is_the_one(secret: str, is_up: bool) -> None:
    pair = pair_with(secret)
    pair.do(lambda now: pair.left.endpoint.initiate("gw", "net", pair.left.path(), now))
    pair.settle()
    assert bool(pair.left.children) == is_up
    assert pair.left.has(IkeSaDown) != is_up
