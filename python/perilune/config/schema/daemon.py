"""Keys of `daemon`, the section that swanctl.conf has not."""

from __future__ import annotations

import re
from pathlib import Path as FilePath

from perilune.config.schema.section import Key, OptionalKey, SectionSchema
from perilune.config.settings import LogLevel, Unmatched
from perilune.config.values import (
    FINE_TIME,
    PORT,
    SIZE,
    TIME,
    YES_NO,
    Kind,
    choice,
    fraction,
    nearest,
    number,
    quote,
    words,
)
from perilune.dataplane.icmp import ALL_ERRORS, ERRORS, IcmpKind
from perilune.model.errors import ConfigError
from perilune.model.time import Duration

_ICMP = re.compile(r"(icmp|icmpv6)/([0-9]{1,3})(?:/([0-9]{1,3}))?")
_LARGEST_OCTET = 255
_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
LONGEST_SOCKET_PATH_OCTETS = 107
"""What fits into an address of unix(7)."""


def _read_device(text: str) -> str:
    if not _DEVICE.fullmatch(text) or text in (".", ".."):
        raise ConfigError(
            f"{quote(text)} is no name of a device: at most 15 letters, digits, '-', '_' and '.'"
        )
    return text


def _read_socket(text: str) -> FilePath:
    path = _read_path(text.removeprefix("unix://"))
    if len(bytes(path)) > LONGEST_SOCKET_PATH_OCTETS:
        raise ConfigError(f"a socket's path has at most {LONGEST_SOCKET_PATH_OCTETS} octets")
    return path


def _read_path(text: str) -> FilePath:
    path = FilePath(text)
    if not path.is_absolute():
        raise ConfigError(f"{quote(text)} is no absolute path")
    return path


def _read_icmp(text: str) -> tuple[IcmpKind, ...]:
    if text.strip().lower() == "none":
        return ()
    kinds = (kind for word in words(text) for kind in _read_icmp_word(word.lower()))
    return tuple(dict.fromkeys(kinds))


def _read_icmp_word(word: str) -> tuple[IcmpKind, ...]:
    if word == "all":
        return ALL_ERRORS
    if word in ERRORS:
        return ERRORS[word]
    match = _ICMP.fullmatch(word)
    if not match:
        names = ", ".join([*ERRORS, "all", "none"])
        raise ConfigError(
            f"{quote(word)} is not one of {names}, nor as icmp/3, icmp/3/4 or icmpv6/1",
            nearest=nearest(word, [*ERRORS]),
        )
    version, type_, code = match.groups()
    numbers = [int(number_) for number_ in (type_, code) if number_ is not None]
    if max(numbers) > _LARGEST_OCTET:
        raise ConfigError(f"in {quote(word)}, type and code are 0 to {_LARGEST_OCTET}")
    return (IcmpKind(6 if version == "icmpv6" else 4, *numbers),)


_ICMP_KINDS: Kind[tuple[IcmpKind, ...]] = Kind(
    f"list of {', '.join(f'`{name}`' for name in ERRORS)}, `icmp/TYPE[/CODE]` and `icmpv6/TYPE[/CODE]`;"
    " `all`, `none`",
    _read_icmp,
)

