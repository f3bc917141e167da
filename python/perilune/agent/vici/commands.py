"""The commands of VICI that this node knows.

Names and fields are strongSwan's, so that swanctl works. Those that begin with `perilune-` are ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from perilune.agent.node import LONGEST_WAIT, ChosenSas, Node
from perilune.agent.vici.codec import Tree
from perilune.agent.vici.describe import (
    describe_connection,
    describe_ike_sa,
    describe_policy,
    describe_policy_traffic,
)
from perilune.agent.vici.describe_sad import describe_sad_entry
from perilune.agent.vici.describe_spd import describe_piece, describe_spd_entry
from perilune.agent.vici.operations import Deletion, Done, Operation, Operations, SetUp, settle
from perilune.agent.vici.session import Call, Handler
from perilune.agent.vici.wrong_names import no_such_connection, no_such_sa
from perilune.databases.decorrelation import decorrelated
from perilune.databases.spd import Action, PolicyId
from perilune.dataplane.stats import SaStats
from perilune.model.errors import LocalError
from perilune.model.spi import Spi
from perilune.model.time import Duration, Instant

EVENTS = frozenset(
    {
        "child-rekey",
        "child-updown",
        "control-log",
        "ike-rekey",
        "ike-updown",
        "list-conn",
        "list-policy",
        "list-sa",
        "log",
        "perilune-policy",
        "perilune-sa",
    }
)
"""Events that a client may register for."""


class Commands:
    """Carries out commands on a node.

    Args:
        node: The node.
        operations: Where commands wait that take their time.
    """

    def __init__(self, node: Node, operations: Operations) -> None:
        self._node = node
        self._operations = operations

    @property
    def table(self) -> Mapping[str, Handler]:
        """What to do for each command."""
        return {
            "get-conns": self._get_conns,
            "initiate": self._initiate,
            "list-conns": self._list_conns,
            "list-policies": self._list_policies,
            "list-sas": self._list_sas,
            "perilune-audit": self._perilune_audit,
            "perilune-policies": self._perilune_policies,
            "perilune-sa-add": self._perilune_sa_add,
            "perilune-sa-del": self._perilune_sa_del,
            "perilune-sa-list": self._perilune_sa_list,
            "perilune-status": self._perilune_status,
            "perilune-stop": self._perilune_stop,
            "rekey": self._rekey,
            "reload-settings": self._reload_settings,
            "stats": self._stats,
            "terminate": self._terminate,
            "version": self._version,
        }

    def _version(self, call: Call) -> None:
        facts = self._node.facts
        call.answer(
            {
                "daemon": "perilune",
                "version": facts.version,
                "sysname": facts.sysname,
                "release": facts.release,
                "machine": facts.machine,
            }
        )

    def _stats(self, call: Call) -> None:
        status = self._node.status()
        workers: Tree = {"total": "1", "idle": "1", "active": _priorities()}
        call.answer(
            {
                "uptime": {"running": f"{self._running_s()} seconds", "since": self._node.facts.started_text},
                "workers": workers,
                "queues": _priorities(),
                "scheduled": "0",
                "ikesas": {"total": str(len(status.ike_sas)), "half-open": str(status.half_open)},
                "plugins": [],
            }
        )

    def _get_conns(self, call: Call) -> None:
        call.answer({"conns": [connection.name for connection in self._node.connections]})

    def _list_conns(self, call: Call) -> None:
        wanted = _text(call.request, "ike")
        for connection in self._node.connections:
            if wanted in {None, connection.name}:
                call.event("list-conn", {connection.name: describe_connection(connection)})
        call.answer()

    def _list_sas(self, call: Call) -> None:
        wanted, wanted_id = _text(call.request, "ike"), _number(call.request, "ike-id")
        counters = {(sa.direction, sa.spi): sa for sa in self._node.stats().sas}
        for sa in self._node.status().ike_sas:
            if wanted in {None, sa.name.connection} and wanted_id in {None, sa.name.id}:
                name = sa.name.connection or "(unnamed)"
                call.event("list-sa", {name: describe_ike_sa(sa, self._node, counters)})
        call.answer()

    def _list_policies(self, call: Call) -> None:
        wanted = {action for key, action in _POLICY_KINDS.items() if call.request.get(key) == "yes"}
        child = _text(call.request, "child")
        for policy in self._node.policies:
            is_child = child in {None, policy.name.rpartition("/")[2]}
            if is_child and (not wanted or policy.action in wanted):
                call.event("list-policy", {policy.name: describe_policy(policy)})
        call.answer()

    def _initiate(self, call: Call) -> None:
        child, ike = _text(call.request, "child"), _text(call.request, "ike")
        connection = self._connection_of(ike, child)
        what = f"the set-up of {f'child {child}' if child else f'IKE SA {connection}'}"
        self._wait_for(call, SetUp(connection, child), what, 1)
        self._node.initiate(connection, child, lambda failure: settle(call, 1, failure))

    def _connection_of(self, ike: str | None, child: str | None) -> str:
        """Return the connection that a request means."""
        if ike is None and child is None:
            raise LocalError("which child or IKE SA is meant? name one")
        owners = [
            connection.name
            for connection in self._node.connections
            if ike in {None, connection.name} and (child is None or connection.child(child) is not None)
        ]
        if not owners:
            raise no_such_connection(self._node.connections, ike, child)
        if len(owners) > 1:
            names = ", ".join(owners)
            raise LocalError(f"connections {names} each have a child '{child}'; name the connection too")
        return owners[0]

    def _terminate(self, call: Call) -> None:
        chosen = _chosen(call.request)
        ike_ids, child_ids = self._ids(chosen)
        count = len(ike_ids) + len(child_ids)
        done = Deletion(ike_ids, child_ids)
        self._wait_for(call, done, "the deletion", count)
        self._node.terminate(chosen)
        if call.request.get("force") == "yes":
            settle(call, count, "")

    def _rekey(self, call: Call) -> None:
        chosen = _chosen(call.request)
        self._ids(chosen)
        call.answer({"success": "yes", "matches": str(self._node.rekey(chosen))})

    def _ids(self, chosen: ChosenSas) -> tuple[list[int], list[int]]:
        """Return the ids of the IKE SAs and of the children that a request means; one of them is empty."""
        if chosen == ChosenSas():
            raise LocalError("which SAs are meant? name an IKE SA or a child, or give its number")
        status = self._node.status()
        ike_ids = [name.id for name in chosen.ike_sas(status)]
        child_ids = [name.id for name in chosen.children(status)]
        if not ike_ids and not child_ids:
            raise no_such_sa(status, chosen)
        return ike_ids, child_ids

    def _reload_settings(self, call: Call) -> None:
        self._node.reload()
        call.answer({"success": "yes"})

    def _perilune_status(self, call: Call) -> None:
        stats = self._node.stats()
        traffic = {policy.policy: policy for policy in stats.policies}
        policies: Tree = {
            policy.name: describe_policy_traffic(policy, traffic.get(policy.id))
            for policy in self._node.policies
        }
        drops: Tree = {
            drop.name: {"text": drop.text, "packets": str(drop.packets)}
            for drop in stats.drops
            if drop.packets
        }
        call.answer(
            {
                "running": str(self._running_s()),
                "policies": policies,
                "drops": drops,
                "work": _counts(stats.work),
                "exchanges": _counts(self._node.exchanges),
            }
        )

    def _perilune_policies(self, call: Call) -> None:
        stats = self._node.stats()
        if call.request.get("decorrelated") == "yes":
            for piece in decorrelated(self._node.policies):
                call.event("perilune-policy", describe_piece(piece))
            call.answer()
            return
        traffic = {policy.policy: policy for policy in stats.policies}
        sas: dict[PolicyId, list[SaStats]] = {}
        for sa in stats.sas:
            sas.setdefault(sa.policy, []).append(sa)
        for place, policy in enumerate(self._node.policies, 1):
            entry = describe_spd_entry(policy, traffic.get(policy.id), sas.get(policy.id, ()))
            call.event("perilune-policy", {"place": str(place), **entry})
        call.answer()

    def _perilune_audit(self, call: Call) -> None:
        state = self._node.audit
        if state is None:
            raise LocalError("there is no audit log; the key daemon.audit_log names its file")
        call.answer(
            {
                "path": str(state.path),
                "head": str(state.head),
                "waiting": str(state.waiting),
                "lost": str(state.lost),
                "failure": state.failure,
            }
        )

    def _perilune_sa_add(self, call: Call) -> None:
        values = call.request.get("values")
        if not isinstance(values, dict):
            raise LocalError("values of the request are no keys and values")
        texts = {key: value for key, value in values.items() if isinstance(value, str)}
        if len(texts) < len(values):
            raise LocalError("a value of the request is not a text")
        self._node.add_sa(_name(call.request), texts)
        call.answer({"success": "yes"})

    def _perilune_sa_del(self, call: Call) -> None:
        self._node.remove_sa(_name(call.request))
        call.answer({"success": "yes"})

    def _perilune_sa_list(self, call: Call) -> None:
        wanted, now = _text(call.request, "name"), self._node.now()
        names = {policy.id: policy.name for policy in self._node.policies}
        counters = {(sa.direction, sa.spi, sa.path): sa for sa in self._node.stats().sas}
        for entry in self._node.sad:
            name = names.get(entry.policy, "")
            is_named = wanted in {None, name, name.rpartition("/")[2]}
            if is_named or _means_spi(wanted or "", entry.spi):
                stats = counters.get((entry.direction, entry.spi, entry.path))
                call.event("perilune-sa", describe_sad_entry(entry, name, stats, now))
        call.answer()

    def _perilune_stop(self, call: Call) -> None:
        call.answer({"success": "yes"})
        self._node.stop()

    def _running_s(self) -> int:
        return round((self._node.now() - self._node.facts.started_at).in_seconds)

    def _wait_for(self, call: Call, done: Done, what: str, count: int) -> None:
        loglevel = _number(call.request, "loglevel")
        deadline = self._deadline(call)
        self._operations.add(
            Operation(call, done, what, count, deadline, 1 if loglevel is None else loglevel)
        )

    def _deadline(self, call: Call) -> Instant | None:
        """Return when a command's time is over: `timeout` is in milliseconds, and 0 waits without end."""
        timeout_ms = _number(call.request, "timeout")
        if timeout_ms is None or timeout_ms <= 0:
            return None
        wait = min(Duration.milliseconds(timeout_ms), LONGEST_WAIT)
        return self._node.now() + wait


