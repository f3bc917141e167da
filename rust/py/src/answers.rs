//! The engine's events and statistics as plain Python values.

use perilune_engine::{Action, Direction, Encapsulation, Event, Limit, SaStats, Stats};
use perilune_io::{IoDrop, IoEvent};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::values::{PathValues, endpoint_values};

/// An event of the engine: its name, then its values.
pub(crate) fn engine_event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
    match event {
        Event::Acquire { policy, flow } => {
            let (source, destination) = (flow.source().to_string(), flow.destination().to_string());
            (
                "acquire",
                policy.0,
                source,
                destination,
                flow.protocol(),
                flow.ports(),
            )
                .into_pyobject(py)
        }
        Event::Audit {
            reason,
            spi,
            source,
            destination,
            sequence,
            flow_label,
            time,
        } => {
            let ends = (source.to_string(), destination.to_string());
            (
                "audit",
                reason.counter(),
                time.0,
                (spi, sequence),
                ends,
                flow_label,
            )
                .into_pyobject(py)
        }
        Event::HardExpire {
            spi,
            peer_spi,
            direction,
            policy,
            limit,
        } => {
            let inbound = *direction == Direction::Inbound;
            (
                "hard_expire",
                inbound,
                spi,
                peer_spi,
                policy.0,
                limit_name(*limit),
            )
                .into_pyobject(py)
        }
        Event::PeerMoved {
            spi,
            old,
            new,
            local,
        } => {
            let path = (endpoint_values(*local), endpoint_values(*new));
            ("peer_moved", spi, endpoint_values(*old), path).into_pyobject(py)
        }
        Event::SequenceExhausted {
            spi,
            peer_spi,
            policy,
        } => ("sequence_exhausted", spi, peer_spi, policy.0).into_pyobject(py),
        Event::SequenceLow {
            spi,
            peer_spi,
            policy,
        } => ("sequence_low", spi, peer_spi, policy.0).into_pyobject(py),
        Event::SoftExpire {
            spi,
            peer_spi,
            direction,
            policy,
            limit,
        } => {
            let inbound = *direction == Direction::Inbound;
            (
                "soft_expire",
                inbound,
                spi,
                peer_spi,
                policy.0,
                limit_name(*limit),
            )
                .into_pyobject(py)
        }
        Event::UnknownSpi {
            spi,
            from,
            encapsulated,
        } => ("unknown_spi", spi, endpoint_values(*from), encapsulated).into_pyobject(py),
    }
}

/// An event of the devices and sockets.
pub(crate) fn io_event(py: Python<'_>, event: IoEvent) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        IoEvent::DeviceLost { name, reason } => ("device_lost", name, reason).into_pyobject(py),
        IoEvent::IkeDatagram {
            local,
            remote,
            encapsulated,
            data,
        } => {
            let path = (endpoint_values(local), endpoint_values(remote));
            ("ike_datagram", path, encapsulated, PyBytes::new(py, &data)).into_pyobject(py)
        }
    }
}

/// The engine's statistics, without any of devices and sockets.
pub(crate) fn engine_stats<'py>(py: Python<'py>, stats: &Stats) -> PyResult<Bound<'py, PyDict>> {
    let answer = PyDict::new(py);
    let sas = stats
        .sas
        .iter()
        .map(|sa| sa_stats(py, sa))
        .collect::<PyResult<Vec<_>>>()?;
    answer.set_item("sas", sas)?;
    let policies = stats.policies.iter().map(|policy| {
        (
            policy.id.0,
            action_name(policy.action),
            policy.packets,
            policy.octets,
            policy.held,
        )
    });
    answer.set_item("policies", policies.collect::<Vec<_>>())?;
    answer.set_item("drops", engine_drops(stats))?;
    answer.set_item("events_lost", stats.events_lost)?;
    answer.set_item("work", PyDict::new(py))?;
    Ok(answer)
}

/// The statistics of engine, devices and sockets.
pub(crate) fn runtime_stats<'py>(
    py: Python<'py>,
    stats: &Stats,
    drops: Vec<(IoDrop, u64)>,
    work: Vec<(&'static str, u64)>,
) -> PyResult<Bound<'py, PyDict>> {
    let answer = engine_stats(py, stats)?;
    let of_io = drops
        .into_iter()
        .map(|(drop, count)| (drop.name(), drop.text(), false, count));
    answer.set_item(
        "drops",
        engine_drops(stats)
            .into_iter()
            .chain(of_io)
            .collect::<Vec<_>>(),
    )?;
    let counts = PyDict::new(py);
    for (name, count) in work {
        counts.set_item(name, count)?;
    }
    answer.set_item("work", counts)?;
    Ok(answer)
}

/// Counter, text, whether it is audited, packets.
fn engine_drops(stats: &Stats) -> Vec<(&'static str, &'static str, bool, u64)> {
    let drops = stats.drops.iter();
    drops
        .map(|(r, count)| (r.counter(), r.text(), r.is_auditable(), *count))
        .collect()
}

fn sa_stats<'py>(py: Python<'py>, sa: &SaStats) -> PyResult<Bound<'py, PyDict>> {
    let path: PathValues = (
        endpoint_values(sa.path.local),
        endpoint_values(sa.path.remote),
    );
    let answer = PyDict::new(py);
    answer.set_item("spi", sa.spi)?;
    answer.set_item("peer_spi", sa.peer_spi)?;
    answer.set_item("inbound", sa.direction == Direction::Inbound)?;
    answer.set_item("policy", sa.policy.0)?;
    answer.set_item("path", path)?;
    answer.set_item("udp", sa.encapsulation == Encapsulation::Udp)?;
    answer.set_item("packets", sa.packets)?;
    answer.set_item("octets", sa.octets)?;
    answer.set_item("errors", sa.errors)?;
    let path_mtu = sa.path_mtu.map(|(mtu, until)| (mtu, until.0));
    answer.set_item("path_mtu", path_mtu)?;
    answer.set_item("added", sa.added.0)?;
    answer.set_item("last_used", sa.last_used.map(|instant| instant.0))?;
    answer.set_item("sequence", sa.sequence)?;
    answer.set_item("replay_window", sa.replay_window)?;
    answer.set_item("ready", sa.ready)?;
    answer.set_item("expired", sa.expired)?;
    Ok(answer)
}

fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Octets => "octets",
        Limit::Packets => "packets",
        Limit::Time => "time",
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Bypass => "bypass",
        Action::Discard => "discard",
        Action::Protect => "protect",
    }
}
