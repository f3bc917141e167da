//! The anti-replay windows of an inbound SA: one, or one for each sender to a group.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Mutex;

use perilune_wire::esp::EspHeader;

use crate::change::SaConfig;
use crate::drop_reason::DropReason;
use crate::error::EngineError;
use crate::processing::Lookup;
use crate::replay::ReplayWindow;

/// Most senders that one SA keeps windows for; each costs up to 600 octets.
const MAX_SENDERS: usize = 1024;

/// Sequence numbers seen on one inbound SA.
pub(crate) enum Windows {
    /// One sender.
    One(Mutex<ReplayWindow>),
    /// Any sender that has the key, each with a counter of its own (RFC 4303, section 2.2).
    PerSender {
        packets: u32,
        esn: bool,
        seen: Box<Mutex<HashMap<IpAddr, ReplayWindow>>>,
    },
}

/// A packet on its way through a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The 32 bits that the packet has; once it is checked the whole number.
    pub(crate) sequence: u64,
    /// Why it is dropped, or whether it is the newest of its sender so far.
    pub(crate) fate: Result<bool, DropReason>,
}

impl Arrival {
    /// Read the sequence number of an ESP packet.
    #[inline]
    pub(crate) fn new(packet: &[u8]) -> Self {
        let header = EspHeader::parse(packet);
        Self {
            sequence: header
                .as_ref()
                .map_or(0, |header| u64::from(header.sequence)),
            fate: header.map(|_| false).ok_or(DropReason::EspMalformed),
        }
    }

    #[inline]
    fn check(&mut self, check: impl Fn(u32) -> Result<u64, DropReason>) {
        if self.fate.is_ok() {
            match check(u32::try_from(self.sequence).unwrap_or(u32::MAX)) {
                Ok(whole) => self.sequence = whole,
                Err(reason) => self.fate = Err(reason),
            }
        }
    }

    #[inline]
    fn accept(&mut self, mut accept: impl FnMut(u64) -> Result<bool, DropReason>) {
        if self.fate.is_ok() {
            self.fate = accept(self.sequence);
        }
    }
}

impl Windows {
    pub(crate) fn new(config: &SaConfig) -> Result<Self, EngineError> {
        let (packets, esn) = (config.replay_window, config.esn);
        let window = ReplayWindow::new(packets, esn)?.behind(config.sequence.used);
        if config.lookup != Lookup::SpiDestination {
            return Ok(Self::One(Mutex::new(window)));
        }
        Ok(Self::PerSender {
            packets,
            esn,
            seen: Box::default(),
        })
    }

    /// Complete the sequence number of a packet, if it is neither replayed nor too old.
    #[inline]
    pub(crate) fn check(&self, sender: IpAddr, low: u32) -> Result<u64, DropReason> {
        match self {
            Self::One(window) => check(&crate::lock(window), low),
            Self::PerSender { packets, esn, seen } => {
                let seen = crate::lock(seen);
                match seen.get(&sender) {
                    Some(window) => check(window, low),
                    None if seen.len() >= MAX_SENDERS => Err(DropReason::TooManySenders),
                    None => check(&new_window(*packets, *esn)?, low),
                }
            }
        }
    }

    /// Note a packet whose integrity has been verified.
    ///
    /// Returns:
    /// Whether it is the newest of its sender so far.
    #[inline]
    pub(crate) fn accept(&self, sender: IpAddr, sequence: u64) -> Result<bool, DropReason> {
        match self {
            Self::One(window) => crate::lock(window).accept(sequence),
            Self::PerSender { packets, esn, seen } => {
                let mut seen = crate::lock(seen);
                let is_full = seen.len() >= MAX_SENDERS;
                match seen.entry(sender) {
                    Entry::Occupied(mut window) => window.get_mut().accept(sequence),
                    Entry::Vacant(_) if is_full => Err(DropReason::TooManySenders),
                    Entry::Vacant(place) => {
                        place.insert(new_window(*packets, *esn)?).accept(sequence)
                    }
                }
            }
        }
    }

    /// [`Self::check`] for packets of one sender that came together.
    pub(crate) fn check_all(&self, sender: IpAddr, arrivals: &mut [Arrival]) {
        if let Self::One(window) = self {
            let window = crate::lock(window);
            for arrival in arrivals {
                arrival.check(|low| check(&window, low));
            }
        } else {
            for arrival in arrivals {
                arrival.check(|low| self.check(sender, low));
            }
        }
    }

    /// [`Self::accept`] for packets of one sender that came together.
    pub(crate) fn accept_all(&self, sender: IpAddr, arrivals: &mut [Arrival]) {
        if let Self::One(window) = self {
            let mut window = crate::lock(window);
            for arrival in arrivals {
                arrival.accept(|sequence| window.accept(sequence));
            }
        } else {
            for arrival in arrivals {
                arrival.accept(|sequence| self.accept(sender, sequence));
            }
        }
    }

    /// How many packets wide they are; zero when replays are not looked for.
    pub(crate) fn packets(&self) -> u32 {
        match self {
            Self::One(window) => crate::lock(window).packets(),
            Self::PerSender { packets, .. } => *packets,
        }
    }

    /// The highest sequence number accepted, of any sender.
    pub(crate) fn top(&self) -> u64 {
        match self {
            Self::One(window) => crate::lock(window).top(),
            Self::PerSender { seen, .. } => {
                let seen = crate::lock(seen);
                seen.values().map(ReplayWindow::top).max().unwrap_or(0)
            }
        }
    }
}

#[inline]
fn check(window: &ReplayWindow, low: u32) -> Result<u64, DropReason> {
    let sequence = window.complete(low);
    window.check(sequence)?;
    Ok(sequence)
}

/// A window of a size that was checked when the SA was made.
fn new_window(packets: u32, esn: bool) -> Result<ReplayWindow, DropReason> {
    ReplayWindow::new(packets, esn).map_err(|_| DropReason::ReplayTooOld)
}
