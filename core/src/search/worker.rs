// SPDX-License-Identifier: MIT
//! A worker's way through the graph, and what it owes an answer to.
//!
//! A try has three parts: [seek](super::Search::seek) walks from the root to an edge that nobody has tried; the game says where it leads and
//! what that is worth; [answer](super::Search::answer) writes it down. Between, the worker holds the way, each edge of which counts
//! the visit already, as though it had been lost on average: others who come by see what is being tried and spread
//! ("watch the unobserved": Liu et al., "Parallelizing Monte-Carlo tree search without synchronisation", ICLR 2020, in place of a virtual loss,
//! which would distort values). If the game fails, the visits are taken back.
//!
//! Where evaluations are cheap, most of a descent is the way to where it ends, and near the root each is like the one before: among
//! edges of thousands of visits, one more changes nothing. So a step may go on where it ended: it comes back to a node only when
//! a sixteenth more descents have been made below the edge that it followed there. The edge counts them in advance, and
//! above it values are renewed when it comes back. Descents deep in the graph, where each changes what is best, begin anew as ever.

use alloc::vec::Vec;
use core::ops::Range;

use rand_xoshiro::rand_core::SeedableRng;

use super::backup::Rules;
use super::engine::Counts;
use super::facts::{Bounds, Facts};
use super::gains::Gains;
use super::graph::{EdgeId, EdgeRef, Edges, Graph, Link, NodeId, Place};
use super::select::{Pick, Standing};
use super::settings::{Backup, Renewal};
use super::{
    Action, Choice, Evaluation, Generator, Packed, Repetition, SearchError, Settings, Turn,
};

/// What is to be done for a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task<S> {
    /// Ask the game what `state` offers, and [`expand`](super::Search::expand) with it.
    Expand {
        /// The node that was entered.
        node: NodeId,
        /// Its state.
        state: S,
    },
    /// Ask the game where `action` leads from `state`, and [`answer`](super::Search::answer) with it.
    Try {
        /// The edge.
        edge: EdgeId,
        /// Its parent's state.
        state: S,
        /// Its action.
        action: Action,
    },
    /// The way led back to itself, which has been counted. Seek again.
    Repeated,
    /// All that is worth trying is being tried by others. Do something else, then seek again.
    Busy,
    /// Nothing is left to try.
    Exhausted,
}

/// Where an action led.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival<S> {
    /// Nowhere: it does not apply, or changes nothing.
    Nowhere,
    /// To a state that the search [has a node of](super::Search::find): it need not be evaluated.
    Met {
        /// The state.
        state: S,
    },
    /// To a state that the search has no node of, or had not when it was asked.
    New {
        /// The state.
        state: S,
        /// Who decides there.
        turn: Turn,
        /// What it is worth.
        evaluation: Evaluation,
    },
}

/// One step of a way: a node, and which of its edges was followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) node: u32,
    pub(super) edge: u32,
    /// Descents that are to begin below the edge after this one, before there is a choice at the node again. Its visits count
    /// them already. Never more than at the step before.
    pub(super) left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Idle,
    /// The edges of the node at the end of the way are being asked for.
    Expanding,
    /// The last edge of the way is being tried; what stood there before.
    Trying(Link),
}

/// A worker of one search.
#[derive(Clone, Debug)]
pub struct Worker<S> {
    pub(super) path: Vec<Passed>,
    /// Where the way ends.
    pub(super) node: u32,
    phase: Phase,
    /// The nodes on the way, if states may recur.
    way: Vec<u32>,
    /// Where nothing was left to try on this way, or others are trying it.
    dead: Vec<u32>,
    /// Whether others are trying something at one of these.
    is_busy: bool,
    /// For playouts.
    pub generator: Generator,
    pub(super) choices: Vec<Choice>,
    /// Where they lead, if all are tried at once.
    pub(super) arrivals: Vec<Arrival<S>>,
    /// What it did since it was last asked.
    pub(super) counts: Counts,
    /// Ways in succession that led back to themselves.
    pub(super) idle: u64,
    /// Descents, after the one being made, that may go on from where it ended.
    pub(super) stride: u32,
}

