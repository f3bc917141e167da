"""The control socket: a Unix socket whose clients speak VICI."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path as FilePath

from perilune.agent.vici.server import Server
from perilune.agent.vici.session import Session
from perilune.model.errors import DecodeError, LocalError, ResourceError

MOST_UNSENT_OCTETS = 4 << 20
"""A client that lets more than this pile up is sent away, so that it cannot take the daemon's memory."""

_READ_OCTETS = 64 * 1024
_PARTING_SECONDS = 0.5


class ViciSocket:
    """Serves VICI on a Unix socket that only its owner may open.

    Args:
        path: Where the socket is.
        server: Whose sessions the clients get.
        on_refused: Told, in words, when a client is sent away.
    """

    def __init__(self, path: FilePath, server: Server, on_refused: Callable[[str], None]) -> None:
        self._path = path
        self._server = server
        self._on_refused = on_refused
        self._clients: dict[Session, asyncio.StreamWriter] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket that a killed daemon left is replaced.

        Raises:
            LocalError: Another daemon listens there.
            ResourceError: The socket cannot be made.
        """
        if is_answered(self._path):
            raise LocalError(f"another daemon already listens on {self._path}")
        try:
            self._path.unlink(missing_ok=True)
            self._listening = await asyncio.start_unix_server(self._serve, sock=self._bound())
        except OSError as error:
            raise ResourceError(f"cannot listen on {self._path}: {error.strerror or error}") from error

    def flush(self) -> None:
        """Send every client what its session has for it; call after anything that may publish."""
        for session, writer in tuple(self._clients.items()):
            if output := session.take_output():
                writer.write(output)
            if writer.transport.get_write_buffer_size() > MOST_UNSENT_OCTETS:
                writer.transport.abort()
                session.close()  # before anyone is told, as that may be an event for this client too
                self._on_refused("a client of the control socket does not read; it is disconnected")

    async def close(self) -> None:
        """Send what is left, stop listening and remove the socket; all clients are gone then."""
        self.flush()
        if self._listening is not None:
            self._listening.close()
            self._path.unlink(missing_ok=True)
        for part in (asyncio.StreamWriter.close, _cut):
            for writer in tuple(self._clients.values()):
                part(writer)
            if self._serving:
                await asyncio.wait(self._serving, timeout=_PARTING_SECONDS)

    def _bound(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # the socket is never open to others, not even for a moment
        try:
            listening.bind(str(self._path))
        except BaseException:
            listening.close()
            raise
        finally:
            os.umask(before)
        return listening

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = self._server.open()
        self._clients[session] = writer
        if task := asyncio.current_task():
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            while data := await reader.read(_READ_OCTETS):
                session.receive(data)
                self.flush()
                await writer.drain()
        except DecodeError as error:
            self._on_refused(f"a client of the control socket is disconnected: {error}")
        except OSError:
            pass  # the client left
        finally:
            self._server.close(session)
            del self._clients[session]
            writer.close()


def _cut(writer: asyncio.StreamWriter) -> None:
    """Part from a client that does not read what is left for it."""
    writer.transport.abort()


def is_answered(path: FilePath) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
