// SPDX-License-Identifier: MIT
//! Chunking of 64 MB beside its peer, the `fastcdc` crate.
//!
//! `cargo bench -p cascow-benches --bench chunking`

use std::sync::LazyLock;

use cascow_core::chunk::{ChunkSizes, chunks};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use fastcdc::v2020::FastCDC;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Noise is the common case of chunking: a cut is as likely at one byte as at any other.
static VALUE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut value = vec![0; 64_000_000];
    Xoshiro256PlusPlus::seed_from_u64(64).fill_bytes(&mut value);
    value
});

fn main() {
    divan::main();
}

#[divan::bench]
fn cascow(bencher: Bencher<'_, '_>) {
    let value = VALUE.as_slice();
    bencher.counter(BytesCount::of_slice(value)).bench(|| chunks(black_box(value)).count());
}

#[divan::bench]
fn fastcdc_crate(bencher: Bencher<'_, '_>) {
    let value = VALUE.as_slice();
    let sizes = ChunkSizes::FORMAT;
    bencher
        .counter(BytesCount::of_slice(value))
        .bench(|| FastCDC::new(black_box(value), sizes.min(), sizes.avg(), sizes.max()).count());
}
