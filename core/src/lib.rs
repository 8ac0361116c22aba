// SPDX-License-Identifier: MIT
//! Content-addressed, copy-on-write states for tree search.
//!
//! A *state* maps keys to values; a *snapshot* is a parent and a delta; a *root* commits to a state, however it came about. This
//! crate decides what these are, byte for byte; hosts materialise them as files, mounts or browser memory. It has no clock, no
//! randomness of its own, no I/O and no threads: they are arguments.
//!
//! From the ground up, each layer importing only those before it:
//!
//! | module | holds |
//! |---|---|
//! | [`hash`] | content hashes: the names of objects |
//! | [`merkle`] | roots of states, lists and logs, proofs, and their verification without an allocator |
//! | [`chunk`] | content-defined chunking |
//! | [`frame`] | objects as they are stored |
//! | [`store`] | where objects live |
//! | [`executor`] | threads that a host lends |
//! | [`blob`] | values of any length, as chunks |
//! | [`snapshot`] | states, deltas, the snapshot tree, merging |
//! | [`manager`] | the states of a search, of which memory holds only some |
//! | [`record`] | snapshots as they are stored |
//! | [`entry`], [`workspace`] | directory trees as states |
//! | [`reach`] | what a snapshot refers to, for collectors and checks |
//! | [`bundle`] | snapshots on the way from one host to another |
//! | [`search`] | Monte-Carlo graph search |
//! | [`games`] | board games to search |
//!
//! # Features
//!
//! `std` (default) lets the hash crates detect processor features where they need it for that; `alloc` brings all but [`hash`],
//! [`chunk`] and the verification of proofs in [`merkle`]; `owned` keeps proofs in buffers of fixed capacity, for devices that
//! receive them in pieces; `sha256` and `blake3` (default) are the hash functions, at least one. No feature changes a byte.
//!
//! # What it does not do
//!
//! It keeps no secrets and authenticates nobody: a root says *what*, never *who*. It does not run anything and does not protect
//! against hash collisions, which it takes to be infeasible.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "alloc")]
pub mod blob;
#[cfg(feature = "alloc")]
pub mod bundle;
pub mod chunk;
#[cfg(feature = "alloc")]
pub mod entry;
#[cfg(feature = "alloc")]
pub mod executor;
#[cfg(feature = "alloc")]
pub mod frame;
#[cfg(feature = "alloc")]
pub mod games;
pub mod hash;
#[cfg(feature = "alloc")]
pub mod manager;
pub mod merkle;
#[cfg(feature = "alloc")]
mod order;
#[cfg(feature = "alloc")]
pub mod reach;
#[cfg(feature = "alloc")]
pub mod record;
#[cfg(feature = "alloc")]
pub mod search;
#[cfg(feature = "alloc")]
pub mod snapshot;
#[cfg(feature = "alloc")]
pub mod store;
#[cfg(feature = "alloc")]
pub mod workspace;
