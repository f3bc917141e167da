"""`sas.<sa>` to a `ManualSa`, and what is wrong with several of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perilune.config.problems import InvalidConfigError, Problems
from perilune.config.reader import Reader
from perilune.config.schema import manual_sa as keys
from perilune.config.schema.manual_sa import is_sa_name
from perilune.config.schema.section import Key, OptionalKey
from perilune.config.settings import DaemonSettings
from perilune.config.suites import read_suite
from perilune.config.tree import Place, Section, Value
from perilune.databases.manual import ManualKeys, ManualSa, conflicts
from perilune.databases.pad import ChildSelector, DynamicSelector
from perilune.databases.processing import InnerAddresses, Lookup, Mode, Processing, SecurityProtocol
from perilune.databases.sad import Encapsulation, EspKeys, Lifetime, Limits
from perilune.model.address import IKE_PORT, Endpoint, IpAddress, Path
from perilune.model.errors import ConfigError
from perilune.model.iana import IntegId, SnId
from perilune.model.proposal import INTEG_KEY_OCTETS, EspSuite
from perilune.model.secret import Secret
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi

_AnyKey = Key[object] | OptionalKey[object]


def read_manual_sa(reader: Reader, daemon: DaemonSettings) -> ManualSa | None:
    """Return an SA, or None after noting at the reader's problems why it is none."""
    suite = _suite(reader)
    path = _path(reader, daemon)
    inner = _inner(reader)
    if suite is None or path is None:
        return None
    inbound = _keys(reader, suite, keys.SPI_IN, keys.ENCRYPTION_KEY_IN, keys.INTEGRITY_KEY_IN)
    outbound = _keys(reader, suite, keys.SPI_OUT, keys.ENCRYPTION_KEY_OUT, keys.INTEGRITY_KEY_OUT)
    if inbound is None and outbound is None:
        if not any(reader.has(key) for key in (keys.SPI, keys.SPI_IN, keys.SPI_OUT)):
            reader.error("it has neither spi_in nor spi_out")
        return None
    ends = (inner.local, inner.remote) if inner else (path.local.address, path.remote.address)
    sa = ManualSa(
        name=reader.name,
        inbound=inbound,
        outbound=outbound,
        protocol=reader.get(keys.PROTOCOL),
        processing=_processing(reader, inner),
        lookup=reader.get(keys.LOOKUP),
        path=path,
        encapsulation=reader.get(keys.ENCAP),
        suite=suite,
        allow_insecure=reader.get(keys.ALLOW_INSECURE),
        local=_resolved(reader.get(keys.LOCAL_TS), ends[0]),
        remote=_resolved(reader.get(keys.REMOTE_TS), ends[1]),
        replay_window_packets=reader.get(keys.REPLAY_WINDOW),
        sequence_cycles=reader.get(keys.SEQUENCE_OVERFLOW),
        lifetime=_lifetime(reader),
        priority=reader.get(keys.PRIORITY) or None,
        within=reader.find(keys.WITHIN),
    )
    _check(reader, sa, daemon)
    return sa


def manual_sa_of(name: str, values: Mapping[str, str], daemon: DaemonSettings) -> ManualSa:
    """Return the SA that some keys and values mean, as they stand in a section of that name.

    Raises:
        InvalidConfigError: It is none; all that is wrong is told at once.
    """
    nowhere = Place(None, 1)
    if not is_sa_name(name):
        raise InvalidConfigError([ConfigError("this is no name of an SA", key="sas")])
    section = Section(name, nowhere, values={key: Value(text, nowhere) for key, text in values.items()})
    problems = Problems()
    sa = read_manual_sa(Reader(section, keys.MANUAL_SA, problems, ("sas", name)), daemon)
    try:
        problems.raise_errors()
    except InvalidConfigError as error:
        told = [ConfigError(one.message, key=one.key, nearest=one.nearest) for one in error.errors]
        raise InvalidConfigError(told) from error
    if sa is None:
        raise InvalidConfigError([ConfigError("there is no SA in it", key=f"sas.{name}")])
    return sa


def check_together(readers: Sequence[Reader], sas: Sequence[ManualSa | None]) -> None:
    """Note what is wrong with SAs beside each other."""
    by_name = {sa.name: reader for reader, sa in zip(readers, sas, strict=True) if sa is not None}
    for conflict in conflicts([sa for sa in sas if sa is not None]):
        by_name[conflict.sa].error(conflict.reason, _KEYS[conflict.key])


_KEYS: dict[str, _AnyKey] = {
    "key_in": keys.ENCRYPTION_KEY_IN,
    "key_out": keys.ENCRYPTION_KEY_OUT,
    "spi_in": keys.SPI_IN,
    "spi_out": keys.SPI_OUT,
    "within": keys.WITHIN,
}


def _suite(reader: Reader) -> EspSuite | None:
    text, protocol = reader.find(keys.PROPOSAL), reader.get(keys.PROTOCOL)
    if text is None:
        reader.error("it names no algorithms", keys.PROPOSAL)
        return None
    try:
        return read_suite(text, protocol)
    except ConfigError as error:
        nearest = f" (did you mean '{error.nearest}'?)" if error.nearest else ""
        reader.error(f"{error.message}{nearest}", keys.PROPOSAL)
        return None


