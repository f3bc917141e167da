//! Which selectors of an SA come from the packet that asks for it: the "populate from packet"
//! flags of an SPD entry (RFC 4301, section 4.4.1.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use perilune_wire::flow::FlowKey;

/// The flags; all of them off is the usual entry, whose SA carries all that it selects.
///
/// A port is one of a protocol: with a flag of a port, the protocol comes from the packet too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "RFC 4301 has one flag for each selector"
)]
pub struct Populate {
    /// The address at our end.
    pub local_address: bool,
    /// The address at the other end.
    pub remote_address: bool,
    /// The next layer protocol.
    pub protocol: bool,
    /// The port at our end, or the type of a message that we send.
    pub local_port: bool,
    /// The port at the other end, or the type of a message that it sends.
    pub remote_port: bool,
}

impl Populate {
    /// Whether ports tell the SAs of an entry apart.
    pub(crate) fn wants_ports(self) -> bool {
        self.local_port || self.remote_port
    }

    /// What of a packet decides which SA carries it: equal for packets that share one.
    pub(crate) fn share(self, flow: &FlowKey) -> Option<FlowKey> {
        if self == Self::default() {
            return None;
        }
        let address = |counts: bool, address: IpAddr| match address {
            _ if counts => address,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let port = |counts: bool, port: u16| if counts { port } else { 0 };
        let has_port = self.wants_ports();
        let ports = flow
            .ports()
            .filter(|_| has_port)
            .map(|(source, destination)| {
                (
                    port(self.local_port, source),
                    port(self.remote_port, destination),
                )
            });
        FlowKey::new(
            address(self.local_address, flow.source()),
            address(self.remote_address, flow.destination()),
            if self.protocol || has_port {
                flow.protocol()
            } else {
                0
            },
            ports,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(destination: &str, protocol: u8, ports: Option<(u16, u16)>) -> FlowKey {
        let source = "10.0.0.1".parse().unwrap();
        FlowKey::new(source, destination.parse().unwrap(), protocol, ports).unwrap()
    }

    // covers R4301-4.4.1.2-1
    #[test]
    fn packets_share_an_sa_where_no_flag_tells_them_apart() {
        let first = flow("10.0.0.2", 6, Some((1, 80)));
        let others = [
            flow("10.0.0.3", 6, Some((1, 80))),
            flow("10.0.0.2", 17, Some((1, 80))),
            flow("10.0.0.2", 6, Some((1, 81))),
        ];
        let shares = |populate: Populate| {
            others.map(|other| populate.share(&first) == populate.share(&other))
        };
        let none = Populate::default();
        assert_eq!(none.share(&first), None);
        let remote_address = Populate {
            remote_address: true,
            ..none
        };
        assert_eq!(shares(remote_address), [false, true, true]);
        let protocol = Populate {
            protocol: true,
            ..none
        };
        assert_eq!(shares(protocol), [true, false, true]);
        let remote_port = Populate {
            remote_port: true,
            ..none
        };
        assert_eq!(shares(remote_port), [true, false, false]);
        let local_port = Populate {
            local_port: true,
            ..none
        };
        assert_eq!(shares(local_port), [true, false, true]);
    }
}
