//! The algorithms and keys of an SA.
//!
//! A suite that can be written is one that a standard allows: there is no NULL without integrity, no
//! counter mode without integrity, and no combined mode with another integrity algorithm.

mod encryption;
mod iana;
mod integrity;
mod keys;

pub use encryption::{AesKeyBits, Cbc, Cipher, Combined, IcvOctets, KeyOctets, Rc5KeyBits};
pub use iana::SuiteError;
pub use integrity::{AhIntegrity, Integrity};
pub use keys::Keys;

use crate::processing::Protocol;

/// The chosen algorithms: one of them for AH, the others for ESP (RFC 4303, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Integrity of AH (RFC 4302, section 2.6), which is all that AH has.
    Ah(AhIntegrity),
    /// A combined mode.
    Combined(Combined),
    /// Encryption without integrity, which is for old peers only (RFC 8221, section 4).
    EncryptionOnly(Cbc),
    /// NULL encryption (RFC 2410) and an integrity algorithm.
    IntegrityOnly(Integrity),
    /// Encryption, and an integrity algorithm over what it made.
    Separate(Cipher, Integrity),
}

impl Suite {
    /// AES-CBC and an integrity algorithm.
    pub const fn aes_cbc(bits: AesKeyBits, integrity: Integrity) -> Self {
        Self::Separate(Cipher::Cbc(Cbc::Aes(bits)), integrity)
    }

    /// AES-GCM with an ICV of 16 octets.
    pub const fn aes_gcm_16(bits: AesKeyBits) -> Self {
        Self::Combined(Combined::AesGcm(bits, IcvOctets::Sixteen))
    }

    /// ChaCha20-Poly1305.
    pub const fn chacha20_poly1305() -> Self {
        Self::Combined(Combined::ChaCha20Poly1305)
    }

    /// Every suite of ESP; of ciphers with many lengths of key, with the one of [`Cbc::ALL`].
    pub fn all() -> Vec<Self> {
        let bits = AesKeyBits::ALL;
        let ciphers = (Cbc::ALL.map(Cipher::Cbc).into_iter()).chain(bits.map(Cipher::AesCtr));
        let with_icv = |make: fn(AesKeyBits, IcvOctets) -> Combined| {
            bits.into_iter()
                .flat_map(move |bits| IcvOctets::ALL.map(|icv| make(bits, icv)))
        };
        with_icv(Combined::AesCcm)
            .chain(with_icv(Combined::AesGcm))
            .chain(bits.map(Combined::AesCcm8Iiv))
            .chain(bits.map(Combined::AesGcm16Iiv))
            .chain(bits.map(Combined::AesGmac))
            .chain([Combined::ChaCha20Poly1305, Combined::ChaCha20Poly1305Iiv])
            .map(Self::Combined)
            .chain(Cbc::ALL.map(Self::EncryptionOnly))
            .chain(Integrity::ALL.map(Self::IntegrityOnly))
            .chain(ciphers.flat_map(|cipher| Integrity::ALL.map(|mac| Self::Separate(cipher, mac))))
            .collect()
    }

    /// The security protocol that it is for.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Ah(_) => Protocol::Ah,
            _ => Protocol::Esp,
        }
    }

    /// Length of the encryption key in octets; a salt or nonce behind it is included.
    pub const fn encryption_key_octets(self) -> usize {
        match self {
            Self::Combined(combined) => combined.key_octets(),
            Self::EncryptionOnly(cipher) => cipher.key_octets(),
            Self::Ah(_) | Self::IntegrityOnly(_) => 0,
            Self::Separate(cipher, _) => cipher.key_octets(),
        }
    }

    /// Length of the integrity key in octets; zero where there is no integrity algorithm.
    pub const fn integrity_key_octets(self) -> usize {
        match self {
            Self::Ah(integrity) => integrity.key_octets(),
            Self::Combined(_) | Self::EncryptionOnly(_) => 0,
            Self::IntegrityOnly(integrity) | Self::Separate(_, integrity) => integrity.key_octets(),
        }
    }

    /// Whether a receiver can tell a packet of its peer from a forged one.
    pub const fn has_integrity(self) -> bool {
        !matches!(self, Self::EncryptionOnly(_))
    }

    /// Whether a packet's IV is its sequence number, so that a number that comes twice with a key gives
    /// away what both packets hold, or the key of the ICV (RFC 3686, section 7; RFC 8221, section 3).
    pub const fn uses_counter(self) -> bool {
        match self {
            Self::Ah(AhIntegrity::AesGmac(_))
            | Self::Combined(_)
            | Self::Separate(Cipher::AesCtr(_), _) => true,
            Self::Ah(AhIntegrity::Mac(_))
            | Self::EncryptionOnly(_)
            | Self::IntegrityOnly(_)
            | Self::Separate(Cipher::Cbc(_), _) => false,
        }
    }

    /// What of it is for old peers only, and is refused unless the SA allows it by name.
    pub const fn insecure(self) -> Option<&'static str> {
        match self {
            Self::Ah(integrity) => integrity.insecure(),
            Self::Combined(_) => None,
            Self::EncryptionOnly(_) => Some("encryption without integrity"),
            Self::IntegrityOnly(integrity) => integrity.insecure(),
            Self::Separate(cipher, integrity) => match cipher.insecure() {
                None => integrity.insecure(),
                weak => weak,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_lengths_are_those_of_the_rfcs() {
        let lengths = |suite: Suite| (suite.encryption_key_octets(), suite.integrity_key_octets());
        assert_eq!(lengths(Suite::aes_gcm_16(AesKeyBits::Bits256)), (36, 0));
        assert_eq!(lengths(Suite::chacha20_poly1305()), (36, 0));
        let cbc = Suite::aes_cbc(AesKeyBits::Bits192, Integrity::HmacSha2_512_256);
        assert_eq!(lengths(cbc), (24, 64));
        let ccm = Combined::AesCcm(AesKeyBits::Bits128, IcvOctets::Eight);
        assert_eq!(lengths(Suite::Combined(ccm)), (19, 0));
        let ctr = Cipher::AesCtr(AesKeyBits::Bits256);
        assert_eq!(
            lengths(Suite::Separate(ctr, Integrity::HmacSha1_96)),
            (36, 20)
        );
    }

    #[test]
    fn what_is_insecure_says_what_it_is() {
        let weak = |suite: Suite| suite.insecure();
        let (sha, md5) = (Integrity::HmacSha2_256_128, Integrity::HmacMd5_96);
        assert_eq!(weak(Suite::aes_cbc(AesKeyBits::Bits128, sha)), None);
        assert_eq!(
            weak(Suite::aes_cbc(AesKeyBits::Bits128, md5)),
            Some("HMAC-MD5-96")
        );
        let des = Suite::Separate(Cipher::Cbc(Cbc::Des), sha);
        assert_eq!(weak(des), Some("DES"));
        let unprotected = Suite::EncryptionOnly(Cbc::Aes(AesKeyBits::Bits256));
        assert_eq!(weak(unprotected), Some("encryption without integrity"));
        assert!(!unprotected.has_integrity() && des.has_integrity());
    }
}
