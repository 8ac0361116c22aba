// SPDX-License-Identifier: MIT
//! What happened in a search, in the order in which its engine was told.
//!
//! The engine is deterministic: told the same again, it has the same graph. So a journal of what commands said is the whole search,
//! and grows by what is new alone. A record is appended when the engine has been told, before anything else happens; the objects of
//! the state that it tells of are written before it. Whatever ends the process, what is lost is what was under way.

use std::time::{Duration, Instant};

use cascow_core::merkle::StateRoot;
use cascow_core::snapshot::Delta;
use serde::{Deserialize, Serialize};

use super::Score;
use super::proposer::Proposed;
use crate::Error;
use crate::records::Records;
use crate::repository::Repository;
use crate::repository::searches::{JournalRecord, SearchPlace};

/// How much of a search a loss of power may take: syncing each record would take longer than many an action.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// One thing that the engine was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Op {
    /// The base was scored.
    Begin {
        /// Its score.
        score: Score,
        /// Whether an earlier search had it scored.
        cached: bool,
        /// What that took.
        times: Times,
    },
    /// A worker asked what to do. Also where it found nothing to do: looking renews what the engine knows.
    Seek {
        /// The worker.
        worker: u32,
    },
    /// A proposer answered.
    Offer {
        /// For whom it was asked.
        worker: u32,
        /// What it said.
        proposed: Proposed,
    },
    /// An action was tried.
    Answer {
        /// By whom.
        worker: u32,
        /// Where it led.
        landing: Landing,
        /// What that took.
        times: Times,
    },
    /// What was visited least was forgotten.
    Room {
        /// So many bytes were left to the graph.
        graph_bytes: u64,
    },
    /// A worker is no more; what it was doing is left to others.
    Abandon {
        /// The worker.
        worker: u32,
    },
}

/// Where an action led.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Landing {
    /// Nowhere: it failed, was killed, or ran out of time.
    Failed {
        /// Why, if it said so.
        complaint: Option<String>,
    },
    /// Nowhere: the state that it was to be tried at is lost.
    Lost {
        /// What became of it.
        reason: String,
    },
    /// Back to the same state.
    NoEffect,
    /// To a state.
    At {
        /// Its root.
        root: StateRoot,
        /// Its score, if it was not known.
        score: Option<Score>,
        /// Whether an earlier search had it scored.
        cached: bool,
    },
}

/// How long it took, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    /// Each private directory that was made, and whether for a state far from the one before.
    pub(super) forks: Vec<(u64, bool)>,
    /// Reading the directory back.
    pub(super) seal: Option<u64>,
    /// When it was over, since the search began; pauses do not count.
    pub(super) at: u64,
}

/// The journal of a running search.
#[derive(Debug)]
pub(super) struct Journal<'r> {
    repository: &'r Repository,
    records: Records,
    synced: Instant,
}

impl<'r> Journal<'r> {
    /// That of a search; stands before its first record.
    pub(super) fn open(repository: &'r Repository, place: &SearchPlace) -> Result<Self, Error> {
        Ok(Self { repository, records: repository.journal(place)?, synced: Instant::now() })
    }

    /// Shows what is in it, and stands at its end then. Says how many records there are.
    pub(super) fn replay(
        &mut self,
        show: &mut dyn FnMut(Op, Option<Delta>) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut count = 0;
        self.records.read(&mut |bytes| {
            let record: JournalRecord<Op> = postcard::from_bytes(bytes).map_err(|error| {
                Error::Damaged(format!(
                    "record {count} of the search's journal makes no sense: {error}"
                ))
            })?;
            count += 1;
            show(record.what, record.delta.as_ref().map(Delta::from))
        })?;
        Ok(count)
    }

    /// Adds a record, behind the objects that it refers to.
    pub(super) fn append(&mut self, op: Op, delta: Option<&Delta>) -> Result<(), Error> {
        if delta.is_some() {
            self.repository.store().flush()?;
        }
        let record = JournalRecord { delta: delta.map(Into::into), what: op };
        let bytes = postcard::to_allocvec(&record).map_err(|error| {
            Error::Misuse(format!("a step of the search cannot be kept: {error}"))
        })?;
        self.records.append(&bytes)?;
        if self.synced.elapsed() >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Makes all of it survive a loss of power.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.repository.store().sync()?;
        self.records.sync()?;
        self.synced = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cascow_core::hash::HashKind;
    use cascow_core::snapshot::Value;

    use super::*;

    fn root() -> StateRoot {
        cascow_core::snapshot::State::new().trie(HashKind::Sha256).root()
    }

    fn encoded(delta: Option<&Delta>, what: Op) -> String {
        let record = JournalRecord { delta: delta.map(Into::into), what };
        let bytes = postcard::to_allocvec(&record).unwrap();
        let read: JournalRecord<Op> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((read.delta, &read.what), (record.delta, &record.what));
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_keep_their_bytes_from_version_to_version() {
        let mut delta = Delta::new();
        let (bytes, note) = (b"V"[..].into(), b"N"[..].into());
        delta.write(&b"k"[..], Value { bytes, note });
        delta.whiteout(&b"w"[..]);
        let times = Times { forks: vec![(300, true)], seal: Some(7), at: 9 };
        let score = Score { value: 0.5, terminal: true, feedback: Some("f".to_owned()) };
        let at = Landing::At { root: root(), score: Some(score.clone()), cached: true };
        let answer = |landing| Op::Answer { worker: 1, landing, times: times.clone() };
        let failed = Landing::Failed { complaint: Some("c".to_owned()) };
        let lost = Landing::Lost { reason: "r".to_owned() };
        let proposal = super::super::proposer::Proposal {
            name: "n".to_owned(),
            run: "r".to_owned(),
            prior: 1.0,
        };
        let proposed = Proposed {
            proposals: vec![proposal],
            left_out: 2,
            bad_lines: 3,
            problem: Some("p".to_owned()),
        };
        let base = Op::Begin { score, cached: false, times: Times::default() };
        let found = [
            encoded(None, base),
            encoded(None, Op::Seek { worker: 1 }),
            encoded(None, Op::Offer { worker: 1, proposed }),
            encoded(Some(&delta), answer(at)),
            encoded(None, answer(failed)),
            encoded(None, answer(lost)),
            encoded(None, answer(Landing::NoEffect)),
            encoded(None, Op::Room { graph_bytes: 300 }),
            encoded(None, Op::Abandon { worker: 1 }),
        ];
        let at = concat!(
            "0102016b010156014e017700030103bd4a67558c5eba700bfbb89f8075e1492b566e96a4b9504b38e9bf07a1f452da",
            "01000000000000e03f010101660101ac0201010709"
        );
        let kept = [
            "0000000000000000e03f0101016600000000",
            "000101",
            "00020101016e01720000803f0203010170",
            at,
            "0003010001016301ac0201010709",
            "00030101017201ac0201010709",
            "0003010201ac0201010709",
            "0004ac02",
            "000501",
        ];
        assert_eq!(found, kept, "another layout is another version: see `repository::searches`");
    }
}
