//! Devices, sockets and threads around the engine.
mod bypass;
mod control_message;
mod counters;
mod datagram_socket;
mod error;
mod event_queue;
mod message;
mod raw_esp;
mod tun;
mod udp;
