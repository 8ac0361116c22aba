// SPDX-License-Identifier: MIT
//! What a search is asked for and what it may answer: plan and budget, why it stopped, states kept.

use std::path::PathBuf;
use std::time::Duration;

use cascow_core::hash::ContentHash;
use cascow_core::merkle::StateRoot;
use cascow_core::snapshot::State;
use serde::{Deserialize, Serialize};

use super::Action;
use crate::Error;
use crate::repository::Label;
use crate::repository::searches::PLAN_VERSION;
use crate::workspace::Materialize;

/// Most workers of a search. Each is a thread that waits for a command, so more than there are processors are of use, and thousands
/// are a mistake.
pub const MOST_WORKERS: u32 = 256;

/// What is searched, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The directory; it is read, never written.
    pub workspace: PathBuf,
    /// A directory for results, which is no part of the workspace even if it lies in it.
    pub results: Option<PathBuf>,
    /// The candidate actions, where they are given beforehand.
    pub actions: Vec<Action>,
    /// What `sh -c` is given to propose actions at a state, instead.
    pub proposer: Option<String>,
    /// What `sh -c` is given to score a state.
    pub score_command: String,
    /// How often each state is scored; the mean counts.
    pub repeat: u32,
    /// How long each command may take.
    pub timeout: Duration,
    /// Longest way from the base, in actions.
    pub depth: Option<u32>,
    /// Where the search's generator starts.
    pub seed: u64,
    /// How forks are made.
    pub materialize: Materialize,
    /// How many commands may run at a time.
    pub workers: u32,
    /// What the search is kept as; a new name if there is none.
    pub name: Option<Label>,
    /// Whether a state is not scored if an earlier search of the repository did so with the same command, as often.
    pub reuse_scores: bool,
    /// When to stop.
    pub budget: Budget,
}

/// When a search stops, whatever comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// After so many evaluations, those of earlier runs included.
    pub evaluations: Option<u64>,
    /// After so much time, of this run alone.
    pub time: Option<Duration>,
    /// So many bytes of memory may the graph and the states take, beside the workspace's own; beyond, what was visited least is
    /// forgotten, and the search goes on.
    pub bytes: Option<u64>,
    /// At a state with this score or more.
    pub target: f64,
}

/// What may be changed when a search is resumed.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// A directory for results.
    pub results: Option<PathBuf>,
    /// How many commands may run at a time.
    pub workers: Option<u32>,
    /// After how many evaluations it stops, those of earlier runs included.
    pub evaluations: Option<u64>,
    /// After how much time it stops, of this run alone.
    pub time: Option<Duration>,
    /// How many bytes of memory it may take.
    pub bytes: Option<u64>,
    /// At which score it stops.
    pub target: Option<f64>,
}

/// A plan as it is kept: JSON, of which a reader takes what it knows.
#[derive(Debug, Serialize, Deserialize)]
struct KeptPlan {
    version: u32,
    base: String,
    is_named: bool,
    reuse_scores: bool,
    workspace: PathBuf,
    actions: Vec<Action>,
    proposer: Option<String>,
    score_command: String,
    repeat: u32,
    timeout_nanos: u64,
    depth: Option<u32>,
    seed: u64,
    materialize: String,
    workers: u32,
    evaluations: Option<u64>,
    time_nanos: Option<u64>,
    bytes: Option<u64>,
    target: f64,
}

impl Plan {
    /// A plan for one worker with no more than what must be said: the caller adds actions, or a command that proposes some. It
    /// makes at most 1,000 evaluations.
    pub fn new(workspace: impl Into<PathBuf>, score_command: impl Into<String>) -> Self {
        Self {
            workspace: workspace.into(),
            results: None,
            actions: Vec::new(),
            proposer: None,
            score_command: score_command.into(),
            repeat: 1,
            timeout: Duration::from_secs(60),
            depth: None,
            seed: 1,
            materialize: Materialize::Auto,
            workers: 1,
            name: None,
            reuse_scores: true,
            budget: Budget { evaluations: Some(1000), time: None, bytes: None, target: 1.0 },
        }
    }

