"""The one check that every payload's decoder begins with."""

from __future__ import annotations

from perilune.model.errors import DecodeError


def require(body: bytes, octets: int, offset: int, field: str) -> None:
    """Make sure that a body begins with a fixed part of so many octets.

    Args:
        body: Octets from the network.
        octets: Length of the fixed part.
        offset: Where `body` lies in the datagram.
        field: Name of what is read, for the error.

    Raises:
        DecodeError: There are fewer octets.
    """
    if len(body) < octets:
        raise DecodeError(f"needs {octets} octets, has {len(body)}", offset=offset + len(body), field=field)


def nothing_behind(body: bytes, end: int, offset: int, field: str) -> None:
    """Make sure that a body ends where its inner lengths and counts say.

    Args:
        body: Octets from the network.
        end: Where the inner lengths end, in octets from the start of `body`; not behind its end.
        offset: Where `body` lies in the datagram.
        field: Name of what is read, for the error.

    Raises:
        DecodeError: Octets follow.
    """
    if end != len(body):
        raise DecodeError(f"{len(body) - end} octets behind its end", offset=offset + end, field=field)
