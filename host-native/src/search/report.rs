// SPDX-License-Identifier: MIT
//! What a search found, as a document: for `--json`, and as one HTML file that needs no network.

use std::collections::HashMap;
use std::time::Duration;

use cascow_core::search::{EdgeId, NodeId, Search};
use cascow_core::snapshot::Change;
use serde::Serialize;

use super::Summary;
use super::game::{Arrival, WorkspaceGame};
use super::plan::{Kept, Plan, Stopped};
use crate::Error;
use crate::patch::patch;
use crate::repository::Repository;
use crate::workspace::Materializer;

const TEMPLATE: &str = include_str!("report.html");
const PLACEHOLDER: &str = "/*CASCOW_REPORT_JSON*/null";

/// All there is to tell about a search.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    cascow: &'static str,
    title: String,
    workspace: String,
    score_command: String,
    seed: u64,
    target: f64,
    stopped: &'static str,
    materializer: &'static str,
    workers: u32,
    resumed: bool,
    /// What was counted and measured.
    pub figures: Figures,
    /// Where it began.
    pub base: BaseReport,
    /// The best state found.
    pub best: BestReport,
    nodes: Vec<NodeReport>,
    edges: Vec<EdgeReport>,
    curve: Vec<CurvePoint>,
}

/// What was counted and measured in a search.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Times that a state's score was asked for; all but `score_cache_hits` ran the score command.
    pub evaluations: u64,
    /// Different states met; each was scored once.
    pub unique_states: usize,
    /// Actions that led to a state met before.
    pub transpositions: u64,
    /// Times that the score was known already.
    pub score_cache_hits: u64,
    /// Actions that changed nothing.
    pub without_effect: u64,
    /// Actions that failed.
    pub failed_actions: u64,
    /// How long it took, in seconds.
    pub elapsed_secs: f64,
    /// Making a private directory of a state, in microseconds.
    pub fork_us: Summary,
    /// Reading a directory back into a state, in microseconds.
    pub seal_us: Summary,
    /// Making a directory of a state that is not the one worked on last nor its child, in microseconds.
    pub backtrack_us: Summary,
}

/// Where a search began.
#[derive(Clone, Debug, Serialize)]
pub struct BaseReport {
    /// The base's root.
    pub root: String,
    /// Its snapshot.
    pub snapshot: String,
    /// Its score.
    pub score: f64,
}

/// The best state of a search.
#[derive(Clone, Debug, Serialize)]
pub struct BestReport {
    node: u32,
    /// Its root.
    pub root: String,
    /// Its snapshot.
    pub snapshot: String,
    /// Its score.
    pub score: f64,
    /// The names of the actions that lead to it from the base, in order.
    pub actions: Vec<String>,
    /// What they changed, as a unified diff; bytes that are not text are replaced.
    pub patch: String,
}

#[derive(Clone, Debug, Serialize)]
struct NodeReport {
    id: u32,
    root: String,
    depth: u32,
    score: f64,
    value: f64,
    visits: u32,
    feedback: Option<String>,
    parent: Option<u32>,
    changes: Vec<ChangeReport>,
}

#[derive(Clone, Debug, Serialize)]
struct ChangeReport {
    change: &'static str,
    path: String,
}

#[derive(Clone, Debug, Serialize)]
struct EdgeReport {
    from: u32,
    action: String,
    to: Option<u32>,
    visits: u32,
    outcome: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct CurvePoint {
    evaluation: usize,
    score: f64,
    best: f64,
    node: u32,
}

/// What a report needs to know of the search besides its graph.
pub(super) struct Context<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) materializer: Materializer,
    pub(super) stopped: Stopped,
    pub(super) elapsed: Duration,
}

impl Report {
    pub(super) fn new(
        context: &Context<'_>,
        repository: &Repository,
        search: &Search<WorkspaceGame<'_>>,
        game: &WorkspaceGame<'_>,
        arrivals: &[(EdgeId, Arrival)],
        (base, best): (&Kept, &Kept),
    ) -> Result<Self, Error> {
        let Context { plan, materializer, stopped, elapsed } = context;
        let tally = &game.tally;
        let path = search.path_to(search.best_node()).unwrap_or_default();
        let actions = path.iter().map(|edge| action_name(search, plan, *edge).to_owned()).collect();
        let diff = patch(repository.store(), &base.state, &best.state, |_| true)?;
        Ok(Self {
            cascow: env!("CARGO_PKG_VERSION"),
            title: plan
                .workspace
                .file_name()
                .unwrap_or(plan.workspace.as_os_str())
                .to_string_lossy()
                .into_owned(),
            workspace: plan.workspace.to_string_lossy().into_owned(),
            score_command: plan.score_command.to_owned(),
            seed: plan.seed,
            target: plan.budget.target,
            stopped: stopped.name(),
            materializer: materializer.name(),
            workers: 1,
            resumed: false,
            figures: Figures {
                evaluations: evaluations(search),
                unique_states: game.unique_states(),
                transpositions: tally.transpositions,
                score_cache_hits: tally.score_cache_hits + search.counts().transpositions,
                without_effect: tally.without_effect,
                failed_actions: tally.failed_actions,
                elapsed_secs: elapsed.as_secs_f64(),
                fork_us: tally.fork.summary(),
                seal_us: tally.seal.summary(),
                backtrack_us: tally.backtrack.summary(),
            },
            base: BaseReport {
                root: base.root.to_string(),
                snapshot: base.snapshot.to_string(),
                score: search.root().evaluation().value,
            },
            best: BestReport {
                node: search.best_node().number(),
                root: best.root.to_string(),
                snapshot: best.snapshot.to_string(),
                score: search.node(search.best_node()).map_or(0.0, |node| node.evaluation().value),
                actions,
                patch: String::from_utf8_lossy(&diff).into_owned(),
            },
            nodes: node_reports(search, game)?,
            edges: edge_reports(context, search, arrivals),
            curve: curve(search, arrivals),
        })
    }
}

