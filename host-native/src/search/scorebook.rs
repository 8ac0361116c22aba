// SPDX-License-Identifier: MIT
//! Scores that outlive a search: what one score command, run so many times, said of each state.
//!
//! A score is entered only if every run of the command came to an end of its own. One that was killed or ran out of time may have
//! been unlucky, and must not be believed for ever.

use std::collections::HashMap;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::StateRoot;
use serde::{Deserialize, Serialize};

use super::Score;
use crate::Error;
use crate::records::Records;
use crate::repository::Repository;

/// The scores by one command.
#[derive(Debug)]
pub(super) struct Scorebook<'r> {
    repository: &'r Repository,
    records: Records,
    scores: HashMap<StateRoot, Score>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    root: StateRoot,
    score: Score,
}

/// What the scores of a command are filed under. The number of runs stands first, and has one length.
fn key(command: &str, repeat: u32) -> ContentHash {
    HashKind::Sha256.hash(&[&repeat.to_le_bytes(), command.as_bytes()].concat())
}

impl<'r> Scorebook<'r> {
    /// Opens what is known by a command. O(scores).
    pub(super) fn open(
        repository: &'r Repository,
        command: &str,
        repeat: u32,
    ) -> Result<Self, Error> {
        let mut records = repository.scores(&key(command, repeat))?;
        let mut scores = HashMap::new();
        records.read(&mut |record| {
            enter(&mut scores, record);
            Ok(())
        })?;
        Ok(Self { repository, records, scores })
    }

    /// What is known of a state.
    pub(super) fn get(&self, root: &StateRoot) -> Option<&Score> {
        self.scores.get(root)
    }

    /// Enters what is not known yet, and takes over what other searches have entered meanwhile.
    pub(super) fn enter(&mut self, root: &StateRoot, score: &Score) -> Result<(), Error> {
        if self.get(root).is_some() {
            return Ok(());
        }
        let entry = Entry { root: *root, score: score.clone() };
        let record = postcard::to_allocvec(&entry)
            .map_err(|error| Error::Misuse(format!("a score cannot be kept: {error}")))?;
        let Self { repository, records, scores } = self;
        repository.append_score(records, &record, &mut |record| {
            enter(scores, record);
            Ok(())
        })?;
        enter(scores, &record);
        Ok(())
    }
}

/// Takes over one record. One that makes no sense is no score; the first of several counts.
fn enter(scores: &mut HashMap<StateRoot, Score>, record: &[u8]) {
    if let Ok(Entry { root, score }) = postcard::from_bytes(record)
        && (0.0..=1.0).contains(&score.value)
    {
        scores.entry(root).or_insert(score);
    }
}
