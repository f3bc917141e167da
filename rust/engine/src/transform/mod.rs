//! What encryption and integrity algorithms do to a whole ESP packet.

mod aead;
mod aes_cbc;
mod aes_ctr;
mod ah;
mod block_mac;
mod blocks;
mod cbc;
mod cbc_hmac;
mod ccm;
mod combined;
mod gcm;
mod mac;
mod separate;
mod triple_idea;
#[cfg(test)]
mod vectors;

use std::ops::Range;

use aead::Aead;
use aes_ctr::AesCtr;
pub(crate) use ah::AhTransform;
use cbc_hmac::CbcHmac;
use combined::CombinedMode;
use mac::Mac;
use perilune_wire::esp::{HEADER_OCTETS, TRAILER_OCTETS};
use separate::{PacketCipher, Separate};

use crate::drop_reason::DropReason;
use crate::error::EngineError;
use crate::suite::{Cbc, Cipher, Combined, IcvOctets, Integrity, Keys, Suite};

/// The algorithms of one SA with their keys, schedules prepared.
pub(crate) enum Transform {
    Aead(Aead),
    AeadImplicit(Aead),
    CbcHmac(Box<CbcHmac>),
    /// Everything that is not built for speed.
    Other(Box<dyn PacketTransform>),
}

/// What a transform does to packets; see the methods of [`Transform`], which share the names.
pub(crate) trait PacketTransform: Send + Sync {
    fn layout(&self) -> Layout;

    fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()>;

    fn open(&self, packet: &mut [u8], sequence: Sequence) -> Option<()>;
}

/// A packet's sequence number, and whether its high half is part of what the ICV protects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence {
    pub(crate) number: u64,
    pub(crate) esn: bool,
}

/// What the ICV protects behind the packet though it is not sent: with extended sequence numbers
/// their high half (RFC 4302, section 2.5.1; RFC 4303, section 2.2.1), otherwise nothing.
pub(crate) struct Implied([u8; 4], usize);

impl Sequence {
    #[inline]
    pub(crate) fn implied(self) -> Implied {
        let [h0, h1, h2, h3, ..] = self.number.to_be_bytes();
        Implied([h0, h1, h2, h3], if self.esn { 4 } else { 0 })
    }
}

impl Implied {
    #[inline]
    pub(crate) fn get(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or(&self.0)
    }
}

/// Sizes of the parts of an ESP packet, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Initialization vector, behind the header.
    pub(crate) iv: usize,
    /// What payload, padding and trailer together are a multiple of: a power of two.
    pub(crate) block: usize,
    /// Integrity check value, at the end.
    pub(crate) icv: usize,
}

impl Layout {
    /// Where the payload begins.
    #[inline]
    pub(crate) const fn payload(self) -> usize {
        HEADER_OCTETS.wrapping_add(self.iv)
    }

    /// Octets of payload, padding and trailer for a payload of so many octets.
    #[inline]
    pub(crate) const fn padded(self, payload: usize) -> usize {
        let below = self.block.saturating_sub(1);
        let least = payload.saturating_add(TRAILER_OCTETS);
        least.saturating_add(below) & !below
    }

    /// Octets of the ESP packet around a payload of so many octets.
    #[inline]
    pub(crate) const fn packet(self, payload: usize) -> usize {
        self.payload()
            .saturating_add(self.padded(payload))
            .saturating_add(self.icv)
    }

    /// Where the encrypted part of a packet of so many octets is, if there can be one.
    #[inline]
    pub(crate) fn encrypted(self, packet: usize) -> Option<Range<usize>> {
        let end = packet.checked_sub(self.icv)?;
        let octets = end.checked_sub(self.payload())?;
        let below = self.block.saturating_sub(1);
        let is_whole = octets >= TRAILER_OCTETS && octets & below == 0;
        is_whole.then_some(self.payload()..end)
    }
}

impl Transform {
    /// Prepare the keys of an SA.
    pub(crate) fn new(suite: Suite, keys: &Keys) -> Result<Self, EngineError> {
        if keys.encryption.len() != suite.encryption_key_octets()
            || keys.integrity.len() != suite.integrity_key_octets()
        {
            return Err(EngineError::Key);
        }
        match suite {
            Suite::Ah(_) => Err(EngineError::SuiteForAh),
            Suite::Combined(combined) => Self::combined(combined, &keys.encryption),
            Suite::EncryptionOnly(cipher) => {
                let cipher = cbc::new(cipher, &keys.encryption)?;
                Ok(Self::other(Separate::new(Some(cipher), None)))
            }
            Suite::IntegrityOnly(integrity) => {
                let mac = Mac::new(integrity, &keys.integrity)?;
                Ok(Self::other(Separate::new(None, Some(mac))))
            }
            Suite::Separate(cipher, integrity) => Self::separate(cipher, integrity, keys),
        }
    }

