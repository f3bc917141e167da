//! IP Payload Compression (RFC 3173) with DEFLATE (RFC 2394).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next Header  |     Flags     | Compression Parameter Index   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! In IPv4 the header follows the options; in IPv6 it is at
//! [`HeaderChain::before_options`](crate::extension_header::HeaderChain::before_options) (section
//! 3.2). Each packet is compressed for itself.

use std::sync::atomic::{AtomicU32, Ordering};

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Protocol or next header of IPComp.
pub const IPCOMP: u8 = 108;
/// Octets of the header.
pub const HEADER_OCTETS: usize = 4;
/// The well-known CPI of DEFLATE, which is its transform identifier (section 3.3).
pub const CPI_DEFLATE: u16 = 2;
/// Payloads shorter than this are not worth a try (RFC 2394, section 3).
pub const THRESHOLD_OCTETS: usize = 90;

/// Level of zlib: more takes time and gains little on packets.
const LEVEL: i32 = 6;
/// Negative: without zlib's own header.
const WINDOW_BITS: i32 = -15;
const STRATEGY: i32 = 0;

/// Packets that do not shrink, one after the other, before some are sent without a try.
const FAILURES_BEFORE_PAUSE: u32 = 4;
const FIRST_PAUSE: u32 = 8;
/// The longest pause is 256 packets.
const DOUBLINGS: u32 = 5;

/// The header in front of compressed octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpCompHeader {
    /// What is compressed.
    pub next_header: u8,
    /// Compression Parameter Index, which the receiver chose.
    pub cpi: u16,
}

/// Why a payload cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpCompError {
    /// Not a whole DEFLATE stream, or something behind it.
    Malformed,
    /// More octets than there is room for.
    TooLarge,
}

/// Compresses one payload after the other; holds tables of about 300 KiB.
pub struct Compressor(Box<CompressorOxide>);

/// Decompresses one payload after the other.
pub struct Decompressor(Box<DecompressorOxide>);

/// Whether compression is worth a try, by how it went with the packets before (section 2.2).
///
/// After some packets that did not shrink the next ones are not tried, and ever more of them until
/// one shrinks.
#[derive(Debug, Default)]
pub struct Compressibility {
    failures: AtomicU32,
    pause: AtomicU32,
}

impl IpCompHeader {
    /// Read the header; the flags are not looked at (section 3.3).
    #[inline]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let [next_header, _, c0, c1] = *octets.first_chunk()?;
        let cpi = u16::from_be_bytes([c0, c1]);
        Some(Self { next_header, cpi })
    }

    /// The header as it stands on the wire.
    #[inline]
    pub fn to_octets(self) -> [u8; HEADER_OCTETS] {
        let [c0, c1] = self.cpi.to_be_bytes();
        [self.next_header, 0, c0, c1]
    }
}

impl Compressor {
    /// Make one; it can be used for any number of payloads.
    pub fn new() -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, STRATEGY);
        Self(Box::new(CompressorOxide::new(flags)))
    }

    /// Compress a payload, without an IPComp header.
    ///
    /// Returns:
    /// The octets written, or `None` when the payload is to be sent as it is: it is short, `to` is,
    /// or with the header it would be no smaller (section 2.2).
    pub fn compress(&mut self, payload: &[u8], to: &mut [u8]) -> Option<usize> {
        if payload.len() < THRESHOLD_OCTETS {
            return None;
        }
        let most = payload.len().checked_sub(HEADER_OCTETS)?.checked_sub(1)?;
        let room = most.min(to.len());
        //= https://www.rfc-editor.org/rfc/rfc2394#section-2
        //# Since IPComp is a stateless protocol, history MUST be
        //# cleared between packets when either compressing or decompressing.
        self.0.reset();
        let place = to.get_mut(..room)?;
        let (status, _, written) = compress(&mut self.0, payload, place, TDEFLFlush::Finish);
        (status == TDEFLStatus::Done).then_some(written)
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Decompressor {
    /// Make one; it can be used for any number of payloads.
    pub fn new() -> Self {
        Self(Box::default())
    }

    /// Decompress what follows an IPComp header.
    ///
    /// Returns:
    /// The octets written to the start of `to`, which bounds them.
    ///
    /// # Errors
    ///
    /// [`IpCompError`]; what was written until then is of no use.
    pub fn decompress(&mut self, compressed: &[u8], to: &mut [u8]) -> Result<usize, IpCompError> {
        self.0.init();
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut self.0, compressed, to, 0, flags);
        match status {
            TINFLStatus::Done if read == compressed.len() => Ok(written),
            TINFLStatus::HasMoreOutput => Err(IpCompError::TooLarge),
            _ => Err(IpCompError::Malformed),
        }
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

impl Compressibility {
    /// Whether to try the next packet; counts down a pause.
    pub fn is_worth_a_try(&self) -> bool {
        let count_down = |pause: u32| pause.checked_sub(1);
        self.pause
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down)
            .is_err()
    }

    /// Tell how a try went.
    pub fn tried(&self, is_smaller: bool) {
        if is_smaller {
            self.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(failures, Ordering::Relaxed);
        if let Some(beyond) = failures.checked_sub(FAILURES_BEFORE_PAUSE) {
            let pause = FIRST_PAUSE.saturating_mul(1 << beyond.min(DOUBLINGS));
            self.pause.store(pause, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
