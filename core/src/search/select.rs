// SPDX-License-Identifier: MIT
//! Choosing which edge of a node to follow: PUCT or UCT, first-play urgency, progressive widening.
//!
//! Complete nodes are not entered, since there is nothing left to learn below them, and an edge that another worker is
//! trying is left to it. At a chance state, the outcome that is most behind its probability is followed, so that visits
//! are as even as they can be. Equal scores go to the lowest index; nothing is drawn.

use core::sync::atomic::Ordering::Relaxed;

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
            turn => {
                let plain = settings.formula == Formula::Puct
                    && settings.widening == 0.0
                    && settings.gain_weight == 0.0
                    && !self.layout.wide
                    && at.edges.is_uniform()
                    && at.way.is_empty()
                    && at.dead.is_empty();
                let maximises = turn == Turn::First;
                if plain {
                    self.pick_move::<true>(at, maximises, settings, gains)
                } else {
                    self.pick_move::<false>(at, maximises, settings, gains)
                }
            }
        }
    }

    /// `PLAIN`: PUCT over all edges at once, with equal priors, in a graph that is not wide, on a way that nothing was left or can
    /// recur on. So it is nearly always in a search of a board game, and then there is less to look at.
    fn pick_move<const PLAIN: bool>(
        &self,
        at: &Standing<'_>,
        maximises: bool,
        settings: &Settings,
        gains: &Gains,
    ) -> Pick {
        // Exact: zero and one change nothing.
        let (base, sign) = if maximises { (0.0, 1.0) } else { (1.0, -1.0) };
        let side = |value: f64| base + sign * value;
        // Exact: a float holds integers up to 2^53.
        let total = (u64::from(at.facts.weight()) + at.edges.visits()) as f64;
        let may_expand = PLAIN || !self.layout.wide || self.depth(at.node) < settings.depth_limit;
        let mut may_open = PLAIN || settings.widening == 0.0 || {
            let opened = |edge: &EdgeRef<'_>| !matches!(edge.link(), Link::Untried | Link::Closed);
            let considered = settings.widening * sqrt(total);
            (at.edges.iter().filter(opened).count() as f64) < considered.max(1.0)
        };
        let even = at.edges.even_share();
        let breadth = match settings.formula {
            Formula::Puct => settings.exploration * sqrt(total),
            Formula::Uct => libm::log(total),
        };
        let share = breadth * even;
        let first_play = side(at.value) - settings.first_play_reduction;
        let (mut chosen, mut best) = (u32::MAX, f64::NEG_INFINITY);
        let (mut busy, mut unopened) = (false, None);
        let (links, visits) = at.edges.columns();
        for (index, (link, visits)) in (0..).zip(links.iter().zip(visits)) {
            let value = if let Some(child) = Link::node(link) {
                let (value, facts) = self.value_and_facts(child);
                if facts.is_complete() {
                    continue;
                }
                if PLAIN {
                    self.prefetch_edges(child);
                    side(value)
                } else if at.dead.contains(&child) {
                    continue;
                } else if !at.way.contains(&child) {
                    side(value)
                } else {
                    match at.repetition {
                        Some(value) => side(value),
                        None => continue,
                    }
                }
            } else {
                match at.edges.at(index).link() {
                    Link::Claimed => {
                        busy = true;
                        continue;
                    }
                    Link::Untried if !may_expand => continue,
                    Link::Untried if !may_open => {
                        unopened.get_or_insert(index);
                        continue;
                    }
                    Link::Untried if PLAIN => first_play,
                    Link::Untried => {
                        if settings.widening > 0.0 {
                            may_open = false;
                        }
                        match settings.formula {
                            Formula::Uct => f64::INFINITY,
                            Formula::Puct if settings.gain_weight == 0.0 => first_play,
                            Formula::Puct => {
                                let gain =
                                    settings.gain_weight * gains.of(at.edges.at(index).action());
                                first_play + sign * gain
                            }
                        }
                    }
                    Link::Forgotten { value, complete: false, .. } => side(value),
                    // A node that another worker has linked just now is left to it.
                    Link::Closed | Link::Forgotten { .. } | Link::Node(_) => continue,
                }
            };
            let score = if PLAIN {
                value + share / (1.0 + f64::from(visits.load(Relaxed)))
            } else {
                value + urgency(at.edges.at(index), breadth, even, settings)
            };
            if score > best {
                (chosen, best) = (index, score);
            }
        }
        match (chosen, unopened) {
            (u32::MAX, None) if busy => Pick::Busy,
            (u32::MAX, None) => Pick::Dead,
            (u32::MAX, Some(index)) | (index, _) => Pick::Edge(index),
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
