//! Policies and transactions: which entry applies, and what a change does to both databases.

use crate::common::*;
use perilune_engine::*;

// covers R4301-4.4.1-1
#[test]
fn the_first_matching_policy_decides() {
    let mut pair = Pair::new(GCM);
    let one_port = |port| SelectorPair {
        remote: vec![selector(
            "10.2.0.0-10.2.0.255",
            17,
            Ports::Range(port, port),
        )],
        ..nets(1, 2)
    };
    let early = |id, action, port| {
        Change::AddPolicy(PolicyConfig {
            priority: 0,
            ..policy(id, action, one_port(port))
        })
    };
    let changes = [early(5, Action::Bypass, 67), early(4, Action::Discard, 68)];
    pair.a.apply(&changes, NOW).unwrap();
    let mut batch = SealedBatch::with_capacity(0);
    for port in [66, 67, 68] {
        let progress = pair.a.seal(
            &mut pair.sealer,
            &udp(1, 2, port, &[0; 20]),
            NOW,
            &mut batch,
        );
        assert_eq!(progress, Progress::Done);
    }
    assert_eq!(batch.runs().len(), 1);
    assert_eq!(
        batch.bypass().collect::<Vec<_>>(),
        [&udp(1, 2, 67, &[0; 20])[VIRTIO..]]
    );
    assert_eq!(drops(&pair.a, DropReason::PolicyDiscard), 1);
}

// covers R4301-4.4.1-4
//= https://www.rfc-editor.org/rfc/rfc4301#section-5
//= type=test
//# If no policy is found in the SPD that matches a packet (for either inbound or outbound
//# traffic), the packet MUST be discarded.
#[test]
fn what_no_policy_names_is_dropped_and_audited() {
    let mut pair = Pair::new(GCM);
    assert!(pair.seal(&udp(1, 9, 53, &[0; 20])).is_empty());
    assert_eq!(drops(&pair.a, DropReason::NoPolicy), 1);
    let destination: std::net::IpAddr = "10.9.0.1".parse().unwrap();
    assert!(
        matches!(pair.a.take_events(1)[..], [Event::Audit { destination: d, .. }] if d == destination)
    );
}

#[test]
fn a_change_of_policy_is_seen_by_known_flows() {
    let mut pair = Pair::new(GCM);
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    let discard = PolicyConfig {
        priority: 0,
        ..policy(2, Action::Discard, nets(1, 2))
    };
    pair.a.apply(&[Change::AddPolicy(discard)], NOW).unwrap();
    assert!(pair.seal(&any_udp()).is_empty());
    pair.a
        .apply(&[Change::RemovePolicy(PolicyId(2))], NOW)
        .unwrap();
    assert_eq!(pair.seal(&any_udp()).len(), 1);
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all() {
    let mut pair = Pair::new(GCM);
    let before = pair.a.stats();
    let unknown = PolicyId(77);
    let stray = SaConfig {
        policy: unknown,
        ..outbound(0x3000)
    };
    let changes = [
        add(outbound(0x3001)),
        Change::RemoveSa(outbound(SPI_AB).id()),
        add(stray),
    ];
    assert_eq!(
        pair.a.apply(&changes, NOW),
        Err(EngineError::UnknownPolicy(unknown))
    );
    assert_eq!(pair.a.stats(), before);
    assert_eq!(spi_of(&pair.seal(&any_udp())), [SPI_AB]);
}

#[test]
fn what_cannot_be_is_refused() {
    let pair = Pair::new(GCM);
    let refused = |change| pair.a.apply(&[change], NOW).unwrap_err();
    let sa = || outbound(0x3000);
    assert_eq!(
        refused(add(outbound(SPI_AB))),
        EngineError::DuplicateSa(outbound(SPI_AB).id())
    );
    assert_eq!(refused(add(outbound(255))), EngineError::Spi(255));
    assert_eq!(
        refused(add(SaConfig {
            keys: keys(Suite::chacha20_poly1305(), 1),
            suite: Suite::aes_gcm_16(AesKeyBits::Bits128),
            ..sa()
        })),
        EngineError::Key
    );
    let insecure = |allow_insecure, replay_window| {
        let suite = Suite::EncryptionOnly(Cbc::Aes(AesKeyBits::Bits128));
        add(SaConfig {
            suite,
            keys: keys(suite, 1),
            allow_insecure,
            replay_window,
            ..way_back(0x3000)
        })
    };
    assert_eq!(
        refused(insecure(false, 0)),
        EngineError::Insecure("encryption without integrity")
    );
    assert_eq!(
        refused(insecure(true, 64)),
        EngineError::ReplayWithoutIntegrity
    );
    assert_eq!(
        refused(add(SaConfig {
            replay_window: 31,
            ..way_back(0x3000)
        })),
        EngineError::ReplayWindow(31)
    );
    let nothing = SelectorPair::default();
    assert_eq!(
        refused(add(SaConfig {
            selectors: nothing,
            ..sa()
        })),
        EngineError::Selector
    );
    assert_eq!(
        refused(Change::RemoveSa(sa().id())),
        EngineError::UnknownSa(sa().id())
    );
    assert_eq!(
        refused(Change::RemovePolicy(POLICY)),
        EngineError::PolicyInUse(POLICY)
    );
    let awaited = SaId::new(Direction::Inbound, 9999, path_ab());
    assert_eq!(
        refused(add(SaConfig {
            ready_after: Some(9999),
            ..sa()
        })),
        EngineError::UnknownSa(awaited)
    );
}

#[test]
fn a_policy_goes_with_the_sas_of_its_transaction_only() {
    let pair = Pair::new(GCM);
    let gone = [
        Change::RemovePolicy(POLICY),
        Change::RemoveSa(inbound(SPI_AB).id()),
    ];
    assert!(pair.b.apply(&gone[..1], NOW).is_err());
    assert!(pair.b.apply(&gone, NOW).is_ok());
    assert!(pair.b.stats().sas.is_empty() && pair.b.stats().policies.is_empty());
}
