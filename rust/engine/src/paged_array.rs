//! An array whose copies share what is equal in them: a copy costs nothing, and a change to it
//! copies only the path to what changes.

use std::sync::Arc;

const BITS: u32 = 6;
const FAN: usize = 1 << BITS;

/// An array of defaults that grows to what is written.
#[derive(Clone)]
pub(crate) struct PagedArray<T> {
    root: Arc<Node<T>>,
    /// How many branches lie above a leaf.
    height: u32,
    /// How many places there are.
    len: u64,
}

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nodes are shared, not moved, and one reference more would cost each look-up"
)]
enum Node<T> {
    Branch([Arc<Node<T>>; FAN]),
    Leaf([T; FAN]),
}

impl<T: Clone + Default> Default for PagedArray<T> {
    fn default() -> Self {
        Self {
            root: empty(0),
            height: 0,
            len: 1 << BITS,
        }
    }
}

impl<T: Clone + Default> PagedArray<T> {
    /// What is at a place, or `None` where nothing near it was ever written.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        if !self.has_place_for(index) {
            return None;
        }
        let mut node = self.root.as_ref();
        let mut height = self.height;
        while let Node::Branch(children) = node {
            node = children.get(digit(index, height))?;
            height = height.wrapping_sub(1);
        }
        match node {
            Node::Leaf(values) => values.get(digit(index, 0)),
            Node::Branch(_) => None,
        }
    }

    /// What is at a place, to be changed in this copy alone. Places of any number exist.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        while !self.has_place_for(index) {
            let mut children = std::array::from_fn(|_| empty(self.height));
            std::mem::swap(&mut children[0], &mut self.root);
            self.root = Arc::new(Node::Branch(children));
            self.height = self.height.saturating_add(1);
            self.len = self.len.saturating_mul(1 << BITS);
        }
        let mut node = &mut self.root;
        let mut height = self.height;
        loop {
            match Arc::make_mut(node) {
                Node::Branch(children) => node = children.get_mut(digit(index, height))?,
                Node::Leaf(values) => return values.get_mut(digit(index, 0)),
            }
            height = height.saturating_sub(1);
        }
    }

    #[inline]
    fn has_place_for(&self, index: u32) -> bool {
        u64::from(index) < self.len
    }
}

/// A tree of defaults, all of them the same ones.
fn empty<T: Clone + Default>(height: u32) -> Arc<Node<T>> {
    let leaf = Arc::new(Node::Leaf(std::array::from_fn(|_| T::default())));
    (0..height).fold(leaf, |below, _| {
        Arc::new(Node::Branch(std::array::from_fn(|_| Arc::clone(&below))))
    })
}

#[inline]
fn digit(index: u32, height: u32) -> usize {
    let shifted = index.wrapping_shr(BITS.wrapping_mul(height));
    usize::try_from(shifted).unwrap_or(0) & (FAN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_holds_what_was_written_and_copies_do_not_change(
            writes in prop::collection::vec((prop_oneof![0u32..200, any::<u32>()], 1u8..), 1..60),
        ) {
            let mut array = PagedArray::<u8>::default();
            let mut plain = HashMap::new();
            for (index, value) in &writes {
                let (before, plain_before) = (array.clone(), plain.clone());
                *array.get_mut(*index).unwrap() = *value;
                plain.insert(*index, *value);
                for (index, _) in &writes {
                    prop_assert_eq!(array.get(*index).copied().unwrap_or(0), plain.get(index).copied().unwrap_or(0));
                    prop_assert_eq!(before.get(*index).copied().unwrap_or(0), plain_before.get(index).copied().unwrap_or(0));
                }
            }
        }
    }
}
