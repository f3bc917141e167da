//! Suites by their numbers in IANA's registry of IKE version 2.

use crate::suite::{
    AesKeyBits, AhIntegrity, Cbc, Cipher, Combined, IcvOctets, Integrity, KeyOctets, Rc5KeyBits,
    Suite,
};

/// Why numbers of algorithms make no suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A combined mode needs no other integrity algorithm, and must have none (RFC 5282, section 8).
    #[error("encryption {0} protects by itself: it goes with no integrity algorithm")]
    CombinedWithIntegrity(u16),
    /// Whoever flips a bit of what a counter mode made flips that bit of the text (RFC 3686, section 7).
    #[error("a counter mode must have an integrity algorithm")]
    CounterModeWithoutIntegrity,
    /// RFC 4543, section 5.3.
    #[error("integrity algorithm {0} is for AH")]
    ForAh(u16),
    /// The algorithm has no key of this length.
    #[error("encryption {encryption} has no key of {key_bits} bits")]
    KeyBits {
        /// Number of the encryption algorithm.
        encryption: u16,
        /// Length of its key.
        key_bits: u16,
    },
    /// Neither encryption nor integrity (RFC 4303, section 3.2).
    #[error("neither encryption nor integrity")]
    Nothing,
    /// No such encryption algorithm.
    #[error("no encryption algorithm {0}")]
    UnknownEncryption(u16),
    /// No such integrity algorithm.
    #[error("no integrity algorithm {0}")]
    UnknownIntegrity(u16),
}

/// First number of our own, of those for private use, for algorithms that IANA does not define; the
/// low octet is their number in the registry of IKE version 1.
const PRIVATE: u16 = 0xff00;

/// Transform type 1 as the engine sees it.
enum Encryption {
    Combined(Combined),
    Null,
    Separate(Cipher),
}

impl Suite {
    /// The suite of ESP that the numbers of transform types 1 and 3 mean.
    ///
    /// `key_bits` is the length of the encryption key, without salt or nonce, with parity bits; 0 for
    /// NULL. Three-key IDEA is encryption 65288, and HMAC-RIPEMD-160-96 integrity 65288, of those for
    /// private use.
    ///
    /// # Errors
    /// No such algorithm or key length, or a combination that no standard allows.
    pub fn from_iana(encryption: u16, key_bits: u16, integrity: u16) -> Result<Self, SuiteError> {
        let known = encryption_from_iana(encryption, key_bits)?;
        let integrity = match AhIntegrity::from_iana(integrity) {
            _ if integrity == 0 => None,
            Ok(AhIntegrity::Mac(known)) => Some(known),
            Ok(AhIntegrity::AesGmac(_)) => return Err(SuiteError::ForAh(integrity)),
            Err(error) => return Err(error),
        };
        match (known, integrity) {
            (Encryption::Combined(combined), None) => Ok(Self::Combined(combined)),
            (Encryption::Combined(_), Some(_)) => {
                Err(SuiteError::CombinedWithIntegrity(encryption))
            }
            (Encryption::Null, None) => Err(SuiteError::Nothing),
            (Encryption::Null, Some(integrity)) => Ok(Self::IntegrityOnly(integrity)),
            (Encryption::Separate(Cipher::Cbc(cipher)), None) => Ok(Self::EncryptionOnly(cipher)),
            (Encryption::Separate(Cipher::AesCtr(_)), None) => {
                Err(SuiteError::CounterModeWithoutIntegrity)
            }
            (Encryption::Separate(cipher), Some(integrity)) => {
                Ok(Self::Separate(cipher, integrity))
            }
        }
    }
}

impl AhIntegrity {
    /// The algorithm of AH that a number of transform type 3 means.
    ///
    /// # Errors
    /// No such algorithm.
    pub fn from_iana(number: u16) -> Result<Self, SuiteError> {
        const HMAC_RIPEMD_160_96: u16 = PRIVATE | 8;
        match number {
            1 => Ok(Self::Mac(Integrity::HmacMd5_96)),
            2 => Ok(Self::Mac(Integrity::HmacSha1_96)),
            5 => Ok(Self::Mac(Integrity::AesXcbc96)),
            8 => Ok(Self::Mac(Integrity::AesCmac96)),
            9 => Ok(Self::AesGmac(AesKeyBits::Bits128)),
            10 => Ok(Self::AesGmac(AesKeyBits::Bits192)),
            11 => Ok(Self::AesGmac(AesKeyBits::Bits256)),
            12 => Ok(Self::Mac(Integrity::HmacSha2_256_128)),
            13 => Ok(Self::Mac(Integrity::HmacSha2_384_192)),
            14 => Ok(Self::Mac(Integrity::HmacSha2_512_256)),
            HMAC_RIPEMD_160_96 => Ok(Self::Mac(Integrity::HmacRipemd160_96)),
            _ => Err(SuiteError::UnknownIntegrity(number)),
        }
    }
}