_POLICY_KINDS = {"drop": Action.DISCARD, "pass": Action.BYPASS, "trap": Action.PROTECT}


def _chosen(request: Tree) -> ChosenSas:
    return ChosenSas(
        ike=_text(request, "ike"),
        child=_text(request, "child"),
        ike_id=_number(request, "ike-id"),
        child_id=_number(request, "child-id"),
    )


def _text(request: Tree, key: str) -> str | None:
    value = request.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise LocalError(f"{key} of the request is not a text")
    return value


def _means_spi(text: str, spi: Spi) -> bool:
    """Whether a text is an SPI: as the configuration may write it, 0x1001, or in eight digits as we do."""
    digits = text.lower()
    if digits.startswith("0x"):
        digits = digits[2:].rjust(8, "0")
    return digits == f"{spi:08x}"


def _name(request: Tree) -> str:
    name = _text(request, "name")
    if name is None:
        raise LocalError("which SA is meant? name it")
    return name


def _number(request: Tree, key: str) -> int | None:
    text = _text(request, key)
    if text is None:
        return None
    if not text.removeprefix("-").isdecimal() or len(text) > _LONGEST_NUMBER:
        raise LocalError(f"{key} of the request is not a number")
    return int(text)


_LONGEST_NUMBER = 12


def _counts(counts: Mapping[str, int]) -> Tree:
    return {name: str(count) for name, count in counts.items()}


def _priorities() -> Tree:
    return {"critical": "0", "high": "0", "medium": "0", "low": "0"}
