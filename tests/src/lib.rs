// SPDX-License-Identifier: MIT
//! What the tests of this package, and of the crates beside it, share.

pub mod aged_disk;
pub mod browser;
pub mod ledger;
pub mod npm;
pub mod oracle;
pub mod program;
pub mod sandbox;
pub mod searches;
pub mod simulated;
pub mod store_conformance;
pub mod workspace_conformance;

/// An object of a process with this seed: every fourth is the same for all of them, some compress, and few are long.
pub fn object(seed: u32, number: u32) -> Vec<u8> {
    let seed = if number.is_multiple_of(4) { 0 } else { seed };
    let line = format!("object {number} of {seed}; ");
    match number % 64 {
        63 => line.repeat(4000).into_bytes(),
        short => line.repeat(1 + short as usize % 5).into_bytes(),
    }
}

/// The examples of the README and of the guides, which must run.
#[cfg(doctest)]
mod examples {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../guides/native.md")]
    struct Native;
    #[doc = include_str!("../../guides/devices.md")]
    struct Devices;
}
