//! The transforms against published packets and vectors.

mod families;

use std::path::PathBuf;

use serde_json::Value;

use super::aead::Aead;
use super::aes_cbc::AesCbc;
use super::mac::Mac;
use super::*;
use crate::suite::AesKeyBits;

/// A file of the repository, or of the collection beside it; `None` when that is not there.
fn load(path: &str) -> Option<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(path)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn packets() -> Value {
    load("tests/vectors/esp_packets.json").unwrap()
}

#[test]
fn packet_of_rfc_7634_opens_to_its_source_packet() {
    let vector = &packets()["chacha20_poly1305"];
    let transform = Transform::new(
        Suite::chacha20_poly1305(),
        &Keys::new(hex(&vector["keymat"]), vec![]),
    )
    .unwrap();
    let mut packet = hex(&vector["esp"]);
    let plain = transform
        .open(
            &mut packet,
            Sequence {
                number: 5,
                esn: false,
            },
        )
        .unwrap();
    let inner = hex(&vector["inner"]);
    assert_eq!(&packet[plain.start..plain.start + inner.len()], inner);
    assert_eq!(&packet[plain.start + inner.len()..plain.end], [1, 2, 2, 4]);
}

#[test]
fn packet_of_rfc_7634_comes_out_of_sealing_its_plaintext() {
    let vector = &packets()["chacha20_poly1305"];
    let key = Aead::chacha20_poly1305(&hex(&vector["keymat"])).unwrap();
    let expected = hex(&vector["esp"]);
    let nonce = [&hex(&vector["keymat"])[32..], &expected[8..16]]
        .concat()
        .try_into()
        .unwrap();
    let mut text = [hex(&vector["inner"]), vec![1, 2, 2, 4]].concat();
    let mut icv = [0; 16];
    key.seal_text(nonce, &expected[..8], &mut text, &mut icv)
        .unwrap();
    assert_eq!([text.as_slice(), &icv].concat(), expected[16..]);
}

#[test]
fn packet_of_rfc_3602_decrypts_to_its_original() {
    let vector = &packets()["aes_128_cbc_without_icv"];
    let key = AesCbc::new(&hex(&vector["key"])).unwrap();
    let packet = hex(&vector["esp"]);
    let (iv, encrypted) = packet[8..].split_first_chunk::<16>().unwrap();
    let mut text = encrypted.to_vec();
    key.decrypt_text(*iv, &mut text).unwrap();
    let trailer = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 4];
    assert_eq!(text, [hex(&vector["inner"]), trailer].concat());
    key.encrypt_text(*iv, &mut text).unwrap();
    assert_eq!(text, encrypted);
}

