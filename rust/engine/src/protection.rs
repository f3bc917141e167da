//! What an SA does to payloads: AH's integrity, or ESP's transform.

use crate::error::EngineError;
use crate::processing::Protocol;
use crate::suite::{Keys, Suite};
use crate::transform::{AhTransform, Transform};

/// The algorithms of an SA with their keys.
pub(crate) enum Protection {
    Ah(AhTransform),
    Esp(Transform),
}

impl Protection {
    pub(crate) fn new(suite: Suite, keys: &Keys) -> Result<Self, EngineError> {
        match suite {
            Suite::Ah(integrity) => AhTransform::new(integrity, keys).map(Self::Ah),
            _ => Transform::new(suite, keys).map(Self::Esp),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Ah(_) => Protocol::Ah,
            Self::Esp(_) => Protocol::Esp,
        }
    }

    #[inline]
    pub(crate) fn esp(&self) -> Option<&Transform> {
        match self {
            Self::Ah(_) => None,
            Self::Esp(transform) => Some(transform),
        }
    }
}
