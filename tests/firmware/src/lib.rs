// SPDX-License-Identifier: MIT
//! Verifies proofs on a Cortex-M without heap.
//!
//! `receive` is the example: it receives messages in pieces, verifies, and says what it found. The images `state`, `logs`, `many`,
//! `ranges` and `all` hold verifiers and nothing else, to be measured.
//!
//! None of them has a way to panic or to allocate: they would not link. See [`sys`]. (With BLAKE3 as well, which none of the
//! measured images has, `receive` has a way to panic.)
#![no_std]

pub mod face;
mod mem;
pub mod sys;
