//! Numbered places for things, in copies that share what is equal in them.

use crate::paged_array::PagedArray;

/// Things and their numbers; the number of one that is gone is given out again.
#[derive(Clone)]
pub(crate) struct Slab<T> {
    places: PagedArray<Place<T>>,
    first_free: u32,
    /// How many places there have been at most.
    end: u32,
}

#[derive(Clone)]
enum Place<T> {
    /// And the place that is free after this one.
    Free(u32),
    Used(T),
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self::Free(0)
    }
}

impl<T: Clone> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: PagedArray::default(),
            first_free: 0,
            end: 0,
        }
    }
}

impl<T: Clone> Slab<T> {
    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        match self.places.get(place)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// The thing at a place, to be changed in this copy alone.
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        // A look first: what is free is not to be copied.
        self.get(place)?;
        match self.places.get_mut(place)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Put a thing somewhere.
    ///
    /// Returns:
    /// Where, or `None` when there are 2³² already.
    pub(crate) fn insert(&mut self, value: T) -> Option<u32> {
        let place = self.first_free;
        let next = place.checked_add(1)?;
        let found = std::mem::replace(self.places.get_mut(place)?, Place::Used(value));
        let is_new = place == self.end;
        self.first_free = match found {
            Place::Free(after) if !is_new => after,
            _ => next,
        };
        self.end = self.end.max(next);
        Some(place)
    }

    /// Take out what is at a place.
    pub(crate) fn remove(&mut self, place: u32) -> Option<T> {
        self.get(place)?;
        let free = Place::Free(self.first_free);
        let Place::Used(value) = std::mem::replace(self.places.get_mut(place)?, free) else {
            return None;
        };
        self.first_free = place;
        Some(value)
    }

    /// Everything, by its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.end).filter_map(|place| self.get(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map_that_chooses_its_keys(steps in prop::collection::vec(any::<Option<u32>>(), 0..300)) {
            let mut slab = Slab::default();
            let mut plain = BTreeMap::new();
            let mut most = 0;
            for (number, step) in steps.into_iter().enumerate() {
                let chosen = step.and_then(|step| {
                    let nth = usize::try_from(step).ok()?.checked_rem(plain.len())?;
                    plain.keys().nth(nth).copied()
                });
                if let Some(place) = chosen {
                    prop_assert_eq!(slab.remove(place), plain.remove(&place));
                } else {
                    let place = slab.insert(number).unwrap();
                    prop_assert!(plain.insert(place, number).is_none());
                    most = most.max(plain.len());
                    prop_assert!(usize::try_from(place).unwrap() < most, "places are used again");
                }
            }
            let values: Vec<_> = slab.iter().copied().collect();
            prop_assert_eq!(values, plain.into_values().collect::<Vec<_>>());
        }
    }
}
