//! What can be wrong with a change.

use crate::change::{PolicyId, SaId};

/// Why a transaction was refused; nothing of it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// An SA of this name exists already.
    #[error("SA {0:?} exists already")]
    DuplicateSa(SaId),
    /// A key's length does not fit its algorithm, or the cryptographic library refused it.
    #[error("a key does not fit its algorithm")]
    Key,
    /// The policy still has SAs.
    #[error("policy {0:?} still has SAs")]
    PolicyInUse(PolicyId),
    /// The anti-replay window is neither 0 nor 32 to 4096 packets.
    #[error("anti-replay window of {0} packets is neither 0 nor 32 to 4096")]
    ReplayWindow(u32),
    /// A range is backwards or of two address families, or a list of selectors is empty.
    #[error("a traffic selector is empty, backwards or of two address families")]
    Selector,
    /// SPIs 0 to 255 are reserved (RFC 4303, section 2.1).
    #[error("SPI {0} is reserved")]
    Spi(u32),
    /// No such SPD entry.
    #[error("no policy {0:?}")]
    UnknownPolicy(PolicyId),
    /// No such SA.
    #[error("no SA {0:?}")]
    UnknownSa(SaId),
}
