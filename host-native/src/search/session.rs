// SPDX-License-Identifier: MIT
//! A search as it stands: the engine's graph, the states it is about, and what became of each try.
//!
//! It runs no command and reads no clock. What it is told, it is told by the methods named as the journal's records are, and it
//! comes to the same from the same: so a journal that is told again restores it.

use std::convert::Infallible;

use cascow_core::hash::HashKind;
use cascow_core::search::{
    Action as ActionNumber, Arrival as Landed, Choice, EdgeId, Evaluation, Game, Generator, NodeId,
    Outcome, Repetition, Search, SearchError, Settings, Step, Task, Turn, Worker,
};
use cascow_core::snapshot::State;

use super::journal::{Landing, Times};
use super::plan::{MOST_WORKERS, Plan};
use super::proposer::Proposed;
use super::states::{Handle, Position, StateId, States, Used};
use super::table::ActionTable;
use super::{Event, Latencies, Score};
use crate::Error;
use crate::workspace::Origin;

/// More than the core's default: on real programs a wrong repair often looks right for a while, and going back to try others
/// first, in another order, is what finds out. On the bundled example 0.2 needs fewer evaluations but never looks back; at 1
/// it loses itself in breadth.
const EXPLORATION: f64 = 0.5;

/// How many of a state's proposals are considered, as a multiple of the square root of its visits: two at first, and sixty-four
/// by a thousand visits. Whoever proposes has ranked them. Actions given beforehand are considered all at once.
const WIDENING: f64 = 2.0;

/// Bytes that the graph and its states may always have beyond the base's: with less, nothing would be left to compare.
const LEAST_BYTES: u64 = 64 << 10;

/// Bytes that a known edge takes beside the graph's own.
const ARRIVAL_BYTES: u64 = 16;

/// What an action led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A state not met before.
    New,
    /// A state met before, in another order or by other actions.
    Transposition,
    /// The same state: it changed nothing.
    NoEffect,
    /// Nowhere: it failed, was killed, or ran out of time.
    Failed,
    /// Nowhere: the state that it was to be tried at is lost.
    Lost,
}

impl Arrival {
    /// Its name in events and reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Transposition => "transposition",
            Self::NoEffect => "no-effect",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) unique_states: usize,
    pub(super) transpositions: u64,
    pub(super) score_cache_hits: u64,
    pub(super) without_effect: u64,
    pub(super) failed_actions: u64,
    pub(super) proposals_left_out: u64,
    pub(super) proposals_bad: u64,
    pub(super) fork: Latencies,
    pub(super) backtrack: Latencies,
    pub(super) seal: Latencies,
    /// When the last thing happened, in microseconds of searching.
    pub(super) at: u64,
}

/// Something for a worker to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// Find out which actions a node offers.
    Propose { node: NodeId, at: Handle },
    /// Find out where an action leads.
    Try { edge: EdgeId, at: Handle, action: u32 },
}

/// What a worker finds when it asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sought {
    Job(Job),
    /// All that is worth doing is being done.
    Busy,
    /// Nothing is left.
    Exhausted,
}

/// The best state found. The engine may forget its node.
#[derive(Clone, Debug)]
pub(super) struct Best {
    pub(super) state: StateId,
    pub(super) score: f64,
    pub(super) number: u32,
    node: Option<NodeId>,
    /// How it was reached, once its node is forgotten.
    names: Vec<String>,
}

#[derive(Debug)]
struct Member {
    worker: Worker<Handle>,
    job: Option<Job>,
}

/// A search.
pub(super) struct Session {
    settings: Settings,
    has_proposer: bool,
    begun: Option<Begun>,
    start: Handle,
    pub(super) actions: ActionTable,
    pub(super) states: States,
    pub(super) tally: Tally,
}

/// What there is once the base was scored.
struct Begun {
    search: Search<Handle>,
    members: Vec<Member>,
    /// The edges that were tried, in order.
    arrivals: Vec<(EdgeId, Arrival)>,
    steps: usize,
    best: Best,
    /// Bytes that were there when it began.
    fixed: u64,
    /// Below so many, nothing more can be forgotten.
    floor: u64,
}

