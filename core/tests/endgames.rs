// SPDX-License-Identifier: MIT
//! The solver that others are checked by, against trying everything.
#![cfg(feature = "alloc")]

mod solver;

use cascow_core::games::Board;
use solver::{Solver, empty_places, endgames, solve, solve_plainly, tally};

#[test]
fn the_solver_agrees_with_trying_everything() {
    for board in endgames(400, 7, 1) {
        assert_eq!(solve(board), solve_plainly(board), "{board}");
    }
}

#[test]
fn a_solver_that_remembers_agrees_with_a_fresh_one() {
    let mut solver = Solver::default();
    for board in endgames(100, 12, 2) {
        assert_eq!(solver.solve(board), solve(board), "{board}");
        for column in board.moves() {
            let next = board.play(column).unwrap();
            assert_eq!(solver.solve(next), solve(next), "{next}");
        }
    }
}

#[test]
fn endgames_are_as_many_as_asked_not_over_all_different_and_of_every_kind() {
    let boards = endgames(1000, 12, 0);
    assert_eq!(boards.len(), 1000);
    assert!(boards.iter().all(|board| board.outcome().is_none()));
    assert!(boards.iter().all(|&board| (1..=12).contains(&empty_places(board))));
    let keys: std::collections::BTreeSet<u64> = boards.iter().map(|board| board.key()).collect();
    assert_eq!(keys.len(), 1000);
    assert_eq!(boards, endgames(1000, 12, 0));
    assert_ne!(boards, endgames(1000, 12, 1));
    let tally = tally(boards.into_iter().map(solve));
    assert!(tally.iter().all(|&boards| boards >= 50), "{tally:?}");
}
