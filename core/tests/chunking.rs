// SPDX-License-Identifier: MIT
//! Chunking against its oracle, the `fastcdc` crate.

use cascow_core::chunk::{ChunkSizes, chunks};
use fastcdc::v2020::FastCDC;
use proptest::collection::vec;
use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// The lengths that the oracle gives the chunks of `value`.
fn oracle(value: &[u8], sizes: &ChunkSizes) -> Vec<usize> {
    FastCDC::new(value, sizes.min(), sizes.avg(), sizes.max()).map(|chunk| chunk.length).collect()
}

/// The lengths that we give them, each cut seeing the whole rest.
fn whole(mut value: &[u8], sizes: &ChunkSizes) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !value.is_empty() {
        let length = sizes.cut(value);
        lengths.push(length);
        value = &value[length..];
    }
    lengths
}

fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn assert_oracle_agrees(what: &str, value: &[u8]) {
    let ours: Vec<usize> = chunks(value).map(<[u8]>::len).collect();
    assert_eq!(ours, oracle(value, &ChunkSizes::FORMAT), "{what}, {} bytes", value.len());
}

#[test]
fn random_bytes_of_any_length_are_cut_as_the_oracle_cuts_them() {
    for length in [0, 1, 2, 3, 1000, 65_537, 1 << 20, (1 << 20) + 1, 8 << 20] {
        for seed in 0..4 {
            assert_oracle_agrees(&format!("seed {seed}"), &random(seed, length));
        }
    }
}

/// Around each size the scan ends in another place, and an odd last byte is no candidate.
#[test]
fn lengths_around_the_sizes_are_cut_as_the_oracle_cuts_them() {
    for seed in 0..64 {
        let value = random(seed, 8192 + 8);
        for centre in [2048, 4096, 8192] {
            for length in centre - 8..=centre + 8 {
                assert_oracle_agrees(&format!("seed {seed}"), &value[..length]);
            }
        }
    }
}

/// A value that ends just after its first cut: the byte that decides is among the last, or the odd one.
#[test]
fn values_that_end_around_their_first_cut_are_cut_as_the_oracle_cuts_them() {
    for seed in 0..256 {
        let value = random(seed, 8192 + 16);
        let cut = ChunkSizes::FORMAT.cut(&value);
        for length in cut..=cut + 16 {
            assert_oracle_agrees(&format!("seed {seed}"), &value[..length]);
        }
    }
}

#[test]
fn every_rest_of_a_value_is_cut_as_the_oracle_cuts_it() {
    let value = random(7, 20_000);
    for from in 0..value.len() {
        let ours = ChunkSizes::FORMAT.cut(&value[from..]);
        assert_eq!(
            Some(&ours),
            oracle(&value[from..], &ChunkSizes::FORMAT).first(),
            "seed 7, from {from}"
        );
    }
}

#[test]
fn repetitive_bytes_are_cut_as_the_oracle_cuts_them() {
    for byte in 0..=u8::MAX {
        assert_oracle_agrees(&format!("all {byte}"), &vec![byte; 50_001]);
    }
    for period in (2..=70).chain([255, 256, 257, 1021, 2048, 4095]) {
        let motif = random(period, usize::try_from(period).unwrap());
        let value: Vec<u8> = motif.iter().copied().cycle().take(300_001).collect();
        assert_oracle_agrees(&format!("period and seed {period}"), &value);
    }
}

#[test]
fn structured_bytes_are_cut_as_the_oracle_cuts_them() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);

    let words = [
        "state ",
        "of ",
        "the ",
        "search ",
        "tree, ",
        "a ",
        "snapshot\n",
        "is ",
        "parent ",
        "and ",
        "delta.\n",
    ];
    let mut text = String::new();
    while text.len() < 3 << 20 {
        text.push_str(words[usize::try_from(rng.next_u32()).unwrap() % words.len()]);
    }
    assert_oracle_agrees("text, seed 11", text.as_bytes());

    let mut records: Vec<[u8; 24]> = Vec::new();
    for key in 0..100_000_u64 {
        let mut record = [0; 24];
        record[..8].copy_from_slice(&(key * 3).to_be_bytes());
        record[16..20].copy_from_slice(&rng.next_u32().to_le_bytes());
        records.push(record);
    }
    assert_oracle_agrees("sorted records, seed 11", records.as_flattened());

    let mut sparse = vec![0; 4 << 20];
    for _ in 0..2000 {
        let at = usize::try_from(rng.next_u32()).unwrap() % sparse.len();
        rng.fill_bytes(&mut sparse[at..(at + 90).min(4 << 20)]);
    }
    assert_oracle_agrees("sparse, seed 11", &sparse);
}

/// All legal averages, because each has masks of its own.
#[test]
fn every_average_is_cut_as_the_oracle_cuts_it() {
    let value = random(5, 32 << 20);
    for bits in 8..=22 {
        let avg = 1 << bits;
        let sizes = ChunkSizes::new(avg / 4, avg, avg * 4).unwrap();
        assert_eq!(whole(&value, &sizes), oracle(&value, &sizes), "seed 5, average {avg}");
    }
}

/// Legal sizes small enough for a small value to have many chunks.
fn sizes() -> impl Strategy<Value = ChunkSizes> {
    (32_usize..1024, 8_u32..12, 512_usize..4096)
        .prop_filter_map("sizes ascend", |(min, avg, max)| {
            ChunkSizes::new(min * 2, 1 << avg, max * 2).ok()
        })
}

/// Small values: noise, and short motifs repeated, in which hashes recur.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(any::<u8>(), 0..40_000);
    let motifs = (vec(any::<u8>(), 1..300), 0_usize..40_000)
        .prop_map(|(motif, length)| motif.into_iter().cycle().take(length).collect());
    prop_oneof![noise, motifs]
}

// A failure prints the shrunk input, and the seed to keep in `proptest-regressions`.
proptest! {
    #[test]
    fn any_value_with_any_sizes_is_cut_as_the_oracle_cuts_it(value in value(), sizes in sizes()) {
        prop_assert_eq!(whole(&value, &sizes), oracle(&value, &sizes));
    }

    /// A stream arrives in reads of any length; its buffer is cut only while it holds `max` bytes or the final rest.
    #[test]
    fn a_stream_is_cut_as_the_whole_value(value in value(), sizes in sizes(), reads in vec(1_usize..5000, 1..20)) {
        let mut lengths = Vec::new();
        let mut buffer = Vec::new();
        let mut unread = value.as_slice();
        let mut reads = reads.into_iter().cycle();
        loop {
            while buffer.len() < sizes.max() && !unread.is_empty() {
                let (read, rest) = unread.split_at(reads.next().unwrap().min(unread.len()));
                buffer.extend_from_slice(read);
                unread = rest;
            }
            if buffer.is_empty() {
                break;
            }
            let length = sizes.cut(&buffer);
            buffer.drain(..length);
            lengths.push(length);
        }
        prop_assert_eq!(lengths, whole(&value, &sizes));
    }

    #[test]
    fn chunks_joined_are_the_value_and_keep_to_their_sizes(value in value()) {
        let (fewest, most) = chunks(&value).size_hint();
        let chunks: Vec<&[u8]> = chunks(&value).collect();
        prop_assert!(fewest <= chunks.len() && chunks.len() <= most.unwrap());
        if let [all_but_last @ .., last] = chunks.as_slice() {
            prop_assert!(all_but_last.iter().all(|chunk| (2048..=8192).contains(&chunk.len())));
            prop_assert!((1..=8192).contains(&last.len()));
        }
        prop_assert_eq!(chunks.concat(), value);
    }
}
