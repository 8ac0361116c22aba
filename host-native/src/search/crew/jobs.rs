// SPDX-License-Identifier: MIT
//! What a worker does for the session: asks a proposer, or tries an action and scores where it leads.

use std::sync::PoisonError;
use std::time::Instant;

use cascow_core::snapshot::Delta;

use super::super::Score;
use super::super::journal::{Landing, Times};
use super::super::proposer::{self, Proposed};
use super::super::request::Asked;
use super::super::session::Job;
use super::super::states::StateId;
use super::forks::{Trouble, spoils_workspace};
use super::{Crew, Done, LOOK_EVERY, micros};
use crate::Error;
use crate::command::{End, Limits};
use crate::error::ErrorKind;

impl Crew<'_> {
    pub(super) fn perform(&self, worker: u32, job: Job) -> Result<Done, Error> {
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
    pub(super) fn score(
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
}
