//! What the unprotected side says about the path of an SA (RFC 4301, sections 6.1.1 and 8.2.1).

use std::net::IpAddr;
use std::sync::Arc;

use perilune_wire::extension_header::{AH, ESP};
use perilune_wire::icmp::{IcmpError, Quoted};
use perilune_wire::ip;

use crate::change::SaId;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::event::Event;
use crate::path::Encapsulation;
use crate::protection::Protection;
use crate::sa::{OutboundSa, SadEntry};
use crate::time::Instant;

/// MTUs of old networks, for routers that do not say what fits (RFC 1191, section 7.1).
const PLATEAUS: [u32; 10] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/// SAs of a way out.
type Entries = Vec<Arc<SadEntry<OutboundSa>>>;

impl Engine {
    /// Note what this system's own route and interface take in one piece on the path of an outbound
    /// SA; `None` when that is not known. To be called when the SA was added or moved.
    pub fn set_first_hop(&self, sa: SaId, mtu: Option<u32>) {
        if let Some(entry) = self.tables().outbound.get(&(sa.spi, sa.remote)) {
            entry.sa.path_mtu.set_first_hop(mtu.unwrap_or(0));
        }
    }

    /// The same for all SAs from one address to another, when the system has refused a packet.
    pub fn note_first_hop(&self, local: IpAddr, remote: IpAddr, mtu: Option<u32>) {
        for entry in self.outbound_between(local, remote) {
            entry.sa.path_mtu.set_first_hop(mtu.unwrap_or(0));
        }
    }

    /// Note an ICMP error from the unprotected side, a whole IP packet that nobody has
    /// authenticated.
    ///
    /// It has to quote what an SA may have sent: addresses, and the SPI as far as it is shown; and it
    /// has to be accepted by the [`IcmpControls`](crate::IcmpControls). Then "too big" is acted upon
    /// where the SA may believe it. Everything about IPsec that is not is counted and audited; what
    /// is about other packets of this host is no business of ours.
    ///
    /// Returns:
    /// Whether a path MTU is lower now.
    pub fn note_icmp_error(&self, packet: &[u8], now: Instant) -> bool {
        let Some(error) = IcmpError::parse(packet) else {
            return false;
        };
        let refuse = |reason| {
            self.audit_icmp(packet, &error, reason, now);
            false
        };
        let quoted = &error.quoted;
        let meant = self.meant_by(quoted);
        if meant.is_empty() {
            return is_about_ipsec(quoted) && refuse(DropReason::IcmpUnmatched);
        }
        if !self.icmp.accept(&error) {
            return refuse(DropReason::IcmpRejected);
        }
        let Some(said) = error.mtu else {
            return refuse(DropReason::IcmpWithoutEffect);
        };
        if !meant.iter().any(|entry| believes(entry)) {
            return refuse(DropReason::IcmpRejected);
        }
        let said = match said {
            0 => plateau_below(quoted.total),
            said => said,
        };
        let least = self.icmp.least(error.is_ipv6);
        if said < least {
            refuse(DropReason::IcmpMtuTooSmall);
        }
        let believing = meant.iter().filter(|entry| believes(entry));
        believing.fold(false, |lowered, entry| {
            let age = entry.sa.common.processing.path_mtu_age;
            entry.sa.path_mtu.learn(said, least, age, now) | lowered
        })
    }

    /// The SAs that may have sent what an error quotes.
    fn meant_by(&self, quoted: &Quoted<'_>) -> Entries {
        let mut entries = self.outbound_between(quoted.flow.source(), quoted.flow.destination());
        entries.retain(|entry| may_have_sent(entry, quoted));
        entries
    }

    fn outbound_between(&self, local: IpAddr, remote: IpAddr) -> Entries {
        let tables = self.tables();
        let entries = tables.outbound.values();
        entries
            .filter(|entry| {
                let path = entry.path();
                path.local.ip() == local && path.remote.ip() == remote
            })
            .map(Arc::clone)
            .collect()
    }

    /// Count an ICMP error, and record who sent it about which SA.
    #[cold]
    fn audit_icmp(&self, packet: &[u8], error: &IcmpError<'_>, reason: DropReason, now: Instant) {
        self.drops.add(reason, 1);
        let outline = ip::parse(packet).filter(|_| self.audits.allows(reason, now));
        if let Some(outline) = outline {
            self.events.push(Event::Audit {
                reason,
                spi: error.quoted.spi().unwrap_or(0),
                source: outline.flow.source(),
                destination: outline.flow.destination(),
                sequence: 0,
                flow_label: outline.flow_label,
                time: now,
            });
        }
    }
}

fn believes(entry: &SadEntry<OutboundSa>) -> bool {
    entry.sa.common.processing.believe_icmp
}

/// Whether a packet between the addresses of an SA is like its packets, as far as it shows.
fn may_have_sent(entry: &SadEntry<OutboundSa>, quoted: &Quoted<'_>) -> bool {
    let (protocol, ports) = match (entry.encapsulation, &entry.sa.common.protection) {
        (Encapsulation::Udp, _) => {
            let path = entry.path();
            (ip::UDP, Some((path.local.port(), path.remote.port())))
        }
        (Encapsulation::None, Protection::Ah(_)) => (AH, None),
        (Encapsulation::None, Protection::Esp(_)) => (ESP, None),
    };
    let shown = quoted.flow.ports();
    quoted.flow.protocol() == protocol
        && (ports.is_none() || shown.is_none() || shown == ports)
        && quoted.spi().is_none_or(|spi| spi == entry.sa.common.spi)
}

/// Whether a packet has AH or ESP in it, as far as it shows.
fn is_about_ipsec(quoted: &Quoted<'_>) -> bool {
    [AH, ESP].contains(&quoted.flow.protocol()) || quoted.spi().is_some()
}

fn plateau_below(octets: usize) -> u32 {
    let octets = u32::try_from(octets).unwrap_or(u32::MAX);
    let mut below = PLATEAUS.into_iter().filter(|mtu| *mtu < octets);
    below.next().unwrap_or(68)
}