impl<S> Worker<S> {
    /// Worker `number` of those that one seed gives: each has a stream of its own, 2^192 numbers from the others'.
    pub(super) fn new(seed: u64, number: u32) -> Self {
        let mut generator = Generator::seed_from_u64(seed);
        (0..number).for_each(|_| generator.long_jump());
        Self {
            path: Vec::new(),
            node: 0,
            phase: Phase::Idle,
            way: Vec::new(),
            dead: Vec::new(),
            is_busy: false,
            generator,
            choices: Vec::new(),
            arrivals: Vec::new(),
            counts: Counts::default(),
            idle: 0,
            stride: 0,
        }
    }

    /// Whether it owes an answer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.phase != Phase::Idle
    }
}

/// What all workers of a search share, and read alone or write by atomic words alone.
pub(super) struct Shared {
    pub(super) graph: Graph,
    pub(super) settings: Settings,
    pub(super) rules: Rules,
    pub(super) repetition: Repetition,
    pub(super) gains: Gains,
    pub(super) root: u32,
}

/// Where an action led, as the graph knows it.
enum Found {
    Nowhere,
    New(u32),
    Met(u32),
}

/// How an answer changed the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Written {
    Closed,
    /// Back to a node on its own way.
    Cycle {
        child: u32,
    },
    Transposition {
        child: u32,
    },
    New {
        child: u32,
    },
    /// There was no room.
    NoRoom,
}

/// Visits of an edge for each descent more that may be made below it before there is a choice at its node again. Among 20,000 evaluations
/// a move, players with and without this are equally strong.
const VISITS_A_DESCENT: u32 = 16;

/// Descents with which a step may go on: some hundred evaluations.
const STRIDE: u32 = 63;

/// How long a way may be before it is looked at whether it goes round in a game that cannot.
const SUSPICIOUS: usize = 256;

impl Shared {
    pub(super) fn seek<const SHARED: bool, S: Packed, E>(
        &self,
        worker: &mut Worker<S>,
    ) -> Result<Task<S>, SearchError<E>> {
        if worker.phase != Phase::Idle || worker.path.is_empty() {
            self.retract::<SHARED, S>(worker);
            self.begin(worker);
        }
        loop {
            let node = worker.node;
            let (value, facts) = self.graph.value_and_facts(node);
            if facts.is_complete() {
                if worker.path.is_empty() {
                    return Ok(Task::Exhausted);
                }
                // Another way has completed it since its parents were renewed.
                self.give_way::<SHARED, S>(worker);
                continue;
            }
            let edges = match self.graph.place(node) {
                Place::At(offset) => self.graph.edges_at(offset),
                Place::Unasked if self.is_beyond(node) => {
                    self.graph.set_complete(node, true);
                    continue;
                }
                Place::Unasked if self.graph.claim_edges::<SHARED>(node) => {
                    worker.phase = Phase::Expanding;
                    return Ok(Task::Expand { node: NodeId(node), state: self.graph.state(node) });
                }
                Place::Unasked | Place::Claimed => {
                    worker.is_busy = true;
                    match self.step_back::<SHARED, S>(worker) {
                        Some(task) => return Ok(task),
                        None => continue,
                    }
                }
            };
            let repetition = self.rules.repetition;
            let Worker { way, dead, .. } = &*worker;
            let standing = Standing { node, value, facts, edges, way, dead, repetition };
            let pick = self.graph.pick(&standing, &self.settings, &self.gains);
            let Pick::Edge(index) = pick else {
                worker.is_busy |= pick == Pick::Busy;
                match self.step_back::<SHARED, S>(worker) {
                    Some(task) => return Ok(task),
                    None => continue,
                }
            };
            let edge = edges.at(index);
            match edge.link() {
                Link::Node(child) => {
                    let most = worker.path.last().map_or(worker.stride, |passed| passed.left);
                    let left = (edge.visits() / VISITS_A_DESCENT).min(most);
                    edge.visit::<SHARED>(1 + left);
                    worker.path.push(Passed { node, edge: index, left });
                    if repetition.is_some() && worker.way.contains(&child) {
                        edge.repeat::<SHARED>();
                        self.renew_path::<SHARED, S>(worker);
                        self.finish(worker);
                        return Ok(Task::Repeated);
                    }
                    worker.node = child;
                    if self.repetition != Repetition::Impossible {
                        worker.way.push(child);
                    } else if self.has_recurred(worker) {
                        let depth = worker.path.len();
                        self.retract::<SHARED, S>(worker);
                        return Err(SearchError::Recurred { depth });
                    }
                }
                before @ (Link::Untried | Link::Forgotten { .. }) => {
                    if edge.claim::<SHARED>(before) {
                        edge.visit::<SHARED>(1);
                        worker.path.push(Passed { node, edge: index, left: 0 });
                        worker.phase = Phase::Trying(before);
                        return Ok(Task::Try {
                            edge: EdgeId { parent: NodeId(node), index },
                            state: self.graph.state(node),
                            action: Action(edge.action()),
                        });
                    }
                }
                // Another was faster: look again.
                Link::Claimed | Link::Closed => {}
            }
        }
    }

