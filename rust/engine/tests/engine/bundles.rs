//! Bundles of packets, as the kernel joins them, of which some are not as they were sent.

use crate::common::*;
use perilune_engine::*;
use proptest::prelude::*;

/// Payload of each segment in octets.
const SEGMENT: usize = 100;
/// Octets in front of it: of the device, of IPv4 and of TCP.
const HEADERS: usize = VIRTIO + 40;

/// What became of a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Changed(usize),
    CutOff,
    Foreign,
    Repeated,
    Sound,
}

impl Fault {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            6 => Just(Self::Sound),
            1 => any::<usize>().prop_map(Self::Changed),
            1 => Just(Self::CutOff),
            1 => Just(Self::Foreign),
            1 => Just(Self::Repeated),
        ]
    }

    /// What arrives in the packet's place.
    fn of(self, mut packet: Vec<u8>) -> Vec<Vec<u8>> {
        match self {
            // Behind SPI and sequence number, which say more than that the packet is not sound.
            Self::Changed(at) => {
                let at = 8 + at % (packet.len() - 8);
                packet[at] ^= 0x10;
            }
            Self::CutOff => packet.truncate(12),
            Self::Foreign => packet[0] ^= 0x80,
            Self::Repeated => return vec![packet.clone(), packet],
            Self::Sound => {}
        }
        vec![packet]
    }

    fn arrives(self) -> bool {
        matches!(self, Self::Repeated | Self::Sound)
    }

    fn reason(self) -> Option<DropReason> {
        match self {
            Self::Changed(_) => Some(DropReason::IntegrityFailed),
            Self::CutOff => Some(DropReason::EspMalformed),
            Self::Foreign => Some(DropReason::UnknownSpi),
            Self::Repeated => Some(DropReason::Replayed),
            Self::Sound => None,
        }
    }
}

/// The payload of each frame that the device is to get: what is between two lost segments is one.
fn whole_pieces(faults: &[Fault], payload: &[u8]) -> Vec<Vec<u8>> {
    let segments: Vec<_> = faults.iter().zip(payload.chunks(SEGMENT)).collect();
    segments
        .split(|(fault, _)| !fault.arrives())
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            piece
                .iter()
                .flat_map(|(_, octets)| octets.to_vec())
                .collect()
        })
        .collect()
}

proptest! {
    #[test]
    fn a_faulty_packet_takes_no_other_with_it(
        faults in prop::collection::vec(Fault::any(), 1..50),
        ipv6: bool,
    ) {
        let payload: Vec<u8> = (0..faults.len() * SEGMENT).map(|n| n.to_le_bytes()[n % 2]).collect();
        let mut pair = Pair::new(GCM);
        let packets = pair.seal(&tcp_superpacket(ipv6, 100, &payload));
        prop_assert_eq!(packets.len(), faults.len());
        let bundle: Vec<_> = packets
            .into_iter()
            .zip(&faults)
            .flat_map(|(packet, fault)| fault.of(packet))
            .collect();

        let frames = pair.open(&bundle);

        let headers = HEADERS + if ipv6 { 20 } else { 0 };
        let pieces: Vec<_> = frames.iter().map(|frame| frame[headers..].to_vec()).collect();
        prop_assert_eq!(pieces, whole_pieces(&faults, &payload));
        let faulty = faults.iter().filter_map(|fault| fault.reason());
        for reason in faulty.clone() {
            let expected = faulty.clone().filter(|other| *other == reason).count();
            prop_assert_eq!(drops(&pair.b, reason), expected as u64);
        }
        prop_assert_eq!(all_drops(&pair.b), faulty.count() as u64);
    }
}
