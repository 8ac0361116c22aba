// SPDX-License-Identifier: MIT
//! The search itself: one step tries one edge, or all edges of a node.
//!
//! A step first asks the game everything it needs, and writes only when nothing can fail any more: after an error
//! the graph, the counts and the generator are what they were, but that it may know by then what a node offers, and that values
//! may have been renewed on the way.

use alloc::vec::Vec;
use core::marker::PhantomData;

use super::backup::Rules;
use super::gains::Gains;
use super::graph::{EdgeId, Graph, Layout, Link, NodeId};
use super::settings::{MOST_AT_ONCE, Settings};
use super::worker::{Arrival, Shared, Task, Worker, Written};
use super::{Action, Choice, Evaluation, Game, MAX_WORDS, Packed, Repetition, SearchError};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// An edge was tried.
    Tried {
        /// The edge, whose parent is the last node of the descent.
        edge: EdgeId,
        /// What it led to.
        outcome: Outcome,
    },
    /// The edges of a node that was entered for the first time were tried, all at once.
    Expanded {
        /// The node.
        node: NodeId,
        /// How many of them led to states not met before.
        new: u32,
    },
    /// Several descents were made, all but the first of which began where a way to them had led already.
    Strode {
        /// How many.
        descents: u32,
        /// How many states not met before they led to.
        new: u32,
    },
    /// The way led back to itself, in a game where that ends it.
    Repeated,
    /// All that is worth trying is being tried by other workers.
    Busy,
    /// Every state within the depth limit has been met and every edge between them tried, or the root's value is
    /// proven: nothing is left to do.
    Exhausted,
}

impl Step {
    /// How many states it evaluated, each of which became a node.
    #[must_use]
    pub const fn evaluations(self) -> u32 {
        match self {
            Self::Tried { outcome: Outcome::New { .. }, .. } => 1,
            Self::Expanded { new, .. } | Self::Strode { new, .. } => new,
            Self::Tried { .. } | Self::Repeated | Self::Busy | Self::Exhausted => 0,
        }
    }
}

/// What an edge led to when it was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A state not met before, now a node.
    New {
        /// The new node.
        node: NodeId,
    },
    /// A state met before by another way: nothing was evaluated.
    Transposition {
        /// The node of that state.
        node: NodeId,
    },
    /// The action does not apply or leaves the state as it was; the edge is closed.
    Closed,
}

/// How much a search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Evaluations that became nodes, each one for a state that was not in the graph.
    pub evaluations: u64,
    /// Edges found to lead to a state met before.
    pub transpositions: u64,
    /// Edges found to lead nowhere.
    pub closed: u64,
    /// Nodes forgotten, to stay within the byte limit or since the root went on without them.
    pub forgotten: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.evaluations += other.evaluations;
        self.transpositions += other.transpositions;
        self.closed += other.closed;
        self.forgotten += other.forgotten;
    }
}

/// A Monte-Carlo graph search over a [`Game`], which is lent to it for each step.
pub struct Search<S> {
    pub(super) shared: Shared,
    /// The worker of whoever steps the search alone.
    pub(super) own: Worker<S>,
    pub(super) counts: Counts,
    pub(super) best: u32,
    pub(super) state: PhantomData<S>,
}

impl<S: Packed> Search<S> {
    /// Begins at `root`, which is evaluated.
    ///
    /// # Errors
    /// [`SearchError`]: a setting out of range, or a game that fails or breaks its contract at the root.
    pub fn new<G: Game<State = S>>(
        settings: Settings,
        root: S,
        game: &mut G,
    ) -> Result<Self, SearchError<G::Error>> {
        settings.validate(G::REPETITION)?;
        let mut own = Worker::new(settings.seed, 0);
        let arrival = evaluate(&mut own, root, game)?;
        let mut search = Self::empty(settings, G::REPETITION, own);
        search.shared.root = search.enter_root(arrival)?;
        search.best = search.shared.root;
        search.counts.evaluations = 1;
        Ok(search)
    }

    /// A search without a root.
    pub(super) fn empty(settings: Settings, repetition: Repetition, own: Worker<S>) -> Self {
        const { assert!(S::WORDS <= MAX_WORDS, "a packed state has at most MAX_WORDS words") };
        let repeats = matches!(repetition, Repetition::Value(_));
        let layout = Layout { state_words: S::WORDS, wide: settings.is_wide(), repeats };
        let shared = Shared {
            graph: Graph::new(layout),
            settings,
            rules: Rules::new(&settings, repetition),
            repetition,
            gains: Gains::default(),
            root: 0,
        };
        Self { shared, own, counts: Counts::default(), best: 0, state: PhantomData }
    }

