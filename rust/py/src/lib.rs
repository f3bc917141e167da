//! The Python module `perilune.dataplane._native`: the one crate that knows Python.
//!
//! Its contract is the stub `python/perilune/dataplane/_native.pyi`, with the documentation of
//! every call. Calls are few and coarse, take and give plain values, and let go of the
//! interpreter while they work.
#![forbid(unsafe_code)]

mod answers;
mod engine;
mod errors;
mod policy;
mod processing;
mod runtime;
mod values;

use pyo3::prelude::*;

/// The compiled half of the data plane.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::PyEngine>()?;
    module.add_class::<runtime::PyRuntime>()?;
    Ok(())
}
