// SPDX-License-Identifier: MIT
//! What a search found, as a document: for `--json`, and as one HTML file that needs no network.

use std::collections::HashMap;
use std::time::Duration;

use cascow_core::search::{EdgeId, Node, NodeId, Search};
use cascow_core::snapshot::{Change, SnapshotId, SnapshotTree, Value};
use cascow_core::store::ObjectStore;
use serde::Serialize;

use super::Summary;
use super::game::{Arrival, Handle, WorkspaceGame};
use super::graph::{
    Differences, EdgeOutcome, FirstWay, Graph, GraphEdge, GraphNode, PageGraph, PathChange, Since,
};
use super::plan::{Kept, Plan, Stopped};
use crate::Error;
use crate::patch::{patch, patch_values};
use crate::repository::Repository;
use crate::workspace::Materializer;

const TEMPLATE: &str = include_str!("report.html");
/// Longest file that is compared line by line for a state that is not the best: there are thousands of them.
const MAX_COMPARED_LEN: u64 = 128 << 10;

const PLACEHOLDER: &str = "/*CASCOW_REPORT_JSON*/null";

/// All there is to tell about a search.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version that wrote it.
    pub cascow: &'static str,
    /// The workspace's name.
    pub title: String,
    /// The workspace's path.
    pub workspace: String,
    /// The command that scored.
    pub score_command: String,
    /// What decided the order of equals.
    pub seed: u64,
    /// The score that was to be reached.
    pub target: f64,
    /// Why it stopped: a name of [`Stopped`].
    pub stopped: &'static str,
    /// How private directories were made.
    pub materializer: &'static str,
    /// How many searched at a time.
    pub workers: u32,
    /// Whether it continued an earlier search.
    pub resumed: bool,
    /// What was counted and measured.
    pub figures: Figures,
    /// Where it began.
    pub base: BaseReport,
    /// The best state found.
    pub best: BestReport,
    /// What it went through.
    pub graph: PageGraph,
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
    /// What it is called in events.
    pub node: u32,
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
        search: &Search<Handle>,
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
                score: game.score(&base.root).map_or(0.0, |score| score.value),
            },
            best: BestReport {
                node: search.best_node().number(),
                root: best.root.to_string(),
                snapshot: best.snapshot.to_string(),
                score: game.score(&best.root).map_or(0.0, |score| score.value),
                actions,
                patch: String::from_utf8_lossy(&diff).into_owned(),
            },
            graph: graph(plan, repository, search, game, arrivals)?,
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
pub(super) fn action_name<'p>(search: &Search<Handle>, plan: &Plan<'p>, edge: EdgeId) -> &'p str {
    let action = search.edge(edge).and_then(|edge| plan.actions.get(edge.action.0 as usize));
    action.map_or("", |action| &action.name)
}

