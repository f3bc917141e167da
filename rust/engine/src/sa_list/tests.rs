use super::*;
use crate::change::{Lifetimes, PolicyId, SaConfig, SaId, SequenceState};
use crate::path::{Encapsulation, Path};
use crate::processing::{Lookup, Mode, Processing};
use crate::sad::InboundSad;
use crate::selector::{Ports, SelectorPair, TrafficSelector};
use crate::suite::{Keys, Suite};
use crate::time::Instant;
use proptest::prelude::*;
use std::net::Ipv4Addr;

/// An SA for some hosts at the other end.
fn sa(spi: u32, first: u8, last: u8, within: Option<SaId>) -> Entry {
    let host = |last| Ipv4Addr::new(10, 0, 0, last).into();
    let selector =
        |first, last| vec![TrafficSelector::new(host(first)..=host(last), 0, Ports::Any).unwrap()];
    let address = "192.0.2.1:4500".parse().unwrap();
    let config = SaConfig {
        spi: spi + 256,
        direction: Direction::Outbound,
        policy: PolicyId(1),
        peer_spi: 0x2000,
        path: Path {
            local: address,
            remote: address,
        },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within,
        suite: Suite::chacha20_poly1305(),
        allow_insecure: false,
        keys: Keys::new(vec![1; 36], vec![]),
        esn: false,
        replay_window: 0,
        selectors: SelectorPair::new(selector(0, 255), selector(first, last)),
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    };
    let inbound = InboundSad::default();
    let form = Arc::new(config.processing.clone());
    Arc::new(SadEntry::<OutboundSa>::new(&config, &form, &inbound, Instant(0)).unwrap())
}

fn flow(host: u8) -> FlowKey {
    let address = |last| Ipv4Addr::new(10, 0, 0, last).into();
    FlowKey::new(address(1), address(host), 6, Some((1, 2))).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, u8),
    AddWithin(u8, usize),
    End(usize),
    Move(usize),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0u8..4).prop_map(|(host, span)| Step::Add(host, host.saturating_add(span))),
        1 => (any::<u8>(), any::<usize>()).prop_map(|(host, carrier)| Step::AddWithin(host, carrier)),
        1 => any::<usize>().prop_map(Step::End),
        1 => any::<usize>().prop_map(Step::Move),
        2 => any::<usize>().prop_map(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn prop_the_newest_that_fits_is_chosen(steps in prop::collection::vec(steps(), 0..60), hosts: [u8; 8]) {
        let mut list = SaList::default();
        let mut plain: Vec<Entry> = Vec::new();
        for (spi, step) in (0..).zip(steps) {
            let nth = |nth: usize| nth.checked_rem(plain.len());
            match step {
                Step::Add(first, last) => {
                    plain.push(sa(spi, first, last, None));
                    list.push(Arc::clone(plain.last().unwrap()));
                }
                Step::AddWithin(host, carrier) => if let Some(carrier) = nth(carrier) {
                    let (spi_of_carrier, remote) = plain[carrier].key();
                    let path = Path { local: remote, remote };
                    let within = SaId::new(Direction::Outbound, spi_of_carrier, path);
                    plain.push(sa(spi, host, host, Some(within)));
                    list.push(Arc::clone(plain.last().unwrap()));
                }
                Step::End(n) => if let Some(n) = nth(n) {
                    plain[n].sa.common.end();
                },
                Step::Move(n) => if let Some(n) = nth(n) {
                    let moved = Arc::new(plain[n].moved(plain[n].path(), Encapsulation::None));
                    list.replace(&plain[n], &moved);
                    plain[n] = moved;
                },
                Step::Remove(n) => if let Some(n) = nth(n) {
                    list.remove(&plain.remove(n));
                },
            }
        }
        prop_assert_eq!(list.is_empty(), plain.is_empty());
        prop_assert_eq!(list.iter().count(), plain.len());
        for host in hosts {
            let flow = flow(host);
            let carries = |entry: &Entry| plain.iter().any(|other| carrier_of(other) == Some(entry.key()));
            let fits = |entry: &&Entry| {
                let common = &entry.sa.common;
                !common.is_ended() && common.selectors.selectors().contains_outbound(&flow) && !carries(entry)
            };
            let expected = plain.iter().rev().find(fits);
            let found = list.pick(&flow).and_then(|place| list.get(place));
            prop_assert_eq!(found.map(|entry| entry.key()), expected.map(|entry| entry.key()));
        }
    }
}
