// SPDX-License-Identifier: MIT
//! The collector: what neither a label, nor a process at work, nor its age keeps is removed, beside those who write.
//!
//! # Protocol
//!
//! 1. Under `gc.lock` there is one collector at a time.
//! 2. The [leases](super::lease) of living processes are listed: when the oldest began, and what they rely on. Only what was put
//!    before that, and before the time of grace, may go. Then the [mounts](super::mounts) are: what they show is relied on too.
//! 3. Labels, [searches](super::searches) and history are read. What labels name, what is relied on, every snapshot that was put
//!    within the time of grace, and what searches began with and met, are kept, with all that they come from and refer to.
//! 4. That is marked, without any lock.
//! 5. Under the repository's lock all of it is looked at again, what came since is marked too, and the history is written
//!    without the other snapshots: nobody can name or rely on one of them from here on.
//! 6. The store removes what is not marked and old enough, and looks at each object again when it does.
//!
//! # Why nothing is lost
//!
//! What a process puts is younger than its lease, whether it was there or not. If its lease was listed, that is young enough. If it
//! ended before, its snapshot was in the history when that was read. If it began later, it puts later than the collection
//! began; what it puts again of what is condemned becomes young before it is acknowledged, and the store, which looks at the age
//! when it removes, lets it be. That asks of clocks only that they are not further apart than the time of grace.

use std::collections::HashSet;
use std::path::PathBuf;

use cascow_core::hash::ContentHash;
use cascow_core::reach::{Fault, Reach, Visitor};
use cascow_core::store::StoreError;

use super::lease::{self, Leases};
use super::{Repository, history, mounts, open_or_create};
use crate::Error;
use crate::disk::Lock;
use crate::store::{Marks, Store, StoreMarks, Sweep, Swept};

/// For how long a snapshot without a label is kept, and an object to which nothing refers, in seconds: 14 days, as git keeps them.
pub const GRACE_SECS: u64 = 14 * 24 * 60 * 60;

/// New roots that are marked while others wait. With more of them, the lock is given back first.
const MOST_UNDER_LOCK: usize = 4;

/// How often the lock is given back for that; then it is kept, so that a collection ends beside whoever saves all the time.
const MOST_ROUNDS: usize = 16;

/// References that are gathered before they are marked: 8 MB of them. In the order of their names, several of them lie in one page
/// of the store's index, which is looked through once for all; one by one, each would need pages of its own.
const GATHERED: usize = 1 << 18;

/// How a repository is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collect {
    /// What was put within so many seconds stays.
    pub grace_secs: u64,
    /// Whether to count only.
    pub dry_run: bool,
}

/// What a collection did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Snapshots that stay.
    pub snapshots_kept: u64,
    /// Snapshots that went.
    pub snapshots_removed: u64,
    /// Objects that stay and go.
    pub swept: Swept,
    /// Objects that are missing from what stays.
    pub missing: u64,
}

/// How far a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectProgress {
    /// So many references were followed.
    Marking {
        /// The references.
        references: u64,
    },
    /// What was to be kept when the collection began is marked.
    Marked,
    /// Objects are being removed.
    Sweeping,
}

/// Marks what it is told of.
struct Marking<'s, 'p> {
    marks: StoreMarks<'s>,
    /// What was told and is not marked yet.
    gathered: Vec<ContentHash>,
    observe: &'p mut dyn FnMut(CollectProgress),
    references: u64,
    missing: u64,
    /// Why what is reachable cannot be known.
    blocked: Option<Fault>,
}

impl Marking<'_, '_> {
    /// Marks what was told so far. Nothing is removed before that, so it makes no difference when.
    fn settle(&mut self) -> Result<(), StoreError> {
        self.gathered.sort_unstable();
        self.gathered.dedup();
        for hash in &self.gathered {
            match self.marks.mark(hash) {
                Err(StoreError::Missing { .. }) => self.missing += 1,
                marked => marked.map(drop)?,
            }
        }
        self.gathered.clear();
        Ok(())
    }
}

impl Visitor for Marking<'_, '_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        self.references += 1;
        if self.references.is_multiple_of(4096) {
            (self.observe)(CollectProgress::Marking { references: self.references });
        }
        self.gathered.push(*hash);
        if self.gathered.len() < GATHERED { Ok(()) } else { self.settle() }
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        match fault {
            // Nobody can read on from there, whatever is kept. It was told of before it was read, and is counted when that is marked.
            Fault::Missing { .. } => {}
            // A copy of it may be found, or a newer program may read it; what it refers to must be there then.
            Fault::Damaged { .. } | Fault::Unsupported { .. } => {
                self.blocked.get_or_insert_with(|| fault.clone());
            }
            // Whole, and yet of no use to any reader.
            _ => {}
        }
        Ok(())
    }
}

/// What keeps snapshots, as it is at one moment.
struct Roots {
    leases: Leases,
    history: Vec<ContentHash>,
    labelled: Vec<ContentHash>,
    /// Where they are.
    searches: Vec<PathBuf>,
}

