// SPDX-License-Identifier: MIT
//! The cache of objects under the accesses of a search, beside one that drops what was used least lately.
//!
//! The trace is that of the core's own search. A step descends from the root and reads every state that it passes, then stores the
//! state that its action leads to. The game is made up so that all else follows from a seed: each state has twelve actions and
//! a worth near that of the state before, better or worse by chance, so that the search comes back to what is good, as searches
//! do; two ways never lead to one state, so each descent is the one way to its last node. A state's object is 256 to
//! 1,792 B of noise.

use std::convert::Infallible;
use std::sync::Arc;

use cascow_benches::memory;
use cascow_benches::report::{Report, Row, Target};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::search::rand_core::{Rng, SeedableRng};
use cascow_core::search::{
    Action, Choice, Evaluation, Game, Generator, Outcome, Search, Settings, Step,
};
use cascow_native::store::ObjectCache;
use lru::LruCache;

const SEED: u64 = 20_260_101;
const STATES: usize = 100_000;
const ACTIONS: u32 = 12;

/// What the cache counts for an object beside its bytes; the peer counts the same.
const OVERHEAD: u64 = 192;

/// A state's object, and the state before it.
struct State {
    name: ContentHash,
    bytes: Arc<[u8]>,
    before: Option<usize>,
    worth: f64,
}

/// The states that the search has met, by number.
struct MadeUp(Vec<State>);

impl MadeUp {
    /// The state that an action leads to: the same whenever it is asked for.
    fn state(before: Option<(usize, &State)>, action: u32) -> State {
        let mut random = match before {
            None => Generator::seed_from_u64(SEED),
            Some((_, before)) => {
                let mut seed = [0; 8];
                seed.copy_from_slice(&before.name.as_bytes()[..8]);
                Generator::seed_from_u64(u64::from_le_bytes(seed) ^ u64::from(action))
            }
        };
        let len = 256 + usize::try_from(random.next_u32() % 1536).expect("it is small");
        let mut bytes = vec![0; len];
        random.fill_bytes(&mut bytes);
        let step = f64::from(random.next_u32()) / f64::from(u32::MAX) * 0.2 - 0.1;
        let worth = before.map_or(0.5, |(_, before)| (before.worth + step).clamp(0.0, 1.0));
        State {
            name: HashKind::Sha256.hash(&bytes),
            bytes: bytes.into(),
            before: before.map(|(number, _)| number),
            worth,
        }
    }
}

impl Game for MadeUp {
    type State = u32;
    type Error = Infallible;

    fn actions(&mut self, _: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        out.extend((0..ACTIONS).map(|action| Choice { action: Action(action), prior: 0.0 }));
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
        let before = *state as usize;
        let next = Self::state(Some((before, &self.0[before])), action.0);
        self.0.push(next);
        Ok(Some(u32::try_from(self.0.len() - 1).expect("there are few")))
    }

    fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
        Ok(Evaluation::estimate(self.0[*state as usize].worth))
    }
}

/// One step: the states that it read, from the root down, and the one that it stored.
struct Visit {
    read: Vec<usize>,
    stored: usize,
}

fn trace() -> (MadeUp, Vec<Visit>) {
    let mut game = MadeUp(vec![MadeUp::state(None, 0)]);
    let settings = Settings { seed: SEED, ..Settings::two_players() };
    let mut search = Search::new(settings, 0, &mut game).expect("the game keeps its contract");
    let mut visits = Vec::new();
    while game.0.len() < STATES {
        let step = search.step(&mut game).expect("the game keeps its contract");
        let Step::Tried { outcome: Outcome::New { .. }, .. } = step else {
            unreachable!("every action leads to a state of its own")
        };
        let stored = game.0.len() - 1;
        let before = |state: &usize| game.0[*state].before;
        let mut read: Vec<usize> = std::iter::successors(before(&stored), before).collect();
        read.reverse();
        visits.push(Visit { read, stored });
    }
    (game, visits)
}

/// A cache as the trace uses it.
trait Policy {
    /// Whether a state's object is there; afterwards it is.
    fn read(&mut self, state: &State) -> bool;
    /// Keeps a new state's object.
    fn store(&mut self, state: &State);
}

impl Policy for ObjectCache {
    fn read(&mut self, state: &State) -> bool {
        let found = self.fetch(&state.name).is_some();
        if !found {
            self.insert(state.name, &state.bytes);
        }
        found
    }

    fn store(&mut self, state: &State) {
        self.insert(state.name, &state.bytes);
    }
}

/// The crate `lru`, bounded in bytes.
struct Lru {
    objects: LruCache<ContentHash, Arc<[u8]>>,
    bytes: u64,
    capacity: u64,
}

impl Lru {
    fn new(capacity: u64) -> Self {
        Self { objects: LruCache::unbounded(), bytes: 0, capacity }
    }
}

