"""What to say to a client that named something that is not there: the name that it probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perilune.agent.node import ChosenSas
from perilune.config.values import nearest, quote
from perilune.databases.pad import PadEntry
from perilune.ike.status import EndpointStatus
from perilune.model.errors import LocalError

MOST_NAMES_SHOWN = 5
"""A message has so many names at most, so that one about thousands can be read."""


def no_such_connection(connections: Sequence[PadEntry], ike: str | None, child: str | None) -> LocalError:
    """Return the error for a name that the configuration has not.

    Args:
        connections: The configuration's.
        ike: The connection that was named, if one was.
        child: The child that was named, if one was.
    """
    named = [connection for connection in connections if ike in {None, connection.name}]
    if ike is not None and not named:
        names = [connection.name for connection in connections]
        return LocalError(f"there is no connection {quote(ike)} in the configuration{_hint(ike, names)}")
    where = f" of connection {quote(ike)}" if ike else ""
    names = [one.name for connection in named for one in connection.children]
    child = child or ""
    return LocalError(f"there is no child {quote(child)}{where} in the configuration{_hint(child, names)}")


def no_such_sa(status: EndpointStatus, chosen: ChosenSas) -> LocalError:
    """Return the error for a choice that no SA fits.

    Args:
        status: The SAs that there are.
        chosen: What was asked for.
    """
    return LocalError(f"there is no such SA now{_living(status, chosen)}")


def _living(status: EndpointStatus, chosen: ChosenSas) -> str:
    connections = [sa.name.connection for sa in status.ike_sas if sa.name.connection]
    if chosen.ike is not None and chosen.ike not in connections:
        return _hint(chosen.ike, connections)
    children = [child.name for sa in status.ike_sas for child in sa.children]
    names = [child.name for child in children]
    if chosen.child is not None and chosen.child not in names:
        return _hint(chosen.child, names)
    if chosen.child is not None or chosen.child_id is not None:
        return _known(f"{child.name} #{child.id}" for child in children)
    return _known(f"{sa.name.connection} #{sa.name.id}" for sa in status.ike_sas)


def _hint(word: str, names: Sequence[str]) -> str:
    """Return the name that was probably meant, or else those that there are."""
    close = nearest(word, list(names))
    return f" (did you mean {quote(close)}?)" if close else _known(map(quote, names))


def _known(names: Iterable[str]) -> str:
    shown = list(dict.fromkeys(names))
    if not shown:
        return ", nor any other"
    more = f" and {len(shown) - MOST_NAMES_SHOWN} more" if len(shown) > MOST_NAMES_SHOWN else ""
    return f"; there is {', '.join(shown[:MOST_NAMES_SHOWN])}{more}"
