// SPDX-License-Identifier: MIT
//! Recomputing what nodes are worth from their children.
//!
//! A value is a function of the graph alone: of the node's own evaluation, the visits of its edges and the values of
//! its children. Nothing is accumulated, so a child shared by two parents cannot be counted twice, and doing the work
//! again changes nothing (D. Wu, "Monte-Carlo Graph Search from First Principles", KataGo, 2024). On a cycle each renewal
//! is one Gauss-Seidel sweep towards the one solution, for each node's own evaluation keeps its weight. Which nodes are
//! renewed is decided by the step.

use core::hash::Hash;

use super::{
    Backup, Settings,
    graph::{Edge, Graph, Node, NodeId, Target},
};

impl<S, A: Clone + Eq + Hash, K: Eq + Hash> Graph<S, A, K> {
    /// Renews the values and completeness of `nodes`, in which a node should come before its parents. O(their edges).
    pub(super) fn renew(&mut self, nodes: &[NodeId], settings: &Settings) {
        self.renew_completeness(nodes, settings.depth_limit);
        for &id in nodes {
            let best = self.best_of(self.node(id));
            self.node_mut(id).best = best;
            let value = self.value_of(self.node(id), settings.backup);
            self.node_mut(id).value = value;
        }
    }

    /// All are taken as complete, then reopened from the edges still untried: a cycle of nodes with nothing left to
    /// try is complete too, which no induction from its members would find.
    fn renew_completeness(&mut self, nodes: &[NodeId], depth_limit: u32) {
        for &id in nodes {
            self.node_mut(id).complete = true;
        }
        let mut reopened = true;
        while reopened {
            reopened = false;
            for &id in nodes {
                if self.node(id).complete && self.is_open(self.node(id), depth_limit) {
                    self.node_mut(id).complete = false;
                    reopened = true;
                }
            }
        }
    }

    fn is_open(&self, node: &Node<S>, depth_limit: u32) -> bool {
        node.edges.iter().any(|edge| match edge.target {
            Target::Untried => node.depth < depth_limit,
            Target::Closed => false,
            Target::Node(child) => !self.node(child).complete,
        })
    }

    fn best_of(&self, node: &Node<S>) -> f64 {
        let children = node.edges.iter().filter_map(Edge::child).map(|child| self.node(child).best);
        children.fold(node.evaluation.value, |best, child| node.better(child, best))
    }

    fn value_of(&self, node: &Node<S>, backup: Backup) -> f64 {
        match backup {
            Backup::Best { weight } => (1.0 - weight) * self.mean_of(node) + weight * node.best,
            Backup::Mean => match self.proven_of(node) {
                Some(proven) if node.complete => proven,
                Some(proven) => node.better(proven, self.mean_of(node)),
                None => self.mean_of(node),
            },
        }
    }

    fn mean_of(&self, node: &Node<S>) -> f64 {
        let mut sum = node.evaluation.value;
        let mut visits = 1.0;
        for edge in &node.edges {
            if let Target::Node(child) = edge.target {
                let weight = f64::from(edge.visits);
                sum += weight * self.node(child).value;
                visits += weight;
            }
        }
        sum / visits
    }

    /// The best value among the complete children, which the side to move can have for certain.
    fn proven_of(&self, node: &Node<S>) -> Option<f64> {
        let children = node.edges.iter().filter_map(Edge::child).map(|child| self.node(child));
        children
            .filter(|child| child.complete)
            .map(|child| child.value)
            .reduce(|a, b| node.better(a, b))
    }
}