fn weight(bytes: &[u8]) -> u64 {
    bytes.len() as u64 + OVERHEAD
}

impl Policy for Lru {
    fn read(&mut self, state: &State) -> bool {
        let found = self.objects.get(&state.name).is_some();
        if !found {
            self.store(state);
        }
        found
    }

    fn store(&mut self, state: &State) {
        self.bytes += weight(&state.bytes);
        self.objects.put(state.name, Arc::clone(&state.bytes));
        while self.bytes > self.capacity {
            let (_, bytes) = self.objects.pop_lru().expect("what has bytes has objects");
            self.bytes -= weight(&bytes);
        }
    }
}

/// How a trace is read.
#[derive(Clone, Copy)]
struct Reading {
    /// Also what is stored is kept, not only what is read.
    keeps_stored: bool,
    /// All states of a descent are read, not only the last.
    whole_way: bool,
}

/// Hits of a hundred reads: of all, and of the last tenth of the steps.
fn hit_rates(
    policy: &mut dyn Policy,
    game: &MadeUp,
    visits: &[Visit],
    reading: Reading,
) -> [f64; 2] {
    let late = visits.len() / 10 * 9;
    let mut counts = [[0u32; 2]; 2];
    for (number, visit) in visits.iter().enumerate() {
        let from = if reading.whole_way { 0 } else { visit.read.len() - 1 };
        for &state in &visit.read[from..] {
            let hit = policy.read(&game.0[state]);
            for [hits, reads] in counts.iter_mut().skip(usize::from(number < late)) {
                *hits += u32::from(hit);
                *reads += 1;
            }
        }
        if reading.keeps_stored {
            policy.store(&game.0[visit.stored]);
        }
    }
    // The first counts the last tenth alone.
    let [[late_hits, late_reads], [hits, reads]] = counts;
    [(hits, reads), (late_hits, late_reads)]
        .map(|(hits, reads)| 100.0 * f64::from(hits) / f64::from(reads))
}

pub(crate) fn run(report: &mut Report) {
    let (game, visits) = trace();
    let bytes: u64 = game.0.iter().map(|state| state.bytes.len() as u64).sum();
    let capacity = bytes / 10;
    let reads: usize = visits.iter().map(|visit| visit.read.len()).sum();
    report.note(format!(
        "Trace: {} steps of the core's search (seed {SEED}) over a made-up game of {ACTIONS} actions a state; {reads} states read on \
         the ways down, {STATES} states of {} MB (10^6) together. Room for {} MB, with the {OVERHEAD} B that are counted for an \
         object beside its bytes. Hit rates: of all steps, and of the last tenth.",
        visits.len(),
        bytes / 1_000_000,
        capacity / 1_000_000,
    ));
    let works = [
        ("every state on the way down is read; only what is read is kept", true, false, true),
        ("every state on the way down is read; what is stored is kept too", true, true, false),
        ("only the last state of the way is read; only what is read is kept", false, false, false),
        ("only the last state of the way is read; what is stored is kept too", false, true, false),
    ];
    for (work, whole_way, keeps_stored, counts) in works {
        let reading = Reading { keeps_stored, whole_way };
        let ours = hit_rates(&mut ObjectCache::new(capacity), &game, &visits, reading);
        let peer = hit_rates(&mut Lru::new(capacity), &game, &visits, reading);
        report.row(Row {
            work: work.into(),
            cascow: format!("{:.1} %, {:.1} %", ours[0], ours[1]),
            peer: format!("{:.1} %, {:.1} % (lru 0.19, bounded in bytes)", peer[0], peer[1]),
            // Of how our stores use it: what is put is not kept until it is read.
            target: counts.then(|| Target::at_least(ours[0].min(ours[1]), 90.0, "≥ 90 %")),
            ..Row::default()
        });
    }
    memory_of_a_full_cache(report);
}

/// What a cache takes that is full of objects which count almost as much beside their bytes as they have.
fn memory_of_a_full_cache(report: &mut Report) {
    let (cache, bytes) = memory::live(|| {
        let cache = ObjectCache::new(64 << 20);
        let mut random = Generator::seed_from_u64(SEED);
        for _ in 0..400_000 {
            let mut object = [0; 256];
            random.fill_bytes(&mut object);
            cache.insert(HashKind::Sha256.hash(&object), &object);
        }
        cache
    });
    let counted = cache.stats().bytes;
    report.row(Row {
        work: "memory of a cache of 64 MiB, full of objects of 256 B after many have passed".into(),
        cascow: format!("{bytes} B, where {counted} B are counted"),
        target: Some(Target::at_most(float(bytes), float(64 << 20), "≤ its capacity")),
        ..Row::default()
    });
}

#[expect(clippy::cast_precision_loss, reason = "a cache is far below 2^52 bytes")]
fn float(bytes: usize) -> f64 {
    bytes as f64
}
