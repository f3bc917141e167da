//! The IP header that a tunnel puts outside (RFC 4301, section 5.1.2), and the one that is put back
//! when sockets have taken it off.

use std::net::IpAddr;

use perilune_wire::extension_header::{IPV4_OCTETS, IPV6_OCTETS};
use perilune_wire::ip::IpPacket;

use crate::path::{Path, PathInfo};
use crate::processing::{DontFragment, Dscp, Processing};

const DF: u16 = 0x4000;
const FLOW_LABEL: u32 = 0xf_ffff;
/// The DF bit's octet in an IPv4 header.
const FLAGS_AT: usize = 6;
const DF_OCTET: u8 = 0x40;
/// Hop limit of a header that is put back when none was seen.
const UNKNOWN_HOP_LIMIT: u8 = 64;

/// An IP header without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OuterHeader {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    /// IPv6 only, 20 bits.
    pub(crate) flow_label: u32,
    /// IPv4 only.
    pub(crate) dont_fragment: bool,
    /// IPv4 only; not zero, or the system puts one of its own in, which AH would not forgive.
    pub(crate) identification: u16,
}

impl OuterHeader {
    /// The header around a packet in tunnel mode.
    pub(crate) fn around(
        ip: &IpPacket,
        processing: &Processing,
        path: &Path,
        identification: u16,
    ) -> Self {
        let keep = processing.preserved;
        let pick = |kept: bool, inner: IpAddr, outer: IpAddr| if kept { inner } else { outer };
        Self {
            source: pick(keep.source, ip.flow.source(), path.local.ip()),
            destination: pick(keep.destination, ip.flow.destination(), path.remote.ip()),
            traffic_class: traffic_class(&processing.dscp, ip.traffic_class),
            hop_limit: processing.hop_limit,
            flow_label: processing.flow_label,
            dont_fragment: dont_fragment(processing.df, ip.dont_fragment),
            identification: identification.max(1),
        }
    }

    /// A header like the one that a socket took off.
    pub(crate) fn of_arrival(from: &PathInfo) -> Self {
        Self {
            source: from.remote.ip(),
            destination: from.local.ip(),
            traffic_class: from.traffic_class,
            hop_limit: match from.hop_limit {
                0 => UNKNOWN_HOP_LIMIT,
                known => known,
            },
            flow_label: 0,
            dont_fragment: false,
            identification: 1,
        }
    }

    /// The header as it stands on the wire, but for length and checksum.
    ///
    /// Returns:
    /// Its octets and where the field is that names what follows; `None` when the addresses are
    /// of two families.
    pub(crate) fn to_octets(self, protocol: u8) -> Option<(Vec<u8>, usize)> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [i0, i1] = self.identification.to_be_bytes();
                let flags = if self.dont_fragment { DF } else { 0 };
                let [f0, f1] = flags.to_be_bytes();
                let mut octets = Vec::with_capacity(IPV4_OCTETS);
                octets.extend_from_slice(&[0x45, self.traffic_class, 0, 0, i0, i1, f0, f1]);
                octets.extend_from_slice(&[self.hop_limit, protocol, 0, 0]);
                octets.extend_from_slice(&source.octets());
                octets.extend_from_slice(&destination.octets());
                Some((octets, 9))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let class = u32::from(self.traffic_class);
                let first = (6 << 28) | (class << 20) | (self.flow_label & FLOW_LABEL);
                let mut octets = Vec::with_capacity(IPV6_OCTETS);
                octets.extend_from_slice(&first.to_be_bytes());
                octets.extend_from_slice(&[0, 0, protocol, self.hop_limit]);
                octets.extend_from_slice(&source.octets());
                octets.extend_from_slice(&destination.octets());
                Some((octets, 6))
            }
            _ => None,
        }
    }
}

/// Octets of a header without options to that address.
pub(crate) fn octets_to(destination: IpAddr) -> usize {
    if destination.is_ipv4() {
        IPV4_OCTETS
    } else {
        IPV6_OCTETS
    }
}

/// DSCP as configured, ECN as inside (RFC 6040, section 4.1).
#[inline]
pub(crate) fn traffic_class(dscp: &Dscp, inner: u8) -> u8 {
    match dscp {
        Dscp::Copy => inner,
        Dscp::Map(map) => (map.outer(inner >> 2) << 2) | (inner & 3),
    }
}

/// The DF bit outside (RFC 4301, section 8.1).
#[inline]
pub(crate) fn dont_fragment(df: DontFragment, inner: bool) -> bool {
    match df {
        DontFragment::Clear => false,
        DontFragment::Copy => inner,
        DontFragment::Set => true,
    }
}

/// Whether a packet may not be fragmented on its way: IPv4 with DF, and IPv6.
#[inline]
pub(crate) fn forbids_fragments(packet: &[u8]) -> bool {
    match packet {
        [first, ..] if *first >> 4 == 4 => packet
            .get(FLAGS_AT)
            .is_some_and(|flags| flags & DF_OCTET != 0),
        _ => true,
    }
}
