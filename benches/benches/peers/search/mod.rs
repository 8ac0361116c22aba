// SPDX-License-Identifier: MIT
//! Searches of Connect Four from the empty board, each evaluation one random playout by the same function.
//!
//! What counts is positions evaluated a second: a step that meets a position again and evaluates nothing, or comes to the end of a
//! game for the second time, counts for nobody. Ours and the plain structures use our settings for two players: PUCT with equal priors, all
//! children of a node evaluated at once. The peers evaluate one child a descent, which is their way, in a tree without transpositions:
//! by PUCT with the same constant and priors, and by UCT with the constant 1 for values from 0 to 1.

pub(crate) mod budget;
pub(crate) mod cloned;
pub(crate) mod peers;
pub(crate) mod strength;

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cascow_benches::measure::{Spread, alone, processor_time_of_all, repeated, timed, waited};
use cascow_benches::memory;
use cascow_benches::report::{Report, Row, Target, spread};
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts};
use cascow_core::hash::HashKind;
use cascow_core::search::rand_core::SeedableRng;
use cascow_core::search::{Generator, Search, Settings, Step};
use cascow_native::boards::{self, Limits};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;

/// Evaluations a run: a short search, and a long one, whose graph is larger than the processor's caches.
const SHORT: u64 = 100_000;
const LONG: u64 = 1_000_000;

/// Runs of each: odd, so that a median is one of them.
const ROUNDS: u64 = 5;

/// A contestant: makes so many evaluations from a seed.
pub(crate) type Searcher = fn(u64, u64) -> Run;

/// What a contestant did.
pub(crate) struct Run {
    /// On this thread.
    elapsed: Duration,
    pub(crate) evaluations: u64,
    /// All that it keeps of its search.
    kept: Box<dyn Any>,
}

impl Run {
    fn rate(self) -> f64 {
        rate(self.elapsed, self.evaluations)
    }
}

pub(crate) fn run(report: &mut Report) {
    let contestants: [(&str, Searcher, Option<f64>); 5] = [
        ("treant 0.4, PUCT", peers::treant_puct, Some(2.0)),
        ("treant 0.4, UCT", peers::treant_uct, Some(2.0)),
        ("mcts 0.3, PUCT", peers::mcts_puct, Some(2.0)),
        ("mcts 0.3, UCT", peers::mcts_uct, Some(2.0)),
        (
            "our rules in plain structures: positions in nodes, a hash map, nothing proven",
            cloned::run,
            Some(0.8),
        ),
    ];
    report
        .note("Workers and loading are timed by the wall: what else the machine does counts too.");
    bare(report);
    for evaluations in [SHORT, LONG] {
        for (name, peer, at_least) in contestants {
            duel(report, evaluations, name, peer, at_least);
        }
    }
    two_workers(report);
    bytes_a_node(report, &contestants.map(|(name, peer, _)| (name, peer)));
    resume(report);
}

/// What all of them spend on playouts: as fast as a search that does nothing else could be.
fn bare(report: &mut Report) {
    let mut generator = Generator::seed_from_u64(0);
    let nanos = alone(repeated(|| Connect4::START.playout(&mut generator)));
    let [low, median, high] = [nanos.high, nanos.median, nanos.low].map(|nanos| 1e9 / nanos);
    report.row(Row {
        work: "random playouts from the empty board, without any search".into(),
        cascow: thousands(median),
        spread: format!("{}–{}", thousands(low), thousands(high)),
        ..Row::default()
    });
}

pub(crate) fn ours(evaluations: u64, seed: u64) -> Run {
    let settings = Settings { seed, ..Settings::two_players() };
    let mut game = Playouts::<Connect4>::new();
    let mut kept = None;
    let elapsed = timed(|| {
        let mut search = Search::new(settings, Connect4::START, &mut game).expect("a sound game");
        while search.counts().evaluations < evaluations {
            let left = evaluations - search.counts().evaluations;
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let step = search.step_within(left, &mut game).expect("a sound game");
            assert_ne!(step, Step::Exhausted, "nobody has ever visited all positions");
        }
        kept = Some(search);
    });
    let search = kept.expect("it was made");
    Run { elapsed, evaluations: search.counts().evaluations, kept: Box::new(search) }
}

fn rate(elapsed: Duration, evaluations: u64) -> f64 {
    // Far below 2^53.
    evaluations as f64 / elapsed.as_secs_f64()
}

fn thousands(rate: f64) -> String {
    format!("{:.0}k/s", rate / 1e3)
}

fn duel(report: &mut Report, evaluations: u64, name: &str, peer: Searcher, at_least: Option<f64>) {
    let (mut our_rates, mut peer_rates) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In turn who comes first.
        if round % 2 == 0 {
            our_rates.push(ours(evaluations, round).rate());
        }
        peer_rates.push(peer(evaluations, round).rate());
        if round % 2 == 1 {
            our_rates.push(ours(evaluations, round).rate());
        }
    }
    let ratios = our_rates.iter().zip(&peer_rates).map(|(ours, peer)| ours / peer).collect();
    let ratio = Spread::of(ratios);
    report.row(Row {
        work: format!("{evaluations} evaluations, one thread"),
        cascow: thousands(Spread::of(our_rates).median),
        peer: format!("{} ({name})", thousands(Spread::of(peer_rates).median)),
        ratio: format!("{:.2}", ratio.median),
        spread: spread(&ratio, 2),
        target: at_least.map(|least| Target::at_least(ratio.median, least, format!("≥ {least}×"))),
    });
}

