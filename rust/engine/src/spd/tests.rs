use super::*;
use crate::change::Action;
use crate::conditions::{Conditions, Masked};
use crate::icmp_errors::IcmpErrors;
use crate::populate::Populate;
use crate::selector::{Ports, SelectorPair, TrafficSelector};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Few addresses of both families, some of them far from each other.
fn address(number: u8) -> IpAddr {
    let [high, low] = [number >> 4 & 3, number & 7];
    if number & 0x80 == 0 {
        Ipv4Addr::new(10 << high, 0, 0, low).into()
    } else {
        Ipv6Addr::new(0x2001 + u16::from(high), 0, 0, 0, 0, 0, 0, low.into()).into()
    }
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::Any),
        Just(Ports::Opaque),
        (0u16..6, 0u16..6).prop_map(|(start, span)| Ports::Range(start, start + span)),
        (0u16..6, 1000u16..).prop_map(|(start, end)| Ports::Range(start, end)),
    ]
}

fn protocols() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(6), Just(17), Just(58), Just(135)]
}

prop_compose! {
    fn selectors()(a: u8, b: u8, protocol in protocols(), ports in ports()) -> TrafficSelector {
        let b = (b & 0x7f) | (a & 0x80);
        let (first, last) = (address(a).min(address(b)), address(a).max(address(b)));
        TrafficSelector::new(first..=last, protocol, ports).unwrap()
    }
}

fn sometimes<T: std::fmt::Debug + Clone>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    prop_oneof![4 => Just(None), 1 => strategy.prop_map(Some)]
}

fn masked<T: Copy + std::fmt::Debug + std::ops::BitAnd<Output = T>>(
    values: impl Strategy<Value = T>,
    masks: impl Strategy<Value = T>,
) -> impl Strategy<Value = Masked<T>> {
    (values, masks).prop_map(|(value, mask)| Masked {
        value: value & mask,
        mask,
    })
}

prop_compose! {
    fn conditions()(
        tos in sometimes(masked(0u8..4, 0u8..4)),
        traffic_class in sometimes(masked(0u8..4, 0u8..4)),
        flow_label in sometimes(0u32..2),
        level in sometimes((0u8..2, 0u8..3)),
        user in sometimes(0u32..2),
        local_address in sometimes(masked(0u128..8, 0u128..8)),
        remote_address in sometimes(masked(0u128..8, 0u128..8)),
    ) -> Conditions {
        Conditions { tos, traffic_class, flow_label, level, user, local_address, remote_address }
    }
}

prop_compose! {
    fn policies()(
        id in 0u32..30,
        priority in 0u32..4,
        local in prop_oneof![19 => prop::collection::vec(selectors(), 1..3), 1 => prop::collection::vec(selectors(), 12)],
        remote in prop_oneof![19 => prop::collection::vec(selectors(), 1..3), 1 => prop::collection::vec(selectors(), 12)],
        conditions in prop_oneof![Just(Conditions::default()), conditions()],
    ) -> PolicyConfig {
        let selectors = SelectorPair { local, remote, conditions };
        PolicyConfig { id: PolicyId(id), priority, action: Action::Protect, selectors, direction: None, populate: Populate::default(), hold: false, icmp_errors: IcmpErrors::default() }
    }
}

prop_compose! {
    fn flows()(
        s: u8,
        d: u8,
        protocol in protocols(),
        ports in any::<Option<(u8, u8)>>(),
        class in 0u8..4,
        label in 0u32..2,
        level in sometimes(0u8..3),
        user in sometimes(0u32..2),
    ) -> FlowKey {
        let ports = ports.map(|(s, d)| (u16::from(s & 15), u16::from(d & 15)));
        let d = (d & 0x7f) | (s & 0x80);
        let label = if s & 0x80 == 0 { 0 } else { label };
        let flow = FlowKey::new(address(s), address(d), protocol, ports).unwrap();
        flow.with_class(class, label).with_level(level).with_user(user)
    }
}

proptest! {
    // covers R4301-4.4.1-14
    #[test]
    fn prop_lookup_is_a_linear_scan(
        configs in prop::collection::vec((policies(), any::<bool>()), 0..30),
        flows in prop::collection::vec(flows(), 40),
    ) {
        let mut spd = Spd::default();
        let mut plain: Vec<PolicyConfig> = Vec::new();
        for (config, is_removed) in configs {
            plain.retain(|other| other.id != config.id);
            if is_removed {
                spd.remove(config.id);
            } else {
                plain.push(config.clone());
                prop_assert!(spd.put(config));
            }
        }
        plain.sort_by_key(|config| (config.priority, config.id));
        let ids: Vec<_> = spd.entries().iter().map(|entry| entry.config.id).collect();
        prop_assert_eq!(ids, plain.iter().map(|config| config.id).collect::<Vec<_>>());
        for flow in flows {
            let expected = plain.iter().find(|config| config.selectors.contains_outbound(&flow));
            let found = spd.lookup(&flow).and_then(|place| spd.entry(place));
            prop_assert_eq!(found.map(|entry| entry.config.id), expected.map(|config| config.id));
        }
    }
}

