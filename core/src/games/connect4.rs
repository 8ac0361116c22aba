// SPDX-License-Identifier: MIT
//! Connect Four: seven columns of six places, four in a row win, a full board is a draw.
//!
//! A column is seven bits, its lowest place first; the seventh is never a stone, so that no row of four runs from one column's
//! top into the next column's bottom. This layout, and a position's key in one word, are those of John Tromp's and Pascal Pons'
//! solvers (Pons, "Solving Connect 4: how to build a perfect AI", part 6).

use core::fmt;

use super::board::{Board, IllegalMove, Outcome, Side};
use crate::search::rand_core::Rng;
use crate::search::{Generator, Packed};

const COLUMNS: u32 = 7;
const ROWS: u32 = 6;
/// Bits from a place to its neighbour on the right.
const STRIDE: u32 = ROWS + 1;

/// The lowest place of each column.
const BOTTOM: u64 = {
    let mut places = 0;
    let mut column = 0;
    while column < COLUMNS {
        places |= 1 << (column * STRIDE);
        column += 1;
    }
    places
};
/// All places.
const PLACES: u64 = BOTTOM * ((1 << ROWS) - 1);
/// The highest place of each column.
const TOP: u64 = BOTTOM << (ROWS - 1);

/// A column, where a stone falls to the lowest free place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Column(u8);

impl Column {
    /// The columns from the middle outwards: more rows of four pass through the middle than through the sides, so of moves that
    /// nothing is known of, the likelier come first. The left one of two alike comes first, for a fixed order.
    pub const CENTRE_FIRST: [Self; 7] =
        [Self(3), Self(2), Self(4), Self(1), Self(5), Self(0), Self(6)];

    const fn bottom(self) -> u64 {
        1 << (self.0 as u32 * STRIDE)
    }

    const fn top(self) -> u64 {
        self.bottom() << (ROWS - 1)
    }
}

impl fmt::Display for Column {
    /// The column's number as people count: from 1 on the left to 7.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 + 1)
    }
}

/// A position of Connect Four, in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connect4 {
    /// The stones of the side to move.
    own: u64,
    /// All stones: each column filled from below.
    stones: u64,
}

impl Connect4 {
    /// The position in one word, of which it uses 49 bits: in each column the stones of the side to move, and above the column's
    /// highest stone a one that tells where the column ends.
    #[must_use]
    pub const fn key(self) -> u64 {
        self.own | (self.stones + BOTTOM)
    }

    /// The position of a key. Any word gives some position with its stones in order.
    #[must_use]
    pub const fn from_key(key: u64) -> Self {
        // From the highest one of each column, ones downwards; each mask keeps a column's bits out of the column before it.
        let mut filled = key & (PLACES | TOP << 1);
        filled |= filled >> 1 & PLACES;
        filled |= filled >> 2 & (BOTTOM * 0b1_1111);
        filled |= filled >> 4 & (BOTTOM * 0b111);
        let stones = filled >> 1 & PLACES;
        Self { own: key & stones, stones }
    }

    /// Who moved last has won.
    const fn is_lost(self) -> bool {
        has_four(self.own ^ self.stones)
    }

    const fn is_full(self) -> bool {
        self.stones == PLACES
    }

    const fn is_open(self, column: Column) -> bool {
        self.stones & column.top() == 0
    }
}

/// Whether four of `stones` stand in a row. Each pair of lines is one direction: pairs of neighbours, then pairs of such pairs.
const fn has_four(stones: u64) -> bool {
    let upwards = stones & stones >> 1;
    let across = stones & stones >> STRIDE;
    let rising = stones & stones >> (STRIDE + 1);
    let falling = stones & stones >> (STRIDE - 1);
    (upwards & upwards >> 2)
        | (across & across >> (2 * STRIDE))
        | (rising & rising >> (2 * (STRIDE + 1)))
        | (falling & falling >> (2 * (STRIDE - 1)))
        != 0
}

/// As its [key](Connect4::key).
impl Packed for Connect4 {
    const WORDS: usize = u64::WORDS;

    fn pack(&self, words: &mut [u32]) {
        self.key().pack(words);
    }

    fn unpack(words: &[u32]) -> Self {
        Self::from_key(u64::unpack(words))
    }
}

