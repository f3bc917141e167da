//! Ancillary data of a datagram (cmsg(3)), written and read as plain octets.
//!
//! ```text
//!  usize           i32     i32
//! +---------------+-------+-------+------ . . -----+- - - - - -+
//! | length        | level | type  | data           | alignment |
//! +---------------+-------+-------+------ . . -----+- - - - - -+
//! ```
//! The length counts header and data; everything is in host order.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WORD: usize = size_of::<usize>();
const HEADER: usize = (WORD + 8).next_multiple_of(WORD);

/// Room for what one datagram carries: a packet-info, a traffic class, a segment size.
pub(crate) const CAPACITY: usize = 128;

/// Ancillary data to send with a datagram.
#[derive(Clone, Copy)]
#[repr(align(8))]
pub(crate) struct Control {
    octets: [u8; CAPACITY],
    length: usize,
}

impl Control {
    /// No ancillary data.
    pub(crate) const fn new() -> Self {
        Self {
            octets: [0; CAPACITY],
            length: 0,
        }
    }

    /// What the kernel is given.
    pub(crate) fn as_octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// Choose the source address of the datagram (ip(7) `IP_PKTINFO`, RFC 3542 section 6.1).
    pub(crate) fn push_source(&mut self, source: IpAddr) {
        match source {
            IpAddr::V4(address) => {
                let mut info = [0_u8; 12];
                info[4..8].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(address) => {
                let mut info = [0_u8; 20];
                info[..16].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// Set the whole traffic class octet, DSCP and ECN, of the outer header.
    pub(crate) fn push_traffic_class(&mut self, remote: IpAddr, class: u8) {
        let value = i32::from(class).to_ne_bytes();
        match remote {
            IpAddr::V4(_) => self.push(libc::IPPROTO_IP, libc::IP_TOS, &value),
            IpAddr::V6(_) => self.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &value),
        }
    }

    /// Have the kernel cut the payload into datagrams of this size (udp(7) `UDP_SEGMENT`).
    pub(crate) fn push_segment_size(&mut self, octets: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &octets.to_ne_bytes());
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let end = self.length + (HEADER + data.len()).next_multiple_of(WORD);
        let Some(room) = self.octets.get_mut(self.length..end) else {
            debug_assert!(false, "CAPACITY holds one message of each kind");
            return;
        };
        room[..WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        room[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.length = end;
    }
}

/// What the kernel told about a received datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancillary {
    /// The address that the datagram was sent to.
    pub(crate) destination: Option<IpAddr>,
    /// Size of the datagrams that were joined (udp(7) `UDP_GRO`), the last may be shorter.
    pub(crate) segment_size: Option<usize>,
    /// VLAN tag that was taken out of a frame (packet(7) `PACKET_AUXDATA`).
    pub(crate) tag: Option<[u8; 4]>,
    /// Traffic class octet of the outer header.
    pub(crate) traffic_class: u8,
    /// Hop limit of the outer header; zero when not told.
    pub(crate) hop_limit: u8,
}

impl Ancillary {
    /// Read the ancillary data that came with a datagram.
    pub(crate) fn parse(mut octets: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some((level, kind, data, rest)) = split_message(octets) {
            found.take(level, kind, data);
            octets = rest;
        }
        found
    }

    fn take(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                self.segment_size = number(data)
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|n| *n > 0);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                self.destination = data
                    .get(8..12)
                    .and_then(|a| <[u8; 4]>::try_from(a).ok())
                    .map(|a| Ipv4Addr::from(a).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                self.destination = data
                    .first_chunk::<16>()
                    .map(|address| Ipv6Addr::from(*address).into());
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => {
                self.traffic_class = data.first().copied().unwrap_or_default();
            }
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                self.traffic_class = number(data)
                    .and_then(|n| u8::try_from(n).ok())
                    .unwrap_or_default();
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                self.hop_limit = number(data)
                    .and_then(|n| u8::try_from(n).ok())
                    .unwrap_or_default();
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => self.tag = vlan_tag(data),
            _ => {}
        }
    }
}

/// The tag in a `struct tpacket_auxdata`: its status, and at the end TCI and TPID.
fn vlan_tag(data: &[u8]) -> Option<[u8; 4]> {
    const VALID: i32 = 1 << 4;
    const TYPE_VALID: i32 = 1 << 6;
    let status = number(data)?;
    let (tci, tpid) = (data.get(16..18)?, data.get(18..20)?);
    let [t0, t1] = u16::from_ne_bytes(tci.try_into().ok()?).to_be_bytes();
    let tpid = match u16::from_ne_bytes(tpid.try_into().ok()?) {
        tpid if status & TYPE_VALID != 0 => tpid,
        _ => 0x8100,
    };
    let [p0, p1] = tpid.to_be_bytes();
    (status & VALID != 0).then_some([p0, p1, t0, t1])
}

fn number(data: &[u8]) -> Option<i32> {
    data.first_chunk::<4>()
        .map(|octets| i32::from_ne_bytes(*octets))
}

/// The first message's level, type and data, and the octets after it.
fn split_message(octets: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let length = usize::from_ne_bytes(*octets.first_chunk::<WORD>()?);
    let level = number(octets.get(WORD..)?)?;
    let kind = number(octets.get(WORD + 4..)?)?;
    let data = octets.get(HEADER..length)?;
    let rest = octets
        .get(length.next_multiple_of(WORD)..)
        .unwrap_or_default();
    Some((level, kind, data, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (address, class) in [("192.0.2.1", 0xb9_u8), ("2001:db8::1", 0x02)] {
            let address: IpAddr = address.parse().unwrap();
            let mut control = Control::new();
            control.push_source(address);
            control.push_traffic_class(address, class);
            control.push_segment_size(1400);
            let read = Ancillary::parse(control.as_octets());
            assert_eq!(read.traffic_class, class);
            assert_eq!(read.segment_size, None, "UDP_SEGMENT is not UDP_GRO");
            // ipi_spec_dst (set) and ipi_addr (read) are two fields of the IPv4 structure.
            assert!(read.destination.is_some());
            if address.is_ipv6() {
                assert_eq!(read.destination, Some(address));
            }
        }
    }

    #[test]
    fn a_tag_is_put_together_from_what_the_kernel_tells() {
        let told = |status: u32, tpid: u16| {
            let mut data = [0_u8; 20];
            data[..4].copy_from_slice(&status.to_ne_bytes());
            data[16..18].copy_from_slice(&0x6005_u16.to_ne_bytes());
            data[18..].copy_from_slice(&tpid.to_ne_bytes());
            let mut control = Control::new();
            control.push(libc::SOL_PACKET, libc::PACKET_AUXDATA, &data);
            Ancillary::parse(control.as_octets()).tag
        };
        assert_eq!(told(1, 0), None);
        assert_eq!(told(1 | 1 << 4, 0), Some([0x81, 0, 0x60, 5]));
        assert_eq!(told(1 << 4 | 1 << 6, 0x88a8), Some([0x88, 0xa8, 0x60, 5]));
    }

    #[test]
    fn cut_off_messages_end_the_walk() {
        let mut control = Control::new();
        control.push_traffic_class("192.0.2.1".parse().unwrap(), 3);
        let whole = control.as_octets();
        for end in 0..HEADER + 4 {
            assert_eq!(
                Ancillary::parse(&whole[..end]),
                Ancillary::default(),
                "{end}"
            );
        }
        assert_eq!(Ancillary::parse(&[0xff; 64]), Ancillary::default());
        assert_eq!(Ancillary::parse(&[0; 64]), Ancillary::default());
    }
}
