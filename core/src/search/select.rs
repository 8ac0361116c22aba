// SPDX-License-Identifier: MIT
//! Choosing which edge to try next: PUCT with first-play urgency, descending from the root to an untried edge.
//!
//! Complete nodes are not entered, since there is nothing left to learn below them. A node already on the path is not
//! entered either, so a descent cannot run in circles. Equal scores go to the lowest index; no chance is involved.

use alloc::vec::Vec;
use core::hash::Hash;

use hashbrown::HashSet;

use super::{
    Settings,
    graph::{EdgeId, Graph, NodeId, Target},
};

/// The way of one step through the graph.
pub(super) struct Descent {
    /// The edges walked, from the root on.
    pub(super) path: Vec<EdgeId>,
    /// The edge to try at the path's end. Without it, nothing is left to try.
    pub(super) untried: Option<EdgeId>,
    /// Nodes that were entered and left again since all their ways are complete or lead back to the path; a node
    /// comes before those from which it was entered.
    pub(super) dead_ends: Vec<NodeId>,
}

impl<S, A: Clone + Eq + Hash, K: Eq + Hash> Graph<S, A, K> {
    /// Walks from the root, by the best edge at each node, until an edge is untried.
    pub(super) fn descend(&self, settings: &Settings) -> Descent {
        let mut descent = Descent { path: Vec::new(), untried: None, dead_ends: Vec::new() };
        let mut current = NodeId::ROOT;
        let mut barred = HashSet::from([current]);
        loop {
            if let Some(edge) = self.select(current, settings, &barred) {
                let Some(child) = self.edge(edge).child() else {
                    descent.untried = Some(edge);
                    return descent;
                };
                descent.path.push(edge);
                barred.insert(child);
                current = child;
            } else {
                descent.dead_ends.push(current);
                let Some(edge) = descent.path.pop() else {
                    return descent;
                };
                current = edge.parent;
            }
        }
    }

    /// The edge of `id` with the highest score: `Q + c · P · √N / (1 + N_e)` (Silver et al., "Mastering the game of Go
    /// without human knowledge", 2017), with Q in the view of the side to move.
    fn select(&self, id: NodeId, settings: &Settings, barred: &HashSet<NodeId>) -> Option<EdgeId> {
        let node = self.node(id);
        if node.complete {
            return None;
        }
        let breadth = settings.exploration * libm::sqrt(f64::from(node.visits()));
        let mut chosen: Option<(u32, f64)> = None;
        for (index, edge) in (0..).zip(&node.edges) {
            let value = match edge.target {
                Target::Closed => continue,
                Target::Node(child) if self.node(child).complete || barred.contains(&child) => {
                    continue;
                }
                Target::Node(child) => side(node.maximises, self.node(child).value),
                Target::Untried if node.depth >= settings.depth_limit => continue,
                Target::Untried => {
                    let expected = node.value + settings.gain_weight * self.gain(edge.action);
                    side(node.maximises, expected) - settings.first_play_reduction
                }
            };
            let score = value + breadth * edge.prior / (1.0 + f64::from(edge.visits));
            if chosen.is_none_or(|(_, best)| score > best) {
                chosen = Some((index, score));
            }
        }
        chosen.map(|(index, _)| EdgeId { parent: id, index })
    }
}

/// The first player's `value` as the side to move sees it.
pub(super) fn side(maximises: bool, value: f64) -> f64 {
    if maximises { value } else { 1.0 - value }
}
