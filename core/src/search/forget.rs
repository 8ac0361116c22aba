// SPDX-License-Identifier: MIT
//! Forgetting: what a search does when its graph is larger than it may be, or its root has moved on.
//!
//! What is forgotten is what was visited least, with all that is reached through it alone. The edge that led there
//! keeps its visits, and the value and bounds of what was there, so nothing above changes; if it is followed again, the node is made anew
//! and what it was worth before counts as much as the visits that it had. So a search at its limit goes on, and loses
//! only what it knew of the least promising lines.

use alloc::{vec, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;

use super::facts::Facts;
use super::graph::{Edges, Graph, Link};
use super::{Packed, Search};

impl<S: Packed> Search<S> {
    /// Forgets what was visited least until at most three quarters of the byte limit are in use.
    pub(super) fn forget(&mut self) {
        let Some(limit) = self.shared.settings.byte_limit else { return };
        self.shared.retract::<false, S>(&mut self.own);
        let graph = &self.shared.graph;
        let visits = graph.visits_of_nodes();
        // Edges weigh more than nodes and are at those visited most, so the share to forget is found by trying.
        let aim = limit / 4 * 3;
        let mut threshold = 1;
        let mut kept = graph.reached(self.shared.root, |node| visits[node] > threshold);
        while graph.bytes_of(&kept) > aim && kept.iter().filter(|kept| **kept).count() > 1 {
            threshold = threshold.saturating_mul(2);
            kept = graph.reached(self.shared.root, |node| visits[node] > threshold);
        }
        self.keep(&kept);
    }

    /// Forgets what is not reached from the root.
    pub(super) fn forget_unreachable(&mut self) {
        let kept = self.shared.graph.reached(self.shared.root, |_| true);
        self.keep(&kept);
    }

    fn keep(&mut self, kept: &[bool]) {
        let root = self.shared.root;
        self.counts.forgotten += self.shared.graph.keep(kept);
        if self.shared.graph.layout.wide {
            self.shared.graph.measure_depths(root);
        }
        if !kept.get(self.best as usize).copied().unwrap_or_default() {
            self.best = self.shared.graph.best_evaluation(root);
        }
    }
}

impl Graph {
    /// How often each node was come to, by its number.
    fn visits_of_nodes(&self) -> Vec<u32> {
        let mut visits = vec![0_u32; self.nodes_end.load(Relaxed) as usize];
        for node in self.nodes() {
            for edge in self.edges(node).into_iter().flat_map(Edges::iter) {
                if let Link::Node(child) = edge.link() {
                    let visits = &mut visits[child as usize];
                    *visits = visits.saturating_add(edge.visits());
                }
            }
        }
        visits
    }

    /// Which nodes are reached from the root through those that `may_stay`, by their numbers.
    fn reached(&self, root: u32, may_stay: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.nodes_end.load(Relaxed) as usize];
        let mut queue = vec![root];
        reached[root as usize] = true;
        while let Some(node) = queue.pop() {
            for edge in self.edges(node).into_iter().flat_map(Edges::iter) {
                if let Link::Node(child) = edge.link()
                    && !reached[child as usize]
                    && may_stay(child as usize)
                {
                    reached[child as usize] = true;
                    queue.push(child);
                }
            }
        }
        reached
    }

    /// Bytes that the graph would have with these nodes alone.
    fn bytes_of(&self, kept: &[bool]) -> u64 {
        let node_words = (self.hot.stride() + self.cold.stride()) as u64;
        let words = self
            .nodes()
            .filter(|node| kept[*node as usize])
            .map(|node| node_words + self.edges(node).map_or(0, |edges| edges.block_len() as u64));
        4 * (words.sum::<u64>() + 2 * self.index_len() as u64)
    }

    /// Forgets all other nodes. Returns how many they were.
    fn keep(&mut self, kept: &[bool]) -> u64 {
        let stays = |node: u32| kept.get(node as usize).copied().unwrap_or_default();
        let nodes: Vec<u32> = self.nodes().collect();
        for &node in nodes.iter().filter(|node| stays(**node)) {
            self.orphan(node);
            for edge in self.edges(node).into_iter().flat_map(Edges::iter) {
                if let Link::Node(child) = edge.link()
                    && !stays(child)
                {
                    let (value, facts) = self.value_and_facts(child);
                    let (bounds, complete) = (facts.bounds(), facts.is_complete());
                    edge.set_link(Link::Forgotten { value, bounds, complete });
                }
            }
        }
        let mut forgotten = 0;
        for &node in nodes.iter().filter(|node| !stays(**node)) {
            self.give_edges(node);
            self.hot.row(node)[1].store(Facts::FREE.0, Relaxed);
            forgotten += 1;
        }
        if self.layout.wide {
            for &node in nodes.iter().filter(|node| stays(**node)) {
                let Some(edges) = self.edges(node) else { continue };
                for (index, edge) in (0..).zip(edges.iter()) {
                    if let Link::Node(child) = edge.link() {
                        self.adopt(edges, index, child);
                    }
                }
            }
        }
        let free =
            (0..self.nodes_end.load(Relaxed)).filter(|node| self.facts(*node) == Facts::FREE);
        let free: Vec<u32> = free.collect();
        self.spare_nodes = super::graph::Spare::default();
        free.into_iter().for_each(|node| self.spare_nodes.give(node));
        *self.unused.get_mut() = 0;
        self.reindex();
        forgotten
    }

    /// Sets each node's depth to its distance from the root.
    fn measure_depths(&self, root: u32) {
        self.nodes().for_each(|node| self.set_depth(node, u32::MAX));
        self.set_depth(root, 0);
        let (mut level, mut depth) = (vec![root], 0);
        while !level.is_empty() {
            depth += 1;
            let mut next = Vec::new();
            for node in level {
                for edge in self.edges(node).into_iter().flat_map(Edges::iter) {
                    if let Link::Node(child) = edge.link()
                        && self.depth(child) == u32::MAX
                    {
                        self.set_depth(child, depth);
                        next.push(child);
                    }
                }
            }
            level = next;
        }
    }

    /// The node of the best evaluation for whoever moves at the root.
    fn best_evaluation(&self, root: u32) -> u32 {
        let maximises = self.facts(root).turn() != super::Turn::Second;
        self.nodes().fold(root, |best, node| {
            let (new, old) = (self.evaluation(node), self.evaluation(best));
            if new != old && (new > old) == maximises { node } else { best }
        })
    }
}
