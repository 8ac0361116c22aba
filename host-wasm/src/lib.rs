// SPDX-License-Identifier: MIT
//! cascow in the browser: the core behind wasm-bindgen, kept in IndexedDB.
//!
//! A thin layer over an untouched core: what states, roots, proofs, bundles and searches are is decided there, so that they are the
//! same bytes as on every other host. This crate adds what a page needs: plain objects to show, a database that survives a reload,
//! and errors with a `code`. The TypeScript types are in `types.d.ts`, the npm package is made by the `cascow-www` program.
//!
//! # Guarantees
//!
//! * Binary values are copied at the boundary, both ways.
//! * Methods take `&self`; asynchronous ones may overlap. Nothing of JavaScript's is called while something is borrowed: a game or a
//!   listener may call anything, and is refused (`busy`) only where it would step the search that asks it.
//! * What fails is an `Error` whose `code` is stable. Nothing panics on outside data.
//!
//! # What it does not do
//!
//! It starts no worker: a page that searches without stalling runs this module in one. It makes no request, and asks no clock but to
//! end a batch, to time a transaction and to date a point.

mod board;
mod database;
mod error;
mod js;
mod manager;
mod proof;
mod search;
mod snapshot;

use wasm_bindgen::prelude::wasm_bindgen;

pub use board::{board, board_of};
pub use database::Database;
pub use manager::StateManager;
pub use proof::{content_hash, verify, verify_many, version};
pub use search::{Search, statistics_of};
pub use snapshot::{Draft, Snapshot};

/// The types that are not classes.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");
