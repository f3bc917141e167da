use proptest::prelude::*;

use super::*;
use crate::reassembly::{Reassembler, ReassemblyLimits};

const SECOND: u64 = 1_000_000_000;
const LIMITS: TrackingLimits = TrackingLimits {
    packets: 3,
    fragments: 8,
    timeout_ns: 30 * SECOND,
};

fn fresh() -> FragmentTracker {
    FragmentTracker::new(LIMITS)
}

/// A fragment of a UDP datagram from port 1024 to 53: offset in units of eight octets, and data in
/// such units.
fn fragment(identification: u8, offset: u16, units: u8, more: bool) -> Vec<u8> {
    let data = usize::from(units) * 8;
    let [l0, l1] = u16::try_from(20 + data).unwrap().to_be_bytes();
    let [f0, f1] = (offset | if more { 0x2000 } else { 0 }).to_be_bytes();
    let mut packet = vec![0x45, 0, l0, l1, 0, identification, f0, f1, 64, 17, 0, 0];
    packet.extend_from_slice(&[10, 1, 0, 1, 10, 2, 0, 2]);
    let payload: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let begin = usize::from(offset) * 8;
    packet.extend_from_slice(&payload[begin..begin + data]);
    if offset == 0 && units > 0 {
        packet[20..28].copy_from_slice(&[4, 0, 0, 53, 0, 0, 0, 0]);
    }
    packet
}

fn follow(tracker: &mut FragmentTracker, fragment: &[u8]) -> Result<Option<(u16, u16)>, Refusal> {
    tracker
        .follow(0, fragment, 0)
        .map(|found| found.first.ports())
}

#[test]
fn the_ports_of_the_first_are_those_of_the_others() {
    let mut tracker = fresh();
    for (offset, more) in [(0, true), (4, false), (2, true)] {
        let ports = follow(&mut tracker, &fragment(1, offset, 2, more));
        assert_eq!(ports, Ok(Some((1024, 53))));
    }
    let again = tracker.follow(0, &fragment(1, 2, 2, true), 0).unwrap();
    assert!(again.is_again);
}

#[test]
fn what_comes_before_the_first_is_nobodys() {
    let mut tracker = fresh();
    let later = fragment(1, 2, 2, false);
    assert_eq!(follow(&mut tracker, &later), Err(Refusal::FirstMissing));
    assert!(tracker.is_empty(), "strangers leave no trace");
    assert!(follow(&mut tracker, &fragment(1, 0, 2, true)).is_ok());
    let of_another_sa = tracker.follow(7, &later, 0);
    assert_eq!(of_another_sa, Err(Refusal::FirstMissing));
    let of_another_packet = fragment(2, 2, 2, false);
    assert_eq!(
        follow(&mut tracker, &of_another_packet),
        Err(Refusal::FirstMissing)
    );
    assert!(follow(&mut tracker, &later).is_ok());
}

#[test]
fn an_overlap_ends_the_packet() {
    let mut tracker = fresh();
    assert!(follow(&mut tracker, &fragment(1, 0, 4, true)).is_ok());
    let overlapping = fragment(1, 3, 4, true);
    assert_eq!(follow(&mut tracker, &overlapping), Err(Refusal::Overlap));
    let honest = fragment(1, 4, 4, false);
    assert_eq!(follow(&mut tracker, &honest), Err(Refusal::GivenUp));
}

#[test]
fn a_second_first_fragment_with_other_ports_ends_the_packet() {
    let mut tracker = fresh();
    let first = fragment(1, 0, 4, true);
    assert!(follow(&mut tracker, &first).is_ok());
    let mut other = first.clone();
    other[23] = 54;
    assert_eq!(follow(&mut tracker, &other), Err(Refusal::Overlap));
}

#[test]
fn an_identification_is_free_again_when_its_packet_is_whole() {
    let mut tracker = fresh();
    for _ in 0..3 {
        assert!(follow(&mut tracker, &fragment(1, 0, 4, true)).is_ok());
        assert!(follow(&mut tracker, &fragment(1, 4, 1, false)).is_ok());
    }
    assert_eq!(tracker.len(), 1);
}

#[test]
fn tiny_first_fragments_and_too_many_are_refused() {
    let mut tracker = fresh();
    let mut tcp = fragment(1, 0, 1, true);
    tcp[9] = 6;
    assert_eq!(follow(&mut tracker, &tcp), Err(Refusal::Tiny));
    for offset in 0..8 {
        assert!(follow(&mut tracker, &fragment(1, offset, 1, true)).is_ok());
    }
    let ninth = fragment(1, 8, 1, true);
    assert_eq!(follow(&mut tracker, &ninth), Err(Refusal::TooMany));
}

#[test]
fn what_is_kept_has_bounds() {
    let mut tracker = fresh();
    for identification in 1..=4 {
        assert!(follow(&mut tracker, &fragment(identification, 0, 2, true)).is_ok());
    }
    assert_eq!(tracker.len(), LIMITS.packets);
    let oldest = fragment(1, 2, 2, false);
    assert_eq!(follow(&mut tracker, &oldest), Err(Refusal::FirstMissing));
    let newest = fragment(4, 2, 2, false);
    let in_time = tracker.follow(0, &newest, 30 * SECOND - 1);
    assert!(in_time.is_ok());
    let too_late = tracker.follow(0, &newest, 30 * SECOND);
    assert_eq!(too_late, Err(Refusal::FirstMissing));
    assert!(tracker.is_empty());
}

proptest! {
    /// The reassembler looks at data too; with the same data, both take and refuse the same.
    #[test]
    fn it_refuses_what_a_reassembler_does(
        parts in prop::collection::vec((0u16..12, 1u8..5, any::<bool>()), 0..12),
    ) {
        let mut tracker = fresh();
        let mut reassembler = Reassembler::new(ReassemblyLimits {
            fragments: LIMITS.fragments,
            ..ReassemblyLimits::default()
        });
        for (offset, units, more) in [(0, 2, true)].into_iter().chain(parts) {
            let fragment = fragment(1, offset, units, more);
            let gathered = reassembler.insert(&fragment, 0);
            match tracker.follow(0, &fragment, 0) {
                Ok(found) if found.is_again => prop_assert_eq!(gathered, Err(Refusal::Duplicate)),
                Ok(_) => {
                    prop_assert!(gathered.is_ok());
                    if gathered.is_ok_and(|whole| whole.is_some()) {
                        break;
                    }
                }
                Err(refusal) => {
                    let is_whole = offset == 0 && !more;
                    prop_assert!(gathered == Err(refusal) || is_whole, "{gathered:?} {refusal:?}");
                }
            }
        }
    }
}
