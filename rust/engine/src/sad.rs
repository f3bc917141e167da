//! The table of inbound SAs (RFC 4301, section 4.4.2). Outbound ones are with their SPD entries.

use std::net::IpAddr;
use std::sync::Arc;

use crate::change::{PolicyConfig, SaId};
use crate::cow_map::CowMap;
use crate::processing::Lookup;
use crate::sa::{InboundSa, SadEntry};

type Entry = Arc<SadEntry<InboundSa>>;

/// Inbound SAs by SPI, and those of groups by SPI, destination and perhaps source.
#[derive(Clone, Default)]
pub(crate) struct InboundSad {
    unicast: CowMap<u32, Entry>,
    to_group: CowMap<(u32, IpAddr), Entry>,
    from_sender: CowMap<(u32, IpAddr, IpAddr), Entry>,
}

impl InboundSad {
    /// Find the SA of a packet.
    #[inline]
    pub(crate) fn find(&self, spi: u32, destination: IpAddr, source: IpAddr) -> Option<&Entry> {
        //= https://www.rfc-editor.org/rfc/rfc4301#section-4.1
        //# Search the SAD for a match on the combination of SPI, destination address, and source
        //# address.
        if !self.from_sender.is_empty()
            && let Some(entry) = self.from_sender.get(&(spi, destination, source))
        {
            return Some(entry);
        }
        if !self.to_group.is_empty()
            && let Some(entry) = self.to_group.get(&(spi, destination))
        {
            return Some(entry);
        }
        self.unicast.get(&spi)
    }

    /// The SA of a name: the most exact that has it.
    pub(crate) fn named(&self, id: SaId) -> Option<&Entry> {
        self.find(id.spi, id.local.ip(), id.remote.ip())
    }

    /// Whether an SA like this would take the place of another.
    pub(crate) fn is_taken(&self, lookup: Lookup, id: SaId) -> bool {
        let (destination, source) = (id.local.ip(), id.remote.ip());
        match lookup {
            Lookup::Spi => self.unicast.get(&id.spi).is_some(),
            Lookup::SpiDestination => self.to_group.get(&(id.spi, destination)).is_some(),
            Lookup::SpiDestinationSource => {
                let key = (id.spi, destination, source);
                self.from_sender.get(&key).is_some()
            }
        }
    }

    /// Put an entry in its place, new or moved.
    pub(crate) fn put(&mut self, entry: SadEntry<InboundSa>) {
        let spi = entry.sa.common.spi;
        let path = entry.path();
        let (destination, source) = (path.local.ip(), path.remote.ip());
        match entry.sa.common.lookup {
            Lookup::Spi => self.unicast.insert(spi, Arc::new(entry)),
            Lookup::SpiDestination => self.to_group.insert((spi, destination), Arc::new(entry)),
            Lookup::SpiDestinationSource => self
                .from_sender
                .insert((spi, destination, source), Arc::new(entry)),
        };
    }

    /// Have the SAs of an SPD entry know that it has changed.
    pub(crate) fn renew(&mut self, policy: &PolicyConfig) {
        let served = self
            .iter()
            .filter(|entry| entry.sa.common.policy == policy.id);
        let renewed: Vec<_> = served.map(|entry| entry.under(policy)).collect();
        for entry in renewed {
            self.put(entry);
        }
    }

    /// Take out the SA of a name, the most exact that has it.
    pub(crate) fn remove(&mut self, id: SaId) -> Option<Entry> {
        let (spi, destination, source) = (id.spi, id.local.ip(), id.remote.ip());
        self.from_sender
            .remove(&(spi, destination, source))
            .or_else(|| self.to_group.remove(&(spi, destination)))
            .or_else(|| self.unicast.remove(&spi))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.from_sender
            .values()
            .chain(self.to_group.values())
            .chain(self.unicast.values())
    }
}