impl Session {
    /// One that has not begun: its base has no score.
    pub(super) fn new(
        kind: HashKind,
        plan: &Plan,
        base: &State,
        origin: Origin,
    ) -> Result<Self, Error> {
        let (states, start) = States::new(kind, base, origin)?;
        let has_proposer = plan.proposer.is_some();
        let settings = Settings {
            seed: plan.seed,
            depth_limit: plan.depth.unwrap_or(u32::MAX),
            exploration: EXPLORATION,
            widening: if has_proposer { WIDENING } else { 0.0 },
            ..Settings::optimisation()
        };
        let actions = ActionTable::new(&plan.actions, plan.seed)?;
        Ok(Self {
            settings,
            has_proposer,
            begun: None,
            start,
            actions,
            states,
            tally: Tally::default(),
        })
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The engine.
    pub(super) fn search(&self) -> Result<&Search<Handle>, Error> {
        Ok(&self.begun()?.search)
    }

    fn begun(&self) -> Result<&Begun, Error> {
        self.begun.as_ref().ok_or_else(not_begun)
    }

    pub(super) fn arrivals(&self) -> &[(EdgeId, Arrival)] {
        self.begun.as_ref().map_or(&[], |begun| &begun.arrivals)
    }

    pub(super) fn best(&self) -> Result<&Best, Error> {
        Ok(&self.begun()?.best)
    }

    /// The names of the actions that lead to the best state, in order.
    pub(super) fn way_to_best(&self) -> Result<Vec<String>, Error> {
        let best = self.best()?;
        match best.node {
            Some(node) => self.way_to(node),
            None => Ok(best.names.clone()),
        }
    }

    /// The names of the actions that lead to a node, in order.
    pub(super) fn way_to(&self, node: NodeId) -> Result<Vec<String>, Error> {
        let search = self.search()?;
        let path = search.path_to(node).unwrap_or_default();
        Ok(path.into_iter().map(|edge| self.name_of(search, edge).to_owned()).collect())
    }

    pub(super) fn name_of(&self, search: &Search<Handle>, edge: EdgeId) -> &str {
        search.edge(edge).map_or("", |edge| self.actions.name(edge.action.0))
    }

    /// Times that a state's score was asked for: of new nodes, and of those that an action led back to.
    pub(super) fn evaluations(&self) -> u64 {
        let counts = self.begun.as_ref().map(|begun| begun.search.counts()).unwrap_or_default();
        counts.evaluations + counts.transpositions
    }

    /// What a worker is doing, or was when the search was interrupted.
    pub(super) fn job(&self, worker: u32) -> Option<Job> {
        let members = &self.begun.as_ref()?.members;
        members.get(usize::try_from(worker).ok()?)?.job
    }

    /// How many workers there have been.
    pub(super) fn members(&self) -> u32 {
        let len = self.begun.as_ref().map_or(0, |begun| begun.members.len());
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// Whether nobody has anything to do.
    pub(super) fn is_idle(&self) -> bool {
        self.begun.as_ref().is_none_or(|begun| begun.members.iter().all(|one| one.job.is_none()))
    }

    /// The base has a score.
    pub(super) fn begin(
        &mut self,
        score: &Score,
        cached: bool,
        times: &Times,
    ) -> Result<(), Error> {
        let base = self.states.base();
        self.states.set_score(base, score.clone());
        self.tally.take(times);
        self.tally.unique_states = 1;
        self.tally.score_cache_hits += u64::from(cached);
        let mut start = Start(evaluation(score));
        let search = Search::new(self.settings, self.start, &mut start).map_err(into_error)?;
        let root = search.root().id;
        let best = Best {
            state: base,
            score: score.value,
            number: root.number(),
            node: Some(root),
            names: Vec::new(),
        };
        let (members, arrivals) = (Vec::new(), Vec::new());
        self.begun = Some(Begun { search, members, arrivals, steps: 0, best, fixed: 0, floor: 0 });
        let fixed = self.bytes();
        self.begun.as_mut().ok_or_else(not_begun)?.fixed = fixed;
        Ok(())
    }

    /// A worker asks what to do.
    pub(super) fn seek(&mut self, worker: u32) -> Result<Sought, Error> {
        let Self { begun, actions, states, has_proposer, .. } = self;
        let begun = begun.as_mut().ok_or_else(not_begun)?;
        let Begun { search, members, .. } = begun;
        let member = member(search, members, worker)?;
        member.job = None;
        loop {
            match search.seek(&mut member.worker).map_err(into_error)? {
                Task::Expand { node, state } if *has_proposer => {
                    member.job = Some(Job::Propose { node, at: state });
                }
                Task::Expand { state, .. } => {
                    let mut choices = actions.choices(&states.position(state)?.used);
                    search.expand(&mut member.worker, &mut choices).map_err(into_error)?;
                    continue;
                }
                Task::Try { edge, state, action: ActionNumber(action) } => {
                    member.job = Some(Job::Try { edge, at: state, action });
                }
                // No way leads back in a game that avoids it.
                Task::Repeated => continue,
                Task::Busy => return Ok(Sought::Busy),
                Task::Exhausted => return Ok(Sought::Exhausted),
            }
            return Ok(member.job.map_or(Sought::Busy, Sought::Job));
        }
    }

    /// A proposer has answered for a worker.
    pub(super) fn offer<'s>(
        &'s mut self,
        worker: u32,
        proposed: &'s Proposed,
    ) -> Result<Event<'s>, Error> {
        let begun = self.begun.as_mut().ok_or_else(not_begun)?;
        let member = member(&begun.search, &mut begun.members, worker)?;
        let Some(Job::Propose { node, .. }) = member.job.take() else { return Err(out_of_order()) };
        let mut choices = self.actions.enter(&proposed.proposals)?;
        begun.search.expand(&mut member.worker, &mut choices).map_err(into_error)?;
        self.tally.proposals_left_out += u64::from(proposed.left_out);
        self.tally.proposals_bad += u64::from(proposed.bad_lines);
        Ok(Event::Proposed {
            node: node.number(),
            proposals: proposed.proposals.len(),
            left_out: proposed.left_out,
            bad_lines: proposed.bad_lines,
            problem: proposed.problem.as_deref(),
        })
    }