    /// Makes a state a node that no edge leads to.
    fn enter_root<E>(&mut self, arrival: Arrival<S>) -> Result<u32, SearchError<E>> {
        let Arrival::New { state, turn, evaluation } = arrival else { return Ok(self.shared.root) };
        let (facts, value) = self.shared.facts_of(turn, evaluation, Link::Untried, 0);
        match self.shared.graph.insert::<false, S>(&state, facts, value, 0, &mut (0..0)) {
            Some(Ok(node) | Err(node)) => Ok(node),
            None => Err(SearchError::Full),
        }
    }

    /// Descends from the root to an edge that nobody has tried, and tries it; or all edges of a new node, as set by
    /// [`Expansion`](super::Expansion).
    ///
    /// For each edge it costs one [`Game::apply`] and at most one [`Game::evaluate`]; for each descent as a rule one [`Game::actions`],
    /// and the renewal of values as set by [`Renewal`](super::Renewal). Now and then it makes room or forgets, which costs O(nodes).
    ///
    /// # Errors
    /// [`SearchError`]: the game failed or broke its contract, or the graph is full. The search is as it was before.
    pub fn step<G: Game<State = S>>(
        &mut self,
        game: &mut G,
    ) -> Result<Step, SearchError<G::Error>> {
        self.step_on(MOST_AT_ONCE, 0, game)
    }

    /// A [`step`](Self::step) of at most `most` evaluations (`most` of 0 is 1), for who has no more to give. Where it stops short among the edges of a
    /// node, the others are tried one by one later.
    ///
    /// With [`Expansion::All`](super::Expansion), in a game whose states never recur, this is the faster way to search: one step may
    /// make some dozen descents ([`Step::Strode`]) that share the way to where edges have few visits. So a value there is renewed after
    /// every descent, and near the root after a few, never more than a sixteenth of an edge's visits late. Afterwards all are.
    ///
    /// # Errors
    /// As [`step`](Self::step); descents before the one that failed are kept.
    pub fn step_within<G: Game<State = S>>(
        &mut self,
        most: u32,
        game: &mut G,
    ) -> Result<Step, SearchError<G::Error>> {
        let stride = self.shared.stride();
        self.step_on(most, stride, game)
    }

    fn step_on<G: Game<State = S>>(
        &mut self,
        most: u32,
        stride: u32,
        game: &mut G,
    ) -> Result<Step, SearchError<G::Error>> {
        self.make_room()?;
        self.own.stride = stride;
        let step = match drive::<false, G>(&self.shared, &mut self.own, game, most) {
            Ok(Driven::Ended(step)) => Ok(step),
            Ok(Driven::Arrived(edge, arrival, strode)) => {
                let written = self.shared.write::<false, S>(&mut self.own, arrival);
                step_of(edge, self.learn(None, written)).map(|step| strode.and(step))
            }
            Err(error) => Err(error),
        };
        self.counts.add(core::mem::take(&mut self.own.counts));
        Ok(self.patience(step?))
    }

    /// Ways that lead back to themselves for long mean that there is nothing else.
    fn patience(&mut self, step: Step) -> Step {
        self.own.idle = if step == Step::Repeated { self.own.idle + 1 } else { 0 };
        if self.own.idle > 1000 + 2 * self.shared.graph.len() as u64 {
            Step::Exhausted
        } else {
            step
        }
    }

    /// A step beside other threads that do the same, each with a worker of its own, and within `most` edges as in
    /// [`step_within`](Self::step_within). `Step::Busy` means to try again.
    ///
    /// Room is not made here: whoever finds [`needs_room`](Self::needs_room) makes the others wait and calls
    /// [`make_room`](Self::make_room). What the worker counted is the search's once [`count`](Self::count) was called.
    ///
    /// # Errors
    /// As [`step`](Self::step), and [`SearchError::NotShareable`].
    pub fn step_beside<G: Game<State = S>>(
        &self,
        worker: &mut Worker<S>,
        most: u32,
        game: &mut G,
    ) -> Result<Step, SearchError<G::Error>> {
        if self.shared.graph.layout.wide {
            return Err(SearchError::NotShareable);
        }
        worker.stride = self.shared.stride();
        match drive::<true, G>(&self.shared, worker, game, most)? {
            Driven::Ended(step) => Ok(step),
            Driven::Arrived(edge, arrival, strode) => {
                match self.shared.write::<true, S>(worker, arrival) {
                    // Not full yet: others have taken what room there was.
                    Written::NoRoom => Ok(strode.and(Step::Busy)),
                    written => Ok(strode.and(step_of(edge, written)?)),
                }
            }
        }
    }

