// SPDX-License-Identifier: MIT
//! Monte-Carlo graph search: finds good states of a [`Game`] with few evaluations.
//!
//! Nodes are states, named by the game's key, so that a state reached in two ways is evaluated once and searched
//! once. Edges carry the visit counts; a node's value is recomputed from its own evaluation and its children and never
//! accumulated. One [`Search::step`] tries one edge, and says what became of it; when nothing is left to try it says
//! [`Step::Exhausted`].
//!
//! The same game, settings and calls give the same graph on every host: arithmetic is `+ - * /` and a correctly rounded
//! square root, ties go to the lowest index, and the seeded generator serves playouts alone.
//!
//! Budgets, clocks, events, caching of scores and materialising of states are the caller's. The search neither
//! forgets nor saves nodes.
//!
//! ```
//! use cascow_core::search::{Evaluation, Game, Generator, Search, Settings, Step};
//!
//! /// Which of three switches should be on?
//! struct Switches;
//!
//! impl Game for Switches {
//!     type State = [bool; 3];
//!     type Action = usize;
//!     type Key = [bool; 3];
//!     type Error = core::convert::Infallible;
//!
//!     fn key(&self, state: &[bool; 3]) -> [bool; 3] {
//!         *state
//!     }
//!     fn actions(&mut self, _: &[bool; 3], out: &mut Vec<(usize, f32)>) -> Result<(), Self::Error> {
//!         out.extend([(0, 1.0), (1, 1.0), (2, 1.0)]);
//!         Ok(())
//!     }
//!     fn apply(&mut self, state: &[bool; 3], action: &usize) -> Result<Option<[bool; 3]>, Self::Error> {
//!         let mut next = *state;
//!         next[*action] = true;
//!         Ok((next != *state).then_some(next))
//!     }
//!     fn evaluate(&mut self, state: &[bool; 3], _: &mut Generator) -> Result<Evaluation, Self::Error> {
//!         let right = [true, false, true];
//!         let matches = state.iter().zip(right).filter(|&(&a, b)| a == b).count();
//!         Ok(Evaluation::estimate(matches as f64 / 3.0))
//!     }
//! }
//!
//! let mut search = Search::new(Settings::optimisation(), [false; 3], &mut Switches)?;
//! while search.step(&mut Switches)? != Step::Exhausted {}
//! let best = search.node(search.best_node()).unwrap();
//! assert_eq!(*best.state(), [true, false, true]);
//! assert_eq!(search.counts().evaluations, 8);
//! # Ok::<(), cascow_core::search::SearchError<core::convert::Infallible>>(())
//! ```

mod backup;
mod engine;
mod error;
mod game;
mod graph;
mod report;
mod select;
mod settings;

pub use engine::{Counts, Outcome, Search, Step};
pub use error::SearchError;
pub use game::{Evaluation, Game, Generator, rand_core};
pub use graph::{ActionId, Edge, EdgeId, Node, NodeId, Target};
pub use report::Preference;
pub use settings::{Backup, Renewal, Settings};
