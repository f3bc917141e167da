//! What an SPD entry asks for beyond selectors, of packets that come out of its SAs (RFC 4301, section 5.2).

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::ip;

/// A sender that lets everything out, and a receiver whose entry has these conditions; over IPv6 if it
/// asks for something that only that has.
fn ends_with(mode: Mode, conditions: &Conditions) -> Ends {
    let ends = Ends::new(&[sa(mode)], conditions.flow_label.is_some());
    let entry = PolicyConfig {
        selectors: SelectorPair {
            conditions: conditions.clone(),
            ..everything()
        },
        ..policy(1, Action::Protect, everything())
    };
    let change = Change::AddPolicy(entry);
    ends.receiver.apply(&[change], NOW).unwrap();
    ends
}

fn passes(ends: &Ends, packet: &[u8]) -> bool {
    let sealed = ends.seal(packet).remove(0);
    let opened = ends.open(&sealed);
    assert!(opened.is_empty() || opened == [packet]);
    !opened.is_empty()
}

fn exactly(value: u8) -> Masked<u8> {
    Masked { value, mask: 0xff }
}

// covers R4301-5.2-3
#[test]
fn masks_of_addresses_hold_for_what_arrives() {
    let third_octet = Some(Masked {
        value: 0x0000_0500,
        mask: 0x0000_ff00,
    });
    let ends = ends_with(
        Mode::Tunnel,
        &Conditions {
            remote_address: third_octet,
            ..Conditions::default()
        },
    );
    let from = |text: &str| datagram(text.parse().unwrap(), host(false, 2), 0, b"");
    assert!(passes(&ends, &from("10.9.5.1")));
    assert!(!passes(&ends, &from("10.9.6.1")));
    assert_eq!(drops(&ends.receiver, DropReason::SelectorMismatch), 1);
    assert!(ends.receiver.has_events(), "it is audited");
}

#[test]
fn a_flow_label_holds_for_what_is_inside_a_tunnel() {
    let asked = Conditions {
        flow_label: Some(0x12345),
        ..Conditions::default()
    };
    let labelled = |side: fn(bool, u8) -> std::net::IpAddr, label: [u8; 3]| {
        let mut packet = datagram(side(true, 1), side(true, 2), 0, b"");
        packet[1..4].copy_from_slice(&label);
        packet
    };
    let tunnel = ends_with(Mode::Tunnel, &asked);
    assert!(passes(&tunnel, &labelled(host, [1, 0x23, 0x45])));
    assert!(!passes(&tunnel, &labelled(host, [1, 0x23, 0x46])));
    let transport = ends_with(Mode::Transport, &asked);
    let mutable = labelled(end, [1, 0x23, 0x46]);
    assert!(passes(&transport, &mutable), "nobody vouches for it");
}

#[test]
fn a_sensitivity_level_holds_for_what_arrives() {
    let ends = ends_with(
        Mode::Tunnel,
        &Conditions {
            level: Some((2, 3)),
            ..Conditions::default()
        },
    );
    for (level, passed) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(passes(&ends, &with_level(level)), passed, "level {level}");
    }
    let unlabelled = datagram(host(false, 1), host(false, 2), 0, b"");
    assert!(!passes(&ends, &unlabelled));
}

/// A packet with CIPSO's option (FIPS 188): its domain, then tag 1 with the level.
fn with_level(level: u8) -> Vec<u8> {
    let mut packet = datagram(host(false, 1), host(false, 2), 0, b"");
    let option = [134, 10, 0, 0, 0, 1, 1, 4, 0, level, 0, 0];
    packet.splice(20..20, option);
    packet[0] = 0x48;
    ip::set_length(&mut packet).unwrap();
    packet
}

// covers R4301-4.1-7
// covers R4301-4.4.2.1-6
#[test]
fn neither_class_nor_user_is_looked_at_in_what_arrives() {
    let by_entry = Conditions {
        tos: Some(exactly(0xb8)),
        user: Some(1000),
        ..Conditions::default()
    };
    for mode in [Mode::Tunnel, Mode::Transport] {
        let ends = ends_with(mode, &by_entry);
        for class in [0, 0xb8, 0x28] {
            let packet = datagram(end(false, 1), end(false, 2), class, b"");
            assert!(passes(&ends, &packet), "{mode:?} {class:#x}");
        }
    }
    let ends = Ends::new(&[sa(Mode::Tunnel)], false);
    let mut of_sa = sa(Mode::Tunnel);
    of_sa.selectors.conditions = by_entry;
    let id = SaId::new(Direction::Inbound, SPI_AB, path(false, 2));
    let of_sa = SaConfig {
        direction: Direction::Inbound,
        path: path(false, 2),
        ..of_sa
    };
    let changes = [Change::RemoveSa(id), add(of_sa)];
    ends.receiver.apply(&changes, NOW).unwrap();
    let packet = datagram(host(false, 1), host(false, 2), 0x28, b"");
    assert!(passes(&ends, &packet), "by the SA's own conditions");
}

// covers R4301-4.4.2.1-6
#[test]
fn a_class_chooses_among_sas_that_leave() {
    let expedited = SaConfig {
        spi: 0x3000,
        selectors: SelectorPair {
            conditions: Conditions {
                tos: Some(exactly(0xb8)),
                ..Conditions::default()
            },
            ..everything()
        },
        ..sa(Mode::Tunnel)
    };
    let ends = Ends::new(&[sa(Mode::Tunnel), expedited], false);
    for (class, spi) in [(0, SPI_AB), (0x28, SPI_AB), (0xb8, 0x3000)] {
        let packet = datagram(host(false, 1), host(false, 2), class, b"");
        let sealed = ends.seal(&packet).remove(0);
        assert_eq!(sealed[20..24], spi.to_be_bytes(), "class {class:#x}");
        assert_eq!(ends.open(&sealed), [packet]);
    }
}
