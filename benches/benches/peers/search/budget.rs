// SPDX-License-Identifier: MIT
//! What a search loses by forgetting: the same positions, the same time, with little memory and with as much as it takes.
//!
//! Accuracy is the share of positions in which the move that the search would play is one of those that an exhaustive solver has
//! found best. Each position is searched by two threads at once, one for each of the two, for the same time on the processor.

use std::thread;
use std::time::Duration;

use cascow_benches::measure::processor_time;
use cascow_benches::memory;
use cascow_benches::report::{Report, Row, Target};
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts, after};
use cascow_core::search::{Preference, Search, Settings, Step};

/// Positions of 12 stones, each with the columns of its best moves; some moves are worse.
const POSITIONS: &str = include_str!("positions.txt");

/// Evaluations, and steps, between two looks at the clock.
const BATCH: u32 = 1_000;

/// Bytes that a search may have, how long it thinks about a position, and about how many of them.
struct Trial {
    byte_limit: u64,
    time: Duration,
    positions: usize,
}

const TRIALS: [Trial; 2] = [
    Trial { byte_limit: 64 << 20, time: Duration::from_secs(6), positions: 20 },
    // An eighth of both: more positions within the same time.
    Trial { byte_limit: 8 << 20, time: Duration::from_millis(750), positions: 100 },
];

/// How a search of one position ended.
struct Ended {
    column: String,
    nodes: usize,
    bytes: u64,
    /// The most that it had at any look.
    peak_bytes: u64,
    forgotten: u64,
    evaluations: u64,
    exhausted: bool,
}

fn think(board: Connect4, byte_limit: Option<u64>, time: Duration) -> Ended {
    let settings = Settings { byte_limit, ..Settings::two_players() };
    let mut game = Playouts::<Connect4>::new();
    let start = processor_time();
    let mut search = Search::new(settings, board, &mut game).expect("a sound game");
    let (mut exhausted, mut peak_bytes) = (false, 0);
    while !exhausted && processor_time() - start < time {
        let mut left = BATCH;
        for _ in 0..BATCH {
            let step = search.step_within(left, &mut game).expect("a sound game");
            exhausted |= step == Step::Exhausted;
            left = left.saturating_sub(step.evaluations());
            if exhausted || left == 0 {
                break;
            }
        }
        peak_bytes = peak_bytes.max(search.bytes());
    }
    let best = search.best_edge(search.root().id, Preference::Visits);
    let best = best.and_then(|edge| search.edge(edge)).expect("there are moves");
    Ended {
        column: Connect4::numbered(best.action.0).expect("it was offered").to_string(),
        nodes: search.len(),
        bytes: search.bytes(),
        peak_bytes,
        forgotten: search.counts().forgotten,
        evaluations: search.counts().evaluations,
        exhausted,
    }
}

pub(crate) fn run(report: &mut Report) {
    report.note(
        "Accuracy: the share of positions in which the move chosen is among the best, as an exhaustive solver has found them. The positions \
         are of random games with 12 stones, in which not all moves are equally good. Both searches think at once, from the same seed, each on a thread of its own, as long by the processor's \
         time.",
    );
    for trial in TRIALS {
        compare(report, &trial);
    }
}

