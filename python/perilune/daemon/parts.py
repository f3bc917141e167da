"""The daemon's settings as each of its parts wants them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from perilune.agent.node import NodeFacts
from perilune.config.settings import DaemonSettings, Unmatched
from perilune.databases.spd import LAST_ENTRY, LAST_PRIORITY, Action, SpdEntry
from perilune.dataplane.icmp import IcmpControls
from perilune.dataplane.runtime import RuntimeSettings
from perilune.ike.settings import EndpointSettings
from perilune.ike.timers import IkeTimers
from perilune.model.selector import everything
from perilune.shell.boundary_rules import BoundarySettings
from perilune.shell.clock import MonotonicClock
from perilune.shell.route_table import RouteSettings


def endpoint_settings(daemon: DaemonSettings) -> EndpointSettings:
    """Return IKE's part of the daemon's settings."""
    timers = IkeTimers(
        retransmit_first=daemon.retransmit_timeout,
        retransmit_base=daemon.retransmit_base,
        retransmit_tries=daemon.retransmit_tries,
        retransmit_limit=daemon.retransmit_limit,
        keepalive=daemon.keep_alive,
    )
    return EndpointSettings(
        timers=timers,
        cookie_threshold=daemon.half_open_cookie_threshold,
        nat_t_port=daemon.port_nat_t,
        export_keys=daemon.keylog is not None,
        policies_stand=daemon.enforce_policy is not False,
    )


def runtime_settings(daemon: DaemonSettings) -> RuntimeSettings:
    """Return the data plane's part of the daemon's settings."""
    return RuntimeSettings(
        tun_name=daemon.tun,
        wire=daemon.wire,
        ike_port=daemon.port,
        nat_t_port=daemon.port_nat_t,
        workers=daemon.workers,
        mark=daemon.fwmark or None,
        icmp=IcmpControls(accepted=daemon.icmp_unprotected, least_path_mtu=daemon.least_path_mtu),
    )


def last_entry(daemon: DaemonSettings) -> SpdEntry | None:
    """Return the entry that selects what no other does; None is the SPD's own way, to discard it.

    A TUN device gets only what is routed into it, so there the SPD's way is right (RFC 4301, section 5).
    """
    if daemon.wire is None or daemon.unmatched is Unmatched.DISCARD:
        return None
    everyone = (everything(4), everything(6))
    return SpdEntry(
        id=LAST_ENTRY,
        name="unmatched",
        priority=LAST_PRIORITY,
        action=Action.BYPASS,
        local=everyone,
        remote=everyone,
        acquires=False,
    )


def route_settings(daemon: DaemonSettings, device: str) -> RouteSettings | None:
    """Return the routes' part of the daemon's settings; None if there is no device to lay routes into."""
    if daemon.wire is not None:
        return None
    return RouteSettings(
        device=device,
        mtu=daemon.mtu,
        table=daemon.routing_table,
        priority=daemon.routing_table_prio,
        mark=daemon.fwmark,
        is_routing=daemon.install_routes,
    )


def boundary_settings(daemon: DaemonSettings, device: str) -> BoundarySettings | None:
    """Return what the boundary lets pass in any case; None where the engine sees every packet."""
    if daemon.wire is not None:
        return None
    return BoundarySettings(
        device=device,
        ports=(daemon.port, daemon.port_nat_t),
        mark=daemon.fwmark,
        icmp=daemon.icmp_protected,
    )


def node_facts(clock: MonotonicClock) -> NodeFacts:
    """Return what this host and this package are."""
    system = os.uname()
    try:
        package = version("perilune")
    except PackageNotFoundError:
        package = "not installed"
    return NodeFacts(
        version=package,
        sysname=system.sysname,
        release=system.release,
        machine=system.machine,
        started_at=clock.now(),
        started_text=datetime.now(UTC).astimezone().strftime("%b %d %H:%M:%S %Y"),
    )


def fixed_part(daemon: DaemonSettings) -> tuple[object, ...]:
    """Return what a running daemon cannot change."""
    parts = (endpoint_settings(daemon), runtime_settings(daemon), route_settings(daemon, ""))
    files = (daemon.vici, daemon.sequence_file, daemon.audit_log)
    return (
        *parts,
        last_entry(daemon),
        daemon.enforce_policy,
        daemon.icmp_protected,
        *files,
        daemon.audit_log_octets,
    )
