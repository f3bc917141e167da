//! AES-CBC (RFC 3602) with HMAC-SHA2 (RFC 4868) in ESP: encrypt, then protect.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use perilune_wire::esp::HEADER_OCTETS;

use super::{Layout, Sequence};
use crate::error::EngineError;
use crate::suite::Integrity;

const IV: usize = 16;
const BLOCK: usize = 16;

pub(crate) struct CbcHmac {
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
    integrity: hmac::Key,
    icv: usize,
}

impl CbcHmac {
    pub(super) fn new(
        key: &[u8],
        integrity: Integrity,
        integrity_key: &[u8],
    ) -> Result<Self, EngineError> {
        let (algorithm, icv) = match integrity {
            Integrity::HmacSha2_256_128 => (hmac::HMAC_SHA256, 16),
            Integrity::HmacSha2_384_192 => (hmac::HMAC_SHA384, 24),
            Integrity::HmacSha2_512_256 => (hmac::HMAC_SHA512, 32),
        };
        Ok(Self {
            encrypt: EncryptingKey::cbc(cipher_key(key)?).map_err(|_| EngineError::Key)?,
            decrypt: DecryptingKey::cbc(cipher_key(key)?).map_err(|_| EngineError::Key)?,
            integrity: hmac::Key::new(algorithm, integrity_key),
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
        *iv_place = self.make_iv(sequence.number)?;
        self.encrypt_text(*iv_place, text)?;
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
        self.decrypt_text(*iv, text)
    }

    pub(super) fn encrypt_text(&self, iv: [u8; IV], text: &mut [u8]) -> Option<()> {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.encrypt.less_safe_encrypt(text, context).ok()?;
        Some(())
    }

    pub(super) fn decrypt_text(&self, iv: [u8; IV], text: &mut [u8]) -> Option<()> {
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        self.decrypt.decrypt(text, context).ok()?;
        Some(())
    }

    /// An IV nobody can foretell: the encrypted sequence number, which is used once (NIST SP
    /// 800-38A, appendix C; RFC 3602, section 3 asks for it).
    fn make_iv(&self, number: u64) -> Option<[u8; IV]> {
        let mut block = u128::from(number).to_be_bytes();
        self.encrypt_text([0; IV], &mut block)?;
        Some(block)
    }

    /// The whole MAC. With ESN the high half of the sequence number is appended to what is
    /// protected, though not sent (RFC 4303, section 2.2.1).
    pub(super) fn tag(&self, protected: &[u8], sequence: Sequence) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.integrity);
        context.update(protected);
        if sequence.esn {
            let [h0, h1, h2, h3, ..] = sequence.number.to_be_bytes();
            context.update(&[h0, h1, h2, h3]);
        }
        context.sign()
    }
}

fn cipher_key(key: &[u8]) -> Result<UnboundCipherKey, EngineError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| EngineError::Key)
}
