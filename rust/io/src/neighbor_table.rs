//! Which station has which IP address on the inside, as its own frames show.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use perilune_engine::{Duration, Instant};
use perilune_wire::ethernet::{MacAddress, Tags};

/// Most addresses that are remembered; beyond, all are forgotten and asked for again.
const LIMIT: usize = 4096;
/// How long a station that is not heard is believed to be where it was.
const SILENCE: Duration = Duration::seconds(600);

/// How to reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbor {
    pub(crate) station: MacAddress,
    /// The VLAN that it is in.
    pub(crate) tags: Tags,
}

/// Addresses and their stations: written when something changes, read for every packet.
#[derive(Debug, Default)]
pub(crate) struct NeighborTable(RwLock<HashMap<IpAddr, Entry>>);

#[derive(Debug)]
struct Entry {
    neighbor: Neighbor,
    /// In nanoseconds.
    heard: AtomicU64,
}

impl NeighborTable {
    /// An address was heard.
    pub(crate) fn hear(&self, address: IpAddr, neighbor: Neighbor, now: Instant) {
        if self.hear_again(address, neighbor, now) {
            return;
        }
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= LIMIT && !entries.contains_key(&address) {
            entries.clear();
        }
        let heard = AtomicU64::new(now.0);
        entries.insert(address, Entry { neighbor, heard });
    }

    /// Where an address is, if it was heard lately.
    pub(crate) fn find(&self, address: IpAddr, now: Instant) -> Option<Neighbor> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&address)?;
        let heard = Instant(entry.heard.load(Ordering::Relaxed));
        (now.since(heard) < SILENCE).then_some(entry.neighbor)
    }

    fn hear_again(&self, address: IpAddr, neighbor: Neighbor, now: Instant) -> bool {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = entries.get(&address);
        let Some(entry) = known.filter(|entry| entry.neighbor == neighbor) else {
            return false;
        };
        entry.heard.store(now.0, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbor(last: u8) -> Neighbor {
        Neighbor {
            station: MacAddress([2, 0, 0, 0, 0, last]),
            tags: Tags::default(),
        }
    }

    #[test]
    fn the_last_word_counts_until_it_is_old() {
        let (table, address) = (NeighborTable::default(), "192.0.2.1".parse().unwrap());
        assert_eq!(table.find(address, Instant(0)), None);
        table.hear(address, neighbor(1), Instant(0));
        table.hear(address, neighbor(2), Instant(1));
        assert_eq!(table.find(address, Instant(2)), Some(neighbor(2)));
        table.hear(address, neighbor(2), Instant(9));
        let old = Instant(1).after(SILENCE);
        assert_eq!(table.find(address, old), Some(neighbor(2)));
        assert_eq!(table.find(address, Instant(9).after(SILENCE)), None);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let table = NeighborTable::default();
        for number in 0..u32::try_from(3 * LIMIT).unwrap() {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            table.hear(address.into(), neighbor(1), Instant(0));
            assert_eq!(table.find(address.into(), Instant(0)), Some(neighbor(1)));
        }
        assert!(table.0.read().unwrap().len() <= LIMIT);
    }
}
