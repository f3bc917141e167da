//! The engine as a library: packets in, packets out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perilune_engine::{
    Direction, Encapsulation, Engine, InboundWorker, OpenedBatch, OutboundWorker, PathInfo,
    Progress, SaId, SealedBatch,
};
use perilune_wire::ip;
use perilune_wire::virtio_net_hdr::{OCTETS, VirtioNetHdr};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::answers::{engine_event, engine_stats};
use crate::errors::from_engine;
use crate::values::{Now, PathArgument, PathValues, endpoint_values};

/// Most events handed over at once.
const EVENTS: usize = 4096;

/// Path, whether in UDP, traffic class, octets.
type SealedValues = (PathValues, bool, u8, Py<PyBytes>);

/// SAD, SPD and ESP in memory.
#[pyclass(name = "Engine", module = "perilune.dataplane._native", frozen)]
pub(crate) struct PyEngine {
    engine: Engine,
    outbound: Mutex<Outbound>,
    inbound: Mutex<Inbound>,
}

struct Outbound {
    worker: OutboundWorker,
    batch: SealedBatch,
    bypassed: Vec<Vec<u8>>,
}

struct Inbound {
    worker: InboundWorker,
    batch: OpenedBatch,
}

#[pymethods]
impl PyEngine {
    #[new]
    fn new() -> Self {
        let engine = Engine::new();
        let outbound = Outbound {
            worker: engine.outbound_worker(),
            batch: SealedBatch::with_capacity(SealedBatch::MIN_OCTETS),
            bypassed: Vec::new(),
        };
        let inbound = Inbound {
            worker: engine.inbound_worker(),
            batch: OpenedBatch::with_capacity(0),
        };
        Self {
            engine,
            outbound: Mutex::new(outbound),
            inbound: Mutex::new(inbound),
        }
    }

    fn apply(&self, py: Python<'_>, changes: &Bound<'_, PyAny>, now_ns: Now) -> PyResult<()> {
        let changes = crate::values::changes(changes, || self.engine.stats().sas)?;
        py.detach(|| self.engine.apply(&changes, now_ns.0))
            .map_err(|error| from_engine(&error))
    }

    fn seal(&self, py: Python<'_>, packet: &[u8], now_ns: Now) -> Vec<SealedValues> {
        let frame = device_frame(packet);
        let seal = |engine: &Engine, worker: &mut _, batch: &mut _| {
            engine.seal(worker, &frame, now_ns.0, batch)
        };
        self.drain_sealed(py, seal, |batch| for_sockets(py, batch))
    }

    fn seal_packet<'py>(
        &self,
        py: Python<'py>,
        packet: &[u8],
        now_ns: Now,
    ) -> Vec<Bound<'py, PyBytes>> {
        let frame = device_frame(packet);
        let seal = |engine: &Engine, worker: &mut _, batch: &mut _| {
            engine.seal(worker, &frame, now_ns.0, batch)
        };
        let sealed = self.drain_sealed(py, seal, SealedBatch::to_packets);
        sealed
            .iter()
            .map(|packet| PyBytes::new(py, packet))
            .collect()
    }

    fn seal_dummy<'py>(
        &self,
        py: Python<'py>,
        spi: u32,
        path: PathArgument,
        octets: u16,
        now_ns: Now,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let id = SaId::new(Direction::Outbound, spi, path.0);
        let mut outbound = lock(py, &self.outbound);
        let Outbound { worker, batch, .. } = &mut *outbound;
        self.engine
            .send_dummy(worker, id, octets, now_ns.0, batch)
            .map_err(|error| from_engine(&error))?;
        let sealed = batch.to_packets();
        batch.clear();
        Ok(sealed
            .iter()
            .map(|packet| PyBytes::new(py, packet))
            .collect())
    }

    fn release_held(&self, py: Python<'_>, now_ns: Now) -> Vec<SealedValues> {
        let release = |engine: &Engine, worker: &mut _, batch: &mut _| {
            engine.release_held(worker, now_ns.0, batch)
        };
        self.drain_sealed(py, release, |batch| for_sockets(py, batch))
    }

    fn release_packets<'py>(&self, py: Python<'py>, now_ns: Now) -> Vec<Bound<'py, PyBytes>> {
        let release = |engine: &Engine, worker: &mut _, batch: &mut _| {
            engine.release_held(worker, now_ns.0, batch)
        };
        let sealed = self.drain_sealed(py, release, SealedBatch::to_packets);
        sealed
            .iter()
            .map(|packet| PyBytes::new(py, packet))
            .collect()
    }

    fn take_replies<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let replies = self.engine.take_replies();
        replies
            .iter()
            .map(|packet| PyBytes::new(py, packet))
            .collect()
    }

    fn note_icmp_error(&self, py: Python<'_>, packet: &[u8], now_ns: Now) -> bool {
        py.detach(|| self.engine.note_icmp_error(packet, now_ns.0))
    }

    fn take_bypassed<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let bypassed = std::mem::take(&mut lock(py, &self.outbound).bypassed);
        bypassed
            .iter()
            .map(|packet| PyBytes::new(py, packet))
            .collect()
    }

    fn open<'py>(
        &self,
        py: Python<'py>,
        esp: &[u8],
        path: PathArgument,
        udp: bool,
        now_ns: Now,
    ) -> Vec<Bound<'py, PyBytes>> {
        let from = PathInfo {
            local: path.0.local,
            remote: path.0.remote,
            encapsulated: udp,
            traffic_class: 0,
            hop_limit: 0,
            flow_label: 0,
        };
        let mut esp = esp.to_vec();
        self.drain_opened(py, |engine, worker, batch| {
            engine.open(worker, &mut esp, &from, now_ns.0, batch)
        })
    }

    fn open_packet<'py>(
        &self,
        py: Python<'py>,
        packet: &[u8],
        now_ns: Now,
    ) -> Vec<Bound<'py, PyBytes>> {
        let from = arrival(packet);
        let mut packet = packet.to_vec();
        self.drain_opened(py, |engine, worker, batch| {
            engine.open_packet(worker, &mut packet, &from, now_ns.0, batch)
        })
    }

    fn on_time(&self, py: Python<'_>, now_ns: Now) -> Option<u64> {
        py.detach(|| self.engine.on_time(now_ns.0))
            .map(|instant| instant.0)
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = self.engine.take_events(EVENTS);
        events.iter().map(|event| engine_event(py, event)).collect()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.engine.stats());
        engine_stats(py, &stats)
    }
}

