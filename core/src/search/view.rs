// SPDX-License-Identifier: MIT
//! Reading a search: its nodes, its counts, and the lines it recommends.

use alloc::vec::Vec;

use super::engine::Counts;
use super::facts::Facts;
use super::graph::{EdgeId, EdgeRef, Edges, Link, NodeId};
use super::{Action, Evaluation, Packed, Search, Settings, Turn};

/// One state and what the search knows of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node<S> {
    /// Its name.
    pub id: NodeId,
    /// The game's state.
    pub state: S,
    /// Who decides there.
    pub turn: Turn,
    /// The game's own judgement, of which 24 bits are kept; of a node that was forgotten once, mixed with what was known of it.
    pub evaluation: Evaluation,
    /// The search's judgement, from 0 to 1 in the first player's view. See [`Backup`](super::Backup).
    pub value: f64,
    /// What it is worth at least and at most, as far as that is proven: halves from 0 to 1.
    pub bounds: (f64, f64),
    /// Whether nothing is left to learn below: its value is final.
    pub is_complete: bool,
    /// One for the node itself and one for each time one of its edges was chosen.
    pub visits: u64,
    /// The best evaluation known at or below this node, best for the side that moves at each node on the way; and the shortest
    /// distance from the root known, in actions. Kept where all ancestors learn at once.
    pub wide: Option<Wide>,
}

/// What is known of a node where all ancestors learn at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wide {
    /// The best evaluation known at or below this node, best for the side that moves at each node on the way.
    pub best: f64,
    /// The shortest distance from the root known, in actions.
    pub depth: u32,
}

/// Where an edge leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Not known yet.
    Untried,
    /// Not known yet, but a worker is finding out.
    Claimed,
    /// Nowhere: the action does not apply here, or changes nothing.
    Closed,
    /// To this node.
    Node(NodeId),
    /// To a node that was forgotten, with what it was worth.
    Forgotten(f64),
}

/// One action at one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Its name.
    pub id: EdgeId,
    /// The action taken along it.
    pub action: Action,
    /// The game's prior, scaled so that a node's priors sum to one.
    pub prior: f64,
    /// How often the search chose this edge at its parent; visits of the child by other ways do not count.
    pub visits: u32,
    /// Where it leads.
    pub target: Target,
}

impl Edge {
    /// The node the edge leads to, if there is one.
    #[must_use]
    pub const fn child(&self) -> Option<NodeId> {
        match self.target {
            Target::Node(child) => Some(child),
            Target::Untried | Target::Claimed | Target::Closed | Target::Forgotten(_) => None,
        }
    }
}

/// What makes one edge of a node better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The most visited, unless one whose value is final is as good or better: it needed no more visits.
    Visits,
    /// The best value.
    Value,
}

/// An edge that may be recommended.
#[derive(Clone, Copy)]
struct Candidate {
    id: EdgeId,
    /// In the view of the side to move.
    value: f64,
    visits: u32,
}

