// SPDX-License-Identifier: MIT
//! The workers of a search: each takes a job from the session, runs its command in a fork of its own, and tells what became of it.
//!
//! The session stands under one lock; commands run outside of it. What a worker was told and has not answered when the search stops
//! stays with it, and is taken up when the search is resumed. A state that one worker scores is waited for by others that come to
//! it, and not scored twice.

mod forks;
mod jobs;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::snapshot::Delta;

use super::Event;
use super::journal::{Journal, Landing, Op, Times};
use super::plan::{Plan, Stopped};
use super::proposer::Proposed;
use super::scorebook::Scorebook;
use super::session::{Job, Session, Sought};
use super::states::StateId;
use crate::Error;
use crate::command::Limits;
use crate::repository::Repository;
use crate::workspace::Workshop;

use forks::Trouble;
pub(super) use forks::base_is_lost;

/// How often who waits for others looks whether the user wants everything to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who is told what happens.
pub(super) type Observe<'a> = &'a mut (dyn FnMut(&Event<'_>) -> Result<(), Error> + Send);

/// What all workers share and change.
pub(super) struct Shared<'a> {
    pub(super) session: Session,
    pub(super) journal: Journal<'a>,
    pub(super) scorebook: Option<Scorebook<'a>>,
    pub(super) observe: Observe<'a>,
    /// The state that a worker is scoring.
    scoring: HashMap<u32, StateId>,
    /// Where a worker stood last: leaving it for anything but a child of it is backtracking.
    standing: HashMap<u32, StateId>,
    at_work: u64,
    /// Counts what may give a worker something to do that had nothing.
    changes: u64,
    /// The count when a worker last had nothing.
    idle_since: HashMap<u32, u64>,
    stopped: Option<Stopped>,
    error: Option<Error>,
}

/// The workers of one run.
pub(super) struct Crew<'a> {
    plan: &'a Plan,
    repository: &'a Repository,
    workshop: &'a Workshop<'a>,
    limits: Limits<'a>,
    /// Ends what runs when one worker has found the end of the search.
    halt: &'a AtomicBool,
    start: Instant,
    /// Microseconds of searching before this run.
    before: u64,
    shared: Mutex<Shared<'a>>,
    changed: Condvar,
}

/// What a run has that does not change.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) plan: &'a Plan,
    pub(super) repository: &'a Repository,
    pub(super) workshop: &'a Workshop<'a>,
    pub(super) limits: Limits<'a>,
    pub(super) halt: &'a AtomicBool,
    pub(super) start: Instant,
}

/// What a worker is to do next.
enum Next {
    Job(Job),
    Wait,
    Stop,
}

/// What became of a job.
enum Done {
    Offer(Proposed),
    Answer { landing: Landing, delta: Option<Delta>, is_durable: bool, times: Times },
}

impl<'a> Shared<'a> {
    pub(super) fn new(
        session: Session,
        journal: Journal<'a>,
        scorebook: Option<Scorebook<'a>>,
        observe: Observe<'a>,
    ) -> Self {
        Self {
            session,
            journal,
            scorebook,
            observe,
            scoring: HashMap::new(),
            standing: HashMap::new(),
            at_work: 0,
            changes: 0,
            idle_since: HashMap::new(),
            stopped: None,
            error: None,
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.is_some() || self.error.is_some()
    }

    /// The first reason counts.
    fn stop(&mut self, stopped: Stopped) -> Next {
        if !self.is_over() {
            self.stopped = Some(stopped);
        }
        Next::Stop
    }

    fn fail(&mut self, error: Error) {
        if !self.is_over() {
            self.error = Some(error);
        }
    }
}

impl<'a> Crew<'a> {
    pub(super) fn new(means: Means<'a>, shared: Shared<'a>) -> Self {
        let Means { plan, repository, workshop, limits, halt, start } = means;
        let before = shared.session.tally.at;
        let (shared, changed) = (Mutex::new(shared), Condvar::new());
        Self { plan, repository, workshop, limits, halt, start, before, shared, changed }
    }

