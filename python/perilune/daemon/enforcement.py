"""Whether and how this host enforces its policy where the engine does not see the packets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from perilune.databases.changes import AddPolicy, Change, RemovePolicy
from perilune.databases.spd import SpdEntry
from perilune.model.errors import ResourceError
from perilune.shell.boundary import MISSING, Boundary, find_nft, is_usable, remove_rules, rules_in_force
from perilune.shell.boundary_rules import BoundarySettings

_CONSEQUENCE = "what is to be protected may pass in the clear while the daemon does not run"
_LOG = logging.getLogger("perilune.daemon")


class Enforcement:
    """The boundary, where there is to be one and can be.

    Args:
        wanted: What the configuration says; None is yes if it is possible.
        settings: What the boundary lets pass in any case; None if no packet passes this host but the engine.
    """

    def __init__(self, wanted: bool | None, settings: BoundarySettings | None) -> None:
        self._wanted = wanted
        self._settings = settings
        self._boundary: Boundary | None = None
        self._is_loaded = False
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Find out whether the boundary is possible; one that is not wanted any more is removed.

        Raises:
            ResourceError: It is demanded, and not possible.
        """
        nft = find_nft()
        if self._wanted is False or self._settings is None:
            _remove_old(nft)
            return
        why = is_usable(nft, self._settings) if nft else MISSING
        if nft and not why:
            self._boundary = Boundary(nft, self._settings)
        elif self._wanted:
            raise ResourceError(f"the policy cannot be enforced: {why}")
        else:
            _LOG.warning(
                "%s: %s; 'enforce_policy = no' in the section 'daemon' accepts that", why, _CONSEQUENCE
            )

    def follow(self, changes: Sequence[Change], *, only_grow: bool) -> None:
        """Let the boundary follow changes of the SPD, soon: what changes meanwhile goes with them.

        Args:
            changes: What was changed.
            only_grow: Leave what is removed from the SPD in the boundary, as at the daemon's end.
        """
        added = [change.entry for change in changes if isinstance(change, AddPolicy)]
        removed = [change.id for change in changes if isinstance(change, RemovePolicy) and not only_grow]
        if self._boundary is not None and (added or removed):
            self._boundary.note(added, removed)
            if self._is_loaded and self._next is None:
                self._next = asyncio.get_running_loop().create_task(self.settle())

    def begin(self) -> None:
        """Set the boundary for the first time, when the whole configuration is loaded, and wait for it.

        Until then the boundary of an earlier run stands, which has more than a part of it.
        """
        self._is_loaded = True
        entries = self._boundary.take() if self._boundary is not None else None
        if entries is not None:
            self._set(entries)

    async def settle(self) -> None:
        """Set the boundary, if it is not that of the policy; to be called now and then."""
        async with self._one_at_a_time:
            self._next = None
            entries = self._boundary.take() if self._boundary is not None else None
            if entries is not None:
                await asyncio.to_thread(self._set, entries)

    async def say_farewell(self) -> None:
        """Set the boundary a last time, and tell that it stays."""
        await self.settle()
        if self._boundary is not None:
            _LOG.info(
                "what is to be protected stays kept from the wire; 'perilune boundary remove' ends that"
            )

    def _set(self, entries: Sequence[SpdEntry]) -> None:
        if self._boundary is not None:
            try:
                self._boundary.set(entries)
            except ResourceError as error:
                self._boundary.put_back()
                _LOG.error("the boundary is not that of the policy now: %s", error)


def _remove_old(nft: str | None) -> None:
    try:
        if nft and rules_in_force(nft) is not None:
            remove_rules(nft)
            _LOG.info("the boundary of an earlier run is gone")
    except ResourceError as error:
        _LOG.warning("the boundary of an earlier run may be there still: %s", error)
