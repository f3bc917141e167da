"""Children in every mode between two daemons, and ICMP through each: what the SAs say that they carried."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.topology import OUTER6_A, OUTER6_B, Sites, host, outer, two_sites
from lab.traffic import ping

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
]


@dataclass(frozen=True, slots=True)
class Case:
    """A child, by the number of its connection and network, and what becomes of it."""

    network: int
    keys: str
    protocol: str = "ESP"
    mode: str = "tunnel"
    compression: str = "none"


NETWORKS = 6
CASES = {
    "padded": Case(0, "esp_proposals = aes256gcm16\ntfc_padding = mtu"),
    "packed": Case(1, "esp_proposals = aes256gcm16\nipcomp = yes", compression="IPComp"),
    "authentic": Case(2, "ah_proposals = sha256-esn", protocol="AH"),
    "bound": Case(3, "esp_proposals = aes256gcm16\nmode = beet", mode="beet"),
    "ends": Case(4, "esp_proposals = aes256gcm16\nmode = transport", mode="transport"),
    "authentic-ends": Case(5, "ah_proposals = sha256\nmode = transport", protocol="AH", mode="transport"),
}
SIX = "six"
"""As `ends`, between the IPv6 addresses of the gateways."""


def selectors(case: Case, site: int) -> str:
    """Return what stands for one site in traffic selectors: nothing where it is the end of the IKE SA."""
    if case.mode == "transport":
        return "dynamic"
    return host(site, case.network) if case.mode == "beet" else f"10.{site}.{case.network}.0/24"


def connection(name: str, ends: tuple[str, str], site: int, keys: str) -> str:
    return f"""
  {name} {{
    local_addrs = {ends[0]}
    remote_addrs = {ends[1]}
    local {{
      auth = psk
      id = site-{site}
    }}
    remote {{
      auth = psk
      id = site-{3 - site}
    }}
    children {{
      {name} {{
        {keys}
      }}
    }}
  }}"""


def config(site: int) -> str:
    parts: list[str] = []
    for name, case in CASES.items():
        ends = outer(site, case.network), outer(3 - site, case.network)
        traffic = f"local_ts = {selectors(case, site)}\nremote_ts = {selectors(case, 3 - site)}"
        parts.append(connection(name, ends, site, f"{case.keys}\n{traffic}"))
    six = (OUTER6_A, OUTER6_B) if site == 1 else (OUTER6_B, OUTER6_A)
    parts.append(connection(SIX, six, site, CASES["ends"].keys))
    return f"connections {{{''.join(parts)}\n}}\nsecrets {{\n  ike {{\n    secret = to the moon\n  }}\n}}\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both daemons and what is around them."""

    sites: Sites
    a: Perilune
    b: Perilune

    def check_carried(self, source: Namespace, target: str, name: str, protocol: str, mode: str) -> None:
        """Send three packets, and look for them and their answers in the counters of both ends."""
        self.a.initiate(name)
        assert ping(source, target, count=3) == 3
        for daemon in (self.a, self.b):
            (child,) = daemon.child_sas(name)
            fields = child.fields
            assert (fields["protocol"], fields["mode"]) == (protocol, mode.upper())
            assert min(int(fields["packets-in"]), int(fields["packets-out"])) >= 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("modes")
    with two_sites(networks=NETWORKS) as sites:
        a = Perilune(sites.gateway_a, directory / "a", config(1))
        b = Perilune(sites.gateway_b, directory / "b", config(2))
        try:
            with b, a:
                yield Pair(sites, a, b)
        finally:
            for log in sorted(directory.glob("[ab]/log")):
                print(f"--- {log.parent.name}\n{log.read_text()[-8000:]}")  # noqa: T201 - shown if it fails


@pytest.mark.parametrize("name", CASES)
def test_packets_pass(pair: Pair, name: str) -> None:
    case = CASES[name]
    at_ends = case.mode == "transport"
    source = pair.sites.gateway_a if at_ends else pair.sites.host_a
    target = outer(2, case.network) if at_ends else host(2, case.network)
    pair.check_carried(source, target, name, case.protocol, case.mode)


def test_transport_mode_of_ipv6(pair: Pair) -> None:
    pair.check_carried(pair.sites.gateway_a, OUTER6_B, SIX, "ESP", "transport")


def test_users_see_the_form_of_each_child(pair: Pair) -> None:
    pair.a.initiate("packed")
    pair.a.initiate("authentic-ends")
    done = pair.a.command("status", "--json")
    assert done.returncode == 0, done.stderr
    children = [one for ike_sa in json.loads(done.stdout)["ike_sas"] for one in ike_sa["children"]]
    forms = {one["name"]: (one["protocol"], one["mode"], one["compression"]) for one in children}
    for name in ("packed", "authentic-ends"):
        case = CASES[name]
        assert forms[name] == (case.protocol, case.mode, case.compression)