impl Board for Connect4 {
    type Move = Column;

    const NAME: &'static str = "connect4";
    const MOVE_FORM: &'static str = "a column from 1 to 7";
    const START: Self = Self { own: 0, stones: 0 };

    fn turn(&self) -> Side {
        if self.stones.count_ones().is_multiple_of(2) { Side::First } else { Side::Second }
    }

    fn outcome(&self) -> Option<Outcome> {
        if self.is_lost() {
            Some(Outcome::Win(self.turn().other()))
        } else {
            self.is_full().then_some(Outcome::Draw)
        }
    }

    fn moves(&self) -> impl Iterator<Item = Column> {
        let board = *self;
        let over = board.is_lost();
        Column::CENTRE_FIRST.into_iter().filter(move |&column| !over && board.is_open(column))
    }

    fn count_moves(&self) -> u32 {
        if self.is_lost() { 0 } else { COLUMNS - (self.stones & TOP).count_ones() }
    }

    fn play(&self, column: Column) -> Result<Self, IllegalMove> {
        if self.is_lost() || self.is_full() {
            return Err(IllegalMove::Over);
        }
        if !self.is_open(column) {
            return Err(IllegalMove::ColumnFull);
        }
        // The sum carries through the column's stones into its lowest free place.
        Ok(Self {
            own: self.own ^ self.stones,
            stones: self.stones | (self.stones + column.bottom()),
        })
    }

    fn read_move(text: &str) -> Option<(Column, &str)> {
        let mut chars = text.chars();
        let column = chars.next()?.to_digit(10)?.checked_sub(1)?;
        Some((Self::numbered(column)?, chars.as_str()))
    }

    fn number(column: Column) -> u32 {
        u32::from(column.0)
    }

    fn numbered(number: u32) -> Option<Column> {
        u8::try_from(number).ok().filter(|_| number < COLUMNS).map(Column)
    }

    fn playout(&self, generator: &mut Generator) -> Outcome {
        if let Some(outcome) = self.outcome() {
            return outcome;
        }
        let Self { mut own, mut stones } = *self;
        let mut open = OpenColumns::of(*self);
        let mut draws = Draws::new(generator);
        loop {
            let place = draws.below(open.count);
            let shift = open.shift(place);
            let grown = stones | (stones + (1 << shift));
            own |= grown ^ stones;
            if has_four(own) {
                let mover = Self { own, stones }.turn();
                return Outcome::Win(mover);
            }
            own ^= grown;
            stones = grown;
            if grown >> shift >> (ROWS - 1) & 1 == 1 {
                open.remove(place);
                if open.count == 0 {
                    return Outcome::Draw;
                }
            }
        }
    }
}

/// The columns with a free place, as a list in one word: a byte each, of the number of the column's lowest bit.
struct OpenColumns {
    shifts: u64,
    count: u64,
}

impl OpenColumns {
    fn of(board: Connect4) -> Self {
        let mut open = Self { shifts: 0, count: 0 };
        for column in 0..COLUMNS {
            let shift = column * STRIDE;
            if board.stones >> shift >> (ROWS - 1) & 1 == 0 {
                open.shifts |= u64::from(shift) << (8 * open.count);
                open.count += 1;
            }
        }
        open
    }

    const fn shift(&self, place: u64) -> u64 {
        self.shifts >> (8 * place) & 63
    }

    /// Removes a column: the last one takes its place.
    const fn remove(&mut self, place: u64) {
        self.count -= 1;
        let last = self.shifts >> (8 * self.count) & 63;
        self.shifts ^= (self.shift(place) ^ last) << (8 * place);
    }
}

/// Numbers below 1 to 7, six from one word of the generator, each exactly uniform and independent of the others.
///
/// A word is taken as a fraction of 2^64 and read as digits of base 420, the least common multiple of 1 to 7: `count` divides 420
/// evenly, so the first digit's part of `count` is uniform if the digit is, and multiplying by 420 moves on to the next digit.
/// That six digits together are uniform is Lemire's rejection for the base 420^6 ("Fast random integer generation in an
/// interval", 2019; for several numbers of one word: Brackett-Rozinsky and Lemire, "Batched ranged random integer generation",
/// 2024): the words whose remainder is below 2^64 mod 420^6 are refused, fewer than one in three thousand.
struct Draws<'a> {
    generator: &'a mut Generator,
    word: u64,
    left: u32,
}