    /// How many descents a step may go on with. Where ways may lead back to themselves, or evaluations are dear, each begins at the root.
    pub(super) fn stride(&self) -> u32 {
        if self.settings.is_at_once() && self.repetition == Repetition::Impossible {
            STRIDE
        } else {
            0
        }
    }

    fn begin<S>(&self, worker: &mut Worker<S>) {
        worker.path.clear();
        worker.way.clear();
        if self.repetition != Repetition::Impossible {
            worker.way.push(self.root);
        }
        worker.dead.clear();
        worker.is_busy = false;
        worker.node = self.root;
        worker.phase = Phase::Idle;
    }

    /// The worker owes nothing any more.
    fn finish<S>(&self, worker: &mut Worker<S>) {
        worker.path.clear();
        worker.phase = Phase::Idle;
    }

    /// Whether a node is too far from the root to be entered.
    fn is_beyond(&self, node: u32) -> bool {
        self.graph.layout.wide && self.graph.depth(node) >= self.settings.depth_limit
    }

    /// Whether the way of a game that never goes round has done so. Looked at when its length has doubled.
    fn has_recurred<S>(&self, worker: &Worker<S>) -> bool {
        let len = worker.path.len();
        len >= SUSPICIOUS
            && len.is_power_of_two()
            && worker.path.iter().any(|passed| passed.node == worker.node)
    }

    /// Renews the way to a node that was found complete, and begins again.
    fn give_way<const SHARED: bool, S>(&self, worker: &mut Worker<S>) {
        self.give_up::<SHARED, S>(worker);
        self.begin(worker);
    }

    /// Leaves a node from which nothing is left to try on this way. If there is no way back, that is the answer.
    fn step_back<const SHARED: bool, S>(&self, worker: &mut Worker<S>) -> Option<Task<S>> {
        worker.dead.push(worker.node);
        if !self.graph.layout.wide {
            self.graph.renew::<SHARED>(worker.node, &self.rules);
        }
        let Some(passed) = worker.path.pop() else {
            if self.graph.layout.wide {
                // Nodes that lead only to each other are complete together, so all that were met are renewed together.
                self.graph.renew_all(&worker.dead, &self.rules);
            }
            let task = if worker.is_busy { Task::Busy } else { Task::Exhausted };
            self.finish(worker);
            return Some(task);
        };
        self.edge_of(passed).unvisit::<SHARED>(1 + passed.left);
        if worker.way.len() > 1 {
            worker.way.pop();
        }
        worker.node = passed.node;
        None
    }

