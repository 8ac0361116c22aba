// SPDX-License-Identifier: MIT
//! Searches of Connect Four from the empty board, each evaluation one random playout by the same function.
//!
//! What counts is positions evaluated a second: a step that meets a position again and evaluates nothing, or comes to the end of a
//! game for the second time, counts for nobody. Ours and the plain structures use our settings for two players, the peers UCT with the
//! constant 1 for values from 0 to 1, without transpositions.

mod cloned;
mod peers;

use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cascow_benches::measure::{Spread, timed, waited};
use cascow_benches::memory;
use cascow_benches::report::{Report, Row, Target, spread};
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts};
use cascow_core::hash::HashKind;
use cascow_core::search::{Search, Settings, Step};
use cascow_native::boards::{self, Limits};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;

/// Evaluations a run: a short search, and a long one, whose graph is larger than the processor's caches.
const SHORT: u64 = 100_000;
const LONG: u64 = 1_000_000;

/// Runs of each: odd, so that a median is one of them.
const ROUNDS: u64 = 5;

/// A contestant: makes so many evaluations from a seed, and says how long it took on this thread and how many they were.
type Searcher = fn(u64, u64) -> (Duration, u64);

pub(crate) fn run(report: &mut Report) {
    let contestants: [(&str, Searcher, Option<f64>); 3] = [
        ("treant 0.4, UCT", peers::treant, Some(2.0)),
        ("mcts 0.3, UCT", peers::mcts, Some(2.0)),
        (
            "our rules in plain structures: positions in nodes, a hash map, nothing proven",
            cloned::run,
            Some(0.8),
        ),
    ];
    report
        .note("Workers and loading are timed by the wall: what else the machine does counts too.");
    for evaluations in [SHORT, LONG] {
        for (name, peer, at_least) in contestants {
            duel(report, evaluations, name, peer, at_least);
        }
    }
    two_workers(report);
    bytes_a_node(report);
    resume(report);
}

fn ours(evaluations: u64, seed: u64) -> (Duration, u64) {
    let settings = Settings { seed, ..Settings::two_players() };
    let mut game = Playouts::<Connect4>::new();
    let mut kept = None;
    let elapsed = timed(|| {
        let mut search = Search::new(settings, Connect4::START, &mut game).expect("a sound game");
        while search.counts().evaluations < evaluations {
            let step = search.step(&mut game).expect("a sound game");
            assert_ne!(step, Step::Exhausted, "nobody has ever visited all positions");
        }
        kept = Some(search);
    });
    (elapsed, kept.map_or(0, |search| search.counts().evaluations))
}

fn rate((elapsed, evaluations): (Duration, u64)) -> f64 {
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
            our_rates.push(rate(ours(evaluations, round)));
        }
        peer_rates.push(rate(peer(evaluations, round)));
        if round % 2 == 1 {
            our_rates.push(rate(ours(evaluations, round)));
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

/// Time by the wall: what else the machine does counts too.
fn two_workers(report: &mut Report) {
    let run = |workers: u32, seed| {
        let workers = NonZeroU32::new(workers).expect("more than none");
        let limits = Limits { evaluations: Some(LONG), time: None, workers };
        let mut search = boards::begin(Connect4::START, seed, u64::MAX).expect("there is room");
        let elapsed = waited(|| {
            boards::think(&mut search, &limits, &AtomicBool::new(false)).expect("there is room");
        });
        rate((elapsed, search.counts().evaluations))
    };
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|seed| (run(2, seed), run(1, seed))).collect();
    let ratio = Spread::of(rounds.iter().map(|(two, one)| two / one).collect());
    let median =
        |of: fn(&(f64, f64)) -> f64| thousands(Spread::of(rounds.iter().map(of).collect()).median);
    report.row(Row {
        work: format!("{LONG} evaluations, two workers"),
        cascow: median(|(two, _)| *two),
        peer: format!("{} (one worker)", median(|(_, one)| *one)),
        ratio: format!("{:.2}", ratio.median),
        spread: spread(&ratio, 2),
        target: Some(Target::at_least(ratio.median, 1.7, "≥ 1.7×")),
    });
}

fn searched(evaluations: u64) -> Search<Connect4> {
    let mut game = Playouts::<Connect4>::new();
    let mut search =
        Search::new(Settings::two_players(), Connect4::START, &mut game).expect("a sound game");
    while search.counts().evaluations < evaluations {
        _ = search.step(&mut game).expect("a sound game");
    }
    search
}

/// By the allocator: what was made in advance counts too.
fn bytes_a_node(report: &mut Report) {
    let (search, bytes) = memory::live(|| searched(LONG));
    let bytes = bytes as f64 / search.len() as f64;
    report.row(Row {
        work: format!("bytes a node of {LONG}, statistics and position, as allocated"),
        cascow: format!("{bytes:.1} B"),
        target: Some(Target::at_most(bytes, 100.0, "≤ 100 B")),
        ..Row::default()
    });
}

fn resume(report: &mut Report) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let repository = Repository::init(dir.path(), HashKind::Sha256, StoreKind::Segments)
        .expect("a new directory");
    let search = searched(LONG);
    let mut checkpoint = None;
    let save =
        waited(|| checkpoint = Some(search.save(repository.store()).expect("there is room")));
    let saved = checkpoint.expect("it was saved");
    drop(search);
    let times = (0..ROUNDS).map(|_| {
        let load = || {
            let loaded = Search::<Connect4>::load::<Playouts<Connect4>>(
                repository.store(),
                saved.checkpoint,
            );
            let mut loaded = loaded.expect("it was saved");
            _ = loaded.step(&mut Playouts::new()).expect("a sound game");
        };
        waited(load).as_secs_f64() * 1e3
    });
    let time = Spread::of(times.collect());
    report.row(Row {
        work: format!(
            "load a search of {LONG} nodes from a repository and take one step ({} objects, {:.1} MB stored, saved in {:.0} ms)",
            saved.objects,
            saved.new_bytes as f64 / 1e6,
            save.as_secs_f64() * 1e3
        ),
        cascow: format!("{:.0} ms", time.median),
        spread: format!("{:.0}–{:.0} ms", time.low, time.high),
        target: Some(Target::at_most(time.median, 1000.0, "≤ 1 s")),
        ..Row::default()
    });
}
