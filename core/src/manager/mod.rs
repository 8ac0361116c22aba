// SPDX-License-Identifier: MIT
//! The states of a tree search, of which memory holds only some.
//!
//! A node is its parent, the [`Action`] that led to it, and a state in one of four forms:
//!
//! | form | what the node holds | how its state comes back |
//! |---|---|---|
//! | inline | up to [`INLINE_LEN`] bytes, a board | it is there |
//! | resident | a snapshot in a [`SnapshotTree`](crate::snapshot::SnapshotTree): a delta to the parent's | a [`Cursor`](crate::snapshot::Cursor) moves to it |
//! | stored | the name of an object that holds the delta | the delta is loaded and put back into the tree |
//! | replayable | nothing more | the host's [`Replay`] does the action again |
//!
//! [`StateManager`] guarantees that a state is one node, however often it is met; that a node keeps its identity, action and root
//! while its state comes and goes; that what comes back is the state that went, since a loaded delta is named by its hash and a
//! replayed state must have the recorded root; and that what it keeps resident stays within a limit, as far as anything can go.
//!
//! It knows nothing of visits and values, and has no clock, randomness or I/O: [`Host`] brings them.

mod cache;
mod cost;
mod error;
mod evict;
mod fingerprint;
mod host;
mod latency;
mod nodes;
mod object;
mod prune;
mod restore;
mod states;
mod statistics;
mod view;

pub use cache::{Cache, Lru};
pub use error::{LoadError, ManagerError, UnknownNode};
pub use host::{Clock, Host, NoClock, NoReplay, NoStore, Replay};
pub use latency::Latency;
pub use nodes::{Action, INLINE_LEN, NodeId};
pub use object::{DeltaObject, MalformedDelta, encode_delta};
pub use prune::Pruned;
pub use states::{Content, Created, Limits, StateManager};
pub use statistics::{Footprint, Latencies, Statistics};
pub use view::View;
