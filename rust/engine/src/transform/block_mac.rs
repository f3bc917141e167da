//! AES-CMAC (RFC 4493) and AES-XCBC-MAC (RFC 3566): chained AES, whose last block gets one of two keys
//! added, by whether it was whole. They differ in how the three keys are made.

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use super::blocks::{BLOCK, Tail, for_each_run};
use crate::error::EngineError;

pub(super) struct BlockMac {
    cipher: Aes128Enc,
    for_whole: Zeroizing<u128>,
    for_short: Zeroizing<u128>,
}

impl BlockMac {
    /// AES-CMAC: both keys come from doubling (RFC 4493, section 2.3).
    pub(super) fn cmac(key: &[u8]) -> Result<Self, EngineError> {
        let cipher = cipher(key)?;
        let for_whole = Zeroizing::new(double(encrypted(&cipher, 0)));
        Ok(Self {
            cipher,
            for_short: Zeroizing::new(double(*for_whole)),
            for_whole,
        })
    }

    /// AES-XCBC-MAC: all keys are encrypted constants (RFC 3566, section 4).
    pub(super) fn xcbc(key: &[u8]) -> Result<Self, EngineError> {
        let constant = |octet: u8| u128::from_be_bytes([octet; BLOCK]);
        let outer = cipher(key)?;
        let inner_key = Zeroizing::new(encrypted(&outer, constant(1)).to_be_bytes());
        Ok(Self {
            cipher: cipher(&*inner_key)?,
            for_whole: Zeroizing::new(encrypted(&outer, constant(2))),
            for_short: Zeroizing::new(encrypted(&outer, constant(3))),
        })
    }

    /// The whole MAC of parts as if they lay in one.
    pub(super) fn mac<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; BLOCK] {
        let mut state = 0;
        let tail = for_each_run(parts, |run| {
            for block in run {
                state = encrypted(&self.cipher, state ^ u128::from_be_bytes(*block));
            }
        });
        encrypted(&self.cipher, state ^ self.last(tail)).to_be_bytes()
    }

    fn last(&self, Tail { mut block, octets }: Tail) -> u128 {
        let key = match block.get_mut(octets) {
            None => *self.for_whole,
            Some(end) => {
                *end = 0x80;
                *self.for_short
            }
        };
        u128::from_be_bytes(block) ^ key
    }
}

fn cipher(key: &[u8]) -> Result<Aes128Enc, EngineError> {
    Aes128Enc::new_from_slice(key).map_err(|_| EngineError::Key)
}

fn encrypted(cipher: &Aes128Enc, block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    cipher.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// Times x in the field that RFC 4493 counts in; without a branch on the key.
fn double(block: u128) -> u128 {
    const POLYNOMIAL: u128 = 0x87;
    (block << 1) ^ (POLYNOMIAL & (block >> 127).wrapping_neg())
}
