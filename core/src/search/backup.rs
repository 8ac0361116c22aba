// SPDX-License-Identifier: MIT
//! Recomputing what nodes are worth from their children.
//!
//! A value is a function of the graph alone: of the node's own evaluation, the visits of its edges and the values of
//! its children. Nothing is accumulated, so a child shared by two parents cannot be counted twice, and doing the work
//! again changes nothing (D. Wu, "Monte-Carlo Graph Search from First Principles", KataGo's `GraphSearch.md`, 2024). On a
//! cycle each renewal is one Gauss-Seidel sweep towards the one solution, for each node's own evaluation keeps its weight.
//!
//! What is proven is proven by bounds (Cazenave and Saffidine, "Score bounded Monte-Carlo tree search", 2010): a node is
//! worth at least the best that its children are worth at least, and at most the best that they are worth at most. So
//! a win needs one won child, and a loss or a draw needs all. Nothing is proven through a cycle, since bounds start
//! from ends of the game alone.

use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use super::facts::{Bounds, Facts};
use super::graph::{EdgeRef, Edges, Graph, Link};
use super::settings::{Backup, Settings};
use super::{Repetition, Turn};

/// How values are made of others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) backup: Backup,
    pub(super) depth_limit: u32,
    /// What leading back is worth, in the first player's view.
    pub(super) repetition: Option<f64>,
}

impl Rules {
    pub(super) fn new(settings: &Settings, repetition: Repetition) -> Self {
        let repetition = match repetition {
            Repetition::Impossible | Repetition::Avoid => None,
            Repetition::Value(value) => Some(value),
        };
        Self { backup: settings.backup, depth_limit: settings.depth_limit, repetition }
    }
}

/// A child as its parent sees it.
struct Child {
    value: f64,
    bounds: Bounds,
    complete: bool,
}

impl Graph {
    /// Renews one node from its children: its value, bounds, and whether it is complete. O(its edges).
    pub(super) fn renew<const SHARED: bool>(&self, node: u32, rules: &Rules) {
        let (Some(edges), facts) = (self.edges(node), self.facts(node)) else { return };
        if facts.is_terminal() {
            return;
        }
        match rules.backup {
            Backup::Mean => self.renew_mean::<SHARED>(node, facts, edges, rules),
            Backup::Best { weight } => {
                let best = self.best_of(node, facts, edges);
                self.set_best(node, best);
                let mean = self.mean_of(node, facts, edges);
                self.set_value(node, (1.0 - weight) * mean + weight * best);
            }
        }
    }

    /// Where an edge leads, unless nothing is known of it.
    #[inline]
    fn child(&self, edge: EdgeRef<'_>) -> Option<Child> {
        match edge.link() {
            Link::Node(child) => {
                let (value, facts) = self.value_and_facts(child);
                Some(Child { value, bounds: facts.bounds(), complete: facts.is_complete() })
            }
            Link::Forgotten { value, bounds, complete } => Some(Child { value, bounds, complete }),
            Link::Untried | Link::Claimed | Link::Closed => None,
        }
    }

    fn renew_mean<const SHARED: bool>(
        &self,
        node: u32,
        facts: Facts,
        edges: Edges<'_>,
        rules: &Rules,
    ) {
        let turn = facts.turn();
        let (value, bounds, complete) = if turn == Turn::Chance {
            self.expectation(node, facts, edges)
        } else {
            self.choice(node, facts, edges, turn == Turn::First, rules)
        };
        self.set_value(node, value);
        // In a wide graph completeness is a matter of depth too, and is renewed apart.
        let complete = (complete && !self.layout.wide) || bounds.exact().is_some();
        let bits = Facts::bits_of(bounds) | if complete { Facts::COMPLETE } else { 0 };
        if bits & !facts.0 != 0 {
            self.add_facts::<SHARED>(node, bits);
        }
    }

    /// Value, bounds and completeness where a player decides: `(w·U + Σ N_e·Q(child)) / (w + Σ N_e)` over the children
    /// that are not known to be lost, within what is proven.
    fn choice(
        &self,
        node: u32,
        facts: Facts,
        edges: Edges<'_>,
        maximises: bool,
        rules: &Rules,
    ) -> (f64, Bounds, bool) {
        // Exact: zero and one change nothing.
        let (base, sign) = if maximises { (0.0, 1.0) } else { (1.0, -1.0) };
        let side = |value: f64| base + sign * value;
        let weight = f64::from(facts.weight());
        let (mut sum, mut total) = (weight * side(self.evaluation(node)), weight);
        let mut bounds = Bounds { lowest: 0, highest: 0 };
        let (mut certain, mut open, mut children) = (f64::NEG_INFINITY, false, 0);
        let (links, visits) = edges.columns();
        for (index, (link, visits)) in (0..).zip(links.iter().zip(visits)) {
            if let Some(child) = Link::node(link)
                && !self.layout.repeats
            {
                // What is below, in short, for nearly all.
                let (value, facts) = self.value_and_facts(child);
                if facts.is_open() {
                    let visits = f64::from(visits.load(Relaxed));
                    sum += visits * side(value);
                    total += visits;
                    open = true;
                    continue;
                }
            }
            let edge = edges.at(index);
            let Some(child) = self.child(edge) else {
                open |= edge.link() != Link::Closed;
                continue;
            };
            children += 1;
            let of_child = child.bounds.side(maximises);
            bounds.lowest = bounds.lowest.max(of_child.lowest);
            bounds.highest = bounds.highest.max(of_child.highest);
            let value = side(child.value);
            if child.complete {
                certain = certain.max(value);
            } else {
                open = true;
            }
            if of_child.highest > 0 {
                let repeats = f64::from(edge.repeats());
                let visits = f64::from(edge.visits());
                sum += (visits - repeats) * value;
                sum += repeats * rules.repetition.map_or(0.0, side);
                total += visits;
            }
        }
        if open {
            bounds.highest = 2;
        } else if children == 0 {
            // Nothing can be done here, so the game's word is final.
            return (self.evaluation(node), facts.bounds(), true);
        }
        let value = match bounds.exact() {
            Some(exact) => exact,
            None if !open => certain,
            None => {
                let within = (f64::from(bounds.lowest) / 2.0, f64::from(bounds.highest) / 2.0);
                // Not `clamp`, whose panic would bring the formatting of floats into every browser.
                (sum / total).max(certain).max(within.0).min(within.1)
            }
        };
        (side(value), bounds.side(maximises), !open)
    }

