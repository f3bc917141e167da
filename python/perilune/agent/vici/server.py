"""All VICI clients of a node."""

from __future__ import annotations

from collections.abc import Mapping, Set

from perilune.agent.vici.codec import Node
from perilune.agent.vici.session import Handler, Session


class Server:
    """Hands out sessions and publishes events to them.

    Args:
        commands: What to do for each command.
        events: Names of the events that a client may register for.
    """

    def __init__(self, commands: Mapping[str, Handler], events: Set[str]) -> None:
        self._commands = commands
        self._events = events
        self._sessions: set[Session] = set()

    def open(self) -> Session:
        """Return the session of a client that has come."""
        session = Session(self._commands, self._events)
        self._sessions.add(session)
        return session

    def close(self, session: Session) -> None:
        """Forget a client that has left."""
        session.close()
        self._sessions.discard(session)

    def is_wanted(self, name: str) -> bool:
        """Whether any client registered for an event; else its message need not be made."""
        return any(session.wants(name) for session in self._sessions)

    def publish(self, name: str, message: Node) -> None:
        """Send an event to every client that registered for it."""
        for session in tuple(self._sessions):
            session.publish(name, message)
