// SPDX-License-Identifier: MIT
//! What board games have in common: two players in turn, full sight, no chance, moves with names.

use alloc::string::String;
use core::error::Error;
use core::fmt;

use crate::search::{Generator, Packed};

/// One of the two players.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who moves at the start of the game.
    First,
    /// Who answers.
    Second,
}

impl Side {
    /// The opponent.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// How a game ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// For one side.
    Win(Side),
    /// For neither.
    Draw,
}

impl Outcome {
    /// 1, 0.5 or 0: the result in the first player's view.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Win(Side::First) => 1.0,
            Self::Win(Side::Second) => 0.0,
            Self::Draw => 0.5,
        }
    }
}

/// A position of a board game, with everything that what follows depends upon.
///
/// Its packed words in little-endian order are the canonical bytes that name it by content: equal positions have equal words.
/// Words that were not packed give some position of this game.
pub trait Board: Packed + Eq + fmt::Debug + fmt::Display {
    /// A move, legal or not in a given position.
    type Move: Copy + Eq + fmt::Debug + fmt::Display;

    /// The game's name, as a person types it.
    const NAME: &'static str;
    /// What a move looks like, for messages: "a column from 1 to 7".
    const MOVE_FORM: &'static str;
    /// Where the game begins.
    const START: Self;

    /// Who is to move, or would be if the game were not over.
    fn turn(&self) -> Side;

    /// The result, if the game is over.
    fn outcome(&self) -> Option<Outcome>;

    /// The legal moves in a fixed order; none when the game is over.
    fn moves(&self) -> impl Iterator<Item = Self::Move>;

    /// How many legal moves there are, for less than listing them.
    fn count_moves(&self) -> u32;

    /// The position after a move.
    ///
    /// # Errors
    /// [`IllegalMove`] says which rule forbids it.
    fn play(&self, action: Self::Move) -> Result<Self, IllegalMove>;

    /// The only legal move, where people do not write such moves down: Othello's pass.
    fn unwritten(&self) -> Option<Self::Move> {
        None
    }

    /// Reads one move off the front of `text`: the move, and what follows it.
    fn read_move(text: &str) -> Option<(Self::Move, &str)>;

    /// The number of a move, for tables of moves.
    fn number(action: Self::Move) -> u32;

    /// The move of a number, if there is one.
    fn numbered(number: u32) -> Option<Self::Move>;

    /// Plays to the end, each legal move equally likely at each turn, exactly. Draws from `generator` alone.
    fn playout(&self, generator: &mut Generator) -> Outcome;
}

/// Why a move may not be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IllegalMove {
    /// The game is over.
    Over,
    /// The column has no free place.
    ColumnFull,
    /// A disc lies on the square.
    SquareTaken,
    /// No disc would be turned.
    TurnsNothing,
    /// Passing is for those who have no other move.
    MayNotPass,
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Over => "the game is over",
            Self::ColumnFull => "the column is full",
            Self::SquareTaken => "the square is taken",
            Self::TurnsNothing => "it turns no disc",
            Self::MayNotPass => "who can move may not pass",
        })
    }
}

impl Error for IllegalMove {}

/// Why a list of moves leads nowhere. Moves are numbered from 1, those that went unwritten not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MovesError {
    /// No move is written so.
    Unreadable {
        /// Which move of the list.
        number: usize,
        /// What stands there, cut short.
        found: String,
        /// What would be read.
        expected: &'static str,
    },
    /// The move is against the rules.
    Illegal {
        /// Which move of the list.
        number: usize,
        /// The move.
        found: String,
        /// The rule.
        reason: IllegalMove,
    },
}

impl fmt::Display for MovesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { number, found, expected } => {
                // Escaped: what stands there may be a line feed or a terminal's control code.
                write!(f, "move {number}: expected {expected}, found \"{}\"", found.escape_debug())
            }
            Self::Illegal { number, found, reason } => {
                write!(f, "move {number}, {found}: {reason}")
            }
        }
    }
}

impl Error for MovesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Illegal { reason, .. } => Some(reason),
            Self::Unreadable { .. } => None,
        }
    }
}

/// The position after the moves written in `moves`, one after the other, with or without spaces or commas between them.
///
/// # Errors
/// [`MovesError`] names the first move that cannot be read or played.
pub fn after<B: Board>(start: B, moves: &str) -> Result<B, MovesError> {
    /// Enough of an unreadable text to recognise it by.
    const SHOWN_CHARS: usize = 8;
    let separators = |c: char| c.is_whitespace() || c == ',';

    let mut board = start;
    let mut rest = moves.trim_start_matches(separators);
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let Some((action, following)) = B::read_move(rest) else {
            let word = rest.split(separators).next().unwrap_or(rest);
            let found = word.chars().take(SHOWN_CHARS).collect();
            return Err(MovesError::Unreadable { number, found, expected: B::MOVE_FORM });
        };
        let illegal = |reason| MovesError::Illegal {
            number,
            found: alloc::string::ToString::to_string(&action),
            reason,
        };
        if let Some(unwritten) = board.unwritten().filter(|&unwritten| unwritten != action) {
            board = board.play(unwritten).map_err(illegal)?;
        }
        board = board.play(action).map_err(illegal)?;
        rest = following.trim_start_matches(separators);
    }
    Ok(board)
}
