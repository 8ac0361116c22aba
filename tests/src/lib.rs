// SPDX-License-Identifier: MIT
//! What the tests of this package, and of the crates beside it, share.

pub mod program;
pub mod sandbox;
pub mod store_conformance;
