// SPDX-License-Identifier: MIT
//! The rules of Connect Four and Othello again, in arrays and plain loops: slow, and easy to check by eye.

use cascow_core::games::{Outcome, Side};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// A game by its plain rules. Moves are written as people write them.
pub(crate) trait Plain: Clone + Ord {
    fn start() -> Self;
    fn turn(&self) -> Side;
    fn moves(&self) -> Vec<String>;
    fn play(&mut self, action: &str);
    fn outcome(&self) -> Option<Outcome>;
    fn picture(&self) -> String;

    /// The result of playing on at random.
    fn playout(&self, generator: &mut Xoshiro256PlusPlus) -> Outcome {
        let mut game = self.clone();
        loop {
            if let Some(outcome) = game.outcome() {
                return outcome;
            }
            let moves = game.moves();
            game.play(&moves[below(generator, moves.len())]);
        }
    }

    /// How probably playing on at random is won by the first player, by the second, drawn: by trying everything.
    fn chances(&self) -> [f64; 3] {
        match self.outcome() {
            Some(Outcome::Win(Side::First)) => [1.0, 0.0, 0.0],
            Some(Outcome::Win(Side::Second)) => [0.0, 1.0, 0.0],
            Some(Outcome::Draw) => [0.0, 0.0, 1.0],
            None => {
                let moves = self.moves();
                let share = 1.0 / f64::from(u32::try_from(moves.len()).unwrap());
                let mut chances = [0.0; 3];
                for action in &moves {
                    let mut next = self.clone();
                    next.play(action);
                    for (sum, chance) in chances.iter_mut().zip(next.chances()) {
                        *sum += share * chance;
                    }
                }
                chances
            }
        }
    }
}

/// A number below `count`, near enough to uniform for a test.
pub(crate) fn below(generator: &mut Xoshiro256PlusPlus, count: usize) -> usize {
    usize::try_from(generator.next_u64() >> 32).unwrap() % count
}

type Cells<const COLUMNS: usize, const ROWS: usize> = [[Option<Side>; COLUMNS]; ROWS];

/// The cell `steps` cells from another in a direction, if the board has it.
fn at<const C: usize, const R: usize>(
    cells: &Cells<C, R>,
    (column, row): (usize, usize),
    (right, down): (isize, isize),
    steps: isize,
) -> Option<(usize, usize, Option<Side>)> {
    let column = column.checked_add_signed(right * steps)?;
    let row = row.checked_add_signed(down * steps)?;
    Some((column, row, *cells.get(row)?.get(column)?))
}

fn other_to_move(count: usize) -> Side {
    if count.is_multiple_of(2) { Side::First } else { Side::Second }
}

fn letter(cell: Option<Side>) -> char {
    match cell {
        None => '.',
        Some(Side::First) => 'X',
        Some(Side::Second) => 'O',
    }
}

/// Row 0 is the highest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlainConnect4 {
    cells: Vec<Vec<char>>,
}

impl PlainConnect4 {
    fn cells(&self) -> Cells<7, 6> {
        std::array::from_fn(|row| {
            std::array::from_fn(|column| match self.cells[row][column] {
                'X' => Some(Side::First),
                'O' => Some(Side::Second),
                _ => None,
            })
        })
    }

    fn stones(&self) -> usize {
        self.cells.iter().flatten().filter(|&&cell| cell != '.').count()
    }

    fn winner(&self) -> Option<Side> {
        let cells = self.cells();
        for row in 0..6 {
            for column in 0..7 {
                for direction in [(1, 0), (0, 1), (1, 1), (-1, 1)] {
                    let line: Vec<_> = (0..4)
                        .filter_map(|steps| at(&cells, (column, row), direction, steps))
                        .map(|(_, _, side)| side)
                        .collect();
                    if line.len() == 4 && line[0].is_some() && line.iter().all(|s| *s == line[0]) {
                        return line[0];
                    }
                }
            }
        }
        None
    }
}

impl Plain for PlainConnect4 {
    fn start() -> Self {
        Self { cells: vec![vec!['.'; 7]; 6] }
    }

    fn turn(&self) -> Side {
        other_to_move(self.stones())
    }

    fn moves(&self) -> Vec<String> {
        if self.winner().is_some() {
            return Vec::new();
        }
        (0..7).filter(|&c| self.cells[0][c] == '.').map(|c| (c + 1).to_string()).collect()
    }

