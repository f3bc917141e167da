//! AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634) in ESP.
//!
//! ```text
//! nonce: | salt 32 | IV 64 |      AAD: | SPI 32 | sequence number 32, with ESN 64 |
//! ```
//!
//! The IV is the whole sequence number, so it is never used twice with a key.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, CHACHA20_POLY1305};
use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use perilune_wire::esp::HEADER_OCTETS;
use zeroize::Zeroizing;

use super::{Layout, Sequence};
use crate::error::EngineError;
use crate::suite::AesKeyBits;

const IV: usize = 8;
const ICV: usize = 16;
const SALT: usize = 4;
const NONCE: usize = SALT + IV;

pub(super) const LAYOUT: Layout = Layout {
    iv: IV,
    block: 4,
    icv: ICV,
};

/// The same without an IV in the packet (RFC 8750).
pub(super) const IMPLICIT_LAYOUT: Layout = Layout { iv: 0, ..LAYOUT };

pub(crate) struct Aead {
    key: LessSafeKey,
    salt: Zeroizing<[u8; SALT]>,
}

impl Aead {
    pub(super) fn aes_gcm(bits: AesKeyBits, key: &[u8]) -> Result<Self, EngineError> {
        let algorithm = match bits {
            AesKeyBits::Bits128 => &AES_128_GCM,
            AesKeyBits::Bits192 => &AES_192_GCM,
            AesKeyBits::Bits256 => &AES_256_GCM,
        };
        Self::new(algorithm, key)
    }

    pub(super) fn chacha20_poly1305(key: &[u8]) -> Result<Self, EngineError> {
        Self::new(&CHACHA20_POLY1305, key)
    }

    fn new(algorithm: &'static Algorithm, key: &[u8]) -> Result<Self, EngineError> {
        let (key, salt) = key.split_last_chunk::<SALT>().ok_or(EngineError::Key)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| EngineError::Key)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: Zeroizing::new(*salt),
        })
    }

    #[inline]
    pub(super) fn seal(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let iv = sequence.number.to_be_bytes();
        let (header, rest) = packet.split_first_chunk_mut::<HEADER_OCTETS>()?;
        let (iv_place, rest) = rest.split_first_chunk_mut::<IV>()?;
        let (text, icv) = rest.split_last_chunk_mut::<ICV>()?;
        *iv_place = iv;
        let aad = AadOctets::new(*header, sequence);
        self.seal_text(self.nonce(iv), aad.get(), text, icv)
    }

    #[inline]
    pub(super) fn open(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (header, rest) = packet.split_first_chunk_mut::<HEADER_OCTETS>()?;
        let (iv, text_and_icv) = rest.split_first_chunk_mut::<IV>()?;
        let aad = AadOctets::new(*header, sequence);
        self.open_text(self.nonce(*iv), aad.get(), text_and_icv)
    }

    /// Seal a packet that carries no IV: both ends take the sequence number for it (RFC 8750,
    /// section 4).
    pub(super) fn seal_implicit(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (header, rest) = packet.split_first_chunk_mut::<HEADER_OCTETS>()?;
        let (text, icv) = rest.split_last_chunk_mut::<ICV>()?;
        let aad = AadOctets::new(*header, sequence);
        self.seal_text(
            self.nonce(sequence.number.to_be_bytes()),
            aad.get(),
            text,
            icv,
        )
    }

    /// Open a packet that carries no IV.
    pub(super) fn open_implicit(&self, packet: &mut [u8], sequence: Sequence) -> Option<()> {
        let (header, text_and_icv) = packet.split_first_chunk_mut::<HEADER_OCTETS>()?;
        let aad = AadOctets::new(*header, sequence);
        self.open_text(
            self.nonce(sequence.number.to_be_bytes()),
            aad.get(),
            text_and_icv,
        )
    }

    #[inline]
    pub(super) fn seal_text(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        text: &mut [u8],
        icv: &mut [u8; ICV],
    ) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_scatter(nonce, Aad::from(aad), text, &[], icv)
            .ok()
    }

    #[inline]
    pub(super) fn open_text(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        text_and_icv: &mut [u8],
    ) -> Option<()> {
        let (text, icv) = text_and_icv.split_last_chunk_mut::<ICV>()?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(aad), icv, text)
            .ok()?;
        Some(())
    }

    #[inline]
    fn nonce(&self, iv: [u8; IV]) -> [u8; NONCE] {
        let [s0, s1, s2, s3] = *self.salt;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = iv;
        [s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, i6, i7]
    }
}

/// Additional authenticated data (RFC 4106, section 5): 8 octets, or 12 with ESN.
pub(super) struct AadOctets([u8; 12], usize);

impl AadOctets {
    #[inline]
    pub(super) fn new(header: [u8; HEADER_OCTETS], sequence: Sequence) -> Self {
        let [s0, s1, s2, s3, l0, l1, l2, l3] = header;
        if !sequence.esn {
            return Self([s0, s1, s2, s3, l0, l1, l2, l3, 0, 0, 0, 0], 8);
        }
        let [h0, h1, h2, h3, ..] = sequence.number.to_be_bytes();
        Self([s0, s1, s2, s3, h0, h1, h2, h3, l0, l1, l2, l3], 12)
    }

    #[inline]
    pub(super) fn get(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or(&self.0)
    }
}
