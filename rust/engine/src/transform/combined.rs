//! ESP of the combined modes outside the hot path: AES-CCM (RFC 4309), AES-GCM with a short ICV (RFC
//! 4106), AES-GMAC (RFC 4543).
//!
//! ```text
//! nonce: | salt 24 or 32 | IV 64 |      AAD: | SPI 32 | sequence number 32, with ESN 64 |
//! ```

use perilune_wire::esp::HEADER_OCTETS;
use zeroize::Zeroizing;

use super::aead::AadOctets;
use super::gcm::{EspGmac, Gcm};
use super::{Layout, PacketTransform, Sequence, ccm};
use crate::error::EngineError;
use crate::suite::{AesKeyBits, IcvOctets};

const IV: usize = 8;
/// Octets of the longest nonce.
pub(super) const NONCE: usize = 12;

/// Authenticated encryption in place. `None` means a wrong length or, from `open`, a wrong ICV.
pub(super) trait AeadMode: Send + Sync {
    fn seal(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &mut [u8]) -> Option<()>;

    fn open(&self, nonce: &[u8], aad: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()>;
}

/// A combined mode and the salt of its SA.
pub(super) struct CombinedMode {
    mode: Box<dyn AeadMode>,
    salt: Zeroizing<Vec<u8>>,
    icv: usize,
    is_implicit: bool,
}

impl CombinedMode {
    /// AES-CCM; with an implicit IV (RFC 8750) the packet carries none.
    pub(super) fn aes_ccm(
        bits: AesKeyBits,
        icv: IcvOctets,
        is_implicit: bool,
        key: &[u8],
    ) -> Result<Self, EngineError> {
        let (key, salt) = key.split_last_chunk::<3>().ok_or(EngineError::Key)?;
        Ok(Self {
            mode: ccm::new(bits, icv, key)?,
            salt: Zeroizing::new(salt.to_vec()),
            icv: icv.get(),
            is_implicit,
        })
    }

    pub(super) fn aes_gcm(icv: IcvOctets, key: &[u8]) -> Result<Self, EngineError> {
        Self::of_gcm(key, icv.get(), |gcm| Box::new(gcm))
    }

    pub(super) fn aes_gmac(key: &[u8]) -> Result<Self, EngineError> {
        Self::of_gcm(key, 16, |gcm| Box::new(EspGmac(gcm)))
    }

    fn of_gcm(
        key: &[u8],
        icv: usize,
        mode: impl FnOnce(Gcm) -> Box<dyn AeadMode>,
    ) -> Result<Self, EngineError> {
        let (key, salt) = key.split_last_chunk::<4>().ok_or(EngineError::Key)?;
        Ok(Self {
            mode: mode(Gcm::new(key)?),
            salt: Zeroizing::new(salt.to_vec()),
            icv,
            is_implicit: false,
        })
    }

    /// Hand the mode nonce, additional data, text and ICV of a packet whose IV is there.
    fn with_parts(
        &self,
        packet: &mut [u8],
        sequence: Sequence,
        work: impl FnOnce(&[u8], &[u8], &mut [u8], &mut [u8]) -> Option<()>,
    ) -> Option<()> {
        let (header, rest) = packet.split_first_chunk_mut::<HEADER_OCTETS>()?;
        let (iv, rest) = rest.split_at_mut_checked(self.layout().iv)?;
        let (text, icv) = rest.split_at_mut_checked(rest.len().checked_sub(self.icv)?)?;
        let implicit = sequence.number.to_be_bytes();
        let iv: &[u8] = if self.is_implicit { &implicit } else { iv };
        let mut nonce = [0; NONCE];
        let nonce = nonce.get_mut(..self.salt.len().checked_add(IV)?)?;
        let (salt_place, iv_place) = nonce.split_at_mut_checked(self.salt.len())?;
        salt_place.copy_from_slice(&self.salt);
        iv_place.copy_from_slice(iv);
        work(nonce, AadOctets::new(*header, sequence).get(), text, icv)
    }
}

impl PacketTransform for CombinedMode {
    fn layout(&self) -> Layout {
        Layout {
            iv: if self.is_implicit { 0 } else { IV },
            block: 4,
            icv: self.icv,
        }
    }

    /// The IV is the whole sequence number, so it is never used twice with a key.
    fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        if !self.is_implicit {
            let iv = packet.get_mut(HEADER_OCTETS..)?.first_chunk_mut()?;
            *iv = sequence.number.to_be_bytes();
        }
        self.with_parts(packet, sequence, |nonce, aad, text, icv| {
            self.mode.seal(nonce, aad, text, icv)
        })
    }

    fn open(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        self.with_parts(packet, sequence, |nonce, aad, text, icv| {
            self.mode.open(nonce, aad, text, icv)
        })
    }
}
