// SPDX-License-Identifier: MIT
//! Connect Four endgames and their true results, by alpha-beta to the end of every line.

use std::collections::{BTreeSet, HashMap};

use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Outcome, Side};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What perfect play leads to.
pub(crate) fn solve(board: Connect4) -> Outcome {
    Solver::default().solve(board)
}

/// A solver that remembers what it found out: positions of one game share most of what follows them.
#[derive(Default)]
pub(crate) struct Solver {
    /// By key, in the view of the side to move: at least and at most this.
    bounds: HashMap<u64, (i8, i8)>,
}

impl Solver {
    /// What perfect play leads to from here.
    pub(crate) fn solve(&mut self, board: Connect4) -> Outcome {
        match self.value(board, -1, 1) {
            0 => Outcome::Draw,
            1 => Outcome::Win(board.turn()),
            _ => Outcome::Win(board.turn().other()),
        }
    }

    /// 1 for a win of the side to move, 0 for a draw, -1 for a loss. Exact between `alpha` and `beta`; else a bound beyond them.
    fn value(&mut self, board: Connect4, mut alpha: i8, mut beta: i8) -> i8 {
        match board.outcome() {
            Some(Outcome::Draw) => return 0,
            Some(Outcome::Win(side)) => return if side == board.turn() { 1 } else { -1 },
            None => {}
        }
        let (least, most) = self.bounds.get(&board.key()).copied().unwrap_or((-1, 1));
        alpha = alpha.max(least);
        beta = beta.min(most);
        if alpha >= beta {
            return alpha;
        }
        let mut best = -1;
        let mut within = alpha;
        for column in board.moves() {
            let next = board.play(column).unwrap();
            best = best.max(-self.value(next, -beta, -within));
            within = within.max(best);
            if within >= beta {
                break;
            }
        }
        let found = match best {
            _ if best <= alpha => (least, best),
            _ if best >= beta => (best, most),
            _ => (best, best),
        };
        self.bounds.insert(board.key(), found);
        best
    }
}

/// What trying everything leads to: the solver's own check, for a few empty places.
pub(crate) fn solve_plainly(board: Connect4) -> Outcome {
    if let Some(outcome) = board.outcome() {
        return outcome;
    }
    let results: Vec<Outcome> =
        board.moves().map(|column| solve_plainly(board.play(column).unwrap())).collect();
    let own = Outcome::Win(board.turn());
    match () {
        () if results.contains(&own) => own,
        () if results.contains(&Outcome::Draw) => Outcome::Draw,
        () => Outcome::Win(board.turn().other()),
    }
}

/// Places without a stone.
pub(crate) fn empty_places(board: Connect4) -> u32 {
    let picture = board.to_string();
    u32::try_from(picture.matches('.').count()).unwrap()
}

/// `count` different positions of random games that are not over, with at most `most_empty` places free: the same for the same
/// seed. They have from one free place to `most_empty`; of each game one position is taken.
pub(crate) fn endgames(count: usize, most_empty: u32, seed: u64) -> Vec<Connect4> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut below = |count: usize| usize::try_from(generator.next_u64() >> 32).unwrap() % count;
    let mut seen = BTreeSet::new();
    let mut endgames = Vec::new();
    while endgames.len() < count {
        let empty = 1 + u32::try_from(below(usize::try_from(most_empty).unwrap())).unwrap();
        let mut board = Connect4::START;
        for _ in empty..42 {
            let moves: Vec<_> = board.moves().collect();
            if moves.is_empty() {
                break;
            }
            board = board.play(moves[below(moves.len())]).unwrap();
        }
        if board.outcome().is_none() && seen.insert(board.key()) {
            endgames.push(board);
        }
    }
    endgames
}

/// How many of the results are wins of the first player, of the second, and draws.
pub(crate) fn tally(outcomes: impl IntoIterator<Item = Outcome>) -> [usize; 3] {
    let mut tally = [0; 3];
    for outcome in outcomes {
        tally[match outcome {
            Outcome::Win(Side::First) => 0,
            Outcome::Win(Side::Second) => 1,
            Outcome::Draw => 2,
        }] += 1;
    }
    tally
}
