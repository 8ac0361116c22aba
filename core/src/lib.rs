// SPDX-License-Identifier: MIT
//! Content-addressed, copy-on-write states for tree search.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "alloc")]
pub mod search;
