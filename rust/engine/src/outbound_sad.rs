//! The table of outbound SAs by their names; the SPD has the same ones, in their order.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::cow_map::CowMap;
use crate::sa::{OutboundSa, SadEntry};

type Entry = Arc<SadEntry<OutboundSa>>;
/// SPI and where the peer is.
type Name = (u32, SocketAddr);

/// Outbound SAs by SPI. Peers choose them, so two peers may choose the same one.
#[derive(Clone, Default)]
pub(crate) struct OutboundSad(CowMap<u32, Namesakes>);

#[derive(Clone)]
enum Namesakes {
    One(Entry),
    /// Two at least.
    Many(Arc<Vec<Entry>>),
}

impl Namesakes {
    fn all(&self) -> &[Entry] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

impl OutboundSad {
    pub(crate) fn get(&self, name: &Name) -> Option<&Entry> {
        let entries = self.0.get(&name.0)?.all();
        entries.iter().find(|entry| entry.key() == *name)
    }

    /// Put in an SA whose name no other has.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let spi = entry.sa.common.spi;
        let namesakes = match self.0.get(&spi) {
            None => Namesakes::One(entry),
            Some(others) => Namesakes::Many(Arc::new([others.all(), &[entry]].concat())),
        };
        self.0.insert(spi, namesakes);
    }

    /// Take out the SA of a name.
    pub(crate) fn remove(&mut self, name: &Name) -> Option<Entry> {
        let found = Arc::clone(self.get(name)?);
        let mut others = self.0.remove(&name.0)?.all().to_vec();
        others.retain(|entry| !Arc::ptr_eq(entry, &found));
        let left = match &*others {
            [] => return Some(found),
            [other] => Namesakes::One(Arc::clone(other)),
            _ => Namesakes::Many(Arc::new(others)),
        };
        self.0.insert(name.0, left);
        Some(found)
    }

    /// Every SA, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().flat_map(Namesakes::all)
    }
}
