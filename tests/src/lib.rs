// SPDX-License-Identifier: MIT
//! What the tests of this package, and of the crates beside it, share.

pub mod program;
pub mod sandbox;
pub mod store_conformance;

/// The README's example, which must run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
