// SPDX-License-Identifier: MIT
//! Verification of proofs beside the very hashes that it cannot do without.

use std::hint::black_box;

use cascow_benches::measure::{Comparison, compare, repeated, singles};
use cascow_benches::report::{Report, Row, Target, spread};
use cascow_core::hash::{ContentHash, HashKind};
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
    let mut preimages = Preimages { key: [7; 9], value: [7; 33], pair: [7; 65], root: [7; 43] };
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
    let work = format!(
        "verify a proof of inclusion in a state of 2^20 keys (8-byte keys, 32-byte values), SHA-256; \
         singly p50 {:.2} µs, p95 {:.2} µs; ratio: the share of it that its hashes take by themselves",
        single.p50 / 1e3,
        single.p95 / 1e3
    );
    let row = |work: String, peer: &str, comparison: &Comparison| Row {
        work,
        cascow: format!("{:.2} µs", comparison.ours.median / 1e3),
        peer: format!("{:.2} µs ({peer})", comparison.peer.median / 1e3),
        ratio: format!("{:.2}", comparison.ratio.median),
        spread: spread(&comparison.ratio, 2),
        target: None,
    };
    report.row(Row {
        target: Some(Target::at_least(share.median, 0.85, "≥ 0.85")),
        ..row(work, "the same hashes, by the same function", &comparison)
    });

    let mut number = 0;
    let ours = repeated(|| {
        number = (number + 1) % proofs.len();
        verify(black_box(&proofs[number]), &root).is_ok()
    });
    let mut blocks = Blocks::new();
    let mut number = 0;
    let compressions = repeated(|| {
        number = (number + 1) % depths.len();
        blocks.compress(black_box(depths[number]))
    });
    let comparison = compare(ours, compressions);
    let work = "the same; ratio: the share of the compressions without padding and byte order";
    report.row(row(work.into(), "the compressions of these hashes, sha2 0.11", &comparison));
}

/// The depth that a proof with a key of 8 and a value of 32 bytes names.
fn depth(proof: &[u8]) -> u16 {
    let at = 16 + 4 + 8 + 4 + 32;
    u16::from_le_bytes([proof[at], proof[at + 1]])
}

/// Preimages of the lengths that verification hashes; the formats' lengths stand in the core's module `merkle`.
struct Preimages {
    key: [u8; 9],
    value: [u8; 33],
    /// Of a leaf and of a node.
    pair: [u8; 65],
    root: [u8; 43],
}

impl Preimages {
    /// The hashes of a proof: key, value, leaf, a node for each level, root, each waiting for the one before as there.
    fn hash(&mut self, depth: u16) -> ContentHash {
        let hash = |bytes: &[u8]| HashKind::Sha256.hash(black_box(bytes));
        self.pair[1..33].copy_from_slice(hash(&self.key).as_bytes());
        self.pair[33..].copy_from_slice(hash(&self.value).as_bytes());
        for _ in 0..=depth {
            let digest = hash(&self.pair);
            self.pair[33..].copy_from_slice(digest.as_bytes());
        }
        self.root[11..].copy_from_slice(&self.pair[33..]);
        hash(&self.root)
    }
}

type Block = [u8; 64];

/// As many blocks as SHA-256 makes of each preimage.
struct Blocks {
    one: [Block; 1],
    /// Of a leaf and of a node: 65 bytes.
    two: [Block; 2],
}

impl Blocks {
    const fn new() -> Self {
        Self { one: [[7; 64]], two: [[7; 64]; 2] }
    }

    /// Compresses what the hashes of a proof compress, each waiting for the one before as there.
    fn compress(&mut self, depth: u16) -> u8 {
        let compress = |blocks: &[Block]| {
            // Any state will do: the time does not depend on it.
            let mut state = [7; 8];
            compress256(&mut state, black_box(blocks));
            state[0].to_le_bytes()[0]
        };
        self.two[0][0] = compress(&self.one);
        self.two[0][1] = compress(&self.one);
        for _ in 0..=depth {
            self.two[0][2] = compress(&self.two);
        }
        self.one[0][3] = self.two[0][2];
        compress(&self.one)
    }
}
