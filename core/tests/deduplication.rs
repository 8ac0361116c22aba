// SPDX-License-Identifier: MIT
//! What variations of a state have in common is stored once.
//!
//! A hundred variations of 1 MB for each claim: for time's sake, and enough for the mean to keep within a tenth of a per cent.
#![cfg(all(feature = "std", feature = "sha256"))]

mod variations;

use variations::{Changes, Found, found_again};

const SEED: u64 = 1;
const STATE_LEN: usize = 1_000_000;
const VARIATIONS: u32 = 100;

/// The part that is found again when one byte in so many is changed.
fn found(one_in: usize, changes: Changes) -> Found {
    let found = found_again(SEED, STATE_LEN, VARIATIONS, STATE_LEN / one_in, changes);
    println!("seed {SEED}, one byte in {one_in} changed, {changes:?}: {found:?}");
    found
}

#[test]
fn of_states_with_a_thousandth_changed_in_one_run_99_per_cent_are_found_again() {
    let found = found(1000, Changes::Clustered);
    assert!(found.state.found_of_10_000() >= 9900, "{found:?}");
    // A changed chunk changes one chunk of its list too, which weighs as much.
    assert!(found.with_lists.found_of_10_000() >= 9800, "{found:?}");
}

#[test]
fn of_states_with_a_hundredth_changed_in_one_run_95_per_cent_are_found_again() {
    let found = found(100, Changes::Clustered);
    assert!(found.with_lists.found_of_10_000() >= 9500, "{found:?}");
}

#[test]
fn of_states_with_a_tenth_changed_in_one_run_80_per_cent_are_found_again() {
    let found = found(10, Changes::Clustered);
    assert!(found.with_lists.found_of_10_000() >= 8000, "{found:?}");
}

/// No content-defined chunking can do better: of 4 KiB, four bytes are changed, and nearly no chunk is without one.
#[test]
fn of_states_with_a_thousandth_changed_byte_by_byte_hardly_anything_is_found_again() {
    let found = found(1000, Changes::Scattered);
    assert!((1..500).contains(&found.state.found_of_10_000()), "{found:?}");
}
