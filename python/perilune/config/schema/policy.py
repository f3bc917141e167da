"""Keys of `policies.<policy>`, a section that swanctl.conf has not: SPD entries in so many words."""

from __future__ import annotations

from perilune.config.policy_values import (
    ADDRESSES,
    FLAGS,
    LEVELS,
    OCTET_BITS,
    PORTS,
    PROTOCOLS,
    TYPES,
    USERS,
    Addresses,
    AllTypes,
    MessageTypes,
)
from perilune.config.schema.section import Key, OptionalKey, SectionSchema
from perilune.config.values import Kind, choice, number
from perilune.databases.conditions import LARGEST_FLOW_LABEL, Masked, Populate
from perilune.databases.spd import LAST_TEMPLATE, Action, IcmpErrors, Way

ACTION: OptionalKey[Action] = OptionalKey(
    "action",
    choice(
        {action.value: action for action in (Action.PROTECT, Action.BYPASS, Action.DISCARD)},
        {"pass": Action.BYPASS, "drop": Action.DISCARD},
    ),
    "an error",
    "What to do with packets: send them through an SA, let them by in the clear, or drop them.",
)
ORDER: OptionalKey[int] = OptionalKey(
    "order",
    number(1, LAST_TEMPLATE),
    "ten more than the entry before",
    "Place in the SPD, smaller first; no two entries have the same. Those of `connections` come behind.",
)
DIRECTION: Key[Way] = Key(
    "direction",
    choice({way.value: way for way in Way}),
    "both",
    "Which way the packets go; `protect` is always about both.",
)
LOCAL: Key[Addresses] = Key(
    "local",
    ADDRESSES,
    "any",
    "Addresses at our end: sources of what leaves. A mask may have holes. With a `child`, the default is what"
    " its `local_ts` has.",
)
REMOTE: Key[Addresses] = Key(
    "remote",
    ADDRESSES,
    "any",
    "Addresses at the other end: destinations of what leaves. With a `child`, the default is what its"
    " `remote_ts` has.",
)
PROTOCOL: Key[tuple[int, ...]] = Key(
    "protocol", PROTOCOLS, "any", "Next layer protocols, behind IPv6 extension headers; `esp` and `ah` too."
)
LOCAL_PORTS: Key[tuple[tuple[int, int], ...]] = Key(
    "local_ports",
    PORTS,
    "any",
    "Ports at our end; `opaque` selects packets that show none, such as fragments behind the first.",
)
REMOTE_PORTS: Key[tuple[tuple[int, int], ...]] = Key("remote_ports", PORTS, "any", "Ports at the other end.")
LOCAL_TYPES: Key[tuple[MessageTypes, ...] | AllTypes] = Key(
    "local_types",
    TYPES,
    "any",
    "Messages of ICMP, types and codes, or of the Mobility Header, types, that our end sends;"
    " `opaque` is none of them.",
)
REMOTE_TYPES: Key[tuple[MessageTypes, ...] | AllTypes] = Key(
    "remote_types", TYPES, "any", "Messages that the other end sends."
)
TOS: OptionalKey[Masked] = OptionalKey("tos", OCTET_BITS, "any", "TOS of IPv4; IPv6 packets have none.")
TRAFFIC_CLASS: OptionalKey[Masked] = OptionalKey(
    "traffic_class", OCTET_BITS, "any", "Traffic class of IPv6; IPv4 packets have none."
)
FLOW_LABEL: OptionalKey[int] = OptionalKey(
    "flow_label", number(0, LARGEST_FLOW_LABEL), "any", "Flow label of IPv6."
)
LEVEL: OptionalKey[tuple[int, int]] = OptionalKey(
    "level",
    LEVELS,
    "any",
    "Sensitivity levels, of a label of CIPSO in IPv4's options or of CALIPSO in IPv6's; a packet without one"
    " is not selected.",
)
USER: OptionalKey[int] = OptionalKey(
    "user",
    USERS,
    "anyone",
    "The user of this host whose packets are meant: who made the socket that sends them. What this host only"
    " forwards is nobody's, and so is what arrives. Root cannot be named.",
)
CHILD: OptionalKey[str] = OptionalKey(
    "child",
    Kind("`CONNECTION/CHILD`, or `CHILD` where only one has the name", str),
    "an error with `protect`",
    "Whose SAs protect the traffic; its `local_ts` and `remote_ts` have to allow what the entry selects.",
)
PFP: Key[Populate] = Key(
    "pfp",
    FLAGS,
    "none",
    "Selectors that an SA takes from the packet that asks for it (RFC 4301, section 4.4.1.2): with"
    " `remote`, for instance, each host there has an SA of its own.",
)
ICMP_ERRORS: OptionalKey[IcmpErrors] = OptionalKey(
    "icmp_errors",
    choice({value.value: value for value in IcmpErrors}),
    "what the `child` has",
    "Which ICMP errors its SAs carry; see the same key of children.",
)
POLICY = SectionSchema(
    "<policy>",
    "An entry; its name is up to you.",
    keys=(
        ACTION,
        ORDER,
        DIRECTION,
        LOCAL,
        REMOTE,
        PROTOCOL,
        LOCAL_PORTS,
        REMOTE_PORTS,
        LOCAL_TYPES,
        REMOTE_TYPES,
        TOS,
        TRAFFIC_CLASS,
        FLOW_LABEL,
        LEVEL,
        USER,
        CHILD,
        PFP,
        ICMP_ERRORS,
    ),
)
POLICIES = SectionSchema(
    "policies",
    "Entries of the SPD in so many words (RFC 4301, section 4.4.1), for what children alone do not say."
    " swanctl.conf has no such section.",
    sections=(POLICY,),
)
