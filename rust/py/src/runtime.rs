//! The engine between a device and sockets.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use perilune_engine::{Direction, Engine, IcmpControls, IcmpKind, SaId};
use perilune_io::{Dummies, Placement, Runtime, RuntimeSettings, SocketSettings, WireSettings};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::answers::{engine_event, io_event, runtime_stats};
use crate::errors::{from_engine, from_io, local_error};
use crate::values::{Addresses, Now, PathArgument};

/// Name of a TUN device and whether it tells users apart, or names of the inner and the outer of two interfaces.
#[derive(FromPyObject)]
enum DeviceArgument {
    Tun(String, bool),
    Wire(String, String),
}

/// What is accepted, each as whether it is `ICMPv6`, type and code; and the least path MTU.
#[derive(FromPyObject)]
struct IcmpArgument(Vec<(bool, u8, Option<u8>)>, u16);

impl IcmpArgument {
    fn controls(self) -> IcmpControls {
        let accepted = self.0.into_iter();
        let accepted = accepted.map(|(is_ipv6, kind, code)| IcmpKind {
            is_ipv6,
            kind,
            code,
        });
        IcmpControls {
            accepted: accepted.collect(),
            least_path_mtu: self.1,
        }
    }
}

/// A device, sockets, and threads that carry packets.
#[pyclass(name = "Runtime", module = "perilune.dataplane._native", frozen)]
pub(crate) struct PyRuntime {
    runtime: Runtime,
}

#[pymethods]
impl PyRuntime {
    #[new]
    #[pyo3(signature = (*, device, local, raw_esp, mark, icmp, workers))]
    fn new(
        py: Python<'_>,
        device: DeviceArgument,
        local: (Addresses, u16, u16),
        raw_esp: bool,
        mark: Option<u32>,
        icmp: IcmpArgument,
        workers: Option<usize>,
    ) -> PyResult<Self> {
        let (Addresses(local_addresses), ike_port, nat_t_port) = local;
        let sockets = SocketSettings {
            local_addresses,
            ike_port,
            nat_t_port,
            raw: raw_esp,
            mark,
        };
        let placement = match device {
            DeviceArgument::Tun(name, tells_users) => Placement::Tun { name, tells_users },
            DeviceArgument::Wire(inside, outside) => {
                Placement::Wire(WireSettings { inside, outside })
            }
        };
        let settings = RuntimeSettings {
            placement,
            sockets,
            workers,
        };
        py.detach(|| Runtime::start(Arc::new(Engine::with_icmp(icmp.controls())), &settings))
            .map(|runtime| Self { runtime })
            .map_err(|error| from_io(&error))
    }

    #[getter]
    fn device_name(&self) -> &str {
        self.runtime.device_name()
    }

    fn know_users(&self, py: Python<'_>, users: Vec<u32>) -> PyResult<()> {
        py.detach(move || self.runtime.know_users(&users))
            .map_err(|error| from_io(&error))
    }

    fn apply(&self, py: Python<'_>, changes: &Bound<'_, PyAny>, now_ns: Now) -> PyResult<()> {
        let changes = crate::values::changes(changes, || self.runtime.stats().sas)?;
        py.detach(|| self.runtime.apply(&changes, now_ns.0))
            .map_err(|error| from_engine(&error))
    }

    fn send_dummies(
        &self,
        py: Python<'_>,
        wanted: Vec<(u32, PathArgument, u64, u16)>,
    ) -> Vec<Option<u64>> {
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|(spi, path, least, octets)| Dummies {
                sa: SaId::new(Direction::Outbound, spi, path.0),
                least,
                octets,
            })
            .collect();
        py.detach(|| self.runtime.send_dummies(&wanted))
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let (of_io, of_engine) = py.detach(|| self.runtime.take_events());
        let of_engine = of_engine.iter().map(|event| engine_event(py, event));
        of_engine
            .chain(of_io.into_iter().map(|event| io_event(py, event)))
            .collect()
    }

    fn fileno(&self) -> i32 {
        self.runtime.event_fd().as_raw_fd()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.runtime.stats());
        let counters = self.runtime.counters();
        runtime_stats(py, &stats, counters.drops(), counters.counts().entries())
    }

    fn send_ike(
        &self,
        py: Python<'_>,
        message: &[u8],
        path: PathArgument,
        encapsulated: bool,
    ) -> PyResult<()> {
        if message.is_empty() {
            return Err(local_error("an IKE message is not empty"));
        }
        let path = path.0;
        py.detach(|| {
            self.runtime
                .send_ike(path.local, path.remote, encapsulated, message)
        })
        .map_err(|error| from_io(&error))
    }

    fn send_keepalive(&self, py: Python<'_>, path: PathArgument) -> PyResult<()> {
        let path = path.0;
        py.detach(|| self.runtime.send_keepalive(path.local, path.remote))
            .map_err(|error| from_io(&error))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.runtime.stop());
    }
}
