// SPDX-License-Identifier: MIT
//! Monte-Carlo graph search: finds good moves, or good states, of a [`Game`].
//!
//! Nodes are states, so that a state reached in two ways is evaluated once and searched once. Edges carry the visit counts; a
//! node's value is recomputed from its own evaluation and its children and never accumulated. What is proven of a
//! node, won, lost or drawn, is proven of its parents as far as it goes. One [`Search::step`] tries one edge, and says what became of
//! it; when nothing is left to try it says [`Step::Exhausted`].
//!
//! The same game, settings and calls give the same graph on every host: arithmetic is `+ - * /`, a correctly rounded
//! square root and one portable logarithm, ties go to the lowest index, and the seeded generator serves playouts alone.
//!
//! Several threads may step one search ([`Search::step_beside`]), without locks and without unsafe code; where evaluations are
//! dear, steps are taken in two halves with the evaluation between them ([`Search::seek`], [`Search::answer`]). A search
//! that has grown beyond its byte limit forgets what it visited least and goes on. It is
//! [saved](Search::save) into any object store and [loaded](Search::load) as it was.
//!
//! Clocks, events, caching of scores and materialising of states are the caller's. States whose data is more than a few words
//! live in a store of the caller's, for which the search keeps a handle ([`Packed`]).
//!
//! ```
//! use cascow_core::search::{Action, Choice, Evaluation, Game, Generator, Search, Settings, Step};
//!
//! /// Which of three switches should be on?
//! struct Switches;
//!
//! impl Game for Switches {
//!     type State = u32; // a bit for each
//!     type Error = core::convert::Infallible;
//!
//!     fn actions(&mut self, _: &u32, out: &mut Vec<Choice>) -> Result<(), Self::Error> {
//!         out.extend((0..3).map(|switch| Choice::new(Action(switch))));
//!         Ok(())
//!     }
//!     fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Self::Error> {
//!         let next = state | 1 << action.0;
//!         Ok((next != *state).then_some(next))
//!     }
//!     fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Self::Error> {
//!         Ok(Evaluation::estimate(f64::from(3 - (state ^ 0b101).count_ones()) / 3.0))
//!     }
//! }
//!
//! let mut search = Search::new(Settings::optimisation(), 0, &mut Switches)?;
//! while search.step(&mut Switches)? != Step::Exhausted {}
//! let best = search.node(search.best_node()).unwrap();
//! assert_eq!(best.state, 0b101);
//! assert_eq!(search.counts().evaluations, 8);
//! # Ok::<(), cascow_core::search::SearchError<core::convert::Infallible>>(())
//! ```

mod backup;
mod checkpoint;
mod column;
mod engine;
mod error;
mod facts;
mod forget;
mod gains;
mod game;
mod graph;
mod select;
mod settings;
mod view;
mod worker;

pub use checkpoint::{CheckpointError, Saved, pages_of};
pub use engine::{Counts, Outcome, Search, Step};
pub use error::SearchError;
pub use game::{
    Action, Choice, Evaluation, Game, Generator, MAX_WORDS, Packed, Repetition, Turn, rand_core,
};
pub use graph::{EdgeId, NodeId};
pub use settings::{Backup, Expansion, Formula, MOST_AT_ONCE, Renewal, Settings};
pub use view::{Edge, Node, Preference, Target, Wide};
pub use worker::{Arrival, Task, Worker};
