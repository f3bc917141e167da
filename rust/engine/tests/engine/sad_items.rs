//! Each data item of RFC 4301, section 4.4.2.1, is kept for each SA: where it alone is another, the SA
//! does something else.

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::fragment::Fragments;
use perilune_wire::ip;

const LATER: Instant = NOW.after(Duration::seconds(3600));

/// What an SA made of the same few packets.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    sent: Vec<Vec<Vec<u8>>>,
    opened: Vec<usize>,
    opened_again: usize,
}

fn trace(sa: &SaConfig) -> Trace {
    let ends = Ends::new(std::slice::from_ref(sa), false);
    let packet = |class, octets| datagram(host(false, 1), host(false, 2), class, &vec![7; octets]);
    let mut whole = packet(0, 30);
    whole[6] |= 0x40;
    ip::set_length(&mut whole).unwrap();
    let mut sent = Vec::new();
    for plain in [packet(0xb8, 50), whole, packet(0, 1000)] {
        sent.push(ends.seal(&plain));
    }
    if let Some(too_big) = sent[0].first() {
        ends.sender.note_icmp_error(&icmp_about(too_big, 700), NOW);
    }
    sent.push(seal_at(&ends, &packet(0, 1000), NOW));
    sent.push(seal_at(&ends, &packet(0, 1000), LATER));
    let open = |sealed: &[Vec<u8>]| sealed.iter().map(|one| ends.open(one).len()).sum();
    Trace {
        opened: sent.iter().map(|sealed| open(sealed)).collect(),
        opened_again: open(&sent[0]),
        sent,
    }
}

fn seal_at(ends: &Ends, packet: &[u8], now: Instant) -> Vec<Vec<u8>> {
    let mut batch = SealedBatch::with_capacity(0);
    let frame = [&[0; VIRTIO], packet].concat();
    let mut worker = ends.sender.outbound_worker();
    let progress = ends.sender.seal(&mut worker, &frame, now, &mut batch);
    assert_eq!(progress, Progress::Done);
    batch.to_packets()
}

/// An SA whose packets are the same each time they are made.
fn sa_of(suite: Suite) -> SaConfig {
    SaConfig {
        suite,
        keys: keys(suite, 7),
        ..sa(Mode::Tunnel)
    }
}

const MAC: Integrity = Integrity::HmacSha2_256_128;

fn separate(bits: AesKeyBits, mac: Integrity) -> SaConfig {
    sa_of(Suite::Separate(Cipher::AesCtr(bits), mac))
}

fn with_key(mut sa: SaConfig, encryption: u8, integrity: u8) -> SaConfig {
    let key = |octets: usize, first: u8| (first..).take(octets).collect();
    let (cipher, mac) = (
        sa.suite.encryption_key_octets(),
        sa.suite.integrity_key_octets(),
    );
    sa.keys = Keys::new(key(cipher, encryption), key(mac, integrity));
    sa
}

type Edit = fn(&mut SaConfig);

/// Check that an SA with another item is another SA.
fn differ(item: &str, one: &SaConfig, other: &SaConfig) {
    assert_eq!(trace(one), trace(one), "{item}: not by chance");
    assert_ne!(trace(one), trace(other), "{item}");
}

fn changed(base: &SaConfig, change: impl FnOnce(&mut SaConfig)) -> SaConfig {
    let mut sa = base.clone();
    change(&mut sa);
    sa
}

// covers R4301-4.4.2.1-1
#[test]
fn spi_numbers_and_window_are_each_sas_own() {
    let base = sa_of(GCM);
    differ("SPI", &base, &changed(&base, |sa| sa.spi = 0x3333));
    let later = changed(&base, |sa| sa.sequence.used = 7);
    differ("sequence number counter", &base, &later);
    let unchecked = changed(&base, |sa| sa.replay_window = 0);
    differ("anti-replay window", &base, &unchecked);
    assert_eq!(
        (trace(&base).opened_again, trace(&unchecked).opened_again),
        (0, 1)
    );
    let near_the_end = changed(&sa_of(Suite::IntegrityOnly(MAC)), |sa| {
        sa.replay_window = 0;
        sa.sequence.used = u64::from(u32::MAX) - 2;
    });
    let cycles = changed(&near_the_end, |sa| sa.sequence.cycles = true);
    differ("sequence counter overflow", &near_the_end, &cycles);
}

