// SPDX-License-Identifier: MIT
//! Counts of what can be reached in a number of plies, which many have published: a rule gone wrong shows in them.

use alloc::vec::Vec;

use hashbrown::HashSet;

use super::board::Board;
use crate::hash::{ContentHash, HashKind};

/// The sequences of `depth` legal moves from `board`. Games that end earlier are not counted; a forced pass is a move.
///
/// O(paths to the ply before): the last ply's moves are counted, not played.
pub fn paths<B: Board>(board: &B, depth: u32) -> u64 {
    match depth {
        0 => 1,
        1 => u64::from(board.count_moves()),
        _ => successors(board).map(|next| paths(&next, depth - 1)).sum(),
    }
}

/// The distinct positions that are `depth` legal moves from `board`: distinct by the content hash of their canonical bytes.
///
/// Hashes every successor of every distinct position of the ply before, and keeps, of two plies, a position and of one ply a
/// hash: about 60 bytes for each distinct position of the last ply.
pub fn states<B: Board>(board: &B, depth: u32, hash: HashKind) -> u64 {
    let mut ply = Vec::from([*board]);
    let mut canonical = CanonicalBytes::of::<B>();
    for _ in 0..depth {
        if ply.is_empty() {
            break;
        }
        let mut seen = HashSet::new();
        let mut following = Vec::new();
        for next in ply.iter().flat_map(successors) {
            if seen.insert(hash.hash(canonical.write(&next))) {
                following.push(next);
            }
        }
        ply = following;
    }
    // A `Vec` is never longer than a `u64` counts.
    u64::try_from(ply.len()).unwrap_or(u64::MAX)
}

/// The name of a position by content.
pub fn content_hash<B: Board>(board: &B, hash: HashKind) -> ContentHash {
    hash.hash(CanonicalBytes::of::<B>().write(board))
}

/// Room for the canonical bytes of one position after another.
struct CanonicalBytes {
    words: Vec<u32>,
    bytes: Vec<u8>,
}

impl CanonicalBytes {
    fn of<B: Board>() -> Self {
        Self { words: alloc::vec![0; B::WORDS], bytes: Vec::with_capacity(4 * B::WORDS) }
    }

    fn write<B: Board>(&mut self, board: &B) -> &[u8] {
        board.pack(&mut self.words);
        self.bytes.clear();
        self.bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        &self.bytes
    }
}

fn successors<B: Board>(board: &B) -> impl Iterator<Item = B> {
    // UNWRAP: a board's own moves are legal in it.
    board.moves().map(|action| board.play(action).expect("a listed move is legal"))
}
