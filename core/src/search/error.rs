// SPDX-License-Identifier: MIT
//! Why a search could not go on.

use core::fmt;

/// Why a search could not begin or take a step. The search is as it was before.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchError<E> {
    /// The game failed.
    Game(E),
    /// The game gave a value that is not in 0..=1.
    InvalidValue {
        /// What it gave.
        found: f64,
    },
    /// The game gave a prior that is negative or not finite.
    InvalidPrior {
        /// The action's place in the game's order.
        index: usize,
        /// What it gave.
        found: f32,
    },
    /// A setting is out of its range, or does not go with the others.
    InvalidSetting {
        /// Its name.
        field: &'static str,
    },
    /// The game offered more actions than a node can have.
    TooManyActions {
        /// How many it offered.
        found: usize,
        /// How many a node can have.
        most: usize,
    },
    /// A state recurred on the way to itself, which the game had said to be impossible.
    Recurred {
        /// How many actions the way to it had.
        depth: usize,
    },
    /// The graph cannot name another node or edge: it needs a byte limit.
    Full,
    /// Only a search with [`Renewal::Path`](super::Renewal::Path) can be stepped by several threads at once.
    NotShareable,
}

impl<E: fmt::Display> fmt::Display for SearchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Game(error) => write!(f, "the game failed: {error}"),
            Self::InvalidValue { found } => {
                write!(f, "the game valued a state at {found}: a value is from 0 to 1")
            }
            Self::InvalidPrior { index, found } => write!(
                f,
                "the game gave action number {index} a prior of {found}: a prior is finite and not negative"
            ),
            Self::InvalidSetting { field } => {
                write!(f, "the search's setting `{field}` is out of its range")
            }
            Self::TooManyActions { found, most } => {
                write!(f, "the game offered {found} actions at one state: offer at most {most}")
            }
            Self::Recurred { depth } => write!(
                f,
                "a state recurred after {depth} actions: the game must say what that means, by its REPETITION"
            ),
            Self::Full => f.write_str("the search's graph is full: set a byte limit"),
            Self::NotShareable => f.write_str(
                "this search renews all ancestors and is for one thread at a time: set Renewal::Path",
            ),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for SearchError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Game(error) => Some(error),
            _ => None,
        }
    }
}
