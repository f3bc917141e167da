"""Keys of `connections.<conn>.children.<child>`."""

from __future__ import annotations

from perilune.config.ah_proposals import AH_PROPOSALS
from perilune.config.identities import PEERS
from perilune.config.proposals import ESP_PROPOSALS
from perilune.config.schema import child_form as form
from perilune.config.schema.section import (
    NO_TIME,
    OFF,
    ON,
    Key,
    OptionalKey,
    SectionSchema,
    UnsupportedKey,
)
from perilune.config.traffic_selectors import SELECTORS
from perilune.config.values import COUNT, SIZE, TIME, YES_NO, Kind, choice, number, quote
from perilune.databases.pad import ChildSelector, LossAction, StartAction
from perilune.databases.sad import LARGEST_WINDOW_PACKETS, SMALLEST_WINDOW_PACKETS
from perilune.databases.spd import IcmpErrors
from perilune.model.errors import ConfigError
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern
from perilune.model.proposal import Proposal
from perilune.model.time import Duration


def _read_window(text: str) -> int:
    window = number(0, LARGEST_WINDOW_PACKETS).read(text)
    if 0 < window < SMALLEST_WINDOW_PACKETS:
        raise ConfigError(
            f"{quote(text)} is neither 0 nor from {SMALLEST_WINDOW_PACKETS} to {LARGEST_WINDOW_PACKETS}"
        )
    return window


_LOSS_ACTIONS = {"clear": LossAction.CLEAR, "trap": LossAction.TRAP, "start": LossAction.START}
_LOSS_ALIASES = {"none": LossAction.CLEAR, "route": LossAction.TRAP, "restart": LossAction.START}

ESP_PROPOSALS_KEY: Key[tuple[Proposal, ...]] = Key(
    "esp_proposals",
    ESP_PROPOSALS,
    "default",
    "Algorithms of the child, best first; see *Proposals*. A key exchange in them is for rekeying.",
)
AH_PROPOSALS_KEY: OptionalKey[tuple[Proposal, ...]] = OptionalKey(
    "ah_proposals",
    AH_PROPOSALS,
    "none",
    "Algorithms of AH, best first. Without `esp_proposals` beside it, the child is AH's alone; with them, ESP"
    " is preferred.",
)
ALLOW_INSECURE: Key[bool] = Key(
    "allow_insecure",
    YES_NO,
    "no",
    "Whether its proposals may have algorithms that are for old peers only; see *Proposals*. The log warns"
    " of them.",
)
LOCAL_TS: Key[tuple[ChildSelector, ...]] = Key(
    "local_ts", SELECTORS, "dynamic", "Traffic of our side; see *Traffic selectors*."
)
REMOTE_TS: Key[tuple[ChildSelector, ...]] = Key(
    "remote_ts", SELECTORS, "dynamic", "Traffic of the peer's side."
)
REKEY_TIME: OptionalKey[Duration] = OptionalKey(
    "rekey_time",
    TIME,
    "`1h`, or `life_time` / 1.1 where that is less",
    "Age at which the child is rekeyed; `0` never.",
)
LIFE_TIME: OptionalKey[Duration] = OptionalKey(
    "life_time", TIME, "`rekey_time` + 10%", "Age at which it ends, rekeyed or not; `0` never."
)
RAND_TIME: OptionalKey[Duration] = OptionalKey(
    "rand_time",
    TIME,
    "`life_time` - `rekey_time`",
    "Up to so much is taken from `rekey_time`, at random, so that both ends seldom rekey at once.",
)
REKEY_BYTES: Key[int] = Key("rekey_bytes", SIZE, "0", "Octets after which the child is rekeyed; `0` never.")
LIFE_BYTES: OptionalKey[int] = OptionalKey(
    "life_bytes", SIZE, "`rekey_bytes` + 10%", "Octets after which it ends."
)
RAND_BYTES: OptionalKey[int] = OptionalKey(
    "rand_bytes", SIZE, "`life_bytes` - `rekey_bytes`", "Up to so much is taken from `rekey_bytes`."
)
REKEY_PACKETS: Key[int] = Key(
    "rekey_packets",
    COUNT,
    "0",
    "Packets after which the child is rekeyed; `0` only before sequence numbers of 32 bits end.",
)
LIFE_PACKETS: OptionalKey[int] = OptionalKey(
    "life_packets", COUNT, "`rekey_packets` + 10%", "Packets after which it ends."
)
RAND_PACKETS: OptionalKey[int] = OptionalKey(
    "rand_packets", COUNT, "`life_packets` - `rekey_packets`", "Up to so much is taken from `rekey_packets`."
)
START_ACTION: Key[StartAction] = Key(
    "start_action",
    choice(
        {value.value: value for value in StartAction},
        {
            "start|trap": StartAction.TRAP_START,
            "clear": StartAction.NONE,
            "restart": StartAction.START,
            "route": StartAction.TRAP,
        },
    ),
    "none",
    "When the child is set up: `start` at once, `trap` with the first packet that wants it, which is held"
    " meanwhile.",
)
CLOSE_ACTION: Key[LossAction] = Key(
    "close_action", choice(_LOSS_ACTIONS, _LOSS_ALIASES), "clear", "What to do when the peer ends it."
)
DPD_ACTION: Key[LossAction] = Key(
    "dpd_action",
    choice(_LOSS_ACTIONS, _LOSS_ALIASES),
    "clear",
    "What to do when the peer no longer answers; `restart` is the same as `start`.",
)
REPLAY_WINDOW: Key[int] = Key(
    "replay_window",
    Kind(f"`0`, {SMALLEST_WINDOW_PACKETS} to {LARGEST_WINDOW_PACKETS}", _read_window),
    "128",
    "Packets that may come late; `0` switches replay protection off (swanctl.conf: 32).",
)
PEERS_KEY: OptionalKey[tuple[Identity | IdentityPattern, ...]] = OptionalKey(
    "peers",
    PEERS,
    "everyone whom the connection accepts",
    "Which peers may have the child, by identity: it is the name of an SPD entry in the words of RFC 4301,"
    " section 4.4.1.1. swanctl.conf has no such key.",
)
ICMP_ERRORS: Key[IcmpErrors] = Key(
    "icmp_errors",
    choice({value.value: value for value in IcmpErrors}),
    "related",
    "Which ICMP errors the child's SAs carry (RFC 4301, section 6.2): with `selected` those that its traffic"
    " selectors select, whatever they are about; with `related` also all others that are about packets of"
    " the SA, wherever they come from; with `checked` only those that are about packets of the SA."
    " swanctl.conf has no such key.",
)
PRIORITY: Key[int] = Key(
    "priority",
    number(0, 2**32 - 1),
    "0",
    "Place of the policy, smaller first; `0` puts narrow selectors before wide ones.",
)
HOSTACCESS: Key[bool] = Key("hostaccess", YES_NO, "no", "No effect without an `updown` script.")