def _path(reader: Reader, daemon: DaemonSettings) -> Path | None:
    local, remote = _both(reader, keys.LOCAL_ADDRS, keys.REMOTE_ADDRS)
    if local is None or remote is None:
        for address, key in ((local, keys.LOCAL_ADDRS), (remote, keys.REMOTE_ADDRS)):
            if address is None and not reader.has(key):
                reader.error(f"{key.name} is missing, and has to be one address")
        return None
    if reader.get(keys.ENCAP) is Encapsulation.UDP:
        ports = daemon.port_nat_t, reader.get(keys.REMOTE_PORT)
    else:
        if reader.has(keys.REMOTE_PORT):
            reader.error("this is for 'encap = udp' only", keys.REMOTE_PORT)
        ports = IKE_PORT, IKE_PORT
    return Path(Endpoint(local, ports[0]), Endpoint(remote, ports[1]))


def _inner(reader: Reader) -> InnerAddresses | None:
    local, remote = _both(reader, keys.INNER_LOCAL, keys.INNER_REMOTE)
    is_beet = reader.get(keys.MODE) is Mode.BEET
    for address, key in ((local, keys.INNER_LOCAL), (remote, keys.INNER_REMOTE)):
        if is_beet and address is None and not reader.has(key):
            reader.error(f"mode beet needs {key.name}", keys.MODE)
        elif not is_beet and address is not None:
            reader.error("this is for mode beet only", key)
    if reader.has(keys.DESTINATION_OPTIONS) and reader.get(keys.MODE) not in {Mode.ANY, Mode.TRANSPORT}:
        reader.error("this is for mode transport only", keys.DESTINATION_OPTIONS)
    return InnerAddresses(local, remote) if is_beet and local and remote else None


def _both(
    reader: Reader, local_key: OptionalKey[IpAddress], remote_key: OptionalKey[IpAddress]
) -> tuple[IpAddress | None, IpAddress | None]:
    local, remote = reader.find(local_key), reader.find(remote_key)
    if local and remote and local.version != remote.version:
        reader.error(f"{local_key.name} and {remote_key.name} are of different families", remote_key)
    return local, remote


def _keys(
    reader: Reader,
    suite: EspSuite,
    spi_key: OptionalKey[int],
    encryption_key: OptionalKey[Secret],
    integrity_key: OptionalKey[Secret],
) -> ManualKeys | None:
    """Return one direction; None where it has no SPI, or after noting what is wrong with its keys."""
    spi = reader.find(spi_key) or reader.find(keys.SPI)
    if spi is None:
        for key in (encryption_key, integrity_key):
            if reader.has(key):
                reader.error(f"without {spi_key.name} there is no such direction", key)
        return None
    encryption = _key(
        reader, suite.encryption.keying_octets, str(suite.encryption), encryption_key, keys.ENCRYPTION_KEY
    )
    integrity = _key(
        reader, INTEG_KEY_OCTETS[suite.integrity], _integrity_name(suite), integrity_key, keys.INTEGRITY_KEY
    )
    if encryption is None or integrity is None:
        return None
    return ManualKeys(Spi(spi), EspKeys(encryption, integrity))


def _integrity_name(suite: EspSuite) -> str:
    return "this proposal" if suite.integrity is IntegId.NONE else suite.integrity.name


def _key(
    reader: Reader,
    octets: int,
    algorithm: str,
    own: OptionalKey[Secret],
    common: OptionalKey[Secret],
) -> Secret | None:
    """Return the key of one direction, or of both; None after noting that its length is wrong."""
    key = own if reader.has(own) else common
    secret = reader.find(key) or Secret(b"")
    if len(secret) == octets:
        return secret
    if not reader.has(key):
        reader.error(f"{algorithm} needs {own.name} or {common.name} with {octets} octets")
    elif secret:
        reader.error(f"the key has {len(secret)} octets; {algorithm} takes {octets}", key)
    return None


def _processing(reader: Reader, inner: InnerAddresses | None) -> Processing:
    mode = reader.get(keys.MODE)
    return Processing(
        mode=Mode.TUNNEL if mode is Mode.BEET and inner is None else mode,
        inner=inner,
        df=reader.get(keys.DF),
        dscp=reader.get(keys.DSCP),
        hop_limit=reader.get(keys.HOP_LIMIT),
        flow_label=reader.get(keys.FLOW_LABEL),
        fragmentation=reader.get(keys.FRAGMENTATION),
        tfc=reader.get(keys.TFC_PADDING),
        dummies=reader.get(keys.DUMMY_RATE),
        destination_options=reader.get(keys.DESTINATION_OPTIONS),
        path_mtu=reader.get(keys.PATH_MTU),
        path_mtu_age=reader.get(keys.PATH_MTU_AGE),
        believe_icmp=reader.get(keys.BELIEVE_ICMP),
    )


