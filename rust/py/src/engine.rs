//! The engine as a library: packets in, packets out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use perilune_engine::{
    Encapsulation, Engine, InboundWorker, OpenedBatch, OutboundWorker, PathInfo, Progress,
    SealedBatch,
};
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
        let changes = crate::values::changes(changes, &self.engine.stats().sas)?;
        py.detach(|| self.engine.apply(&changes, now_ns.0))
            .map_err(|error| from_engine(&error))
    }

    fn seal(&self, py: Python<'_>, packet: &[u8], now_ns: Now) -> Vec<SealedValues> {
        let mut frame = Vec::with_capacity(OCTETS + packet.len());
        frame.extend_from_slice(&VirtioNetHdr::PLAIN.to_octets());
        frame.extend_from_slice(packet);
        self.drain(py, |engine, worker, batch| {
            engine.seal(worker, &frame, now_ns.0, batch)
        })
    }

    fn release_held(&self, py: Python<'_>, now_ns: Now) -> Vec<SealedValues> {
        self.drain(py, |engine, worker, batch| {
            engine.release_held(worker, now_ns.0, batch)
        })
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
        let mut inbound = lock(py, &self.inbound);
        let Inbound { worker, batch } = &mut *inbound;
        let mut packets = Vec::new();
        loop {
            let progress = py.detach(|| self.engine.open(worker, &mut esp, &from, now_ns.0, batch));
            let opened = batch.frames().filter_map(|frame| frame.get(OCTETS..));
            packets.extend(opened.map(|packet| PyBytes::new(py, packet)));
            batch.clear();
            if progress == Progress::Done {
                return packets;
            }
        }
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
    /// Make a call again and again until its input is dealt with; returns what it sealed.
    fn drain(
        &self,
        py: Python<'_>,
        call: impl Fn(&Engine, &mut OutboundWorker, &mut SealedBatch) -> Progress + Sync,
    ) -> Vec<SealedValues> {
        let mut outbound = lock(py, &self.outbound);
        let mut sealed = Vec::new();
        loop {
            let Outbound { worker, batch, .. } = &mut *outbound;
            let progress = py.detach(|| call(&self.engine, worker, batch));
            sealed.extend(outbound.take(py));
            if progress == Progress::Done {
                return sealed;
            }
        }
    }
}

impl Outbound {
    /// Take everything out of the batch: what bypasses is kept, the rest is returned.
    fn take(&mut self, py: Python<'_>) -> Vec<SealedValues> {
        let mut sealed = Vec::new();
        for run in self.batch.runs() {
            let path = (
                endpoint_values(run.path.local),
                endpoint_values(run.path.remote),
            );
            let udp = run.encapsulation == Encapsulation::Udp;
            for packet in self.batch.octets(run).chunks(run.segment_size.max(1)) {
                let octets = PyBytes::new(py, packet).unbind();
                sealed.push((path.clone(), udp, run.traffic_class, octets));
            }
        }
        self.bypassed
            .extend(self.batch.bypass().map(<[u8]>::to_vec));
        self.batch.clear();
        sealed
    }
}

/// Take a lock without holding up the interpreter while another thread has it.
fn lock<'a, T>(py: Python<'_>, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
    mutex
        .lock_py_attached(py)
        .unwrap_or_else(PoisonError::into_inner)
}