impl<'a> Draws<'a> {
    const BASE: u64 = 420;
    /// A seventh digit would have up to one word in eight refused.
    const DIGITS: u32 = 6;
    const RANGE: u64 = Self::BASE.pow(Self::DIGITS);
    /// 2^64 mod `RANGE`.
    const REFUSED: u64 = (u64::MAX % Self::RANGE + 1) % Self::RANGE;

    const fn new(generator: &'a mut Generator) -> Self {
        Self { generator, word: 0, left: 0 }
    }

    /// A number below `count`, which is from 1 to 7.
    fn below(&mut self, count: u64) -> u64 {
        if self.left == 0 {
            self.word = self.generator.next_u64();
            while self.word.wrapping_mul(Self::RANGE) < Self::REFUSED {
                self.word = self.generator.next_u64();
            }
            self.left = Self::DIGITS;
        }
        self.left -= 1;
        let (_, number) = self.word.carrying_mul(count, 0);
        self.word = self.word.wrapping_mul(Self::BASE);
        number
    }
}

impl fmt::Display for Connect4 {
    /// The board from above: `X` for the first player, `O` for the second, the columns' numbers below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = match self.turn() {
            Side::First => self.own,
            Side::Second => self.own ^ self.stones,
        };
        for row in (0..ROWS).rev() {
            for column in 0..COLUMNS {
                let place = 1 << (column * STRIDE + row);
                let stone = match (self.stones & place != 0, first & place != 0) {
                    (false, _) => '.',
                    (true, true) => 'X',
                    (true, false) => 'O',
                };
                let space = if column == 0 { "" } else { " " };
                write!(f, "{space}{stone}")?;
            }
            writeln!(f)?;
        }
        write!(f, "1 2 3 4 5 6 7")
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Draws};
    use crate::search::Generator;
    use crate::search::rand_core::{Rng, SeedableRng};

    const WORDS: u128 = 1 << 64;

    /// With the next test: each row of six numbers belongs to equally many of the words that are not refused.
    #[test]
    fn words_not_refused_are_equally_many_for_each_row_of_digits_and_digits_for_each_number() {
        let range = u128::from(Draws::RANGE);
        assert_eq!(range, u128::from(Draws::BASE).pow(Draws::DIGITS));
        assert_eq!(u128::from(Draws::REFUSED), WORDS % range);
        for count in 1..=u64::from(COLUMNS) {
            assert_eq!(Draws::BASE % count, 0);
        }
        // Of each row of digits, the words are a run in which the remainder grows in steps of `range` from below `range`: those
        // with a remainder of `REFUSED` or more are WORDS / range in each, whatever the remainder of the run's first word.
        for first in [0, 1, Draws::REFUSED - 1, Draws::REFUSED, Draws::RANGE - 1] {
            let kept = u64::from(first >= Draws::REFUSED);
            let steps = (u128::from(u64::MAX) - u128::from(first)) / range;
            assert_eq!(u128::from(kept) + steps, WORDS / range);
        }
    }

    #[test]
    fn draws_are_the_digits_of_a_word_taken_as_a_fraction() {
        let mut generator = Generator::seed_from_u64(1);
        let mut same = generator.clone();
        let mut draws = Draws::new(&mut generator);
        for _ in 0..2000 {
            let word = same.next_u64();
            if u128::from(word) * u128::from(Draws::RANGE) % WORDS < u128::from(Draws::REFUSED) {
                continue;
            }
            let mut row = u128::from(word) * u128::from(Draws::RANGE) / WORDS;
            let mut digits = [0; 6];
            for digit in digits.iter_mut().rev() {
                *digit = row % u128::from(Draws::BASE);
                row /= u128::from(Draws::BASE);
            }
            for (turn, digit) in (0..).zip(digits) {
                let count = 1 + (word >> 8).wrapping_add(turn) % u64::from(COLUMNS);
                let expected = digit * u128::from(count) / u128::from(Draws::BASE);
                assert_eq!(u128::from(draws.below(count)), expected);
            }
        }
    }
}