    /// Shows the session.
    pub(super) fn read<T>(
        &self,
        show: impl FnOnce(&mut Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        show(&mut self.lock().session)
    }

    /// Shows the session, and whom to tell of it.
    pub(super) fn tell(
        &self,
        show: impl FnOnce(
            &mut Session,
            &mut (dyn FnMut(&Event<'_>) -> Result<(), Error> + Send),
        ) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Shared { session, observe, .. } = &mut *self.lock();
        show(session, *observe)
    }

    /// What all that was done has come to.
    pub(super) fn into_shared(self) -> Shared<'a> {
        self.shared.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Shared<'a>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds of searching so far.
    pub(super) fn elapsed(&self) -> u64 {
        self.before.saturating_add(micros(self.start.elapsed()))
    }

    /// Scores the state that the search begins with, unless it was before.
    pub(super) fn begin(&self) -> Result<(), Error> {
        let (base, known) = {
            let mut shared = self.lock();
            if shared.session.has_begun() {
                return Ok(());
            }
            let base = shared.session.states.base();
            let root = shared.session.states.root(base)?;
            (base, shared.scorebook.as_ref().and_then(|book| book.get(&root)).cloned())
        };
        let (mut times, cached) = (Times::default(), known.is_some());
        // Without its score there is no search, so that the time is not looked at yet.
        let limits = Limits { until: None, ..self.limits };
        let (score, is_durable) = match known {
            Some(score) => (score, false),
            None => self.score(0, base, limits, &mut times).map_err(|trouble| match trouble {
                Trouble::Lost(reason) => Error::Damaged(reason),
                Trouble::Error(error) => error,
            })?,
        };
        times.at = self.elapsed();
        let shared = &mut *self.lock();
        shared.session.begin(&score, cached, &times)?;
        shared.journal.append(Op::Begin { score: score.clone(), cached, times }, None)?;
        if is_durable && let Some(book) = &mut shared.scorebook {
            let root = shared.session.states.root(base)?;
            book.enter(&root, &score)?;
        }
        Ok(())
    }

    /// Searches until something ends it.
    pub(super) fn work(&self) -> Result<Stopped, Error> {
        thread::scope(|scope| {
            for worker in 1..self.plan.workers {
                let work = move || self.serve(worker);
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, work) {
                    self.lock().fail(Error::io("begin", "a thread")(error));
                }
            }
            self.serve(0);
        });
        let mut shared = self.lock();
        match (shared.error.take(), shared.stopped) {
            (Some(error), _) => Err(error),
            (None, stopped) => Ok(stopped.unwrap_or(Stopped::Interrupted)),
        }
    }

    /// What one worker does from beginning to end.
    fn serve(&self, worker: u32) {
        let _guard = Guard(self);
        let mut shared = self.lock();
        while !shared.is_over() {
            match self.next(&mut shared, worker) {
                Ok(Next::Stop) => break,
                Ok(Next::Wait) => {
                    let waited = self.changed.wait_timeout(shared, LOOK_EVERY);
                    shared = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
                Ok(Next::Job(job)) => {
                    shared.at_work += 1;
                    drop(shared);
                    self.changed.notify_all();
                    let done = self.perform(worker, job);
                    shared = self.lock();
                    shared.at_work -= 1;
                    let entered = done.and_then(|done| Self::enter(&mut shared, worker, done));
                    shared.scoring.remove(&worker);
                    match entered {
                        Ok(()) => {}
                        Err(Error::Interrupted) => {
                            _ = shared.stop(self.who_interrupted());
                        }
                        Err(error) => shared.fail(error),
                    }
                }
                Err(error) => shared.fail(error),
            }
            self.changed.notify_all();
        }
        self.halt.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Why a command was ended, if no worker had found an end before.
    fn who_interrupted(&self) -> Stopped {
        match self.limits.interrupt {
            Some(interrupt) if interrupt.load(Ordering::Relaxed) => Stopped::Interrupted,
            _ => Stopped::Time,
        }
    }

    fn next(&self, shared: &mut Shared<'a>, worker: u32) -> Result<Next, Error> {
        let budget = &self.plan.budget;
        if shared.session.best()?.score >= budget.target {
            return Ok(shared.stop(Stopped::Target));
        }
        if self.limits.interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed)) {
            return Ok(shared.stop(Stopped::Interrupted));
        }
        let evaluations = shared.session.evaluations();
        if budget.evaluations.is_some_and(|limit| evaluations >= limit) {
            return Ok(shared.stop(Stopped::Evaluations));
        }
        if budget.time.is_some_and(|limit| self.start.elapsed() >= limit) {
            return Ok(shared.stop(Stopped::Time));
        }
        if budget.evaluations.is_some_and(|limit| evaluations + shared.at_work >= limit) {
            return Ok(Next::Wait);
        }
        // One that was under way when the search was interrupted.
        if let Some(job) = shared.session.job(worker) {
            return Ok(Next::Job(job));
        }
        if let Some(limit) = budget.bytes
            && shared.session.needs_room(limit)
        {
            if !shared.session.is_idle() {
                return Ok(Next::Wait);
            }
            let graph_bytes = shared.session.share(limit)?;
            shared.session.room(graph_bytes)?;
            shared.journal.append(Op::Room { graph_bytes }, None)?;
        }
        // It would look in vain again, and each look is a record of the journal.
        if shared.idle_since.get(&worker) == Some(&shared.changes) {
            return Ok(Next::Wait);
        }
        let sought = shared.session.seek(worker)?;
        let next = match sought {
            Sought::Job(job) => {
                // On the way there it may have opened more than it took.
                shared.changes += 1;
                Next::Job(job)
            }
            _ if !shared.session.is_idle() => {
                shared.idle_since.insert(worker, shared.changes);
                Next::Wait
            }
            // Asked again when it is resumed, it says so again.
            Sought::Busy | Sought::Exhausted => return Ok(shared.stop(Stopped::Exhausted)),
        };
        shared.journal.append(Op::Seek { worker }, None)?;
        Ok(next)
    }

    /// Tells session, journal and observer what became of a job, in this order.
    fn enter(shared: &mut Shared<'a>, worker: u32, done: Done) -> Result<(), Error> {
        shared.changes += 1;
        let Shared { session, journal, scorebook, observe, .. } = shared;
        match done {
            Done::Offer(proposed) => {
                let event = session.offer(worker, &proposed)?;
                journal.append(Op::Offer { worker, proposed: proposed.clone() }, None)?;
                observe(&event)
            }
            Done::Answer { landing, delta, is_durable, times } => {
                let event = session.answer(worker, &landing, &times)?;
                let op = Op::Answer { worker, landing: landing.clone(), times };
                journal.append(op, delta.as_ref())?;
                // Behind the journal: a search that is resumed must not take its own score for another's.
                if let (true, Some(book), Landing::At { root, score: Some(score), .. }) =
                    (is_durable, scorebook, &landing)
                {
                    book.enter(root, score)?;
                }
                observe(&event)
            }
        }
    }
}

/// A worker that panics must not leave the others waiting for it.
struct Guard<'c, 'a>(&'c Crew<'a>);

impl Drop for Guard<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.halt.store(true, Ordering::Relaxed);
            self.0.lock().stopped = Some(Stopped::Interrupted);
            self.0.changed.notify_all();
        }
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
