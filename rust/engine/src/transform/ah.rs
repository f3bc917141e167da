//! Integrity for AH: over octets that lie in several places, with nothing encrypted.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::Sequence;
use super::combined::NONCE;
use super::gcm::Gcm;
use super::mac::Mac;
use crate::error::EngineError;
use crate::suite::{AhIntegrity, Keys};

const IV: usize = 8;
const SALT: usize = 4;

/// The integrity algorithm of an AH SA with its key.
pub(crate) enum AhTransform {
    /// `AUTH_AES_*_GMAC`: the ICV field holds IV and tag (RFC 4543, section 4).
    Gmac {
        gcm: Box<Gcm>,
        salt: Zeroizing<[u8; SALT]>,
    },
    Mac(Mac),
}

impl AhTransform {
    /// Prepare the key of an SA; it is its integrity key, and there is no encryption key.
    pub(crate) fn new(integrity: AhIntegrity, keys: &Keys) -> Result<Self, EngineError> {
        if !keys.encryption.is_empty() || keys.integrity.len() != integrity.key_octets() {
            return Err(EngineError::Key);
        }
        match integrity {
            AhIntegrity::AesGmac(_) => {
                let (key, salt) = keys.integrity.split_last_chunk().ok_or(EngineError::Key)?;
                Ok(Self::Gmac {
                    gcm: Box::new(Gcm::new(key)?),
                    salt: Zeroizing::new(*salt),
                })
            }
            AhIntegrity::Mac(integrity) => Mac::new(integrity, &keys.integrity).map(Self::Mac),
        }
    }

    /// Octets of the ICV field without padding.
    pub(crate) fn icv_octets(&self) -> usize {
        match self {
            Self::Gmac { .. } => 24,
            Self::Mac(mac) => mac.icv_octets(),
        }
    }

    /// Write the ICV of what AH protects: `parts` as if they lay in one, with mutable fields and the
    /// ICV field zeroed (RFC 4302, section 3.3.3). The high half of an extended sequence number is
    /// added here. A GMAC's IV is the whole sequence number.
    ///
    /// Returns:
    /// `None` when `icv` is not as long as [`Self::icv_octets`].
    pub(crate) fn icv(&self, parts: &[&[u8]], sequence: Sequence, icv: &mut [u8]) -> Option<()> {
        match self {
            Self::Gmac { gcm, salt } => {
                let icv: &mut [u8; 24] = icv.try_into().ok()?;
                let (iv, tag) = icv.split_first_chunk_mut::<IV>()?;
                *iv = sequence.number.to_be_bytes();
                tag.copy_from_slice(&gmac(gcm, **salt, *iv, parts, sequence)?);
                Some(())
            }
            Self::Mac(mac) => {
                let made = mac.icv(parts.iter().copied().chain([sequence.implied().get()]));
                (icv.len() == made.get().len()).then(|| icv.copy_from_slice(made.get()))
            }
        }
    }

    /// Compare an ICV in constant time with that of the parts, made as for [`Self::icv`].
    ///
    /// Returns:
    /// `None` when it is another.
    pub(crate) fn verify(&self, parts: &[&[u8]], sequence: Sequence, icv: &[u8]) -> Option<()> {
        match self {
            Self::Gmac { gcm, salt } => {
                let (iv, tag) = icv.split_first_chunk::<IV>()?;
                let made = gmac(gcm, **salt, *iv, parts, sequence)?;
                verify_slices_are_equal(&made, tag).ok()
            }
            Self::Mac(mac) => {
                mac.verify(parts.iter().copied().chain([sequence.implied().get()]), icv)
            }
        }
    }
}

fn gmac(
    gcm: &Gcm,
    salt: [u8; SALT],
    iv: [u8; IV],
    parts: &[&[u8]],
    sequence: Sequence,
) -> Option<[u8; 16]> {
    let mut nonce = [0; NONCE];
    let (salt_place, iv_place) = nonce.split_first_chunk_mut::<SALT>()?;
    *salt_place = salt;
    iv_place.copy_from_slice(&iv);
    let implied = sequence.implied();
    gcm.tag(nonce, parts.iter().copied().chain([implied.get()]), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{AesKeyBits, Integrity};

    fn every_algorithm() -> impl Iterator<Item = AhIntegrity> {
        let gmacs = AesKeyBits::ALL.map(AhIntegrity::AesGmac);
        gmacs
            .into_iter()
            .chain(Integrity::ALL.map(AhIntegrity::Mac))
    }

    fn transform(integrity: AhIntegrity) -> AhTransform {
        let key = (1..).take(integrity.key_octets()).collect();
        AhTransform::new(integrity, &Keys::new(vec![], key)).unwrap()
    }

    #[test]
    fn an_icv_is_that_of_the_parts_in_one_and_of_nothing_else() {
        let whole: Vec<u8> = (0..77).collect();
        for (integrity, esn) in every_algorithm().flat_map(|one| [(one, false), (one, true)]) {
            let transform = transform(integrity);
            let sequence = Sequence { number: 9, esn };
            let mut icv = vec![0; integrity.icv_octets()];
            assert_eq!(transform.icv_octets(), icv.len());
            let parts = [&whole[..20], &[], &whole[20..44], &whole[44..]];
            transform.icv(&parts, sequence, &mut icv).unwrap();
            assert!(transform.verify(&[&whole], sequence, &icv).is_some());
            let later = Sequence {
                number: (1 << 32) + 9,
                esn,
            };
            assert_eq!(transform.verify(&[&whole], later, &icv).is_none(), esn);
            for at in 0..whole.len() + icv.len() {
                let mut damaged = [&whole[..], &icv].concat();
                damaged[at] ^= 4;
                let (text, icv) = damaged.split_at(whole.len());
                assert!(
                    transform.verify(&[text], sequence, icv).is_none(),
                    "{integrity:?} {at}"
                );
            }
            assert!(transform.verify(&[&whole], sequence, &icv[1..]).is_none());
            assert!(transform.icv(&[&whole], sequence, &mut icv[1..]).is_none());
        }
    }

    #[test]
    fn a_gmac_never_has_an_iv_twice() {
        let transform = transform(AhIntegrity::AesGmac(AesKeyBits::Bits128));
        let iv = |number| {
            let mut icv = [0; 24];
            transform
                .icv(&[], Sequence { number, esn: false }, &mut icv)
                .unwrap();
            icv[..8].to_vec()
        };
        assert_eq!(iv(1), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_ne!(iv(1), iv(2));
    }

    #[test]
    fn keys_of_another_length_or_for_encryption_are_refused() {
        for integrity in every_algorithm() {
            let octets = integrity.key_octets();
            for keys in [
                Keys::new(vec![], vec![1; octets - 1]),
                Keys::new(vec![1], vec![1; octets]),
            ] {
                let made = AhTransform::new(integrity, &keys);
                assert_eq!(made.err(), Some(EngineError::Key));
            }
        }
    }
}
