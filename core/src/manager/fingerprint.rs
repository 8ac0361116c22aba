// SPDX-License-Identifier: MIT
//! A quick guess whether two keyed states are equal, so that a root need not be computed for each.
//!
//! The fingerprint of a state is the sum of a hash of each entry: a change takes its old entry out and adds the new one, O(1)
//! for each whatever the state's size, and without the way up a trie. Equal states have equal fingerprints; of equal
//! fingerprints nothing follows until contents or roots were compared. It means nothing outside its manager.

use core::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use crate::snapshot::ValueRef;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) u64);

#[derive(Clone, Debug)]
pub(super) struct Fingerprints {
    hashing: DefaultHashBuilder,
    /// Which bits are used: all, but in tests.
    mask: u64,
}

impl Default for Fingerprints {
    fn default() -> Self {
        Self { hashing: DefaultHashBuilder::default(), mask: u64::MAX }
    }
}

impl Fingerprints {
    /// With so few bits that different states have one fingerprint.
    #[cfg(all(test, feature = "std", feature = "sha256"))]
    pub(super) fn of_bits(bits: u32) -> Self {
        Self { mask: (1 << bits) - 1, ..Self::default() }
    }

    /// The fingerprint of a state in which what `key` maps to went from `before` to `after`.
    pub(super) fn change(
        &self,
        state: Fingerprint,
        key: &[u8],
        before: Option<ValueRef<'_>>,
        after: Option<ValueRef<'_>>,
    ) -> Fingerprint {
        let entry = |value: Option<ValueRef<'_>>| value.map_or(0, |value| self.entry(key, value));
        let sum = state.0.wrapping_sub(entry(before)).wrapping_add(entry(after));
        Fingerprint(sum & self.mask)
    }

    fn entry(&self, key: &[u8], value: ValueRef<'_>) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        // Where the key ends counts.
        hasher.write_usize(key.len());
        hasher.write(key);
        hasher.write(value.bytes);
        hasher.finish()
    }
}
