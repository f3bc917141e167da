"""`daemon` to `DaemonSettings`."""

from __future__ import annotations

from perilune.config.reader import Reader
from perilune.config.schema import daemon as keys
from perilune.config.schema.section import Key, OptionalKey
from perilune.config.settings import DaemonSettings
from perilune.dataplane.placement import Wire

Keys = tuple[Key[object] | OptionalKey[object], ...]

_IN_THE_WIRE: Keys = (keys.INSIDE, keys.OUTSIDE, keys.UNMATCHED)
_AT_A_DEVICE: Keys = (keys.TUN, keys.INSTALL_ROUTES, keys.ROUTING_TABLE, keys.ROUTING_TABLE_PRIO)
_SMALLEST_IPV6_MTU = 1280
"""RFC 8200, section 5."""


def read_daemon(reader: Reader) -> DaemonSettings:
    """Return the daemon's settings; mistakes are noted at the reader's problems."""
    settings = DaemonSettings(
        tun=reader.get(keys.TUN),
        wire=_read_wire(reader),
        unmatched=reader.get(keys.UNMATCHED),
        workers=reader.find(keys.WORKERS),
        mtu=reader.get(keys.MTU),
        icmp_unprotected=reader.get(keys.ICMP_UNPROTECTED),
        icmp_protected=reader.get(keys.ICMP_PROTECTED),
        least_path_mtu=reader.get(keys.LEAST_PATH_MTU),
        vici=reader.get(keys.VICI),
        port=reader.get(keys.PORT_KEY),
        port_nat_t=reader.get(keys.PORT_NAT_T),
        install_routes=reader.get(keys.INSTALL_ROUTES),
        enforce_policy=reader.find(keys.ENFORCE_POLICY),
        routing_table=reader.get(keys.ROUTING_TABLE),
        routing_table_prio=reader.get(keys.ROUTING_TABLE_PRIO),
        fwmark=reader.get(keys.FWMARK),
        keylog=reader.find(keys.KEYLOG),
        log=reader.get(keys.LOG),
        audit_log=reader.find(keys.AUDIT_LOG),
        audit_log_octets=reader.get(keys.AUDIT_LOG_SIZE),
        sequence_file=reader.find(keys.SEQUENCE_FILE),
        half_open_cookie_threshold=reader.get(keys.COOKIE_THRESHOLD),
        retransmit_tries=reader.get(keys.RETRANSMIT_TRIES),
        retransmit_timeout=reader.get(keys.RETRANSMIT_TIMEOUT),
        retransmit_base=reader.get(keys.RETRANSMIT_BASE),
        retransmit_limit=reader.get(keys.RETRANSMIT_LIMIT),
        keep_alive=reader.get(keys.KEEP_ALIVE),
    )
    if settings.port == settings.port_nat_t:
        reader.error("port and port_nat_t are the same", keys.PORT_NAT_T)
    if not settings.retransmit_timeout:
        reader.error("a retransmission cannot follow at once", keys.RETRANSMIT_TIMEOUT)
    if settings.mtu < _SMALLEST_IPV6_MTU:
        reader.warn(f"no IPv6 passes a device with an MTU below {_SMALLEST_IPV6_MTU}", keys.MTU)
    if settings.keylog:
        reader.warn("the keys of every SA are written to files", keys.KEYLOG)
    return settings


def _read_wire(reader: Reader) -> Wire | None:
    """Return the interfaces, if IPsec is between two; keys of the other placement are mistakes."""
    if not reader.get(keys.PLACEMENT):
        _refuse(reader, _IN_THE_WIRE, "this is for `placement = wire` only")
        return None
    _refuse(reader, _AT_A_DEVICE, "there is no TUN device, and no route into it, with `placement = wire`")
    inside, outside = reader.find(keys.INSIDE), reader.find(keys.OUTSIDE)
    if inside is None or outside is None:
        message = "with `placement = wire`, both `inside` and `outside` must name an interface"
        reader.error(message, keys.PLACEMENT)
        return None
    if inside == outside:
        reader.error("inside and outside are the same interface", keys.OUTSIDE)
    return Wire(inside, outside)


def _refuse(reader: Reader, refused: Keys, message: str) -> None:
    for key in refused:
        if reader.has(key):
            reader.error(message, key)
