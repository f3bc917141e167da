//! Payloads made smaller before they are protected, and large again after (RFC 3173).

use std::sync::Mutex;

use perilune_wire::ipcomp::{
    Compressibility, Compressor, Decompressor, HEADER_OCTETS, IPCOMP, IpCompHeader,
};

use crate::drop_reason::DropReason;
use crate::mode::Parts;

/// No payload is larger than the largest IP packet.
const MOST_OCTETS: usize = 65_535;

/// The compression of an SA in one direction, DEFLATE.
pub(crate) struct Compression {
    /// The Compression Parameter Index that the receiver chose.
    cpi: u16,
    compressibility: Compressibility,
    compressor: Mutex<Option<Compressor>>,
    decompressor: Mutex<Option<Decompressor>>,
}

impl Compression {
    pub(crate) fn new(cpi: u16) -> Self {
        Self {
            cpi,
            compressibility: Compressibility::default(),
            compressor: Mutex::new(None),
            decompressor: Mutex::new(None),
        }
    }

    /// Compress the payload, if that makes it smaller.
    pub(crate) fn compress(&self, parts: &mut Parts) {
        if !self.compressibility.is_worth_a_try() {
            return;
        }
        let mut place = vec![0; parts.payload.len()];
        let header = IpCompHeader {
            next_header: parts.next_header,
            cpi: self.cpi,
        };
        let (start, rest) = place.split_at_mut(HEADER_OCTETS.min(parts.payload.len()));
        let written = crate::lock(&self.compressor)
            .get_or_insert_default()
            .compress(&parts.payload, rest);
        self.compressibility.tried(written.is_some());
        let Some(written) = written else {
            return;
        };
        start.copy_from_slice(&header.to_octets());
        place.truncate(HEADER_OCTETS.saturating_add(written));
        parts.payload = place;
        parts.next_header = IPCOMP;
    }

    /// Decompress the payload, if it is compressed.
    pub(crate) fn decompress(&self, parts: &mut Parts) -> Result<(), DropReason> {
        if parts.next_header != IPCOMP {
            return Ok(());
        }
        let invalid = DropReason::CompressionInvalid;
        let header = IpCompHeader::parse(&parts.payload).ok_or(invalid)?;
        let compressed = parts.payload.get(HEADER_OCTETS..).ok_or(invalid)?;
        if header.cpi != self.cpi || header.next_header == IPCOMP {
            return Err(invalid);
        }
        let mut place = vec![0; MOST_OCTETS];
        let written = crate::lock(&self.decompressor)
            .get_or_insert_default()
            .decompress(compressed, &mut place)
            .map_err(|_| invalid)?;
        place.truncate(written);
        parts.payload = place;
        parts.next_header = header.next_header;
        Ok(())
    }
}