    /// Value, bounds and completeness where chance decides: the mean of what is known, by probability.
    fn expectation(&self, node: u32, facts: Facts, edges: Edges<'_>) -> (f64, Bounds, bool) {
        let even = edges.even_share();
        let (mut sum, mut total, mut open) = (0.0, 0.0, false);
        let mut bounds = Bounds { lowest: 2, highest: 0 };
        for edge in edges.iter() {
            let prior = edge.prior().unwrap_or(even);
            let Some(child) = self.child(edge) else {
                open |= edge.link() != Link::Closed && prior > 0.0;
                continue;
            };
            if prior > 0.0 {
                open |= !child.complete;
                bounds.lowest = bounds.lowest.min(child.bounds.lowest);
                bounds.highest = bounds.highest.max(child.bounds.highest);
                sum += prior * child.value;
                total += prior;
            }
        }
        if total == 0.0 {
            return (self.evaluation(node), facts.bounds(), !open);
        }
        if open {
            bounds = facts.bounds();
        }
        (sum / total, bounds, !open)
    }

    fn mean_of(&self, node: u32, facts: Facts, edges: Edges<'_>) -> f64 {
        let weight = f64::from(facts.weight());
        let (mut sum, mut total) = (weight * self.evaluation(node), weight);
        for edge in edges.iter() {
            if let Some(child) = self.child(edge) {
                let visits = f64::from(edge.visits());
                sum += visits * child.value;
                total += visits;
            }
        }
        sum / total
    }

    /// The best evaluation known at or below a node, for the side that moves at each node on the way.
    fn best_of(&self, node: u32, facts: Facts, edges: Edges<'_>) -> f64 {
        let maximises = facts.turn() != Turn::Second;
        let better = |a: f64, b: f64| if (a > b) == maximises { a } else { b };
        let below = edges.iter().filter_map(|edge| match edge.link() {
            Link::Node(child) => Some(self.best(child)),
            Link::Forgotten { value, .. } => Some(value),
            Link::Untried | Link::Claimed | Link::Closed => None,
        });
        below.fold(self.evaluation(node), |best, child| better(child, best))
    }

    // --- Wide graphs: all ancestors learn at once ---

    /// `sources` and all nodes from which they are reached, each once. Where there is no cycle, a node comes before
    /// its parents; in a cycle one of the edges is disregarded. O(nodes + edges) of the answer.
    pub(super) fn ancestry(&self, sources: &[u32]) -> Vec<u32> {
        let mut met = hashbrown::HashSet::new();
        let mut finished = Vec::new();
        let mut stack: Vec<(u32, Vec<u32>)> = Vec::new();
        for &source in sources {
            if met.insert(source) {
                stack.push((source, self.parents(source).collect()));
            }
            while let Some((node, parents)) = stack.last_mut() {
                if let Some(parent) = parents.pop() {
                    if met.insert(parent) {
                        stack.push((parent, self.parents(parent).collect()));
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

    /// Renews the values and completeness of `nodes`, in which a node should come before its parents.
    pub(super) fn renew_all(&self, nodes: &[u32], rules: &Rules) {
        self.renew_completeness(nodes, rules.depth_limit);
        nodes.iter().for_each(|node| self.renew::<false>(*node, rules));
    }

    /// All are taken as complete, then reopened from the edges still untried: a cycle of nodes with nothing left to
    /// try is complete too, which no induction from its members would find.
    fn renew_completeness(&self, nodes: &[u32], depth_limit: u32) {
        let provable = |node: &&u32| self.facts(**node).bounds().exact().is_none();
        let nodes: Vec<u32> = nodes.iter().filter(provable).copied().collect();
        nodes.iter().for_each(|node| self.set_complete(*node, true));
        let mut reopened = true;
        while reopened {
            reopened = false;
            for &node in &nodes {
                if self.facts(node).is_complete() && self.is_open(node, depth_limit) {
                    self.set_complete(node, false);
                    reopened = true;
                }
            }
        }
    }

    fn is_open(&self, node: u32, depth_limit: u32) -> bool {
        if self.facts(node).is_terminal() {
            return false;
        }
        let may_expand = self.depth(node) < depth_limit;
        let Some(edges) = self.edges(node) else { return may_expand };
        edges.iter().any(|edge| match edge.link() {
            Link::Untried => may_expand,
            Link::Claimed => true,
            Link::Closed => false,
            Link::Forgotten { complete, .. } => may_expand && !complete,
            Link::Node(child) => !self.facts(child).is_complete(),
        })
    }
}
