// SPDX-License-Identifier: MIT
//! A small harness for benchmarks that stand beside a peer.
//!
//! `cargo bench -p cascow-benches` runs every section and writes `benches/RESULTS.md`; `cargo bench -p cascow-benches -- chunking`
//! runs one and writes that one anew. Each section carries the date and commit of its run: its rows were side by side, those
//! of two sections need not have been.
//!
//! Guarantee: cascow and its peer run in turn, round by round, in one process, so that whatever slows the machine slows
//! both; a ratio is the median of the rounds' own ratios, never a ratio of two medians. That is the reason for this harness:
//! neither criterion nor divan takes turns.
//!
//! What is measured, and against whom, is left to the benchmark `peers`.

pub mod measure;
pub mod memory;
pub mod plot;
pub mod report;
