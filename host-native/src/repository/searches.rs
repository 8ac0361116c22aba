// SPDX-License-Identifier: MIT
//! Searches that are kept: a directory for each in `searches/`, and the scores that all of them know.
//!
//! | path | holds |
//! |---|---|
//! | `searches/NAME/lock` | held by the process that runs it |
//! | `searches/NAME/plan.json` | what was asked for, and the snapshot that it began with |
//! | `searches/NAME/journal` | what happened, a record for each thing that did |
//! | `scores/HASH` | the scores by one score command, by the state's root |
//!
//! This module knows the places, who is at work, and what a collector has to keep; what plan and records say is the business of
//! [`crate::search`]. Names are labels' names, and files are named as labels' files are.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::hash::ContentHash;
use cascow_core::reach::{Reach, Visitor};
use cascow_core::snapshot::{Delta, Edit};
use serde::{Deserialize, Serialize};

use super::{Label, Repository, labels, open_or_create};
use crate::Error;
use crate::disk::{Access, DiskFile, Lock, replace};
use crate::records::Records;
use crate::store::Store;

/// Says what a journal is, and the version of its records.
const JOURNAL_HEADER: [u8; 8] = *b"CCSJ\x01\0\0\0";

/// Says what a file of scores is, and its version.
const SCORES_HEADER: [u8; 8] = *b"CCSS\x01\0\0\0";

/// The version of plans that this build writes and reads.
pub(crate) const PLAN_VERSION: u32 = 1;

/// Longest plan, in bytes: a file of actions of 16 MiB fits, quoted.
const MAX_PLAN_LEN: usize = 64 << 20;

/// How long the lock of a process that was killed may be held after it: a command that it was starting has it too, until the command
/// is another program.
const LOCK_LINGERS: Duration = Duration::from_millis(500);

/// What names of searches that were given none begin with.
const GENERATED: &str = "search-";

/// What every plan says, whatever else.
#[derive(Debug, Deserialize)]
struct PlanHead {
    version: u32,
    base: String,
    is_named: bool,
}

/// A change of a state, as a journal holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptDelta(Vec<KeptEdit>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptEdit {
    key: Vec<u8>,
    /// `None` where the key is no more.
    value: Option<KeptValue>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptValue {
    bytes: Vec<u8>,
    note: Vec<u8>,
}

impl From<&Delta> for KeptDelta {
    fn from(delta: &Delta) -> Self {
        let edit = |Edit { key, value }: Edit<'_>| KeptEdit {
            key: key.to_vec(),
            value: value
                .map(|value| KeptValue { bytes: value.bytes.to_vec(), note: value.note.to_vec() }),
        };
        Self(delta.iter().map(edit).collect())
    }
}

impl From<&KeptDelta> for Delta {
    fn from(kept: &KeptDelta) -> Self {
        let mut delta = Self::new();
        for KeptEdit { key, value } in &kept.0 {
            let key = key.as_slice();
            match value {
                Some(KeptValue { bytes, note }) => {
                    let (bytes, note) = (bytes.as_slice().into(), note.as_slice().into());
                    delta.write(key, cascow_core::snapshot::Value { bytes, note });
                }
                None => _ = delta.whiteout(key),
            }
        }
        delta
    }
}

/// A record of a journal: the delta of the state that it tells of, if that was new, and what else happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JournalRecord<T> {
    /// First, so that a collector can read it without knowing the rest.
    pub(crate) delta: Option<KeptDelta>,
    /// What happened.
    pub(crate) what: T,
}

/// One kept search, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSearch {
    /// Its name.
    pub name: Label,
    /// Whether a process is running it.
    pub is_running: bool,
    /// When it last went on, in seconds since 1970.
    pub modified: u64,
    /// What is wrong with it, if it cannot be resumed.
    pub problem: Option<String>,
}

/// A search's place, held by this process.
#[derive(Debug)]
pub(crate) struct SearchPlace {
    pub(crate) name: Label,
    pub(crate) dir: PathBuf,
    _lock: Arc<dyn DiskFile>,
}

impl SearchPlace {
    fn plan(&self) -> PathBuf {
        self.dir.join("plan.json")
    }
}

