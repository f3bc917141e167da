//! Key material of an SA.

use std::fmt;

use zeroize::Zeroizing;

/// Keys of one SA; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Keys {
    /// Encryption key with the salt or nonce that belongs to it at its end; empty without encryption.
    pub encryption: Zeroizing<Vec<u8>>,
    /// Integrity key with its salt, if it has one, at its end; empty for a combined mode.
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
}
