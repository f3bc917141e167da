//! Time as the engine sees it: numbers that the caller brings along.

/// A point on a monotonic clock, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

/// A span of time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(pub u64);

impl Duration {
    /// A span of whole seconds; as long as possible when it would not fit.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }
}

impl Instant {
    /// The instant `span` later; the end of time when there is none.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long `earlier` is ago; zero when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant(5).after(Duration(3)), Instant(8));
        assert_eq!(
            Instant(5).after(Duration::seconds(u64::MAX)),
            Instant(u64::MAX)
        );
        assert_eq!(Instant(5).since(Instant(8)), Duration(0));
    }
}