prop_compose! {
    /// A prefix of any length, ports that are a prefix or are not; many of these have many shapes.
    fn prefixes()(address: u32, bits in 0u32..=32, ports in ports()) -> TrafficSelector {
        let free = u32::MAX.checked_shr(bits).unwrap_or(0);
        // Few addresses, or no two of them would be in one network.
        let address = address & 0xc0c0_c0c1;
        let [first, last] = [address & !free, address | free].map(|it| Ipv4Addr::from_bits(it).into());
        TrafficSelector::new(first..=last, 17, ports).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn prop_more_shapes_than_an_index_keeps_are_a_linear_scan_too(
        sides in prop::collection::vec((prefixes(), prefixes(), 0u32..3), 100..250),
        steps in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 100..400),
        flows in prop::collection::vec((any::<u32>(), any::<u32>(), 0u16..8), 60),
    ) {
        let mut spd = Spd::default();
        let mut plain: Vec<PolicyConfig> = Vec::new();
        let put = |spd: &mut Spd, plain: &mut Vec<PolicyConfig>, id: usize| {
            let (local, remote, priority) = sides[id];
            let selectors = SelectorPair::new(vec![local], vec![remote]);
            let id = PolicyId(u32::try_from(id).unwrap());
            let config = PolicyConfig { priority, selectors, ..one_host(id.0, 0, Ports::Any) };
            plain.retain(|other| other.id != id);
            plain.push(config.clone());
            spd.put(config)
        };
        for id in 0..sides.len() {
            prop_assert!(put(&mut spd, &mut plain, id));
        }
        for (index, is_removed) in steps {
            let id = index.index(sides.len());
            if is_removed {
                let id = PolicyId(u32::try_from(id).unwrap());
                prop_assert_eq!(spd.remove(id).is_some(), plain.iter().any(|other| other.id == id));
                plain.retain(|other| other.id != id);
            } else {
                prop_assert!(put(&mut spd, &mut plain, id));
            }
        }
        plain.sort_by_key(|config| (config.priority, config.id));
        for (source, destination, port) in flows {
            let address = |bits: u32| Ipv4Addr::from_bits(bits & 0xc0c0_c0c1).into();
            let flow = FlowKey::new(address(source), address(destination), 17, Some((port, port))).unwrap();
            let expected = plain.iter().find(|config| config.selectors.contains_outbound(&flow));
            let found = spd.lookup(&flow).and_then(|place| spd.entry(place));
            prop_assert_eq!(found.map(|entry| entry.config.id), expected.map(|config| config.id));
            let back = flow.reversed();
            let found = spd.first(Direction::Inbound, &back).map(|(_, entry)| entry);
            prop_assert_eq!(found.map(|entry| entry.config.id), expected.map(|config| config.id));
        }
        for config in &plain {
            prop_assert!(spd.remove(config.id).is_some());
        }
        prop_assert!(spd.is_forgotten());
    }
}

#[test]
fn what_a_search_reads_of_an_entry_is_no_larger_than_two_cache_lines() {
    assert!(size_of::<Place>() <= 128);
}

fn one_host(id: u32, host: u32, ports: Ports) -> PolicyConfig {
    let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | host));
    let all = IpAddr::from(Ipv4Addr::UNSPECIFIED)..=IpAddr::from(Ipv4Addr::BROADCAST);
    let selectors = SelectorPair::new(
        vec![TrafficSelector::new(all, 0, Ports::Any).unwrap()],
        vec![TrafficSelector::new(address..=address, 17, ports).unwrap()],
    );
    PolicyConfig {
        id: PolicyId(id),
        priority: 7,
        action: Action::Protect,
        selectors,
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    }
}

#[test]
fn a_copy_does_not_see_what_is_done_to_the_other() {
    let mut spd = Spd::default();
    for id in 0..1000 {
        assert!(spd.put(one_host(id, id, Ports::Any)));
    }
    let before = spd.clone();
    for id in 0..999 {
        assert!(spd.remove(PolicyId(id)).is_some());
    }
    assert!(spd.put(one_host(999, 0, Ports::Range(5, 5))));
    let flow = |host: u32| {
        let address = |bits: u32| Ipv4Addr::from_bits(bits).into();
        FlowKey::new(address(1), address(0x0a00_0000 | host), 17, Some((5, 5))).unwrap()
    };
    let found = |spd: &Spd, host| {
        let entry = spd.entry(spd.lookup(&flow(host))?)?;
        Some(entry.config.id.0)
    };
    assert_eq!(
        (found(&before, 3), found(&before, 999)),
        (Some(3), Some(999))
    );
    assert_eq!(
        (found(&spd, 3), found(&spd, 999), found(&spd, 0)),
        (None, None, Some(999))
    );
}
