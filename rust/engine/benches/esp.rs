//! Time to seal and open a packet.
fn main() {}
