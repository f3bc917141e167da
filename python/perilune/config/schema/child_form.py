"""Keys of `connections.<conn>.children.<child>` that say what its packets look like."""

from __future__ import annotations

from perilune.config.sa_values import MTU, TFC, read_dscp_map
from perilune.config.schema.section import OFF, Key
from perilune.config.values import TIME, YES_NO, Kind, choice, number, quote
from perilune.databases.processing import LARGEST_FLOW_LABEL, MOST_DUMMIES, DscpMap, Mode, TfcToPathMtu
from perilune.databases.spd import Action
from perilune.model.errors import ConfigError
from perilune.model.time import Duration

_MODES: Kind[Mode | Action] = choice(
    {
        "tunnel": Mode.TUNNEL,
        "transport": Mode.TRANSPORT,
        "beet": Mode.BEET,
        "pass": Action.BYPASS,
        "drop": Action.DISCARD,
    }
)
_OTHER_MODES = frozenset({"transport_proxy"})


def _read_mode(text: str) -> Mode | Action:
    if text.lower() in _OTHER_MODES:
        raise ConfigError(f"mode {quote(text)} is known to swanctl.conf and not supported here yet")
    return _MODES.read(text)


def _read_copy_dscp(text: str) -> DscpMap | None:
    if text.lower() in {"in", "yes"}:
        raise ConfigError(f"{quote(text)}: the DSCP of the outer header is not copied inside here")
    if ":" in text:
        return read_dscp_map(text)
    is_copied = choice({"out": True, "no": False}, dict.fromkeys(OFF, False)).read(text)
    return None if is_copied else DscpMap.all_to(0)


MODE: Key[Mode | Action] = Key(
    "mode",
    Kind(_MODES.description, _read_mode),
    "tunnel",
    "`tunnel`, `transport` and `beet` protect the traffic, each in its form; see [Modes](modes.md). `pass`"
    " lets it by in the clear, `drop` discards it: these two hold as long as they are configured, whatever"
    " `start_action` says.",
)
IPCOMP: Key[bool] = Key(
    "ipcomp",
    YES_NO,
    "no",
    "Compress packets before they are protected (DEFLATE), where the peer wants it too and it makes them"
    " smaller.",
)
FRAGMENTS: Key[bool] = Key(
    "fragments",
    YES_NO,
    "no",
    "Where the traffic selectors want certain ports, which only the first fragment of a packet shows: whether"
    " the others go through the tunnel behind it, where the peer wants it too (RFC 4301, section 7.3); else"
    " they are put together first. swanctl.conf has no such key.",
)
TFC_PADDING: Key[int | TfcToPathMtu | None] = Key(
    "tfc_padding",
    TFC,
    "0",
    "Size up to which packets of ESP are padded, so that their lengths tell nothing; `0` does not pad, and"
    " nothing is padded for a peer that does not take it.",
)
DUMMY_RATE: Key[int] = Key(
    "dummy_rate",
    number(0, MOST_DUMMIES),
    "0",
    "Packets that leave each second at least: dummies, which the peer drops, take the place of those that"
    " nobody sends (RFC 4303, section 2.6); `0` sends none. swanctl.conf has no such key.",
)
COPY_DF: Key[bool] = Key(
    "copy_df",
    YES_NO,
    "yes",
    "Whether the DF bit of the outer IPv4 header is the inner one's; else it is clear.",
)
COPY_DSCP: Key[DscpMap | None] = Key(
    "copy_dscp",
    Kind("`out`, `no`, list of `FROM:TO` or `FROM-FROM:TO`", _read_copy_dscp),
    "out",
    "Whether the DSCP of the outer header is the inner one's, or 0, or what the list makes of it, such as"
    " `46:46, 10-14:10`, and else 0. That of the outer header is never copied inside. swanctl.conf has no"
    " lists.",
)
FLOW_LABEL: Key[int] = Key(
    "flow_label",
    number(0, LARGEST_FLOW_LABEL),
    "0",
    "Flow label of the outer IPv6 header; the inner one is never copied. swanctl.conf has no such key.",
)
PATH_MTU: Key[int | None] = Key(
    "path_mtu",
    MTU,
    "0",
    "Path MTU in octets to begin with; `0` is not known. swanctl.conf has no such key.",
)
PATH_MTU_AGE: Key[Duration] = Key(
    "path_mtu_age",
    TIME,
    "600s",
    "How long a path MTU that was learnt is believed. swanctl.conf has no such key.",
)

KEYS = (IPCOMP, FRAGMENTS, TFC_PADDING, DUMMY_RATE, COPY_DF, COPY_DSCP, FLOW_LABEL, PATH_MTU, PATH_MTU_AGE)
"""All but the mode."""
