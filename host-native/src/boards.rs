// SPDX-License-Identifier: MIT
//! Board games searched within limits, by one thread or by several.
//!
//! One worker is repeatable: the same seed and number of evaluations give the same search. Several share one graph without a lock;
//! they stop together only to make room in it.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::games::{Board, Playouts};
use cascow_core::search::{Search, SearchError, Settings, Step, Worker};

use crate::Error;

/// When a search has thought enough, and with how many threads it thinks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Evaluations to make, each one playout or one position where the game is over.
    pub evaluations: Option<u64>,
    /// How long to think.
    pub time: Option<Duration>,
    /// Threads.
    pub workers: NonZeroU32,
}

/// Why a search stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The evaluations were used up.
    Evaluations,
    /// The time was used up.
    Time,
    /// Nothing was left to learn: the value of the position is proven.
    Exhausted,
    /// The user wanted it.
    Interrupted,
}

impl Stopped {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evaluations => "nodes",
            Self::Time => "time",
            Self::Exhausted => "exhausted",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What thinking took.
#[derive(Clone, Copy, Debug)]
pub struct Thought {
    /// Why it ended.
    pub stopped: Stopped,
    /// Evaluations made.
    pub evaluations: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// A search of the game that goes on from a position.
///
/// # Errors
/// If the graph has no room for it.
pub fn begin<B: Board>(board: B, seed: u64, byte_limit: u64) -> Result<Search<B>, Error> {
    let settings = Settings { seed, byte_limit: Some(byte_limit), ..Settings::two_players() };
    Search::new(settings, board, &mut Playouts::new()).map_err(refused)
}

/// Searches until a limit is reached; without any, until the position is proven or `interrupt` is set.
///
/// # Errors
/// If the graph cannot hold another node.
pub fn think<B>(
    search: &mut Search<B>,
    limits: &Limits,
    interrupt: &AtomicBool,
) -> Result<Thought, Error>
where
    B: Board + Send + Sync,
{
    let begun = Instant::now();
    let before = search.counts().evaluations;
    let budget = Budget {
        left: AtomicU64::new(limits.evaluations.unwrap_or(u64::MAX)),
        deadline: limits.time.and_then(|time| begun.checked_add(time)),
        interrupt,
    };
    let stopped = if limits.workers.get() == 1 {
        alone(search, &budget)?
    } else {
        together(search, &budget, limits.workers.get())?
    };
    let evaluations = search.counts().evaluations - before;
    Ok(Thought { stopped, evaluations, elapsed: begun.elapsed() })
}

/// What all workers of a search draw on.
struct Budget<'a> {
    left: AtomicU64,
    deadline: Option<Instant>,
    interrupt: &'a AtomicBool,
}

impl Budget<'_> {
    /// Steps between two looks at the clock: a millisecond's worth or less, which costs nothing beside them.
    const BATCH: u32 = 256;

    /// Evaluations that the caller may make next, or why there are no more.
    fn take(&self) -> Result<u32, Stopped> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(Stopped::Interrupted);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Stopped::Time);
        }
        let granted =
            |left: u64| u32::try_from(left).map_or(Self::BATCH, |left| left.min(Self::BATCH));
        let take = |left: u64| left.checked_sub(granted(left).into()).filter(|_| left > 0);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(left) => Ok(granted(left)),
            Err(_) => Err(Stopped::Evaluations),
        }
    }

    /// Those that were not made.
    fn give_back(&self, evaluations: u32) {
        self.left.fetch_add(evaluations.into(), Ordering::Relaxed);
    }
}

fn alone<B: Board>(search: &mut Search<B>, budget: &Budget<'_>) -> Result<Stopped, Error> {
    let mut game = Playouts::new();
    loop {
        let mut granted = match budget.take() {
            Ok(granted) => granted,
            Err(stopped) => return Ok(stopped),
        };
        // Steps that evaluate nothing count here too, so that the clock is looked at.
        for _ in 0..Budget::BATCH {
            let step = search.step_within(granted, &mut game).map_err(refused)?;
            if step == Step::Exhausted {
                return Ok(Stopped::Exhausted);
            }
            granted -= step.evaluations();
            if granted == 0 {
                break;
            }
        }
        budget.give_back(granted);
    }
}

/// Nodes that several workers have room for when they begin, if so many evaluations are asked for: some 60 MiB.
const MOST_EXPECTED: u64 = 1 << 20;

/// Makes room for so many nodes more, or for an eighth of those that may be kept.
fn reserve<B: Board>(search: &mut Search<B>, nodes: u64) {
    /// Of a node with its edges, at least.
    const NODE_BYTES: u64 = 32;
    let most = search.settings().byte_limit.unwrap_or(u64::MAX) / NODE_BYTES / 8;
    search.reserve(u32::try_from(nodes.min(most)).unwrap_or(0));
}

