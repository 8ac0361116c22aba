// SPDX-License-Identifier: MIT
//! From which size of states on it pays to keep changes, and when copying wins.
//!
//! A playout goes to a state drawn from all before it, makes a move, keeps the new state to come back to, and values it; see
//! [`boards`] and [`keyed`]. All arms make the same playouts in the same order, and must find the same. They are timed by the
//! processor time of this thread, the kernel's for it included, in turn; what they had at the start of a run is not timed and not
//! counted.

pub(crate) mod boards;
pub(crate) mod keyed;
pub(crate) mod path;

use cascow_benches::measure::{Spread, timed};
use cascow_benches::memory;
use cascow_benches::plot::{self, Panel, Plot, Series, SeriesLabelPosition};
use cascow_benches::report::{Report, Row, Unit, spread};
use cascow_core::games::Board;
use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;

use keyed::{Rules, VALUE_LEN};
use path::{Path, Step};

/// Playouts of all arms, by the size of a state.
pub(crate) const PLOT: Plot = Plot {
    name: "crossover",
    axes: [("size of a state", plot::size), ("playouts a second", plot::short)],
    grid: (2, 2),
    legend: SeriesLabelPosition::LowerLeft,
};

/// Runs of each arm: odd, so that a median is one of them.
const ROUNDS: usize = 3;

/// Playouts of a board game.
const BOARDS: usize = 100_000;

/// Keys of a state: from 1 KiB to 16 MiB of values.
const KEYS: [u64; 5] = [16, 256, 4_096, 16_384, 262_144];

/// Of how many keys a move changes one.
const SHARES: [(&str, u64); 4] = [("0.1 %", 1_000), ("1 %", 100), ("10 %", 10), ("50 %", 2)];

/// Changes of all moves of a run, which keep it to some seconds, if that leaves at least [`LEAST`] playouts.
const CHANGES: u64 = 1 << 17;
const LEAST: u64 = 8;
const MOST: u64 = 4_096;

/// States of a run that are compared as a whole.
const CHECKED: usize = 200;

/// Bytes that copies of all states may have.
const COPIES: u64 = 1 << 30;

/// A way to keep the states of a search. Node 0 is there from the beginning; each playout makes the next.
pub(crate) trait Arm {
    /// Says what it found.
    fn playout(&mut self, step: Step) -> u64;

    /// A number for the whole state of a node, to which it goes: the same of all arms.
    fn digest(&mut self, node: usize) -> u64;

    /// Bytes of objects that it has put on disk.
    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// The names of the arms, cascow's last.
pub(crate) const ARMS: [&str; 6] = ["clone", "replay", "undo", "imbl", "cascow", "cascow on disk"];
const REPLAY: usize = 1;
const UNDO: usize = 2;
const CASCOW: usize = 4;

pub(crate) type Make<'a> = Box<dyn Fn() -> Box<dyn Arm> + 'a>;

pub(crate) fn keyed_arms(rules: Rules, playouts: usize) -> Vec<Make<'static>> {
    vec![
        Box::new(move || Box::new(keyed::Cloned::new(rules))),
        Box::new(move || Box::new(keyed::Replayed::new(rules))),
        Box::new(move || Box::new(keyed::Undone::new(rules))),
        Box::new(move || Box::new(keyed::Imbl::new(rules))),
        Box::new(move || Box::new(keyed::Cascow::in_memory(rules))),
        Box::new(move || Box::new(keyed::Cascow::on_disk(rules, playouts))),
    ]
}

/// No position goes to disk alone: it is smaller than the name that it would have there.
pub(crate) fn board_arms<B: Board + 'static>() -> Vec<Make<'static>> {
    vec![
        Box::new(|| Box::new(boards::Cloned::<B>::new())),
        Box::new(|| Box::new(boards::Replayed::<B>::new())),
        Box::new(|| Box::new(boards::Undone::<B>::new())),
        Box::new(|| Box::new(boards::Imbl::<B>::new())),
        Box::new(|| Box::new(boards::Cascow::<B>::new())),
    ]
}

/// Playouts of a state of keys, from states drawn from all before them.
pub(crate) fn keyed_steps(count: usize) -> Vec<Step> {
    let step = |number: usize| {
        let seed = keyed::mixed(number as u64);
        let parent = usize::try_from(keyed::mixed(seed) % (number as u64 + 1));
        Step { parent: parent.expect("it is below a usize"), seed }
    };
    (0..count).map(step).collect()
}

