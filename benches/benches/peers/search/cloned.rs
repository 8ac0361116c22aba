// SPDX-License-Identifier: MIT
//! The same search as one would write it without a store: nodes that hold their position, a hash map from positions to nodes.
//!
//! PUCT over visits of edges, values renewed from the children along the way, as the core does. It proves nothing, forgets
//! nothing, and cannot be saved.

use cascow_benches::measure::timed;
use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Side};
use cascow_core::search::rand_core::SeedableRng;
use cascow_core::search::{Generator, Settings};
use hashbrown::HashMap;

use super::Run;

struct Node {
    board: Connect4,
    over: bool,
    /// For the first player.
    evaluation: f64,
    value: f64,
    edges: Option<Vec<Edge>>,
}

struct Edge {
    column: u32,
    child: Option<usize>,
    visits: u32,
}

pub(crate) struct Cloned {
    nodes: Vec<Node>,
    numbers: HashMap<u64, usize>,
    generator: Generator,
    exploration: f64,
    path: Vec<(usize, usize)>,
}

impl Cloned {
    pub(crate) fn new(board: Connect4, seed: u64) -> Self {
        let mut search = Self {
            nodes: Vec::new(),
            numbers: HashMap::new(),
            generator: Generator::seed_from_u64(seed),
            exploration: Settings::two_players().exploration,
            path: Vec::new(),
        };
        search.enter(board);
        search
    }

    /// Positions evaluated.
    pub(crate) fn evaluations(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// The columns' numbers at the root, and how often each was chosen.
    #[allow(dead_code, reason = "for the test that compares them with ours")]
    pub(crate) fn visits(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.nodes[0].edges.iter().flatten().map(|edge| (edge.column, edge.visits))
    }

    fn enter(&mut self, board: Connect4) -> usize {
        let over = board.outcome();
        let value =
            over.map_or_else(|| board.playout(&mut self.generator).value(), |over| over.value());
        self.nodes.push(Node {
            board,
            over: over.is_some(),
            evaluation: value,
            value,
            edges: None,
        });
        self.numbers.insert(board.key(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    pub(crate) fn step(&mut self) {
        self.path.clear();
        let mut at = 0;
        while !self.nodes[at].over {
            let node = &mut self.nodes[at];
            let board = node.board;
            let edges = node.edges.get_or_insert_with(|| {
                let edge =
                    |column| Edge { column: Connect4::number(column), child: None, visits: 0 };
                board.moves().map(edge).collect()
            });
            let visits: u32 = edges.iter().map(|edge| edge.visits).sum();
            let breadth = self.exploration * f64::from(1 + visits).sqrt() / edges.len() as f64;
            let index = self.choose(at, breadth);
            self.path.push((at, index));
            let edge = &mut self.nodes[at].edges.as_mut().expect("it was entered")[index];
            edge.visits += 1;
            if let Some(child) = edge.child {
                at = child;
                continue;
            }
            let column = Connect4::numbered(edge.column).expect("it was offered");
            let next = board.play(column).expect("it was offered");
            let known = self.numbers.get(&next.key()).copied();
            let child = known.unwrap_or_else(|| self.enter(next));
            self.nodes[at].edges.as_mut().expect("it was entered")[index].child = Some(child);
            break;
        }
        for index in (0..self.path.len()).rev() {
            self.renew(self.path[index].0);
        }
    }

    fn choose(&self, at: usize, breadth: f64) -> usize {
        let node = &self.nodes[at];
        let side = |value: f64| if node.board.turn() == Side::First { value } else { 1.0 - value };
        let (mut chosen, mut best) = (0, f64::NEG_INFINITY);
        for (index, edge) in node.edges.iter().flatten().enumerate() {
            let value = edge.child.map_or(node.value, |child| self.nodes[child].value);
            let score = side(value) + breadth / f64::from(1 + edge.visits);
            if score > best {
                (chosen, best) = (index, score);
            }
        }
        chosen
    }

    fn renew(&mut self, at: usize) {
        let node = &self.nodes[at];
        let (mut sum, mut total) = (node.evaluation, 1.0);
        for edge in node.edges.iter().flatten() {
            if let Some(child) = edge.child {
                sum += f64::from(edge.visits) * self.nodes[child].value;
                total += f64::from(edge.visits);
            }
        }
        self.nodes[at].value = sum / total;
    }
}

pub(crate) fn run(evaluations: u64, seed: u64) -> Run {
    let mut kept = None;
    let elapsed = timed(|| {
        let mut search = Cloned::new(Connect4::START, seed);
        while search.evaluations() < evaluations {
            search.step();
        }
        kept = Some(search);
    });
    let search = kept.expect("it was made");
    Run { elapsed, evaluations: search.evaluations(), kept: Box::new(search) }
}
