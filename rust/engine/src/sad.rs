//! The table of inbound SAs (RFC 4301, section 4.4.2). Outbound ones are with their SPD entries.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::sa::{InboundSa, SadEntry};

/// Inbound SAs by SPI.
#[derive(Clone, Default)]
pub(crate) struct InboundSad {
    by_spi: HashMap<u32, Arc<SadEntry<InboundSa>>, BuildHasherDefault<SpiHasher>>,
}

impl InboundSad {
    #[inline]
    pub(crate) fn get(&self, spi: u32) -> Option<&Arc<SadEntry<InboundSa>>> {
        self.by_spi.get(&spi)
    }

    /// Put an entry in its place, new or moved.
    pub(crate) fn put(&mut self, entry: SadEntry<InboundSa>) {
        self.by_spi.insert(entry.sa.common.spi, Arc::new(entry));
    }

    pub(crate) fn remove(&mut self, spi: u32) -> Option<Arc<SadEntry<InboundSa>>> {
        self.by_spi.remove(&spi)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<SadEntry<InboundSa>>> {
        self.by_spi.values()
    }
}

/// One multiplication: inbound SPIs are chosen by us, so nobody can make them collide.
#[derive(Default)]
pub(crate) struct SpiHasher(u64);

impl Hasher for SpiHasher {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u32(u32::from(*octet));
        }
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
