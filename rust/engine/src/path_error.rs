//! What the unprotected side says about the path of an SA (RFC 4301, section 8.2.1).

use std::net::IpAddr;
use std::sync::Arc;

use perilune_wire::icmp::IcmpError;

use crate::engine::Engine;
use crate::sa::{OutboundSa, SadEntry};
use crate::time::Instant;

/// MTUs of old networks, for routers that do not say what fits (RFC 1191, section 7.1).
const PLATEAUS: [u32; 10] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

impl Engine {
    /// Note what this system knows of the path to an address: it refused a packet.
    pub fn note_path_mtu(&self, remote: IpAddr, mtu: u32, now: Instant) {
        for entry in self.outbound_to(remote) {
            entry.sa.path_mtu.learn(mtu, remote, now);
        }
    }

    /// Note an ICMP error from the unprotected side, a whole IP packet that nobody has
    /// authenticated.
    ///
    /// Only "too big" about a packet of an SA that may believe it is acted upon, and only in a
    /// packet that quotes what we may have sent: addresses, and the SPI as far as it is shown.
    ///
    /// Returns:
    /// Whether a path MTU is lower now.
    pub fn note_icmp_error(&self, packet: &[u8], now: Instant) -> bool {
        let Some(error) = IcmpError::parse(packet) else {
            return false;
        };
        let Some(said) = error.mtu else {
            return false;
        };
        let quoted = &error.quoted;
        let mtu = match said {
            0 => plateau_below(quoted.total),
            said => said,
        };
        let remote = quoted.flow.destination();
        let is_meant = |entry: &&Arc<SadEntry<OutboundSa>>| {
            entry.sa.common.processing.believe_icmp
                && entry.path.local.ip() == quoted.flow.source()
                && quoted.spi().is_none_or(|spi| spi == entry.sa.common.spi)
        };
        let meant: Vec<_> = self.outbound_to(remote);
        let mut lowered = false;
        for entry in meant.iter().filter(is_meant) {
            lowered |= entry.sa.path_mtu.learn(mtu, remote, now);
        }
        lowered
    }

    fn outbound_to(&self, remote: IpAddr) -> Vec<Arc<SadEntry<OutboundSa>>> {
        let tables = self.tables();
        let entries = tables.outbound.values();
        entries
            .filter(|entry| entry.path.remote.ip() == remote)
            .map(Arc::clone)
            .collect()
    }
}

fn plateau_below(octets: usize) -> u32 {
    let octets = u32::try_from(octets).unwrap_or(u32::MAX);
    let mut below = PLATEAUS.into_iter().filter(|mtu| *mtu < octets);
    below.next().unwrap_or(68)
}
