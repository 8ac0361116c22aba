// SPDX-License-Identifier: MIT
//! How long it takes to go to any other state of a search: a board, a map of a megabyte, a directory of ten thousand files.
//!
//! An operation is done when the state can be used: a board is read, a key is looked up, the directory can be opened. Single
//! operations are timed by the wall, one by one, to states that were drawn before.

use std::ops::Deref;

use cascow_benches::measure::{Percentiles, singles};
use cascow_benches::report::{Report, Row, Target, Unit};
use cascow_core::games::Board;
use cascow_core::games::connect4::Connect4;
use cascow_core::hash::HashKind;
use cascow_core::manager::{Action, Host, Limits, NodeId, StateManager};
use cascow_core::search::Packed;
use cascow_core::snapshot::Edit;
use cascow_core::store::ObjectStore;
use cascow_native::store::{Store, StoreKind};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::workspaces;

const KIND: HashKind = HashKind::Sha256;

/// Backtracks of each kind.
const BACKTRACKS: u32 = 1_000;

/// Positions of Connect Four among which they go: more than the caches hold that a core has for itself.
const BOARDS: usize = 1_000_000;

/// A state of a megabyte: an eighth of it keys.
const KEYS: usize = 15_625;
const KEY_LEN: usize = 8;
const VALUE_LEN: usize = 56;

/// Keys that a move changes: a thousandth of them.
const CHANGED: usize = 16;

pub(crate) fn run(report: &mut Report) {
    report.note(
        "Single operations by the wall, without what reading the clock costs, until the state can be used: a position is unpacked, a key \
         looked up, a directory mounted. What a workspace costs that is left is not in it: it is unmounted and removed afterwards.",
    );
    boards(report);
    for shape in [Shape::Any, Shape::Recent, Shape::Chain] {
        keyed(report, shape);
    }
    directories(report);
}

fn row(report: &mut Report, work: String, figure: Percentiles, at_most: Option<f64>) {
    let show = |nanos| Unit::Time.show(nanos);
    let Percentiles { p50, p95, p99 } = figure;
    report.row(Row {
        work,
        cascow: format!("p50 {}, p95 {}, p99 {}", show(p50), show(p95), show(p99)),
        target: at_most
            .map(|most| Target::at_most(p95, most, format!("p95 ≤ {}", round_unit(most)))),
        ..Row::default()
    });
}

/// A target as a person would write it.
fn round_unit(nanos: f64) -> String {
    match nanos {
        nanos if nanos >= 1e6 => format!("{:.0} ms", nanos / 1e6),
        nanos => format!("{:.0} µs", nanos / 1e3),
    }
}

fn below(random: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).expect("it is below a usize")
}

/// Where to go, drawn before any time is taken.
fn targets(random: &mut Xoshiro256PlusPlus, nodes: &[NodeId]) -> Vec<NodeId> {
    (0..BACKTRACKS).map(|_| nodes[below(random, nodes.len())]).collect()
}

fn boards(report: &mut Report) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let key = |board: Connect4| {
        let mut words = [0; Connect4::WORDS];
        board.pack(&mut words);
        u64::from(words[1]) << 32 | u64::from(words[0])
    };
    let root = states.create_root(&key(Connect4::START).to_le_bytes()).expect("there is room");
    let mut nodes = vec![root.node];
    let mut boards = vec![Connect4::START];
    while nodes.len() < BOARDS {
        let from = below(&mut random, boards.len());
        let moves: Vec<_> = boards[from].moves().collect();
        if moves.is_empty() {
            continue;
        }
        let column = moves[below(&mut random, moves.len())];
        let board = boards[from].play(column).expect("it is legal");
        let number = Action(Connect4::number(column));
        let created = states.create_node(nodes[from], number, &key(board).to_le_bytes());
        let created = created.expect("there is room");
        if created.is_new {
            nodes.push(created.node);
            boards.push(board);
        }
    }
    let targets = targets(&mut random, &nodes);
    let figure = singles(BACKTRACKS, |number| {
        let view = states.backtrack_to(targets[number as usize]).expect("it is there");
        let bytes = view.bytes().and_then(|bytes| bytes.try_into().ok());
        Connect4::from_key(u64::from_le_bytes(bytes.expect("eight bytes were given")))
    });
    row(
        report,
        format!("{BACKTRACKS} random backtracks among {BOARDS} positions of Connect Four"),
        figure,
        Some(1_000.0),
    );
}

/// Which states a state was made from.
#[derive(Clone, Copy)]
enum Shape {
    Any,
    Recent,
    Chain,
}

impl Shape {
    const fn nodes(self) -> usize {
        match self {
            Self::Any | Self::Recent => 10_000,
            Self::Chain => 1_000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "each made from any one before it",
            Self::Recent => "each made from one of the hundred before it",
            Self::Chain => "each made from the one before it",
        }
    }

