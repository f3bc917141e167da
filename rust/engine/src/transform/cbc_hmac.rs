//! AES-CBC (RFC 3602) with HMAC-SHA2 (RFC 4868) or HMAC-SHA1 (RFC 2404) in ESP: encrypt, then
//! protect.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use perilune_wire::esp::HEADER_OCTETS;

use super::aes_cbc::{AesCbc, IV};
use super::{Layout, Sequence};
use crate::error::EngineError;

const BLOCK: usize = 16;

pub(crate) struct CbcHmac {
    cipher: AesCbc,
    integrity: hmac::Key,
    icv: usize,
}

impl CbcHmac {
    /// Make one; the ICV is the first `icv` octets of the HMAC.
    pub(super) fn new(key: &[u8], integrity: hmac::Key, icv: usize) -> Result<Self, EngineError> {
        Ok(Self {
            cipher: AesCbc::new(key)?,
            integrity,
            icv,
        })
    }

    #[inline]
    pub(super) fn layout(&self) -> Layout {
        Layout {
            iv: IV,
            block: BLOCK,
            icv: self.icv,
        }
    }

    pub(super) fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (protected, icv) = packet.split_at_mut_checked(packet.len().checked_sub(self.icv)?)?;
        let rest = protected.get_mut(HEADER_OCTETS..)?;
        let (iv_place, text) = rest.split_first_chunk_mut::<IV>()?;
        *iv_place = self.cipher.iv(sequence.number)?;
        self.cipher.encrypt_text(*iv_place, text)?;
        let tag = self.tag(protected, sequence);
        icv.copy_from_slice(tag.as_ref().get(..self.icv)?);
        Some(())
    }

    pub(super) fn open(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (protected, icv) = packet.split_at_mut_checked(packet.len().checked_sub(self.icv)?)?;
        let tag = self.tag(protected, sequence);
        verify_slices_are_equal(tag.as_ref().get(..self.icv)?, icv).ok()?;
        let rest = protected.get_mut(HEADER_OCTETS..)?;
        let (iv, text) = rest.split_first_chunk_mut::<IV>()?;
        self.cipher.decrypt_text(*iv, text)
    }

    /// The whole MAC. With ESN the high half of the sequence number is appended to what is
    /// protected, though not sent (RFC 4303, section 2.2.1).
    fn tag(&self, protected: &[u8], sequence: Sequence) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.integrity);
        context.update(protected);
        context.update(sequence.implied().get());
        context.sign()
    }
}
