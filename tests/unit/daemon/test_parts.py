"""What the parts of the daemon make of its settings."""

from __future__ import annotations

import pytest

from perilune.config.settings import DaemonSettings, Unmatched
from perilune.daemon.parts import fixed_part, last_entry, route_settings, runtime_settings
from perilune.databases.spd import Action
from perilune.dataplane.placement import Wire

WIRE = Wire("eth1", "eth2")


def test_in_the_wire_the_spd_ends_with_what_passes() -> None:
    last = last_entry(DaemonSettings(wire=WIRE))
    assert last is not None
    assert (last.action, last.acquires) == (Action.BYPASS, False)
    assert {selector.version for selector in last.local} == {4, 6}
    assert {selector.networks[0].prefixlen for selector in (*last.local, *last.remote)} == {0}


@pytest.mark.parametrize("daemon", [DaemonSettings(), DaemonSettings(wire=WIRE, unmatched=Unmatched.DISCARD)])
def test_otherwise_it_discards_what_nothing_selects(daemon: DaemonSettings) -> None:
    assert last_entry(daemon) is None


def test_there_are_no_routes_into_a_wire() -> None:
    assert route_settings(DaemonSettings(wire=WIRE), "eth1") is None
    assert route_settings(DaemonSettings(), "perilune0") is not None
    assert runtime_settings(DaemonSettings(wire=WIRE)).wire == WIRE


def test_the_placement_is_fixed_while_the_daemon_runs() -> None:
    kinds = [
        DaemonSettings(),
        DaemonSettings(wire=WIRE),
        DaemonSettings(wire=WIRE, unmatched=Unmatched.DISCARD),
        DaemonSettings(icmp_unprotected=()),
        DaemonSettings(icmp_protected=()),
        DaemonSettings(least_path_mtu=1000),
        DaemonSettings(workers=3),
    ]
    assert len({fixed_part(daemon) for daemon in kinds}) == len(kinds)
