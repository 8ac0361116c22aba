// SPDX-License-Identifier: MIT
//! The graph: one node for each distinct state, edges with visit counts, interned actions.
//!
//! Guarantees that a key names one node, that every node is reached from the root by the edges that lead to it, and
//! that a node's depth is its shortest known distance from the root. What values mean is left to the backup.

use alloc::{vec, vec::Vec};
use core::hash::Hash;

use hashbrown::HashMap;

use super::Evaluation;

/// Names a node of one search. Nodes are numbered in the order they were met; the root is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node that the search began with.
    pub const ROOT: Self = Self(0);

    /// The node's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    fn at(index: usize) -> Option<Self> {
        u32::try_from(index).ok().map(Self)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names an edge: the node it leaves, and its place among that node's edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId {
    /// The node that the edge leaves.
    pub parent: NodeId,
    /// Its place in [`Node::edges`], which is the action's place in the game's order.
    pub index: u32,
}

/// Names one of the distinct actions that a search has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(u32);

impl ActionId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an edge leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Not known yet.
    Untried,
    /// Nowhere: the action does not apply here, or changes nothing.
    Closed,
    /// To this node.
    Node(NodeId),
}

/// One action at one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    pub(super) action: ActionId,
    pub(super) prior: f64,
    pub(super) visits: u32,
    pub(super) target: Target,
}

impl Edge {
    /// The action taken along this edge.
    #[must_use]
    pub const fn action(&self) -> ActionId {
        self.action
    }

    /// The game's prior, scaled so that a node's priors sum to one.
    #[must_use]
    pub const fn prior(&self) -> f64 {
        self.prior
    }

    /// How often the search chose this edge at its parent; visits of the child by other ways do not count.
    #[must_use]
    pub const fn visits(&self) -> u32 {
        self.visits
    }

    /// Where the edge leads.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// The node the edge leads to, if it has been tried and leads anywhere.
    #[must_use]
    pub const fn child(&self) -> Option<NodeId> {
        match self.target {
            Target::Node(child) => Some(child),
            Target::Untried | Target::Closed => None,
        }
    }
}

/// One state and what the search knows of it.
#[derive(Clone, Debug)]
pub struct Node<S> {
    pub(super) state: S,
    pub(super) evaluation: Evaluation,
    pub(super) maximises: bool,
    pub(super) depth: u32,
    pub(super) value: f64,
    pub(super) best: f64,
    pub(super) complete: bool,
    pub(super) edges: Vec<Edge>,
    pub(super) parents: Vec<NodeId>,
    /// The last walk over ancestors that passed here, so that a walk costs nothing for nodes it does not meet.
    pub(super) walk: u64,
}

impl<S> Node<S> {
    /// The game's state.
    #[must_use]
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// The game's own judgement of the state, made once.
    #[must_use]
    pub const fn evaluation(&self) -> Evaluation {
        self.evaluation
    }

    /// The search's judgement, from 0 to 1 in the first player's view. See [`Backup`](super::Backup).
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// The best evaluation known at or below this node, best for the side that moves at each node on the way.
    #[must_use]
    pub const fn best(&self) -> f64 {
        self.best
    }

    /// One for the node itself and one for each time one of its edges was chosen. O(edges).
    #[must_use]
    pub fn visits(&self) -> u32 {
        self.edges.iter().fold(1, |sum, edge| sum.saturating_add(edge.visits))
    }

    /// The shortest distance from the root known, in actions.
    #[must_use]
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// Whether the side to move wants a high value.
    #[must_use]
    pub const fn maximises(&self) -> bool {
        self.maximises
    }

    /// Whether no edge that could still be tried is reached from here.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The node's edges in the game's order; none if the state is terminal.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The nodes that an edge to this one leaves, in the order they were met.
    #[must_use]
    pub fn parents(&self) -> &[NodeId] {
        &self.parents
    }

    /// `a` if the side to move prefers it to `b`, or else `b`.
    pub(super) fn better(&self, a: f64, b: f64) -> f64 {
        if (a > b) == self.maximises { a } else { b }
    }
}

/// What an action has brought where it was tried.
#[derive(Clone, Copy, Debug, Default)]
struct Gain {
    sum: f64,
    edges: u32,
}

pub(super) struct Graph<S, A, K> {
    nodes: Vec<Node<S>>,
    by_key: HashMap<K, NodeId>,
    actions: Vec<A>,
    gains: Vec<Gain>,
    by_action: HashMap<A, ActionId>,
    walks: u64,
}

