// SPDX-License-Identifier: MIT
//! The contestants of the benchmark `search` do the same work, and the plain search is one.

// The benchmark itself, of which not all is used here.
#[allow(dead_code, reason = "the benchmark's own")]
#[path = "../benches/peers/search/mod.rs"]
mod search;

use std::sync::{Mutex, MutexGuard, PoisonError};

use cascow_benches::memory::Counting;
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts, after};
use cascow_core::search::{Search, Settings};
use search::cloned::{self, Cloned};
use search::{Searcher, ours, peers};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests run at once, and the allocator counts for all of them.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So early in a game no step meets the end of one again.
#[test]
fn every_contestant_makes_as_many_playouts_as_it_is_asked_for() {
    let _alone = alone();
    let contestants: [Searcher; 4] = [ours, cloned::run, peers::treant, peers::mcts];
    for (number, contestant) in contestants.into_iter().enumerate() {
        for evaluations in [1, 100, 2_500] {
            assert_eq!(contestant(evaluations, 1).evaluations, evaluations, "contestant {number}");
        }
    }
}

/// Shares of the visits at the root, by column, of searches of so many seeds together.
fn shares(visits: impl Fn(u64) -> Vec<(u32, u32)>) -> [f64; 7] {
    let mut shares = [0.0; 7];
    for (column, visits) in (0..SEEDS).flat_map(visits) {
        shares[usize::try_from(column).unwrap()] += f64::from(visits);
    }
    let sum: f64 = shares.iter().sum();
    shares.map(|visits| visits / sum)
}

/// One search alone may take to a move that another, by chance, does not: by a quarter of all visits.
const SEEDS: u64 = 24;
const EVALUATIONS: u64 = 4_000;

fn ours_at(board: Connect4, seed: u64, exploration: f64) -> Vec<(u32, u32)> {
    let mut game = Playouts::new();
    let settings = Settings { seed, exploration, ..Settings::two_players() };
    let mut search = Search::new(settings, board, &mut game).unwrap();
    while search.counts().evaluations < EVALUATIONS {
        search.step(&mut game).unwrap();
    }
    search.edges(search.root().id).map(|edge| (edge.action.0, edge.visits)).collect()
}

fn plain_at(board: Connect4, seed: u64) -> Vec<(u32, u32)> {
    let mut search = Cloned::new(board, seed);
    while search.evaluations() < EVALUATIONS {
        search.step();
    }
    search.visits().collect()
}

#[test]
fn the_plain_search_divides_its_visits_as_ours_does() {
    let _alone = alone();
    let apart =
        |a: [f64; 7], b: [f64; 7]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    let exploration = Settings::two_players().exploration;
    let (mut same, mut other, mut chance) = (0.0, 0.0, 0.0);
    let openings = ["", "44", "4444", "43", "3254"];
    for moves in openings {
        let board = after(Connect4::START, moves).unwrap();
        let plain = shares(|seed| plain_at(board, seed));
        let ours = shares(|seed| ours_at(board, seed, exploration));
        // So that the test is known to tell rules apart.
        let broader = shares(|seed| ours_at(board, seed, 3.0 * exploration));
        // What chance alone does.
        let again = shares(|seed| ours_at(board, seed + SEEDS, exploration));
        same += apart(plain, ours);
        other += apart(plain, broader);
        chance += apart(ours, again);
    }
    let count = f64::from(u32::try_from(openings.len()).unwrap());
    let figures = [same, other, chance].map(|sum| sum / count);
    println!("{figures:.3?}");
    let [same, other, chance] = figures;
    assert!(same < 2.0 * chance && other > 3.0 * same, "{figures:.3?}");
}