    fn edge_of(&self, passed: Passed) -> EdgeRef<'_> {
        // UNWRAP: a way leads through nodes that were entered, and edges stay while a worker is on the way.
        self.graph.edges(passed.node).expect("an entered node has edges").at(passed.edge)
    }

    /// Takes back the descents that were left to be made, and as many more.
    fn unvisit_path<const SHARED: bool, S>(&self, worker: &Worker<S>, more: u32) {
        for passed in &worker.path {
            self.edge_of(*passed).unvisit::<SHARED>(more + passed.left);
        }
    }

    /// Renews the way upwards, as far as no descent is left to be made below it. The worker stands where the next begins, or owes nothing
    /// any more.
    fn rise<const SHARED: bool, S>(&self, worker: &mut Worker<S>) {
        worker.phase = Phase::Idle;
        while let Some(&Passed { node, left: 0, .. }) = worker.path.last() {
            self.graph.renew::<SHARED>(node, &self.rules);
            worker.node = node;
            worker.path.pop();
        }
        worker.path.iter_mut().for_each(|passed| passed.left -= 1);
        worker.dead.clear();
        worker.is_busy = false;
    }

    /// Gives up the descent that was to be made next, and those after it.
    pub(super) fn give_up<const SHARED: bool, S>(&self, worker: &mut Worker<S>) {
        self.unvisit_path::<SHARED, S>(worker, 1);
        self.renew_path::<SHARED, S>(worker);
        self.finish(worker);
    }

    fn renew_path<const SHARED: bool, S>(&self, worker: &Worker<S>) {
        for passed in worker.path.iter().rev() {
            self.graph.renew::<SHARED>(passed.node, &self.rules);
        }
    }

    /// Takes back what a worker has counted and claimed.
    pub(super) fn retract<const SHARED: bool, S>(&self, worker: &mut Worker<S>) {
        match worker.phase {
            Phase::Idle => {}
            Phase::Expanding => self.graph.unclaim_edges(worker.node),
            Phase::Trying(before) => {
                if let Some(last) = worker.path.last() {
                    self.edge_of(*last).set_link(before);
                }
            }
        }
        self.unvisit_path::<SHARED, S>(worker, 1);
        if worker.stride > 0 {
            // Descents before this one may have changed what is below the way.
            self.renew_path::<SHARED, S>(worker);
        }
        self.finish(worker);
    }

    pub(super) fn expand<const SHARED: bool, S, E>(
        &self,
        worker: &mut Worker<S>,
        choices: &mut [Choice],
    ) -> Result<(), SearchError<E>> {
        let checked = self.check_choices(choices);
        if checked.is_err() || worker.phase != Phase::Expanding {
            self.retract::<SHARED, S>(worker);
            return checked;
        }
        if self.settings.widening > 0.0 {
            choices.sort_by(|a, b| b.prior.total_cmp(&a.prior));
        }
        let Some(edges) = self.graph.lay_edges::<SHARED>(worker.node, choices) else {
            self.retract::<SHARED, S>(worker);
            return Err(SearchError::Full);
        };
        self.graph.give(worker.node, edges);
        worker.phase = Phase::Idle;
        if choices.is_empty() {
            self.graph.renew::<SHARED>(worker.node, &self.rules);
        }
        if worker.path.is_empty() {
            // The way of a worker at the root is empty, which would look like none.
            self.begin(worker);
        }
        Ok(())
    }

    /// Gives the node at the end of the way its edges, the first of which lead to `arrivals`, and renews the way. What there is no
    /// room for is left to be tried again. How many of them were states not met before; `None` if there was room for nothing.
    pub(super) fn open<const SHARED: bool, S: Packed>(
        &self,
        worker: &mut Worker<S>,
        choices: &[Choice],
        arrivals: &[Arrival<S>],
    ) -> Option<u32> {
        let node = worker.node;
        let Some(edges) = self.graph.lay_edges::<SHARED>(node, choices) else {
            self.retract::<SHARED, S>(worker);
            return None;
        };
        // Workers wait for each other where they take numbers, so all at once. Alone, none is taken that is not used.
        let mut numbers = if SHARED {
            let is_new = |arrival: &&Arrival<S>| matches!(arrival, Arrival::New { .. });
            let count = arrivals.iter().filter(is_new).count();
            self.graph.take_numbers::<SHARED>(u32::try_from(count).unwrap_or(0))
        } else {
            0..0
        };
        let (mut new, mut met, mut full) = (0, 0, false);
        for (edge, arrival) in edges.iter().zip(arrivals) {
            edge.visit::<SHARED>(1);
            let numbers = &mut numbers;
            match self.settle::<SHARED, S>(worker, node, edge, Link::Untried, arrival, numbers) {
                Written::New { .. } => new += 1,
                Written::Transposition { .. } => met += 1,
                Written::Cycle { .. } if self.rules.repetition.is_some() => met += 1,
                Written::Cycle { .. } | Written::Closed => edge.unvisit::<SHARED>(1),
                Written::NoRoom => {
                    edge.unvisit::<SHARED>(1);
                    full = true;
                    break;
                }
            }
        }
        self.graph.leave_numbers(u32::try_from(numbers.len()).unwrap_or(0));
        self.graph.give(node, edges);
        self.graph.renew::<SHARED>(node, &self.rules);
        if new + met == 0 {
            self.give_up::<SHARED, S>(worker);
        } else {
            self.rise::<SHARED, S>(worker);
        }
        (!full || new + met > 0).then_some(new)
    }

    pub(super) fn check_choices<E>(&self, choices: &[Choice]) -> Result<(), SearchError<E>> {
        let most = self.graph.most_edges();
        if choices.len() > most {
            return Err(SearchError::TooManyActions { found: choices.len(), most });
        }
        let invalid = |choice: &Choice| !choice.prior.is_finite() || choice.prior < 0.0;
        match choices.iter().position(invalid) {
            Some(index) => Err(SearchError::InvalidPrior { index, found: choices[index].prior }),
            None => Ok(()),
        }
    }

    /// Writes down where the edge being tried leads, and renews the way to it.
    pub(super) fn write<const SHARED: bool, S: Packed>(
        &self,
        worker: &mut Worker<S>,
        arrival: Arrival<S>,
    ) -> Written {
        let (Phase::Trying(before), Some(&last)) = (worker.phase, worker.path.last()) else {
            return Written::Closed;
        };
        let edge = self.edge_of(last);
        let numbers = &mut (0..0);
        let written = self.settle::<SHARED, S>(worker, last.node, edge, before, &arrival, numbers);
        match written {
            Written::NoRoom => {
                self.retract::<SHARED, S>(worker);
                return written;
            }
            Written::Closed => self.unvisit_path::<SHARED, S>(worker, 1),
            Written::Cycle { .. } if self.rules.repetition.is_none() => {
                self.unvisit_path::<SHARED, S>(worker, 1);
            }
            Written::New { .. } | Written::Transposition { .. } | Written::Cycle { .. } => {
                self.unvisit_path::<SHARED, S>(worker, 0);
            }
        }
        if !self.graph.layout.wide {
            self.renew_path::<SHARED, S>(worker);
            self.finish(worker);
        }
        written
    }

    /// Links an edge of `node`, at the end of a worker's way, to where it leads, and counts it. An edge that closes a cycle says nothing about
    /// where it comes from unless repetitions have a value: it is known then, but should count as not yet visited.
    fn settle<const SHARED: bool, S: Packed>(
        &self,
        worker: &mut Worker<S>,
        node: u32,
        edge: EdgeRef<'_>,
        before: Link,
        arrival: &Arrival<S>,
        numbers: &mut Range<u32>,
    ) -> Written {
        let found = match arrival {
            Arrival::Nowhere => Found::Nowhere,
            Arrival::Met { state } => self.graph.find(state).map_or(Found::Nowhere, Found::Met),
            Arrival::New { state, turn, evaluation } => {
                let depth = self.graph.depth(node).saturating_add(1);
                let facts = self.facts_of(*turn, *evaluation, before, edge.visits());
                match self.graph.insert::<SHARED, S>(state, facts.0, facts.1, depth, numbers) {
                    Some(Ok(new)) => Found::New(new),
                    Some(Err(met)) => Found::Met(met),
                    None => return Written::NoRoom,
                }
            }
        };
        match found {
            Found::Nowhere => {
                worker.counts.closed += 1;
                edge.set_link(Link::Closed);
                Written::Closed
            }
            Found::New(child) => {
                worker.counts.evaluations += 1;
                edge.set_link(Link::Node(child));
                Written::New { child }
            }
            Found::Met(child) => {
                worker.counts.transpositions += 1;
                edge.set_link(Link::Node(child));
                let on_path =
                    child == node || worker.path.iter().any(|passed| passed.node == child);
                if !on_path {
                    return Written::Transposition { child };
                }
                if self.rules.repetition.is_some() {
                    edge.repeat::<SHARED>();
                }
                Written::Cycle { child }
            }
        }
    }

    /// The facts and evaluation of a new node. If it was one before and was forgotten, what it was worth then counts as
    /// much as the visits that it had.
    pub(super) fn facts_of(
        &self,
        turn: Turn,
        evaluation: Evaluation,
        before: Link,
        visits: u32,
    ) -> (Facts, f64) {
        let Evaluation { value, terminal } = evaluation;
        let (value, weight) = match before {
            Link::Forgotten { value: known, .. } if !terminal => {
                let weight = visits.clamp(2, Facts::MAX_WEIGHT);
                let before = f64::from(weight - 1);
                ((known * before + value) / (before + 1.0), weight)
            }
            _ => (value, 1),
        };
        let facts = Facts::new(turn, terminal, weight);
        match self.settings.backup {
            Backup::Mean if terminal => {
                (Facts(facts.0 | Facts::bits_of(Bounds::around(value))), value)
            }
            Backup::Mean | Backup::Best { .. } => (facts, value),
        }
    }

    /// Brings a wide graph up to date after a step: depths, parents, gains, and the values of all ancestors.
    pub(super) fn catch_up<S>(&mut self, worker: &mut Worker<S>, written: Written) {
        let Some(&last) = worker.path.last() else { return };
        let mut changed = alloc::vec![];
        let child = match written {
            Written::New { child } => {
                changed.push(child);
                Some(child)
            }
            Written::Cycle { child } | Written::Transposition { child } => Some(child),
            Written::Closed | Written::NoRoom => None,
        };
        changed.push(last.node);
        if let Some(child) = child {
            let gained = self.graph.evaluation(child) - self.graph.evaluation(last.node);
            // UNWRAP: as in `edge_of`.
            let edges = self.graph.edges(last.node).expect("an entered node has edges");
            self.gains.add(edges.at(last.edge).action(), gained);
            self.graph.adopt(edges, last.edge, child);
            changed.extend(self.shorten(child, self.graph.depth(last.node).saturating_add(1)));
        }
        let changed = match self.settings.renewal {
            Renewal::Ancestors => self.graph.ancestry(&changed),
            Renewal::Path => {
                changed.extend(worker.path.iter().rev().map(|passed| passed.node));
                changed
            }
        };
        self.graph.renew_all(&changed, &self.rules);
        self.finish(worker);
    }

    /// Moves `node` to `depth` if that is nearer, and what lies below it accordingly. Returns what came nearer.
    fn shorten(&self, node: u32, depth: u32) -> Vec<u32> {
        let mut nearer = Vec::new();
        let mut queue = alloc::vec![(node, depth)];
        while let Some((node, depth)) = queue.pop() {
            if depth < self.graph.depth(node) {
                self.graph.set_depth(node, depth);
                nearer.push(node);
                for edge in self.graph.edges(node).into_iter().flat_map(Edges::iter) {
                    if let Link::Node(child) = edge.link() {
                        queue.push((child, depth.saturating_add(1)));
                    }
                }
            }
        }
        nearer
    }
}