    /// A worker for [`step_beside`](Self::step_beside) or [`seek`](Self::seek). Numbers give different streams of chance; number 0
    /// is the search's own.
    #[must_use]
    pub fn worker(&self, number: u32) -> Worker<S> {
        Worker::new(self.shared.settings.seed, number)
    }

    /// The first half of a step, for evaluations that take long: what the game is to be asked. See [`Worker`].
    ///
    /// # Errors
    /// [`SearchError::Recurred`], [`SearchError::Full`].
    pub fn seek<E>(&mut self, worker: &mut Worker<S>) -> Result<Task<S>, SearchError<E>> {
        // Nobody's way may be swept away, so nothing is forgotten here.
        if self.shared.graph.is_tight() {
            self.grow()?;
        }
        self.shared.seek::<false, S, E>(worker)
    }

    /// Answers [`Task::Expand`]. The worker then seeks on from there.
    ///
    /// # Errors
    /// [`SearchError`]: what the game offers is not sound. The worker's way is given up.
    pub fn expand<E>(
        &mut self,
        worker: &mut Worker<S>,
        choices: &mut [Choice],
    ) -> Result<(), SearchError<E>> {
        self.shared.expand::<false, S, E>(worker, choices)
    }

    /// Answers [`Task::Try`].
    ///
    /// # Errors
    /// [`SearchError::InvalidValue`]: the worker's way is given up. [`SearchError::Full`].
    pub fn answer<E>(
        &mut self,
        worker: &mut Worker<S>,
        arrival: Arrival<S>,
    ) -> Result<Step, SearchError<E>> {
        let Some(last) = worker.path.last() else { return Ok(Step::Busy) };
        let edge = EdgeId { parent: NodeId(last.node), index: last.edge };
        if let Arrival::New { evaluation, .. } = &arrival
            && let Err(error) = check(*evaluation)
        {
            self.abandon(worker);
            return Err(error);
        }
        let written = self.shared.write::<false, S>(worker, arrival);
        let step = step_of(edge, self.learn(Some(&mut *worker), written))?;
        self.counts.add(core::mem::take(&mut worker.counts));
        Ok(step)
    }

    /// Gives up what a worker is doing, as if it had never begun: its game failed, or panicked.
    pub fn abandon(&self, worker: &mut Worker<S>) {
        self.shared.retract::<true, S>(worker);
    }

    /// Takes over what a worker has counted.
    pub fn count(&mut self, worker: &mut Worker<S>) {
        self.counts.add(core::mem::take(&mut worker.counts));
    }

    /// What follows from an answer in a wide graph; of `worker`, or the search's own.
    fn learn(&mut self, worker: Option<&mut Worker<S>>, written: Written) -> Written {
        if self.shared.graph.layout.wide && written != Written::NoRoom {
            let worker = worker.unwrap_or(&mut self.own);
            self.shared.catch_up(worker, written);
            if let Written::New { child } = written {
                let (new, best) = (self.evaluation_of(child), self.evaluation_of(self.best));
                let maximises =
                    self.shared.graph.facts(self.shared.root).turn() != super::Turn::Second;
                if new != best && (new > best) == maximises {
                    self.best = child;
                }
            }
        }
        written
    }

    fn evaluation_of(&self, node: u32) -> f64 {
        self.shared.graph.evaluation(node)
    }

    /// Whether [`make_room`](Self::make_room) has something to do.
    #[must_use]
    pub fn needs_room(&self) -> bool {
        self.shared.graph.is_tight() || self.is_over_limit()
    }

    /// Sets how many bytes the graph may take from now on: for a caller whose states share one budget with it. Nothing is
    /// forgotten before [`make_room`](Self::make_room).
    pub fn set_byte_limit(&mut self, limit: Option<u64>) {
        self.shared.settings.byte_limit = limit;
    }

    fn is_over_limit(&self) -> bool {
        self.shared.settings.byte_limit.is_some_and(|limit| self.bytes() > limit)
    }

    /// Makes room for more nodes, and if the graph is beyond its byte limit, forgets what was visited least. No worker may be
    /// on its way: those of [`seek`](Self::seek) must have been answered or abandoned. O(nodes), at most once in a sixteenth of them.
    ///
    /// # Errors
    /// [`SearchError::Full`].
    pub fn make_room<E>(&mut self) -> Result<(), SearchError<E>> {
        if self.is_over_limit() {
            self.forget();
        }
        if self.shared.graph.is_tight() { self.grow() } else { Ok(()) }
    }

