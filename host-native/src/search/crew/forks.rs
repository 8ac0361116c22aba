// SPDX-License-Identifier: MIT
//! Private directories of a search's states, and what is done where one cannot be made: a state of which objects are lost is made
//! again by its action, and a full disk is told from a fault of the state.

use std::time::Instant;

use super::super::journal::Times;
use super::super::states::StateId;
use super::{Crew, micros};
use crate::Error;
use crate::command::{self, End, Finished, Limits};
use crate::error::ErrorKind;
use crate::workspace::{Origin, Workspace};

/// With less room on the disk than this and the longest file, what failed is taken to have failed for want of it.
const NO_ROOM: u64 = 64 << 10;

/// Why a job came to no end.
pub(super) enum Trouble {
    /// A state is lost.
    Lost(String),
    Error(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Crew<'_> {
    /// Runs a command in a directory, to its end or until everything is to stop.
    pub(super) fn capture(
        &self,
        run: &str,
        workspace: &mut Workspace<'_>,
        limits: Limits<'_>,
    ) -> Result<Finished, Error> {
        let shell = match limits.keeper {
            Some(keeper) => command::kept_shell(run, workspace.path()?, keeper)?,
            None => command::shell(run, workspace.path()?),
        };
        let finished = command::capture(shell, limits)?;
        if finished.end == End::Interrupted { Err(Error::Interrupted) } else { Ok(finished) }
    }

    /// A private directory of a state. If objects of it are lost, it is made again by its action.
    pub(super) fn fork(
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
    pub(super) fn check_disk(&self, state: StateId) -> Result<(), Error> {
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
    pub(in super::super) fn mend(
        &mut self,
        state: StateId,
        error: &Error,
    ) -> Result<Option<String>, Error> {
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

/// Without the state that a search began with, no other can be made again.
pub(in super::super) fn base_is_lost(error: &Error) -> Error {
    Error::Damaged(format!(
        "the state that the search began with is lost: {error}; see `cascow fsck`"
    ))
}

/// Whether a workspace could not be read back for a reason that lies in what the action made of it: it took the directory away,
/// or left something in it that nobody may read or that no state can hold.
pub(super) fn spoils_workspace(error: &Error) -> bool {
    match error {
        Error::Unavailable(_) | Error::Misuse(_) => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        _ => false,
    }
}
