//! Packets without IPsec that cross the boundary, either way (RFC 4301, sections 5.1 and 5.2).
//!
//! A device that is in the wire asks here whether a packet goes on as it is. So does whoever takes
//! packets from the unprotected side in the clear.

use perilune_wire::segment::Superpacket;

use crate::change::{Action, Direction};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::event::Event;
use crate::inbound::InboundWorker;
use crate::outbound::{OutboundWorker, long};
use crate::spd::SpdEntry;
use crate::time::Instant;

impl Engine {
    /// What policy says about a packet that leaves; `None` when no entry matches, or when it is a
    /// fragment about which none can decide.
    ///
    /// One that bypasses is counted with its entry: the caller sends it on as it is. All others
    /// are for [`Self::seal`], which counts them itself.
    pub fn outbound_action(
        &self,
        worker: &mut OutboundWorker,
        packet: &Superpacket<'_>,
        now: Instant,
    ) -> Option<Action> {
        let spd = &worker.tables.load().spd;
        let entry = self.entry_for(spd, Direction::Outbound, packet, now).ok()?;
        if entry.config.action == Action::Bypass {
            count(entry, packet);
        }
        Some(entry.config.action)
    }

    /// Whether policy lets a packet in that arrived without IPsec; if not, it is a counted drop.
    ///
    /// A packet of an entry that protects has to be protected on its way in.
    pub fn inbound_clear(
        &self,
        worker: &mut InboundWorker,
        packet: &Superpacket<'_>,
        now: Instant,
    ) -> bool {
        let spd = &worker.tables.load().spd;
        let entry = self.entry_for(spd, Direction::Inbound, packet, now);
        let reason = match entry.map(|entry| (entry, entry.config.action)) {
            Ok((entry, Action::Bypass)) => {
                count(entry, packet);
                return true;
            }
            Ok((entry, Action::Discard)) => {
                count(entry, packet);
                DropReason::PolicyDiscard
            }
            Ok((_, Action::Protect)) => DropReason::ClearText,
            Err(reason) => reason,
        };
        self.refuse_clear(packet, reason, now);
        false
    }

    #[cold]
    fn refuse_clear(&self, packet: &Superpacket<'_>, reason: DropReason, now: Instant) {
        self.drops.add(reason, long(packet.count()));
        if self.audits.allows(reason, now) {
            let ip = packet.ip();
            self.events.push(Event::Audit {
                reason,
                spi: 0,
                source: ip.flow.source(),
                destination: ip.flow.destination(),
                sequence: 0,
                flow_label: ip.flow_label,
                time: now,
            });
        }
    }
}

fn count(entry: &SpdEntry, packet: &Superpacket<'_>) {
    entry
        .counters
        .add(long(packet.count()), long(packet.total_octets()));
}
