// SPDX-License-Identifier: MIT
//! What happens in a search, one JSON object a line.

use serde::Serialize;

/// One event of a search.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// The workspace was read and scored.
    Start {
        /// The base's root.
        root: String,
        /// Its score.
        score: f64,
        /// What the score command said of it, or complained of.
        feedback: Option<&'a str>,
        /// Its entries.
        entries: usize,
        /// Number of candidate actions, if they are given beforehand.
        actions: Option<usize>,
        /// The seed.
        seed: u64,
        /// How forks are made.
        materializer: &'static str,
        /// Why states are written out, if overlays would have been taken.
        #[serde(skip_serializing_if = "Option::is_none")]
        obstacle: Option<&'a str>,
    },
    /// An action was tried.
    Step {
        /// Which step this is, from 1.
        step: usize,
        /// Evaluations so far.
        evaluations: u64,
        /// The node that the action was tried at.
        from: u32,
        /// The action's name.
        action: &'a str,
        /// `new`, `transposition`, `no-effect`, `failed`, or `lost`: the state that it was to be tried at is.
        outcome: &'static str,
        /// The node that it led to.
        to: Option<u32>,
        /// That node's root.
        root: Option<String>,
        /// That node's score.
        score: Option<f64>,
        /// The best score so far.
        best: f64,
        /// What the score command said of it; of an action that failed, its complaint.
        feedback: Option<&'a str>,
        /// Different states met so far.
        unique_states: usize,
        /// Actions that led to a state met before, so far.
        transpositions: u64,
        /// Private directories made so far.
        forks: usize,
        /// Whether it is told again, of a search that is resumed. Not in JSON: there the events of a search that was interrupted are
        /// those of one that was not.
        #[serde(skip)]
        is_replayed: bool,
    },
    /// A state's actions were proposed.
    Proposed {
        /// The node.
        node: u32,
        /// How many will be tried.
        proposals: usize,
        /// How many more there were.
        left_out: u32,
        /// Lines that were no proposals.
        bad_lines: u32,
        /// Why there is nothing to try, if there is nothing.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<&'a str>,
    },
    /// The best state cannot be read any more, nor made again; the best of the others counts.
    BestLost {
        /// Its node.
        node: u32,
        /// Its score.
        score: f64,
        /// What became of it.
        reason: &'a str,
    },
    /// The search is over.
    End {
        /// Why.
        stopped: &'static str,
        /// The best score.
        best: f64,
        /// Evaluations made.
        evaluations: u64,
    },
}
