//! When SAs end.

use crate::common::*;
use perilune_engine::*;

#[test]
fn packets_beyond_the_hard_lifetime_do_not_pass() {
    let mut pair = Pair::with(GCM, |sa| {
        sa.lifetimes.soft.packets = Some(5);
        sa.lifetimes.hard.packets = Some(8);
    });
    let packets = pair.seal(&tcp_superpacket(false, 1000, &vec![0; 10_000]));
    assert_eq!(packets.len(), 8);
    let limit = Limit::Packets;
    let common = (SPI_AB, SPI_BA, Direction::Outbound, POLICY);
    let (spi, peer_spi, direction, policy) = common;
    assert_eq!(
        events(&pair.a),
        [
            Event::SoftExpire {
                spi,
                peer_spi,
                direction,
                policy,
                limit
            },
            Event::HardExpire {
                spi,
                peer_spi,
                direction,
                policy,
                limit
            },
        ]
    );
    assert_eq!(drops(&pair.a, DropReason::LifetimeExpired), 2);
    assert!(pair.a.stats().sas[0].expired);
    assert!(pair.seal(&any_udp()).is_empty());
    assert!(
        matches!(events(&pair.a)[..], [Event::Acquire { .. }]),
        "an SA that ended is none"
    );
    assert_eq!(pair.open(&packets).len(), 1);
    assert_eq!(events(&pair.b).len(), 2, "the receiver counts too");
}

#[test]
fn octets_are_those_of_inner_packets() {
    let mut pair = Pair::with(GCM, |sa| sa.lifetimes.soft.octets = Some(96));
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    assert!(events(&pair.a).is_empty());
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    assert!(matches!(
        events(&pair.a)[..],
        [Event::SoftExpire {
            limit: Limit::Octets,
            ..
        }]
    ));
}

// covers R4301-4.4.2.1-2
#[test]
fn time_runs_out_softly_then_hard() {
    let mut pair = Pair::with(GCM, |sa| {
        sa.lifetimes.soft.time = Some(Duration::seconds(10));
        sa.lifetimes.hard.time = Some(Duration::seconds(20));
    });
    let at = |seconds| NOW.after(Duration::seconds(seconds));
    assert_eq!(pair.a.on_time(at(1)), Some(at(10)));
    assert_eq!(pair.a.on_time(at(10)), Some(at(20)));
    assert!(matches!(
        events(&pair.a)[..],
        [Event::SoftExpire {
            limit: Limit::Time,
            ..
        }]
    ));
    assert_eq!(pair.seal_at(&any_udp(), at(19)).len(), 1);
    assert!(
        pair.seal_at(&any_udp(), at(20)).is_empty(),
        "even before anyone called on_time"
    );
    let told = events(&pair.a);
    assert!(
        matches!(
            told[..],
            [
                Event::HardExpire {
                    limit: Limit::Time,
                    ..
                },
                Event::Acquire { .. }
            ]
        ),
        "{told:?}"
    );
    assert_eq!(
        pair.a.on_time(at(21)),
        Some(at(50)),
        "the acquire's end; no lifetime is left"
    );
    assert!(events(&pair.a).is_empty());
}

#[test]
fn a_removed_sa_expires_no_more() {
    let pair = Pair::with(GCM, |sa| {
        sa.lifetimes.hard.time = Some(Duration::seconds(20));
    });
    pair.a
        .apply(&[Change::RemoveSa(outbound(SPI_AB).id())], NOW)
        .unwrap();
    pair.a.on_time(NOW.after(Duration::seconds(99)));
    assert!(events(&pair.a).is_empty());
}