impl<S: Packed> Search<S> {
    /// The settings it was begun with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// How much has been done.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes that the graph takes: nodes, edges and the index of states, as counted against the limit. Memory that was asked
    /// for in advance is up to a sixteenth more.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.graph.bytes()
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.graph.len()
    }

    /// Whether there is no node. There is always the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Node<S> {
        self.view(self.shared.root)
    }

    /// The node named `id`, or `None` if there is none.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<Node<S>> {
        self.is_node(id).then(|| self.view(id.0))
    }

    /// The node of a number that came from [`NodeId::number`], or `None` if there is none now.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<NodeId> {
        Some(NodeId(number)).filter(|id| self.is_node(*id))
    }

    fn is_node(&self, id: NodeId) -> bool {
        let end = self.shared.graph.nodes_end.load(core::sync::atomic::Ordering::Relaxed);
        id.0 < end && self.shared.graph.facts(id.0) != Facts::FREE
    }

    fn view(&self, node: u32) -> Node<S> {
        let graph = &self.shared.graph;
        let (value, facts) = graph.value_and_facts(node);
        let edges = graph.edges(node).into_iter().flat_map(Edges::iter);
        let visits = edges.map(|edge| u64::from(edge.visits())).sum::<u64>();
        let bounds = facts.bounds();
        Node {
            id: NodeId(node),
            state: graph.state(node),
            turn: facts.turn(),
            evaluation: Evaluation { value: graph.evaluation(node), terminal: facts.is_terminal() },
            value,
            bounds: (f64::from(bounds.lowest) / 2.0, f64::from(bounds.highest) / 2.0),
            is_complete: facts.is_complete(),
            visits: visits + u64::from(facts.weight()),
            wide: graph
                .layout
                .wide
                .then(|| Wide { best: graph.best(node), depth: graph.depth(node) }),
        }
    }

    /// All nodes, by their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = Node<S>> {
        self.shared.graph.nodes().map(|node| self.view(node))
    }

    /// The node of a state, if it was met.
    #[must_use]
    pub fn find(&self, state: &S) -> Option<NodeId> {
        self.shared.graph.find(state).map(NodeId)
    }

    /// A node's edges in the game's order, or if it is widened progressively by falling priors. None until it was first entered.
    pub fn edges(&self, id: NodeId) -> impl Iterator<Item = Edge> {
        let edges = self.is_node(id).then(|| self.shared.graph.edges(id.0)).flatten();
        let even = edges.map_or(0.0, Edges::even_share);
        let edges = edges.into_iter().flat_map(Edges::iter).enumerate();
        edges.map(move |(index, edge)| {
            // A node has fewer than 2^16 edges.
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            edge_view(EdgeId { parent: id, index }, edge, even)
        })
    }

    /// The edge named `id`, or `None` if there is none.
    #[must_use]
    pub fn edge(&self, id: EdgeId) -> Option<Edge> {
        self.edges(id.parent).nth(usize::try_from(id.index).ok()?)
    }

    /// The nodes that an edge to this one leaves, in the order in which they were linked. Kept where all ancestors learn at once;
    /// none elsewhere.
    #[must_use]
    pub fn parents(&self, id: NodeId) -> Vec<NodeId> {
        let mut parents = Vec::new();
        if self.is_node(id) {
            let linked: Vec<u32> = self.shared.graph.parents(id.0).collect();
            for node in linked.into_iter().rev().map(NodeId) {
                if !parents.contains(&node) {
                    parents.push(node);
                }
            }
        }
        parents
    }

    /// The node of the best evaluation for the side to move at the root; of equals, the first met. Kept where all ancestors learn at
    /// once; elsewhere, the root.
    #[must_use]
    pub const fn best_node(&self) -> NodeId {
        NodeId(self.best)
    }

    /// A shortest way from the root to `node`; of equals, through parents linked first. `None` if there is no such node, or parents
    /// are not kept.
    #[must_use]
    pub fn path_to(&self, node: NodeId) -> Option<Vec<EdgeId>> {
        let mut path = Vec::new();
        let mut current = node;
        while current.0 != self.shared.root {
            let nearer = self.node(current)?.wide?.depth.checked_sub(1)?;
            let parents = self.parents(current);
            let is_nearer = |id: &&NodeId| self.shared.graph.depth(id.0) == nearer;
            let parent = *parents.iter().find(is_nearer)?;
            path.push(self.edges(parent).find(|edge| edge.child() == Some(current))?.id);
            current = parent;
        }
        path.reverse();
        Some(path)
    }

    /// The edge to take at `node`; of equals, the first in the game's order. `None` if none leads anywhere yet.
    #[must_use]
    pub fn best_edge(&self, node: NodeId, preference: Preference) -> Option<EdgeId> {
        let maximises = self.node(node)?.turn != Turn::Second;
        let side = |value: f64| if maximises { value } else { 1.0 - value };
        let mut known: Option<Candidate> = None;
        let mut open: Option<Candidate> = None;
        for edge in self.edges(node) {
            let (value, complete) = match edge.target {
                Target::Node(child) => {
                    let (value, facts) = self.shared.graph.value_and_facts(child.0);
                    (value, facts.is_complete())
                }
                Target::Forgotten(value) => (value, false),
                Target::Untried | Target::Claimed | Target::Closed => continue,
            };
            let candidate = Candidate { id: edge.id, visits: edge.visits, value: side(value) };
            if preference == Preference::Value || complete {
                if known.is_none_or(|best| candidate.value > best.value) {
                    known = Some(candidate);
                }
            } else if open
                .is_none_or(|best| (candidate.visits, candidate.value) > (best.visits, best.value))
            {
                open = Some(candidate);
            }
        }
        match (known, open) {
            (Some(known), Some(open)) if open.value > known.value => Some(open.id),
            (known, open) => known.or(open).map(|best| best.id),
        }
    }

    /// The line of best edges from the root, until it ends or would repeat a state.
    #[must_use]
    pub fn principal_variation(&self, preference: Preference) -> Vec<EdgeId> {
        let mut line: Vec<EdgeId> = Vec::new();
        let mut current = NodeId(self.shared.root);
        while let Some(edge) = self.best_edge(current, preference) {
            if line.iter().any(|passed| passed.parent == current) {
                break;
            }
            line.push(edge);
            let Some(child) = self.edge(edge).and_then(|edge| edge.child()) else { break };
            current = child;
        }
        line
    }
}

fn edge_view(id: EdgeId, edge: EdgeRef<'_>, even: f64) -> Edge {
    let target = match edge.link() {
        Link::Untried => Target::Untried,
        Link::Claimed => Target::Claimed,
        Link::Closed => Target::Closed,
        Link::Node(child) => Target::Node(NodeId(child)),
        Link::Forgotten { value, .. } => Target::Forgotten(value),
    };
    Edge {
        id,
        action: Action(edge.action()),
        prior: edge.prior().unwrap_or(even),
        visits: edge.visits(),
        target,
    }
}
