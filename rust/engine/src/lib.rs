//! The sans-I/O data plane.
