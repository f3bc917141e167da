//! An SA of either direction, for those who do not care which.

use std::sync::{Arc, Weak};

use crate::sa::{InboundSa, OutboundSa, SaCommon};

/// An SA.
#[derive(Clone)]
pub(crate) enum EitherSa {
    Inbound(Arc<InboundSa>),
    Outbound(Arc<OutboundSa>),
}

/// An SA, or nothing once it is gone.
pub(crate) enum WeakSa {
    Inbound(Weak<InboundSa>),
    Outbound(Weak<OutboundSa>),
}

impl EitherSa {
    pub(crate) fn common(&self) -> &SaCommon {
        match self {
            Self::Inbound(sa) => &sa.common,
            Self::Outbound(sa) => &sa.common,
        }
    }

    pub(crate) fn downgrade(&self) -> WeakSa {
        match self {
            Self::Inbound(sa) => WeakSa::Inbound(Arc::downgrade(sa)),
            Self::Outbound(sa) => WeakSa::Outbound(Arc::downgrade(sa)),
        }
    }
}

impl WeakSa {
    pub(crate) fn upgrade(&self) -> Option<EitherSa> {
        match self {
            Self::Inbound(sa) => sa.upgrade().map(EitherSa::Inbound),
            Self::Outbound(sa) => sa.upgrade().map(EitherSa::Outbound),
        }
    }
}
