"""Keys of `sas.<sa>`, a section that swanctl.conf has not: SAs with manual keys."""

from __future__ import annotations

import re

from perilune.config.hosts import read_address
from perilune.config.manual_keys import MANUAL_KEY
from perilune.config.sa_values import DSCP as OUTER_DSCP
from perilune.config.sa_values import MTU, TFC
from perilune.config.schema.child import REPLAY_WINDOW as CHILD_REPLAY_WINDOW
from perilune.config.schema.child_form import DUMMY_RATE as CHILD_DUMMY_RATE
from perilune.config.schema.section import Key, OptionalKey, SectionSchema
from perilune.config.suites import WORDS
from perilune.config.traffic_selectors import SELECTORS
from perilune.config.values import COUNT, PORT, SIZE, TIME, YES_NO, Kind, choice, number, quote
from perilune.databases.pad import ChildSelector
from perilune.databases.processing import (
    LARGEST_FLOW_LABEL,
    DestinationOptions,
    DontFragment,
    DscpMap,
    Fragmentation,
    Lookup,
    Mode,
    SecurityProtocol,
    TfcToPathMtu,
)
from perilune.databases.sad import Encapsulation
from perilune.model.address import IpAddress
from perilune.model.errors import ConfigError
from perilune.model.secret import Secret
from perilune.model.time import Duration

_SMALLEST_SPI = 256
"""1 to 255 are reserved by IANA (RFC 4303, section 2.1)."""

_NAME = re.compile(r"[^\s={}#]+")
_SPI = number(_SMALLEST_SPI, 2**32 - 1)
_ADDRESS: Kind[IpAddress] = Kind("address", read_address)


def is_sa_name(text: str) -> bool:
    """Whether an SA may be called so."""
    return _NAME.fullmatch(text) is not None


def _read_name(text: str) -> str:
    if not is_sa_name(text):
        raise ConfigError(f"{quote(text)} is no name of an SA")
    return text