PLACEMENT: Key[bool] = Key(
    "placement",
    choice({"tun": False, "wire": True}),
    "tun",
    "Where IPsec is: at a `tun` device of this host or gateway, or in the `wire` between two interfaces.",
)
INSIDE: OptionalKey[str] = OptionalKey(
    "inside",
    Kind("name", _read_device),
    "an error in the wire",
    "The interface to the protected side, with `placement = wire`.",
)
OUTSIDE: OptionalKey[str] = OptionalKey(
    "outside",
    Kind("name", _read_device),
    "an error in the wire",
    "The interface to the unprotected side, with `placement = wire`.",
)
UNMATCHED: Key[Unmatched] = Key(
    "unmatched",
    choice({one.value: one for one in Unmatched}),
    "pass",
    "What becomes of IP packets in the wire that no policy selects.",
)
TUN: Key[str] = Key("tun", Kind("name", _read_device), "perilune0", "Name of the TUN device.")
MTU: Key[int] = Key(
    "mtu", number(576, 65535), "1400", "MTU of the TUN device: what fits through the tunnel in one piece."
)
WORKERS: OptionalKey[int] = OptionalKey(
    "workers",
    number(1, 64),
    "as many as the daemon has processors, at most 8",
    "How many threads carry packets; see [Threads](threads.md).",
)
ICMP_UNPROTECTED: Key[tuple[IcmpKind, ...]] = Key(
    "icmp_unprotected",
    _ICMP_KINDS,
    "too-big",
    "ICMP errors about packets of SAs that are accepted from the network, where nobody authenticates them;"
    " see [ICMP errors](icmp-errors.md).",
)
ICMP_PROTECTED: Key[tuple[IcmpKind, ...]] = Key(
    "icmp_protected",
    _ICMP_KINDS,
    "too-big, unreachable, time-exceeded, parameter-problem",
    "ICMP errors to this host that are accepted from sources behind it, in the clear.",
)
LEAST_PATH_MTU: Key[int] = Key(
    "least_path_mtu", number(68, 65535), "576", "Least path MTU over IPv4 that an ICMP error is believed."
)
VICI: Key[FilePath] = Key(
    "vici",
    Kind("`unix://` and an absolute path", _read_socket),
    "unix:///run/perilune.vici",
    "The control socket.",
)
PORT_KEY: Key[int] = Key("port", PORT, "500", "UDP port of IKE.")
PORT_NAT_T: Key[int] = Key("port_nat_t", PORT, "4500", "UDP port of IKE and ESP together, for NATs.")
INSTALL_ROUTES: Key[bool] = Key("install_routes", YES_NO, "yes", "Install routes to the remote selectors.")
ENFORCE_POLICY: OptionalKey[bool] = OptionalKey(
    "enforce_policy",
    YES_NO,
    "`yes`, where the program `nft` is installed",
    "Keep what is to be protected from passing in the clear, also while a child has no SA and while no daemon"
    " runs; see [In the clear](in-the-clear.md).",
)
ROUTING_TABLE: Key[int] = Key("routing_table", number(1, 2**32 - 1), "220", "The table they go to.")
ROUTING_TABLE_PRIO: Key[int] = Key(
    "routing_table_prio", number(1, 2**32 - 1), "220", "Priority of the rule that has that table asked."
)
FWMARK: Key[int] = Key(
    "fwmark",
    number(0, 2**32 - 1),
    "0xdc",
    "Mark on the daemon's own packets, which must not enter the tunnel again; `0` is none.",
)
KEYLOG: OptionalKey[FilePath] = OptionalKey(
    "keylog",
    Kind("absolute path", _read_path),
    "off",
    "Directory that gets the keys of every SA, for Wireshark. Whoever reads them reads the traffic.",
)
LOG: Key[LogLevel] = Key(
    "log", choice({level.value: level for level in LogLevel}), "info", "Least severity that is logged."
)
AUDIT_LOG: OptionalKey[FilePath] = OptionalKey(
    "audit_log",
    Kind("absolute path", _read_path),
    "off",
    "File for the audit log; see [Auditing](auditing.md).",
)
AUDIT_LOG_SIZE: Key[int] = Key(
    "audit_log_size",
    SIZE,
    "64m",
    "Size from which on a new file is begun and the old one put aside; `0` never.",
)
SEQUENCE_FILE: OptionalKey[FilePath] = OptionalKey(
    "sequence_file",
    Kind("absolute path", _read_path),
    "none",
    "File that keeps the sequence numbers of `sas` over restarts; see [Manual keys](manual-keys.md).",
)
COOKIE_THRESHOLD: Key[int] = Key(
    "half_open_cookie_threshold",
    number(0, 1_000_000),
    "30",
    "Half-open IKE SAs from which on a cookie is demanded; `0` always demands one.",
)
RETRANSMIT_TRIES: Key[int] = Key(
    "retransmit_tries", number(0, 100), "5", "Retransmissions of a request before its peer counts as lost."
)
RETRANSMIT_TIMEOUT: Key[Duration] = Key(
    "retransmit_timeout", FINE_TIME, "4", "Wait before the first retransmission."
)
RETRANSMIT_BASE: Key[float] = Key(
    "retransmit_base", fraction(1, 10), "1.8", "Each wait is so many times the one before."
)
RETRANSMIT_LIMIT: Key[Duration] = Key(
    "retransmit_limit", FINE_TIME, "0", "Longest wait between two retransmissions; `0` is no such limit."
)
KEEP_ALIVE: Key[Duration] = Key(
    "keep_alive", TIME, "20s", "Silence after which a NAT's mapping is refreshed; `0` never."
)

DAEMON = SectionSchema(
    "daemon",
    "The daemon itself. swanctl.conf has no such section; strongSwan keeps these in strongswan.conf.",
    keys=(
        PLACEMENT,
        TUN,
        INSIDE,
        OUTSIDE,
        UNMATCHED,
        WORKERS,
        MTU,
        ICMP_UNPROTECTED,
        ICMP_PROTECTED,
        LEAST_PATH_MTU,
        VICI,
        PORT_KEY,
        PORT_NAT_T,
        INSTALL_ROUTES,
        ENFORCE_POLICY,
        ROUTING_TABLE,
        ROUTING_TABLE_PRIO,
        FWMARK,
        KEYLOG,
        LOG,
        AUDIT_LOG,
        AUDIT_LOG_SIZE,
        SEQUENCE_FILE,
        COOKIE_THRESHOLD,
        RETRANSMIT_TRIES,
        RETRANSMIT_TIMEOUT,
        RETRANSMIT_BASE,
        RETRANSMIT_LIMIT,
        KEEP_ALIVE,
    ),
)
