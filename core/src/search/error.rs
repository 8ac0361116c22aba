// SPDX-License-Identifier: MIT
//! What stops a step: the game's own error, a game that breaks its contract, or a full graph.

use core::{error::Error, fmt};

/// Why a search could not be made or a step not be taken. The search stays as it was before the step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchError<E> {
    /// The game failed.
    Game(E),
    /// The game's value is not a number from 0 to 1.
    InvalidValue {
        /// What the game returned.
        found: f64,
    },
    /// The game's prior is negative or not finite.
    InvalidPrior {
        /// Position of the action among the state's actions.
        index: usize,
        /// What the game returned.
        found: f32,
    },
    /// A setting is outside its range.
    InvalidSetting {
        /// The field's name.
        field: &'static str,
    },
    /// The graph holds as many nodes, edges of a node, or distinct actions as 32 bits can number.
    Full,
}

impl<E: fmt::Display> fmt::Display for SearchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Game(error) => write!(f, "the game failed: {error}"),
            Self::InvalidValue { found } => {
                write!(f, "expected a value from 0 to 1, found {found}")
            }
            Self::InvalidPrior { index, found } => {
                write!(f, "expected a finite prior of at least 0 for action {index}, found {found}")
            }
            Self::InvalidSetting { field } => write!(f, "the setting {field} is out of range"),
            Self::Full => write!(f, "the search graph is full"),
        }
    }
}

impl<E: Error + 'static> Error for SearchError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Game(error) => Some(error),
            _ => None,
        }
    }
}