impl<S, A: Clone + Eq + Hash, K: Eq + Hash> Graph<S, A, K> {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            by_key: HashMap::new(),
            actions: Vec::new(),
            gains: Vec::new(),
            by_action: HashMap::new(),
            walks: 0,
        }
    }

    pub(super) fn nodes(&self) -> &[Node<S>] {
        &self.nodes
    }

    pub(super) fn node(&self, id: NodeId) -> &Node<S> {
        &self.nodes[id.index()]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node<S> {
        &mut self.nodes[id.index()]
    }

    pub(super) fn edge(&self, id: EdgeId) -> &Edge {
        &self.node(id.parent).edges[id.index as usize]
    }

    pub(super) fn edge_mut(&mut self, id: EdgeId) -> &mut Edge {
        &mut self.node_mut(id.parent).edges[id.index as usize]
    }

    pub(super) fn find(&self, key: &K) -> Option<NodeId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<S, A, K> {
        (0..).map(NodeId)
    }

    pub(super) fn actions(&self) -> &[A] {
        &self.actions
    }

    pub(super) fn action(&self, id: ActionId) -> &A {
        &self.actions[id.index()]
    }

    /// What `action` brought on average where it was tried; nothing is expected of one never tried.
    pub(super) fn gain(&self, action: ActionId) -> f64 {
        let gain = self.gains[action.index()];
        if gain.edges == 0 { 0.0 } else { gain.sum / f64::from(gain.edges) }
    }

    /// The id that the next node will have, or `None` when 32 bits cannot name it.
    pub(super) fn next_id(&self) -> Option<NodeId> {
        NodeId::at(self.nodes.len())
    }

    /// Names `action`, or returns `None` when 32 bits cannot.
    pub(super) fn intern(&mut self, action: A) -> Option<ActionId> {
        if let Some(&id) = self.by_action.get(&action) {
            return Some(id);
        }
        let id = ActionId(u32::try_from(self.actions.len()).ok()?);
        self.actions.push(action.clone());
        self.gains.push(Gain::default());
        self.by_action.insert(action, id);
        Some(id)
    }

    /// Adds a node. `id` must come from [`next_id`](Self::next_id), and `key` must be new.
    pub(super) fn insert(&mut self, id: NodeId, key: K, node: Node<S>) {
        debug_assert_eq!(Some(id), self.next_id());
        self.nodes.push(node);
        self.by_key.insert(key, id);
    }

    /// Lets an untried edge lead to `child`. Returns the nodes, `child` included, that came nearer to the root by it.
    pub(super) fn link(&mut self, edge: EdgeId, child: NodeId) -> Vec<NodeId> {
        let gained = self.node(child).evaluation.value - self.node(edge.parent).evaluation.value;
        let action = self.edge(edge).action;
        let gain = &mut self.gains[action.index()];
        gain.sum += gained;
        gain.edges = gain.edges.saturating_add(1);

        self.edge_mut(edge).target = Target::Node(child);
        let parents = &mut self.node_mut(child).parents;
        if !parents.contains(&edge.parent) {
            parents.push(edge.parent);
        }
        self.shorten(child, self.node(edge.parent).depth.saturating_add(1))
    }

    /// Moves `node` to `depth` if that is nearer, and what lies below it accordingly.
    fn shorten(&mut self, node: NodeId, depth: u32) -> Vec<NodeId> {
        let mut nearer = Vec::new();
        let mut queue = vec![(node, depth)];
        while let Some((id, depth)) = queue.pop() {
            let node = self.node_mut(id);
            if depth < node.depth {
                node.depth = depth;
                nearer.push(id);
                let children = self.node(id).edges.iter().filter_map(Edge::child);
                queue.extend(children.map(|child| (child, depth.saturating_add(1))));
            }
        }
        nearer
    }

    /// `sources` and all nodes from which they are reached, each once. Where there is no cycle, a node comes before
    /// its parents; in a cycle one of the edges is disregarded. O(nodes + edges) of the answer.
    pub(super) fn ancestry(&mut self, sources: &[NodeId]) -> Vec<NodeId> {
        self.walks += 1;
        let mut finished = Vec::new();
        let mut stack = Vec::new();
        for &source in sources {
            if self.pass(source) {
                stack.push((source, 0));
            }
            while let Some((node, next)) = stack.last_mut() {
                if let Some(&parent) = self.node(*node).parents.get(*next) {
                    *next += 1;
                    if self.pass(parent) {
                        stack.push((parent, 0));
                    }
                } else {
                    finished.push(*node);
                    stack.pop();
                }
            }
        }
        finished.reverse();
        finished
    }

    /// Whether the present walk meets `node` for the first time.
    fn pass(&mut self, node: NodeId) -> bool {
        let walk = self.walks;
        core::mem::replace(&mut self.node_mut(node).walk, walk) != walk
    }
}
