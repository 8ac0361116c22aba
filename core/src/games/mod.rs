// SPDX-License-Identifier: MIT
//! Board games to search: Connect Four and Othello on bitboards, and the counts that show their rules are right.
//!
//! A position is a few words, copied rather than referred to: nothing here allocates, except [`perft::states`], which keeps what it
//! has seen. Positions are made from the start by legal moves, or unpacked; words that no game could lead to unpack to some
//! position, never to a panic or an endless playout. Time, threads and the terminal are the caller's.

mod board;
pub mod connect4;
pub mod othello;
pub mod perft;
mod playouts;

pub use board::{Board, IllegalMove, MovesError, Outcome, Side, after};
pub use playouts::Playouts;