impl Repository {
    /// Removes what nothing keeps: snapshots without a label, and objects to which no other snapshot refers, that were put last
    /// before the time of grace, and not under a lease that lasts. Others may read and write meanwhile. O(n).
    ///
    /// # Errors
    /// [`Error::Unavailable`] if another collection is running; [`Error::Damaged`] if a reachable object is damaged, so that nobody
    /// can tell what it refers to; [`Error::NotARepository`] if a label is; [`Error::Io`]. Nothing that is kept is touched.
    pub fn collect(
        &self,
        how: &Collect,
        observe: &mut dyn FnMut(CollectProgress),
    ) -> Result<Collected, Error> {
        let path = self.dir.join("gc.lock");
        let lock = open_or_create(&*self.disk, &path)?;
        if !lock.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))? {
            return Err(Error::Unavailable(
                "a collection of this repository is running already".to_owned(),
            ));
        }
        let cutoff = lease::clock(&*self.disk, &path)?.saturating_sub(how.grace_secs);
        let roots = {
            let _lock = self.lock()?;
            self.roots(cutoff, how.dry_run)?
        };
        let mut before = roots.leases.since.map_or(cutoff, |since| since.min(cutoff));
        let marking = Marking {
            marks: self.store.marks()?,
            gathered: Vec::new(),
            observe,
            references: 0,
            missing: 0,
            blocked: None,
        };
        let mut reach = Reach::new(&self.store, marking);
        let mut kept = HashSet::new();
        for root in self.kept_by(&roots, before)? {
            self.mark(&mut reach, &mut kept, root)?;
        }
        for search in &roots.searches {
            self.walk_search(search, &mut reach)?;
        }
        // Before anybody has to wait.
        reach.visitor().settle()?;

        (reach.visitor().observe)(CollectProgress::Marked);
        let mut rounds = 0;
        let (snapshots_kept, snapshots_removed) = loop {
            let lock = self.lock()?;
            let roots = self.roots(cutoff, how.dry_run)?;
            // A process whose clock is behind may have begun since.
            before = roots.leases.since.map_or(before, |since| since.min(before));
            let mut new = self.kept_by(&roots, before)?;
            new.retain(|root| !kept.contains(root));
            if new.len() > MOST_UNDER_LOCK && rounds < MOST_ROUNDS {
                drop(lock);
                rounds += 1;
                for root in new {
                    self.mark(&mut reach, &mut kept, root)?;
                }
                reach.visitor().settle()?;
                continue;
            }
            for root in new {
                self.mark(&mut reach, &mut kept, root)?;
            }
            // Again, since they may have gone on or begun: what was walked is passed over.
            for search in &roots.searches {
                self.walk_search(search, &mut reach)?;
            }
            reach.visitor().settle()?;
            if let Some(fault) = &reach.visitor().blocked {
                return Err(Error::Damaged(format!(
                    "{fault}, and what it refers to cannot be known, so nothing was collected; see `cascow fsck`"
                )));
            }
            let condemned: HashSet<ContentHash> =
                roots.history.iter().filter(|name| !kept.contains(*name)).copied().collect();
            if !how.dry_run && !condemned.is_empty() {
                history::remove(&*self.disk, &self.history_path(), &condemned)?;
            }
            let (all, removed) = (roots.history.len() as u64, condemned.len() as u64);
            break (all - removed, removed);
        };
        let Marking { marks, observe, missing, .. } = reach.into_visitor();
        observe(CollectProgress::Sweeping);
        let sweep = Sweep { before, dry_run: how.dry_run };
        let swept = self.store.sweep(&marks, &sweep)?;
        if !how.dry_run {
            // Whoever began since may have found again what was still there then.
            let lock = self.lock()?;
            let leases = lease::list(&*self.disk, &self.leases_dir(), false)?;
            drop(lock);
            self.store.give_back(leases.since)?;
        }
        Ok(Collected { snapshots_kept, snapshots_removed, swept, missing })
    }

    /// What keeps snapshots. The caller holds the repository's lock.
    fn roots(&self, cutoff: u64, dry_run: bool) -> Result<Roots, Error> {
        let mut leases = lease::list(&*self.disk, &self.leases_dir(), !dry_run)?;
        // After the leases: who mounts relies on the snapshot by a lease until its record is there.
        let mounts = mounts::records(&*self.disk, &self.mounts_dir())?;
        leases.pins.extend(mounts.into_iter().map(|mount| mount.snapshot));
        let mut searches = Vec::new();
        for (dir, base) in self.live_searches(cutoff, dry_run)? {
            leases.pins.push(base);
            searches.push(dir);
        }
        let history = self.snapshots()?;
        // One that cannot be read may name anything.
        let labelled = self.labels()?.into_iter().map(|(_, snapshot)| snapshot).collect();
        Ok(Roots { leases, history, labelled, searches })
    }

    /// The snapshots that are kept for their own sake, not for those that come from them.
    fn kept_by(&self, roots: &Roots, before: u64) -> Result<Vec<ContentHash>, Error> {
        let mut kept = roots.labelled.clone();
        kept.extend(&roots.leases.pins);
        for snapshot in &roots.history {
            // One whose record is gone is of no use to anybody, and goes unless something else keeps it.
            if self.store.put_last(snapshot)?.is_some_and(|put| put >= before) {
                kept.push(*snapshot);
            }
        }
        kept.sort_unstable();
        kept.dedup();
        Ok(kept)
    }

    /// Marks a snapshot and all that it comes from.
    fn mark(
        &self,
        reach: &mut Reach<'_, Store, Marking<'_, '_>>,
        kept: &mut HashSet<ContentHash>,
        root: ContentHash,
    ) -> Result<(), Error> {
        let mut next = Some(root);
        while let Some(name) = next.filter(|name| kept.insert(*name)) {
            next = reach.one_snapshot(&name)?;
        }
        Ok(())
    }
}
