// SPDX-License-Identifier: MIT
//! What a repository has acknowledged, and whether it is there: what tests of crashes, faults and races compare with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cascow_core::blob;
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::Error;
use cascow_native::disk::Disk;
use cascow_native::repository::{Collect, Collected, Label, Repository};

/// The files of a tree, by path. They are all in its top directory.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Bytes of this length that nothing compresses, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    use rand_xoshiro::rand_core::{Rng, SeedableRng};
    let mut bytes = vec![0; len];
    rand_xoshiro::SplitMix64::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// The state that these files are, with their contents stored.
///
/// # Errors
/// Those of the store.
pub fn state<S: ObjectStore + ?Sized>(store: &S, files: &Files) -> Result<State, Error> {
    let mut state = State::new();
    for (path, bytes) in files {
        let (blob, _) = blob::write(store, bytes)?;
        let kind = EntryKind::File(blob.id);
        let entry = Entry { kind, mode: 0o644, xattrs: Vec::new(), links: None };
        let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: blob.index };
        let value = Value { bytes: entry.encode().into(), note: note.encode().into() };
        state.write(path.as_bytes(), value);
    }
    Ok(state)
}

/// What must be there, and what may be.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    objects: BTreeSet<Vec<u8>>,
    snapshots: BTreeMap<ContentHash, Files>,
    /// What each label may name: one thing, or while it is changed two.
    labels: BTreeMap<&'static str, BTreeSet<Option<ContentHash>>>,
    changes: u64,
}

impl Ledger {
    /// A number that changes with what must be there.
    pub fn promise(&self) -> u64 {
        self.changes
    }

    /// These objects are acknowledged.
    pub fn hold_objects(&mut self, objects: impl IntoIterator<Item = Vec<u8>>) {
        self.objects.extend(objects);
        self.changes += 1;
    }

    /// A snapshot is acknowledged.
    pub fn hold_snapshot(&mut self, snapshot: ContentHash, files: &Files) {
        self.snapshots.insert(snapshot, files.clone());
        self.changes += 1;
    }

    /// Objects alone, and snapshots that no label is known to name, need not be there any more. What comes from a snapshot keeps it,
    /// but of that it is enough that it is whole.
    pub fn release_unnamed(&mut self) {
        self.objects.clear();
        let certain = |allowed: &BTreeSet<Option<ContentHash>>| match allowed.len() {
            1 => allowed.first().copied().flatten(),
            _ => None,
        };
        let named: BTreeSet<ContentHash> = self.labels.values().filter_map(certain).collect();
        self.snapshots.retain(|snapshot, _| named.contains(snapshot));
        self.changes += 1;
    }

    /// The snapshots that a label may name need not be there any more, as far as this label keeps them: it is about to be moved
    /// beside a collector.
    pub fn release_named_by(&mut self, label: &str) {
        for snapshot in self.labels.get(label).into_iter().flatten().flatten() {
            self.snapshots.remove(snapshot);
        }
        self.changes += 1;
    }

    /// A label is being set or deleted: it may name this too.
    pub fn try_label(&mut self, label: &'static str, snapshot: Option<ContentHash>) {
        self.labels.entry(label).or_insert_with(|| BTreeSet::from([None])).insert(snapshot);
        self.changes += 1;
    }

    /// A label was set or deleted.
    pub fn hold_label(&mut self, label: &'static str, snapshot: Option<ContentHash>) {
        self.labels.insert(label, BTreeSet::from([snapshot]));
        self.changes += 1;
    }

    /// Looks whether all of it is there.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn check(&self, repository: &Repository) -> Result<(), String> {
        let store = repository.store();
        for object in &self.objects {
            let hash = HashKind::Sha256.hash(object);
            match store.get(&hash) {
                Ok(bytes) if bytes == *object => {}
                other => return Err(format!("an object is lost, {hash}: {:?}", other.err())),
            }
        }
        let history = repository.snapshots().map_err(|error| format!("the history: {error}"))?;
        for snapshot in &history {
            // Of others than the acknowledged it is not known what they should hold, but they must be whole.
            let record = repository.record(snapshot);
            let record = record.map_err(|error| format!("snapshot {snapshot}: {error}"))?;
            if let Some(parent) = record.parent.filter(|parent| !history.contains(parent)) {
                return Err(format!("snapshot {snapshot} comes from {parent}, which is lost"));
            }
            let found = files(repository, snapshot);
            let found = found.map_err(|error| format!("snapshot {snapshot}: {error}"))?;
            if let Some(files) = self.snapshots.get(snapshot)
                && *files != found
            {
                return Err(format!("snapshot {snapshot} holds other files"));
            }
        }
        if let Some(lost) = self.snapshots.keys().find(|snapshot| !history.contains(snapshot)) {
            return Err(format!("snapshot {lost} is lost"));
        }
        let labels = repository.labels().map_err(|error| format!("the labels: {error}"))?;
        let labels: BTreeMap<String, ContentHash> =
            labels.into_iter().map(|(label, named)| (label.to_string(), named)).collect();
        for (label, named) in &labels {
            if !history.contains(named) {
                return Err(format!("label {label} names a snapshot that is lost"));
            }
        }
        for (label, allowed) in &self.labels {
            let found = labels.get(*label).copied();
            if !allowed.contains(&found) {
                return Err(format!("label {label} names {found:?} instead of {allowed:?}"));
            }
        }
        self.is_told_of_damage(repository)
    }

    /// What is listed can be read, or a check says so.
    fn is_told_of_damage(&self, repository: &Repository) -> Result<(), String> {
        let store = repository.store();
        let (mut listed, mut told) = (Vec::new(), BTreeSet::new());
        let list = &mut |object: cascow_core::store::ObjectInfo| {
            listed.push(object.hash);
            Ok::<_, StoreError>(())
        };
        // A store that cannot say how long a damaged object is ends the list with its name.
        match store.for_each(list) {
            Ok(()) => {}
            Err(StoreError::Frame { hash, .. }) => listed.push(hash),
            Err(error) => return Err(format!("the objects: {error}")),
        }
        let unreadable: Vec<_> =
            listed.into_iter().filter(|object| store.get(object).is_err()).collect();
        if unreadable.is_empty() {
            return Ok(());
        }
        let checked = store.check(&mut |damage| {
            told.insert(damage.hash);
        });
        checked.map_err(|error| format!("the check: {error}"))?;
        match unreadable.iter().find(|object| !told.contains(object)) {
            Some(object) => Err(format!("nobody is told that {object} is damaged")),
            None => Ok(()),
        }
    }
}

