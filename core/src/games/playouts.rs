// SPDX-License-Identifier: MIT
//! A board game as the search wants it: positions are valued by playing on at random.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;

use super::board::{Board, Side};
use crate::search::{Action, Choice, Evaluation, Game, Generator, Turn};

/// The game of a [`Board`], one random playout an evaluation. Actions are the moves' [numbers](Board::number).
pub struct Playouts<B>(PhantomData<fn() -> B>);

impl<B> Playouts<B> {
    /// It has no state of its own.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<B> Default for Playouts<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Clone for Playouts<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Playouts<B> {}

impl<B: Board> fmt::Debug for Playouts<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Playouts of {}", B::NAME)
    }
}

impl<B: Board> Game for Playouts<B> {
    type State = B;
    type Error = Infallible;

    fn turn(&self, board: &B) -> Turn {
        match board.turn() {
            Side::First => Turn::First,
            Side::Second => Turn::Second,
        }
    }

    fn actions(&mut self, board: &B, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        out.extend(board.moves().map(|action| Choice::new(Action(B::number(action)))));
        Ok(())
    }

    fn apply(&mut self, board: &B, action: Action) -> Result<Option<B>, Infallible> {
        Ok(B::numbered(action.0).and_then(|action| board.play(action).ok()))
    }

    fn evaluate(&mut self, board: &B, generator: &mut Generator) -> Result<Evaluation, Infallible> {
        Ok(match board.outcome() {
            Some(outcome) => Evaluation::terminal(outcome.value()),
            None => Evaluation::estimate(board.playout(generator).value()),
        })
    }
}
