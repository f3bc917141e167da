"""What carries packets: one interface, and the data planes behind it.

`interface.py` is what every data plane offers, `events.py` and `stats.py` what it tells. Behind it are
`runtime.py` (our engine between a TUN device, or two interfaces, and sockets, on threads of its own),
`engine.py` (the same engine as a library: packets in, packets out, no sockets and no clock) and
`recorder.py` (no packets at all: it keeps what it was told, for tests of the rooms above).

The engine itself is Rust, in `rust/engine`; `native.py` is the one module that knows the compiled one.
"""