impl Repository {
    /// A place for a new search, of this name or of a new one.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is one of the name, [`Error::Io`].
    pub(crate) fn new_search(&self, name: Option<&Label>) -> Result<SearchPlace, Error> {
        let _lock = self.lock()?;
        let mut number = 1_u64;
        let is_given = name.is_some();
        loop {
            let name = match name {
                Some(name) => name.clone(),
                None => format!("{GENERATED}{number}").parse()?,
            };
            let dir = name.path(&self.searches_dir());
            let is_taken = match self.disk.list(&dir) {
                // What a crash left before there was a plan is nobody's.
                Ok(names) => {
                    names.iter().any(|file| file == "plan.json") || self.is_running(&dir)?
                }
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) => return Err(Error::io("list", &dir)(error)),
            };
            if !is_taken {
                self.disk.create_dir_all(&dir).map_err(Error::io("create", &dir))?;
                return self.hold_search(name, dir);
            }
            if is_given {
                return Err(Error::Misuse(format!(
                    "there is a search \"{name}\" already: `cascow search --resume {name}` goes on with it, --forget {name} removes it"
                )));
            }
            number += 1;
        }
    }

    /// The place of a search that was begun earlier.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unavailable`] if a process is running it; [`Error::Io`].
    pub(crate) fn held_search(&self, name: &Label) -> Result<SearchPlace, Error> {
        let dir = name.path(&self.searches_dir());
        if self.disk.stat(&dir.join("plan.json")).is_err() {
            return Err(Error::NotFound { kind: "search", name: name.to_string() });
        }
        let _lock = self.lock()?;
        self.hold_search(name.clone(), dir)
    }

    fn hold_search(&self, name: Label, dir: PathBuf) -> Result<SearchPlace, Error> {
        let path = dir.join("lock");
        let lock = open_or_create(&*self.disk, &path)?;
        let start = Instant::now();
        while !lock.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))? {
            if start.elapsed() >= LOCK_LINGERS {
                return Err(Error::Unavailable(format!(
                    "another process is running the search \"{name}\""
                )));
            }
            thread::sleep(LOCK_LINGERS / 50);
        }
        Ok(SearchPlace { name, dir, _lock: lock })
    }

    fn is_running(&self, dir: &Path) -> Result<bool, Error> {
        let path = dir.join("lock");
        match self.disk.open(&path, Access::Read) {
            Ok(file) => Ok(!file.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    /// Keeps a search's plan, after its journal was made; from here on it is one.
    pub(crate) fn write_plan(&self, place: &SearchPlace, plan: &[u8]) -> Result<(), Error> {
        replace(&*self.disk, &place.plan(), plan)
    }

    pub(crate) fn read_plan(&self, place: &SearchPlace) -> Result<Vec<u8>, Error> {
        let path = place.plan();
        self.disk.read(&path, MAX_PLAN_LEN).map_err(Error::io("read", &path))
    }

    /// A search's journal.
    pub(crate) fn journal(&self, place: &SearchPlace) -> Result<Records, Error> {
        let path = place.dir.join("journal");
        let file = open_or_create(&*self.disk, &path)?;
        Records::open(file, &path, JOURNAL_HEADER, true)
    }

    /// The scores by one score command, which is known by the hash.
    pub(crate) fn scores(&self, command: &ContentHash) -> Result<Records, Error> {
        let dir = self.dir.join("scores");
        self.disk.create_dir_all(&dir).map_err(Error::io("create", &dir))?;
        let path = dir.join(command.to_string());
        Records::open(open_or_create(&*self.disk, &path)?, &path, SCORES_HEADER, true)
    }

    /// Appends to scores, behind what other processes have appended since, which is shown first.
    pub(crate) fn append_score(
        &self,
        scores: &mut Records,
        record: &[u8],
        visit: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _lock = self.lock()?;
        scores.read(visit)?;
        scores.append(record)
    }

    /// All searches that are kept, ascending by name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn searches(&self) -> Result<Vec<KeptSearch>, Error> {
        let _lock = self.lock()?;
        self.kept_searches()
    }

    /// As [`Repository::searches`]; who changes them holds the repository's lock.
    pub(super) fn kept_searches(&self) -> Result<Vec<KeptSearch>, Error> {
        let above = self.searches_dir();
        let names = match labels::list(&*self.disk, &above) {
            Ok(names) => names,
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut searches = Vec::new();
        for name in names {
            let dir = name.path(&above);
            // Without a plan it is what a crash left, or being begun.
            let Ok(planned) = self.disk.stat(&dir.join("plan.json")) else { continue };
            let written = self.disk.stat(&dir.join("journal"));
            let modified = written.map_or(planned.modified, |stat| stat.modified);
            let is_running = self.is_running(&dir)?;
            let problem = match (self.plan_head(&dir), self.open_journal(&dir)) {
                (Ok(_), Ok(_)) => None,
                (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
            };
            searches.push(KeptSearch { name, is_running, modified, problem });
        }
        Ok(searches)
    }

    /// Removes a search that is not running. What it found stays as snapshots; states that nothing else keeps go when the repository
    /// is collected.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unavailable`] if a process is running it, [`Error::Io`].
    pub fn forget_search(&self, name: &Label) -> Result<(), Error> {
        let _lock = self.lock()?;
        let dir = name.path(&self.searches_dir());
        if self.disk.stat(&dir.join("plan.json")).is_err() {
            return Err(Error::NotFound { kind: "search", name: name.to_string() });
        }
        let place = self.hold_search(name.clone(), dir)?;
        self.remove_search(&place.dir)
    }

    fn remove_search(&self, dir: &Path) -> Result<(), Error> {
        // The plan first: without it there is no search, whatever a crash leaves of the rest.
        match self.disk.unlink(&dir.join("plan.json")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", dir)(error))
            }
            _ => self.disk.remove_dir_all(dir).map_err(Error::io("remove", dir)),
        }
    }

    fn plan_head(&self, dir: &Path) -> Result<(PlanHead, ContentHash), Error> {
        let path = dir.join("plan.json");
        let refuse = |reason| Error::NotARepository { path: path.clone(), reason };
        let bytes = self.disk.read(&path, MAX_PLAN_LEN).map_err(Error::io("read", &path))?;
        let head: PlanHead =
            serde_json::from_slice(&bytes).map_err(|_| refuse("it is not the plan of a search"))?;
        if head.version != PLAN_VERSION {
            return Err(refuse("it is the plan of a search by a newer cascow"));
        }
        let base = head.base.parse().map_err(|_| refuse("it does not say what it began with"))?;
        Ok((head, base))
    }

    fn open_journal(&self, dir: &Path) -> Result<Records, Error> {
        let path = dir.join("journal");
        let file = self.disk.open(&path, Access::Read).map_err(Error::io("open", &path))?;
        Records::open(file, &path, JOURNAL_HEADER, false)
    }

    /// The searches that are to be kept: those that run, those that were given a name, and those that went on within the time of
    /// grace. The others are removed, unless it is a dry run. The caller holds the repository's lock.
    ///
    /// # Errors
    /// [`Error::NotARepository`] if one cannot be read, which may refer to anything; [`Error::Io`].
    pub(super) fn live_searches(
        &self,
        before: u64,
        dry_run: bool,
    ) -> Result<Vec<(PathBuf, ContentHash)>, Error> {
        let mut live = Vec::new();
        for search in self.kept_searches()? {
            let dir = search.name.path(&self.searches_dir());
            let (head, base) = self.plan_head(&dir)?;
            if head.is_named || search.is_running || search.modified >= before {
                self.open_journal(&dir)?;
                live.push((dir, base));
            } else if !dry_run {
                self.remove_search(&dir)?;
            }
        }
        Ok(live)
    }

    /// Walks what the states of a search refer to.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a record that makes no sense, which may refer to anything; [`Error::Io`]; the visitor's.
    pub(super) fn walk_search<V: Visitor>(
        &self,
        dir: &Path,
        reach: &mut Reach<'_, Store, V>,
    ) -> Result<(), Error> {
        self.open_journal(dir)?.read(&mut |record| {
            // Behind the delta stands what this need not know.
            let (delta, _) =
                postcard::take_from_bytes::<Option<KeptDelta>>(record).map_err(|error| {
                    Error::Damaged(format!(
                        "a record of the journal in {dir:?} makes no sense: {error}"
                    ))
                })?;
            for KeptEdit { key, value } in delta.iter().flat_map(|delta| &delta.0) {
                if let Some(KeptValue { bytes, note }) = value {
                    reach.entry(key, bytes, note)?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn searches_dir(&self) -> PathBuf {
        self.dir.join("searches")
    }
}
