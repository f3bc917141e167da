//! Python's plain values, parsed to the engine's types once and for all.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use perilune_engine::{
    AhIntegrity, Change, Direction, Duration, Encapsulation, Instant, Keys, Lifetimes, Limits,
    Path, PolicyId, Ports, Protocol, SaConfig, SaId, SaStats, SelectorPair, SequenceState, Suite,
    SuiteError, TrafficSelector,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::{from_engine, from_value, local_error};
use crate::policy;
use crate::processing::{self, ProcessingValues};

/// `(address, port)`.
pub(crate) type EndpointValues = (String, u16);
/// Local end, remote end.
pub(crate) type PathValues = (EndpointValues, EndpointValues);
/// First and last address as in a packet, protocol, first and last port.
pub(crate) type SelectorValues = (PyBackedBytes, PyBackedBytes, u8, u16, u16);
/// Octets, packets, nanoseconds.
type LimitValues = (Option<u64>, Option<u64>, Option<u64>);

/// Last number used, last one reserved, whether they cycle.
type SequenceValues = (u64, Option<u64>, bool);

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "plain values of Python, which parsing gives a meaning"
)]
struct SaValues {
    spi: u32,
    peer_spi: u32,
    inbound: bool,
    policy: u32,
    path: PathValues,
    udp: bool,
    protocol: u8,
    processing: ProcessingValues,
    lookup: String,
    within: Option<(u32, PathValues)>,
    encryption: u16,
    key_bits: u16,
    integrity: u16,
    encryption_key: PyBackedBytes,
    integrity_key: PyBackedBytes,
    allow_insecure: bool,
    esn: bool,
    replay_window: u32,
    sequence: SequenceValues,
    local: Vec<SelectorValues>,
    remote: Vec<SelectorValues>,
    soft: LimitValues,
    hard: LimitValues,
    ready_after: Option<u32>,
    stateful_fragments: bool,
}

/// A time of the caller's clock, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Now(pub(crate) Instant);

impl<'a, 'py> FromPyObject<'a, 'py> for Now {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> Result<Self, PyErr> {
        read("time", &value).map(|ns| Self(Instant(ns)))
    }
}

/// A path given by Python.
#[derive(Clone, Copy)]
pub(crate) struct PathArgument(pub(crate) Path);

impl<'a, 'py> FromPyObject<'a, 'py> for PathArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> Result<Self, PyErr> {
        path(&read("path", &value)?).map(Self)
    }
}

/// Addresses given by Python.
pub(crate) struct Addresses(pub(crate) Vec<IpAddr>);

impl<'a, 'py> FromPyObject<'a, 'py> for Addresses {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> Result<Self, PyErr> {
        let texts: Vec<String> = read("addresses", &value)?;
        texts
            .iter()
            .map(|text| address(text))
            .collect::<PyResult<_>>()
            .map(Self)
    }
}

/// Parse a transaction.
///
/// Args:
///     values: The changes, in order.
///     `all_sas`: Reads the SAs that the engine has now. With many of them that costs more than the
///         transaction, so it is called only for a change whose meaning depends on them.
pub(crate) fn changes(
    values: &Bound<'_, PyAny>,
    all_sas: impl Fn() -> Vec<SaStats>,
) -> PyResult<Vec<Change>> {
    let mut changes = Vec::new();
    let known = OnceCell::new();
    let sas = || known.get_or_init(&all_sas).as_slice();
    for value in values.try_iter()? {
        let (kind, value): (String, Bound<'_, PyAny>) = read("change", &value?)?;
        match kind.as_str() {
            "add_policy" => changes.push(Change::AddPolicy(policy::config(&read(&kind, &value)?)?)),
            "add_sa" => changes.push(Change::AddSa(Box::new(sa_config(&read(&kind, &value)?)?))),
            "move_sa" => changes.push(move_sa(read(&kind, &value)?, sas())?),
            "remove_policy" => remove_policy(PolicyId(read(&kind, &value)?), sas(), &mut changes),
            "remove_sa" => {
                let (inbound, spi, at): (bool, u32, PathValues) = read(&kind, &value)?;
                changes.push(Change::RemoveSa(sa_id(inbound, spi, path(&at)?)));
            }
            "reserve_sequence" => {
                let (spi, at, until): (u32, PathValues, u64) = read(&kind, &value)?;
                let sa = sa_id(false, spi, path(&at)?);
                changes.push(Change::ReserveSequence { sa, until });
            }
            _ => return Err(local_error(format!("{kind:?} is no change"))),
        }
    }
    Ok(changes)
}

/// Parse an address with an optional number of a scope, as in `fe80::1%2`.
pub(crate) fn address(text: &str) -> PyResult<IpAddr> {
    Ok(endpoint(&(text.to_owned(), 0))?.ip())
}

/// Parse an address as it is in a packet, of either family.
fn packed_address(octets: &[u8]) -> PyResult<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Ok(v4.into());
    }
    <[u8; 16]>::try_from(octets)
        .map(IpAddr::from)
        .map_err(|_| local_error(format!("an IP address has no {} octets", octets.len())))
}

/// Parse a path.
fn path((local, remote): &PathValues) -> PyResult<Path> {
    Ok(Path {
        local: endpoint(local)?,
        remote: endpoint(remote)?,
    })
}

/// Write an endpoint the way [`path`] reads it.
pub(crate) fn endpoint_values(endpoint: SocketAddr) -> EndpointValues {
    let text = match endpoint {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => endpoint.ip().to_string(),
    };
    (text, endpoint.port())
}

