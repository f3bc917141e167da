//! AES-GCM (NIST SP 800-38D) for what the hot path's library has not: short ICVs (RFC 4106), and
//! GMAC over octets that lie in several places (RFC 4543).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use super::aes_ctr::KeyStream;
use super::blocks::{BLOCK, for_each_run};
use super::combined::{AeadMode, NONCE};
use crate::error::EngineError;

/// A key of AES-GCM.
pub(crate) struct Gcm {
    stream: KeyStream,
    hash: GHash,
}

impl Gcm {
    /// Prepare a key without salt.
    pub(super) fn new(key: &[u8]) -> Result<Self, EngineError> {
        let stream = KeyStream::new(key)?;
        let mut hash_key = [0; BLOCK];
        stream
            .apply([0; BLOCK], &mut hash_key)
            .ok_or(EngineError::Key)?;
        Ok(Self {
            stream,
            hash: GHash::new(&hash_key.into()),
        })
    }

    /// The whole tag of additional data and encrypted text.
    pub(super) fn tag<'a>(
        &self,
        nonce: [u8; NONCE],
        aad: impl IntoIterator<Item = &'a [u8]>,
        text: &[u8],
    ) -> Option<[u8; BLOCK]> {
        let mut hash = self.hash.clone();
        let aad_bits = absorb(&mut hash, aad)?;
        let text_bits = absorb(&mut hash, [text])?;
        let lengths = (u128::from(aad_bits) << 64) | u128::from(text_bits);
        hash.update(&[lengths.to_be_bytes().into()]);
        let mut tag: [u8; BLOCK] = hash.finalize().into();
        self.stream.apply(counter_block(nonce, 1), &mut tag)?;
        Some(tag)
    }

    fn apply(&self, nonce: [u8; NONCE], text: &mut [u8]) -> Option<()> {
        self.stream.apply(counter_block(nonce, 2), text)
    }
}

impl AeadMode for Gcm {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &mut [u8]) -> Option<()> {
        let nonce = nonce.try_into().ok()?;
        self.apply(nonce, text)?;
        icv.copy_from_slice(self.tag(nonce, [aad], text)?.get(..icv.len())?);
        Some(())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        let nonce = nonce.try_into().ok()?;
        let tag = self.tag(nonce, [aad], text)?;
        verify_slices_are_equal(tag.get(..icv.len())?, icv).ok()?;
        self.apply(nonce, text)
    }
}

/// `ENCR_NULL_AUTH_AES_GMAC` (RFC 4543, section 3): IV and payload are additional data.
pub(super) struct EspGmac(pub(super) Gcm);

impl EspGmac {
    fn tag(&self, nonce: &[u8], aad: &[u8], text: &[u8]) -> Option<[u8; BLOCK]> {
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let (_, iv) = nonce.split_last_chunk::<8>()?;
        self.0.tag(nonce, [aad, iv, text], &[])
    }
}

impl AeadMode for EspGmac {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &mut [u8]) -> Option<()> {
        icv.copy_from_slice(self.tag(nonce, aad, text)?.get(..icv.len())?);
        Some(())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        verify_slices_are_equal(&self.tag(nonce, aad, text)?, icv).ok()
    }
}

/// Hash octets and the zeros that fill their last block.
///
/// Returns:
/// How many bits the octets are.
fn absorb<'a>(hash: &mut GHash, parts: impl IntoIterator<Item = &'a [u8]>) -> Option<u64> {
    let mut octets = 0_usize;
    let tail = for_each_run(parts, |run| {
        octets = octets.saturating_add(run.as_flattened().len());
        hash.update(ghash::Block::cast_slice_from_core(run));
    });
    if tail.octets > 0 {
        hash.update(&[tail.block.into()]);
    }
    let octets = octets.checked_add(tail.octets)?;
    u64::try_from(octets).ok()?.checked_mul(8)
}

fn counter_block(nonce: [u8; NONCE], counter: u8) -> [u8; BLOCK] {
    let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = nonce;
    [
        n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, 0, 0, 0, counter,
    ]
}
