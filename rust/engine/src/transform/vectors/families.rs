//! The ciphers, MACs and modes outside the hot path against published vectors
//! (`tests/vectors/transforms.json`).

use aes::cipher::consts::{U1, U4, U16};
use rc5::RC5;
use serde_json::Value;

use super::super::combined::AeadMode;
use super::super::gcm::Gcm;
use super::super::mac::Mac;
use super::super::separate::PacketCipher;
use super::super::{aes_ctr, cbc, ccm};
use super::{hex, list, load};
use crate::error::EngineError;
use crate::suite::{AesKeyBits, Cbc, IcvOctets, Integrity, KeyOctets, Rc5KeyBits};

fn vectors() -> Value {
    load("tests/vectors/transforms.json").unwrap()
}

fn bits(key: &[u8]) -> AesKeyBits {
    let octets = |bits: &AesKeyBits| bits.octets() == key.len();
    AesKeyBits::ALL.into_iter().find(octets).unwrap()
}

fn check_cipher(cipher: &dyn PacketCipher, vector: &Value) {
    let (iv, text, encrypted) = (
        hex(&vector["iv"]),
        hex(&vector["text"]),
        hex(&vector["encrypted"]),
    );
    assert_eq!(cipher.sizes().0, iv.len());
    let mut work = text.clone();
    cipher.encrypt(&iv, &mut work).unwrap();
    assert_eq!(work, encrypted, "{vector}");
    cipher.decrypt(&iv, &mut work).unwrap();
    assert_eq!(work, text, "{vector}");
}

#[test]
fn counter_mode_of_rfc_3686() {
    for vector in list(&vectors()["aes_ctr"]["vectors"]) {
        let cipher = aes_ctr::AesCtr::new(&hex(&vector["key"])).unwrap();
        check_cipher(&cipher, vector);
    }
}

#[test]
fn block_ciphers_in_cbc_mode() {
    let vectors = &vectors()["cbc"];
    let check = |name: &str, cipher: fn(&[u8]) -> Cbc| {
        for vector in list(&vectors[name]["vectors"]) {
            let key = hex(&vector["key"]);
            check_cipher(&*cbc::new(cipher(&key), &key).unwrap(), vector);
        }
    };
    check("blowfish", |_| Cbc::Blowfish(KeyOctets::<5, 56>::DEFAULT));
    check("camellia", |key| Cbc::Camellia(bits(key)));
    check("cast128", |_| Cbc::Cast128(KeyOctets::<5, 16>::DEFAULT));
    check("des", |_| Cbc::Des);
    check("idea", |_| Cbc::Idea);
    check("rc5_128", |_| Cbc::Rc5(Rc5KeyBits::Bits128));
    check("triple_des", |_| Cbc::TripleDes);
}

/// Vectors of RFC 2040, section 9, with 16 rounds; their keys are shorter than ours may be.
#[test]
fn rc5_of_rfc_2040() {
    let check = |cipher: &dyn PacketCipher, iv: u64, text: u64, encrypted: u64| {
        let mut work = text.to_be_bytes();
        cipher.encrypt(&iv.to_be_bytes(), &mut work).unwrap();
        assert_eq!(work, encrypted.to_be_bytes());
    };
    let short = cbc::chained::<RC5<u32, U16, U1>>(&[0]).unwrap();
    check(
        &*short,
        0x0102_0304_0506_0708,
        0x1020_3040_5060_7080,
        0x545f_7f32_a5fc_3836,
    );
    let longer = cbc::chained::<RC5<u32, U16, U4>>(&[1, 2, 3, 4]).unwrap();
    check(&*longer, 0, u64::MAX, 0xcf27_0ef9_717f_f7c4);
}

/// IDEA with three keys is IDEA with the third one where the first two are one.
#[test]
fn three_key_idea_is_made_of_idea() {
    for vector in list(&vectors()["cbc"]["idea"]["vectors"]) {
        let third = hex(&vector["key"]);
        let key = [[9; 16].as_slice(), &[9; 16], &third].concat();
        check_cipher(&*cbc::new(Cbc::TripleIdea, &key).unwrap(), vector);
        let key = [third.as_slice(), &[9; 16], &[9; 16]].concat();
        check_cipher(&*cbc::new(Cbc::TripleIdea, &key).unwrap(), vector);
    }
}