    fn combined(combined: Combined, key: &[u8]) -> Result<Self, EngineError> {
        Ok(match combined {
            Combined::AesCcm(bits, icv) => {
                Self::other(CombinedMode::aes_ccm(bits, icv, false, key)?)
            }
            Combined::AesCcm8Iiv(bits) => {
                Self::other(CombinedMode::aes_ccm(bits, IcvOctets::Eight, true, key)?)
            }
            Combined::AesGcm(bits, IcvOctets::Sixteen) => Self::Aead(Aead::aes_gcm(bits, key)?),
            Combined::AesGcm(_, icv) => Self::other(CombinedMode::aes_gcm(icv, key)?),
            Combined::AesGcm16Iiv(bits) => Self::AeadImplicit(Aead::aes_gcm(bits, key)?),
            Combined::AesGmac(_) => Self::other(CombinedMode::aes_gmac(key)?),
            Combined::ChaCha20Poly1305 => Self::Aead(Aead::chacha20_poly1305(key)?),
            Combined::ChaCha20Poly1305Iiv => Self::AeadImplicit(Aead::chacha20_poly1305(key)?),
        })
    }

    fn separate(cipher: Cipher, integrity: Integrity, keys: &Keys) -> Result<Self, EngineError> {
        let mac = Mac::new(integrity, &keys.integrity)?;
        let key = &keys.encryption;
        if let (Cipher::Cbc(Cbc::Aes(_)), Some(hmac)) = (cipher, mac.as_hmac()) {
            let transform = CbcHmac::new(key, hmac.clone(), integrity.icv_octets())?;
            return Ok(Self::CbcHmac(Box::new(transform)));
        }
        let cipher: Box<dyn PacketCipher> = match cipher {
            Cipher::AesCtr(_) => Box::new(AesCtr::new(key)?),
            Cipher::Cbc(cipher) => cbc::new(cipher, key)?,
        };
        Ok(Self::other(Separate::new(Some(cipher), Some(mac))))
    }

    fn other(transform: impl PacketTransform + 'static) -> Self {
        Self::Other(Box::new(transform))
    }

    /// Sizes of the parts of its packets.
    #[inline]
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Self::Aead(_) => aead::LAYOUT,
            Self::AeadImplicit(_) => aead::IMPLICIT_LAYOUT,
            Self::CbcHmac(transform) => transform.layout(),
            Self::Other(transform) => transform.layout(),
        }
    }

    /// Encrypt and protect a packet in place: header, payload, padding and trailer are there;
    /// IV and ICV are filled in.
    ///
    /// Returns:
    /// `None` when the library refused, which lengths made by [`Layout::packet`] rule out.
    #[inline]
    pub(crate) fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        match self {
            Self::Aead(transform) => transform.seal(packet, sequence),
            Self::AeadImplicit(transform) => transform.seal_implicit(packet, sequence),
            Self::CbcHmac(transform) => transform.seal(packet, sequence),
            Self::Other(transform) => transform.seal(packet, sequence),
        }
    }

    /// Verify and decrypt a packet in place.
    ///
    /// Returns:
    /// Where payload, padding and trailer are now; at least two octets.
    #[inline]
    pub(crate) fn open(
        &self,
        packet: &mut [u8],
        sequence: Sequence,
    ) -> Result<Range<usize>, DropReason> {
        let encrypted = self
            .layout()
            .encrypted(packet.len())
            .ok_or(DropReason::EspMalformed)?;
        match self {
            Self::Aead(transform) => transform.open(packet, sequence),
            Self::AeadImplicit(transform) => transform.open_implicit(packet, sequence),
            Self::CbcHmac(transform) => transform.open(packet, sequence),
            Self::Other(transform) => transform.open(packet, sequence),
        }
        .ok_or(DropReason::IntegrityFailed)?;
        Ok(encrypted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers R4303-2.4-1
    // covers R4303-2.5-1
    #[test]
    fn padding_fills_the_block_and_no_more() {
        let aead = aead::LAYOUT;
        assert_eq!(
            [2, 3, 6, 7].map(|payload| aead.padded(payload)),
            [4, 8, 8, 12]
        );
        assert_eq!(aead.packet(1400), 8 + 8 + 1404 + 16);
        let cbc = Layout {
            iv: 16,
            block: 16,
            icv: 16,
        };
        assert_eq!([14, 15].map(|payload| cbc.padded(payload)), [16, 32]);
    }

    // covers R4303-2.3-2
    #[test]
    fn what_is_inside_begins_at_a_multiple_of_eight_octets() {
        for suite in Suite::all() {
            let octets = |count: usize| (1..).take(count).collect();
            let keys = Keys::new(
                octets(suite.encryption_key_octets()),
                octets(suite.integrity_key_octets()),
            );
            let transform = Transform::new(suite, &keys).unwrap();
            let layout = transform.layout();
            assert_eq!(layout.payload() % 8, 0, "{suite:?}");
            assert!(layout.block.is_power_of_two(), "{suite:?}");
        }
    }

    #[test]
    fn lengths_that_no_sender_makes_have_no_encrypted_part() {
        let cbc = Layout {
            iv: 16,
            block: 16,
            icv: 16,
        };
        assert_eq!(cbc.encrypted(56), Some(24..40));
        for octets in [0, 7, 39, 40, 55, 57] {
            assert_eq!(cbc.encrypted(octets), None, "{octets}");
        }
    }
}
