"""Values of what SAs look like, which children and manual SAs have in common."""

from __future__ import annotations

from perilune.config.values import Kind, number, quote
from perilune.databases.processing import (
    LARGEST_DSCP,
    LARGEST_PACKET,
    SMALLEST_PATH_MTU,
    DscpMap,
    TfcToPathMtu,
)
from perilune.model.errors import ConfigError


def _read_tfc(text: str) -> int | TfcToPathMtu | None:
    if text.lower() == TfcToPathMtu.PATH_MTU.value:
        return TfcToPathMtu.PATH_MTU
    return number(0, LARGEST_PACKET).read(text) or None


def _read_path_mtu(text: str) -> int | None:
    octets = number(0, LARGEST_PACKET).read(text)
    if 0 < octets < SMALLEST_PATH_MTU:
        raise ConfigError(f"{quote(text)} is neither 0 nor from {SMALLEST_PATH_MTU} to {LARGEST_PACKET}")
    return octets or None


TFC: Kind[int | TfcToPathMtu | None] = Kind("octets, `mtu`", _read_tfc)
"""Traffic flow confidentiality padding; 0 is None."""


def _read_dscp(text: str) -> DscpMap | None:
    if text.lower() == "copy":
        return None
    if ":" not in text:
        return DscpMap.all_to(_DSCP.read(text))
    return read_dscp_map(text)


def read_dscp_map(text: str) -> DscpMap:
    """Read what DSCPs become, such as `46:46, 10-14:10`; all that are not named become 0.

    Raises:
        ConfigError: It is no such list, or names one twice.
    """
    outer: dict[int, int] = {}
    for part in text.split(","):
        inner, colon, becomes = part.partition(":")
        if not colon:
            raise ConfigError(f"{quote(part.strip())} does not say what becomes of it, as in '46:46'")
        first, _, last = (end.strip() for end in inner.partition("-"))
        named = range(_DSCP.read(first), _DSCP.read(last or first) + 1)
        if not named or outer.keys() & set(named):
            raise ConfigError(f"{quote(inner.strip())} is no range, or named twice")
        outer |= dict.fromkeys(named, _DSCP.read(becomes.strip()))
    return DscpMap(tuple(outer.get(inner, 0) for inner in range(LARGEST_DSCP + 1)))


_DSCP: Kind[int] = number(0, LARGEST_DSCP)

DSCP: Kind[DscpMap | None] = Kind("`copy`, 0 to 63, list of `FROM:TO` or `FROM-FROM:TO`", _read_dscp)
"""The DSCP of outer headers; copy is None."""

MTU: Kind[int | None] = Kind(f"`0`, {SMALLEST_PATH_MTU} to {LARGEST_PACKET}", _read_path_mtu)
"""A path MTU in octets; 0 is None: not known."""
