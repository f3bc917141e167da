//! Message authentication codes over octets that lie in several places.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac as aws_hmac;
use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac as RustCryptoMac};
use md5::Md5;
use ripemd::Ripemd160;

use super::block_mac::BlockMac;
use crate::error::EngineError;
use crate::suite::Integrity;

/// Octets of the longest ICV.
const LONGEST: usize = 32;

/// An integrity algorithm and its key.
pub(crate) struct Mac {
    kind: Kind,
    icv: usize,
}

enum Kind {
    Block(Box<BlockMac>),
    Hmac(Box<aws_hmac::Key>),
    HmacMd5(Box<Hmac<Md5>>),
    HmacRipemd160(Box<Hmac<Ripemd160>>),
}

/// The first octets of a MAC.
pub(super) struct Icv {
    octets: [u8; LONGEST],
    length: usize,
}

impl Icv {
    /// Keep so many octets of a MAC that has at least as many.
    fn new(mac: &[u8], length: usize) -> Self {
        let mut octets = [0; LONGEST];
        for (place, octet) in octets.iter_mut().zip(mac) {
            *place = *octet;
        }
        Self { octets, length }
    }

    pub(super) fn get(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or(&self.octets)
    }
}

impl Mac {
    /// Prepare a key.
    pub(super) fn new(integrity: Integrity, key: &[u8]) -> Result<Self, EngineError> {
        if key.len() != integrity.key_octets() {
            return Err(EngineError::Key);
        }
        let kind = match integrity {
            Integrity::AesCmac96 => Kind::Block(Box::new(BlockMac::cmac(key)?)),
            Integrity::AesXcbc96 => Kind::Block(Box::new(BlockMac::xcbc(key)?)),
            Integrity::HmacMd5_96 => Kind::HmacMd5(keyed(key)?),
            Integrity::HmacRipemd160_96 => Kind::HmacRipemd160(keyed(key)?),
            Integrity::HmacSha1_96 => of_library(aws_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key),
            Integrity::HmacSha2_256_128 => of_library(aws_hmac::HMAC_SHA256, key),
            Integrity::HmacSha2_384_192 => of_library(aws_hmac::HMAC_SHA384, key),
            Integrity::HmacSha2_512_256 => of_library(aws_hmac::HMAC_SHA512, key),
        };
        Ok(Self {
            kind,
            icv: integrity.icv_octets(),
        })
    }

    pub(super) fn icv_octets(&self) -> usize {
        self.icv
    }

    /// The key of an HMAC of the hot path's library, if this is one.
    pub(super) fn as_hmac(&self) -> Option<&aws_hmac::Key> {
        match &self.kind {
            Kind::Hmac(key) => Some(key),
            _ => None,
        }
    }

    /// The ICV of parts as if they lay in one.
    pub(super) fn icv<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Icv {
        match &self.kind {
            Kind::Block(mac) => Icv::new(&mac.mac(parts), self.icv),
            Kind::Hmac(key) => {
                let mut context = aws_hmac::Context::with_key(key);
                parts.into_iter().for_each(|part| context.update(part));
                Icv::new(context.sign().as_ref(), self.icv)
            }
            Kind::HmacMd5(keyed) => Icv::new(&whole(&**keyed, parts), self.icv),
            Kind::HmacRipemd160(keyed) => Icv::new(&whole(&**keyed, parts), self.icv),
        }
    }

    /// Compare an ICV in constant time; `None` where it is not that of the parts.
    pub(super) fn verify<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        icv: &[u8],
    ) -> Option<()> {
        verify_slices_are_equal(self.icv(parts).get(), icv).ok()
    }
}

fn of_library(algorithm: aws_hmac::Algorithm, key: &[u8]) -> Kind {
    Kind::Hmac(Box::new(aws_hmac::Key::new(algorithm, key)))
}

fn whole<'a, M: RustCryptoMac + Clone>(
    keyed: &M,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Output<M> {
    let mut mac = keyed.clone();
    parts.into_iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes()
}

fn keyed<M: KeyInit>(key: &[u8]) -> Result<Box<M>, EngineError> {
    M::new_from_slice(key)
        .map(Box::new)
        .map_err(|_| EngineError::Key)
}
