// SPDX-License-Identifier: MIT
//! A search from start to end: reads the workspace, or the journal of a search that was begun earlier; lets the workers search; and
//! keeps the best state as a snapshot.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cascow_core::hash::ContentHash;
use cascow_core::snapshot::{Delta, State};
use cascow_core::store::ObjectStore;

use super::Event;
use super::crew::{Crew, Means, Observe, Shared, base_is_lost};
use super::journal::{Journal, Landing, Op};
use super::plan::{Changes, Kept, Plan, Stopped};
use super::report::{self, Report};
use super::scorebook::Scorebook;
use super::session::{Job, Session};
use crate::Error;
use crate::command::{Keeper, Limits};
use crate::directory::{self, ScanOptions};
use crate::error::ErrorKind;
use crate::patch;
use crate::repository::searches::SearchPlace;
use crate::repository::{Label, Repository};
use crate::workspace::Workshop;

/// A search that ended. Its base and its best state are snapshots of the repository.
#[derive(Debug)]
pub struct Outcome {
    /// What it is kept as: it can be resumed by this name.
    pub name: Label,
    /// The state that it began with.
    pub base: Kept,
    /// The best state found.
    pub best: Kept,
    /// Why it stopped.
    pub stopped: Stopped,
    /// All there is to tell about it.
    pub report: Report,
}

/// Begins a search, which is kept from its first step on; calls `observe` with every event. The process must have one thread, unless
/// it is root's or states are written out ([`Workshop::open`]).
///
/// # Errors
/// [`Error::Misuse`] for a plan that makes no sense, or a name that is taken; [`Error::Kept`] for whatever kept the search from
/// going on: what it had found is kept. A command that fails is no error: its action leads nowhere, or its state scores 0.
pub fn search(
    repository: &Repository,
    plan: &Plan,
    interrupt: &AtomicBool,
    observe: Observe<'_>,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    plan.check()?;
    let (keeper, workshop) = open(repository, plan)?;
    repository.lease()?;
    let outside = [repository.dir()].into_iter().chain(plan.results.as_deref());
    let outside = outside.map(Path::to_owned).collect();
    let options = ScanOptions { outside, ..ScanOptions::default() };
    let base = directory::scan(&plan.workspace, repository.store(), &options, &mut |_| {})?.state;
    let base = keep(repository, base, None)?;
    repository.pin(&base.snapshot)?;
    let place = repository.new_search(plan.name.as_ref())?;
    repository.journal(&place)?;
    repository.write_plan(&place, &plan.keep(&base.snapshot)?)?;
    let run = Run { repository, plan, place: &place, workshop: &workshop, start, base };
    run.complete(false, interrupt, &keeper, observe).map_err(|error| kept(error, &place))
}

/// Goes on with a search that was begun earlier: what happened is told to `observe` once more, as fast as it is read, and no command
/// of it is run again.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Damaged`] if what is kept of it cannot be read or does not fit; those of [`search()`].
pub fn resume(
    repository: &Repository,
    name: &Label,
    changes: Changes,
    interrupt: &AtomicBool,
    observe: Observe<'_>,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    let place = repository.held_search(name)?;
    let bytes = repository.read_plan(&place)?;
    let (plan, base) = Plan::read(&bytes, name, changes)?;
    let changed = plan.keep(&base)?;
    if changed != bytes {
        repository.write_plan(&place, &changed)?;
    }
    let (keeper, workshop) = open(repository, &plan)?;
    repository.lease()?;
    repository.pin(&base)?;
    let state = repository.state(&base).map_err(|error| match error.kind() {
        ErrorKind::Corrupt => base_is_lost(&error),
        _ => error,
    })?;
    let root = repository.record(&base)?.root;
    let base = Kept { snapshot: base, root, state };
    let run = Run { repository, plan: &plan, place: &place, workshop: &workshop, start, base };
    run.complete(true, interrupt, &keeper, observe).map_err(|error| kept(error, &place))
}

/// The keeper begins outside of the namespace that the workshop enters, so that the namespace goes with the commands.
fn open<'r>(repository: &'r Repository, plan: &Plan) -> Result<(Keeper, Workshop<'r>), Error> {
    Ok((Keeper::new()?, Workshop::open(repository, plan.materialize)?))
}

fn kept(error: Error, place: &SearchPlace) -> Error {
    Error::Kept { name: place.name.to_string(), source: Box::new(error) }
}

/// One run of a search.
struct Run<'a> {
    repository: &'a Repository,
    plan: &'a Plan,
    place: &'a SearchPlace,
    workshop: &'a Workshop<'a>,
    start: Instant,
    base: Kept,
}

