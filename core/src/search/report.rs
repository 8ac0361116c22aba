// SPDX-License-Identifier: MIT
//! Reading a search: its nodes, its counts, and the lines it recommends.

use alloc::vec::Vec;

use super::{ActionId, Counts, Edge, EdgeId, Game, Node, NodeId, Search, select::side};

/// What makes one edge of a node better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The most visited, unless a complete child is known to be as good or better: it needed no more visits.
    Visits,
    /// The best value.
    Value,
}

/// An edge that may be recommended.
struct Candidate {
    id: EdgeId,
    /// In the view of the side to move.
    value: f64,
    visits: u32,
}

impl<G: Game> Search<G> {
    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node<G::State>)> {
        self.graph.ids().zip(self.graph.nodes())
    }

    /// The node named `id`, or `None` if it is of another search.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node<G::State>> {
        self.graph.nodes().get(id.index())
    }

    /// The edge named `id`, or `None` if it is of another search.
    #[must_use]
    pub fn edge(&self, id: EdgeId) -> Option<&Edge> {
        self.node(id.parent)?.edges.get(id.index as usize)
    }

    /// The action named `id`, or `None` if it is of another search.
    #[must_use]
    pub fn action(&self, id: ActionId) -> Option<&G::Action> {
        self.graph.actions().get(id.index())
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Node<G::State> {
        self.graph.node(NodeId::ROOT)
    }

    /// The node of a state, if it was met.
    #[must_use]
    pub fn find(&self, key: &G::Key) -> Option<NodeId> {
        self.graph.find(key)
    }

    /// How much has been done.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The node of the best evaluation for the side to move at the root; of equals, the first met.
    #[must_use]
    pub const fn best_node(&self) -> NodeId {
        self.best
    }

    /// A shortest way from the root to `node`; of equals, through parents met first. `None` if there is no such node.
    #[must_use]
    pub fn path_to(&self, node: NodeId) -> Option<Vec<EdgeId>> {
        let mut path = Vec::new();
        let mut current = node;
        while current != NodeId::ROOT {
            let nearer = self.node(current)?.depth.checked_sub(1)?;
            let parent = *self
                .node(current)?
                .parents
                .iter()
                .find(|&&id| self.graph.node(id).depth == nearer)?;
            path.push(self.edges_of(parent).find(|(_, edge)| edge.child() == Some(current))?.0);
            current = parent;
        }
        path.reverse();
        Some(path)
    }

    /// The edge to take at `node`; of equals, the first in the game's order. `None` if none leads anywhere yet.
    #[must_use]
    pub fn best_edge(&self, node: NodeId, preference: Preference) -> Option<EdgeId> {
        let maximises = self.node(node)?.maximises;
        let mut known: Option<Candidate> = None;
        let mut open: Option<Candidate> = None;
        for (id, edge) in self.edges_of(node) {
            let Some(child) = edge.child().map(|child| self.graph.node(child)) else { continue };
            let candidate =
                Candidate { id, visits: edge.visits, value: side(maximises, child.value) };
            if preference == Preference::Value || child.complete {
                if known.as_ref().is_none_or(|best| candidate.value > best.value) {
                    known = Some(candidate);
                }
            } else if open
                .as_ref()
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
        let mut current = NodeId::ROOT;
        while let Some(edge) = self.best_edge(current, preference) {
            if line.iter().any(|passed| passed.parent == current) {
                break;
            }
            line.push(edge);
            let Some(child) = self.edge(edge).and_then(Edge::child) else { break };
            current = child;
        }
        line
    }

    fn edges_of(&self, parent: NodeId) -> impl Iterator<Item = (EdgeId, &Edge)> {
        let edges = self.node(parent).map(Node::edges).unwrap_or_default();
        (0..).zip(edges).map(move |(index, edge)| (EdgeId { parent, index }, edge))
    }
}
