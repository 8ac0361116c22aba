// SPDX-License-Identifier: MIT
//! Monte-Carlo graph search over a workspace: which of the candidate actions, together, make it score best.
//!
//! The graph search itself is the core's ([`cascow_core::search`]); here a state is a directory tree, an action a command run
//! in a private fork of it, and a score the word of another command in a fork of its own. States are known by their root: the
//! same tree reached in another order is the same state, and no state is scored twice.

mod actions;
mod crew;
mod events;
mod graph;
mod journal;
mod latency;
mod plan;
mod proposer;
mod report;
mod request;
mod run;
mod score;
mod scorebook;
mod session;
mod states;
mod table;

pub use actions::{Action, read_actions};
pub use events::Event;
pub use graph::{
    Differences, EdgeOutcome, FirstWay, Graph, GraphEdge, GraphNode, LeftOut, PageGraph,
    PathChange, Since,
};
pub use latency::{Latencies, Summary};
pub use plan::{Budget, Changes, Kept, MOST_WORKERS, Plan, Stopped};
pub use report::{BaseReport, BestReport, Figures, Report, html};
pub use run::{Outcome, resume, search};
pub use score::Score;
