//! What the first hop of a path takes in one piece: the MTU of the route that the kernel would take,
//! and of the interface that it leads to (rtnetlink(7)).
//!
//! ```text
//! question  nlmsghdr (16)  rtmsg (12)  RTA_DST  RTA_SRC  RTA_MARK
//! answer    nlmsghdr (16)  rtmsg (12)  ... RTA_OIF  RTA_METRICS { RTAX_MTU }
//! ```
//!
//! The kernel is asked for the entry of its table (`RTM_F_FIB_MATCH`), not for what it has learnt
//! itself from ICMP that nobody authenticated: that is for the engine to believe, or not.

use std::io;
use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::interface;

const MESSAGE_HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
const ATTRIBUTE_HEADER: usize = 4;
const ANSWER_OCTETS: usize = 8192;
/// `RTM_F_FIB_MATCH` of linux/rtnetlink.h.
const FIB_MATCH: u32 = 0x2000;
const RTAX_MTU: u16 = 2;

/// Ask what the first hop from one address to another takes in one piece.
///
/// Args:
///     local: Our address; the unspecified one leaves it to the kernel.
///     remote: Where packets go.
///     mark: `SO_MARK` of the packets, which rules may look at.
///
/// Returns:
/// Octets of an IP packet; `None` when there is no route, or several at once.
pub(crate) fn mtu(local: IpAddr, remote: IpAddr, mark: Option<u32>) -> Option<u32> {
    let (domain, protocol) = (Domain::from(libc::AF_NETLINK), libc::NETLINK_ROUTE);
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol))).ok()?;
    let answer = ask(&socket, &question(local, remote, mark)).ok()?;
    let route = Route::parse(&answer)?;
    let of_interface = interface::mtu_of_index(&socket, route.interface).ok()?;
    let of_interface = u32::try_from(of_interface).ok()?;
    Some(route.mtu.map_or(of_interface, |mtu| mtu.min(of_interface)))
}

/// One question, and the answer, which the kernel has ready when the question was taken.
fn ask(socket: &Socket, question: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(question)?;
    let mut answer = vec![0; ANSWER_OCTETS];
    let (octets, _) = rustix::net::recv(
        socket,
        answer.as_mut_slice(),
        rustix::net::RecvFlags::DONTWAIT,
    )?;
    answer.truncate(octets);
    Ok(answer)
}

fn question(local: IpAddr, remote: IpAddr, mark: Option<u32>) -> Vec<u8> {
    let family = match remote {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    let prefix = |address| octets_of(address).len().saturating_mul(8);
    let source = (!local.is_unspecified()).then_some(local);
    let lengths = [
        usize::try_from(family).unwrap_or(0),
        prefix(remote),
        source.map_or(0, prefix),
    ];
    let mut octets = vec![0; MESSAGE_HEADER];
    octets.extend(lengths.map(|number| u8::try_from(number).unwrap_or(0)));
    octets.extend([0; 5]);
    octets.extend(FIB_MATCH.to_ne_bytes());
    push(&mut octets, libc::RTA_DST, &octets_of(remote));
    if let Some(source) = source {
        push(&mut octets, libc::RTA_SRC, &octets_of(source));
    }
    if let Some(mark) = mark {
        push(&mut octets, libc::RTA_MARK, &mark.to_ne_bytes());
    }
    let length = u32::try_from(octets.len()).unwrap_or(0).to_ne_bytes();
    let flags = u16::try_from(libc::NLM_F_REQUEST).unwrap_or(0);
    let start = length
        .into_iter()
        .chain(libc::RTM_GETROUTE.to_ne_bytes())
        .chain(flags.to_ne_bytes());
    for (to, from) in octets.iter_mut().zip(start) {
        *to = from;
    }
    octets
}

fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Every value is a multiple of four octets long, so nothing has to be padded.
fn push(octets: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER.saturating_add(value.len())).unwrap_or(0);
    octets.extend(length.to_ne_bytes());
    octets.extend(kind.to_ne_bytes());
    octets.extend(value);
}

/// What is of interest in a route.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    interface: i32,
    mtu: Option<u32>,
}

impl Route {
    fn parse(answer: &[u8]) -> Option<Self> {
        let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
        let attributes = answer.get(MESSAGE_HEADER.checked_add(ROUTE_HEADER)?..)?;
        if kind != libc::RTM_NEWROUTE {
            return None;
        }
        let interface = find(attributes, libc::RTA_OIF)?;
        let metrics = find(attributes, libc::RTA_METRICS).unwrap_or_default();
        let mtu = find(metrics, RTAX_MTU).and_then(number);
        Some(Self {
            interface: number(interface)?.cast_signed(),
            mtu: mtu.filter(|mtu| *mtu > 0),
        })
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value
        .first_chunk()
        .map(|octets| u32::from_ne_bytes(*octets))
}

/// The value of the first attribute of a kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(ATTRIBUTE_HEADER)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_ourselves_takes_what_the_loopback_device_does() {
        let lo = interface::request("lo").unwrap();
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let of_device = u32::try_from(interface::mtu(&socket, lo).unwrap()).unwrap();
        let one: IpAddr = "127.0.0.1".parse().unwrap();
        let any: IpAddr = "0.0.0.0".parse().unwrap();
        for local in [one, any] {
            assert_eq!(mtu(local, one, None), Some(of_device));
        }
    }

    #[test]
    fn there_is_no_way_from_an_address_of_somebody_else() {
        let (local, remote) = ("198.51.100.1", "127.0.0.1");
        let mtu = mtu(local.parse().unwrap(), remote.parse().unwrap(), Some(7));
        assert_eq!(mtu, None);
    }

    #[test]
    fn an_answer_is_read_as_far_as_it_goes() {
        let mut metrics = Vec::new();
        push(&mut metrics, 1, &[9; 4]);
        push(&mut metrics, RTAX_MTU, &1300_u32.to_ne_bytes());
        let mut answer = vec![0; MESSAGE_HEADER + ROUTE_HEADER];
        answer[4..6].copy_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
        push(&mut answer, libc::RTA_METRICS, &metrics);
        push(&mut answer, libc::RTA_OIF, &7_u32.to_ne_bytes());
        let (interface, mtu) = (7, Some(1300));
        assert_eq!(Route::parse(&answer), Some(Route { interface, mtu }));
        for end in 0..answer.len() {
            assert_eq!(Route::parse(&answer[..end]), None);
        }
    }
}