CHILD = SectionSchema(
    "<child>",
    "A child: traffic that a pair of SAs carries, or that is let by or discarded. Its name is free.",
    keys=(
        form.MODE,
        ESP_PROPOSALS_KEY,
        AH_PROPOSALS_KEY,
        ALLOW_INSECURE,
        LOCAL_TS,
        REMOTE_TS,
        REKEY_TIME,
        LIFE_TIME,
        RAND_TIME,
        REKEY_BYTES,
        LIFE_BYTES,
        RAND_BYTES,
        REKEY_PACKETS,
        LIFE_PACKETS,
        RAND_PACKETS,
        START_ACTION,
        CLOSE_ACTION,
        DPD_ACTION,
        REPLAY_WINDOW,
        ICMP_ERRORS,
        PRIORITY,
        PEERS_KEY,
        *form.KEYS,
        HOSTACCESS,
    ),
    unsupported_keys=(
        UnsupportedKey("copy_ecn", ON),
        UnsupportedKey("hw_offload", (*OFF, "auto")),
        UnsupportedKey("if_id_in", ("0",)),
        UnsupportedKey("if_id_out", ("0",)),
        UnsupportedKey("inactivity", NO_TIME),
        UnsupportedKey("interface"),
        UnsupportedKey("label"),
        UnsupportedKey("label_mode", ("system",)),
        UnsupportedKey("mark_in", ("0", "0/0x00000000")),
        UnsupportedKey("mark_in_sa", OFF),
        UnsupportedKey("mark_out", ("0", "0/0x00000000")),
        UnsupportedKey("policies", ON),
        UnsupportedKey("policies_fwd_out", OFF),
        UnsupportedKey("reqid", ("0",)),
        UnsupportedKey("set_mark_in", ("0", "0/0x00000000")),
        UnsupportedKey("set_mark_out", ("0", "0/0x00000000")),
        UnsupportedKey("sha256_96", OFF),
        UnsupportedKey("updown"),
    ),
)
CHILDREN = SectionSchema("children", "What may pass.", sections=(CHILD,))
