//! Why the devices and sockets lost a packet: each reason is one name, one counter, one text.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! io_drops {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $text:literal;)+) => {
        /// Why a packet was lost between the engine and the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum IoDrop {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl IoDrop {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The counter's name, for metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

io_drops! {
    /// A bypassed packet could not be sent in the clear.
    BypassSend = "io_bypass_send", "The kernel did not take a packet that bypasses IPsec.";
    /// The TUN device, or the inner interface, gave an error instead of a packet.
    DeviceRead = "io_device_read", "Reading from the protected side, or the wire, failed.";
    /// The TUN device, or the inner interface, did not take a packet.
    DeviceWrite = "io_device_write", "The protected side did not take a packet.";
    /// Neither an IKE message, an ESP packet nor a keepalive (RFC 3948 section 2).
    EncapsulationMalformed = "io_encapsulation_malformed",
        "A datagram on the NAT traversal port was too short for IKE or ESP.";
    /// A frame that was to pass unchanged could not, for instance because it is too long.
    FrameForward = "io_frame_forward", "The other side of the wire did not take a frame.";
    /// No Ethernet header, more than two VLAN tags, or what should be an IP packet is none.
    FrameMalformed = "io_frame_malformed", "A frame on the wire was not sound.";
    /// The queue towards IKE is full.
    IkeQueueFull = "io_ike_queue_full", "IKE did not take its datagrams fast enough.";
    /// More packets, or addresses, than may wait for a station's answer.
    NeighborQueueFull = "io_neighbor_queue_full",
        "Too many packets waited for stations on the inside to answer.";
    /// Nobody answered who has the address (RFC 4861 section 7.2.2).
    NeighborSilent = "io_neighbor_silent", "No station on the inside has the packet's address.";
    /// The path of an SA has a local address that no socket is bound to.
    NoSocket = "io_no_socket", "No socket has the SA's local address.";
    /// Packets of the protected side, or frames on the wire, came faster than they were read.
    PortOverflow = "io_port_overflow", "A queue of the protected side, or of the wire, was full.";
    /// A received datagram was larger than the buffer.
    ReceiveTruncated = "io_receive_truncated", "A received datagram did not fit the buffer.";
    /// A socket reported an error instead of a datagram.
    ReceiveError = "io_receive_error", "Receiving from a socket failed.";
    /// The socket's buffer stayed full.
    SendBufferFull = "io_send_buffer_full", "The socket's send buffer stayed full.";
    /// Any other refusal, for instance no route, or an unreachable peer.
    SendRefused = "io_send_refused", "The kernel refused to send a packet.";
    /// Larger than the path takes and not to be fragmented.
    SendTooBig = "io_send_too_big", "A packet was larger than the path's MTU.";
}

macro_rules! io_counts {
    ($($(#[doc = $doc:literal])+ $field:ident;)+) => {
        /// What the workers did, to see that batches form.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct IoCounts {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl IoCounts {
            /// Each count with its name.
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)+]
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Work { $(pub(crate) $field: AtomicU64,)+ }

        impl Work {
            fn add(&self, other: &IoCounts) {
                $(self.$field.fetch_add(other.$field, Ordering::Relaxed);)+
            }

            fn counts(&self) -> IoCounts {
                IoCounts { $($field: self.$field.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

io_counts! {
    /// Frames read from the protected side; one may be a superpacket.
    device_reads;
    /// Frames written to the protected side; one may be a superpacket.
    device_writes;
    /// Frames that passed the bump in the wire as they were, either way.
    frames_forwarded;
    /// Send calls to the kernel.
    send_calls;
    /// ESP packets sent, each a segment of a send call.
    packets_sent;
    /// Runs of packets that the kernel refused to segment and that went singly.
    segmentation_fallbacks;
    /// Messages received, each one or more datagrams joined by the kernel.
    receive_messages;
    /// Datagrams received.
    datagrams_received;
    /// NAT keepalives received (RFC 3948 section 2.3).
    keepalives_received;
    /// Packets sent in the clear because policy says so.
    bypassed;
}

/// Counters of the workers, written by them and read by anyone.
#[derive(Debug)]
pub struct Counters {
    drops: Vec<AtomicU64>,
    pub(crate) work: Work,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            drops: IoDrop::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            work: Work::default(),
        }
    }
}

impl Counters {
    /// Count lost packets.
    pub(crate) fn drop_packets(&self, reason: IoDrop, packets: usize) {
        if let Some(counter) = self.drops.get(reason as usize) {
            counter.fetch_add(packets as u64, Ordering::Relaxed);
        }
    }

    /// Packets sent to the network, and received from it.
    pub(crate) fn carried(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            read(&self.work.packets_sent),
            read(&self.work.datagrams_received),
        )
    }

    /// Count what others have counted, too.
    pub(crate) fn add(&self, others: &Self) {
        for (counter, more) in self.drops.iter().zip(&others.drops) {
            counter.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.work.add(&others.counts());
    }

    /// How many packets were lost for each reason, in the order of [`IoDrop::ALL`].
    pub fn drops(&self) -> Vec<(IoDrop, u64)> {
        let counts = self
            .drops
            .iter()
            .map(|counter| counter.load(Ordering::Relaxed));
        IoDrop::ALL.iter().copied().zip(counts).collect()
    }

    /// What the workers did so far.
    pub fn counts(&self) -> IoCounts {
        self.work.counts()
    }
}

/// Add to a counter that needs no order with anything else.
pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