#[test]
fn macs() {
    let vectors = &vectors()["mac"];
    for (name, integrity) in [
        ("aes_cmac", Integrity::AesCmac96),
        ("aes_xcbc", Integrity::AesXcbc96),
        ("hmac_md5", Integrity::HmacMd5_96),
        ("hmac_ripemd160", Integrity::HmacRipemd160_96),
        ("hmac_sha1", Integrity::HmacSha1_96),
    ] {
        for vector in list(&vectors[name]["vectors"]) {
            let mac = Mac::new(integrity, &hex(&vector["key"])).unwrap();
            let (data, icv) = (hex(&vector["data"]), hex(&vector["icv"]));
            assert_eq!(mac.icv([data.as_slice()]).get(), icv, "{name} {vector}");
            let (start, end) = data.split_at(data.len() / 3);
            assert!(mac.verify([start, end], &icv).is_some());
            assert!(mac.verify([start, end, &[0]], &icv).is_none());
        }
    }
}

fn check_aead(mode: &dyn AeadMode, vector: &Value, icv_octets: usize) {
    let (nonce, aad) = (hex(&vector["nonce"]), hex(&vector["aad"]));
    let tag = hex(&vector["tag"])[..icv_octets].to_vec();
    let mut work = hex(&vector["encrypted"]);
    let opened = mode.open(&nonce, &aad, &mut work, &tag);
    assert_eq!(opened.is_some(), vector["valid"] == true, "{vector}");
    if opened.is_some() {
        assert_eq!(work, hex(&vector["text"]), "{vector}");
        let mut icv = vec![0; icv_octets];
        mode.seal(&nonce, &aad, &mut work, &mut icv).unwrap();
        assert_eq!((work, icv), (hex(&vector["encrypted"]), tag), "{vector}");
    }
}

#[test]
fn ccm_of_wycheproof() {
    for vector in list(&vectors()["aes_ccm"]["vectors"]) {
        let key = hex(&vector["key"]);
        let mode = ccm::new(bits(&key), IcvOctets::Sixteen, &key).unwrap();
        check_aead(&*mode, vector, 16);
    }
}

#[test]
fn gcm_of_wycheproof_with_icvs_of_every_length() {
    for vector in list(&vectors()["aes_gcm"]["vectors"]) {
        let mode = Gcm::new(&hex(&vector["key"])).unwrap();
        check_aead(&mode, vector, 16);
        // Wycheproof's forged tags may be right where a short ICV is.
        if vector["valid"] == true {
            check_aead(&mode, vector, 12);
            check_aead(&mode, vector, 8);
        }
    }
}

#[test]
fn gmac_of_wycheproof() {
    for vector in list(&vectors()["aes_gmac"]["vectors"]) {
        let gcm = Gcm::new(&hex(&vector["key"])).unwrap();
        let nonce = hex(&vector["nonce"]).try_into().unwrap();
        let data = hex(&vector["data"]);
        let (start, end) = data.split_at(data.len() / 2);
        let is_right = gcm.tag(nonce, [start, end], &[]).unwrap() == *hex(&vector["tag"]);
        assert_eq!(is_right, vector["valid"] == true, "{vector}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc2451#section-2.3
//= type=test
//# However, if the first two or last two independent 64-bit keys are
//# equal (k1 == k2 or k2 == k3), then the 3DES operation is simply the
//# same as DES.  Implementers MUST reject keys that exhibit this
//# property.
#[test]
fn weak_keys_are_refused() {
    let refused = |cipher, key: &[u8]| cbc::new(cipher, key).err();
    let (one, two) = ([0x10; 8], [0x23; 8]);
    let parity = [0x11; 8];
    for key in [[one, one, two], [two, one, one], [one, parity, two]] {
        let refusal = refused(Cbc::TripleDes, key.as_flattened());
        assert_eq!(refusal, Some(EngineError::WeakKey));
    }
    assert_eq!(
        refused(Cbc::TripleDes, [one, two, one].as_flattened()),
        None
    );
    for weak in [[0x01; 8], [0x00; 8], [0xfe; 8], [0xff; 8]] {
        assert_eq!(refused(Cbc::Des, &weak), Some(EngineError::WeakKey));
    }
    assert_eq!(refused(Cbc::Des, &two), None);
}