/// All playouts. The result depends on each and on their order.
pub(crate) fn play(arm: &mut dyn Arm, steps: &[Step]) -> u64 {
    steps.iter().fold(0, |sum, step| keyed::mixed(sum ^ arm.playout(*step)))
}

/// Moves on the way to the states that playouts start from, for each playout: of those who begin at the root, and of those who
/// go there from the state before. They make them again; the others do not.
pub(crate) fn made_again(steps: &[Step]) -> [f64; 2] {
    let (mut from_root, mut from_before) = (Path::new(), Path::new());
    let mut made = [0; 2];
    for step in steps {
        made[0] += from_root.way_to(step.parent).count();
        made[1] += from_before.go_to(step.parent).1.count();
        from_root.push(*step);
        from_before.push_and_stand(*step);
    }
    made.map(|moves| moves as f64 / steps.len() as f64)
}

/// What an arm did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Playouts a second, of each round.
    pub(crate) rates: Vec<f64>,
    /// Of memory, for each node.
    pub(crate) bytes: f64,
    /// Of objects on disk, for each node.
    disk_bytes: f64,
}

impl Figures {
    fn rate(&self) -> f64 {
        Spread::of(self.rates.clone()).median
    }

    fn show(&self) -> String {
        let disk = match self.disk_bytes {
            0.0 => String::new(),
            bytes => format!(" and {} on disk", show_bytes(bytes)),
        };
        format!("{}, {}{disk}", show_rate(self.rate()), show_bytes(self.bytes))
    }
}

fn show_rate(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2}M/s", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0}k/s", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1}k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

fn show_bytes(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        bytes if bytes >= 1e4 => format!("{:.0} kB", bytes / 1e3),
        bytes if bytes >= 1e3 => format!("{:.1} kB", bytes / 1e3),
        bytes => format!("{bytes:.0} B"),
    }
}

