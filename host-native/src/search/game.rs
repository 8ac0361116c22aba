// SPDX-License-Identifier: MIT
//! A workspace as a game for the core's search.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Instant;

use cascow_core::hash::HashKind;
use cascow_core::merkle::StateRoot;
use cascow_core::search::rand_core::{Rng, SeedableRng};
use cascow_core::search::{
    Action as ActionNumber, Choice, Evaluation, Game, Generator, Repetition,
};
use cascow_core::snapshot::{Cursor, SnapshotId, SnapshotTree, State};

use super::plan::Plan;
use super::{Action, Latencies, Score};
use crate::Error;
use crate::command::{self, End, Limits};
use crate::workspace::{Origin, Workshop, Workspace};

/// A position by its number in the game's table.
pub(super) type Handle = u32;

/// A position: a state, and which actions are used up on the way to it.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) snapshot: SnapshotId,
    pub(super) root: StateRoot,
    used: Rc<BTreeSet<usize>>,
}

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
}

impl Arrival {
    /// Its name in events and reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Transposition => "transposition",
            Self::NoEffect => "no-effect",
            Self::Failed => "failed",
        }
    }
}

/// What the game counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) transpositions: u64,
    pub(super) score_cache_hits: u64,
    pub(super) without_effect: u64,
    pub(super) failed_actions: u64,
    pub(super) fork: Latencies,
    pub(super) backtrack: Latencies,
    pub(super) seal: Latencies,
}

/// The workspace, its actions, and all that is known of its states.
pub(super) struct WorkspaceGame<'a> {
    hash_kind: HashKind,
    workshop: &'a Workshop<'a>,
    actions: &'a [Action],
    /// The actions' places in the order in which they are offered: the seed decides.
    order: Vec<usize>,
    score_command: &'a str,
    repeat: u32,
    limits: Limits<'a>,
    /// The states met, each as what changed since the one it was first reached from.
    pub(super) tree: SnapshotTree,
    /// Follows the states that actions lead to, for their roots.
    cursor: Option<Cursor>,
    /// The positions met, by their handles: what the search keeps of them.
    positions: Vec<Position>,
    handles: HashMap<(StateRoot, Rc<BTreeSet<usize>>), Handle>,
    /// What workspaces of each state are forked from.
    origins: HashMap<SnapshotId, Origin>,
    /// Every state met, by its root.
    met: HashMap<StateRoot, SnapshotId>,
    scores: HashMap<StateRoot, Score>,
    /// Where the search stood last: leaving it for anything but a child of it is backtracking.
    standing: Option<SnapshotId>,
    pub(super) tally: Tally,
    /// What the last action led to.
    pub(super) arrival: Arrival,
    /// Why it failed, if it did and said so.
    pub(super) complaint: Option<String>,
}

impl<'a> WorkspaceGame<'a> {
    pub(super) fn new(
        hash_kind: HashKind,
        workshop: &'a Workshop<'a>,
        plan: &Plan<'a>,
        limits: Limits<'a>,
    ) -> Self {
        Self {
            hash_kind,
            workshop,
            actions: plan.actions,
            order: shuffled(plan.actions.len(), plan.seed),
            score_command: plan.score_command,
            repeat: plan.repeat,
            limits,
            tree: SnapshotTree::new(),
            cursor: None,
            positions: Vec::new(),
            handles: HashMap::new(),
            origins: HashMap::new(),
            met: HashMap::new(),
            scores: HashMap::new(),
            standing: None,
            tally: Tally::default(),
            arrival: Arrival::New,
            complaint: None,
        }
    }

    /// The position that the search begins with.
    pub(super) fn start(&mut self, base: &State, origin: Origin) -> Result<Handle, Error> {
        let snapshot = self.tree.create(&State::new().delta_to(base))?;
        let root = self.root(snapshot)?;
        self.origins.insert(snapshot, origin);
        self.met.insert(root, snapshot);
        self.handle(Position { snapshot, root, used: Rc::default() })
    }

    /// The position that a handle, which came from here, stands for.
    pub(super) fn position(&self, handle: Handle) -> &Position {
        &self.positions[handle as usize]
    }

    fn handle(&mut self, position: Position) -> Result<Handle, Error> {
        let key = (position.root, Rc::clone(&position.used));
        if let Some(handle) = self.handles.get(&key) {
            return Ok(*handle);
        }
        let handle = Handle::try_from(self.positions.len())
            .map_err(|_| Error::Misuse("a search has at most 2^32 positions".to_owned()))?;
        self.handles.insert(key, handle);
        self.positions.push(position);
        Ok(handle)
    }

    pub(super) fn score(&self, root: &StateRoot) -> Option<&Score> {
        self.scores.get(root)
    }

    pub(super) fn unique_states(&self) -> usize {
        self.met.len()
    }

