//! Devices, sockets and threads around the engine.
