// SPDX-License-Identifier: MIT
//! Verification of proofs beside the very hashes that it cannot do without.

use std::hint::black_box;

use cascow_benches::measure::{compare, repeated, singles};
use cascow_benches::report::{Report, Row, Target, spread};
use cascow_core::hash::HashKind;
use cascow_core::merkle::{StateTrie, verify};
use sha2::block_api::compress256;

const KEYS: u64 = 1 << 20;

/// Proofs that are verified in turn: enough that their bytes lie in no order that a processor could learn.
const PROOFS: usize = 64;

pub(crate) fn run(report: &mut Report) {
    let entries: Vec<([u8; 8], [u8; 32])> =
        crate::entries(KEYS).into_iter().map(|(key, value)| (key.to_le_bytes(), value)).collect();
    let trie =
        StateTrie::new(HashKind::Sha256, entries.iter().map(|(key, value)| (&key[..], &value[..])));
    let root = trie.root();
    let step = entries.len() / PROOFS;
    let proofs: Vec<Vec<u8>> = entries
        .iter()
        .step_by(step)
        .map(|(key, value)| trie.prove(key, Some(value)).expect("the state holds the entry"))
        .collect();
    let depths: Vec<u16> = proofs.iter().map(|proof| depth(proof)).collect();

    let mut number = 0;
    let ours = repeated(|| {
        number = (number + 1) % proofs.len();
        verify(black_box(&proofs[number]), &root).is_ok()
    });
    let mut preimages = Preimages::new();
    let mut number = 0;
    let hashes = repeated(|| {
        number = (number + 1) % depths.len();
        preimages.hash(black_box(depths[number]))
    });
    let comparison = compare(ours, hashes);
    let share = comparison.ratio;
    let single = singles(20_000, |number| {
        verify(black_box(&proofs[number as usize % proofs.len()]), &root).is_ok()
    });
    report.row(Row {
        work: format!(
            "verify a proof of inclusion in a state of 2^20 keys (8-byte keys, 32-byte values), SHA-256; \
             singly p50 {:.2} µs, p95 {:.2} µs; ratio: the share of it that its hashes take by themselves",
            single.p50 / 1e3,
            single.p95 / 1e3
        ),
        cascow: format!("{:.2} µs", comparison.ours.median / 1e3),
        peer: format!("{:.2} µs (the compressions of these hashes alone, sha2 0.11)", comparison.peer.median / 1e3),
        ratio: format!("{:.2}", share.median),
        spread: spread(&share, 2),
        target: Some(Target::at_least(share.median, 0.85, "≥ 0.85")),
    });
}

/// The depth that a proof with a key of 8 and a value of 32 bytes names.
fn depth(proof: &[u8]) -> u16 {
    let at = 16 + 4 + 8 + 4 + 32;
    u16::from_le_bytes([proof[at], proof[at + 1]])
}

/// Preimages of the lengths that verification hashes, as the blocks that SHA-256 makes of them; the formats' lengths stand in the
/// core's module `merkle`. Compressed without anything else: no copying, padding or checking is a hash's own.
struct Preimages {
    key: [Block; 1],
    value: [Block; 1],
    /// Of a leaf and of a node: 65 bytes.
    pair: [Block; 2],
    root: [Block; 1],
}

type Block = [u8; 64];

impl Preimages {
    const fn new() -> Self {
        Self { key: [[7; 64]], value: [[7; 64]], pair: [[7; 64]; 2], root: [[7; 64]] }
    }

    /// The hashes of a proof: key, value, leaf, a node for each level, root, each waiting for the one before as there.
    fn hash(&mut self, depth: u16) -> [u32; 8] {
        self.pair[0][0] = compress(&self.key)[0].to_le_bytes()[0];
        self.pair[0][1] = compress(&self.value)[0].to_le_bytes()[0];
        for _ in 0..=depth {
            self.pair[0][2] = compress(&self.pair)[0].to_le_bytes()[0];
        }
        self.root[0][3] = self.pair[0][2];
        compress(&self.root)
    }
}

fn compress(blocks: &[Block]) -> [u32; 8] {
    // Any state will do: the time does not depend on it.
    let mut state = [7; 8];
    compress256(&mut state, black_box(blocks));
    state
}
