// SPDX-License-Identifier: MIT
//! Searches of games whose true values are known: endgames proven, cycles and chance valued.
#![cfg(feature = "alloc")]

#[allow(dead_code, reason = "what checks its true values is in a test of its own")]
mod counter;
#[allow(dead_code, reason = "as `counter`")]
mod dice;
#[allow(dead_code, reason = "as `counter`")]
mod solver;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts};
use cascow_core::search::{Game, Preference, Search, Settings, Step};
use counter::{Counter, GOING, Stops};
use dice::{Dice, Race};
use solver::{Solver, endgames};

/// Searches until nothing is left to learn, or so many steps were taken.
fn search<G: Game>(root: G::State, game: &mut G, steps: u64) -> Search<G::State>
where
    G::Error: std::fmt::Debug,
{
    let mut search = Search::new(Settings::two_players(), root, game).unwrap();
    for _ in 0..steps {
        if search.step(game).unwrap() == Step::Exhausted {
            break;
        }
    }
    search
}

#[test]
fn endgames_of_connect4_are_proven_as_the_solver_solves_them() {
    let mut solver = Solver::default();
    for board in endgames(1000, 12, 0) {
        let search = search(board, &mut Playouts::new(), 1_000_000);
        let root = search.root();
        let value = solver.solve(board).value();
        assert_eq!(root.bounds, (value, value), "{board}");
        assert_eq!(root.value, value, "{board}");
        let best = search.best_edge(root.id, Preference::Visits).unwrap();
        let action = Connect4::numbered(search.edge(best).unwrap().action.0).unwrap();
        assert_eq!(solver.solve(board.play(action).unwrap()).value(), value, "{board}");
    }
}

#[test]
fn where_repetition_is_a_draw_the_value_is_that_of_retrograde_analysis() {
    for seed in 0..12 {
        let stops = Stops::of_seed(seed);
        let values = stops.values_with_repetition_worth(0.5);
        for (root, value) in (0..).zip(values) {
            let found = search(root, &mut Counter::<false>(stops.clone()), 20_000).root().value;
            assert!((found - value).abs() < 0.05, "seed {seed}, state {root}: {found} for {value}");
        }
    }
}

/// Values are means there, of a graph that ends when every edge of it was tried; what is proven must hold on every path.
#[test]
fn where_repetition_is_avoided_nothing_is_proven_that_a_path_without_one_belies() {
    let mut narrowed = 0;
    for seed in 0..12 {
        let stops = Stops::of_seed(seed);
        for root in 0..GOING {
            let value = stops.value_with_repetition_avoided(root);
            let root = u32::try_from(root).unwrap();
            let found = search(root, &mut Counter::<true>(stops.clone()), 20_000).root();
            let (lowest, highest) = found.bounds;
            // Bounds are halves: a value of a quarter lies within those around it.
            assert!(lowest <= value && value <= highest, "seed {seed}, state {root}: {found:?}");
            narrowed += u32::from(found.bounds != (0.0, 1.0));
        }
    }
    assert!(narrowed >= 30, "{narrowed}");
}

#[test]
fn a_race_with_a_loaded_die_is_worth_what_value_iteration_says() {
    let values = dice::values(Race::START);
    let close = Race { points: [6, 6], gathered: 0, player: 1, rolling: false };
    for race in [close, Race::START] {
        let found = search(race.word(), &mut Dice, 200_000).root().value;
        let value = values[&race];
        assert!((found - value).abs() < 0.02, "{found} for {value}");
    }
}
