"""Values of what SAs look like, which children and manual SAs have in common."""

from __future__ import annotations

from perilune.config.values import Kind, number, quote
from perilune.databases.processing import LARGEST_PACKET, SMALLEST_PATH_MTU, TfcToPathMtu
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

MTU: Kind[int | None] = Kind(f"`0`, {SMALLEST_PATH_MTU} to {LARGEST_PACKET}", _read_path_mtu)
"""A path MTU in octets; 0 is None: not known."""
