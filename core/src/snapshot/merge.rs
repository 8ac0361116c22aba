// SPDX-License-Identifier: MIT
//! Three-way merge: what two descendants of one state come to together.
//!
//! A key that only one side changed takes that side's change; a key that both changed to the same value takes it; any other
//! key is a conflict, typed, and decided by a policy or left to the caller. What keys mean to each other (a file and its
//! directory, say) is not known here: see [`crate::workspace`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{ChangeKind, Delta, State, ValueRef};

/// A key, and what base, ours and theirs hold under it.
type Sides<'a> = (&'a [u8], Option<ValueRef<'a>>, Option<ValueRef<'a>>, Option<ValueRef<'a>>);

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
    let changed = base.diff(theirs);
    let sides = changed.iter().map(|change| {
        let [base, ours, theirs] =
            [base, ours, theirs].map(|state| state.get(&change.key).map(ValueRef::from));
        (&*change.key, base, ours, theirs)
    });
    merge_keys(sides, policy)
}

/// Merges by the keys that they changed, ascending, each with what base, ours and theirs hold under it.
pub(super) fn merge_keys<'a>(
    changed_by_them: impl Iterator<Item = Sides<'a>>,
    policy: Policy,
) -> Merge {
    let mut merge = Merge::default();
    for (key, before, our, their) in changed_by_them {
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
                    merge.conflicts.push(Conflict { key: key.into(), kind });
                    false
                }
            },
        };
        match their {
            Some(value) if take_theirs => _ = merge.delta.write(key, value),
            None if take_theirs => _ = merge.delta.whiteout(key),
            _ => {}
        }
    }
    merge
}
