//! Block ciphers in CBC mode (RFC 2405, RFC 2451, RFC 5529).

use aes::cipher::consts::{U5, U16, U20};
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia192, Camellia256};
use cast5::Cast5;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};
use cbc::{Decryptor, Encryptor};
use des::{Des, TdesEde3, weak_key_test};
use idea::Idea;
use rc5::RC5;

use super::aes_cbc::AesCbc;
use super::separate::PacketCipher;
use super::triple_idea::TripleIdea;
use crate::error::EngineError;
use crate::suite::{AesKeyBits, Cbc, Rc5KeyBits};

/// RC5 with words of 32 bits and 16 rounds, the number that RFC 2451, section 2.5 has.
type Rc5<KeyOctets> = RC5<u32, U16, KeyOctets>;

/// Prepare a key.
pub(super) fn new(cipher: Cbc, key: &[u8]) -> Result<Box<dyn PacketCipher>, EngineError> {
    match cipher {
        Cbc::Aes(_) => Ok(Box::new(AesCbc::new(key)?)),
        Cbc::Blowfish(_) => chained::<Blowfish>(key),
        Cbc::Camellia(AesKeyBits::Bits128) => chained::<Camellia128>(key),
        Cbc::Camellia(AesKeyBits::Bits192) => chained::<Camellia192>(key),
        Cbc::Camellia(AesKeyBits::Bits256) => chained::<Camellia256>(key),
        Cbc::Cast128(_) => chained::<Cast5>(key),
        Cbc::Des => strong_des(key).and_then(chained::<Des>),
        Cbc::Idea => chained::<Idea>(key),
        Cbc::Rc5(Rc5KeyBits::Bits40) => chained::<Rc5<U5>>(key),
        Cbc::Rc5(Rc5KeyBits::Bits128) => chained::<Rc5<U16>>(key),
        Cbc::Rc5(Rc5KeyBits::Bits160) => chained::<Rc5<U20>>(key),
        Cbc::TripleDes => strong_triple_des(key).and_then(chained::<TdesEde3>),
        Cbc::TripleIdea => chained::<TripleIdea>(key),
    }
}

/// Prepare a key of a cipher, whatever it is.
pub(super) fn chained<C>(key: &[u8]) -> Result<Box<dyn PacketCipher>, EngineError>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + Sync + 'static,
{
    let cipher = C::new_from_slice(key).map_err(|_| EngineError::Key)?;
    Ok(Box::new(Chained(cipher)))
}

/// Weak key checks SHOULD be performed (RFC 2405, section 4).
fn strong_des(key: &[u8]) -> Result<&[u8], EngineError> {
    let key: &[u8; 8] = key.try_into().map_err(|_| EngineError::Key)?;
    weak_key_test(&odd_parity(*key)).map_err(|_| EngineError::WeakKey)?;
    Ok(key)
}

/// Two equal keys in a row make 3DES the same as DES: such keys MUST be rejected (RFC 2451, section
/// 2.3).
fn strong_triple_des(key: &[u8]) -> Result<&[u8], EngineError> {
    let ([first, second, third], []) = key.as_chunks::<8>() else {
        return Err(EngineError::Key);
    };
    let [first, second, third] = [first, second, third].map(|key| odd_parity(*key));
    if first == second || second == third {
        return Err(EngineError::WeakKey);
    }
    Ok(key)
}

/// The lowest bit of each octet of a DES key is for parity, and keys are the same without it.
fn odd_parity(key: [u8; 8]) -> [u8; 8] {
    key.map(|octet| (octet & 0xfe) | u8::from((octet >> 1).count_ones() % 2 == 0))
}

/// A block cipher in CBC mode.
struct Chained<C>(C);

impl<C> PacketCipher for Chained<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync,
{
    fn sizes(&self) -> (usize, usize) {
        (C::block_size(), C::block_size())
    }

    /// An IV nobody can foretell: the encrypted sequence number, which is used once (NIST SP
    /// 800-38A, appendix C; RFC 2451, section 3 forbids a plain counter).
    fn make_iv(&self, number: u64, iv: &mut [u8]) -> Option<()> {
        iv.fill(0);
        *iv.last_chunk_mut()? = number.to_be_bytes();
        self.0.encrypt_block(iv.try_into().ok()?);
        Some(())
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let mut chain = Encryptor::<&C>::inner_iv_slice_init(&self.0, iv).ok()?;
        chain.encrypt_blocks(blocks::<C>(text)?);
        Some(())
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let mut chain = Decryptor::<&C>::inner_iv_slice_init(&self.0, iv).ok()?;
        chain.decrypt_blocks(blocks::<C>(text)?);
        Some(())
    }
}

fn blocks<C: BlockSizeUser>(text: &mut [u8]) -> Option<&mut [Array<u8, C::BlockSize>]> {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    rest.is_empty().then_some(blocks)
}