    /// A snapshot's root: O(log n) for each change between it and the one that was asked for before.
    fn root(&mut self, snapshot: SnapshotId) -> Result<StateRoot, Error> {
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => Cursor::at(&self.tree, snapshot)?,
        };
        cursor.move_to(&self.tree, snapshot)?;
        let root = cursor.trie(&self.tree, self.hash_kind)?.root();
        self.cursor = Some(cursor);
        Ok(root)
    }

    /// A private directory of a snapshot, with the time that it took.
    fn fork(&mut self, snapshot: SnapshotId) -> Result<Workspace<'a>, Error> {
        let start = Instant::now();
        // UNWRAP: every snapshot that a position has was entered with its origin.
        let origin = self.origins.get(&snapshot).expect("a state has an origin");
        let mut workspace = self.workshop.fork(origin);
        workspace.path()?;
        let took = start.elapsed();
        let stands_here = self.standing.is_none_or(|standing| standing == snapshot);
        if !stands_here && self.tree.parent(snapshot)? != self.standing {
            self.tally.backtrack.push(took);
        }
        self.tally.fork.push(took);
        self.standing = Some(snapshot);
        Ok(workspace)
    }
}

impl Game for WorkspaceGame<'_> {
    type State = Handle;
    type Error = Error;

    /// Actions may be undone by others, and no state is the better for being reached twice.
    const REPETITION: Repetition = Repetition::Avoid;

    fn actions(&mut self, handle: &Handle, out: &mut Vec<Choice>) -> Result<(), Error> {
        let position = &self.positions[*handle as usize];
        for &action in self.order.iter().filter(|action| !position.used.contains(action)) {
            let number = u32::try_from(action)
                .map_err(|_| Error::Misuse("a search has at most 2^32 actions".to_owned()))?;
            out.push(Choice { action: ActionNumber(number), prior: self.actions[action].prior });
        }
        Ok(())
    }

    fn apply(&mut self, handle: &Handle, action: ActionNumber) -> Result<Option<Handle>, Error> {
        let position = self.position(*handle).clone();
        let action = action.0 as usize;
        let mut workspace = self.fork(position.snapshot)?;
        let Action { run, once, .. } = &self.actions[action];
        let finished = command::capture(command::shell(run, workspace.path()?), self.limits)?;
        if finished.end == End::Interrupted {
            return Err(Error::Interrupted);
        }
        if !finished.end.is_success() {
            self.tally.failed_actions += 1;
            self.arrival = Arrival::Failed;
            self.complaint = match finished.end {
                End::TimedOut => Some("the action ran out of time".to_owned()),
                End::Killed(signal) => Some(format!("the action was killed by signal {signal}")),
                _ => finished.complaint(),
            };
            return Ok(None);
        }
        let start = Instant::now();
        let sealed = match workspace.seal() {
            Err(error) if spoils_workspace(&error) => {
                self.tally.failed_actions += 1;
                self.arrival = Arrival::Failed;
                self.complaint = Some(error.to_string());
                return Ok(None);
            }
            sealed => sealed?,
        };
        let snapshot = self.tree.fork(position.snapshot, &sealed.delta)?;
        let root = self.root(snapshot)?;
        self.tally.seal.push(start.elapsed());
        let known = self.met.get(&root).copied();
        if known.is_some() {
            self.tree.prune(snapshot)?;
        }
        if root == position.root {
            self.tally.without_effect += 1;
            self.arrival = Arrival::NoEffect;
            return Ok(None);
        }
        let snapshot = match known {
            Some(known) => {
                self.tally.transpositions += 1;
                self.arrival = Arrival::Transposition;
                known
            }
            None => {
                self.met.insert(root, snapshot);
                self.origins.insert(snapshot, sealed.origin);
                self.arrival = Arrival::New;
                snapshot
            }
        };
        let mut used = Rc::clone(&position.used);
        if *once {
            Rc::make_mut(&mut used).insert(action);
        }
        self.handle(Position { snapshot, root, used }).map(Some)
    }

    fn evaluate(&mut self, handle: &Handle, _: &mut Generator) -> Result<Evaluation, Error> {
        let position = self.position(*handle).clone();
        let evaluation =
            |score: &Score| Evaluation { value: score.value, terminal: score.terminal };
        if let Some(score) = self.scores.get(&position.root) {
            self.tally.score_cache_hits += 1;
            return Ok(evaluation(score));
        }
        let mut scores = Vec::new();
        for _ in 0..self.repeat.max(1) {
            let mut workspace = self.fork(position.snapshot)?;
            let finished = command::capture(
                command::shell(self.score_command, workspace.path()?),
                self.limits,
            )?;
            if finished.end == End::Interrupted {
                return Err(Error::Interrupted);
            }
            scores.push(Score::read(&finished));
        }
        // UNWRAP: there is at least one.
        let score = Score::mean(scores).expect("a state is scored at least once");
        let evaluation = evaluation(&score);
        self.scores.insert(position.root, score);
        Ok(evaluation)
    }
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

/// The numbers below `len` in an order that the seed alone decides: Fisher and Yates's shuffle (TAOCP 2, algorithm 3.4.2P).
fn shuffled(len: usize, seed: u64) -> Vec<usize> {
    let mut generator = Generator::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        // The bias of a remainder of 64 bits is below 2^-50 for any list that a person wrote.
        let pick = generator.next_u64() % (last as u64 + 1);
        order.swap(last, usize::try_from(pick).unwrap_or(last));
    }
    order
}
