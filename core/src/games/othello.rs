// SPDX-License-Identifier: MIT
//! Othello: eight by eight squares; a disc must turn some of the opponent's; who cannot move passes; most discs win.
//!
//! Black moves first and is the first player. A pass is a move of its own, legal when there is no other and the opponent has one;
//! when neither can move the game is over. Squares are bits from `a1` (bit 0) to `h1`, then `a2`, with row 1 at the top.

use core::fmt;

use super::board::{Board, IllegalMove, Outcome, Side};
use crate::search::rand_core::Rng;
use crate::search::{Generator, Packed};

/// The four squares that have discs from the start, and never lose them.
const CENTRE: u64 = 0x0000_0018_1800_0000;
/// `d5` and `e4`, black's discs at the start.
const BLACK_START: u64 = 0x0000_0008_1000_0000;
/// One square of the centre, whose bit is free in a packed position.
const TURN_BIT: u64 = 1 << 27;
/// All squares but those of columns `a` and `h`, where lines sideways end.
const INNER_COLUMNS: u64 = 0x7e7e_7e7e_7e7e_7e7e;
const SQUARES: u32 = 64;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// Bit 0 of byte 0, bit 1 of byte 1, and so on.
const EACH_BIT: u64 = 0x8040_2010_0804_0201;

/// A disc on a square, or a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// A disc on a square.
    Disc(Square),
    /// No disc.
    Pass,
}

/// A square of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Square(u8);

impl Square {
    const fn bit(self) -> u64 {
        1 << self.0
    }

    fn read(text: &str) -> Option<(Self, &str)> {
        let mut chars = text.chars();
        let column = chars.next()?.to_digit(18).filter(|column| (10..18).contains(column))? - 10;
        let row = chars.next()?.to_digit(9)?.checked_sub(1)?;
        let square = u8::try_from(8 * row + column).ok()?;
        Some((Self(square), chars.as_str()))
    }
}

impl fmt::Display for Square {
    /// As in `f5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(b'a' + self.0 % 8), self.0 / 8 + 1)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disc(square) => square.fmt(f),
            Self::Pass => f.write_str("pass"),
        }
    }
}

/// A position of Othello, in 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Othello {
    /// The discs of the side to move.
    own: u64,
    /// The opponent's.
    other: u64,
    turn: Side,
}

impl Othello {
    /// The discs of black and of white.
    #[must_use]
    pub const fn discs(self) -> (u32, u32) {
        let (black, white) = self.black_and_white();
        (black.count_ones(), white.count_ones())
    }

    const fn black_and_white(self) -> (u64, u64) {
        match self.turn {
            Side::First => (self.own, self.other),
            Side::Second => (self.other, self.own),
        }
    }

    /// The opponent to move, nothing else changed.
    const fn passed(self) -> Self {
        Self { own: self.other, other: self.own, turn: self.turn.other() }
    }

    const fn after_disc(self, disc: u64, turned: u64) -> Self {
        Self { own: self.other ^ turned, other: self.own | disc | turned, turn: self.turn.other() }
    }

    fn by_discs(self) -> Outcome {
        let (black, white) = self.discs();
        match black.cmp(&white) {
            core::cmp::Ordering::Greater => Outcome::Win(Side::First),
            core::cmp::Ordering::Less => Outcome::Win(Side::Second),
            core::cmp::Ordering::Equal => Outcome::Draw,
        }
    }
}

/// The directions on a board of bits: how far a neighbour is, and the squares that a line may pass through.
/// Each is walked both ways: to higher bits and to lower ones.
const AXES: [(u32, u64); 4] =
    [(1, INNER_COLUMNS), (8, u64::MAX), (7, INNER_COLUMNS), (9, INNER_COLUMNS)];

/// The squares of `through` in unbroken lines from a neighbour of `from` to higher bits, at most six long.
///
/// The lines double in length at each step (Kogge and Stone's prefixes), so none is walked.
const fn line_up(from: u64, through: u64, shift: u32) -> u64 {
    let mut line = through & from << shift;
    line |= through & line << shift;
    let pairs = through & through << shift;
    line |= pairs & line << (2 * shift);
    line | pairs & line << (2 * shift)
}

/// As [`line_up`], to lower bits.
const fn line_down(from: u64, through: u64, shift: u32) -> u64 {
    let mut line = through & from >> shift;
    line |= through & line >> shift;
    let pairs = through & through >> shift;
    line |= pairs & line >> (2 * shift);
    line | pairs & line >> (2 * shift)
}