/// The search's graph as plain data, and what a page holds of it.
fn graph(
    plan: &Plan<'_>,
    repository: &Repository,
    search: &Search<Handle>,
    game: &WorkspaceGame<'_>,
    arrivals: &[(EdgeId, Arrival)],
) -> Result<PageGraph, Error> {
    let nodes: Vec<Node<Handle>> = search.nodes().collect();
    let places: HashMap<NodeId, usize> =
        nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect();
    let place = |id: NodeId| places.get(&id).copied();
    let action_of = |id: EdgeId| Some(search.edge(id)?.action.0 as usize);

    // A node reached first through an edge is new there, also if its state was met with other actions used up.
    let mut first_edges: HashMap<NodeId, EdgeId> = HashMap::new();
    for (id, _) in arrivals {
        if let Some(child) = search.edge(*id).and_then(|edge| edge.child()) {
            first_edges.entry(child).or_insert(*id);
        }
    }
    let first_way = |id: NodeId| {
        let edge = *first_edges.get(&id)?;
        Some(FirstWay { parent: place(edge.parent)?, action: action_of(edge)? })
    };
    let edge = |(id, arrival): &(EdgeId, Arrival)| {
        let edge = search.edge(*id)?;
        let is_first = edge.child().is_some_and(|child| first_edges.get(&child) == Some(id));
        Some(GraphEdge {
            from: place(id.parent)?,
            action: action_of(*id)?,
            to: edge.child().and_then(place),
            visits: edge.visits.into(),
            outcome: match arrival {
                Arrival::Transposition if !is_first => EdgeOutcome::Transposition,
                Arrival::New | Arrival::Transposition => EdgeOutcome::New,
                Arrival::NoEffect => EdgeOutcome::NoEffect,
                Arrival::Failed => EdgeOutcome::Failed,
            },
        })
    };
    let node = |node: &Node<Handle>| {
        let root = game.position(node.state).root;
        GraphNode {
            number: node.id.number(),
            root: root.to_string(),
            depth: node.wide.map_or(0, |wide| wide.depth),
            score: game.score(&root).map_or(node.evaluation.value, |score| score.value),
            value: node.value,
            visits: node.visits,
            feedback: game.score(&root).and_then(|score| score.feedback.clone()),
            first: first_way(node.id),
        }
    };
    let reached = arrivals.iter().filter_map(|(edge, _)| search.edge(*edge)?.child());
    let graph = Graph {
        actions: plan.actions.iter().map(|action| action.name.clone()).collect(),
        nodes: nodes.iter().map(node).collect(),
        edges: arrivals.iter().filter_map(edge).collect(),
        evaluations: std::iter::once(search.root().id).chain(reached).filter_map(place).collect(),
    };
    let differences = TreeDifferences {
        store: repository.store(),
        tree: &game.tree,
        snapshots: nodes.iter().map(|node| game.position(node.state).snapshot).collect(),
        graph: &graph,
    };
    PageGraph::new(&graph, place(search.best_node()).unwrap_or(0), &differences)
}

/// How states differ that stand in a tree of snapshots.
struct TreeDifferences<'a, S> {
    store: &'a S,
    tree: &'a SnapshotTree,
    /// Of each node.
    snapshots: Vec<SnapshotId>,
    graph: &'a Graph,
}

impl<S> TreeDifferences<'_, S> {
    /// The snapshot that a node is compared with, and its own.
    fn sides(&self, node: usize, since: Since) -> [SnapshotId; 2] {
        let origin = match since {
            Since::Base => 0,
            Since::Parent => self.graph.nodes[node].first.map_or(node, |first| first.parent),
        };
        [self.snapshots[origin], self.snapshots[node]]
    }
}

impl<S: ObjectStore> Differences for TreeDifferences<'_, S> {
    fn changes(&self, node: usize, since: Since) -> Result<Vec<PathChange>, Error> {
        let [before, after] = self.sides(node, since);
        let mut changes = Vec::new();
        for Change { key, kind } in self.tree.diff(before, after)? {
            let mut contents = Vec::new();
            for side in [before, after] {
                // The bytes that a state maps a path to say which content it has; its length keeps the two apart.
                let bytes = self.tree.get(side, &key)?.map_or(&[][..], |value| value.bytes);
                contents.extend(bytes.len().to_le_bytes());
                contents.extend(bytes);
            }
            changes.push(PathChange { kind, path: key.into_vec(), contents });
        }
        Ok(changes)
    }

    fn patch(&self, node: usize, since: Since, change: &PathChange) -> Result<Vec<u8>, Error> {
        let [before, after] = self.sides(node, since);
        let value = |side| Ok(self.tree.get(side, &change.path)?.map(Value::from));
        let [before, after]: [Result<Option<Value>, Error>; 2] = [value(before), value(after)];
        patch_values(self.store, &change.path, before?.as_ref(), after?.as_ref(), MAX_COMPARED_LEN)
    }
}

/// Times that a state's score was asked for: of new nodes, and of those that an action led back to.
pub(super) fn evaluations(search: &Search<Handle>) -> u64 {
    search.counts().evaluations + search.counts().transpositions
}
