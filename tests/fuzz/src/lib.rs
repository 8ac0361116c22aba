// SPDX-License-Identifier: MIT
//! What the fuzz targets do with their bytes: a function each, which panics if the core is wrong.
//!
//! A proof is read by the core and by the naive implementation of the core's tests, which reads it into a structure, writes it
//! again and computes the root another way. They must agree whether it is a proof, to which root it leads, and what it says.
//! Since bytes seldom hold a right seal by chance, what can be read at all is written again, with its seals right, and looked
//! at once more.
//!
//! Bundles are read by both in the same way; what is one is imported, exported again, and imported once more.
//!
//! Pieces of a proof, however they come, make it up from the front or are refused.
//!
//! Saved searches with bytes changed are refused or go on.
//!
//! Objects are read, and what is accepted must be what its fields encode to.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/mod.rs"]
mod naive;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/bundle.rs"]
mod naive_bundle;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/log.rs"]
mod naive_log;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/multi.rs"]
mod naive_multi;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/range.rs"]
mod naive_range;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../../core/tests/naive/single.rs"]
mod naive_single;

mod bundles;
mod objects;
mod pieces;
mod proofs;
mod searches;

pub use bundles::bundle;
pub use objects::{delta, entry, frame, listing};
pub use pieces::piece;
pub use proofs::{consistency, inclusion, multi, range, state};
pub use searches::search;
