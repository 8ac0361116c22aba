// SPDX-License-Identifier: MIT
//! Whether snapshots in a store are whole, with all that they come from.

use alloc::{boxed::Box, vec::Vec};

use hashbrown::HashSet;

use super::WalkError;
use crate::blob::BlobError;
use crate::hash::ContentHash;
use crate::reach::{Fault, Reach, Visitor};
use crate::record::{self, RecordError};
use crate::store::{ObjectStore, StoreError};

/// Walks snapshots that somebody named, and all that they come from: the whole of what a bundle brings. Says which snapshots those
/// are, each after the one that it comes from, so that a history that is cut off anywhere is one.
///
/// `object` is told of each object that is referred to, perhaps more than once, and says [`StoreError::Missing`] if it is not there.
/// Of a snapshot that is not `known`, the state is read too, and compared with its root. O(n) for each such snapshot.
///
/// # Errors
/// [`WalkError::Fault`], [`WalkError::State`], [`WalkError::Store`] if the store or `object` fails: at the first that is found.
#[expect(clippy::result_large_err, reason = "made once, and ends the walk")]
pub fn check<S: ObjectStore + ?Sized>(
    store: &S,
    heads: &[ContentHash],
    known: &mut dyn FnMut(&ContentHash) -> bool,
    object: &mut dyn FnMut(&ContentHash) -> Result<(), StoreError>,
) -> Result<Vec<ContentHash>, WalkError> {
    let mut walk = Walk::new(store, object);
    let mut snapshots = Vec::new();
    for head in heads {
        let begin = snapshots.len();
        let mut next = Some(*head);
        while let Some(snapshot) = next.filter(|name| walk.is_new(name)) {
            next = walk.snapshot(&snapshot)?;
            if !known(&snapshot) {
                let state = record::read(store, &snapshot)
                    .and_then(|record| record::check_state(store, &record));
                state.map_err(|error| match error {
                    RecordError::Blob(BlobError::Store(error @ StoreError::Host(_))) => {
                        WalkError::Store(error)
                    }
                    error => WalkError::State { snapshot, error: Box::new(error) },
                })?;
            }
            snapshots.push(snapshot);
        }
        // What was walked before is before it, so only this part goes back in time.
        snapshots[begin..].reverse();
    }
    Ok(snapshots)
}

/// A walk that ends at the first fault.
pub(super) struct Walk<'s, 'o, S: ?Sized> {
    reach: Reach<'s, S, Strict<'o>>,
    walked: HashSet<ContentHash>,
}

type Object<'o> = dyn FnMut(&ContentHash) -> Result<(), StoreError> + 'o;

struct Strict<'o> {
    object: &'o mut Object<'o>,
    fault: Option<Fault>,
}

impl Visitor for Strict<'_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        match (self.object)(hash) {
            // Told as the fault that it is, and not as the store's failure.
            Err(StoreError::Frame { hash, error }) => self.fault(&Fault::Damaged { hash, error }),
            told => told,
        }
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        self.fault.get_or_insert_with(|| fault.clone());
        // Only to end the walk: the fault is what is told of.
        Err(StoreError::Host("the walk ends at a fault".into()))
    }
}

impl<'s, 'o, S: ObjectStore + ?Sized> Walk<'s, 'o, S> {
    pub(super) fn new(store: &'s S, object: &'o mut Object<'o>) -> Self {
        let strict = Strict { object, fault: None };
        Self { reach: Reach::new(store, strict), walked: HashSet::new() }
    }

    /// Whether a snapshot was not walked; from now on it was.
    pub(super) fn is_new(&mut self, snapshot: &ContentHash) -> bool {
        self.walked.insert(*snapshot)
    }

    /// Walks a snapshot alone; says which it comes from.
    #[expect(clippy::result_large_err, reason = "made once, and ends the walk")]
    pub(super) fn snapshot(
        &mut self,
        snapshot: &ContentHash,
    ) -> Result<Option<ContentHash>, WalkError> {
        let walked = self.reach.one_snapshot(snapshot);
        match self.reach.visitor().fault.take() {
            Some(fault) => Err(WalkError::Fault { snapshot: *snapshot, fault }),
            None => Ok(walked?),
        }
    }
}