fn read<'a, 'py, T>(what: &str, value: &'a Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    value
        .extract()
        .map_err(|error: T::Error| from_value(value.py(), what, &error.into()))
}

fn endpoint((text, port): &EndpointValues) -> PyResult<SocketAddr> {
    let parsed = match text.split_once('%') {
        None => text
            .parse()
            .ok()
            .map(|ip: IpAddr| SocketAddr::new(ip, *port)),
        Some((ip, scope)) => scoped(ip, scope, *port),
    };
    parsed.ok_or_else(|| local_error(format!("{text:?} is no IP address")))
}

fn scoped(ip: &str, scope: &str, port: u16) -> Option<SocketAddr> {
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(SocketAddrV6::new(ip, port, 0, scope.parse().ok()?).into())
}

fn sa_id(inbound: bool, spi: u32, path: Path) -> SaId {
    SaId::new(direction(inbound), spi, path)
}

fn direction(inbound: bool) -> Direction {
    if inbound {
        Direction::Inbound
    } else {
        Direction::Outbound
    }
}

fn encapsulation(udp: bool) -> Encapsulation {
    if udp {
        Encapsulation::Udp
    } else {
        Encapsulation::None
    }
}

/// A moved SA stays in what it travels in.
fn move_sa(
    (inbound, spi, old, new): (bool, u32, PathValues, PathValues),
    sas: &[SaStats],
) -> PyResult<Change> {
    let sa = sa_id(inbound, spi, path(&old)?);
    let named = |stats: &&SaStats| {
        stats.direction == sa.direction
            && stats.spi == sa.spi
            && (inbound || stats.path.remote == sa.remote)
    };
    let Some(found) = sas.iter().find(named) else {
        return Err(local_error(format!("there is no SA {spi:#010x} to move")));
    };
    Ok(Change::MoveSa {
        sa,
        path: path(&new)?,
        encapsulation: found.encapsulation,
    })
}

/// With a policy go its SAs.
fn remove_policy(policy: PolicyId, sas: &[SaStats], changes: &mut Vec<Change>) {
    for sa in sas.iter().filter(|sa| sa.policy == policy) {
        let id = SaId::new(sa.direction, sa.spi, sa.path);
        let gone = |change: &Change| matches!(change, Change::RemoveSa(removed) if *removed == id);
        if !changes.iter().any(gone) {
            changes.push(Change::RemoveSa(id));
        }
    }
    changes.push(Change::RemovePolicy(policy));
}

fn sa_config(values: &SaValues) -> PyResult<SaConfig> {
    let protocol = processing::protocol(values.protocol)?;
    Ok(SaConfig {
        spi: values.spi,
        direction: direction(values.inbound),
        policy: PolicyId(values.policy),
        peer_spi: values.peer_spi,
        path: path(&values.path)?,
        encapsulation: encapsulation(values.udp),
        processing: processing::processing(&values.processing)?,
        lookup: processing::lookup(&values.lookup)?,
        within: within(values.inbound, values.within.as_ref())?,
        suite: suite(protocol, values).map_err(|error| local_error(error.to_string()))?,
        allow_insecure: values.allow_insecure,
        keys: Keys::new(
            values.encryption_key.to_vec(),
            values.integrity_key.to_vec(),
        ),
        esn: values.esn,
        replay_window: values.replay_window,
        sequence: sequence(values.sequence),
        selectors: selector_pair(&values.local, &values.remote)?,
        stateful_fragments: values.stateful_fragments,
        lifetimes: Lifetimes {
            soft: limits(values.soft),
            hard: limits(values.hard),
        },
        ready_after: values.ready_after,
    })
}

/// AH has integrity only; what is said of its encryption counts for nothing.
fn suite(protocol: Protocol, values: &SaValues) -> Result<Suite, SuiteError> {
    match protocol {
        Protocol::Ah => AhIntegrity::from_iana(values.integrity).map(Suite::Ah),
        Protocol::Esp => Suite::from_iana(values.encryption, values.key_bits, values.integrity),
    }
}

fn sequence((used, reserved, cycles): SequenceValues) -> SequenceState {
    SequenceState {
        used,
        reserved,
        cycles,
    }
}

fn within(inbound: bool, values: Option<&(u32, PathValues)>) -> PyResult<Option<SaId>> {
    let Some((spi, at)) = values else {
        return Ok(None);
    };
    Ok(Some(sa_id(inbound, *spi, path(at)?)))
}

fn limits((octets, packets, ns): LimitValues) -> Limits {
    Limits {
        octets,
        packets,
        time: ns.map(Duration),
    }
}

pub(crate) fn selector_pair(
    local: &[SelectorValues],
    remote: &[SelectorValues],
) -> PyResult<SelectorPair> {
    let all = |values: &[SelectorValues]| values.iter().map(selector).collect::<PyResult<Vec<_>>>();
    Ok(SelectorPair::new(all(local)?, all(remote)?))
}

fn selector(values: &SelectorValues) -> PyResult<TrafficSelector> {
    let (first, last, protocol, first_port, last_port) = values;
    let addresses = packed_address(first)?..=packed_address(last)?;
    Ports::from_range(*first_port, *last_port)
        .and_then(|ports| TrafficSelector::new(addresses, *protocol, ports))
        .map_err(|error| from_engine(&error))
}
