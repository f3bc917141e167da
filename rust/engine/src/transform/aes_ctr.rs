//! AES in counter mode, as RFC 3686 uses it, and as AES-GCM is made of it.
//!
//! ```text
//! counter block: | nonce 32 | IV 64 | block counter 32, from 1 |
//! ```
//!
//! The IV is the whole sequence number, so it is never used twice with a key.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::separate::PacketCipher;
use crate::error::EngineError;

const IV: usize = 8;
const NONCE: usize = 4;

/// The key stream of a key.
pub(super) struct KeyStream(EncryptingKey);

impl KeyStream {
    pub(super) fn new(key: &[u8]) -> Result<Self, EngineError> {
        let key = EncryptingKey::ctr(cipher_key(key)?).map_err(|_| EngineError::Key)?;
        Ok(Self(key))
    }

    /// Add the key stream that begins with this counter block; encrypting and decrypting are one.
    pub(super) fn apply(&self, counter_block: [u8; 16], text: &mut [u8]) -> Option<()> {
        let context = EncryptionContext::Iv128(FixedLength::from(counter_block));
        self.0.less_safe_encrypt(text, context).ok()?;
        Some(())
    }
}

/// AES-CTR in ESP (RFC 3686).
pub(super) struct AesCtr {
    stream: KeyStream,
    nonce: Zeroizing<[u8; NONCE]>,
}

impl AesCtr {
    pub(super) fn new(key: &[u8]) -> Result<Self, EngineError> {
        let (key, nonce) = key.split_last_chunk().ok_or(EngineError::Key)?;
        Ok(Self {
            stream: KeyStream::new(key)?,
            nonce: Zeroizing::new(*nonce),
        })
    }
}

impl PacketCipher for AesCtr {
    /// A key stream has no blocks; ESP aligns to four octets (RFC 3686, section 3.2).
    fn sizes(&self) -> (usize, usize) {
        (IV, 4)
    }

    fn make_iv(&self, number: u64, iv: &mut [u8]) -> Option<()> {
        iv.copy_from_slice(number.to_be_bytes().get(..iv.len())?);
        Some(())
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let [n0, n1, n2, n3] = *self.nonce;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = iv.try_into().ok()?;
        let block = [n0, n1, n2, n3, i0, i1, i2, i3, i4, i5, i6, i7, 0, 0, 0, 1];
        self.stream.apply(block, text)
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        self.encrypt(iv, text)
    }
}

/// An AES key for a mode of operation.
pub(super) fn cipher_key(key: &[u8]) -> Result<UnboundCipherKey, EngineError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| EngineError::Key)
}