fn compare(report: &mut Report, trial: &Trial) {
    let Trial { byte_limit, time, positions } = *trial;
    let mut ended: [Vec<(Ended, bool)>; 2] = [Vec::new(), Vec::new()];
    for line in POSITIONS.lines().take(positions) {
        let (moves, best) = line.split_once(' ').expect("moves, and columns");
        let board = after(Connect4::START, moves).expect("legal moves");
        let one = |byte_limit| {
            let ended = think(board, byte_limit, time);
            let is_right = best.contains(&ended.column);
            (ended, is_right)
        };
        let both = thread::scope(|scope| {
            let limited = scope.spawn(|| one(Some(byte_limit)));
            let unlimited = one(None);
            [limited.join().expect("it does not panic"), unlimited]
        });
        for (ended, one) in ended.iter_mut().zip(both) {
            ended.push(one);
        }
    }
    let [limited, unlimited] = ended.each_ref().map(|of| Summary::of(of));
    let lost = unlimited.accuracy - limited.accuracy;
    // From the same seed, so they differ in what one forgets, and how far each comes in the time.
    let only = |right: usize, wrong: usize| {
        let pairs = ended[right].iter().zip(&ended[wrong]);
        pairs.filter(|((_, right), (_, wrong))| *right && !wrong).count()
    };
    let (only_limited, only_unlimited) = (only(0, 1), only(1, 0));
    let seconds = time.as_secs_f64();
    report.row(Row {
        work: format!(
            "{positions} positions, {seconds} s each, with {} MiB beside as much as it takes",
            byte_limit >> 20
        ),
        cascow: limited.show(),
        peer: format!("{} (unlimited)", unlimited.show()),
        target: Some(Target::at_most(lost, 5.0, "≤ 5 points lost")),
        ..Row::default()
    });
    let above = limited.peak_bytes as f64 / byte_limit as f64;
    report.row(Row {
        work: "the most that its graph had by what it may have, by its own count after each thousand evaluations, and as \
               allocated"
            .into(),
        cascow: format!(
            "{above:.3}, {:.3} as allocated; it forgot {} nodes, in {} of {positions} positions; it alone was right in {only_limited}",
            allocated(byte_limit),
            limited.forgotten,
            limited.forgetful
        ),
        peer: format!("it alone was right in {only_unlimited} (unlimited)"),
        ..Row::default()
    });
}

/// Bytes as allocated, of one search at its limit, by that limit. Its own count leaves out what it holds to use again, and how its
/// columns grow; the lists that it makes while it forgets are gone again.
fn allocated(byte_limit: u64) -> f64 {
    let settings = Settings { byte_limit: Some(byte_limit), ..Settings::two_players() };
    let mut game = Playouts::<Connect4>::new();
    let (search, bytes) = memory::live(|| {
        let mut search = Search::new(settings, Connect4::START, &mut game).expect("a sound game");
        while search.counts().forgotten == 0 {
            _ = search.step_within(BATCH, &mut game).expect("a sound game");
        }
        search
    });
    drop(search);
    bytes as f64 / byte_limit as f64
}

/// What became of all positions.
struct Summary {
    /// In percent.
    accuracy: f64,
    right: usize,
    positions: usize,
    evaluations: f64,
    nodes: f64,
    megabytes: f64,
    peak_bytes: u64,
    forgotten: u64,
    /// Positions in which anything was forgotten.
    forgetful: usize,
    proven: usize,
}

impl Summary {
    fn of(all: &[(Ended, bool)]) -> Self {
        let positions = all.len();
        let ended = || all.iter().map(|(ended, _)| ended);
        let mean = |of: fn(&Ended) -> f64| ended().map(of).sum::<f64>() / positions as f64;
        let right = all.iter().filter(|(_, is_right)| *is_right).count();
        Self {
            accuracy: right as f64 * 100.0 / positions as f64,
            right,
            positions,
            evaluations: mean(|it| it.evaluations as f64),
            nodes: mean(|it| it.nodes as f64),
            megabytes: mean(|it| it.bytes as f64) / 1e6,
            peak_bytes: ended().map(|it| it.peak_bytes).max().unwrap_or(0),
            forgotten: ended().map(|it| it.forgotten).sum(),
            forgetful: ended().filter(|it| it.forgotten > 0).count(),
            proven: ended().filter(|it| it.exhausted).count(),
        }
    }

    fn show(&self) -> String {
        format!(
            "{:.0} % right ({} of {}); on average {:.0}k evaluations, in the end {:.0}k nodes of {:.0} MB; {} proven to the end",
            self.accuracy,
            self.right,
            self.positions,
            self.evaluations / 1e3,
            self.nodes / 1e3,
            self.megabytes,
            self.proven,
        )
    }
}
