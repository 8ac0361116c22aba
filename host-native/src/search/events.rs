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
        feedback: Option<String>,
        /// Its entries.
        entries: usize,
        /// Number of candidate actions.
        actions: usize,
        /// The seed.
        seed: u64,
        /// How forks are made.
        materializer: &'static str,
        /// Why states are written out, if overlays would have been taken.
        #[serde(skip_serializing_if = "Option::is_none")]
        obstacle: Option<String>,
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
        /// `new`, `transposition`, `no-effect` or `failed`.
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