impl PyEngine {
    /// Make a call again and again until its input is dealt with; returns what `take` made of what it
    /// sealed. What bypasses is kept.
    fn drain_sealed<T>(
        &self,
        py: Python<'_>,
        call: impl Fn(&Engine, &mut OutboundWorker, &mut SealedBatch) -> Progress + Sync,
        take: impl Fn(&SealedBatch) -> Vec<T>,
    ) -> Vec<T> {
        let mut outbound = lock(py, &self.outbound);
        let mut sealed = Vec::new();
        loop {
            let Outbound {
                worker,
                batch,
                bypassed,
            } = &mut *outbound;
            let progress = py.detach(|| call(&self.engine, worker, batch));
            sealed.extend(take(batch));
            bypassed.extend(batch.bypass().map(<[u8]>::to_vec));
            batch.clear();
            if progress == Progress::Done {
                return sealed;
            }
        }
    }

    /// Make a call again and again until its input is dealt with; returns what it opened.
    fn drain_opened<'py>(
        &self,
        py: Python<'py>,
        mut call: impl FnMut(&Engine, &mut InboundWorker, &mut OpenedBatch) -> Progress + Send,
    ) -> Vec<Bound<'py, PyBytes>> {
        let mut inbound = lock(py, &self.inbound);
        let Inbound { worker, batch } = &mut *inbound;
        let mut packets = Vec::new();
        loop {
            let progress = py.detach(|| call(&self.engine, worker, batch));
            let opened = batch.frames().filter_map(|frame| frame.get(OCTETS..));
            packets.extend(opened.map(|packet| PyBytes::new(py, packet)));
            batch.clear();
            if progress == Progress::Done {
                return packets;
            }
        }
    }
}

/// A packet as a device gives it.
fn device_frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(OCTETS.saturating_add(packet.len()));
    frame.extend_from_slice(&VirtioNetHdr::PLAIN.to_octets());
    frame.extend_from_slice(packet);
    frame
}

/// How a packet came that has its IP header; its ports, if it has any, are the engine's to find.
fn arrival(packet: &[u8]) -> PathInfo {
    let outline = ip::parse(packet);
    let of_address = |address: Option<IpAddr>| {
        SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 0)
    };
    PathInfo {
        local: of_address(outline.map(|outline| outline.flow.destination())),
        remote: of_address(outline.map(|outline| outline.flow.source())),
        encapsulated: false,
        traffic_class: outline.map_or(0, |outline| outline.traffic_class),
        hop_limit: 0,
        flow_label: outline.map_or(0, |outline| outline.flow_label),
    }
}

/// What to send over sockets, which give it its IP header.
fn for_sockets(py: Python<'_>, batch: &SealedBatch) -> Vec<SealedValues> {
    let mut sealed = Vec::new();
    for run in batch.runs() {
        let path = (
            endpoint_values(run.path.local),
            endpoint_values(run.path.remote),
        );
        let udp = run.encapsulation == Encapsulation::Udp;
        for packet in batch.octets(run).chunks(run.segment_size.max(1)) {
            let octets = PyBytes::new(py, packet).unbind();
            sealed.push((path.clone(), udp, run.traffic_class, octets));
        }
    }
    sealed
}

/// Take a lock without holding up the interpreter while another thread has it.
fn lock<'a, T>(py: Python<'_>, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
    mutex
        .lock_py_attached(py)
        .unwrap_or_else(PoisonError::into_inner)
}