    fn parent(self, random: &mut Xoshiro256PlusPlus, nodes: usize) -> usize {
        match self {
            Self::Any => below(random, nodes),
            Self::Recent => nodes - 1 - below(random, nodes.min(100)),
            Self::Chain => nodes - 1,
        }
    }
}

/// The states of a search of so many megabytes.
struct Made {
    nodes: Vec<NodeId>,
    /// How many moves from the first, on average.
    depth: f64,
    /// Memory of the first state, to which the others are changes.
    first_bytes: u64,
}

/// The same for the same shape, whatever the manager does with them.
fn made<S: Deref<Target: ObjectStore>>(manager: &mut StateManager<S>, shape: Shape) -> Made {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let value = |random: &mut Xoshiro256PlusPlus| {
        let mut value = [0; VALUE_LEN];
        random.fill_bytes(&mut value);
        value
    };
    let start: Vec<([u8; KEY_LEN], [u8; VALUE_LEN])> =
        (0..KEYS).map(|key| ((key as u64).to_le_bytes(), value(&mut random))).collect();
    let edits: Vec<Edit<'_>> = start.iter().map(|(key, value)| Edit::write(key, value)).collect();
    let first = manager.create_root(&edits[..]).expect("there is room").node;
    let first_bytes = manager.statistics().bytes.resident;
    let (mut nodes, mut depths) = (vec![first], vec![0u32]);
    while nodes.len() < shape.nodes() {
        let parent = shape.parent(&mut random, nodes.len());
        let changes: [_; CHANGED] =
            std::array::from_fn(|_| (start[below(&mut random, KEYS)].0, value(&mut random)));
        let edits = changes.each_ref().map(|(key, value)| Edit::write(key, value));
        let created = manager.create_node(nodes[parent], Action(0), &edits);
        nodes.push(created.expect("there is room").node);
        depths.push(depths[parent] + 1);
    }
    let depth = depths.iter().copied().map(f64::from).sum::<f64>() / depths.len() as f64;
    Made { nodes, depth, first_bytes }
}

fn work(shape: Shape, made: &Made) -> String {
    format!(
        "{BACKTRACKS} random backtracks among {} states of 1 MB ({KEYS} keys, {CHANGED} changed a move), {}, \
         {:.0} moves from the first on average",
        made.nodes.len(),
        shape.name(),
        made.depth,
    )
}

fn backtracks<S>(manager: &mut StateManager<S>, made: &Made) -> Percentiles
where
    S: Deref<Target: ObjectStore>,
{
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let targets = targets(&mut random, &made.nodes);
    let keys: Vec<[u8; KEY_LEN]> =
        (0..BACKTRACKS).map(|_| (below(&mut random, KEYS) as u64).to_le_bytes()).collect();
    singles(BACKTRACKS, |number| {
        let number = number as usize;
        let view = manager.backtrack_to(targets[number]).expect("it is there");
        view.get(&keys[number]).expect("all states have the same keys").bytes[0]
    })
}

/// All in memory, and with a tenth of the changes there, the others on disk.
fn keyed(report: &mut Report, shape: Shape) {
    let mut manager = StateManager::new(Limits::default(), Host::new(KIND));
    let made = made(&mut manager, shape);
    let figure = backtracks(&mut manager, &made);
    row(report, work(shape, &made), figure, Some(100_000.0));
    let changes = manager.statistics().bytes.resident - made.first_bytes;
    drop(manager);

    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = Store::open(StoreKind::Segments, KIND, dir.path()).expect("a store");
    let resident_bytes = made.first_bytes + changes / 10;
    let limits = Limits { resident_bytes, ..Limits::default() };
    let mut manager = StateManager::new(limits, Host::new(KIND).store(&store));
    let made = self::made(&mut manager, shape);
    let before = manager.statistics().loads;
    let figure = backtracks(&mut manager, &made);
    let statistics = manager.statistics();
    // States above others cannot go.
    let more = if statistics.is_limit_exceeded { ", and those above the last one" } else { "" };
    let work = format!(
        "the same with a tenth of the changes in memory{more}, all others on disk: {} were loaded",
        statistics.loads - before
    );
    row(report, work, figure, None);
}

/// As the search of workspaces goes to a state: by a fork of its snapshot, in a tree and in a chain of a thousand.
fn directories(report: &mut Report) {
    match workspaces::backtracks() {
        Ok(figures) => {
            for (work, figure) in figures {
                row(report, work, figure, Some(1e6));
            }
        }
        Err(why) => report.note(format!("**Nothing is said of directories: {why}.**")),
    }
}
