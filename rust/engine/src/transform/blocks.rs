//! Octets that lie in several places, taken 16 at a time as if they lay in one.

pub(super) const BLOCK: usize = 16;

/// The end of the octets: 1 to 16 of them, or none where there were none at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The octets, then zeros.
    pub(super) block: [u8; BLOCK],
    /// How many are octets.
    pub(super) octets: usize,
}

impl Tail {
    /// Take as many octets as there is room for.
    ///
    /// Returns:
    /// The rest.
    fn fill<'a>(&mut self, part: &'a [u8]) -> &'a [u8] {
        let room = self.block.get_mut(self.octets..).unwrap_or_default();
        let count = room.len().min(part.len());
        let (taken, rest) = part.split_at_checked(count).unwrap_or((&[], part));
        for (place, octet) in room.iter_mut().zip(taken) {
            *place = *octet;
        }
        self.octets = self.octets.saturating_add(count);
        rest
    }
}

/// Hand out all whole blocks but the last octets, which a MAC may treat in its own way.
pub(super) fn for_each_run<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
    mut each: impl FnMut(&[[u8; BLOCK]]),
) -> Tail {
    let empty = || Tail {
        block: [0; BLOCK],
        octets: 0,
    };
    let mut tail = empty();
    for part in parts {
        let mut rest = part;
        while !rest.is_empty() {
            if tail.octets == BLOCK {
                each(&[tail.block]);
                tail = empty();
            }
            if tail.octets == 0 {
                let (run, _) = rest
                    .get(..rest.len().saturating_sub(1))
                    .unwrap_or_default()
                    .as_chunks();
                each(run);
                rest = rest.get(run.as_flattened().len()..).unwrap_or_default();
            }
            rest = tail.fill(rest);
        }
    }
    tail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_are_those_of_the_parts_in_one(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
        ) {
            let mut seen = Vec::new();
            let slices = parts.iter().map(Vec::as_slice);
            let tail = for_each_run(slices, |run| seen.extend_from_slice(run.as_flattened()));
            let whole = parts.concat();
            prop_assert_eq!(seen.len(), whole.len().saturating_sub(1) / BLOCK * BLOCK);
            seen.extend_from_slice(&tail.block[..tail.octets]);
            prop_assert_eq!(seen, whole);
            prop_assert!(tail.block[tail.octets..].iter().all(|octet| *octet == 0));
        }
    }
}
