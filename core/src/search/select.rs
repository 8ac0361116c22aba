// SPDX-License-Identifier: MIT
//! Choosing which edge of a node to follow: PUCT or UCT, first-play urgency, progressive widening.
//!
//! Complete nodes are not entered, since there is nothing left to learn below them, and an edge that another worker is
//! trying is left to it. At a chance state, the outcome that is most behind its probability is followed, so that visits
//! are as even as they can be. Equal scores go to the lowest index; nothing is drawn.

use super::facts::Facts;
use super::graph::{EdgeRef, Edges, Graph, Link};
use super::settings::{Formula, Settings};
use super::{Turn, gains::Gains};

/// What to do at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// Follow the edge at this index.
    Edge(u32),
    /// All that is left is being tried by others.
    Busy,
    /// Nothing is left, or it leads back to where the search came from.
    Dead,
}

/// What a descent knows while it stands at a node.
pub(super) struct Standing<'a> {
    pub(super) node: u32,
    pub(super) value: f64,
    pub(super) facts: Facts,
    pub(super) edges: Edges<'a>,
    /// The nodes on the way here, if states may recur.
    pub(super) way: &'a [u32],
    /// What it is worth to enter one of them again, in the first player's view; without it, none is.
    pub(super) repetition: Option<f64>,
    /// Nodes that were left again since nothing is to be tried there now.
    pub(super) dead: &'a [u32],
}

impl Graph {
    pub(super) fn pick(&self, at: &Standing<'_>, settings: &Settings, gains: &Gains) -> Pick {
        match at.facts.turn() {
            Turn::Chance => self.pick_outcome(at),
            turn => self.pick_move(at, turn == Turn::First, settings, gains),
        }
    }

    fn pick_move(
        &self,
        at: &Standing<'_>,
        maximises: bool,
        settings: &Settings,
        gains: &Gains,
    ) -> Pick {
        let side = |value: f64| if maximises { value } else { 1.0 - value };
        // Exact: a float holds integers up to 2^53.
        let total = (u64::from(at.facts.weight()) + at.edges.visits()) as f64;
        let even = at.edges.even_share();
        let may_expand = !self.layout.wide || self.depth(at.node) < settings.depth_limit;
        let mut may_open = settings.widening == 0.0 || {
            let opened = |edge: &EdgeRef<'_>| !matches!(edge.link(), Link::Untried | Link::Closed);
            let considered = settings.widening * sqrt(total);
            (at.edges.iter().filter(opened).count() as f64) < considered.max(1.0)
        };
        let breadth = match settings.formula {
            Formula::Puct => settings.exploration * sqrt(total),
            Formula::Uct => libm::log(total),
        };
        let first_play = side(at.value) - settings.first_play_reduction;
        let (mut chosen, mut best) = (None, f64::NEG_INFINITY);
        let (mut busy, mut unopened) = (false, None);
        for (index, edge) in (0..).zip(at.edges.iter()) {
            let value = match edge.link() {
                Link::Closed => continue,
                Link::Claimed => {
                    busy = true;
                    continue;
                }
                Link::Untried if !may_expand => continue,
                Link::Untried if !may_open => {
                    unopened.get_or_insert(index);
                    continue;
                }
                Link::Untried => {
                    if settings.widening > 0.0 {
                        may_open = false;
                    }
                    match settings.formula {
                        Formula::Uct => f64::INFINITY,
                        Formula::Puct if settings.gain_weight == 0.0 => first_play,
                        Formula::Puct => {
                            let gain = settings.gain_weight * gains.of(edge.action());
                            first_play + if maximises { gain } else { -gain }
                        }
                    }
                }
                Link::Forgotten { complete: true, .. } => continue,
                Link::Forgotten { value, .. } => side(value),
                Link::Node(child) => {
                    let (value, facts) = self.value_and_facts(child);
                    if facts.is_complete() {
                        continue;
                    }
                    match at.repetition {
                        _ if at.dead.contains(&child) => continue,
                        _ if !at.way.contains(&child) => side(value),
                        Some(value) => side(value),
                        None => continue,
                    }
                }
            };
            let score = value + urgency(edge, breadth, even, settings);
            if score > best {
                (chosen, best) = (Some(index), score);
            }
        }
        match chosen.or(unopened) {
            Some(index) => Pick::Edge(index),
            None if busy => Pick::Busy,
            None => Pick::Dead,
        }
    }

    fn pick_outcome(&self, at: &Standing<'_>) -> Pick {
        let total = (at.edges.visits() + 1) as f64;
        let even = at.edges.even_share();
        let (mut chosen, mut best, mut busy) = (None, f64::NEG_INFINITY, false);
        for (index, edge) in (0..).zip(at.edges.iter()) {
            match edge.link() {
                Link::Closed => continue,
                Link::Claimed => {
                    busy = true;
                    continue;
                }
                Link::Untried => {}
                Link::Forgotten { complete: true, .. } => continue,
                Link::Forgotten { .. } => {}
                Link::Node(child) if self.facts(child).is_complete() => continue,
                Link::Node(child) if at.dead.contains(&child) => continue,
                Link::Node(child) if at.repetition.is_none() && at.way.contains(&child) => continue,
                Link::Node(_) => {}
            }
            let behind = edge.prior().unwrap_or(even) * total - f64::from(edge.visits());
            if behind > best {
                (chosen, best) = (Some(index), behind);
            }
        }
        match chosen {
            Some(index) => Pick::Edge(index),
            None if busy => Pick::Busy,
            None => Pick::Dead,
        }
    }
}

/// Correctly rounded on every host, by the processor where it can be asked.
#[inline]
fn sqrt(x: f64) -> f64 {
    #[cfg(feature = "std")]
    return x.sqrt();
    #[cfg(not(feature = "std"))]
    libm::sqrt(x)
}

/// What is added to an edge's value for being little known.
#[inline]
fn urgency(edge: EdgeRef<'_>, breadth: f64, even: f64, settings: &Settings) -> f64 {
    let visits = f64::from(edge.visits());
    match settings.formula {
        Formula::Puct => breadth * edge.prior().unwrap_or(even) / (1.0 + visits),
        Formula::Uct if visits == 0.0 => 0.0,
        Formula::Uct => settings.exploration * sqrt(breadth / visits),
    }
}