/// Lets all arms make the playouts.
///
/// # Panics
/// If they do not all find the same, and have the same states in the end: in all nodes, or in [`CHECKED`] of them.
pub(crate) fn measure(arms: &[Make<'_>], steps: &[Step]) -> Vec<Figures> {
    let count = steps.len() as f64;
    let mut found = Vec::new();
    // The first run is for memory, and warms up.
    let mut figures: Vec<Figures> = Vec::new();
    for make in arms {
        let mut arm = make();
        let (sum, bytes) = memory::live(|| play(&mut *arm, steps));
        let nodes = (1..=steps.len()).rev().step_by(steps.len().div_ceil(CHECKED));
        let states = nodes.fold(0, |sum, node| keyed::mixed(sum ^ arm.digest(node)));
        found.push((sum, states));
        let disk_bytes = arm.disk_bytes() as f64 / count;
        figures.push(Figures { rates: Vec::new(), bytes: bytes as f64 / count, disk_bytes });
    }
    for round in 0..ROUNDS {
        for turn in 0..arms.len() {
            // In turn who comes first.
            let which = (round + turn) % arms.len();
            let mut arm = arms[which]();
            let mut sum = 0;
            let time = timed(|| sum = play(&mut *arm, steps));
            found.push((sum, found[0].1));
            figures[which].rates.push(count / time.as_secs_f64());
        }
    }
    assert!(found.iter().all(|it| *it == found[0]), "all arms find the same: {found:x?}");
    figures
}

/// How much longer a move would have to take for cascow to be as fast as who makes so many again.
fn dearer_by(peer: &Figures, cascow: &Figures, again: f64) -> String {
    let nanos = (1e9 / cascow.rate() - 1e9 / peer.rate()) / again;
    match nanos > 0.0 && again > 0.0 {
        true => format!(" (behind where a move takes {} more)", Unit::Time.show(nanos)),
        false => String::new(),
    }
}

fn row(report: &mut Report, work: &str, figures: &[Figures], steps: &[Step]) {
    let [replayed, redone] = made_again(steps);
    let work = format!(
        "{work}, {} playouts from states {replayed:.1} moves from the first on average",
        steps.len()
    );
    let peers = &figures[..CASCOW];
    let fastest = (0..CASCOW).max_by(|a, b| peers[*a].rate().total_cmp(&peers[*b].rate()));
    let fastest = fastest.expect("there are peers");
    let peer = |(number, peer): (usize, &Figures)| {
        let bold = if number == fastest { "**" } else { "" };
        let dearer = match number {
            REPLAY => dearer_by(peer, &figures[CASCOW], replayed),
            UNDO => dearer_by(peer, &figures[CASCOW], redone),
            _ => String::new(),
        };
        format!("{bold}{}: {}{bold}{dearer}", ARMS[number], peer.show())
    };
    let peer: Vec<String> = peers.iter().enumerate().map(peer).collect();
    let ratios = figures[CASCOW].rates.iter().zip(&peers[fastest].rates);
    let ratio = Spread::of(ratios.map(|(ours, peer)| ours / peer).collect());
    let cascow = match figures.get(CASCOW + 1) {
        Some(on_disk) => format!("{}; on disk: {}", figures[CASCOW].show(), on_disk.show()),
        None => figures[CASCOW].show(),
    };
    report.row(Row {
        work,
        cascow,
        peer: peer.join("; "),
        ratio: format!("{:.2}", ratio.median),
        spread: spread(&ratio, 2),
        target: None,
    });
}

pub(crate) fn run(report: &mut Report) {
    report.note(
        "Playouts a second and bytes a node. A playout goes to a state drawn from all before it, makes a move, keeps the new state to come \
         back to, and values it: a board by playing on at random to the end, a state of keys by reading 16 of them. The arms: each node \
         with its own copy of the state (of an array of values without keys); moves made again from the first state; one state, in which \
         moves are taken back and made (of a board, the positions on the way on a stack); `imbl` 7's `OrdMap` (of a board's words); cascow's \
         state manager; and, of keys, the same with memory for a tenth of the new values, all else on disk, unsynced. All find the same. \
         The fastest of those that are not cascow is bold; the ratio is of cascow in memory to it: below 1, it wins. A move costs some \
         nanoseconds for each key here; who replays or undoes makes moves again, and where they cost so much more as is said, cascow is as fast. Large states get fewer playouts, so their trees are less deep, \
         which favours those two.",
    );
    report.note("![Playouts a second by the size of a state](plots/crossover.svg)");
    board::<Connect4>(report, "Connect Four");
    board::<Othello>(report, "Othello");
    let mut panels = Vec::new();
    for (share, divisor) in SHARES {
        let mut panel = Panel { title: format!("{share} changed a move"), series: Vec::new() };
        panel.series.extend(ARMS.map(|name| Series { name, points: Vec::new() }));
        for keys in KEYS {
            let rules = Rules { keys, changed: (keys / divisor).max(1) };
            // A smaller share of few keys is one key too: it stands in the row of the greatest share that is.
            let next = SHARES.iter().map(|(_, next)| *next).filter(|next| *next < divisor).max();
            if next.is_some_and(|next| (keys / next).max(1) == rules.changed) {
                continue;
            }
            let figures = keyed_row(report, rules);
            for (series, figures) in panel.series.iter_mut().zip(&figures) {
                series.points.push(((keys * VALUE_LEN as u64) as f64, figures.rate()));
            }
        }
        panels.push(panel);
    }
    let plots = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    plot::draw(&plots, &PLOT, &panels).expect("the plot can be written");
}

fn board<B: Board + 'static>(report: &mut Report, name: &str) {
    let steps = boards::steps::<B>(BOARDS);
    let figures = measure(&board_arms::<B>(), &steps);
    row(report, name, &figures, &steps);
}

fn keyed_row(report: &mut Report, rules: Rules) -> Vec<Figures> {
    let bytes = rules.keys * VALUE_LEN as u64;
    let playouts = (CHANGES / rules.changed).min(COPIES / bytes).clamp(LEAST, MOST);
    let playouts = usize::try_from(playouts).expect("a few thousands");
    let steps = keyed_steps(playouts);
    let figures = measure(&keyed_arms(rules, playouts), &steps);
    let share = rules.changed as f64 * 100.0 / rules.keys as f64;
    let size = match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    };
    let work = format!(
        "a state of {size} ({} keys), of which a move changes {} ({share:.1} %)",
        rules.keys, rules.changed
    );
    row(report, &work, &figures, &steps);
    figures
}
