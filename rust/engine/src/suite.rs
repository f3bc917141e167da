//! The algorithms and keys of an SA.

use std::fmt;

use zeroize::Zeroizing;

/// Integrity algorithms that accompany AES-CBC (RFC 4868).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// `AUTH_HMAC_SHA2_256_128`: 32-octet key, 16-octet ICV.
    HmacSha2_256_128,
    /// `AUTH_HMAC_SHA2_384_192`: 48-octet key, 24-octet ICV.
    HmacSha2_384_192,
    /// `AUTH_HMAC_SHA2_512_256`: 64-octet key, 32-octet ICV.
    HmacSha2_512_256,
}

/// Lengths of an AES key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesKeyBits {
    /// 16 octets.
    Bits128,
    /// 24 octets.
    Bits192,
    /// 32 octets.
    Bits256,
}

impl AesKeyBits {
    /// Length of the key in octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }
}

/// The chosen algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-CBC (RFC 3602) and an integrity algorithm.
    AesCbc(AesKeyBits, Integrity),
    /// AES-GCM with an ICV of 16 octets (RFC 4106).
    AesGcm16(AesKeyBits),
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

const ALL: [Suite; 13] = [
    Suite::AesCbc(AesKeyBits::Bits128, Integrity::HmacSha2_256_128),
    Suite::AesCbc(AesKeyBits::Bits128, Integrity::HmacSha2_384_192),
    Suite::AesCbc(AesKeyBits::Bits128, Integrity::HmacSha2_512_256),
    Suite::AesCbc(AesKeyBits::Bits192, Integrity::HmacSha2_256_128),
    Suite::AesCbc(AesKeyBits::Bits192, Integrity::HmacSha2_384_192),
    Suite::AesCbc(AesKeyBits::Bits192, Integrity::HmacSha2_512_256),
    Suite::AesCbc(AesKeyBits::Bits256, Integrity::HmacSha2_256_128),
    Suite::AesCbc(AesKeyBits::Bits256, Integrity::HmacSha2_384_192),
    Suite::AesCbc(AesKeyBits::Bits256, Integrity::HmacSha2_512_256),
    Suite::AesGcm16(AesKeyBits::Bits128),
    Suite::AesGcm16(AesKeyBits::Bits192),
    Suite::AesGcm16(AesKeyBits::Bits256),
    Suite::ChaCha20Poly1305,
];

impl Suite {
    /// Every suite there is.
    pub const ALL: [Self; 13] = ALL;

    /// Length of the encryption key in octets; an AEAD's four octets of salt are included.
    pub const fn encryption_key_octets(self) -> usize {
        match self {
            Self::AesCbc(bits, _) => bits.octets(),
            Self::AesGcm16(bits) => bits.octets().saturating_add(4),
            Self::ChaCha20Poly1305 => 36,
        }
    }

    /// Length of the integrity key in octets; zero for an AEAD.
    pub const fn integrity_key_octets(self) -> usize {
        match self {
            Self::AesCbc(_, Integrity::HmacSha2_256_128) => 32,
            Self::AesCbc(_, Integrity::HmacSha2_384_192) => 48,
            Self::AesCbc(_, Integrity::HmacSha2_512_256) => 64,
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 0,
        }
    }
}

/// Keys of one SA; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Keys {
    /// Encryption key; an AEAD's salt is its last four octets.
    pub encryption: Zeroizing<Vec<u8>>,
    /// Integrity key; empty for an AEAD.
    pub integrity: Zeroizing<Vec<u8>>,
}

impl Keys {
    /// Take over key material.
    pub fn new(encryption: Vec<u8>, integrity: Vec<u8>) -> Self {
        Self {
            encryption: Zeroizing::new(encryption),
            integrity: Zeroizing::new(integrity),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Keys({} + {} octets)",
            self.encryption.len(),
            self.integrity.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_lengths_only() {
        let keys = Keys::new(vec![0xab; 20], vec![0xcd; 32]);
        assert_eq!(format!("{keys:?}"), "Keys(20 + 32 octets)");
    }

    #[test]
    fn key_lengths_are_those_of_the_rfcs() {
        assert_eq!(
            Suite::AesGcm16(AesKeyBits::Bits256).encryption_key_octets(),
            36
        );
        assert_eq!(Suite::ChaCha20Poly1305.encryption_key_octets(), 36);
        let cbc = Suite::AesCbc(AesKeyBits::Bits192, Integrity::HmacSha2_512_256);
        assert_eq!(
            (cbc.encryption_key_octets(), cbc.integrity_key_octets()),
            (24, 64)
        );
    }
}
