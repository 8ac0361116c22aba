// SPDX-License-Identifier: MIT
//! The positions of the benchmark `budget` and their best moves, which an exhaustive solver has found.
//!
//! To make the file anew: `POSITIONS=100 cargo test --release -p cascow-benches --test positions`, which takes minutes and prints it where
//! it differs.

// The core's own solver, which is plain and slow.
#[allow(dead_code, reason = "another test's")]
#[path = "../../core/tests/solver/mod.rs"]
mod plain;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Outcome, after};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const FILE: &str = include_str!("../benches/peers/search/positions.txt");

/// Enough stones for the solver to take a second or less, and few enough for a search not to come to all ends in some seconds.
const STONES: usize = 12;
const POSITIONS: usize = 100;

/// A position by its bits, as the usual solvers have it: seven bits to a column, of which the highest stays empty.
#[derive(Clone, Copy)]
struct Bits {
    own: u64,
    stones: u64,
}

const BOTTOM: u64 = 0b1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28 | 1 << 35 | 1 << 42;
const PLACES: u64 = BOTTOM * 0b11_1111;

impl Bits {
    fn after(moves: &str) -> Self {
        let mut bits = Self { own: 0, stones: 0 };
        for column in moves.bytes() {
            let places = 0b11_1111 << (7 * u32::from(column - b'1'));
            bits = bits.play((bits.stones + BOTTOM) & places);
        }
        bits
    }

    fn play(self, place: u64) -> Self {
        Self { own: self.stones ^ self.own, stones: self.stones | place }
    }

    fn open(self) -> u64 {
        (self.stones + BOTTOM) & PLACES
    }

    /// Empty places that would make four of the stones given.
    fn threats(self, own: u64) -> u64 {
        let mut places = (own << 1) & (own << 2) & (own << 3);
        for step in [6, 7, 8] {
            let (above, below) =
                ((own << step) & (own << (2 * step)), (own >> step) & (own >> (2 * step)));
            places |= above & (own << (3 * step)) | above & (own >> step);
            places |= below & (own >> (3 * step)) | below & (own << step);
        }
        places & (PLACES ^ self.stones)
    }

    fn wins_at(self) -> u64 {
        self.threats(self.own) & self.open()
    }
}

/// Alpha-beta to the end, by Tromp's and Pons's rules of order: only moves after which the opponent cannot win at once, those that
/// threaten most first.
struct Solver {
    /// Bounds of values by position, each in the one place where it may stand.
    bounds: Vec<(u64, i8, i8)>,
}

impl Solver {
    fn new() -> Self {
        Self { bounds: vec![(0, -1, 1); 8_388_593] }
    }