    /// The plan as it is kept, with the snapshot that the search began with.
    pub(super) fn keep(&self, base: &ContentHash) -> Result<Vec<u8>, Error> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let kept = KeptPlan {
            version: PLAN_VERSION,
            base: base.to_string(),
            is_named: self.name.is_some(),
            reuse_scores: self.reuse_scores,
            workspace: std::path::absolute(&self.workspace).unwrap_or(self.workspace.clone()),
            actions: self.actions.clone(),
            proposer: self.proposer.clone(),
            score_command: self.score_command.clone(),
            repeat: self.repeat,
            timeout_nanos: nanos(self.timeout),
            depth: self.depth,
            seed: self.seed,
            materialize: self.materialize.name().to_owned(),
            workers: self.workers,
            evaluations: self.budget.evaluations,
            time_nanos: self.budget.time.map(nanos),
            bytes: self.budget.bytes,
            target: self.budget.target,
        };
        serde_json::to_vec_pretty(&kept)
            .map_err(|error| Error::Misuse(format!("the plan cannot be kept: {error}")))
    }

    /// The plan kept under a name and the snapshot that it began with, with what is to be different from now on.
    pub(super) fn read(
        bytes: &[u8],
        name: &Label,
        changes: Changes,
    ) -> Result<(Self, ContentHash), Error> {
        let damaged = |what: &dyn std::fmt::Display| {
            Error::Damaged(format!("the search's plan cannot be read: {what}"))
        };
        let kept: KeptPlan = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        if kept.version != PLAN_VERSION {
            return Err(damaged(&"it was written by a newer cascow"));
        }
        let base = kept.base.parse().map_err(|error| damaged(&error))?;
        let plan = Self {
            workspace: kept.workspace,
            results: changes.results,
            actions: kept.actions,
            proposer: kept.proposer,
            score_command: kept.score_command,
            repeat: kept.repeat,
            timeout: Duration::from_nanos(kept.timeout_nanos),
            depth: kept.depth,
            seed: kept.seed,
            materialize: kept.materialize.parse().map_err(|error: String| damaged(&error))?,
            workers: changes.workers.unwrap_or(kept.workers),
            name: kept.is_named.then(|| name.clone()),
            reuse_scores: kept.reuse_scores,
            budget: Budget {
                evaluations: changes.evaluations.or(kept.evaluations),
                time: changes.time.or(kept.time_nanos.map(Duration::from_nanos)),
                bytes: changes.bytes.or(kept.bytes),
                target: changes.target.unwrap_or(kept.target),
            },
        };
        plan.check()?;
        Ok((plan, base))
    }

    /// Refuses what makes no sense, in words.
    ///
    /// # Errors
    /// [`Error::Misuse`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |reason: &str| Err(Error::Misuse(reason.to_owned()));
        if self.budget.evaluations == Some(0) {
            return refuse("a search of 0 evaluations has nothing to say; allow at least 1");
        }
        if self.budget.time.is_some_and(|time| time.is_zero()) {
            return refuse("a search of 0 seconds has nothing to say; allow more");
        }
        if self.budget.bytes == Some(0) {
            return refuse("a search cannot be kept in 0 bytes; allow more");
        }
        if !(0.0..=1.0).contains(&self.budget.target) {
            return refuse("a target is a score, from 0 to 1");
        }
        if self.actions.is_empty() == self.proposer.is_none() {
            return refuse("a search takes either actions or a command that proposes some");
        }
        if self.workers == 0 {
            return refuse("a search needs at least 1 worker");
        }
        if self.workers > MOST_WORKERS {
            return refuse("a search has at most 256 workers");
        }
        Ok(())
    }
}

/// Why a search stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A state reached the target.
    Target,
    /// The evaluations were used up.
    Evaluations,
    /// The time was used up.
    Time,
    /// Nothing is left to try.
    Exhausted,
    /// The user wanted it to.
    Interrupted,
}

impl Stopped {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Evaluations => "evaluations",
            Self::Time => "time",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A state that was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its snapshot.
    pub snapshot: ContentHash,
    /// Its root.
    pub root: StateRoot,
    /// The state.
    pub state: State,
}
