"""Whether and how this host enforces its policy where the engine does not see the packets."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from perilune.databases.changes import AddPolicy, Change, RemovePolicy
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
        """Let the boundary follow changes of the SPD.

        Args:
            changes: What was changed.
            only_grow: Leave what is removed from the SPD in the boundary, as at the daemon's end.
        """
        added = [change.entry for change in changes if isinstance(change, AddPolicy)]
        removed = [change.id for change in changes if isinstance(change, RemovePolicy) and not only_grow]
        if self._boundary is not None and (added or removed):
            self._boundary.note(added, removed)
            if self._is_loaded:
                self.settle()

    def settle(self) -> None:
        """Set the boundary, if it is not that of the policy; to be called now and then.

        The first call is for when the whole configuration is loaded: until then the boundary of an earlier
        run stands, which has more than a part of it.
        """
        self._is_loaded = True
        if self._boundary is not None:
            try:
                self._boundary.settle()
            except ResourceError as error:
                _LOG.error("the boundary is not that of the policy now: %s", error)

    def say_farewell(self) -> None:
        """Tell that the boundary stays."""
        if self._boundary is not None:
            _LOG.info(
                "what is to be protected stays kept from the wire; 'perilune boundary remove' ends that"
            )


def _remove_old(nft: str | None) -> None:
    try:
        if nft and rules_in_force(nft) is not None:
            remove_rules(nft)
            _LOG.info("the boundary of an earlier run is gone")
    except ResourceError as error:
        _LOG.warning("the boundary of an earlier run may be there still: %s", error)