fn encryption_from_iana(encryption: u16, key_bits: u16) -> Result<Encryption, SuiteError> {
    const ENCR_3IDEA: u16 = PRIVATE | 8;
    if !matches!(encryption, 2..=7 | 11..=16 | 18..=21 | 23 | 28..=31 | ENCR_3IDEA) {
        return Err(SuiteError::UnknownEncryption(encryption));
    }
    let aes = match key_bits {
        128 => Some(AesKeyBits::Bits128),
        192 => Some(AesKeyBits::Bits192),
        256 => Some(AesKeyBits::Bits256),
        _ => None,
    };
    let fixed = |cipher: Cbc| {
        (usize::from(key_bits) == cipher.key_octets().saturating_mul(8)).then_some(cipher)
    };
    let cbc = |cipher: Option<Cbc>| cipher.map(|cipher| Encryption::Separate(Cipher::Cbc(cipher)));
    let combined = |mode: Option<Combined>| mode.map(Encryption::Combined);
    let found = match encryption {
        2 => cbc(fixed(Cbc::Des)),
        3 => cbc(fixed(Cbc::TripleDes)),
        4 => cbc(rc5(key_bits)),
        5 => cbc(fixed(Cbc::Idea)),
        6 => cbc(whole_octets(key_bits)
            .and_then(KeyOctets::new)
            .map(Cbc::Cast128)),
        7 => cbc(whole_octets(key_bits)
            .and_then(KeyOctets::new)
            .map(Cbc::Blowfish)),
        11 => (key_bits == 0).then_some(Encryption::Null),
        12 => cbc(aes.map(Cbc::Aes)),
        13 => aes.map(|bits| Encryption::Separate(Cipher::AesCtr(bits))),
        14 => combined(aes.map(|bits| Combined::AesCcm(bits, IcvOctets::Eight))),
        15 => combined(aes.map(|bits| Combined::AesCcm(bits, IcvOctets::Twelve))),
        16 => combined(aes.map(|bits| Combined::AesCcm(bits, IcvOctets::Sixteen))),
        18 => combined(aes.map(|bits| Combined::AesGcm(bits, IcvOctets::Eight))),
        19 => combined(aes.map(|bits| Combined::AesGcm(bits, IcvOctets::Twelve))),
        20 => combined(aes.map(|bits| Combined::AesGcm(bits, IcvOctets::Sixteen))),
        21 => combined(aes.map(Combined::AesGmac)),
        23 => cbc(aes.map(Cbc::Camellia)),
        28 => combined((key_bits == 256).then_some(Combined::ChaCha20Poly1305)),
        29 => combined(aes.map(Combined::AesCcm8Iiv)),
        30 => combined(aes.map(Combined::AesGcm16Iiv)),
        31 => combined((key_bits == 256).then_some(Combined::ChaCha20Poly1305Iiv)),
        _ => cbc(fixed(Cbc::TripleIdea)),
    };
    found.ok_or(SuiteError::KeyBits {
        encryption,
        key_bits,
    })
}

fn rc5(key_bits: u16) -> Option<Cbc> {
    match key_bits {
        40 => Some(Cbc::Rc5(Rc5KeyBits::Bits40)),
        128 => Some(Cbc::Rc5(Rc5KeyBits::Bits128)),
        160 => Some(Cbc::Rc5(Rc5KeyBits::Bits160)),
        _ => None,
    }
}

/// All key sizes are multiples of 8 bits (RFC 2451, section 2.2).
fn whole_octets(key_bits: u16) -> Option<u8> {
    u8::try_from(key_bits.checked_div(8)?)
        .ok()
        .filter(|_| key_bits.is_multiple_of(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_what_iana_says() {
        let gcm = Suite::aes_gcm_16(AesKeyBits::Bits192);
        assert_eq!(Suite::from_iana(20, 192, 0), Ok(gcm));
        let sha = Integrity::HmacSha2_256_128;
        assert_eq!(
            Suite::from_iana(12, 256, 12),
            Ok(Suite::aes_cbc(AesKeyBits::Bits256, sha))
        );
        assert_eq!(Suite::from_iana(11, 0, 12), Ok(Suite::IntegrityOnly(sha)));
        assert_eq!(
            Suite::from_iana(2, 64, 0),
            Ok(Suite::EncryptionOnly(Cbc::Des))
        );
        let camellia = Cipher::Cbc(Cbc::Camellia(AesKeyBits::Bits128));
        assert_eq!(
            Suite::from_iana(23, 128, 2),
            Ok(Suite::Separate(camellia, Integrity::HmacSha1_96))
        );
    }

    // covers R4303-1-1
    // covers R4303-1-2
    // covers R4303-3.2-1
    #[test]
    fn combinations_that_protect_nothing_or_too_little_are_refused() {
        let refused = |encryption, key_bits, integrity| {
            Suite::from_iana(encryption, key_bits, integrity).unwrap_err()
        };
        assert_eq!(refused(11, 0, 0), SuiteError::Nothing);
        assert_eq!(refused(13, 128, 0), SuiteError::CounterModeWithoutIntegrity);
        assert_eq!(refused(20, 128, 12), SuiteError::CombinedWithIntegrity(20));
        assert_eq!(refused(12, 128, 9), SuiteError::ForAh(9));
        assert_eq!(refused(12, 128, 3), SuiteError::UnknownIntegrity(3));
        assert_eq!(refused(8, 384, 2), SuiteError::UnknownEncryption(8));
        for (encryption, key_bits) in [
            (12, 160),
            (2, 56),
            (7, 32),
            (7, 450),
            (4, 48),
            (11, 128),
            (28, 128),
        ] {
            let error = SuiteError::KeyBits {
                encryption,
                key_bits,
            };
            assert_eq!(refused(encryption, key_bits, 2), error);
        }
    }
}
