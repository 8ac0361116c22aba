// SPDX-License-Identifier: MIT
//! The workers of a search: each takes a job from the session, runs its command in a fork of its own, and tells what became of it.
//!
//! The session stands under one lock; commands run outside of it. What a worker was told and has not answered when the search stops
//! stays with it, and is taken up when the search is resumed. A state that one worker scores is waited for by others that come to
//! it, and not scored twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::snapshot::Delta;

use super::journal::{Journal, Landing, Op, Times};
use super::plan::{Plan, Stopped};
use super::proposer::{self, Proposed};
use super::request::Asked;
use super::scorebook::Scorebook;
use super::session::{Job, Session, Sought};
use super::states::StateId;
use super::{Event, Score};
use crate::Error;
use crate::command::{self, End, Finished, Limits};
use crate::error::ErrorKind;
use crate::repository::Repository;
use crate::workspace::{Origin, Workshop, Workspace};

/// How often who waits for others looks whether the user wants everything to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// With less room on the disk than this and the longest file, what failed is taken to have failed for want of it.
const NO_ROOM: u64 = 64 << 10;

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

/// Why a job came to no end.
enum Trouble {
    /// A state is lost.
    Lost(String),
    Error(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
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
            shared.session.room(limit)?;
            shared.journal.append(Op::Room { limit }, None)?;
        }
        if budget.evaluations.is_some_and(|limit| evaluations + shared.at_work >= limit) {
            return Ok(Next::Wait);
        }
        let sought = shared.session.seek(worker)?;
        let next = match sought {
            Sought::Job(job) => Next::Job(job),
            _ if !shared.session.is_idle() => Next::Wait,
            // Asked again when it is resumed, it says so again.
            Sought::Busy | Sought::Exhausted => return Ok(shared.stop(Stopped::Exhausted)),
        };
        shared.journal.append(Op::Seek { worker }, None)?;
        Ok(next)
    }

    /// Tells session, journal and observer what became of a job, in this order.
    fn enter(shared: &mut Shared<'a>, worker: u32, done: Done) -> Result<(), Error> {
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

    fn perform(&self, worker: u32, job: Job) -> Result<Done, Error> {
        match job {
            Job::Propose { .. } => self.propose(worker, job).map(Done::Offer),
            Job::Try { action, .. } => {
                let mut times = Times::default();
                let tried = self.attempt(worker, job, action, &mut times);
                times.at = self.elapsed();
                match tried {
                    Ok((landing, delta, is_durable)) => {
                        Ok(Done::Answer { landing, delta, is_durable, times })
                    }
                    Err(Trouble::Lost(reason)) => {
                        let landing = Landing::Lost { reason };
                        Ok(Done::Answer { landing, delta: None, is_durable: false, times })
                    }
                    Err(Trouble::Error(error)) => Err(error),
                }
            }
        }
    }

    /// Asks the proposer what to try at a state.
    fn propose(&self, worker: u32, job: Job) -> Result<Proposed, Error> {
        let lost = |problem: String| Proposed { problem: Some(problem), ..Proposed::default() };
        let (asked, state) = {
            let mut shared = self.lock();
            let state = shared.session.place(job)?.state;
            (Asked::new(&mut shared.session, job)?, state)
        };
        let command = self.plan.proposer.as_deref().unwrap_or_default();
        let mut workspace = match self.fork(worker, state, &mut Times::default()) {
            Ok(workspace) => workspace,
            Err(Trouble::Lost(reason)) => return Ok(lost(reason)),
            Err(Trouble::Error(error)) => return Err(error),
        };
        let request = match asked.request(self.repository.store()) {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(lost(error.to_string())),
            request => request?,
        };
        let proposed = proposer::ask(command, &request, workspace.path()?, self.limits)?;
        if proposed.problem.is_some() {
            self.check_disk(state)?;
        }
        Ok(proposed)
    }

    /// Tries an action, and scores where it leads. Says too what the new state is made of, if it is one, and whether its score may be
    /// kept for other searches.
    fn attempt(
        &self,
        worker: u32,
        job: Job,
        action: u32,
        times: &mut Times,
    ) -> Result<(Landing, Option<Delta>, bool), Trouble> {
        let nowhere = |landing| Ok((landing, None, false));
        let (from, run) = {
            let shared = self.lock();
            let run = shared.session.actions.get(action).map(|action| action.run.clone());
            (shared.session.place(job)?.clone(), run.unwrap_or_default())
        };
        let mut workspace = self.fork(worker, from.state, times)?;
        let finished = self.capture(&run, &mut workspace, self.limits)?;
        if !finished.end.is_success() {
            self.check_disk(from.state)?;
            let complaint = match finished.end {
                End::TimedOut => Some("the action ran out of time".to_owned()),
                End::Killed(signal) => Some(format!("the action was killed by signal {signal}")),
                _ => finished.complaint(),
            };
            return nowhere(Landing::Failed { complaint });
        }
        let start = Instant::now();
        let sealed = match workspace.seal() {
            Err(error) if spoils_workspace(&error) => {
                return nowhere(Landing::Failed { complaint: Some(error.to_string()) });
            }
            sealed => sealed?,
        };
        let mut shared = self.lock();
        let states = &mut shared.session.states;
        let (state, root) =
            states.enter(from.state, action, &sealed.delta, |_| sealed.origin.clone())?;
        times.seal = Some(micros(start.elapsed()));
        if state == from.state {
            return nowhere(Landing::NoEffect);
        }
        loop {
            if shared.session.states.score(state).is_some() {
                return nowhere(Landing::At { root, score: None, cached: false });
            }
            if !shared.scoring.values().any(|scored| *scored == state) {
                break;
            }
            if shared.is_over() {
                return Err(Error::Interrupted.into());
            }
            let waited = self.changed.wait_timeout(shared, LOOK_EVERY);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let known = shared.scorebook.as_ref().and_then(|book| book.get(&root)).cloned();
        shared.scoring.insert(worker, state);
        drop(shared);
        let cached = known.is_some();
        let (score, is_durable) = match known {
            Some(score) => (score, false),
            None => self.score(worker, state, self.limits, times)?,
        };
        Ok((Landing::At { root, score: Some(score), cached }, Some(sealed.delta), is_durable))
    }

    /// Scores a state; says too whether each run of the command came to an end of its own.
    fn score(
        &self,
        worker: u32,
        state: StateId,
        limits: Limits<'_>,
        times: &mut Times,
    ) -> Result<(Score, bool), Trouble> {
        let (mut scores, mut is_durable) = (Vec::new(), true);
        for _ in 0..self.plan.repeat.max(1) {
            let mut workspace = self.fork(worker, state, times)?;
            let finished = self.capture(&self.plan.score_command, &mut workspace, limits)?;
            if !finished.end.is_success() {
                self.check_disk(state)?;
            }
            is_durable &= matches!(finished.end, End::Exited(_));
            scores.push(Score::read(&finished));
        }
        // UNWRAP: there is at least one.
        Ok((Score::mean(scores).expect("a state is scored at least once"), is_durable))
    }

    fn capture(
        &self,
        run: &str,
        workspace: &mut Workspace<'_>,
        limits: Limits<'_>,
    ) -> Result<Finished, Error> {
        let finished = command::capture(command::shell(run, workspace.path()?), limits)?;
        if finished.end == End::Interrupted { Err(Error::Interrupted) } else { Ok(finished) }
    }

    /// A private directory of a state. If objects of it are lost, it is made again by its action.
    fn fork(
        &self,
        worker: u32,
        state: StateId,
        times: &mut Times,
    ) -> Result<Workspace<'_>, Trouble> {
        let start = Instant::now();
        let origin = {
            let shared = self.lock();
            if let Some(reason) = shared.session.states.loss(state) {
                return Err(Trouble::Lost(reason.to_owned()));
            }
            shared.session.states.origin(state)?.clone()
        };
        let mut workspace = self.workshop.fork(&origin);
        match workspace.path() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let made = self.make_again(worker, state, &error, times);
                let mut shared = self.lock();
                match made {
                    Ok(origin) => {
                        workspace = self.workshop.fork(&origin);
                        shared.session.states.replace_origin(state, origin);
                    }
                    Err(trouble) => {
                        if let Trouble::Lost(reason) = &trouble {
                            shared.session.states.lose(state, reason.clone());
                        }
                        return Err(trouble);
                    }
                }
                drop(shared);
                _ = workspace.path()?;
            }
            Err(error) => return Err(error.into()),
        }
        let took = micros(start.elapsed());
        let mut shared = self.lock();
        let before = shared.standing.insert(worker, state);
        let parent = shared.session.states.parent(state)?.map(|(parent, _)| parent);
        let is_backtrack = before.is_some_and(|before| before != state && parent != Some(before));
        times.forks.push((took, is_backtrack));
        Ok(workspace)
    }

    /// Makes a state that cannot be read again by running the action that it came from.
    fn make_again(
        &self,
        worker: u32,
        state: StateId,
        error: &Error,
        times: &mut Times,
    ) -> Result<Origin, Trouble> {
        let (parent, action, name, run) = {
            let shared = self.lock();
            let Some((parent, action)) = shared.session.states.parent(state)? else {
                return Err(base_is_lost(error).into());
            };
            let found = shared.session.actions.get(action);
            let (name, run) =
                found.map(|action| (action.name.clone(), action.run.clone())).unwrap_or_default();
            (parent, action, name, run)
        };
        let mut workspace = self.fork(worker, parent, times).map_err(|trouble| match trouble {
            Trouble::Lost(_) => {
                Trouble::Lost(format!("the state is lost, and so is the one before it: {error}"))
            }
            trouble => trouble,
        })?;
        let finished = self.capture(&run, &mut workspace, self.limits)?;
        if !finished.end.is_success() {
            self.check_disk(parent)?;
            return Err(Trouble::Lost(format!(
                "the state is lost, and its action {name:?} fails when it is run again: {error}"
            )));
        }
        let sealed = workspace.seal().map_err(|failed| match spoils_workspace(&failed) {
            true => Trouble::Lost(format!("the state is lost: {error}")),
            false => failed.into(),
        })?;
        let mut shared = self.lock();
        let states = &mut shared.session.states;
        let (made, _) = states.enter(parent, action, &sealed.delta, |_| sealed.origin.clone())?;
        if made != state {
            return Err(Trouble::Lost(format!(
                "the state is lost, and its action {name:?} is nondeterministic: run again it leads elsewhere; {error}"
            )));
        }
        Ok(sealed.origin)
    }

    /// After something has failed at a state: was it for want of room? Then it says nothing of the state, and the search cannot go on.
    ///
    /// A file of an overlay that is changed is copied first; where that fails, what was written of the copy is free again, and only
    /// its length says that there was too little. What needed more than is left and cleared up behind itself is not recognised.
    fn check_disk(&self, state: StateId) -> Result<(), Error> {
        let dir = self.repository.work_dir();
        let Ok(stat) = rustix::fs::statvfs(&dir) else { return Ok(()) };
        // What is held back for root counts for nobody else.
        let is_root = rustix::process::geteuid().is_root();
        let blocks = if is_root { stat.f_bfree } else { stat.f_bavail };
        let needed =
            NO_ROOM + self.read(|session| Ok(session.states.origin(state)?.longest_file_len()))?;
        if stat.f_blocks > 0 && blocks.saturating_mul(stat.f_frsize) < needed {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(Error::io("go on in", dir)(full));
        }
        Ok(())
    }

    /// Makes a state again of which something cannot be read, after the search. Says why, if that cannot be done.
    pub(super) fn mend(&mut self, state: StateId, error: &Error) -> Result<Option<String>, Error> {
        // What ended the search does not end this.
        self.limits = Limits { halt: None, until: None, ..self.limits };
        match self.make_again(0, state, error, &mut Times::default()) {
            Ok(_) => Ok(None),
            Err(Trouble::Lost(reason)) => Ok(Some(reason)),
            Err(Trouble::Error(Error::Interrupted)) => {
                Ok(Some(format!("it was not made again, since the user wanted an end: {error}")))
            }
            Err(Trouble::Error(error)) => Err(error),
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

/// Without the state that a search began with, no other can be made again.
pub(super) fn base_is_lost(error: &Error) -> Error {
    Error::Damaged(format!(
        "the state that the search began with is lost: {error}; see `cascow fsck`"
    ))
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a workspace could not be read back for a reason that lies in what the action made of it: it took the directory away,
/// or left something in it that nobody may read or that no state can hold.
fn spoils_workspace(error: &Error) -> bool {
    match error {
        Error::Unavailable(_) | Error::Misuse(_) => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}