// covers R4301-4.4.2.1-1
#[test]
fn algorithms_and_keys_are_each_sas_own() {
    let ah = sa_of(Suite::Ah(AhIntegrity::Mac(MAC)));
    let other_ah = sa_of(Suite::Ah(AhIntegrity::Mac(Integrity::AesCmac96)));
    differ("AH algorithm", &ah, &other_ah);
    differ("AH key", &ah, &with_key(ah.clone(), 0, 8));
    let esp = separate(AesKeyBits::Bits128, MAC);
    let longer = separate(AesKeyBits::Bits256, MAC);
    differ("ESP encryption algorithm", &esp, &longer);
    let base = with_key(esp.clone(), 7, 7);
    differ("ESP encryption key", &base, &with_key(esp.clone(), 8, 7));
    differ("ESP integrity key", &base, &with_key(esp.clone(), 7, 8));
    let other_mac = separate(AesKeyBits::Bits128, Integrity::AesXcbc96);
    differ("ESP integrity algorithm", &esp, &other_mac);
    let combined = sa_of(Suite::aes_gcm_16(AesKeyBits::Bits128));
    let chacha = sa_of(Suite::chacha20_poly1305());
    differ("combined mode algorithm", &combined, &chacha);
    differ(
        "combined mode key",
        &combined,
        &with_key(combined.clone(), 8, 0),
    );
}

// covers R4301-4.4.2.1-1
#[test]
fn life_and_form_are_each_sas_own() {
    let base = sa_of(GCM);
    let forms: [(&str, Edit); 12] = [
        ("lifetime in octets", |sa| {
            sa.lifetimes.hard.octets = Some(200);
        }),
        ("lifetime in time", |sa| {
            sa.lifetimes.hard.time = Some(Duration::seconds(60));
        }),
        ("mode", |sa| {
            sa.processing.mode = Mode::Beet {
                local: host(false, 1),
                remote: host(false, 2),
            };
        }),
        ("bypass DF", |sa| sa.processing.df = DontFragment::Clear),
        ("DSCP values", |sa| {
            sa.selectors.conditions.tos = Some(Masked {
                value: 0xb8,
                mask: 0xfc,
            });
        }),
        ("bypass DSCP", |sa| {
            sa.processing.dscp = Dscp::Map(DscpMap::new([0; 64]).unwrap());
        }),
        ("path MTU", |sa| sa.processing.path_mtu = Some(500)),
        ("path MTU's age", |sa| {
            sa.processing.path_mtu_age = Duration::seconds(7200);
        }),
        ("hop limit", |sa| sa.processing.hop_limit = 9),
        ("padding", |sa| sa.processing.tfc = TfcPadding::To(300)),
        ("compression", |sa| sa.processing.compression = Some(0x4711)),
        ("encapsulation", |sa| {
            sa.encapsulation = Encapsulation::Udp;
        }),
    ];
    for (item, change) in forms {
        differ(item, &base, &changed(&base, change));
    }
}

// covers R4301-4.4.2.1-1
#[test]
fn stateful_fragment_checking_is_each_sas_own() {
    let sender = Ends::new(&[sa_of(GCM)], false).sender;
    let mut base = sa_of(GCM);
    base.selectors = SelectorPair::new(
        vec![selector(EVERYTHING[0], 17, Ports::Range(53, 53))],
        vec![selector(EVERYTHING[0], 17, Ports::Any)],
    );
    let checked = changed(&base, |sa| sa.stateful_fragments = true);
    let packet = datagram(host(false, 1), host(false, 2), 0, &[7; 900]);
    let mut ends = Ends::new(&[base], false);
    ends.sender = sender;
    let sealed = halves_of(&packet).map(|half| ends.seal(&half).remove(0));
    let opened = |ends: &Ends| sealed.each_ref().map(|half| ends.open(half).len());
    assert_eq!(opened(&ends), [1, 0], "the second shows no ports");
    assert_eq!(opened(&Ends::new(&[checked], false)), [1, 1]);
}

/// A packet in two fragments, of which the second has no ports.
fn halves_of(packet: &[u8]) -> [Vec<u8>; 2] {
    let plan = Fragments::plan(packet, 500, 9).unwrap();
    assert_eq!(plan.count(), 2);
    [0, 1].map(|index| {
        let mut half = vec![0; 500];
        let octets = plan.write(index, &mut half).unwrap();
        half.truncate(octets);
        half
    })
}

// covers R4301-4.4.2.1-1
#[test]
fn tunnel_addresses_are_each_sas_own() {
    for ipv6 in [false, true] {
        let ends = Ends::new(&[sa_of(GCM)], ipv6);
        let packet = datagram(host(false, 1), host(false, 2), 0, b"through");
        let outer = ip::parse(&ends.seal(&packet)[0]).unwrap().flow;
        let between = (outer.source(), outer.destination());
        assert_eq!(between, (end(ipv6, 1), end(ipv6, 2)));
    }
}
