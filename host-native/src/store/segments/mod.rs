// SPDX-License-Identifier: MIT
//! Objects one after another in segments, found through an index.
//!
//! | path | holds |
//! |---|---|
//! | `segments/00000001`, … | [segments](format): objects, appended and never overwritten |
//! | `index/` | an LMDB environment: [where each object lies](index) |
//! | `lock` | held, shared, by who uses the store; alone, by who makes the index anew, or may only read it |
//!
//! The segments are the truth and the index follows from them: a missing, cut off or invalid index is made again from the segments
//! when the store is opened. Key and value are kept apart as in `WiscKey` (Lu and others, FAST 2016).
//!
//! # Guarantees
//!
//! * A change is published in this order: bytes are appended to a segment, the segment is synced, the index names them. So the
//!   index never names what a loss of power could take.
//! * A writing process appends to a segment of its own, under a kernel lock that vanishes with it. What a killed one left
//!   half-written is stepped over: the next writer appends behind it, and nobody reads it.
//! * Every read decodes within a bound and compares the hash.
//!
//! # What it leaves to others
//!
//! Deleting an object takes it out of the index; its bytes stay in their segment until [the collector](sweep) rewrites that, and an
//! index made anew names them again. Damage within the pages of the index is noticed where it leads to a wrong place, but LMDB
//! keeps no checksums of its own.

mod check;
mod format;
mod index;
mod number;
mod reader;
mod recovery;
mod store;
mod sweep;
mod tails;
mod writer;

pub use store::{Durability, SegmentStore};
pub(crate) use sweep::SegmentMarks;
