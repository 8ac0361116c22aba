// SPDX-License-Identifier: MIT
//! Ways to search played against each other: what a search gives up to be faster, and whether that is worth it.
//!
//! Games of Connect Four, each pair from the same opening of two stones, with sides exchanged. A new search for each move, its root the
//! position, from a seed that differs from move to move and is the same for both.

use std::time::Duration;

use cascow_benches::measure::processor_time;
use cascow_benches::report::{Report, Row};
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Outcome, Playouts, Side};
use cascow_core::search::{Expansion, MOST_AT_ONCE, Preference, Search, Settings, Step};

/// Four games from each of the openings of two stones, twice.
const GAMES: u64 = 392;

/// How a player searches.
#[derive(Clone, Copy)]
struct Player {
    name: &'static str,
    expansion: Expansion,
    /// Whether descents share their ways.
    strides: bool,
}

const OURS: Player =
    Player { name: "as the program does", expansion: Expansion::All, strides: true };
const NO_STRIDES: Player =
    Player { name: "each descent from the root", expansion: Expansion::All, strides: false };
const ONE_BY_ONE: Player =
    Player { name: "one child a descent", expansion: Expansion::One, strides: false };

/// What a player may use for a move.
#[derive(Clone, Copy)]
enum Allowance {
    Evaluations(u64),
    Time(Duration),
}

pub(crate) fn run(report: &mut Report) {
    report.note(format!("{GAMES} games each; a draw counts half. Time is the processor's."));
    let trials = [
        (NO_STRIDES, Allowance::Evaluations(20_000)),
        (NO_STRIDES, Allowance::Time(Duration::from_millis(8))),
        (ONE_BY_ONE, Allowance::Evaluations(3_000)),
        (ONE_BY_ONE, Allowance::Time(Duration::from_millis(2))),
        (ONE_BY_ONE, Allowance::Time(Duration::from_millis(8))),
    ];
    for (other, allowance) in trials {
        let points: f64 = (0..GAMES).map(|game| play(game, other, allowance)).sum();
        let share = points / GAMES as f64;
        let error = (share * (1.0 - share) / GAMES as f64).sqrt();
        let allowed = match allowance {
            Allowance::Evaluations(evaluations) => format!("{evaluations} evaluations"),
            Allowance::Time(time) => format!("{} ms", time.as_millis()),
        };
        report.row(Row {
            work: format!("{allowed} a move"),
            cascow: format!("{:.1} % ({})", 100.0 * share, OURS.name),
            peer: other.name.into(),
            spread: format!("± {:.1} points (standard error)", 100.0 * error),
            ..Row::default()
        });
    }
}

/// What the first of the players has of one game: 1, a half or nothing.
fn play(game: u64, other: Player, allowance: Allowance) -> f64 {
    let openings = [game / 2 % 7, game / 14 % 7];
    let mut board = openings.into_iter().fold(Connect4::START, |board, column| {
        board.play(column_of(column)).expect("two stones never fill a column")
    });
    let ours = if game.is_multiple_of(2) { Side::First } else { Side::Second };
    for ply in 0.. {
        match board.outcome() {
            Some(Outcome::Draw) => return 0.5,
            Some(Outcome::Win(side)) => return f64::from(u8::from(side == ours)),
            None => {}
        }
        let player = if board.turn() == ours { OURS } else { other };
        board = think(board, player, allowance, game * 100 + ply);
    }
    unreachable!("a game has an end")
}

/// The position after the move that a player finds best.
fn think(board: Connect4, player: Player, allowance: Allowance, seed: u64) -> Connect4 {
    /// Evaluations, and steps, between two looks at the clock.
    const BATCH: u32 = 128;
    let settings = Settings { seed, expansion: player.expansion, ..Settings::two_players() };
    let mut rules = Playouts::<Connect4>::new();
    let start = processor_time();
    let mut search = Search::new(settings, board, &mut rules).expect("a sound game");
    'thinking: loop {
        let left = match allowance {
            Allowance::Evaluations(all) => all.saturating_sub(search.counts().evaluations),
            Allowance::Time(time) if processor_time() - start < time => u64::from(MOST_AT_ONCE),
            Allowance::Time(_) => 0,
        };
        if left == 0 {
            break;
        }
        let mut left = u32::try_from(left).unwrap_or(u32::MAX).min(BATCH);
        for _ in 0..BATCH {
            let step = if player.strides {
                search.step_within(left, &mut rules)
            } else {
                search.step(&mut rules)
            };
            let step = step.expect("a sound game");
            left = left.saturating_sub(step.evaluations());
            match (step, left) {
                (Step::Exhausted, _) => break 'thinking,
                (_, 0) => break,
                _ => {}
            }
        }
    }
    let best = search.best_edge(search.root().id, Preference::Visits);
    let best = best.and_then(|edge| search.edge(edge)).expect("there are moves");
    board.play(column_of(u64::from(best.action.0))).expect("it was offered")
}

fn column_of(number: u64) -> <Connect4 as Board>::Move {
    let number = u32::try_from(number).expect("a column's number is small");
    Connect4::numbered(number).expect("there is such a column")
}
