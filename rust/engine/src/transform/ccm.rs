//! AES-CCM (RFC 4309).

use aes::cipher::consts::{U8, U11, U12, U16};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ccm::aead::{AeadInOut, Key, KeyInit, Nonce, Tag};
use ccm::{Ccm, TagSize};

use super::combined::AeadMode;
use crate::error::EngineError;
use crate::suite::{AesKeyBits, IcvOctets};

/// Prepare a key without salt.
pub(super) fn new(
    bits: AesKeyBits,
    icv: IcvOctets,
    key: &[u8],
) -> Result<Box<dyn AeadMode>, EngineError> {
    match icv {
        IcvOctets::Eight => with_icv::<U8>(bits, key),
        IcvOctets::Twelve => with_icv::<U12>(bits, key),
        IcvOctets::Sixteen => with_icv::<U16>(bits, key),
    }
}

fn with_icv<M>(bits: AesKeyBits, key: &[u8]) -> Result<Box<dyn AeadMode>, EngineError>
where
    M: TagSize + aes::cipher::array::ArraySize + Send + Sync + 'static,
{
    match bits {
        AesKeyBits::Bits128 => boxed::<Ccm<Aes128Enc, M, U11>>(key),
        AesKeyBits::Bits192 => boxed::<Ccm<Aes192Enc, M, U11>>(key),
        AesKeyBits::Bits256 => boxed::<Ccm<Aes256Enc, M, U11>>(key),
    }
}

fn boxed<A>(key: &[u8]) -> Result<Box<dyn AeadMode>, EngineError>
where
    A: AeadInOut + KeyInit + Send + Sync + 'static,
{
    let key: &Key<A> = key.try_into().map_err(|_| EngineError::Key)?;
    Ok(Box::new(Library(A::new(key))))
}

/// A mode that comes whole from a library.
struct Library<A>(A);

impl<A: AeadInOut + Send + Sync> AeadMode for Library<A> {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &mut [u8]) -> Option<()> {
        let nonce: &Nonce<A> = nonce.try_into().ok()?;
        let tag = self
            .0
            .encrypt_inout_detached(nonce, aad, text.into())
            .ok()?;
        icv.copy_from_slice(&tag);
        Some(())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        let nonce: &Nonce<A> = nonce.try_into().ok()?;
        let tag: &Tag<A> = icv.try_into().ok()?;
        self.0
            .decrypt_inout_detached(nonce, aad, text.into(), tag)
            .ok()
    }
}