    /// An action was tried by a worker. A state that it leads to has been [entered](States::enter).
    pub(super) fn answer<'s>(
        &'s mut self,
        worker: u32,
        landing: &'s Landing,
        times: &Times,
    ) -> Result<Event<'s>, Error> {
        let begun = self.begun.as_mut().ok_or_else(not_begun)?;
        let Begun { search, members, arrivals, steps, best, .. } = begun;
        let member = member(search, members, worker)?;
        let Some(Job::Try { edge, at, action }) = member.job.take() else {
            return Err(out_of_order());
        };
        self.tally.take(times);
        let (arrival, landed, complaint) = match landing {
            Landing::Failed { complaint } => {
                self.tally.failed_actions += 1;
                (Arrival::Failed, Landed::Nowhere, complaint.as_deref())
            }
            Landing::Lost { reason } => (Arrival::Lost, Landed::Nowhere, Some(&**reason)),
            Landing::NoEffect => {
                self.tally.without_effect += 1;
                (Arrival::NoEffect, Landed::Nowhere, None)
            }
            Landing::At { root, score, cached } => {
                let state = self.states.find(root).ok_or_else(|| {
                    Error::Damaged(format!(
                        "the search's journal names a state {root} that it does not hold"
                    ))
                })?;
                let arrival = if self.states.score(state).is_some() {
                    self.tally.transpositions += 1;
                    Arrival::Transposition
                } else {
                    self.tally.unique_states += 1;
                    Arrival::New
                };
                if let (Arrival::New, Some(score)) = (arrival, score) {
                    self.states.set_score(state, score.clone());
                }
                let mut used = Used::clone(&self.states.position(at)?.used);
                if self.actions.get(action).is_some_and(|action| action.once) {
                    std::sync::Arc::make_mut(&mut used).insert(action);
                }
                let handle = self.states.handle(state, used)?;
                let score = self.states.score(state).ok_or_else(|| {
                    Error::Damaged(format!("the search's journal gives the state {root} no score"))
                })?;
                let landed = match search.find(&handle) {
                    Some(_) => Landed::Met { state: handle },
                    None => {
                        let is_known = *cached || arrival == Arrival::Transposition;
                        self.tally.score_cache_hits += u64::from(is_known);
                        let evaluation = evaluation(score);
                        Landed::New { state: handle, turn: Turn::First, evaluation }
                    }
                };
                (arrival, landed, None)
            }
        };
        let step = search.answer(&mut member.worker, landed).map_err(into_error)?;
        let Step::Tried { outcome, .. } = step else { return Err(out_of_order()) };
        *steps += 1;
        arrivals.push((edge, arrival));
        let to = match outcome {
            Outcome::New { node } | Outcome::Transposition { node } => search.node(node),
            Outcome::Closed => None,
        };
        let position = to.map(|node| self.states.position(node.state)).transpose()?;
        let score = position.and_then(|position| self.states.score(position.state));
        if let (Some(node), Some(position), Some(score)) = (to, position, score)
            && score.value > best.score
        {
            *best = Best {
                state: position.state,
                score: score.value,
                number: node.id.number(),
                node: Some(node.id),
                names: Vec::new(),
            };
        }
        let counts = search.counts();
        Ok(Event::Step {
            step: *steps,
            evaluations: counts.evaluations + counts.transpositions,
            from: edge.parent.number(),
            action: self.actions.name(action),
            outcome: arrival.name(),
            to: to.map(|node| node.id.number()),
            root: position.map(|position| position.root.to_string()),
            score: score.map(|score| score.value),
            best: best.score,
            feedback: complaint.or(score.and_then(|score| score.feedback.as_deref())),
            unique_states: self.tally.unique_states,
            transpositions: self.tally.transpositions,
            forks: self.tally.fork.len(),
            is_replayed: false,
        })
    }

    /// Something of the best state is lost: the best of the others counts. Says which it was, and its score.
    pub(super) fn lose_best(&mut self, reason: &str) -> Result<(u32, f64), Error> {
        let begun = self.begun.as_mut().ok_or_else(not_begun)?;
        let lost = (begun.best.number, begun.best.score);
        self.states.lose(begun.best.state, reason.to_owned());
        // There is one at least, since the base is never given up.
        let mut next: Option<Best> = None;
        for node in begun.search.nodes() {
            let state = self.states.position(node.state)?.state;
            let Some(score) = self.states.score(state).map(|score| score.value) else { continue };
            let is_better = next.as_ref().is_none_or(|next| score > next.score);
            if is_better && self.states.loss(state).is_none() {
                let (number, node, names) = (node.id.number(), Some(node.id), Vec::new());
                next = Some(Best { state, score, number, node, names });
            }
        }
        begun.best = next.ok_or_else(|| Error::Damaged(reason.to_owned()))?;
        Ok(lost)
    }

    /// A worker is no more.
    pub(super) fn abandon(&mut self, worker: u32) -> Result<(), Error> {
        let begun = self.begun.as_mut().ok_or_else(not_begun)?;
        let member = member(&begun.search, &mut begun.members, worker)?;
        member.job = None;
        begun.search.abandon(&mut member.worker);
        Ok(())
    }

    /// Bytes of memory that the graph and the states take.
    fn bytes(&self) -> u64 {
        let graph = self
            .begun
            .as_ref()
            .map_or(0, |begun| begun.search.bytes() + ARRIVAL_BYTES * begun.arrivals.len() as u64);
        graph + self.states.bytes()
    }

    /// Whether it is time to [make room](Self::room).
    pub(super) fn needs_room(&self, limit: u64) -> bool {
        let Some(begun) = &self.begun else { return false };
        let bytes = self.bytes();
        bytes > limit.max(begun.floor).max(begun.fixed + LEAST_BYTES) && begun.search.len() > 1
    }

    /// How many bytes of a limit are the graph's.
    pub(super) fn share(&self, limit: u64) -> Result<u64, Error> {
        let Begun { search, fixed, .. } = self.begun()?;
        // States go with their nodes, so the graph's part of the bytes stands for all.
        let allowed = limit.saturating_sub(*fixed).max(LEAST_BYTES);
        let variable = self.bytes().saturating_sub(*fixed).max(1);
        let share = u128::from(search.bytes()) * u128::from(allowed) / u128::from(variable);
        Ok(u64::try_from(share).unwrap_or(u64::MAX))
    }

    /// Forgets what was visited least until the graph is within so many bytes, with the states that nothing else needs. No worker
    /// may be at work.
    pub(super) fn room(&mut self, graph_bytes: u64) -> Result<(), Error> {
        let way = self.way_to_best()?;
        let begun = self.begun.as_mut().ok_or_else(not_begun)?;
        let Begun { search, arrivals, best, .. } = begun;
        search.set_byte_limit(Some(graph_bytes));
        search.make_room().map_err(into_error)?;
        search.set_byte_limit(None);
        // Now, before the number of a node that is gone is given to another.
        if best.node.is_some_and(|node| search.node(node).is_none()) {
            best.node = None;
            best.names = way;
        }
        arrivals.retain(|(edge, arrival)| {
            let leads_on = matches!(arrival, Arrival::New | Arrival::Transposition);
            search.edge(*edge).is_some_and(|edge| !leads_on || edge.child().is_some())
        });
        let handles = search.nodes().map(|node| node.state).collect();
        self.states.retain(&handles, best.state)?;
        let floor = self.bytes() / 4 * 5;
        self.begun.as_mut().ok_or_else(not_begun)?.floor = floor;
        Ok(())
    }

    /// What is known of the position that a job begins at.
    pub(super) fn place(&self, job: Job) -> Result<&Position, Error> {
        let (Job::Propose { at, .. } | Job::Try { at, .. }) = job;
        self.states.position(at)
    }
}