/// The report as one HTML page.
///
/// # Errors
/// [`Error::Misuse`] if the document cannot be written as JSON, which numbers that are not finite would prevent.
pub fn html(report: &Report) -> Result<String, Error> {
    let json = serde_json::to_string(report)
        .map_err(|error| Error::Misuse(format!("cannot write the report: {error}")))?;
    // So that no text in it can end the script element that holds it.
    Ok(TEMPLATE.replacen(PLACEHOLDER, &json.replace('<', "\\u003c"), 1))
}

/// The name of the action that an edge stands for.
pub(super) fn action_name<'p>(
    search: &Search<WorkspaceGame<'_>>,
    plan: &Plan<'p>,
    edge: EdgeId,
) -> &'p str {
    let action = search.edge(edge).and_then(|edge| search.action(edge.action()));
    action.and_then(|index| plan.actions.get(*index)).map_or("", |action| &action.name)
}

fn node_reports(
    search: &Search<WorkspaceGame<'_>>,
    game: &WorkspaceGame<'_>,
) -> Result<Vec<NodeReport>, Error> {
    let start = search.root().state().snapshot;
    let report = |(id, node): (NodeId, &cascow_core::search::Node<_>)| {
        let position: &super::game::Position = node.state();
        let changes =
            game.tree.diff(start, position.snapshot)?.into_iter().map(|Change { key, kind }| {
                ChangeReport {
                    change: kind.name(),
                    path: String::from_utf8_lossy(&key).into_owned(),
                }
            });
        Ok(NodeReport {
            id: id.number(),
            root: position.root.to_string(),
            depth: node.depth(),
            score: node.evaluation().value,
            value: node.value(),
            visits: node.visits(),
            feedback: game.score(&position.root).and_then(|score| score.feedback.clone()),
            parent: node.parents().first().map(|parent| parent.number()),
            changes: changes.collect(),
        })
    };
    search.nodes().map(report).collect()
}

fn edge_reports(
    context: &Context<'_>,
    search: &Search<WorkspaceGame<'_>>,
    arrivals: &[(EdgeId, Arrival)],
) -> Vec<EdgeReport> {
    // A node reached first through an edge is new there, also if its state was met with other actions used up.
    let mut first_edges: HashMap<NodeId, EdgeId> = HashMap::new();
    for (edge, _) in arrivals {
        if let Some(child) = search.edge(*edge).and_then(|edge| edge.child()) {
            first_edges.entry(child).or_insert(*edge);
        }
    }
    let report = |(id, arrival): &(EdgeId, Arrival)| {
        let edge = search.edge(*id)?;
        let is_first = edge.child().is_some_and(|child| first_edges.get(&child) == Some(id));
        Some(EdgeReport {
            from: id.parent.number(),
            action: action_name(search, context.plan, *id).to_owned(),
            to: edge.child().map(NodeId::number),
            visits: edge.visits(),
            outcome: if is_first { Arrival::New.name() } else { arrival.name() },
        })
    };
    arrivals.iter().filter_map(report).collect()
}

/// Times that a state's score was asked for: of new nodes, and of those that an action led back to.
pub(super) fn evaluations(search: &Search<WorkspaceGame<'_>>) -> u64 {
    search.counts().evaluations + search.counts().transpositions
}

/// The scores in the order in which they were asked for.
fn curve(search: &Search<WorkspaceGame<'_>>, arrivals: &[(EdgeId, Arrival)]) -> Vec<CurvePoint> {
    let reached = arrivals.iter().filter_map(|(edge, _)| search.edge(*edge)?.child());
    let mut best = 0.0_f64;
    let points =
        std::iter::once(NodeId::ROOT).chain(reached).enumerate().filter_map(|(before, id)| {
            let score = search.node(id)?.evaluation().value;
            best = best.max(score);
            Some(CurvePoint { evaluation: before + 1, score, best, node: id.number() })
        });
    points.collect()
}