/// A snapshot's files, read and verified.
///
/// # Errors
/// Why they cannot be read.
pub fn files(repository: &Repository, snapshot: &ContentHash) -> Result<Files, String> {
    let state = repository.state(snapshot).map_err(|error| error.to_string())?;
    let mut files = Files::new();
    for (path, value) in state.iter() {
        let path = String::from_utf8_lossy(path).into_owned();
        let entry = Entry::decode(&value.bytes).map_err(|error| format!("{path}: {error}"))?;
        let note = Note::decode(&value.note).map_err(|error| format!("{path}: {error}"))?;
        let Some(content) = entry.content() else { continue };
        let blob = blob::Blob { id: *content, index: note.index };
        let bytes = blob::read(repository.store(), &blob, u64::MAX)
            .map_err(|error| format!("{path}: {error}"))?;
        files.insert(path, bytes);
    }
    Ok(files)
}

/// A process that works in a repository and keeps a ledger: what it tries is entered before it may be seen, what it has
/// done when that is acknowledged.
#[derive(Debug)]
pub struct Worker {
    repository: Repository,
    ledger: Arc<Mutex<Ledger>>,
}

impl Worker {
    /// A process that opens the repository in a directory of a disk.
    ///
    /// # Errors
    /// Those of [`Repository::open_on`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        ledger: &Arc<Mutex<Ledger>>,
    ) -> Result<Self, Error> {
        Ok(Self { repository: Repository::open_on(disk, dir)?, ledger: Arc::clone(ledger) })
    }

    /// Its repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts objects and syncs them.
    ///
    /// # Errors
    /// Those of the store.
    pub fn put(&self, objects: &[Vec<u8>]) -> Result<(), Error> {
        self.repository.lease()?;
        for object in objects {
            self.repository.store().put(object)?;
        }
        self.repository.store().sync()?;
        self.ledger().hold_objects(objects.iter().cloned());
        Ok(())
    }

    /// Saves files as a snapshot, with a label if one is given.
    ///
    /// # Errors
    /// Those of the repository.
    pub fn save(
        &self,
        files: &Files,
        parent: Option<ContentHash>,
        label: Option<&'static str>,
    ) -> Result<ContentHash, Error> {
        self.repository.lease()?;
        let state = state(self.repository.store(), files)?;
        let snapshot = self.repository.write_snapshot(&state, parent)?.snapshot;
        if let Some(label) = label {
            self.ledger().try_label(label, Some(snapshot));
        }
        let parsed = label.map(str::parse::<Label>).transpose()?;
        self.repository.publish(&snapshot, parsed.as_ref())?;
        let mut ledger = self.ledger();
        ledger.hold_snapshot(snapshot, files);
        if let Some(label) = label {
            ledger.hold_label(label, Some(snapshot));
        }
        Ok(snapshot)
    }

    /// Collects what nothing keeps and was put longer ago. Objects that nothing refers to, and snapshots without a label, need not
    /// be there any more.
    ///
    /// # Errors
    /// Those of the repository.
    pub fn collect(&self, grace_secs: u64) -> Result<Collected, Error> {
        self.ledger().release_unnamed();
        self.repository.collect(&Collect { grace_secs, dry_run: false }, &mut |_| {})
    }

    /// Moves a label, or deletes it.
    ///
    /// # Errors
    /// Those of the repository.
    pub fn label(&self, label: &'static str, snapshot: Option<ContentHash>) -> Result<(), Error> {
        self.ledger().try_label(label, snapshot);
        let parsed = label.parse::<Label>()?;
        match &snapshot {
            Some(snapshot) => self.repository.set_label(&parsed, snapshot)?,
            None => self.repository.delete_label(&parsed)?,
        }
        self.ledger().hold_label(label, snapshot);
        Ok(())
    }
}

/// The tree that a process of this seed saves under this number. It shares some files with other processes, and some with its own
/// other trees, so that one finds again what another no longer keeps.
pub fn numbered_tree(seed: u32, number: u32) -> Files {
    [
        ("number", number.to_string().into_bytes()),
        ("of all", noise(u64::from(number % 7), 3000)),
        ("own", noise(u64::from(seed) << 32 | u64::from(number / 3), 1500)),
        ("seed", seed.to_string().into_bytes()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}