#[test]
fn icvs_are_those_of_rfc_4868() {
    let Some(file) = load("../shared/vectors/rfc/rfc4868_hmac_sha2.json") else {
        return;
    };
    let kinds = [
        ("hmac_sha_256_128", Integrity::HmacSha2_256_128, 32),
        ("hmac_sha_384_192", Integrity::HmacSha2_384_192, 48),
        ("hmac_sha_512_256", Integrity::HmacSha2_512_256, 64),
    ];
    let mut checked = 0;
    for vector in list(&file["vectors"]) {
        for (name, integrity, key_octets) in kinds {
            let key = hex(&vector["key"]);
            if vector[name].is_null() || key.len() != key_octets {
                continue;
            }
            let mac = Mac::new(integrity, &key).unwrap();
            let icv = mac.icv([hex(&vector["data"]).as_slice()]);
            assert_eq!(icv.get(), hex(&vector[name]), "{}", vector["id"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 12);
}

fn aead_of(key: &[u8], is_gcm: bool) -> Aead {
    let with_salt = [key, &[0; 4]].concat();
    let bits = match key.len() {
        16 => AesKeyBits::Bits128,
        24 => AesKeyBits::Bits192,
        _ => AesKeyBits::Bits256,
    };
    let made = if is_gcm {
        Aead::aes_gcm(bits, &with_salt)
    } else {
        Aead::chacha20_poly1305(&with_salt)
    };
    made.unwrap()
}

fn check_wycheproof(file: &Value, is_gcm: bool) -> usize {
    let usable = |group: &&Value| group["ivSize"] == 96 && group["tagSize"] == 128;
    let mut checked = 0;
    for group in list(&file["testGroups"]).iter().filter(usable) {
        for test in list(&group["tests"]) {
            let key = aead_of(&hex(&test["key"]), is_gcm);
            let (nonce, aad) = (hex(&test["iv"]).try_into().unwrap(), hex(&test["aad"]));
            let sealed = [hex(&test["ct"]), hex(&test["tag"])].concat();
            let mut opened = sealed.clone();
            let is_opened = key.open_text(nonce, &aad, &mut opened).is_some();
            assert_eq!(is_opened, test["result"] == "valid", "{}", test["tcId"]);
            if is_opened {
                let mut text = hex(&test["msg"]);
                assert_eq!(opened[..text.len()], text, "{}", test["tcId"]);
                let mut icv = [0; 16];
                key.seal_text(nonce, &aad, &mut text, &mut icv).unwrap();
                assert_eq!([text.as_slice(), &icv].concat(), sealed, "{}", test["tcId"]);
            }
            checked += 1;
        }
    }
    checked
}

#[test]
fn wycheproof_aead_vectors() {
    for (name, is_gcm, least) in [("aes_gcm", true, 197), ("chacha20_poly1305", false, 300)] {
        let Some(file) = load(&format!("../shared/vectors/wycheproof/{name}_test.json")) else {
            continue;
        };
        let checked = check_wycheproof(&file, is_gcm);
        assert!(checked >= least, "{name}: only {checked}");
    }
}

#[test]
fn nist_cbc_vectors() {
    let Some(file) = load("../shared/vectors/rfc/nist_aes_cbc_mmt.json") else {
        return;
    };
    for vector in list(&file["vectors"]) {
        let key = AesCbc::new(&hex(&vector["KEY"])).unwrap();
        let iv: [u8; 16] = hex(&vector["IV"]).try_into().unwrap();
        let mut text = hex(&vector["CIPHERTEXT"]);
        key.decrypt_text(iv, &mut text).unwrap();
        assert_eq!(text, hex(&vector["PLAINTEXT"]), "{vector}");
        key.encrypt_text(iv, &mut text).unwrap();
        assert_eq!(text, hex(&vector["CIPHERTEXT"]), "{vector}");
    }
}

/// Every packet of a capture decrypts to a packet with sound padding; its 12-octet ICV, whose
/// key is not known, is left out.
#[test]
fn captured_cbc_tunnel_decrypts() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/pcap_esp");
    let Ok(capture) = std::fs::read(root.join("08-sunrise-sunset-aes.pcap")) else {
        return;
    };
    let keys = load("../shared/vectors/pcap_esp/keys.json").unwrap();
    let entry = &keys["captures"]["08-sunrise-sunset-aes.pcap"][0];
    let key = AesCbc::new(&hex(&entry["enc_key"])).unwrap();
    let spi = hex(&entry["spi"]);
    let mut checked = 0;
    for at in 0..capture.len() - 24 {
        let is_esp =
            capture[at..at + 4] == spi && capture[at - 20] == 0x45 && capture[at - 11] == 50;
        if !is_esp {
            continue;
        }
        let total = usize::from(u16::from_be_bytes([capture[at - 18], capture[at - 17]]));
        let esp = &capture[at..at + total - 20];
        let mut text = esp[24..esp.len() - 12].to_vec();
        key.decrypt_text(esp[8..24].try_into().unwrap(), &mut text)
            .unwrap();
        let [.., padding, 4] = text.as_slice() else {
            panic!("next header")
        };
        let end = text.len() - 2 - usize::from(*padding);
        assert!(
            text[end..text.len() - 2]
                .iter()
                .zip(1..)
                .all(|(octet, number)| *octet == number)
        );
        assert_eq!(perilune_wire::ip::parse(&text).unwrap().total, end);
        checked += 1;
    }
    assert!(checked >= 8, "only {checked}");
}

#[test]
fn each_suite_seals_and_opens_and_protects_every_octet() {
    for suite in Suite::all()
        .into_iter()
        .filter(|suite| suite.has_integrity())
    {
        for esn in [false, true] {
            let keys = Keys::new(
                (0..).take(suite.encryption_key_octets()).collect(),
                (7..).take(suite.integrity_key_octets()).collect(),
            );
            let transform = Transform::new(suite, &keys).unwrap();
            let sequence = Sequence {
                number: if esn { 0x1_0000_0005 } else { 5 },
                esn,
            };
            let layout = transform.layout();
            let mut packet = vec![0x33; layout.packet(50)];
            transform.seal(&mut packet, sequence).unwrap();
            for at in 0..packet.len() {
                let mut damaged = packet.clone();
                damaged[at] ^= 1;
                assert_eq!(
                    transform.open(&mut damaged, sequence),
                    Err(DropReason::IntegrityFailed),
                    "{suite:?} {at}"
                );
            }
            let other = Sequence { number: 5, esn };
            let opened = transform.open(&mut packet.clone(), other);
            assert_eq!(opened.is_err(), esn, "{suite:?}: high half");
            let plain = transform.open(&mut packet, sequence).unwrap();
            assert_eq!(packet[plain], vec![0x33; layout.padded(50)]);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc3602#section-3
//= type=test
//# The IV MUST be chosen at random, and MUST be unpredictable.
#[test]
fn cbc_ivs_differ_from_their_counter_and_each_other() {
    let suite = Suite::aes_cbc(AesKeyBits::Bits256, Integrity::HmacSha2_512_256);
    let transform = Transform::new(suite, &Keys::new(vec![7; 32], vec![8; 64])).unwrap();
    let mut ivs: Vec<[u8; 16]> = (0..500)
        .map(|number| {
            let mut packet = vec![0; transform.layout().packet(20)];
            transform
                .seal(&mut packet, Sequence { number, esn: false })
                .unwrap();
            packet[8..24].try_into().unwrap()
        })
        .collect();
    assert!(ivs.iter().all(|iv| iv[..8] != [0; 8]));
    ivs.sort_unstable();
    ivs.dedup();
    assert_eq!(ivs.len(), 500);
}