def _resolved(selectors: Sequence[ChildSelector], end: IpAddress) -> tuple[TrafficSelector, ...]:
    return tuple(
        TrafficSelector(end, end, one.protocol, one.first_port, one.last_port)
        if isinstance(one, DynamicSelector)
        else one
        for one in selectors
    )


def _lifetime(reader: Reader) -> Lifetime:
    for soft, hard in ((keys.SOFT_BYTES, keys.HARD_BYTES), (keys.SOFT_PACKETS, keys.HARD_PACKETS)):
        _check_order(reader, soft, hard, reader.get(soft), reader.get(hard))
    times = reader.get(keys.SOFT_TIME).ns, reader.get(keys.HARD_TIME).ns
    _check_order(reader, keys.SOFT_TIME, keys.HARD_TIME, *times)
    return Lifetime(
        soft=Limits(
            octets=reader.get(keys.SOFT_BYTES) or None,
            packets=reader.get(keys.SOFT_PACKETS) or None,
            time=reader.get(keys.SOFT_TIME) or None,
        ),
        hard=Limits(
            octets=reader.get(keys.HARD_BYTES) or None,
            packets=reader.get(keys.HARD_PACKETS) or None,
            time=reader.get(keys.HARD_TIME) or None,
        ),
    )


def _check_order(reader: Reader, soft: _AnyKey, hard: _AnyKey, early: int, late: int) -> None:
    if early and late and early >= late:
        reader.error(f"{soft.name} is not less than {hard.name}", soft)


def _check(reader: Reader, sa: ManualSa, daemon: DaemonSettings) -> None:
    """Note what single values do not show."""
    if sa.protocol is SecurityProtocol.AH and sa.processing.tfc:
        reader.error("AH has no padding", keys.TFC_PADDING)
    if sa.protocol is SecurityProtocol.AH and sa.processing.dummies:
        reader.error("AH has no dummy packets", keys.DUMMY_RATE)
    if sa.protocol is SecurityProtocol.AH and sa.encapsulation is Encapsulation.UDP:
        reader.error("AH does not travel in UDP: what it protects includes the addresses", keys.ENCAP)
    if sa.lookup is not Lookup.SPI and sa.inbound is None:
        reader.error("this says how an inbound SA is found, and there is none", keys.LOOKUP)
    if not {one.version for one in sa.local} & {one.version for one in sa.remote}:
        reader.error("local_ts and remote_ts have no address family in common", keys.REMOTE_TS)
    _check_ends(reader, sa)
    _check_insecure(reader, sa)
    _check_sequence(reader, sa, daemon)


def _check_ends(reader: Reader, sa: ManualSa) -> None:
    """Note traffic selectors of transport mode that no packet between the two ends fits."""
    if sa.processing.mode is not Mode.TRANSPORT:
        return
    sides = [(keys.LOCAL_TS, sa.local, sa.path.local.address)]
    if sa.lookup is not Lookup.SPI_DESTINATION:  # then anyone may be the sender
        sides.append((keys.REMOTE_TS, sa.remote, sa.path.remote.address))
    for key, selectors, end in sides:
        if not any(one.contains_address(end) for one in selectors):
            reader.error(
                f"mode transport is for packets of the two ends themselves, and {end} is not in here;"
                " 'mode = tunnel' is for networks",
                key,
            )


def _check_insecure(reader: Reader, sa: ManualSa) -> None:
    if not sa.suite.has_integrity and sa.replay_window_packets:
        reader.error(
            "without integrity there is no replay protection (RFC 4303, section 3.4.3)", keys.REPLAY_WINDOW
        )
    if sa.suite.is_insecure and sa.allow_insecure:
        reader.warn(f"{sa.suite}: insecure, for old peers only (RFC 8221)", keys.PROPOSAL)
    elif sa.suite.is_insecure:
        reader.error(
            f"{sa.suite}: insecure, and taken only with 'allow_insecure = yes' here (RFC 8221)", keys.PROPOSAL
        )


def _check_sequence(reader: Reader, sa: ManualSa, daemon: DaemonSettings) -> None:
    is_long = sa.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64
    if sa.sequence_cycles and (sa.replay_window_packets or sa.suite.uses_counter or is_long):
        reader.error(
            "a sequence number may come again only without replay protection, esn and counter mode"
            " (RFC 4303, section 3.3.3)",
            keys.SEQUENCE_OVERFLOW,
        )
    if is_long and not sa.replay_window_packets:
        reader.warn("esn without a replay window (RFC 4303, section 3.3.3)", keys.PROPOSAL)
    if not sa.needs_sequence:
        return
    key, why = (
        (keys.PROPOSAL, f"{sa.suite} is a counter mode (RFC 8221, section 3)")
        if sa.suite.uses_counter
        else (keys.REPLAY_WINDOW, "the peer would drop them (RFC 4303, section 3.3.3)")
    )
    if daemon.sequence_file is None:
        reader.error(
            f"sequence numbers must not begin again with the next start, as {why};"
            " daemon.sequence_file names a file to keep them in",
            key,
        )
    elif sa.suite.uses_counter:
        reader.warn(f"{why}: the file of daemon.sequence_file must never be lost or restored", key)