impl Run<'_> {
    fn complete(
        self,
        resumed: bool,
        interrupt: &AtomicBool,
        keeper: &Keeper,
        observe: Observe<'_>,
    ) -> Result<Outcome, Error> {
        let Self { repository, plan, workshop, ref base, .. } = self;
        let origin = workshop.origin(&base.state, Some(&base.snapshot));
        let origin = origin.map_err(|error| match error.kind() {
            ErrorKind::Corrupt => base_is_lost(&error),
            _ => error,
        })?;
        let kind = repository.store().hash_kind();
        let mut session = Session::new(kind, plan, &base.state, origin)?;
        let mut journal = Journal::open(repository, self.place)?;
        journal
            .replay(&mut |op, delta| self.tell_again(&mut session, &op, delta.as_ref(), observe))?;
        for worker in plan.workers..session.members() {
            if session.job(worker).is_some() {
                session.abandon(worker)?;
                journal.append(Op::Abandon { worker }, None)?;
            }
        }
        let scorebook = plan
            .reuse_scores
            .then(|| Scorebook::open(repository, &plan.score_command, plan.repeat))
            .transpose()?;
        let halt = AtomicBool::new(false);
        let limits = Limits {
            timeout: Some(plan.timeout),
            interrupt: Some(interrupt),
            halt: Some(&halt),
            until: plan.budget.time.and_then(|time| self.start.checked_add(time)),
            keeper: Some(keeper),
        };
        let had_begun = session.has_begun();
        let shared = Shared::new(session, journal, scorebook, observe);
        let means = Means { plan, repository, workshop, limits, halt: &halt, start: self.start };
        let crew = Crew::new(means, shared);
        crew.begin()?;
        if !had_begun {
            crew.tell(|session, observe| self.tell_start(session, observe))?;
        }
        let stopped = crew.work()?;
        let elapsed = Duration::from_micros(crew.elapsed());
        self.finish(crew, resumed, stopped, elapsed)
    }

    /// Tells a session one record of its journal, and the observer what that means.
    fn tell_again(
        &self,
        session: &mut Session,
        op: &Op,
        delta: Option<&Delta>,
        observe: &mut (dyn FnMut(&Event<'_>) -> Result<(), Error> + Send),
    ) -> Result<(), Error> {
        match op {
            Op::Begin { score, cached, times } => {
                session.begin(score, *cached, times)?;
                self.tell_start(session, observe)
            }
            Op::Seek { worker } => session.seek(*worker).map(drop),
            Op::Offer { worker, proposed } => observe(&session.offer(*worker, proposed)?),
            Op::Answer { worker, landing, times } => {
                if let (Some(delta), Landing::At { root, .. }, Some(Job::Try { at, action, .. })) =
                    (delta, landing, session.job(*worker))
                {
                    let from = session.states.position(at)?.state;
                    let derive = |origin: &_| self.workshop.derive(origin, delta);
                    let (_, found) = session.states.enter(from, action, delta, derive)?;
                    if found != *root {
                        return Err(Error::Damaged(format!(
                            "the search's journal says that a state is {root}, and what it holds of it is {found}"
                        )));
                    }
                }
                let mut event = session.answer(*worker, landing, times)?;
                if let Event::Step { is_replayed, .. } = &mut event {
                    *is_replayed = true;
                }
                observe(&event)
            }
            Op::Room { graph_bytes } => session.room(*graph_bytes),
            Op::Abandon { worker } => session.abandon(*worker),
        }
    }

    fn tell_start(
        &self,
        session: &Session,
        observe: &mut (dyn FnMut(&Event<'_>) -> Result<(), Error> + Send),
    ) -> Result<(), Error> {
        let score = session.states.score(session.states.base());
        observe(&Event::Start {
            root: self.base.root.to_string(),
            score: score.map_or(0.0, |score| score.value),
            feedback: score.and_then(|score| score.feedback.as_deref()),
            entries: self.base.state.len(),
            actions: self.plan.proposer.is_none().then_some(self.plan.actions.len()),
            seed: self.plan.seed,
            materializer: self.workshop.materializer().name(),
            obstacle: self.workshop.obstacle(),
        })
    }

    /// The best state of which nothing is lost, and how it differs from the base. What an earlier run put may be lost since.
    fn whole_best(&self, crew: &mut Crew<'_>) -> Result<(State, Vec<u8>), Error> {
        let (store, base) = (self.repository.store(), &self.base.state);
        loop {
            let (id, best) = crew.read(|session| {
                let id = session.best()?.state;
                Ok((id, session.states.state(id)?))
            })?;
            let mut patch = patch::patch(store, base, &best, |_| true);
            let mut lost = None;
            if let Err(error) = &patch
                && error.kind() == ErrorKind::Corrupt
            {
                lost = crew.mend(id, error)?;
                if lost.is_none() {
                    patch = patch::patch(store, base, &best, |_| true);
                }
            }
            match patch {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let reason = lost.unwrap_or_else(|| error.to_string());
                    crew.tell(|session, observe| {
                        let (node, score) = session.lose_best(&reason)?;
                        observe(&Event::BestLost { node, score, reason: &reason })
                    })?;
                }
                patch => return Ok((best, patch?)),
            }
        }
    }

    /// Keeps the best state, and tells what there is to tell.
    fn finish(
        &self,
        mut crew: Crew<'_>,
        resumed: bool,
        stopped: Stopped,
        elapsed: Duration,
    ) -> Result<Outcome, Error> {
        let Self { repository, plan, workshop, base, place, .. } = self;
        let (best, patch) = self.whole_best(&mut crew)?;
        let is_base = best == base.state;
        let best =
            if is_base { base.clone() } else { keep(repository, best, Some(base.snapshot))? };
        let Shared { mut session, mut journal, observe, .. } = crew.into_shared();
        journal.sync()?;
        let evaluations = session.evaluations();
        observe(&Event::End { stopped: stopped.name(), best: session.best()?.score, evaluations })?;
        let context = report::Context {
            plan,
            materializer: workshop.materializer(),
            stopped,
            elapsed,
            resumed,
            patch,
        };
        let report = Report::new(context, repository, &mut session, (base, &best))?;
        Ok(Outcome { name: place.name.clone(), base: base.clone(), best, stopped, report })
    }
}

/// Keeps a state as a snapshot.
fn keep(repository: &Repository, state: State, parent: Option<ContentHash>) -> Result<Kept, Error> {
    let written = repository.write_snapshot(&state, parent)?;
    repository.publish(&written.snapshot, None)?;
    Ok(Kept { snapshot: written.snapshot, root: written.record.root, state })
}
