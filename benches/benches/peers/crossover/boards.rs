// SPDX-License-Identifier: MIT
//! Board games, their positions kept in as many ways as make sense.
//!
//! A playout goes to a position, makes a move, keeps the new position to come back to, and plays on from there at random to the
//! end.

use std::array;
use std::marker::PhantomData;

use cascow_core::games::{Board, Outcome, Side};
use cascow_core::hash::HashKind;
use cascow_core::manager::{Action, Host, INLINE_LEN, Limits, NodeId, StateManager};
use cascow_core::search::Generator;
use cascow_core::search::rand_core::{Rng, SeedableRng};
use imbl::OrdMap;

use super::Arm;
use super::path::{Path, Step};

const WORDS: usize = INLINE_LEN / size_of::<u32>();

/// So many playouts, each from a position drawn from all before it that are not over; the seed of a step is the move's number.
pub(crate) fn steps<B: Board>(count: usize) -> Vec<Step> {
    let mut random = Generator::seed_from_u64(1);
    let mut below =
        |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap_or_default();
    let mut boards = vec![B::START];
    let mut steps = Vec::new();
    while steps.len() < count {
        let parent = below(boards.len());
        let moves: Vec<B::Move> = boards[parent].moves().collect();
        if moves.is_empty() {
            continue;
        }
        let action = moves[below(moves.len())];
        boards.push(boards[parent].play(action).expect("it is legal"));
        steps.push(Step { parent, seed: B::number(action).into() });
    }
    steps
}

fn play<B: Board>(board: &B, seed: u64) -> B {
    let action = u32::try_from(seed).ok().and_then(B::numbered).expect("a move's number");
    board.play(action).expect("it was legal")
}

/// Plays to the end. The position counts too, so that a wrong one is noticed.
fn worth<B: Board>(board: &B, generator: &mut Generator) -> u64 {
    let result = match board.playout(generator) {
        Outcome::Win(Side::First) => 2,
        Outcome::Draw => 1,
        Outcome::Win(Side::Second) => 0,
    };
    result ^ digest(board)
}

fn digest<B: Board>(board: &B) -> u64 {
    words(board).iter().fold(0, |sum, word| (sum ^ u64::from(*word)).rotate_left(13))
}

fn words<B: Board>(board: &B) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    board.pack(&mut words[..B::WORDS]);
    words
}

fn generator() -> Generator {
    Generator::seed_from_u64(2)
}

/// Each node has its position.
pub(crate) struct Cloned<B> {
    boards: Vec<B>,
    generator: Generator,
}

impl<B: Board> Cloned<B> {
    pub(crate) fn new() -> Self {
        Self { boards: vec![B::START], generator: generator() }
    }
}

impl<B: Board> Arm for Cloned<B> {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let board = play(&self.boards[parent], seed);
        self.boards.push(board);
        worth(&board, &mut self.generator)
    }

    fn digest(&mut self, node: usize) -> u64 {
        digest(&self.boards[node])
    }
}

/// Nodes know their moves; all are made again from the start.
pub(crate) struct Replayed<B> {
    start: B,
    path: Path,
    generator: Generator,
}

impl<B: Board> Replayed<B> {
    pub(crate) fn new() -> Self {
        Self { start: B::START, path: Path::new(), generator: generator() }
    }
}

impl<B: Board> Arm for Replayed<B> {
    fn playout(&mut self, step: Step) -> u64 {
        let moves = self.path.way_to(step.parent).chain([step.seed]);
        let board = moves.fold(self.start, |board, seed| play(&board, seed));
        self.path.push(step);
        worth(&board, &mut self.generator)
    }

    fn digest(&mut self, node: usize) -> u64 {
        digest(&self.path.way_to(node).fold(self.start, |board, seed| play(&board, seed)))
    }
}

/// The positions from the start to where the search stands are on a stack, as engines have them that take moves back.
pub(crate) struct Undone<B> {
    stack: Vec<B>,
    path: Path,
    generator: Generator,
}

