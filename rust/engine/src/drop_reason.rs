//! Why a packet was dropped: name, counter, text and whether it is audited, in one place.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $counter:literal, $text:literal, $auditable:literal;)+) => {
        /// Why a packet was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Name of the counter.
            pub const fn counter(self) -> &'static str {
                match self { $(Self::$name => $counter,)+ }
            }

            /// One line for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether the standard calls it an auditable event.
            pub const fn is_auditable(self) -> bool {
                match self { $(Self::$name => $auditable,)+ }
            }
        }
    };
}

drop_reasons! {
    /// No SA came up in time for a held packet.
    AcquireTimedOut => "acquire_timed_out", "held for an SA that did not come up in 30 seconds", false;
    /// Without IPsec, though an SPD entry protects such packets (RFC 4301, section 5.2).
    ClearText => "clear_text", "arrived in the clear where policy wants protection", true;
    /// The outer addresses are of two families.
    AddressFamily => "address_family", "outer addresses of two families", false;
    /// An SA of a bundle is missing, or a packet did not come out of the SA it has to be within.
    BundleIncomplete => "bundle_incomplete", "not in the SA that it has to travel in", true;
    /// Not a sound AH: too short, or headers in front of it that it cannot cover.
    AhMalformed => "ah_malformed", "AH of impossible length, or headers it cannot cover", false;
    /// Not a DEFLATE stream, too large, or of another CPI (RFC 3173).
    CompressionInvalid => "compression_invalid", "compressed octets that are not sound", false;
    /// A dummy packet; discarded without prejudice (RFC 4303, section 2.6).
    DummyPacket => "dummy_packet", "dummy packet of the peer", false;
    /// An SPD entry that is tried before the SA's own has another use for what was inside (RFC 4301,
    /// section 4.4.1).
    EarlierPolicy => "earlier_policy", "an earlier SPD entry has another use for the packet inside", true;
    /// Not a sound ESP packet: too short, or not a multiple of the cipher's block.
    EspMalformed => "esp_malformed", "ESP packet of impossible length", false;
    /// Congestion was marked on a packet whose sender cannot know (RFC 6040, section 4.2).
    EcnCongestion => "ecn_congestion", "congestion marked outside a packet without ECN", false;
    /// The hold queue was full; the oldest packet went.
    HoldOverflow => "hold_overflow", "pushed out of the queue of packets that wait for an SA", false;
    /// The policy for which the packet was held is gone.
    HoldPolicyRemoved => "hold_policy_removed", "held for a policy that was removed", false;
    /// An ICMP error that its SA does not select, and that is not about a packet of that SA (RFC 4301,
    /// section 6.2).
    IcmpErrorForeign => "icmp_error_foreign", "ICMP error about a packet that its SA does not carry", true;
    /// An ICMP error that no SPD entry lets out, and there is no SA for answers to the packet that caused
    /// it (RFC 4301, section 6.2).
    IcmpErrorUnrelated => "icmp_error_unrelated", "ICMP error about a packet that no SA answers", true;
    /// Unauthenticated ICMP claims that a path takes less than what is believed of any; it is not
    /// believed beyond that (RFC 4301, section 6.1.1).
    IcmpMtuTooSmall => "icmp_mtu_too_small", "ICMP error with a path MTU that is believed of no path", true;
    /// Unauthenticated ICMP that the configuration does not accept (RFC 4301, section 6.1.1).
    IcmpRejected => "icmp_rejected", "ICMP error about an SA, of a type that is not accepted", true;
    /// Unauthenticated ICMP about AH or ESP that no SA has sent.
    IcmpUnmatched => "icmp_unmatched", "ICMP error about a packet that no SA has sent", true;
    /// Unauthenticated ICMP that the configuration accepts, and that changes nothing.
    IcmpWithoutEffect => "icmp_without_effect", "ICMP error about an SA, noted and nothing more", true;
    /// The ICV is wrong: damaged or forged (RFC 4303, section 3.4.4).
    IntegrityFailed => "integrity_failed", "integrity check failed", true;
    /// The decrypted packet is not a sound IP packet.
    InnerMalformed => "inner_malformed", "no sound IP packet inside", false;
    /// A packet from the device is not a sound IP packet.
    FrameMalformed => "frame_malformed", "no sound IP packet from the device", false;
    /// The SA has ended.
    LifetimeExpired => "lifetime_expired", "hard lifetime of the SA reached", false;
    /// Next header is neither IPv4 nor IPv6 nor a dummy.
    NextHeaderUnknown => "next_header_unknown", "next header not possible in tunnel mode", false;
    /// Transport mode protects whole packets only (RFC 4301, section 4.1).
    FragmentInTransportMode => "fragment_in_transport_mode", "fragment for an SA in transport mode", true;
    /// Transport mode protects what this system itself sends and receives (RFC 4301, section 4.1).
    NotOurOwn => "not_our_own", "another's packet for an SA in transport mode", false;
    /// More SAs, one in the other, than are gone through.
    NestingTooDeep => "nesting_too_deep", "protected more often than anybody needs", true;
    /// A fragment behind the first, where ports matter, of a packet whose first one has not passed (RFC
    /// 4301, section 7).
    FragmentFirstMissing => "fragment_first_missing", "fragment of a packet whose first has not passed", true;
    /// A fragment that overlaps another, is too small, or one too many.
    FragmentRefused => "fragment_refused", "fragment that overlaps, is too small or one too many", true;
    /// A packet of which fragments did not come in time, or that had to make room.
    FragmentsIncomplete => "fragments_incomplete", "fragments of a packet that did not become whole", false;
    /// A fragment of a packet with AH or ESP (RFC 4302 and RFC 4303, section 3.4.1).
    FragmentWithIpsec => "fragment_with_ipsec", "fragment of a packet with AH or ESP", true;
    /// A packet that should have AH or ESP in it has neither.
    NotIpsec => "not_ipsec", "neither AH nor ESP", false;
    /// No SPD entry matches, so the packet is discarded (RFC 4301, section 5).
    NoPolicy => "no_policy", "no SPD entry matches", true;
    /// The policy wants protection, there is no SA, and packets are not held.
    NoSa => "no_sa", "no SA yet", true;
    /// Padding is not 1, 2, 3, ... or longer than the packet (RFC 4303, section 2.4).
    PaddingInvalid => "padding_invalid", "padding is not 1, 2, 3, ...", false;
    /// Too large for the path, and may not be fragmented; its sender is told (RFC 4301, section 8.2.1).
    PathMtuExceeded => "path_mtu_exceeded", "larger than the path takes, and told so", false;
    /// The SPD says so.
    PolicyDiscard => "policy_discard", "discarded by policy", false;
    /// The sequence number was seen before (RFC 4303, section 3.4.3).
    Replayed => "replayed", "sequence number seen before", true;
    /// The sequence number is left of the window (RFC 4303, section 3.4.3).
    ReplayTooOld => "replay_too_old", "sequence number older than the window", true;
    /// The packet inside is not for this SA (RFC 4301, section 5.2).
    SelectorMismatch => "selector_mismatch", "inner packet outside the SA's selectors", true;
    /// No sequence number is left on the SA (RFC 4303, section 3.3.3).
    SequenceExhausted => "sequence_exhausted", "sequence numbers of the SA used up", true;
    /// A group SA has more senders than windows are kept for.
    TooManySenders => "too_many_senders", "more senders to a group than windows are kept for", true;
    /// The packet does not fit the send buffer, even alone.
    TooLarge => "too_large", "packet too large", false;
    /// No SA has this SPI (RFC 4303, section 3.4.2).
    UnknownSpi => "unknown_spi", "no SA with this SPI", true;
}

/// One counter for each reason.
pub(crate) struct DropCounters([AtomicU64; DropReason::ALL.len()]);

impl DropCounters {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    pub(crate) fn add(&self, reason: DropReason, packets: u64) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(packets, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self, reason: DropReason) -> u64 {
        let counter = self.0.get(reason as usize);
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(crate) fn read(&self) -> Vec<(DropReason, u64)> {
        let values = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        DropReason::ALL.iter().copied().zip(values).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_reason_has_its_own_counter() {
        let names: HashSet<_> = DropReason::ALL
            .iter()
            .map(|reason| reason.counter())
            .collect();
        assert_eq!(names.len(), DropReason::ALL.len());
        let counters = DropCounters::new();
        counters.add(DropReason::Replayed, 3);
        for (reason, count) in counters.read() {
            assert_eq!(
                count,
                if reason == DropReason::Replayed { 3 } else { 0 },
                "{reason:?}"
            );
        }
    }
}
