"""An SA in VICI's words, with everything of RFC 4301, section 4.4.2.1: the event `perilune-sa`."""

from __future__ import annotations

from perilune.agent.vici.codec import Scalar, Tree
from perilune.databases.processing import Processing
from perilune.databases.sad import Direction, Encapsulation, Lifetime, Limits, SadEntry
from perilune.dataplane.stats import SaStats
from perilune.model.iana import SnId
from perilune.model.spi import format_spi
from perilune.model.time import Instant


def describe_sad_entry(entry: SadEntry, policy: str, stats: SaStats | None, now: Instant) -> Tree:
    """Return what is known of an SA.

    Args:
        entry: The SA.
        policy: Name of its SPD entry.
        stats: What it carried; None where the data plane has it no more.
        now: The time.
    """
    tree: Tree = {
        "policy": policy,
        "direction": entry.direction.value,
        "spi": format_spi(entry.spi),
        "peer-spi": format_spi(entry.peer_spi),
        "state": _state(stats),
        "protocol": entry.protocol.name,
        "mode": entry.processing.mode.value,
        "local": str(entry.path.local.address),
        "remote": str(entry.path.remote.address),
        "encap": entry.encapsulation.value,
        "suite": str(entry.suite),
        "allow-insecure": _yes(entry.allow_insecure),
        "esn": _yes(entry.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64),
        "lookup": entry.lookup.value,
        "local-ts": _texts(entry.local),
        "remote-ts": _texts(entry.remote),
    }
    if entry.encapsulation is Encapsulation.UDP:
        tree |= {"local-port": str(entry.path.local.port), "remote-port": str(entry.path.remote.port)}
    if entry.direction is Direction.INBOUND:
        tree["replay-window"] = str(entry.replay_window_packets)
    else:
        tree["sequence-overflow"] = "cycle" if entry.sequence.cycles else "stop"
        tree["path-mtu-age"] = str(round(entry.processing.path_mtu_age.in_seconds))
    if entry.within is not None:
        tree["within"] = format_spi(entry.within.spi)
    return tree | _form(entry.processing) | _limits(entry.lifetime) | _used(stats, now)


def _state(stats: SaStats | None) -> str:
    if stats is None or stats.is_expired:
        return "ended"
    return "installed" if stats.is_ready else "waits for its peer"


def _form(form: Processing) -> Tree:
    tree: Tree = {
        "df": form.df.value,
        "dscp": "copy" if form.dscp is None else str(form.dscp),
        "hop-limit": str(form.hop_limit),
        "flow-label": str(form.flow_label),
        "fragmentation": form.fragmentation.value,
    }
    if form.tfc is not None:
        tree["tfc-padding"] = str(form.tfc) if isinstance(form.tfc, int) else form.tfc.value
    if form.compression is not None:
        tree["compression"] = f"DEFLATE, CPI {form.compression:#06x}"
    if form.dummies:
        tree["dummy-rate"] = str(form.dummies)
    if form.path_mtu is not None:
        tree["path-mtu"] = str(form.path_mtu)
    if form.inner is not None:
        tree |= {"inner-local": str(form.inner.local), "inner-remote": str(form.inner.remote)}
    return tree


def _limits(lifetime: Lifetime) -> Tree:
    tree: Tree = {}
    for kind, limits in (("soft", lifetime.soft), ("hard", lifetime.hard)):
        tree |= {f"{kind}-{unit}": text for unit, text in _limit_texts(limits).items()}
    return tree


def _limit_texts(limits: Limits) -> dict[str, str]:
    seconds = round(limits.time.in_seconds) if limits.time is not None else None
    found = {"time": seconds, "bytes": limits.octets, "packets": limits.packets}
    return {unit: str(limit) for unit, limit in found.items() if limit is not None}


def _used(stats: SaStats | None, now: Instant) -> Tree:
    if stats is None:
        return {}
    tree: Tree = {
        "sequence": str(stats.sequence),
        "packets": str(stats.packets),
        "bytes": str(stats.octets),
        "errors": str(stats.errors),
        "age": str(round((now - stats.added).in_seconds)),
    }
    if stats.path_mtu is not None and stats.path_mtu[1] > now:
        learnt, until = stats.path_mtu
        tree |= {"path-mtu": str(learnt), "path-mtu-left": str(round((until - now).in_seconds))}
    if stats.last_used is not None:
        tree["idle"] = str(round((now - stats.last_used).in_seconds))
    return tree


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _texts(selectors: tuple[object, ...]) -> list[Scalar]:
    return [str(selector) for selector in selectors]