SPI: OptionalKey[int] = OptionalKey("spi", _SPI, "an error", "SPI of both directions, from 256 up.")
SPI_IN: OptionalKey[int] = OptionalKey(
    "spi_in",
    _SPI,
    "`spi`",
    "SPI of what we receive. With only one of `spi_in` and `spi_out` there is only that direction.",
)
SPI_OUT: OptionalKey[int] = OptionalKey("spi_out", _SPI, "`spi`", "SPI of what we send.")
PROTOCOL: Key[SecurityProtocol] = Key(
    "protocol",
    choice({"esp": SecurityProtocol.ESP, "ah": SecurityProtocol.AH}),
    "esp",
    "The security protocol.",
)
MODE: Key[Mode] = Key(
    "mode",
    choice({mode.value: mode for mode in Mode}),
    "tunnel",
    "`tunnel` protects whole packets, `transport` what is in them, `beet` whole packets of two fixed"
    " addresses; `any` is transport for what the two ends say themselves and tunnel for all other.",
)
LOCAL_ADDRS: OptionalKey[IpAddress] = OptionalKey(
    "local_addrs", _ADDRESS, "an error", "Our end; where we only receive from a group, the group."
)
REMOTE_ADDRS: OptionalKey[IpAddress] = OptionalKey(
    "remote_addrs", _ADDRESS, "an error", "The peer's end; where we send to a group, the group."
)
INNER_LOCAL: OptionalKey[IpAddress] = OptionalKey(
    "inner_local", _ADDRESS, "none", "Mode `beet` only: our address inside."
)
INNER_REMOTE: OptionalKey[IpAddress] = OptionalKey(
    "inner_remote", _ADDRESS, "none", "Mode `beet` only: the peer's address inside."
)
PROPOSAL: OptionalKey[str] = OptionalKey(
    "proposal", WORDS, "an error", "Algorithms, such as `aes256-sha256`, or `sha256` for AH; see *Proposals*."
)
ALLOW_INSECURE: Key[bool] = Key(
    "allow_insecure", YES_NO, "no", "Whether they may be ones that are for old peers only."
)
ENCRYPTION_KEY: OptionalKey[Secret] = OptionalKey(
    "encryption_key",
    MANUAL_KEY,
    "none",
    "Key of the encryption, with the salt or nonce behind it: both ways.",
)
ENCRYPTION_KEY_IN: OptionalKey[Secret] = OptionalKey(
    "encryption_key_in", MANUAL_KEY, "`encryption_key`", "The same for what we receive."
)
ENCRYPTION_KEY_OUT: OptionalKey[Secret] = OptionalKey(
    "encryption_key_out", MANUAL_KEY, "`encryption_key`", "The same for what we send."
)
INTEGRITY_KEY: OptionalKey[Secret] = OptionalKey(
    "integrity_key", MANUAL_KEY, "none", "Key of the integrity algorithm: both ways."
)
INTEGRITY_KEY_IN: OptionalKey[Secret] = OptionalKey(
    "integrity_key_in", MANUAL_KEY, "`integrity_key`", "The same for what we receive."
)
INTEGRITY_KEY_OUT: OptionalKey[Secret] = OptionalKey(
    "integrity_key_out", MANUAL_KEY, "`integrity_key`", "The same for what we send."
)
REPLAY_WINDOW: Key[int] = Key(
    "replay_window",
    CHILD_REPLAY_WINDOW.kind,
    "0",
    "Packets that may come late; `0`, as RFC 4303 wants it with manual keys, takes every packet as often as"
    " it comes. Another number needs `daemon.sequence_file`.",
)
SEQUENCE_OVERFLOW: Key[bool] = Key(
    "sequence_overflow",
    choice({"stop": False, "cycle": True}),
    "stop",
    "What to do behind the last sequence number: end, or begin again, which needs a peer without replay"
    " protection and no counter mode.",
)
ENCAP: Key[Encapsulation] = Key(
    "encap",
    choice(
        {"no": Encapsulation.NONE, "udp": Encapsulation.UDP},
        {"yes": Encapsulation.UDP, "espinudp": Encapsulation.UDP},
    ),
    "no",
    "Whether ESP travels in UDP (RFC 3948).",
)
REMOTE_PORT: Key[int] = Key(
    "remote_port", PORT, "4500", "The peer's port, with `encap`; ours is `daemon.port_nat_t`."
)
LOCAL_TS: Key[tuple[ChildSelector, ...]] = Key(
    "local_ts", SELECTORS, "dynamic", "Traffic of our side; `dynamic` is our end, inside with mode `beet`."
)
REMOTE_TS: Key[tuple[ChildSelector, ...]] = Key(
    "remote_ts", SELECTORS, "dynamic", "Traffic of the peer's side."
)
PRIORITY: Key[int] = Key(
    "priority",
    number(0, 2**32 - 1),
    "0",
    "Place of its policy, smaller first; `0` puts narrow selectors before wide ones.",
)
LOOKUP: Key[Lookup] = Key(
    "lookup",
    choice({value.value: value for value in Lookup}),
    "spi",
    "By what a packet finds it: the last two are for multicast, with any sender or one.",
)
WITHIN: OptionalKey[str] = OptionalKey(
    "within",
    Kind("name of an SA", _read_name),
    "none",
    "SA in which its packets travel in turn: a bundle.",
)
SOFT_TIME: Key[Duration] = Key("soft_time", TIME, "0", "Age at which the log asks for a new key; `0` never.")
HARD_TIME: Key[Duration] = Key("hard_time", TIME, "0", "Age at which it ends; `0` never.")
SOFT_BYTES: Key[int] = Key("soft_bytes", SIZE, "0", "The same by octets.")
HARD_BYTES: Key[int] = Key("hard_bytes", SIZE, "0", "The same by octets.")
SOFT_PACKETS: Key[int] = Key("soft_packets", COUNT, "0", "The same by packets.")
HARD_PACKETS: Key[int] = Key("hard_packets", COUNT, "0", "The same by packets.")
DF: Key[DontFragment] = Key(
    "df",
    choice({value.value: value for value in DontFragment}),
    "copy",
    "The DF bit of the outer IPv4 header.",
)
DSCP: Key[DscpMap | None] = Key(
    "dscp",
    OUTER_DSCP,
    "copy",
    "DSCP of the outer header: the inner one, always this one, or what the list makes of it, such as"
    " `46:46, 10-14:10`, and else 0.",
)
HOP_LIMIT: Key[int] = Key("hop_limit", number(1, 255), "64", "TTL or hop limit of the outer header.")
FLOW_LABEL: Key[int] = Key(
    "flow_label",
    number(0, LARGEST_FLOW_LABEL),
    "0",
    "Flow label of the outer IPv6 header; the inner one is never copied.",
)
FRAGMENTATION: Key[Fragmentation] = Key(
    "fragmentation",
    choice({value.value: value for value in Fragmentation}),
    "after",
    "Whether what is too large is cut before or after it is protected.",
)
TFC_PADDING: Key[int | TfcToPathMtu | None] = Key(
    "tfc_padding",
    TFC,
    "0",
    "Size up to which packets are padded, so that their lengths tell nothing; `0` does not pad.",
)
DUMMY_RATE: Key[int] = CHILD_DUMMY_RATE
DESTINATION_OPTIONS: Key[DestinationOptions] = Key(
    "destination_options",
    choice({value.value: value for value in DestinationOptions}),
    "inside",
    "Mode `transport` only: where the last IPv6 destination options go.",
)
PATH_MTU: Key[int | None] = Key(
    "path_mtu",
    MTU,
    "0",
    "Path MTU to begin with; `0` is not known.",
)
PATH_MTU_AGE: Key[Duration] = Key(
    "path_mtu_age", TIME, "600s", "How long a path MTU that was learnt is believed."
)
BELIEVE_ICMP: Key[bool] = Key(
    "believe_icmp", YES_NO, "yes", "Whether ICMP errors, which nobody authenticates, may lower the path MTU."
)