/// The squares where a disc of `own` turns some of `other`: the empty ends of lines of `other` that begin at `own`.
fn legal_squares(own: u64, other: u64) -> u64 {
    let mut ends = 0;
    for (shift, through) in AXES {
        ends |= line_up(own, other & through, shift) << shift;
        ends |= line_down(own, other & through, shift) >> shift;
    }
    ends & !(own | other)
}

/// The discs of `other` that `disc` turns: the lines of `other` from it that end at `own`.
fn turned(own: u64, other: u64, disc: u64) -> u64 {
    let mut turned = 0;
    for (shift, through) in AXES {
        let up = line_up(disc, other & through, shift);
        let down = line_down(disc, other & through, shift);
        turned |= if own & up << shift == 0 { 0 } else { up };
        turned |= if own & down >> shift == 0 { 0 } else { down };
    }
    turned
}

/// Two bitboards: the discs, and which of them are black. Whose turn it is stands in the bit of a square that always has a
/// disc, and so need not say so.
impl Packed for Othello {
    const WORDS: usize = <[u64; 2]>::WORDS;

    fn pack(&self, words: &mut [u32]) {
        let (black, white) = self.black_and_white();
        let turn = if self.turn == Side::First { 0 } else { TURN_BIT };
        [(black | white) & !TURN_BIT | turn, black].pack(words);
    }

    fn unpack(words: &[u32]) -> Self {
        let [discs_and_turn, black] = <[u64; 2]>::unpack(words);
        let discs = discs_and_turn | CENTRE;
        let black = black & discs;
        let board = Self { own: black, other: discs ^ black, turn: Side::First };
        if discs_and_turn & TURN_BIT == 0 { board } else { board.passed() }
    }
}

impl Board for Othello {
    type Move = Move;

    const NAME: &'static str = "othello";
    const MOVE_FORM: &'static str = "a square from a1 to h8, or pass";
    const START: Self = Self { own: BLACK_START, other: CENTRE ^ BLACK_START, turn: Side::First };

    fn turn(&self) -> Side {
        self.turn
    }

    fn outcome(&self) -> Option<Outcome> {
        let over =
            legal_squares(self.own, self.other) == 0 && legal_squares(self.other, self.own) == 0;
        over.then(|| self.by_discs())
    }

    /// From `a1` to `h8`: no order of squares is good in all positions.
    fn moves(&self) -> impl Iterator<Item = Move> {
        let mut squares = legal_squares(self.own, self.other);
        let pass = (squares == 0 && legal_squares(self.other, self.own) != 0).then_some(Move::Pass);
        let discs = core::iter::from_fn(move || {
            let square =
                u8::try_from(squares.trailing_zeros()).ok().filter(|&square| square < 64)?;
            squares &= squares - 1;
            Some(Move::Disc(Square(square)))
        });
        discs.chain(pass)
    }

    fn count_moves(&self) -> u32 {
        match legal_squares(self.own, self.other).count_ones() {
            0 => u32::from(legal_squares(self.other, self.own) != 0),
            squares => squares,
        }
    }

    fn play(&self, action: Move) -> Result<Self, IllegalMove> {
        match action {
            Move::Disc(square) => {
                let disc = square.bit();
                let taken = (self.own | self.other) & disc != 0;
                let turned = if taken { 0 } else { turned(self.own, self.other, disc) };
                if turned != 0 {
                    return Ok(self.after_disc(disc, turned));
                }
                Err(match (self.outcome(), taken) {
                    (Some(_), _) => IllegalMove::Over,
                    (None, true) => IllegalMove::SquareTaken,
                    (None, false) => IllegalMove::TurnsNothing,
                })
            }
            Move::Pass => match self.unwritten() {
                Some(_) => Ok(self.passed()),
                None if self.outcome().is_some() => Err(IllegalMove::Over),
                None => Err(IllegalMove::MayNotPass),
            },
        }
    }

    /// Records of games leave passes out.
    fn unwritten(&self) -> Option<Move> {
        let must_pass =
            legal_squares(self.own, self.other) == 0 && legal_squares(self.other, self.own) != 0;
        must_pass.then_some(Move::Pass)
    }

    fn read_move(text: &str) -> Option<(Move, &str)> {
        if let Some((word, rest)) = text.split_at_checked(4)
            && word.eq_ignore_ascii_case("pass")
        {
            return Some((Move::Pass, rest));
        }
        match text.strip_prefix("--") {
            Some(rest) => Some((Move::Pass, rest)),
            None => Square::read(text).map(|(square, rest)| (Move::Disc(square), rest)),
        }
    }

    /// The square's bit, and 64 for a pass.
    fn number(action: Move) -> u32 {
        match action {
            Move::Disc(square) => u32::from(square.0),
            Move::Pass => SQUARES,
        }
    }

