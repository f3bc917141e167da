"""The control side of the daemon: VICI's server, its socket, and the commands that wait."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path as FilePath

from perilune.agent.node import Node
from perilune.agent.vici.codec import Node as ViciNode
from perilune.agent.vici.commands import EVENTS, Commands
from perilune.agent.vici.news import name_of_news, news_of
from perilune.agent.vici.operations import Operations
from perilune.agent.vici.server import Server
from perilune.daemon.log import ROOT_LOGGER, EventHandler
from perilune.ike.events import IkeEvent
from perilune.shell.vici_socket import ViciSocket

_LOG = logging.getLogger("perilune.agent")


class Control:
    """Lets clients of the control socket see and steer a node.

    Args:
        node: The node.
        path: Where the socket is.
    """

    def __init__(self, node: Node, path: FilePath) -> None:
        self._node = node
        self._operations = Operations()
        self._server = Server(Commands(node, self._operations).table, EVENTS)
        self._socket = ViciSocket(path, self._server, lambda reason: _LOG.warning("%s", reason))
        self._handler = EventHandler(self._publish_log)
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Listen, and hand log lines on.

        Raises:
            LocalError: Another daemon listens there.
            ResourceError: The socket cannot be made.
        """
        await self._socket.open()
        logging.getLogger(ROOT_LOGGER).addHandler(self._handler)

    def observe(self, event: IkeEvent) -> None:
        """Tell commands that wait, and clients that registered, what happened in IKE."""
        self._operations.observe(event)
        name = name_of_news(event)
        if name is not None and self._server.is_wanted(name):
            self._server.publish(name, news_of(event, self._node))

    def flush(self) -> None:
        """Send clients what is for them, and set the timer for commands that wait."""
        self._socket.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._operations.next_timeout()
        if due is not None:
            wait = (due - self._node.now()).in_seconds
            self._timer = asyncio.get_running_loop().call_later(max(wait, 0.0), self._on_timer)

    async def close(self) -> None:
        """Stop listening."""
        logging.getLogger(ROOT_LOGGER).removeHandler(self._handler)
        if self._timer is not None:
            self._timer.cancel()
        await self._socket.close()

    def _on_timer(self) -> None:
        self._timer = None
        self._operations.handle_timeout(self._node.now())
        self.flush()

    def _publish_log(self, message: ViciNode) -> None:
        self._server.publish("log", message)
        self._socket.flush()