fn together<B>(search: &mut Search<B>, budget: &Budget<'_>, workers: u32) -> Result<Stopped, Error>
where
    B: Board + Send + Sync,
{
    reserve(search, budget.left.load(Ordering::Relaxed).min(MOST_EXPECTED));
    let done = AtomicBool::new(false);
    let shared = Shared { search: RwLock::new(search), turnstile: Mutex::new(()) };
    let ended: Vec<Result<Option<Stopped>, Error>> = thread::scope(|scope| {
        let spawn = |number| {
            let (shared, done) = (&shared, &done);
            scope.spawn(move || {
                let worked = work(shared, number, budget, done);
                // What ends one worker ends all; but of the evaluations, another may still make or give back some.
                if !matches!(worked, Ok(Some(Stopped::Evaluations))) {
                    done.store(true, Ordering::Relaxed);
                }
                worked
            })
        };
        let threads: Vec<_> = (1..=workers).map(spawn).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    });
    let reasons: Vec<Option<Stopped>> = ended.into_iter().collect::<Result<_, _>>()?;
    // Those who were told to end have no reason; of several, what was learnt counts most.
    let reasons = || reasons.iter().flatten().copied();
    let exhausted = reasons().find(|reason| *reason == Stopped::Exhausted);
    Ok(exhausted.or_else(|| reasons().next()).unwrap_or(Stopped::Interrupted))
}

/// A search that is stepped by many or changed by one.
///
/// The lock alone would let those who step overtake for ever whoever wants the search alone: between two batches of theirs it is
/// free for less time than it takes to wake up. So all pass a turnstile, and who wants it alone holds that meanwhile.
struct Shared<'a, B> {
    search: RwLock<&'a mut Search<B>>,
    turnstile: Mutex<()>,
}

impl<'a, B> Shared<'a, B> {
    // A worker that panicked has changed nothing that the others could not go on from, and its panic is passed on in the end.

    fn beside(&self) -> RwLockReadGuard<'_, &'a mut Search<B>> {
        drop(self.turnstile.lock().unwrap_or_else(PoisonError::into_inner));
        self.search.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone(&self) -> (MutexGuard<'_, ()>, RwLockWriteGuard<'_, &'a mut Search<B>>) {
        let turnstile = self.turnstile.lock().unwrap_or_else(PoisonError::into_inner);
        (turnstile, self.search.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One worker's share. `None` if others ended the search.
fn work<B: Board>(
    shared: &Shared<'_, B>,
    number: u32,
    budget: &Budget<'_>,
    done: &AtomicBool,
) -> Result<Option<Stopped>, Error> {
    let mut game = Playouts::new();
    let mut worker = shared.beside().worker(number);
    let ended = loop {
        if done.load(Ordering::Relaxed) {
            break Ok(None);
        }
        let granted = match budget.take() {
            Ok(granted) => granted,
            Err(stopped) => break Ok(Some(stopped)),
        };
        let (batch, needs_room) = {
            let search = shared.beside();
            (step_often(&search, &mut worker, &mut game, granted), search.needs_room())
        };
        if needs_room {
            let (_turnstile, mut search) = shared.alone();
            // Another may have made it.
            if search.needs_room() {
                if let Err(error) = search.make_room() {
                    break Err(refused(error));
                }
                // While one makes room all others wait, and to wake them takes longer.
                let more = search.len() as u64 / 4;
                reserve(&mut search, more);
            }
        }
        match batch {
            Ok(Batch { left, exhausted }) => {
                budget.give_back(left);
                if exhausted {
                    break Ok(Some(Stopped::Exhausted));
                }
            }
            Err(error) => break Err(refused(error)),
        }
    };
    shared.alone().1.count(&mut worker);
    ended
}

/// What became of a batch of steps.
struct Batch {
    /// Evaluations not made.
    left: u32,
    exhausted: bool,
}

/// A batch of steps under one lock.
fn step_often<B: Board>(
    search: &Search<B>,
    worker: &mut Worker<B>,
    game: &mut Playouts<B>,
    granted: u32,
) -> Result<Batch, SearchError<Infallible>> {
    let mut left = granted;
    for _ in 0..Budget::BATCH {
        let step = search.step_beside(worker, left, game)?;
        match step {
            Step::Exhausted => return Ok(Batch { left, exhausted: true }),
            // Others are at all that is worth trying, or there is no room.
            Step::Busy => {
                thread::yield_now();
                break;
            }
            _ => left -= step.evaluations(),
        }
        if left == 0 {
            break;
        }
    }
    Ok(Batch { left, exhausted: false })
}

fn refused(error: SearchError<Infallible>) -> Error {
    Error::Unavailable(error.to_string())
}
