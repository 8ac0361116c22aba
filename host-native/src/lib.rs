// SPDX-License-Identifier: MIT
//! cascow on Linux: repositories of directory snapshots, private workspaces, and tree search over them.
//!
//! The core decides what a state is; this host materialises it: objects in files, states as directory trees that commands can
//! change, searches as processes that run. From the ground up, each layer importing only those before it:
//!
//! | module | holds |
//! |---|---|
//! | [`error`] | what can go wrong, with path and operation |
//! | [`disk`] | the one way by which a repository reaches the machine |
//! | [`replace`] | results written where the user says, whole or not at all |
//! | [`codec`] | frames of objects with zstd beside the core's codecs |
//! | `records` | files of records that only grow |
//! | [`store`] | objects as files, or together in segments |
//! | [`repository`] | a store, the history of its snapshots, and their labels |
//! | [`directory`] | directory trees to states and back |
//! | [`workspace`] | private forks of a state that commands may change |
//! | [`command`] | running a command with an end to it |
//! | [`patch`] | differences as a unified diff |
//! | [`search`] | Monte-Carlo graph search over a workspace |
//! | [`boards`] | the same over board games, on several threads |
//!
//! # What it does not do
//!
//! Files are captured; processes, memory, network and databases are not. Running a command in a workspace keeps its *files* apart
//! from everything else, and is not a sandbox against hostile code.

pub mod boards;
pub mod codec;
pub mod command;
pub mod directory;
pub mod disk;
pub mod error;
pub mod patch;
mod records;
pub mod replace;
pub mod repository;
pub mod search;
pub mod store;
pub mod workspace;

pub use error::Error;
