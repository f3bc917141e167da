//! AES-CBC (RFC 3602).

use aws_lc_rs::cipher::{DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext};
use aws_lc_rs::iv::FixedLength;

use super::aes_ctr::cipher_key;
use super::separate::PacketCipher;
use crate::error::EngineError;

pub(super) const IV: usize = 16;

/// Both directions of a key.
pub(crate) struct AesCbc {
    encrypt: EncryptingKey,
    decrypt: DecryptingKey,
}

impl AesCbc {
    pub(super) fn new(key: &[u8]) -> Result<Self, EngineError> {
        Ok(Self {
            encrypt: EncryptingKey::cbc(cipher_key(key)?).map_err(|_| EngineError::Key)?,
            decrypt: DecryptingKey::cbc(cipher_key(key)?).map_err(|_| EngineError::Key)?,
        })
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
    pub(super) fn iv(&self, number: u64) -> Option<[u8; IV]> {
        let mut block = u128::from(number).to_be_bytes();
        self.encrypt_text([0; IV], &mut block)?;
        Some(block)
    }
}

impl PacketCipher for AesCbc {
    fn sizes(&self) -> (usize, usize) {
        (IV, IV)
    }

    fn make_iv(&self, number: u64, iv: &mut [u8]) -> Option<()> {
        iv.copy_from_slice(self.iv(number)?.get(..iv.len())?);
        Some(())
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        self.encrypt_text(iv.try_into().ok()?, text)
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        self.decrypt_text(iv.try_into().ok()?, text)
    }
}
