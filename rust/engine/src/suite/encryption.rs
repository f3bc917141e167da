//! Encryption algorithms of ESP.

/// Lengths of the keys of AES and Camellia.
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
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Bits128, Self::Bits192, Self::Bits256];

    /// Length of the key in octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }
}

/// Lengths of the ICV of AES-CCM and AES-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IcvOctets {
    /// 8 octets.
    Eight,
    /// 12 octets.
    Twelve,
    /// 16 octets.
    Sixteen,
}

impl IcvOctets {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Eight, Self::Twelve, Self::Sixteen];

    /// The number.
    pub const fn get(self) -> usize {
        match self {
            Self::Eight => 8,
            Self::Twelve => 12,
            Self::Sixteen => 16,
        }
    }
}

/// Length of a key that may have any number of octets between two bounds (RFC 2451, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyOctets<const LEAST: u8, const MOST: u8>(u8);

impl<const LEAST: u8, const MOST: u8> KeyOctets<LEAST, MOST> {
    /// Check a length.
    ///
    /// Returns:
    /// `None` where it is out of bounds.
    pub const fn new(octets: u8) -> Option<Self> {
        if octets < LEAST || octets > MOST {
            None
        } else {
            Some(Self(octets))
        }
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl<const LEAST: u8> KeyOctets<LEAST, 56> {
    /// The 128 bits that RFC 2451 calls Blowfish's default.
    pub const DEFAULT: Self = Self(16);
}

impl<const LEAST: u8> KeyOctets<LEAST, 16> {
    /// The 128 bits that RFC 2451 calls CAST-128's default.
    pub const DEFAULT: Self = Self(16);
}

/// Lengths of RC5's key that RFC 2451 calls popular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rc5KeyBits {
    /// 5 octets.
    Bits40,
    /// 16 octets, the default.
    Bits128,
    /// 20 octets.
    Bits160,
}

impl Rc5KeyBits {
    /// Length of the key in octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits40 => 5,
            Self::Bits128 => 16,
            Self::Bits160 => 20,
        }
    }
}

/// Block ciphers in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cbc {
    /// AES (RFC 3602).
    Aes(AesKeyBits),
    /// Blowfish (RFC 2451), 40 to 448 bits.
    Blowfish(KeyOctets<5, 56>),
    /// Camellia (RFC 5529).
    Camellia(AesKeyBits),
    /// CAST-128 (RFC 2144, RFC 2451), 40 to 128 bits; 12 rounds up to 80 bits.
    Cast128(KeyOctets<5, 16>),
    /// DES (RFC 2405).
    Des,
    /// IDEA (RFC 2451).
    Idea,
    /// RC5 with words of 32 bits and 16 rounds (RFC 2451).
    Rc5(Rc5KeyBits),
    /// DES three times: encrypt, decrypt, encrypt (RFC 2451).
    TripleDes,
    /// IDEA three times: encrypt, decrypt, encrypt, chained outside as RFC 2451 does with DES. No
    /// document defines what IANA's number for it means.
    TripleIdea,
}

impl Cbc {
    /// Every one; those with many lengths of key with the least and the default.
    pub const ALL: [Self; 15] = [
        Self::Aes(AesKeyBits::Bits128),
        Self::Aes(AesKeyBits::Bits192),
        Self::Aes(AesKeyBits::Bits256),
        Self::Blowfish(KeyOctets::<5, 56>::DEFAULT),
        Self::Camellia(AesKeyBits::Bits128),
        Self::Camellia(AesKeyBits::Bits192),
        Self::Camellia(AesKeyBits::Bits256),
        Self::Cast128(KeyOctets::<5, 16>::DEFAULT),
        Self::Des,
        Self::Idea,
        Self::Rc5(Rc5KeyBits::Bits40),
        Self::Rc5(Rc5KeyBits::Bits128),
        Self::Rc5(Rc5KeyBits::Bits160),
        Self::TripleDes,
        Self::TripleIdea,
    ];

    /// Length of the key in octets; parity bits are included.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::Aes(bits) | Self::Camellia(bits) => bits.octets(),
            Self::Blowfish(octets) => octets.get(),
            Self::Cast128(octets) => octets.get(),
            Self::Des => 8,
            Self::Idea => 16,
            Self::Rc5(bits) => bits.octets(),
            Self::TripleDes => 24,
            Self::TripleIdea => 48,
        }
    }

    /// Its name where it is for old peers only.
    pub const fn insecure(self) -> Option<&'static str> {
        match self {
            Self::Aes(_) | Self::Camellia(_) => None,
            Self::Blowfish(_) => Some("Blowfish"),
            Self::Cast128(_) => Some("CAST-128"),
            Self::Des => Some("DES"),
            Self::Idea => Some("IDEA"),
            Self::Rc5(_) => Some("RC5"),
            Self::TripleDes => Some("3DES"),
            Self::TripleIdea => Some("three-key IDEA"),
        }
    }
}

/// Encryption that an integrity algorithm accompanies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES in counter mode (RFC 3686).
    AesCtr(AesKeyBits),
    /// A block cipher in CBC mode.
    Cbc(Cbc),
}

impl Cipher {
    /// Length of the key in octets; the four octets of the counter mode's nonce are included.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::AesCtr(bits) => bits.octets().saturating_add(4),
            Self::Cbc(cipher) => cipher.key_octets(),
        }
    }

    /// Its name where it is for old peers only.
    pub const fn insecure(self) -> Option<&'static str> {
        match self {
            Self::AesCtr(_) => None,
            Self::Cbc(cipher) => cipher.insecure(),
        }
    }
}

/// Combined modes: they protect what they encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Combined {
    /// AES-CCM (RFC 4309).
    AesCcm(AesKeyBits, IcvOctets),
    /// AES-CCM with an ICV of 8 octets and an implicit IV (RFC 8750).
    AesCcm8Iiv(AesKeyBits),
    /// AES-GCM (RFC 4106).
    AesGcm(AesKeyBits, IcvOctets),
    /// AES-GCM with an ICV of 16 octets and an implicit IV (RFC 8750).
    AesGcm16Iiv(AesKeyBits),
    /// `ENCR_NULL_AUTH_AES_GMAC` (RFC 4543): nothing is encrypted.
    AesGmac(AesKeyBits),
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// ChaCha20-Poly1305 with an implicit IV (RFC 8750).
    ChaCha20Poly1305Iiv,
}

impl Combined {
    /// Length of the key in octets; the salt is included.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::AesCcm(bits, _) | Self::AesCcm8Iiv(bits) => bits.octets().saturating_add(3),
            Self::AesGcm(bits, _) | Self::AesGcm16Iiv(bits) | Self::AesGmac(bits) => {
                bits.octets().saturating_add(4)
            }
            Self::ChaCha20Poly1305 | Self::ChaCha20Poly1305Iiv => 36,
        }
    }
}
