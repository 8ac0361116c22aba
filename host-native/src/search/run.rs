// SPDX-License-Identifier: MIT
//! A search from start to end: reads the workspace, lets the core choose, and keeps the best state as a snapshot.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cascow_core::hash::ContentHash;
use cascow_core::search::{EdgeId, NodeId, Outcome as Tried, Search, SearchError, Settings, Step};
use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;

use super::Event;
use super::game::{Arrival, Handle, WorkspaceGame};
use super::plan::{Kept, Plan, Stopped};
use super::report::{self, Report};
use crate::Error;
use crate::command::Limits;
use crate::directory::{self, ScanOptions};
use crate::repository::Repository;
use crate::workspace::Workshop;

/// More than the core's default: on real programs a wrong repair often looks right for a while, and going back to try others
/// first, in another order, is what finds out. On the bundled example 0.2 needs fewer evaluations but never looks back; at 1
/// it loses itself in breadth.
const EXPLORATION: f64 = 0.5;

/// A search that ended. Its base and its best state are snapshots of the repository.
#[derive(Debug)]
pub struct Outcome {
    /// The state that it began with.
    pub base: Kept,
    /// The best state found.
    pub best: Kept,
    /// Why it stopped.
    pub stopped: Stopped,
    /// All there is to tell about it.
    pub report: Report,
}

/// Searches, calling `observe` with every event.
///
/// # Errors
/// [`Error`] if the workspace cannot be read or a fork cannot be made. A command that fails is no error: its action leads
/// nowhere, or its state scores 0.
pub fn search(
    repository: &Repository,
    plan: &Plan<'_>,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Event<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    let workshop = Workshop::open(repository, plan.materialize)?;
    let outside = [repository.dir()].into_iter().chain(plan.results).map(Path::to_owned).collect();
    let options = ScanOptions { outside, ..ScanOptions::default() };
    repository.lease()?;
    let base = directory::scan(plan.workspace, repository.store(), &options, &mut |_| {})?.state;
    let base = keep(repository, base, None)?;
    repository.pin(&base.snapshot)?;

    let origin = workshop.origin(&base.state, Some(&base.snapshot))?;
    let limits = Limits { timeout: Some(plan.timeout), interrupt: Some(interrupt) };
    let mut game = WorkspaceGame::new(repository.store().hash_kind(), &workshop, plan, limits);
    let position = game.start(&base.state, origin)?;
    let depth_limit = plan.depth.unwrap_or(u32::MAX);
    let settings = Settings {
        seed: plan.seed,
        depth_limit,
        exploration: EXPLORATION,
        ..Settings::optimisation()
    };
    let mut search = Search::new(settings, position, &mut game).map_err(into_error)?;
    let mut arrivals: Vec<(EdgeId, Arrival)> = Vec::new();
    observe(&Event::Start {
        root: base.root.to_string(),
        score: score_of(&search, &game, search.root().id),
        feedback: game.score(&base.root).and_then(|score| score.feedback.clone()),
        entries: base.state.len(),
        actions: plan.actions.len(),
        seed: plan.seed,
        materializer: workshop.materializer().name(),
        obstacle: workshop.obstacle().map(str::to_owned),
    })?;

    let stopped = loop {
        if score_of(&search, &game, search.best_node()) >= plan.budget.target {
            break Stopped::Target;
        }
        if interrupt.load(Ordering::Relaxed) {
            break Stopped::Interrupted;
        }
        if plan.budget.evaluations.is_some_and(|limit| report::evaluations(&search) >= limit) {
            break Stopped::Evaluations;
        }
        if plan.budget.time.is_some_and(|limit| start.elapsed() >= limit) {
            break Stopped::Time;
        }
        match search.step(&mut game) {
            Ok(Step::Tried { edge, outcome }) => {
                arrivals.push((edge, game.arrival));
                observe(&step_event(&search, &game, plan, arrivals.len(), edge, outcome))?;
            }
            // One worker is never in its own way, leads back nowhere, and tries one edge at a time.
            Ok(Step::Exhausted | Step::Busy | Step::Repeated | Step::Expanded { .. }) => {
                break Stopped::Exhausted;
            }
            Err(SearchError::Game(Error::Interrupted)) => break Stopped::Interrupted,
            Err(error) => return Err(into_error(error)),
        }
    };

    let best_node = search.node(search.best_node()).unwrap_or(search.root());
    let position = game.position(best_node.state);
    let best = if position.root == base.root {
        base.clone()
    } else {
        keep(repository, game.tree.state(position.snapshot)?, Some(base.snapshot))?
    };
    observe(&Event::End {
        stopped: stopped.name(),
        best: score_of(&search, &game, search.best_node()),
        evaluations: report::evaluations(&search),
    })?;
    let materializer = workshop.materializer();
    let context = report::Context { plan, materializer, stopped, elapsed: start.elapsed() };
    let report = Report::new(&context, repository, &search, &game, &arrivals, (&base, &best))?;
    Ok(Outcome { base, best, stopped, report })
}

/// Keeps a state as a snapshot.
fn keep(repository: &Repository, state: State, parent: Option<ContentHash>) -> Result<Kept, Error> {
    let written = repository.write_snapshot(&state, parent)?;
    repository.publish(&written.snapshot, None)?;
    Ok(Kept { snapshot: written.snapshot, root: written.record.root, state })
}

/// A node's score as the score command gave it: nodes keep 24 bits of it.
fn score_of(search: &Search<Handle>, game: &WorkspaceGame<'_>, node: NodeId) -> f64 {
    let score = search.node(node).and_then(|node| game.score(&game.position(node.state).root));
    score.map_or(0.0, |score| score.value)
}

fn step_event<'e>(
    search: &Search<Handle>,
    game: &'e WorkspaceGame<'_>,
    plan: &Plan<'e>,
    step: usize,
    edge: EdgeId,
    outcome: Tried,
) -> Event<'e> {
    let to = match outcome {
        Tried::New { node, .. } | Tried::Transposition { node } => Some(node),
        Tried::Closed => None,
    };
    let position = to.and_then(|node| search.node(node)).map(|node| game.position(node.state));
    let score = position.and_then(|position| game.score(&position.root));
    Event::Step {
        step,
        evaluations: report::evaluations(search),
        from: edge.parent.number(),
        action: report::action_name(search, plan, edge),
        outcome: game.arrival.name(),
        to: to.map(|node| node.number()),
        root: position.map(|position| position.root.to_string()),
        score: score.map(|score| score.value),
        best: score_of(search, game, search.best_node()),
        feedback: match game.arrival {
            Arrival::Failed => game.complaint.as_deref(),
            _ => score.and_then(|score| score.feedback.as_deref()),
        },
    }
}

fn into_error(error: SearchError<Error>) -> Error {
    match error {
        SearchError::Game(error) => error,
        error => Error::Misuse(format!("the search cannot go on: {error}")),
    }
}
