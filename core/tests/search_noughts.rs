// SPDX-License-Identifier: MIT
//! Noughts and crosses by random playouts: two players, found wins, blocked losses, repeatable searches.
#![cfg(feature = "alloc")]

use std::convert::Infallible;

use cascow_core::search::{
    Action, Choice, Evaluation, Game, Generator, Packed, Preference, Search, Settings, Step, Turn,
    rand_core::Rng,
};

/// The squares of the first player (`x`) and of the second (`o`), one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Board {
    x: u16,
    o: u16,
}

const LINES: [u16; 8] = [0o007, 0o070, 0o700, 0o111, 0o222, 0o444, 0o421, 0o124];

impl Board {
    fn read(squares: &str) -> Self {
        let set = |mark| {
            squares.chars().enumerate().filter(|&(_, c)| c == mark).map(|(i, _)| 1 << i).sum()
        };
        Self { x: set('x'), o: set('o') }
    }

    fn x_moves(self) -> bool {
        self.x.count_ones() == self.o.count_ones()
    }

    fn free(self) -> impl Iterator<Item = u32> {
        (0..9).filter(move |square| (self.x | self.o) >> square & 1 == 0)
    }

    fn play(mut self, square: u32) -> Self {
        if self.x_moves() {
            self.x |= 1 << square;
        } else {
            self.o |= 1 << square;
        }
        self
    }

    /// The result in the view of `x`, if the game is over.
    fn result(self) -> Option<f64> {
        let wins = |side: u16| LINES.iter().any(|&line| line & !side == 0);
        match (wins(self.x), wins(self.o)) {
            (true, _) => Some(1.0),
            (_, true) => Some(0.0),
            _ if self.x | self.o == 0o777 => Some(0.5),
            _ => None,
        }
    }
}

struct Noughts;

impl Packed for Board {
    const WORDS: usize = 1;

    fn pack(&self, words: &mut [u32]) {
        words[0] = u32::from(self.x) << 16 | u32::from(self.o);
    }

    fn unpack(words: &[u32]) -> Self {
        let [x1, x0, o1, o0] = words[0].to_be_bytes();
        Self { x: u16::from_be_bytes([x1, x0]), o: u16::from_be_bytes([o1, o0]) }
    }
}

impl Game for Noughts {
    type State = Board;
    type Error = Infallible;

    fn turn(&self, state: &Board) -> Turn {
        if state.x_moves() { Turn::First } else { Turn::Second }
    }

    fn actions(&mut self, state: &Board, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        out.extend(state.free().map(|square| Choice::new(Action(square))));
        Ok(())
    }

    fn apply(
        &mut self,
        state: &Board,
        Action(square): Action,
    ) -> Result<Option<Board>, Infallible> {
        Ok(Some(state.play(square)))
    }

    fn evaluate(
        &mut self,
        state: &Board,
        generator: &mut Generator,
    ) -> Result<Evaluation, Infallible> {
        if let Some(result) = state.result() {
            return Ok(Evaluation::terminal(result));
        }
        let mut board = *state;
        loop {
            let free: Vec<u32> = board.free().collect();
            let choice = usize::try_from(generator.next_u32()).unwrap() % free.len();
            board = board.play(free[choice]);
            if let Some(result) = board.result() {
                return Ok(Evaluation::estimate(result));
            }
        }
    }
}

fn searched(board: Board, steps: usize, seed: u64) -> Search<Board> {
    let mut search =
        Search::new(Settings { seed, ..Settings::two_players() }, board, &mut Noughts).unwrap();
    for _ in 0..steps {
        if search.step(&mut Noughts).unwrap() == Step::Exhausted {
            break;
        }
    }
    search
}

fn chosen(board: Board, steps: usize, seed: u64) -> u32 {
    let search = searched(board, steps, seed);
    let edge = search.best_edge(search.root().id, Preference::Visits).unwrap();
    search.edge(edge).unwrap().action.0
}

#[test]
fn either_side_takes_the_win() {
    for seed in 0..50 {
        assert_eq!(chosen(Board::read("xx.oo...."), 100, seed), 2, "seed {seed}");
        assert_eq!(chosen(Board::read("oo.xx...x"), 100, seed), 2, "seed {seed}");
    }
}

#[test]
fn either_side_blocks_the_loss() {
    for seed in 0..50 {
        assert_eq!(chosen(Board::read("xx..o...."), 300, seed), 2, "seed {seed}");
        assert_eq!(chosen(Board::read("oo..x...x"), 300, seed), 2, "seed {seed}");
    }
}

#[test]
fn play_against_itself_ends_in_a_draw() {
    for seed in 0..10 {
        let mut board = Board::read(".........");
        while board.result().is_none() {
            board = board.play(chosen(board, 1500, seed));
        }
        assert_eq!(board.result(), Some(0.5), "seed {seed}: {board:?}");
    }
}

#[test]
fn the_game_is_proven_to_be_a_draw_without_seeing_all_of_it() {
    let search = searched(Board::read("........."), usize::MAX, 1);
    assert!(search.root().is_complete);
    assert_eq!(search.root().value, 0.5);
    // There are 5,478 legal positions; what is proven by others need not be seen.
    assert!((3000..5478).contains(&search.counts().evaluations), "{:?}", search.counts());
    assert_eq!(search.root().bounds, (0.5, 0.5));
}

#[test]
fn one_seed_gives_one_graph_and_another_seed_another() {
    let picture = |seed| {
        let search = searched(Board::read("........."), 800, seed);
        let nodes = search
            .nodes()
            .map(|node| format!("{node:?} {:?}", search.edges(node.id).collect::<Vec<_>>()));
        nodes.collect::<Vec<_>>()
    };
    assert_eq!(picture(7), picture(7));
    assert_ne!(picture(7), picture(8));
}