    /// In the view of the side to move, who cannot win at once.
    fn value(&mut self, bits: Bits, mut alpha: i8, mut beta: i8) -> i8 {
        let theirs = bits.threats(bits.own ^ bits.stones);
        let forced = bits.open() & theirs;
        let open = match forced.count_ones() {
            0 => bits.open(),
            1 => forced,
            _ => return -1,
        };
        let open = open & !(theirs >> 1);
        if bits.stones.count_ones() == 42 {
            return 0;
        }
        if open == 0 {
            return -1;
        }
        let key = bits.own + bits.stones + BOTTOM;
        let place = usize::try_from(key % self.bounds.len() as u64).unwrap();
        let known = self.bounds[place];
        let (least, most) = if known.0 == key { (known.1, known.2) } else { (-1, 1) };
        alpha = alpha.max(least);
        beta = beta.min(most);
        if alpha >= beta {
            return alpha;
        }
        let mut moves: Vec<u64> = [3, 2, 4, 1, 5, 0, 6]
            .map(|column| open & 0b11_1111 << (7 * column))
            .into_iter()
            .filter(|place| *place != 0)
            .collect();
        moves.sort_by_key(|place| {
            let after = Bits { own: bits.own | place, stones: bits.stones | place };
            std::cmp::Reverse(after.threats(after.own).count_ones())
        });
        let mut best = -1;
        let mut within = alpha;
        for place in moves {
            best = best.max(-self.value(bits.play(place), -beta, -within));
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
        self.bounds[place] = (key, found.0, found.1);
        best
    }

    /// Of each legal move, in the view of who makes it.
    fn moves(&mut self, bits: Bits) -> Vec<(u8, i8)> {
        let column = |column: u8| {
            let place = bits.open() & 0b11_1111 << (7 * u32::from(column));
            let next = bits.play(place);
            let value = match () {
                () if place & bits.wins_at() != 0 => 1,
                () if next.stones.count_ones() == 42 => 0,
                () if next.wins_at() != 0 => -1,
                () => -self.value(next, -1, 1),
            };
            (place != 0).then_some((column + 1, value))
        };
        (0..7).filter_map(column).collect()
    }

    /// The moves that are as good as any.
    fn best(&mut self, bits: Bits) -> (Vec<u8>, usize) {
        let moves = self.moves(bits);
        let most = moves.iter().map(|(_, value)| *value).max().unwrap();
        let best = moves.iter().filter(|(_, value)| *value == most);
        (best.map(|(column, _)| *column).collect(), moves.len())
    }
}

/// A random game's moves.
fn game(random: &mut Xoshiro256PlusPlus, stones: usize) -> Option<String> {
    let mut board = Connect4::START;
    let mut moves = String::new();
    for _ in 0..stones {
        let legal: Vec<_> = board.moves().collect();
        let bound = u64::try_from(legal.len()).unwrap();
        let action = *legal.get(usize::try_from(random.next_u64().checked_rem(bound)?).unwrap())?;
        board = board.play(action).unwrap();
        write!(moves, "{action}").unwrap();
    }
    board.outcome().is_none().then_some(moves)
}

/// So many lines of the file: positions of random games, nobody about to win with the next stone, in which some moves are better than others.
fn positions(count: usize) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    let mut solver = Solver::new();
    while text.lines().count() < count {
        let Some(moves) = game(&mut random, STONES) else { continue };
        let bits = Bits::after(&moves);
        if bits.wins_at() != 0 || !seen.insert(after(Connect4::START, &moves).unwrap().key()) {
            continue;
        }
        let (best, all) = solver.best(bits);
        if best.len() < all {
            let best: String = best.iter().map(ToString::to_string).collect();
            writeln!(text, "{moves} {best}").unwrap();
        }
    }
    text
}

#[test]
fn the_file_begins_with_what_the_solver_finds() {
    let count = std::env::var("POSITIONS").map_or(3, |count| count.parse().unwrap());
    let positions = positions(count);
    let begin: String = FILE.split_inclusive('\n').take(count).collect();
    assert!(positions == begin, "{positions}");
}

#[test]
fn the_file_is_whole_and_its_moves_are_legal() {
    assert_eq!(FILE.lines().count(), POSITIONS);
    for line in FILE.lines() {
        let (moves, best) = line.split_once(' ').unwrap();
        assert_eq!(moves.len(), STONES);
        let board = after(Connect4::START, moves).unwrap();
        assert_eq!(board.outcome(), None, "{line}");
        let legal: String = board.moves().map(|action| action.to_string()).collect();
        assert!(best.chars().all(|column| legal.contains(column)), "{line}");
        assert!(!best.is_empty() && best.len() < legal.len(), "{line}");
    }
}

#[test]
fn some_of_the_file_are_solved_again() {
    let mut solver = Solver::new();
    for line in FILE.lines().step_by(20) {
        let (moves, best) = line.split_once(' ').unwrap();
        let (found, _) = solver.best(Bits::after(moves));
        assert_eq!(found.iter().map(ToString::to_string).collect::<String>(), best, "{moves}");
    }
}

#[test]
fn the_solver_agrees_with_the_plain_one() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut solver = Solver::new();
    let mut slow = plain::Solver::default();
    let mut solved = 0;
    while solved < 300 {
        let Some(moves) = game(&mut random, 20 + solved % 20) else { continue };
        solved += 1;
        let board = after(Connect4::START, &moves).unwrap();
        let values = board.moves().map(|action| {
            let value = match slow.solve(board.play(action).unwrap()) {
                Outcome::Draw => 0,
                Outcome::Win(side) if side == board.turn() => 1,
                Outcome::Win(_) => -1,
            };
            (action.to_string(), value)
        });
        let mut values: Vec<(String, i8)> = values.collect();
        values.sort();
        let found = solver.moves(Bits::after(&moves));
        let found: Vec<_> =
            found.into_iter().map(|(column, it)| (column.to_string(), it)).collect();
        assert_eq!(found, values, "{moves}");
    }
}