impl Tally {
    fn take(&mut self, times: &Times) {
        for (micros, is_backtrack) in &times.forks {
            self.fork.push(*micros);
            if *is_backtrack {
                self.backtrack.push(*micros);
            }
        }
        times.seal.into_iter().for_each(|micros| self.seal.push(micros));
        self.at = self.at.max(times.at);
    }
}

fn member<'m>(
    search: &Search<Handle>,
    members: &'m mut Vec<Member>,
    worker: u32,
) -> Result<&'m mut Member, Error> {
    let index = usize::try_from(worker).map_err(|_| out_of_order())?;
    if worker >= MOST_WORKERS {
        return Err(out_of_order());
    }
    while members.len() <= index {
        let number = u32::try_from(members.len()).map_err(|_| out_of_order())?;
        members.push(Member { worker: search.worker(number), job: None });
    }
    members.get_mut(index).ok_or_else(out_of_order)
}

fn not_begun() -> Error {
    Error::Damaged("the search has not begun, and its journal goes on".to_owned())
}

fn out_of_order() -> Error {
    Error::Damaged("the records of the search's journal do not follow from each other".to_owned())
}

pub(super) fn into_error(error: SearchError<Infallible>) -> Error {
    Error::Misuse(format!("the search cannot go on: {error}"))
}

fn evaluation(score: &Score) -> Evaluation {
    Evaluation { value: score.value, terminal: score.terminal }
}

/// All that the engine asks when it begins: what the base is worth.
struct Start(Evaluation);

impl Game for Start {
    type State = Handle;
    type Error = Infallible;

    /// Actions may be undone by others, and no state is the better for being reached twice.
    const REPETITION: Repetition = Repetition::Avoid;

    fn actions(&mut self, _: &Handle, _: &mut Vec<Choice>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, _: &Handle, _: ActionNumber) -> Result<Option<Handle>, Infallible> {
        Ok(None)
    }

    fn evaluate(&mut self, _: &Handle, _: &mut Generator) -> Result<Evaluation, Infallible> {
        Ok(self.0)
    }
}
