//! ICMP that is no error is traffic like any other: what no SPD entry names does not pass (RFC 4301,
//! section 6).

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::ip;

const REQUEST: [u8; 2] = [8, 128];
const REPLY: [u8; 2] = [0, 129];
/// Timestamp of IPv4, and a node information query of IPv6 (RFC 4620).
const OTHER: [u8; 2] = [13, 139];
const NUMBER: [u8; 2] = [1, 58];

/// A message of the first or the second type of a pair, for IPv4 or IPv6.
fn message(ipv6: bool, kinds: [u8; 2]) -> Vec<u8> {
    let mut packet = datagram(host(ipv6, 1), host(ipv6, 2), 0, &[]);
    let (protocol_at, header) = if ipv6 { (6, 40) } else { (9, 20) };
    packet[protocol_at] = NUMBER[usize::from(ipv6)];
    packet[header..header + 4].copy_from_slice(&[kinds[usize::from(ipv6)], 0, 0, 0]);
    ip::set_length(&mut packet).unwrap();
    packet
}

/// An entry for requests that go out and replies that come in, in both versions.
fn echo(action: Action) -> PolicyConfig {
    let side = |kinds: [u8; 2]| {
        let of = |index: usize| {
            let kind = u16::from(kinds[index]) << 8;
            selector(EVERYTHING[index], NUMBER[index], Ports::Range(kind, kind))
        };
        vec![of(0), of(1)]
    };
    policy(1, action, SelectorPair::new(side(REQUEST), side(REPLY)))
}

/// How many packets left in the clear, and how many were dropped because no entry names them.
fn sent(entry: Option<PolicyConfig>, packet: &[u8]) -> (usize, u64) {
    let engine = Engine::new();
    let changes: Vec<_> = entry.map(Change::AddPolicy).into_iter().collect();
    engine.apply(&changes, NOW).unwrap();
    let (mut worker, mut out) = (engine.outbound_worker(), SealedBatch::with_capacity(0));
    let frame = [&[0; VIRTIO], packet].concat();
    let progress = engine.seal(&mut worker, &frame, NOW, &mut out);
    assert_eq!(progress, Progress::Done);
    assert!(out.to_packets().is_empty());
    let clear = out.bypass().filter(|left| *left == packet).count();
    (clear, drops(&engine, DropReason::NoPolicy))
}

// covers R4301-6-1
#[test]
fn what_no_entry_names_does_not_pass() {
    for ipv6 in [false, true] {
        let (request, other) = (message(ipv6, REQUEST), message(ipv6, OTHER));
        assert_eq!(sent(None, &request), (0, 1));
        assert_eq!(sent(Some(echo(Action::Bypass)), &request), (1, 0));
        assert_eq!(sent(Some(echo(Action::Bypass)), &other), (0, 1));
        assert_eq!(sent(Some(echo(Action::Discard)), &request), (0, 0));
    }
}
