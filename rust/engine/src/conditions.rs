//! What a policy may ask of a packet beyond the selectors that IKE knows.

use perilune_wire::flow::FlowKey;

use crate::processing::Mode;

/// Bits that count, and what they have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Masked<T> {
    /// What the bits have to be; others are zero.
    pub value: T,
    /// The bits that count, in any arrangement.
    pub mask: T,
}

/// What has to hold besides the selectors; the default asks for nothing.
///
/// A field that a packet does not have is not what a condition asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Conditions {
    /// TOS of IPv4.
    pub tos: Option<Masked<u8>>,
    /// Traffic Class of IPv6.
    pub traffic_class: Option<Masked<u8>>,
    /// Flow label of IPv6, in 20 bits.
    pub flow_label: Option<u32>,
    /// Least and greatest sensitivity level.
    pub level: Option<(u8, u8)>,
    /// The local user that a packet comes from.
    pub user: Option<u32>,
    /// Bits of the address at our end; IPv4's are the low 32.
    pub local_address: Option<Masked<u128>>,
    /// Bits of the address at the other end; IPv4's are the low 32.
    pub remote_address: Option<Masked<u128>>,
}

impl Conditions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of this is asked of a packet that an SA of some mode brings.
    ///
    /// Not the class, whose DSCP is for the sender to choose an SA by and may be another one on the
    /// way, as ECN may, nor the user, whom no packet names. A flow label counts where it was inside a
    /// tunnel.
    #[must_use]
    pub(crate) fn on_arrival(&self, mode: Mode) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc4301#section-4.1
        //# the value
        //# is not employed for SA selection and MUST NOT be checked as part of
        //# SA/packet validation.
        Self {
            tos: None,
            traffic_class: None,
            user: None,
            flow_label: self.flow_label.filter(|_| mode == Mode::Tunnel),
            ..self.clone()
        }
    }

    /// Whether a packet that leaves is as it has to be; for one that arrives, ask with
    /// [`FlowKey::reversed`].
    pub fn hold_for(&self, flow: &FlowKey) -> bool {
        let class = u128::from(flow.traffic_class());
        let class_is = |wanted: Option<Masked<u8>>, ipv6| {
            wanted.is_none_or(|wanted| flow.is_ipv6() == ipv6 && wanted.wide().fits(class))
        };
        let address_is = |wanted: Option<Masked<u128>>, address| {
            wanted.is_none_or(|wanted| wanted.fits(address))
        };
        let level_is = |(least, greatest)| {
            flow.level()
                .is_some_and(|level| least <= level && level <= greatest)
        };
        class_is(self.tos, false)
            && class_is(self.traffic_class, true)
            && self
                .flow_label
                .is_none_or(|label| flow.is_ipv6() && flow.flow_label() == label)
            && self.level.is_none_or(level_is)
            && self.user.is_none_or(|user| flow.user() == Some(user))
            && address_is(self.local_address, flow.source_bits())
            && address_is(self.remote_address, flow.destination_bits())
    }
}

impl Masked<u8> {
    fn wide(self) -> Masked<u128> {
        Masked {
            value: self.value.into(),
            mask: self.mask.into(),
        }
    }
}

impl Masked<u128> {
    fn fits(self, bits: u128) -> bool {
        bits & self.mask == self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(source: &str, destination: &str) -> FlowKey {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        FlowKey::new(source, destination, 17, Some((1, 2))).unwrap()
    }

    #[test]
    fn the_default_asks_for_nothing() {
        assert!(Conditions::default().is_empty());
        assert!(Conditions::default().hold_for(&flow("10.0.0.1", "10.0.0.2")));
    }

    #[test]
    fn the_octet_of_a_class_belongs_to_one_version() {
        let expedited = Some(Masked {
            value: 0xb8,
            mask: 0xfc,
        });
        let (v4, v6) = (flow("10.0.0.1", "10.0.0.2"), flow("::1", "::2"));
        let tos = Conditions {
            tos: expedited,
            ..Conditions::default()
        };
        let traffic_class = Conditions {
            traffic_class: expedited,
            ..Conditions::default()
        };
        for (class, expected) in [(0xb8, true), (0xbb, true), (0xb4, false)] {
            assert_eq!(tos.hold_for(&v4.with_class(class, 0)), expected);
            assert_eq!(traffic_class.hold_for(&v6.with_class(class, 0)), expected);
            assert!(!tos.hold_for(&v6.with_class(class, 0)));
            assert!(!traffic_class.hold_for(&v4.with_class(class, 0)));
        }
    }

    #[test]
    fn what_a_packet_does_not_have_is_not_what_is_asked_for() {
        let v6 = flow("::1", "::2");
        let asks = |conditions: Conditions, flow: FlowKey| conditions.hold_for(&flow);
        let label = Conditions {
            flow_label: Some(0),
            ..Conditions::default()
        };
        assert!(asks(label.clone(), v6));
        assert!(!asks(label.clone(), v6.with_class(0, 1)));
        assert!(!asks(label, flow("10.0.0.1", "10.0.0.2")));
        let level = Conditions {
            level: Some((0, 3)),
            ..Conditions::default()
        };
        assert!(!asks(level.clone(), v6));
        assert!(asks(level.clone(), v6.with_level(Some(3))));
        assert!(!asks(level, v6.with_level(Some(4))));
        let user = Conditions {
            user: Some(0),
            ..Conditions::default()
        };
        assert!(!asks(user.clone(), v6));
        assert!(asks(user.clone(), v6.with_user(Some(0))));
        assert!(!asks(user, v6.with_user(Some(1000))));
    }

    #[test]
    fn a_mask_may_have_holes() {
        let third_octet_and_last_bit = Some(Masked {
            value: 0x0000_0701,
            mask: 0x0000_ff01,
        });
        let conditions = Conditions {
            remote_address: third_octet_and_last_bit,
            ..Conditions::default()
        };
        assert!(conditions.hold_for(&flow("10.0.0.1", "10.9.7.3")));
        assert!(!conditions.hold_for(&flow("10.0.0.1", "10.9.7.2")));
        assert!(!conditions.hold_for(&flow("10.9.7.3", "10.0.0.1")));
        assert!(conditions.hold_for(&flow("10.9.7.3", "10.0.0.1").reversed()));
    }
}
