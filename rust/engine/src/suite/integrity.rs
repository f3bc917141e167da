//! Integrity algorithms, of ESP and of AH.

use crate::suite::AesKeyBits;

/// Integrity algorithms that ESP and AH share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// `AUTH_AES_CMAC_96` (RFC 4494).
    AesCmac96,
    /// `AUTH_AES_XCBC_96` (RFC 3566).
    AesXcbc96,
    /// `AUTH_HMAC_MD5_96` (RFC 2403).
    HmacMd5_96,
    /// HMAC-RIPEMD-160-96 (RFC 2857), which has no number of IKE version 2.
    HmacRipemd160_96,
    /// `AUTH_HMAC_SHA1_96` (RFC 2404).
    HmacSha1_96,
    /// `AUTH_HMAC_SHA2_256_128` (RFC 4868).
    HmacSha2_256_128,
    /// `AUTH_HMAC_SHA2_384_192` (RFC 4868).
    HmacSha2_384_192,
    /// `AUTH_HMAC_SHA2_512_256` (RFC 4868).
    HmacSha2_512_256,
}

impl Integrity {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::AesCmac96,
        Self::AesXcbc96,
        Self::HmacMd5_96,
        Self::HmacRipemd160_96,
        Self::HmacSha1_96,
        Self::HmacSha2_256_128,
        Self::HmacSha2_384_192,
        Self::HmacSha2_512_256,
    ];

    /// Length of the key in octets.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::AesCmac96 | Self::AesXcbc96 | Self::HmacMd5_96 => 16,
            Self::HmacRipemd160_96 | Self::HmacSha1_96 => 20,
            Self::HmacSha2_256_128 => 32,
            Self::HmacSha2_384_192 => 48,
            Self::HmacSha2_512_256 => 64,
        }
    }

    /// Length of the ICV in octets.
    pub const fn icv_octets(self) -> usize {
        match self {
            Self::HmacSha2_256_128 => 16,
            Self::HmacSha2_384_192 => 24,
            Self::HmacSha2_512_256 => 32,
            _ => 12,
        }
    }

    /// Its name where it is for old peers only.
    pub const fn insecure(self) -> Option<&'static str> {
        match self {
            Self::HmacMd5_96 => Some("HMAC-MD5-96"),
            Self::HmacRipemd160_96 => Some("HMAC-RIPEMD-160-96"),
            _ => None,
        }
    }
}

/// Integrity algorithms of AH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AhIntegrity {
    /// `AUTH_AES_128_GMAC`, `AUTH_AES_192_GMAC`, `AUTH_AES_256_GMAC` (RFC 4543), not for ESP.
    AesGmac(AesKeyBits),
    /// One that ESP has too.
    Mac(Integrity),
}

impl AhIntegrity {
    /// Length of the key in octets; the four octets of a GMAC's salt are included.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::AesGmac(bits) => bits.octets().saturating_add(4),
            Self::Mac(integrity) => integrity.key_octets(),
        }
    }

    /// Length of AH's Integrity Check Value field in octets, before padding; the eight octets of a
    /// GMAC's IV are included (RFC 4543, section 4).
    pub const fn icv_octets(self) -> usize {
        match self {
            Self::AesGmac(_) => 24,
            Self::Mac(integrity) => integrity.icv_octets(),
        }
    }

    /// Its name where it is for old peers only.
    pub const fn insecure(self) -> Option<&'static str> {
        match self {
            Self::AesGmac(_) => None,
            Self::Mac(integrity) => integrity.insecure(),
        }
    }
}
