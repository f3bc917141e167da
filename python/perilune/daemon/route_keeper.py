"""Keeps routes as the policies want them, behind the back of whoever changes policies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from perilune.databases.spd import SpdEntry
from perilune.model.errors import ResourceError
from perilune.shell.routes import Routes

_LOG = logging.getLogger("perilune.shell")


class RouteKeeper:
    """Follows the newest policies, one change at a time.

    Args:
        routes: The routes.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._policies: Sequence[SpdEntry] = ()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, *, is_routing: bool) -> None:
        """Set the device up and begin to follow.

        Args:
            is_routing: Whether there are to be routes; else the device is only set up.

        Raises:
            ResourceError: The system refused.
        """
        await self._routes.open(is_routing=is_routing)
        if is_routing:
            self._task = asyncio.create_task(self._keep())

    def follow(self, policies: Sequence[SpdEntry]) -> None:
        """Have the routes become what these policies need."""
        self._policies = policies
        self._changed.set()

    async def close(self) -> None:
        """Remove the routes."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._routes.close()
        except ResourceError as error:
            _LOG.warning("%s", error)

    async def _keep(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._routes.sync(self._policies)
            except ResourceError as error:
                _LOG.error("%s", error)
