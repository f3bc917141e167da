//! What can be wrong with a change.

use crate::change::{PolicyId, SaId};

/// Why a transaction was refused; nothing of it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// An SA of this name exists already.
    #[error("SA {0:?} exists already")]
    DuplicateSa(SaId),
    /// No number is left for another policy.
    #[error("there are 2^32 policies already")]
    Full,
    /// An algorithm for old peers only, in an SA that does not say that it may have one.
    #[error("{0} is insecure and needs allow_insecure")]
    Insecure(&'static str),
    /// No packets of this form are possible.
    #[error("{0}")]
    Form(&'static str),
    /// A key's length does not fit its algorithm, or the cryptographic library refused it.
    #[error("a key does not fit its algorithm")]
    Key,
    /// Protection goes both ways: SAs are made in pairs (RFC 4301, section 4.4.1).
    #[error("policy {0:?} protects one direction only")]
    OneWay(PolicyId),
    /// The policy still has SAs.
    #[error("policy {0:?} still has SAs")]
    PolicyInUse(PolicyId),
    /// The anti-replay window is neither 0 nor 32 to 4096 packets.
    #[error("anti-replay window of {0} packets is neither 0 nor 32 to 4096")]
    ReplayWindow(u32),
    /// Without integrity anybody can move the window (RFC 4303, section 3.4.3).
    #[error("an anti-replay window needs an integrity algorithm")]
    ReplayWithoutIntegrity,
    /// A range is backwards or of two address families, or a list of selectors is empty.
    #[error("a traffic selector is empty, backwards or of two address families")]
    Selector,
    /// SPIs 0 to 255 are reserved (RFC 4303, section 2.1).
    #[error("SPI {0} is reserved")]
    Spi(u32),
    /// Sequence numbers come again only where nobody counts on them (RFC 4303, section 3.3.3).
    #[error("sequence numbers cannot cycle with 64 bits, a replay window or a counter for an IV")]
    SequenceCycles,
    /// ESP was given the suite of an AH SA.
    #[error("a suite of AH is not for ESP")]
    SuiteForAh,
    /// No such SPD entry.
    #[error("no policy {0:?}")]
    UnknownPolicy(PolicyId),
    /// No such SA.
    #[error("no SA {0:?}")]
    UnknownSa(SaId),
    /// A weak key of DES, or one of 3DES that makes it DES (RFC 2405, section 4; RFC 2451, section
    /// 2.3). A new SA with another key is needed.
    #[error("a weak key")]
    WeakKey,
}