    fn numbered(number: u32) -> Option<Move> {
        match number {
            SQUARES => Some(Move::Pass),
            _ => u8::try_from(number)
                .ok()
                .filter(|_| number < SQUARES)
                .map(|n| Move::Disc(Square(n))),
        }
    }

    fn playout(&self, generator: &mut Generator) -> Outcome {
        let mut board = *self;
        let mut may_end = false;
        loop {
            let squares = legal_squares(board.own, board.other);
            if squares == 0 {
                if may_end {
                    return board.by_discs();
                }
                board = board.passed();
            } else {
                let disc = random_square(squares, generator).bit();
                board = board.after_disc(disc, turned(board.own, board.other, disc));
            }
            may_end = squares == 0;
        }
    }
}

/// The ones of each byte of `bits` and of all bytes below it, a byte each: the last is the count of all.
const fn ones_up_to_each_byte(bits: u64) -> u64 {
    let pairs = bits - (bits >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    bytes.wrapping_mul(EACH_BYTE)
}

/// The place of the one of `bits` that has `number` ones below it; `up_to` is [`ones_up_to_each_byte`] of `bits`.
///
/// Without a branch that the processor would guess wrongly each time (Vigna, "Broadword implementation of rank/select queries",
/// 2008, section 4).
fn select(bits: u64, up_to: u64, number: u64) -> u8 {
    // A byte's high bit stays where the ones up to it are at most `number`: these bytes lie below the one sought.
    let passed = (((number * EACH_BYTE) | HIGH_BITS) - up_to) & HIGH_BITS;
    let byte = (passed >> 7).wrapping_mul(EACH_BYTE) >> 56 << 3;
    let number = number - (up_to << 8 >> byte & 0xff);
    // The byte's bits, one in each byte, and again the ones up to each.
    let spread = ((bits >> byte & 0xff) * EACH_BYTE) & EACH_BIT;
    let ones = ((spread + (HIGH_BITS - EACH_BYTE)) >> 7 & EACH_BYTE).wrapping_mul(EACH_BYTE);
    let passed = (((number * EACH_BYTE) | HIGH_BITS) - ones) & HIGH_BITS;
    let [place, ..] = (byte + ((passed >> 7).wrapping_mul(EACH_BYTE) >> 56)).to_le_bytes();
    place
}

/// One of `squares`, each equally likely. There must be one.
fn random_square(squares: u64, generator: &mut Generator) -> Square {
    let up_to = ones_up_to_each_byte(squares);
    let count = up_to >> 56;
    // Lemire's rejection, see his "Fast random integer generation in an interval" (2019): of the 2^64 words, those are refused
    // that would give some numbers one word more than others.
    let (mut remainder, mut number) = generator.next_u64().carrying_mul(count, 0);
    if remainder < count {
        let refused = count.wrapping_neg() % count;
        while remainder < refused {
            (remainder, number) = generator.next_u64().carrying_mul(count, 0);
        }
    }
    Square(select(squares, up_to, number))
}

impl fmt::Display for Othello {
    /// The board with `X` for black, `O` for white, the names of columns above and of rows on the left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (black, white) = self.black_and_white();
        write!(f, "  a b c d e f g h")?;
        for row in 0..8 {
            write!(f, "\n{}", row + 1)?;
            for column in 0..8 {
                let square = 1 << (8 * row + column);
                let disc = match (black & square != 0, white & square != 0) {
                    (true, _) => 'X',
                    (_, true) => 'O',
                    _ => '.',
                };
                write!(f, " {disc}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ones_up_to_each_byte, select};
    use crate::search::Generator;
    use crate::search::rand_core::{Rng, SeedableRng};

    #[test]
    fn select_finds_each_one_of_sparse_and_of_full_words() {
        let mut generator = Generator::seed_from_u64(1);
        let mut words = alloc::vec![1, 1 << 63, u64::MAX, u64::MAX >> 1, 0xff00_ff00_ff00_ff00];
        for _ in 0..500 {
            let (a, b) = (generator.next_u64(), generator.next_u64());
            words.extend([a, a & b, a | b, a & b & generator.next_u64()]);
        }
        for word in words {
            let ones = (0..64).filter(|&place| word >> place & 1 == 1);
            let up_to = ones_up_to_each_byte(word);
            assert_eq!(up_to >> 56, u64::from(word.count_ones()));
            for (number, place) in (0..).zip(ones) {
                assert_eq!(select(word, up_to, number), place, "one {number} of {word:#x}");
            }
        }
    }
}