    fn play(&mut self, action: &str) {
        let column = action.parse::<usize>().unwrap() - 1;
        let mark = letter(Some(self.turn()));
        let row = (0..6).rfind(|&row| self.cells[row][column] == '.').unwrap();
        self.cells[row][column] = mark;
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.winner() {
            Some(side) => Some(Outcome::Win(side)),
            None => (self.stones() == 42).then_some(Outcome::Draw),
        }
    }

    fn picture(&self) -> String {
        let mut picture = String::new();
        for row in &self.cells {
            let row: Vec<String> = row.iter().map(char::to_string).collect();
            picture += &format!("{}\n", row.join(" "));
        }
        picture + "1 2 3 4 5 6 7"
    }
}

/// Rows from row 1 down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlainOthello {
    cells: Vec<Vec<char>>,
    white_moves: bool,
}

impl PlainOthello {
    fn cells(&self) -> Cells<8, 8> {
        std::array::from_fn(|row| {
            std::array::from_fn(|column| match self.cells[row][column] {
                'X' => Some(Side::First),
                'O' => Some(Side::Second),
                _ => None,
            })
        })
    }

    /// What a disc of `side` would turn, walking each direction disc by disc.
    fn turned(&self, side: Side, place: (usize, usize)) -> Vec<(usize, usize)> {
        let cells = self.cells();
        if cells[place.1][place.0].is_some() {
            return Vec::new();
        }
        let mut turned = Vec::new();
        for direction in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)] {
            let mut line = Vec::new();
            for steps in 1.. {
                match at(&cells, place, direction, steps) {
                    Some((column, row, Some(found))) if found == side.other() => {
                        line.push((column, row));
                    }
                    Some((_, _, Some(_))) => {
                        turned.append(&mut line);
                        break;
                    }
                    _ => break,
                }
            }
        }
        turned
    }

    fn squares(&self, side: Side) -> Vec<(usize, usize)> {
        let all = (0..8).flat_map(|row| (0..8).map(move |column| (column, row)));
        all.filter(|&place| !self.turned(side, place).is_empty()).collect()
    }
}

impl Plain for PlainOthello {
    fn start() -> Self {
        let mut cells = vec![vec!['.'; 8]; 8];
        (cells[3][3], cells[4][4]) = ('O', 'O');
        (cells[3][4], cells[4][3]) = ('X', 'X');
        Self { cells, white_moves: false }
    }

    fn turn(&self) -> Side {
        if self.white_moves { Side::Second } else { Side::First }
    }

    fn moves(&self) -> Vec<String> {
        let squares = self.squares(self.turn());
        if squares.is_empty() && !self.squares(self.turn().other()).is_empty() {
            return vec!["pass".to_owned()];
        }
        let name =
            |(column, row): (usize, usize)| format!("{}{}", &"abcdefgh"[column..=column], row + 1);
        squares.into_iter().map(name).collect()
    }

    fn play(&mut self, action: &str) {
        if action != "pass" {
            let column = "abcdefgh".find(&action[..1]).unwrap();
            let row = action[1..].parse::<usize>().unwrap() - 1;
            let mark = letter(Some(self.turn()));
            for (column, row) in self.turned(self.turn(), (column, row)) {
                self.cells[row][column] = mark;
            }
            self.cells[row][column] = mark;
        }
        self.white_moves = !self.white_moves;
    }

    fn outcome(&self) -> Option<Outcome> {
        if !self.moves().is_empty() {
            return None;
        }
        let count = |mark| self.cells.iter().flatten().filter(|&&cell| cell == mark).count();
        Some(match count('X').cmp(&count('O')) {
            std::cmp::Ordering::Greater => Outcome::Win(Side::First),
            std::cmp::Ordering::Less => Outcome::Win(Side::Second),
            std::cmp::Ordering::Equal => Outcome::Draw,
        })
    }

    fn picture(&self) -> String {
        let mut picture = "  a b c d e f g h".to_owned();
        for (row, cells) in self.cells.iter().enumerate() {
            picture += &format!("\n{}", row + 1);
            cells.iter().for_each(|cell| picture += &format!(" {cell}"));
        }
        picture
    }
}