impl<B: Board> Undone<B> {
    pub(crate) fn new() -> Self {
        Self { stack: vec![B::START], path: Path::new(), generator: generator() }
    }
}

impl<B: Board> Undone<B> {
    fn go(&mut self, node: usize) -> B {
        let (back, on) = self.path.go_to(node);
        self.stack.truncate(self.stack.len() - back);
        let mut board = *self.stack.last().expect("the start is there");
        for seed in on {
            board = play(&board, seed);
            self.stack.push(board);
        }
        board
    }
}

impl<B: Board> Arm for Undone<B> {
    fn playout(&mut self, step: Step) -> u64 {
        let board = play(&self.go(step.parent), step.seed);
        self.stack.push(board);
        self.path.push_and_stand(step);
        worth(&board, &mut self.generator)
    }

    fn digest(&mut self, node: usize) -> u64 {
        digest(&self.go(node))
    }
}

/// Each node has a map of its position's words, of which it shares with its parent's what is the same.
pub(crate) struct Imbl<B> {
    boards: Vec<OrdMap<usize, u32>>,
    generator: Generator,
    game: PhantomData<B>,
}

impl<B: Board> Imbl<B> {
    pub(crate) fn new() -> Self {
        let start = words(&B::START)[..B::WORDS].iter().copied().enumerate().collect();
        Self { boards: vec![start], generator: generator(), game: PhantomData }
    }
}

impl<B: Board> Arm for Imbl<B> {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let mut map = self.boards[parent].clone();
        let before = words_of(&map);
        let board = play(&B::unpack(&before[..B::WORDS]), seed);
        for (word, after) in words(&board).into_iter().enumerate() {
            if after != before[word] {
                map.insert(word, after);
            }
        }
        self.boards.push(map);
        worth(&board, &mut self.generator)
    }

    fn digest(&mut self, node: usize) -> u64 {
        digest(&B::unpack(&words_of(&self.boards[node])[..B::WORDS]))
    }
}

fn words_of(map: &OrdMap<usize, u32>) -> [u32; WORDS] {
    array::from_fn(|word| map.get(&word).copied().unwrap_or(0))
}

/// A state manager: a position stands in its node.
pub(crate) struct Cascow<B> {
    manager: StateManager,
    nodes: Vec<NodeId>,
    generator: Generator,
    game: PhantomData<B>,
}

impl<B: Board> Cascow<B> {
    pub(crate) fn new() -> Self {
        let mut manager = StateManager::new(Limits::default(), Host::new(HashKind::Sha256));
        let root = manager.create_root(&packed(&B::START)[..4 * B::WORDS]);
        let nodes = vec![root.expect("there is room").node];
        Self { manager, nodes, generator: generator(), game: PhantomData }
    }
}

/// Canonical bytes, and zeros after them.
fn packed<B: Board>(board: &B) -> [u8; INLINE_LEN] {
    let mut bytes = [0; INLINE_LEN];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words(board)) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

impl<B: Board> Cascow<B> {
    fn go(&mut self, node: NodeId) -> B {
        let view = self.manager.backtrack_to(node).expect("it is there");
        let mut words = [0; WORDS];
        let bytes = view.bytes().expect("a position stands in its node").as_chunks().0;
        for (word, bytes) in words.iter_mut().zip(bytes) {
            *word = u32::from_le_bytes(*bytes);
        }
        B::unpack(&words[..B::WORDS])
    }
}

impl<B: Board> Arm for Cascow<B> {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let parent = self.nodes[parent];
        let board = play(&self.go(parent), seed);
        let action = Action(u32::try_from(seed).expect("a move's number"));
        let created = self.manager.create_node(parent, action, &packed(&board)[..4 * B::WORDS]);
        self.nodes.push(created.expect("there is room").node);
        worth(&board, &mut self.generator)
    }

    fn digest(&mut self, node: usize) -> u64 {
        digest(&self.go(self.nodes[node]))
    }
}
