// SPDX-License-Identifier: MIT
//! Sorting in memory, for lists of many types without a copy of the sort for each.
//!
//! The standard library's sorts are compiled anew for each type and order, at some ten kilobytes each: most of what they take in a
//! module that a browser downloads. There, positions are sorted instead, by one copy of the sort that calls the order, and the items
//! are then moved to where they belong. Every other target has the standard library's sorts as they are.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Sorts by a key; equal items stay in their order.
pub(crate) fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    if cfg!(target_family = "wasm") {
        by_positions(items, &|a, b| key(a).cmp(&key(b)));
    } else {
        items.sort_by_key(key);
    }
}

/// Sorts by an order of which equal items cannot be told apart, or do not occur.
pub(crate) fn distinct_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    if cfg!(target_family = "wasm") {
        by_positions(items, &order);
    } else {
        items.sort_unstable_by(order);
    }
}

/// Sorts positions, then moves each item once. Equal items stay in their order.
fn by_positions<T>(items: &mut [T], order: &dyn Fn(&T, &T) -> Ordering) {
    let mut places = positions(items.len(), &|a, b| order(&items[a], &items[b]));
    for start in 0..places.len() {
        // Along the cycle that begins here: each swap brings one item to where it belongs.
        let mut to = start;
        loop {
            let from = core::mem::replace(&mut places[to], to);
            if from == start {
                break;
            }
            items.swap(to, from);
            to = from;
        }
    }
}

/// The positions of items, in the order of the items. Not generic, so that it is compiled once.
#[inline(never)]
fn positions(len: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..len).collect();
    places.sort_unstable_by(|a, b| order(*a, *b).then(a.cmp(b)));
    places
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorting_positions_is_the_stable_sort(keys in prop::collection::vec(0_u8..20, 0..200)) {
            let items: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let (mut ours, mut theirs) = (items.clone(), items);
            by_positions(&mut ours, &|a, b| a.0.cmp(&b.0));
            theirs.sort_by_key(|item| item.0);
            prop_assert_eq!(ours, theirs);
        }
    }
}