    /// Makes room for so many nodes more at once, as far as nodes can be named: so that workers need not stop for it. What is not used of it
    /// is memory that was asked for and, where the system gives zeros when they are first written to, not taken. The index of all of them
    /// counts among the [`bytes`](Self::bytes) at once, some 20 a node.
    pub fn reserve(&mut self, nodes: u32) {
        self.shared.graph.make_room_for(nodes);
    }

    fn grow<E>(&mut self) -> Result<(), SearchError<E>> {
        self.shared.graph.make_room();
        if self.shared.graph.is_full() { Err(SearchError::Full) } else { Ok(()) }
    }

    /// Makes what `action` leads to the new root. What is known of it and below it stays; what is no longer reached is forgotten.
    /// `None` if the action is not one of the root's, or leads nowhere. No worker may be on its way. O(nodes).
    ///
    /// # Errors
    /// [`SearchError`]: the game failed or broke its contract. The search is as it was before.
    pub fn advance_root<G: Game<State = S>>(
        &mut self,
        action: Action,
        game: &mut G,
    ) -> Result<Option<NodeId>, SearchError<G::Error>> {
        self.make_room()?;
        self.shared.retract::<false, S>(&mut self.own);
        let state = self.shared.graph.state(self.shared.root);
        let mut choices = Vec::new();
        game.actions(&state, &mut choices).map_err(SearchError::Game)?;
        if !choices.iter().any(|choice| choice.action == action) {
            return Ok(None);
        }
        let Some(next) = game.apply(&state, action).map_err(SearchError::Game)? else {
            return Ok(None);
        };
        self.shared.root = match self.shared.graph.find(&next) {
            Some(node) => node,
            None => {
                let arrival = evaluate(&mut self.own, next, game)?;
                let node = self.enter_root(arrival)?;
                self.counts.evaluations += 1;
                node
            }
        };
        self.forget_unreachable();
        Ok(Some(NodeId(self.shared.root)))
    }
}

/// How far a worker came.
enum Driven<S> {
    Ended(Step),
    Arrived(EdgeId, Arrival<S>, Strode),
}

/// Descents of one step that have been made.
#[derive(Clone, Copy, Default)]
struct Strode {
    descents: u32,
    new: u32,
}

impl Strode {
    /// The step that they and one more are.
    fn and(self, last: Step) -> Step {
        let new = self.new + last.evaluations();
        match (self.descents, last) {
            (0, last) => last,
            // Whoever steps again finds the same again.
            (descents, Step::Busy | Step::Exhausted | Step::Repeated) => {
                Step::Strode { descents, new }
            }
            (descents, _) => Step::Strode { descents: descents + 1, new },
        }
    }
}

