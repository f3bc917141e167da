//! Under which keys an entry is found: bits of a packet's selectors that count for the entry, and
//! their values.
//!
//! A packet that an entry selects has one of the entry's keys. The other way round need not be
//! true: ranges become prefixes that hold them, and who finds an entry asks it again.

use perilune_wire::flow::FlowKey;

use crate::change::Direction;
use crate::conditions::Masked;
use crate::prefix::joining;
use crate::selector::{SelectorPair, TrafficSelector};
use crate::shared_table::mix;

/// Most keys of one entry; one with many selectors on both sides gets fewer and wider ones.
const MOST_KEYS: usize = 64;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const MOBILITY: u8 = 135;

/// What a packet or an entry has in all selectors, or which bits of it count, packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields([u64; 6]);

/// Which bits of a packet count, and of which family it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    mask: Fields,
    pub(crate) ipv6: bool,
    /// Keys of different shapes are different even where their bits are equal.
    salt: u64,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexKey {
    pub(crate) shape: Shape,
    value: Fields,
}

impl Fields {
    /// Those of a packet that leaves, or of one that arrives and was reversed.
    #[inline]
    pub(crate) fn of(flow: &FlowKey) -> Self {
        let (local_port, remote_port) = flow.ports().unwrap_or_default();
        let rest = [
            flow.protocol(),
            flow.traffic_class(),
            flow.level().unwrap_or(0),
        ];
        Self::pack(
            [flow.source_bits(), flow.destination_bits()],
            [local_port, remote_port],
            [flow.flow_label(), flow.user().unwrap_or(0)],
            rest,
        )
    }

    #[inline]
    fn pack(
        addresses: [u128; 2],
        ports: [u16; 2],
        [flow_label, user]: [u32; 2],
        [protocol, class, level]: [u8; 3],
    ) -> Self {
        let [local, remote] = addresses.map(|address| [high_word(address), low_word(address)]);
        let [[p0, p1], [p2, p3]] = ports.map(u16::to_be_bytes);
        let [l0, l1, l2, l3] = flow_label.to_be_bytes();
        let [u0, u1, u2, u3] = user.to_be_bytes();
        Self([
            local[0],
            local[1],
            remote[0],
            remote[1],
            u64::from_be_bytes([p0, p1, p2, p3, l0, l1, l2, l3]),
            u64::from_be_bytes([u0, u1, u2, u3, 0, protocol, class, level]),
        ])
    }

    /// The bits that count, hashed.
    #[inline]
    pub(crate) fn hash(&self, shape: &Shape) -> u32 {
        let mask = &shape.mask.0;
        let words: [u64; 6] = std::array::from_fn(|place| self.0[place] & mask[place]);
        let local = mix(words[0], words[1]);
        let remote = mix(words[2], words[3]);
        let rest = mix(words[4], words[5]);
        let hash = mix(local ^ remote.rotate_left(17), rest ^ shape.salt);
        u32::try_from(hash >> 32).unwrap_or(0)
    }
}

impl Shape {
    fn new(mask: Fields, ipv6: bool) -> Self {
        let words = mask.0.into_iter().chain([u64::from(ipv6)]);
        Self {
            mask,
            ipv6,
            salt: words.fold(0, mix),
        }
    }
}

impl IndexKey {
    #[inline]
    pub(crate) fn hash(&self) -> u32 {
        self.value.hash(&self.shape)
    }

    /// A key that holds this one and whose shape is one of few.
    pub(crate) fn widened(&self) -> Self {
        const PROTOCOL: u64 = 0xff << 16;
        let step = if self.shape.ipv6 { 32 } else { 8 };
        let prefix = |high: u64, low: u64| {
            let mask = (u128::from(high) << 64) | u128::from(low);
            let bits = mask.leading_ones().wrapping_div(step).wrapping_mul(step);
            let free_bits = 128_u32.saturating_sub(bits);
            let mask = u128::MAX.checked_shl(free_bits).unwrap_or(0);
            [high_word(mask), low_word(mask)]
        };
        let mask = &self.shape.mask.0;
        let [local, remote] = [prefix(mask[0], mask[1]), prefix(mask[2], mask[3])];
        let mask = [
            local[0],
            local[1],
            remote[0],
            remote[1],
            0,
            mask[5] & PROTOCOL,
        ];
        let shape = Shape::new(Fields(mask), self.shape.ipv6);
        let value = std::array::from_fn(|place| self.value.0[place] & mask[place]);
        Self {
            shape,
            value: Fields(value),
        }
    }
}

/// What one selector or several ask of one side.
#[derive(Clone, Copy)]
struct SideKey {
    address: Masked<u128>,
    port: Masked<u16>,
    /// Zero is any.
    protocol: u8,
    ipv6: bool,
}

