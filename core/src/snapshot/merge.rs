// SPDX-License-Identifier: MIT
//! Three-way merge: what two descendants of one state come to together.
//!
//! A key that only one side changed takes that side's change; a key that both changed to the same value takes it; any other
//! key is a conflict, typed, and decided by a policy or left to the caller. What keys mean to each other (a file and its
//! directory, say) is not known here: see [`crate::workspace`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{ChangeKind, Delta, State, Value};

/// What to do with a key that both sides changed differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Report it and leave it as ours.
    #[default]
    Report,
    /// Take ours; nothing to report.
    Ours,
    /// Take theirs; nothing to report.
    Theirs,
}

/// A key that both sides changed, and not to the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: Box<[u8]>,
    /// How the changes are at odds.
    pub kind: ConflictKind,
}

/// How two changes to one key are at odds. Ours is named first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Both added the key, with different values.
    AddedAdded,
    /// Both gave it a new value, and not the same.
    ModifiedModified,
    /// We gave it a new value, they deleted it.
    ModifiedDeleted,
    /// We deleted it, they gave it a new value.
    DeletedModified,
}

impl ConflictKind {
    /// The kind's name in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddedAdded => "added-added",
            Self::ModifiedModified => "modified-modified",
            Self::ModifiedDeleted => "modified-deleted",
            Self::DeletedModified => "deleted-modified",
        }
    }
}

/// A merge's outcome.
#[derive(Clone, Debug, Default)]
pub struct Merge {
    /// Turns ours into the merged state.
    pub delta: Delta,
    /// The conflicts that no policy decided, ascending by key. If there are any, the delta leaves those keys as ours.
    pub conflicts: Vec<Conflict>,
}

/// Merges `ours` and `theirs`, which both come from `base`. O(n).
pub fn merge(base: &State, ours: &State, theirs: &State, policy: Policy) -> Merge {
    let changed: Vec<Box<[u8]>> = base.diff(theirs).into_iter().map(|change| change.key).collect();
    merge_keys(&changed, |key| base.get(key), |key| ours.get(key), |key| theirs.get(key), policy)
}

/// Merges by looking only at the keys that they changed, ascending.
pub(super) fn merge_keys<'a>(
    changed_by_them: &[Box<[u8]>],
    base: impl Fn(&[u8]) -> Option<&'a Value>,
    ours: impl Fn(&[u8]) -> Option<&'a Value>,
    theirs: impl Fn(&[u8]) -> Option<&'a Value>,
    policy: Policy,
) -> Merge {
    let mut merge = Merge::default();
    for key in changed_by_them {
        let (before, our, their) = (base(key), ours(key), theirs(key));
        // Their deltas may speak of a key that ends as it began.
        if our == their || before == their {
            continue;
        }
        let take_theirs = match ChangeKind::between(before, our) {
            None => true,
            Some(ours) => match policy {
                Policy::Ours => false,
                Policy::Theirs => true,
                Policy::Report => {
                    let kind = match (ours, their) {
                        (ChangeKind::Added, _) => ConflictKind::AddedAdded,
                        (ChangeKind::Deleted, _) => ConflictKind::DeletedModified,
                        (ChangeKind::Modified, None) => ConflictKind::ModifiedDeleted,
                        (ChangeKind::Modified, Some(_)) => ConflictKind::ModifiedModified,
                    };
                    merge.conflicts.push(Conflict { key: key.clone(), kind });
                    false
                }
            },
        };
        match their {
            Some(value) if take_theirs => _ = merge.delta.write(key.clone(), value.clone()),
            None if take_theirs => _ = merge.delta.whiteout(key.clone()),
            _ => {}
        }
    }
    merge
}