/// Has a worker seek until an edge was tried, or at most `most` edges of a node at once, asking the game; and go on from there as
/// long as its stride allows.
fn drive<const SHARED: bool, G: Game>(
    shared: &Shared,
    worker: &mut Worker<G::State>,
    game: &mut G,
    most: u32,
) -> Result<Driven<G::State>, SearchError<G::Error>> {
    let (budget, mut strode) = (most, Strode::default());
    loop {
        match shared.seek::<SHARED, G::State, G::Error>(worker)? {
            Task::Repeated => return Ok(Driven::Ended(strode.and(Step::Repeated))),
            Task::Busy => return Ok(Driven::Ended(strode.and(Step::Busy))),
            Task::Exhausted => return Ok(Driven::Ended(strode.and(Step::Exhausted))),
            Task::Expand { node, state } => {
                let most = budget - strode.new;
                // Lent meanwhile, and kept for the next time.
                let mut choices = core::mem::take(&mut worker.choices);
                let mut arrivals = core::mem::take(&mut worker.arrivals);
                choices.clear();
                arrivals.clear();
                let asked = ask(shared, worker, &state, game, most, &mut choices, &mut arrivals);
                let expanded = match asked {
                    Ok(()) if arrivals.is_empty() => {
                        shared.expand::<SHARED, _, _>(worker, &mut choices).map(|()| None)
                    }
                    Ok(()) => shared
                        .open::<SHARED, _>(worker, &choices, &arrivals)
                        .map(|new| Some(Step::Expanded { node, new }))
                        .ok_or(SearchError::Full),
                    Err(error) => {
                        shared.retract::<SHARED, _>(worker);
                        Err(error)
                    }
                };
                (worker.choices, worker.arrivals) = (choices, arrivals);
                match expanded {
                    // Not full yet, beside others: they have taken what room there was.
                    Err(SearchError::Full) if SHARED => {
                        return Ok(Driven::Ended(strode.and(Step::Busy)));
                    }
                    Err(error) => return Err(error),
                    Ok(Some(step)) => {
                        let step = strode.and(step);
                        let is_over = step.evaluations() >= budget || shared.graph.is_tight();
                        if is_over && !worker.path.is_empty() {
                            shared.give_up::<SHARED, _>(worker);
                        }
                        if worker.path.is_empty() {
                            return Ok(Driven::Ended(step));
                        }
                        strode = Strode { descents: strode.descents + 1, new: step.evaluations() };
                    }
                    Ok(None) => {}
                }
            }
            Task::Try { edge, state, action } => {
                match arrive(shared, worker, &state, action, game) {
                    Ok(arrival) => return Ok(Driven::Arrived(edge, arrival, strode)),
                    Err(error) => {
                        shared.retract::<SHARED, G::State>(worker);
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn arrive<G: Game>(
    shared: &Shared,
    worker: &mut Worker<G::State>,
    state: &G::State,
    action: Action,
    game: &mut G,
) -> Result<Arrival<G::State>, SearchError<G::Error>> {
    match game.apply(state, action).map_err(SearchError::Game)? {
        None => Ok(Arrival::Nowhere),
        Some(next) if is_same(state, &next) => Ok(Arrival::Nowhere),
        Some(next) if shared.graph.find(&next).is_some() => Ok(Arrival::Met { state: next }),
        Some(next) => evaluate(worker, next, game),
    }
}

/// What `state` offers, and where the first `most` of that lead if all are to be tried at once. Chance that was used is only used up
/// if all goes well.
fn ask<G: Game>(
    shared: &Shared,
    worker: &mut Worker<G::State>,
    state: &G::State,
    game: &mut G,
    most: u32,
    choices: &mut Vec<Choice>,
    arrivals: &mut Vec<Arrival<G::State>>,
) -> Result<(), SearchError<G::Error>> {
    game.actions(state, choices).map_err(SearchError::Game)?;
    if !shared.settings.is_at_once() || choices.len() > MOST_AT_ONCE as usize {
        return Ok(());
    }
    shared.check_choices(choices)?;
    // First where they all lead, so that the memory where that is looked up can be fetched meanwhile.
    for choice in choices.iter().take(most.max(1) as usize) {
        arrivals.push(match game.apply(state, choice.action).map_err(SearchError::Game)? {
            Some(next) if !is_same(state, &next) => {
                shared.graph.prefetch(&next);
                Arrival::Met { state: next }
            }
            _ => Arrival::Nowhere,
        });
    }
    let generator = worker.generator.clone();
    for arrival in arrivals {
        if let Arrival::Met { state } = arrival
            && shared.graph.find(state).is_none()
        {
            match evaluate(worker, *state, game) {
                Ok(new) => *arrival = new,
                Err(error) => {
                    worker.generator = generator;
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

fn is_same<S: Packed>(a: &S, b: &S) -> bool {
    let [mut of_a, mut of_b] = [[0; MAX_WORDS]; 2];
    a.pack(&mut of_a[..S::WORDS]);
    b.pack(&mut of_b[..S::WORDS]);
    of_a[..S::WORDS] == of_b[..S::WORDS]
}

/// Has the game judge a new state. Chance that it used is only used up if the judgement is sound.
fn evaluate<G: Game>(
    worker: &mut Worker<G::State>,
    state: G::State,
    game: &mut G,
) -> Result<Arrival<G::State>, SearchError<G::Error>> {
    let mut generator = worker.generator.clone();
    let evaluation = game.evaluate(&state, &mut generator).map_err(SearchError::Game)?;
    check(evaluation)?;
    worker.generator = generator;
    Ok(Arrival::New { state, turn: game.turn(&state), evaluation })
}

fn check<E>(Evaluation { value, .. }: Evaluation) -> Result<(), SearchError<E>> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(SearchError::InvalidValue { found: value })
    }
}

fn step_of<E>(edge: EdgeId, written: Written) -> Result<Step, SearchError<E>> {
    let outcome = match written {
        Written::Closed => Outcome::Closed,
        Written::Cycle { child } | Written::Transposition { child } => {
            Outcome::Transposition { node: NodeId(child) }
        }
        Written::New { child } => Outcome::New { node: NodeId(child) },
        Written::NoRoom => return Err(SearchError::Full),
    };
    Ok(Step::Tried { edge, outcome })
}
