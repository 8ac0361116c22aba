// SPDX-License-Identifier: MIT
//! The check of a repository: every object, and all that snapshots and labels refer to.
//!
//! Damage is told with the snapshots that it touches. Repairing brings back what other copies still hold, and moves the rest to
//! `quarantine/`; nothing is deleted. No collection runs meanwhile; others may read and write.

use std::collections::{BTreeMap, BTreeSet};

use cascow_core::hash::ContentHash;
use cascow_core::reach::{Fault, Reach, Visitor};
use cascow_core::store::{ObjectStore, StoreError};

use super::labels::Label;
use super::{Repository, history, open_or_create};
use crate::Error;
use crate::disk::Lock;
use crate::store::{self, DamageKind, Marks, StoreMarks};

/// How a repository is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fsck {
    /// Whether to repair what can be, and to move the rest away.
    pub repair: bool,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FsckProgress {
    /// Every object is read.
    Reading,
    /// So many references of snapshots were followed.
    Walking {
        /// The references.
        references: u64,
    },
    /// It is found out which snapshots damage touches: so many were walked.
    Attributing {
        /// The snapshots.
        snapshots: u64,
    },
}

/// What was done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// It is whole again.
    Recovered,
    /// It was moved to the quarantine.
    Quarantined,
}

impl Mended {
    /// What it is called in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Quarantined => "quarantined",
        }
    }
}

/// An object that is damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedObject {
    /// The object.
    pub hash: ContentHash,
    /// What is wrong with it.
    pub what: DamageKind,
    /// The snapshots that need it, in the order of the history.
    pub snapshots: Vec<ContentHash>,
    /// What was done about it.
    pub mended: Option<Mended>,
}

/// A label that names nothing that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedLabel {
    /// The label.
    pub label: Label,
    /// What is wrong with it.
    pub what: String,
    /// What it names, if that can be read.
    pub snapshot: Option<ContentHash>,
    /// What was done about it.
    pub mended: Option<Mended>,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Objects that were read.
    pub objects: u64,
    /// Snapshots that were walked.
    pub snapshots: u64,
    /// Objects that are damaged or missing, ascending by name.
    pub damaged: Vec<DamagedObject>,
    /// Labels that name nothing that is here.
    pub labels: Vec<DamagedLabel>,
    /// Snapshots whose objects are whole but make no sense, and why: not damage of the disk, but of what wrote them.
    pub malformed: Vec<(ContentHash, Fault)>,
    /// Searches that cannot be resumed, and why.
    pub searches: Vec<(Label, String)>,
    /// Bytes at the end of the history that a crash left, and nothing refers to.
    pub torn_bytes: u64,
}

impl Checked {
    /// Whether nothing is wrong, or not any more.
    pub fn is_clean(&self) -> bool {
        let is_object_mended = |object: &DamagedObject| match object.mended {
            Some(Mended::Recovered) => true,
            Some(Mended::Quarantined) => object.snapshots.is_empty(),
            None => false,
        };
        self.damaged.iter().all(is_object_mended)
            && self.labels.iter().all(|label| label.mended.is_some())
            && self.malformed.is_empty()
            && self.searches.is_empty()
    }
}

type Damages = BTreeMap<ContentHash, DamageKind>;

/// Looks whether what it is told of is there.
struct Looking<'s, 'p> {
    marks: StoreMarks<'s>,
    observe: &'p mut dyn FnMut(FsckProgress),
    references: u64,
    damaged: Damages,
    snapshot: Option<ContentHash>,
    malformed: Vec<(ContentHash, Fault)>,
}

impl Visitor for Looking<'_, '_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        self.references += 1;
        if self.references.is_multiple_of(4096) {
            (self.observe)(FsckProgress::Walking { references: self.references });
        }
        self.marks.mark(hash).map(drop)
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        match fault {
            Fault::Missing { hash } => {
                self.damaged.entry(*hash).or_insert(DamageKind::Missing);
            }
            Fault::Damaged { hash, error } => {
                self.damaged.entry(*hash).or_insert(DamageKind::Frame(*error));
            }
            _ => self.malformed.extend(self.snapshot.map(|snapshot| (snapshot, fault.clone()))),
        }
        Ok(())
    }
}

