// SPDX-License-Identifier: MIT
//! Why the manager could not do what was asked.

use core::convert::Infallible;
use core::fmt;

use super::{INLINE_LEN, MalformedDelta, NodeId};
use crate::merkle::StateRoot;
use crate::snapshot::TreeError;
use crate::store::StoreError;

/// The id is not one of this manager's, or its node was pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownNode {
    /// The id.
    pub node: NodeId,
}

impl fmt::Display for UnknownNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} is not there: it was pruned, or is another manager's", self.node)
    }
}

impl core::error::Error for UnknownNode {}

/// Why a stored state could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The store failed, or the object is missing or damaged.
    Store(StoreError),
    /// The object is whole, but not a delta.
    Malformed(MalformedDelta),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Malformed(error) => Some(error),
        }
    }
}

/// Why the manager could not do what was asked. `E` is the game's error. Whatever it is, no node was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ManagerError<E = Infallible> {
    /// A node is not there.
    Unknown(UnknownNode),
    /// There are as many nodes as the limits allow, or as can be numbered.
    Full {
        /// How many.
        nodes: u32,
    },
    /// An inline state is longer than [`INLINE_LEN`].
    TooLong {
        /// Its length, in bytes.
        found: usize,
    },
    /// Edits were made to a node that holds bytes, or bytes were given for the child of one that holds keys.
    Form {
        /// The parent.
        parent: NodeId,
    },
    /// A pin was taken back that was not there.
    NotPinned {
        /// The node.
        node: NodeId,
    },
    /// The snapshot tree refused a delta.
    Tree(TreeError),
    /// A stored state cannot be loaded, and cannot be replayed.
    Lost {
        /// The node whose delta is lost: the one asked for, or one above it.
        node: NodeId,
        /// Why it cannot be loaded.
        error: LoadError,
    },
    /// The game could not do an action again.
    Replay {
        /// The node that the action led to.
        node: NodeId,
        /// The game's error.
        error: E,
    },
    /// The game did an action again and the outcome was another state.
    Nondeterministic {
        /// The node that the action led to.
        node: NodeId,
        /// The root of the state that the action led to at first.
        expected: StateRoot,
        /// The root of the state that it leads to now.
        found: StateRoot,
    },
}

impl<E: fmt::Display> fmt::Display for ManagerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => error.fmt(f),
            Self::Full { nodes } => {
                write!(f, "there are {nodes} nodes and no room for more: prune some first")
            }
            Self::TooLong { found } => write!(
                f,
                "an inline state has at most {INLINE_LEN} bytes, this has {found}: give it as keys and values"
            ),
            Self::Form { parent } => write!(
                f,
                "node {parent} and its child must both be given as bytes, or both as keys and values"
            ),
            Self::NotPinned { node } => write!(f, "node {node} is not pinned"),
            Self::Tree(error) => error.fmt(f),
            Self::Lost { node, error } => write!(f, "the state of node {node} is lost: {error}"),
            Self::Replay { node, error } => {
                write!(f, "the action that led to node {node} cannot be done again: {error}")
            }
            Self::Nondeterministic { node, expected, found } => write!(
                f,
                "the game is not deterministic: the action that led to node {node} gave the state {expected} at first \
                 and {found} now; put what its outcome depends on (time, randomness, files) into the state or the action, \
                 or give the manager a store so that states need not be replayed"
            ),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for ManagerError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Unknown(error) => Some(error),
            Self::Tree(error) => Some(error),
            Self::Lost { error, .. } => Some(error),
            Self::Replay { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl<E> From<UnknownNode> for ManagerError<E> {
    fn from(error: UnknownNode) -> Self {
        Self::Unknown(error)
    }
}

impl<E> From<TreeError> for ManagerError<E> {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