MANUAL_SA = SectionSchema(
    "<sa>",
    "An SA, or a pair of them, and the policy that sends traffic through it. Its name is free.",
    keys=(
        SPI,
        SPI_IN,
        SPI_OUT,
        PROTOCOL,
        MODE,
        LOCAL_ADDRS,
        REMOTE_ADDRS,
        INNER_LOCAL,
        INNER_REMOTE,
        PROPOSAL,
        ALLOW_INSECURE,
        ENCRYPTION_KEY,
        ENCRYPTION_KEY_IN,
        ENCRYPTION_KEY_OUT,
        INTEGRITY_KEY,
        INTEGRITY_KEY_IN,
        INTEGRITY_KEY_OUT,
        REPLAY_WINDOW,
        SEQUENCE_OVERFLOW,
        ENCAP,
        REMOTE_PORT,
        LOCAL_TS,
        REMOTE_TS,
        PRIORITY,
        LOOKUP,
        WITHIN,
        SOFT_TIME,
        HARD_TIME,
        SOFT_BYTES,
        HARD_BYTES,
        SOFT_PACKETS,
        HARD_PACKETS,
        DF,
        DSCP,
        HOP_LIMIT,
        FLOW_LABEL,
        FRAGMENTATION,
        TFC_PADDING,
        DUMMY_RATE,
        DESTINATION_OPTIONS,
        PATH_MTU,
        PATH_MTU_AGE,
        BELIEVE_ICMP,
    ),
    secret=True,
)
MANUAL_SAS = SectionSchema(
    "sas",
    "SAs with manual keys; see [Manual keys](manual-keys.md). swanctl.conf has no such section.",
    sections=(MANUAL_SA,),
)