/// Looks for damaged objects in what one snapshot refers to.
struct Touched<'d> {
    damaged: &'d Damages,
    found: BTreeSet<ContentHash>,
}

impl Visitor for Touched<'_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        if self.damaged.contains_key(hash) {
            self.found.insert(*hash);
        }
        Ok(())
    }

    fn fault(&mut self, _: &Fault) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Repository {
    /// Reads every object, walks every snapshot, and looks at every label. O(size); if there is damage, also O(size) of each
    /// snapshot, to tell which it touches.
    ///
    /// # Errors
    /// [`Error::NotARepository`] if the history itself is missing or damaged, [`Error::Io`]. Damage is no error.
    pub fn fsck(&self, how: Fsck, observe: &mut dyn FnMut(FsckProgress)) -> Result<Checked, Error> {
        // What is collected meanwhile would look missing. Where nothing can be written, nothing is collected by us.
        let path = self.dir.join("gc.lock");
        let lock = match open_or_create(&*self.disk, &path) {
            Ok(file) => Some(file),
            Err(error) if how.repair => return Err(error),
            Err(_) => None,
        };
        if let Some(file) = &lock {
            file.lock(Lock::Exclusive, true).map_err(Error::io("lock", &path))?;
        }

        let mut checked = Checked::default();
        observe(FsckProgress::Reading);
        let mut damaged = Damages::new();
        checked.objects = self.store.check(&mut |damage| {
            damaged.insert(damage.hash, damage.what);
        })?;

        // Labels first: what one names is in the history before it.
        let labels = self.readable_labels()?;
        let found = history::read(&*self.disk, &self.history_path())?;
        checked.torn_bytes = found.torn as u64;
        let mut snapshots = found.names;
        let mut known: BTreeSet<ContentHash> = snapshots.iter().copied().collect();
        for (label, named) in labels {
            match named {
                Ok(snapshot) if known.contains(&snapshot) => {}
                Ok(snapshot) => checked.labels.push(DamagedLabel {
                    label,
                    what: format!("it names snapshot {snapshot}, which is not in the history"),
                    snapshot: Some(snapshot),
                    mended: None,
                }),
                Err(error) => checked.labels.push(DamagedLabel {
                    label,
                    what: error.to_string(),
                    snapshot: None,
                    mended: None,
                }),
            }
        }

        // What is behind a damaged list shows when the list is whole again, so this is repeated while something is recovered.
        let (mut recovered, mut quarantined) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let looking = Looking {
                marks: self.store.marks()?,
                observe,
                references: 0,
                damaged: Damages::new(),
                snapshot: None,
                malformed: Vec::new(),
            };
            let mut reach = Reach::new(&self.store, looking);
            let mut at = 0;
            while let Some(snapshot) = snapshots.get(at).copied() {
                reach.visitor().snapshot = Some(snapshot);
                let parent = reach.one_snapshot(&snapshot)?;
                // What a snapshot comes from is kept with it, in the history or not.
                snapshots.extend(parent.filter(|parent| known.insert(*parent)));
                at += 1;
            }
            checked.searches.clear();
            reach.visitor().snapshot = None;
            for search in self.kept_searches()? {
                let dir = search.name.path(&self.searches_dir());
                match search.problem {
                    Some(problem) => checked.searches.push((search.name, problem)),
                    None => match self.walk_search(&dir, &mut reach) {
                        Err(Error::Damaged(problem)) => {
                            checked.searches.push((search.name, problem));
                        }
                        walked => walked?,
                    },
                }
            }
            let looking = reach.into_visitor();
            checked.malformed = looking.malformed;
            for (hash, what) in looking.damaged {
                damaged.entry(hash).or_insert(what);
            }
            if !how.repair {
                break;
            }
            let open: Vec<ContentHash> = damaged
                .keys()
                .filter(|hash| !recovered.contains(*hash) && !quarantined.contains(*hash))
                .copied()
                .collect();
            if open.is_empty() {
                break;
            }
            let repaired = self.store.repair(&open, &self.quarantine_dir())?;
            let is_done = repaired.recovered.is_empty();
            recovered.extend(repaired.recovered);
            quarantined.extend(repaired.quarantined);
            if is_done {
                break;
            }
        }
        checked.snapshots = snapshots.len() as u64;

        let mut touched: BTreeMap<ContentHash, Vec<ContentHash>> = BTreeMap::new();
        if !damaged.is_empty() {
            for (nth, snapshot) in snapshots.iter().enumerate() {
                observe(FsckProgress::Attributing { snapshots: nth as u64 });
                let looking = Touched { damaged: &damaged, found: BTreeSet::new() };
                let mut reach = Reach::new(&self.store, looking);
                reach.one_snapshot(snapshot)?;
                for hash in reach.into_visitor().found {
                    touched.entry(hash).or_default().push(*snapshot);
                }
            }
        }
        for (hash, what) in damaged {
            let mended = match hash {
                hash if recovered.contains(&hash) => Some(Mended::Recovered),
                hash if quarantined.contains(&hash) => Some(Mended::Quarantined),
                _ => None,
            };
            let snapshots = touched.remove(&hash).unwrap_or_default();
            checked.damaged.push(DamagedObject { hash, what, snapshots, mended });
        }
        if how.repair {
            self.repair_names(&mut checked)?;
        }
        Ok(checked)
    }

    /// Mends labels and the end of the history.
    fn repair_names(&self, checked: &mut Checked) -> Result<(), Error> {
        let _lock = self.lock()?;
        if checked.torn_bytes > 0 {
            history::remove(&*self.disk, &self.history_path(), &Default::default())?;
        }
        for damaged in &mut checked.labels {
            // Somebody may have set it right meanwhile, or taken it away.
            let now =
                self.readable_labels()?.into_iter().find(|(label, _)| *label == damaged.label);
            let named = match now {
                Some((_, Ok(snapshot))) => Some(snapshot),
                Some((_, Err(_))) => None,
                None => {
                    damaged.mended = Some(Mended::Recovered);
                    continue;
                }
            };
            if named
                .is_some_and(|snapshot| self.snapshots().is_ok_and(|all| all.contains(&snapshot)))
            {
                damaged.mended = Some(Mended::Recovered);
                continue;
            }
            // A snapshot that is whole, though the history lost it, is entered again.
            if let Some(snapshot) = named
                && self.is_whole(&snapshot)?
            {
                history::append(&*self.disk, &self.history_path(), &snapshot)?;
                damaged.mended = Some(Mended::Recovered);
                continue;
            }
            let path = damaged.label.path(&self.labels_dir());
            // Its file's name, so that moving it back is all there is to do.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("label-{name}");
            store::quarantine(&*self.disk, &path, &self.quarantine_dir(), &name)?;
            let dir = self.labels_dir();
            self.disk.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
            damaged.mended = Some(Mended::Quarantined);
        }
        Ok(())
    }

    /// Whether all that a snapshot refers to is there.
    fn is_whole(&self, snapshot: &ContentHash) -> Result<bool, Error> {
        struct Whole<'s>(&'s store::Store, bool);
        impl Visitor for Whole<'_> {
            fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
                match self.0.exists(hash)? {
                    true => Ok(()),
                    false => Err(StoreError::Missing { hash: *hash }),
                }
            }

            fn fault(&mut self, _: &Fault) -> Result<(), StoreError> {
                self.1 = false;
                Ok(())
            }
        }
        let mut reach = Reach::new(&self.store, Whole(&self.store, true));
        reach.snapshot(snapshot)?;
        Ok(reach.into_visitor().1)
    }
}
