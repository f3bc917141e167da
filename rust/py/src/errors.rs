//! Which Python exception each error of the crates below becomes.

use perilune_engine::EngineError;
use perilune_io::IoError;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

static LOCAL_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static RESOURCE_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The caller asked for something illegal: `perilune.model.errors.LocalError`.
pub(crate) fn local_error(message: impl Into<String>) -> PyErr {
    exception(&LOCAL_ERROR, "LocalError", message.into())
}

/// The system has no more to give: `perilune.model.errors.ResourceError`.
pub(crate) fn resource_error(message: impl Into<String>) -> PyErr {
    exception(&RESOURCE_ERROR, "ResourceError", message.into())
}

/// What the engine refuses is always the caller's fault: nothing of a peer goes through its errors.
pub(crate) fn from_engine(error: &EngineError) -> PyErr {
    local_error(error.to_string())
}

/// Errors of devices and sockets: the caller's settings, or the system's refusal.
pub(crate) fn from_io(error: &IoError) -> PyErr {
    if error.is_caller_fault() {
        local_error(error.to_string())
    } else {
        resource_error(error.to_string())
    }
}

/// A value that is no value of its kind, such as a number that does not fit.
pub(crate) fn from_value(py: Python<'_>, what: &str, error: &PyErr) -> PyErr {
    local_error(format!("{what}: {}", error.value(py)))
}

fn exception(class: &PyOnceLock<Py<PyType>>, name: &str, message: String) -> PyErr {
    Python::attach(|py| match class.import(py, "perilune.model.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), message),
        Err(error) => PyImportError::new_err(format!("{message} ({error})")),
    })
}
