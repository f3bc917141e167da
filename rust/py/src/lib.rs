//! The Python module `perilune.dataplane._native`: the one crate that knows Python.
use pyo3::prelude::*;

/// The compiled half of the data plane.
#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