/// Time by the wall: what else the machine does counts too. So beside it the time on both processors, which says only what the
/// workers cost each other while they run.
fn two_workers(report: &mut Report) {
    let run = |workers: u32, seed| {
        let workers = NonZeroU32::new(workers).expect("more than none");
        let limits = Limits { evaluations: Some(LONG), time: None, workers };
        let mut search = boards::begin(Connect4::START, seed, u64::MAX).expect("there is room");
        let before = processor_time_of_all();
        let elapsed = waited(|| {
            boards::think(&mut search, &limits, &AtomicBool::new(false)).expect("there is room");
        });
        let used = processor_time_of_all() - before;
        let evaluations = search.counts().evaluations;
        [rate(elapsed, evaluations), rate(used, evaluations)]
    };
    let rounds: Vec<[[f64; 2]; 2]> = (0..ROUNDS).map(|seed| [run(2, seed), run(1, seed)]).collect();
    let row = |clock: usize, work: &str, target: Option<f64>| {
        let median = |which: usize| {
            Spread::of(rounds.iter().map(|round| round[which][clock]).collect()).median
        };
        let ratio = rounds.iter().map(|[two, one]| two[clock] / one[clock]);
        let ratio = Spread::of(ratio.collect());
        Row {
            work: format!("{LONG} evaluations, two workers{work}"),
            cascow: thousands(median(0)),
            peer: format!("{} (one worker)", thousands(median(1))),
            ratio: format!("{:.2}", ratio.median),
            spread: spread(&ratio, 2),
            target: target
                .map(|least| Target::at_least(ratio.median, least, format!("≥ {least}×"))),
        }
    };
    report.row(row(0, "", Some(1.7)));
    report.row(row(1, ", by a second of processor time", None));
}

fn searched(evaluations: u64) -> Search<Connect4> {
    let mut game = Playouts::<Connect4>::new();
    let mut search =
        Search::new(Settings::two_players(), Connect4::START, &mut game).expect("a sound game");
    while search.counts().evaluations < evaluations {
        let left = u32::try_from(evaluations - search.counts().evaluations).unwrap_or(u32::MAX);
        _ = search.step_within(left, &mut game).expect("a sound game");
    }
    search
}

/// By the allocator: what was made in advance counts too.
fn bytes_a_node(report: &mut Report, peers: &[(&str, Searcher)]) {
    let bytes = |searcher: Searcher| {
        let (run, bytes) = memory::live(|| searcher(LONG, 0));
        let bytes = bytes as f64 / run.evaluations as f64;
        drop(run.kept);
        bytes
    };
    let peers = peers.iter().map(|(name, peer)| format!("{:.1} B ({name})", bytes(*peer)));
    let peers: Vec<String> = peers.collect();
    let ours = bytes(ours);
    report.row(Row {
        work: format!("bytes a node of {LONG}, statistics and position, as allocated"),
        cascow: format!("{ours:.1} B"),
        peer: peers.join(", "),
        target: Some(Target::at_most(ours, 100.0, "≤ 100 B")),
        ..Row::default()
    });
}

/// Steps that a search makes after it was loaded, to see whether it is the same.
const MORE: u64 = 100_000;

fn resume(report: &mut Report) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let repository = Repository::init(dir.path(), HashKind::Sha256, StoreKind::Segments)
        .expect("a new directory");
    let mut search = searched(LONG);
    let mut checkpoint = None;
    let save = waited(|| {
        checkpoint = Some(search.save(repository.store()).expect("there is room"));
        repository.store().sync().expect("there is room");
    });
    let saved = checkpoint.expect("it was saved");
    drop(repository);
    let mut last = None;
    let times = (0..ROUNDS).map(|_| {
        drop(last.take());
        let load = || {
            let repository = Repository::open(dir.path()).expect("it is there");
            let loaded = Search::<Connect4>::load::<Playouts<Connect4>>(
                repository.store(),
                saved.checkpoint,
            );
            let mut loaded = loaded.expect("it was saved");
            _ = loaded.step(&mut Playouts::new()).expect("a sound game");
            last = Some((repository, loaded));
        };
        waited(load).as_secs_f64() * 1e3
    });
    let time = Spread::of(times.collect());
    report.row(Row {
        work: format!(
            "open a repository, load a search of {LONG} nodes from it and take one step ({} objects, {:.1} MB stored, saved and synced in \
             {:.0} ms; warm)",
            saved.objects,
            saved.new_bytes as f64 / 1e6,
            save.as_secs_f64() * 1e3
        ),
        cascow: format!("{:.0} ms", time.median),
        spread: format!("{:.0}–{:.0} ms", time.low, time.high),
        target: Some(Target::at_most(time.median, 1000.0, "≤ 1 s")),
        ..Row::default()
    });

    let (repository, mut loaded) = last.expect("it was loaded");
    // The loaded one has made its first step.
    for (search, steps) in [(&mut search, MORE), (&mut loaded, MORE - 1)] {
        for _ in 0..steps {
            _ = search.step(&mut Playouts::new()).expect("a sound game");
        }
    }
    // All of a search is in what it is saved as, and names are hashes.
    let names = [&search, &loaded]
        .map(|search| search.save(repository.store()).expect("there is room").checkpoint);
    let differ = f64::from(u8::from(names[0] != names[1]));
    report.row(Row {
        work: format!(
            "{MORE} steps later: the loaded search beside the one that was never interrupted"
        ),
        cascow: if differ == 0.0 { "the same bytes" } else { "other bytes" }.into(),
        target: Some(Target::at_most(differ, 0.0, "the same")),
        ..Row::default()
    });
}
