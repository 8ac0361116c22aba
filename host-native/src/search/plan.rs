// SPDX-License-Identifier: MIT
//! What a search is asked for and what it may answer: plan and budget, why it stopped, states kept.

use std::path::Path;
use std::time::Duration;

use cascow_core::hash::ContentHash;
use cascow_core::merkle::StateRoot;
use cascow_core::snapshot::State;

use super::Action;
use crate::workspace::Materialize;

/// What is searched, and how.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The directory; it is read, never written.
    pub workspace: &'a Path,
    /// A directory for results, which is no part of the workspace even if it lies in it.
    pub results: Option<&'a Path>,
    /// The candidate actions.
    pub actions: &'a [Action],
    /// What `sh -c` is given to score a state.
    pub score_command: &'a str,
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
    /// When to stop.
    pub budget: Budget,
}

/// When a search stops, whatever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// After so many evaluations.
    pub evaluations: Option<u64>,
    /// After so much time.
    pub time: Option<Duration>,
    /// At a state with this score or more.
    pub target: f64,
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
