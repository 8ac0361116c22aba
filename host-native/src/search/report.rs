// SPDX-License-Identifier: MIT
//! What a search found, as a document: for `--json`, and as one HTML file that needs no network.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use cascow_core::search::{EdgeId, Node, NodeId};
use cascow_core::store::ObjectStore;
use serde::Serialize;

use super::Summary;
use super::graph::{
    Differences, EdgeOutcome, FirstWay, Graph, GraphEdge, GraphNode, PageGraph, PathChange, Since,
};
use super::plan::{Kept, Plan, Stopped};
use super::session::{Arrival, Session};
use super::states::{Difference, Handle, StateId, States};
use crate::Error;
use crate::error::ErrorKind;
use crate::patch::patch_values;
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
    /// States that could be read no more and not be made again.
    pub lost_states: usize,
    /// States that were forgotten, to stay within the bytes that were allowed.
    pub forgotten: u64,
    /// Proposals beyond those of which any were taken at one state.
    pub proposals_left_out: u64,
    /// Lines of proposers that were no proposals.
    pub bad_proposals: u64,
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
    pub(super) plan: &'a Plan,
    pub(super) materializer: Materializer,
    pub(super) stopped: Stopped,
    pub(super) elapsed: Duration,
    pub(super) resumed: bool,
    /// What changed from the base to the best state.
    pub(super) patch: Vec<u8>,
}

impl Report {
    pub(super) fn new(
        context: Context<'_>,
        repository: &Repository,
        session: &mut Session,
        (base, best): (&Kept, &Kept),
    ) -> Result<Self, Error> {
        let Context { plan, materializer, stopped, elapsed, resumed, patch } = context;
        let graph = graph(repository, session)?;
        let tally = &session.tally;
        let counts = session.search()?.counts();
        let base_score = session.states.score(session.states.base());
        let found = session.best()?;
        Ok(Self {
            cascow: env!("CARGO_PKG_VERSION"),
            title: plan
                .workspace
                .file_name()
                .unwrap_or(plan.workspace.as_os_str())
                .to_string_lossy()
                .into_owned(),
            workspace: plan.workspace.to_string_lossy().into_owned(),
            score_command: plan.score_command.clone(),
            seed: plan.seed,
            target: plan.budget.target,
            stopped: stopped.name(),
            materializer: materializer.name(),
            workers: plan.workers,
            resumed,
            figures: Figures {
                evaluations: session.evaluations(),
                unique_states: tally.unique_states,
                transpositions: tally.transpositions,
                score_cache_hits: tally.score_cache_hits + counts.transpositions,
                without_effect: tally.without_effect,
                failed_actions: tally.failed_actions,
                lost_states: session.states.lost_len(),
                forgotten: counts.forgotten,
                proposals_left_out: tally.proposals_left_out,
                bad_proposals: tally.proposals_bad,
                elapsed_secs: elapsed.as_secs_f64(),
                fork_us: tally.fork.summary(),
                seal_us: tally.seal.summary(),
                backtrack_us: tally.backtrack.summary(),
            },
            base: BaseReport {
                root: base.root.to_string(),
                snapshot: base.snapshot.to_string(),
                score: base_score.map_or(0.0, |score| score.value),
            },
            best: BestReport {
                node: found.number,
                root: best.root.to_string(),
                snapshot: best.snapshot.to_string(),
                score: found.score,
                actions: session.way_to_best()?,
                patch: String::from_utf8_lossy(&patch).into_owned(),
            },
            graph,
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

/// The search's graph as plain data, and what a page holds of it.
fn graph(repository: &Repository, session: &mut Session) -> Result<PageGraph, Error> {
    let search = session.search()?;
    let arrivals = session.arrivals();
    let nodes: Vec<Node<Handle>> = search.nodes().collect();
    let places: HashMap<NodeId, usize> =
        nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect();
    let place = |id: NodeId| places.get(&id).copied();
    let action_of = |id: EdgeId| usize::try_from(search.edge(id)?.action.0).ok();

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
                Arrival::Failed | Arrival::Lost => EdgeOutcome::Failed,
            },
        })
    };
    let node = |node: &Node<Handle>| {
        let position = session.states.position(node.state)?;
        let score = session.states.score(position.state);
        Ok(GraphNode {
            number: node.id.number(),
            root: position.root.to_string(),
            depth: node.wide.map_or(0, |wide| wide.depth),
            score: score.map_or(node.evaluation.value, |score| score.value),
            value: node.value,
            visits: node.visits,
            feedback: score.and_then(|score| score.feedback.clone()),
            first: first_way(node.id),
        })
    };
    let state = |node: &Node<Handle>| Ok(session.states.position(node.state)?.state);
    let reached = arrivals.iter().filter_map(|(edge, _)| search.edge(*edge)?.child());
    let root = search.root().id;
    let graph = Graph {
        actions: session.actions.names().map(str::to_owned).collect(),
        nodes: nodes.iter().map(node).collect::<Result<_, Error>>()?,
        edges: arrivals.iter().filter_map(edge).collect(),
        evaluations: std::iter::once(root).chain(reached).filter_map(place).collect(),
    };
    let best = session.best()?.state;
    let states: Vec<StateId> = nodes.iter().map(state).collect::<Result<_, Error>>()?;
    // Of the states that are the best one's, the one that was met first; none is left if it was forgotten.
    let best = states.iter().position(|state| *state == best).or(place(root)).unwrap_or(0);
    let differences = StateDifferences {
        store: repository.store(),
        known: RefCell::new(&mut session.states),
        states,
        graph: &graph,
    };
    PageGraph::new(&graph, best, &differences)
}

/// How the states of a search differ.
struct StateDifferences<'a, S> {
    store: &'a S,
    known: RefCell<&'a mut States>,
    /// Of each node.
    states: Vec<StateId>,
    graph: &'a Graph,
}

impl<S> StateDifferences<'_, S> {
    /// The state that a node is compared with, and its own.
    fn sides(&self, node: usize, since: Since) -> [StateId; 2] {
        let origin = match since {
            Since::Base => 0,
            Since::Parent => self.graph.nodes[node].first.map_or(node, |first| first.parent),
        };
        [self.states[origin], self.states[node]]
    }
}

impl<S: ObjectStore> Differences for StateDifferences<'_, S> {
    fn changes(&self, node: usize, since: Since) -> Result<Vec<PathChange>, Error> {
        let [before, after] = self.sides(node, since);
        let differences = self.known.borrow_mut().differences(before, after)?;
        let change = |Difference { change, before, after }: Difference| {
            let mut contents = Vec::new();
            for side in [&before, &after] {
                // The bytes that a state maps a path to say which content it has; its length keeps the two apart.
                let bytes = side.as_ref().map_or(&[][..], |value| &value.bytes);
                contents.extend(bytes.len().to_le_bytes());
                contents.extend(bytes);
            }
            PathChange { kind: change.kind, path: change.key.into_vec(), contents }
        };
        Ok(differences.into_iter().map(change).collect())
    }

    fn patch(&self, node: usize, since: Since, change: &PathChange) -> Result<Vec<u8>, Error> {
        let [before, after] = self.sides(node, since);
        let mut known = self.known.borrow_mut();
        let before = known.value(before, &change.path)?;
        let after = known.value(after, &change.path)?;
        let (before, after) = (before.as_ref(), after.as_ref());
        let patch = patch_values(self.store, &change.path, before, after, MAX_COMPARED_LEN);
        match patch {
            // What is lost must not take the report with it.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                Ok(format!("lost: {error}\n").into_bytes())
            }
            patch => patch,
        }
    }
}
