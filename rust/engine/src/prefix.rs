//! Ranges as prefixes.

use crate::conditions::Masked;

/// One or two prefixes that hold a range and each less than twice their part of it.
pub(crate) fn covering(first: u128, last: u128) -> impl Iterator<Item = Masked<u128>> {
    let whole = joining(first, last);
    let is_exact = whole.value == first && whole.value | !whole.mask == last;
    let pair = match (first ^ last).checked_ilog2() {
        Some(bit) if !is_exact => {
            // The range is cut where the two halves of the prefix meet.
            let middle = last & u128::MAX.wrapping_shl(bit);
            let below = joining(first, middle.wrapping_sub(1));
            [Some(below), Some(joining(middle, last))]
        }
        _ => [Some(whole), None],
    };
    pair.into_iter().flatten()
}

/// The longest prefix that holds two numbers.
pub(crate) fn joining(one: u128, other: u128) -> Masked<u128> {
    let mask = match (one ^ other).checked_ilog2() {
        Some(bit) => u128::MAX.wrapping_shl(bit).wrapping_shl(1),
        None => u128::MAX,
    };
    Masked {
        value: one & mask,
        mask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(prefix: &Masked<u128>) -> u128 {
        (!prefix.mask).saturating_add(1)
    }

    proptest! {
        #[test]
        fn prefixes_hold_the_range_and_little_more(a: u16, b: u16) {
            let (first, last) = (u128::from(a.min(b)), u128::from(a.max(b)));
            let prefixes: Vec<_> = covering(first, last).collect();
            let holds = |number| prefixes.iter().any(|one| number & one.mask == one.value);
            prop_assert!((first..=last).all(holds));
            prop_assert!(prefixes.iter().map(size).sum::<u128>() < 2 * (last - first + 1));
        }
    }

    #[test]
    fn a_prefix_is_itself() {
        for (first, last, mask) in [
            (0, u128::MAX, 0),
            (7, 7, u128::MAX),
            (0x0a00_0000, 0x0aff_ffff, u128::MAX << 24),
        ] {
            let prefix = Masked { value: first, mask };
            assert_eq!(covering(first, last).collect::<Vec<_>>(), [prefix]);
        }
    }
}