/// The keys of an entry for packets of one direction; those that arrive are reversed before they
/// are looked up.
pub(crate) fn keys(selectors: &SelectorPair, direction: Direction) -> Vec<IndexKey> {
    let conditions = &selectors.conditions;
    let is_outbound = direction == Direction::Outbound;
    let mut local = side_keys(&selectors.local, conditions.local_address, is_outbound);
    let mut remote = side_keys(&selectors.remote, conditions.remote_address, !is_outbound);
    if local.len().saturating_mul(remote.len()) > MOST_KEYS {
        let longer = if local.len() > remote.len() {
            &mut local
        } else {
            &mut remote
        };
        join_families(longer);
    }
    if local.len().saturating_mul(remote.len()) > MOST_KEYS {
        join_families(&mut local);
        join_families(&mut remote);
    }
    let both = |local: &SideKey| {
        let local = *local;
        remote
            .iter()
            .filter_map(move |remote| join(selectors, &local, remote))
    };
    let mut keys: Vec<IndexKey> = Vec::new();
    for key in local.iter().flat_map(both) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// What the selectors of one side ask for.
///
/// `is_sender` is whether packets come from this side; the message types of ICMP and the Mobility
/// Header are asked of the sender's side only.
fn side_keys(
    selectors: &[TrafficSelector],
    condition: Option<Masked<u128>>,
    is_sender: bool,
) -> Vec<SideKey> {
    let condition = condition.unwrap_or_default();
    let mut keys = Vec::new();
    for selector in selectors {
        let (protocol, ipv6) = (selector.protocol(), selector.is_ipv6());
        let may_lack_port = !is_sender && matches!(protocol, 0 | ICMP | ICMPV6 | MOBILITY);
        for address in selector.address_prefixes() {
            let common = address.mask & condition.mask;
            if address.value & common != condition.value & common {
                continue;
            }
            let address = Masked {
                value: address.value | condition.value,
                mask: address.mask | condition.mask,
            };
            keys.extend(selector.port_prefixes().map(|port| SideKey {
                address,
                port: if may_lack_port {
                    Masked::default()
                } else {
                    port
                },
                protocol,
                ipv6,
            }));
        }
    }
    keys
}

/// Replace the keys of each family by one that holds them.
fn join_families(keys: &mut Vec<SideKey>) {
    let address = |one: Masked<u128>, other: Masked<u128>| {
        let common = joining(one.value, other.value);
        let mask = common.mask & one.mask & other.mask;
        let value = common.value & mask;
        Masked { value, mask }
    };
    let wider = |one: SideKey, other: SideKey| SideKey {
        address: address(one.address, other.address),
        port: Masked::default(),
        protocol: if one.protocol == other.protocol {
            one.protocol
        } else {
            0
        },
        ipv6: one.ipv6,
    };
    *keys = [false, true]
        .into_iter()
        .filter_map(|ipv6| {
            let family = keys.iter().copied().filter(|key| key.ipv6 == ipv6);
            family.reduce(wider)
        })
        .collect();
}

/// The key of both sides, or `None` where no packet has both.
fn join(selectors: &SelectorPair, local: &SideKey, remote: &SideKey) -> Option<IndexKey> {
    let conditions = &selectors.conditions;
    let protocol = match (local.protocol, remote.protocol) {
        (0, other) | (other, 0) => other,
        (one, other) if one == other => one,
        _ => return None,
    };
    let ipv6 = local.ipv6;
    let class = match (conditions.tos, conditions.traffic_class) {
        (Some(_), Some(_)) => return None,
        (Some(_), _) if ipv6 => return None,
        (_, Some(_)) if !ipv6 => return None,
        (tos, traffic_class) => tos.or(traffic_class).unwrap_or_default(),
    };
    if ipv6 != remote.ipv6 || (conditions.flow_label.is_some() && !ipv6) {
        return None;
    }
    let level = conditions
        .level
        .filter(|(least, greatest)| least == greatest);
    let mask = Fields::pack(
        [local.address.mask, remote.address.mask],
        [local.port.mask, remote.port.mask],
        [
            all_if(conditions.flow_label.is_some()),
            all_if(conditions.user.is_some()),
        ],
        [
            octet_if(protocol != 0),
            class.mask,
            octet_if(level.is_some()),
        ],
    );
    let value = Fields::pack(
        [local.address.value, remote.address.value],
        [local.port.value, remote.port.value],
        [
            conditions.flow_label.unwrap_or(0),
            conditions.user.unwrap_or(0),
        ],
        [protocol, class.value, level.map_or(0, |level| level.0)],
    );
    let shape = Shape::new(mask, ipv6);
    Some(IndexKey { shape, value })
}

fn all_if(counts: bool) -> u32 {
    if counts { u32::MAX } else { 0 }
}

fn octet_if(counts: bool) -> u8 {
    if counts { u8::MAX } else { 0 }
}

fn high_word(bits: u128) -> u64 {
    low_word(bits >> 64)
}

fn low_word(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
}
