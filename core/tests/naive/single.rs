// SPDX-License-Identifier: MIT
//! Proofs of one key, written a second time from their description: read into a structure, written again, and the root computed
//! recursively over strings of bits.

use cascow_core::hash::HashKind;

use crate::naive::{self, Digest};

/// A proof as a structure: any field may be forged before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) kind: HashKind,
    pub(crate) entries: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) terminal: Terminal,
    /// The topmost first; `None` is the empty subtree.
    pub(crate) siblings: Vec<Option<Digest>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    Empty,
    Present(Vec<u8>),
    /// The other leaf's key digest and value digest.
    Other(Digest, Digest),
}

pub(crate) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

impl Proof {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let digest = naive::key_digest(self.kind, &self.key);
        let (number, terminal) = match &self.terminal {
            Terminal::Empty => (0, digest[24..].to_vec()),
            Terminal::Present(value) => (1, prefixed(value)),
            Terminal::Other(key, value) => (2, [&digest[24..], key, value].concat()),
        };
        let depth = u16::try_from(self.siblings.len()).unwrap();
        let mut marks = vec![0; self.siblings.len().div_ceil(8)];
        for (bit, _) in self.siblings.iter().enumerate().filter(|(_, sibling)| sibling.is_some()) {
            marks[bit / 8] |= 1 << (bit % 8);
        }
        let siblings: Vec<Digest> = self.siblings.iter().rev().copied().flatten().collect();
        [
            b"CCSP",
            &[1, self.kind.id(), number, 0][..],
            &self.entries.to_le_bytes(),
            &prefixed(&self.key),
            &terminal,
            &depth.to_le_bytes(),
            &marks,
            siblings.as_flattened(),
        ]
        .concat()
    }

    /// Reads carelessly (a seal is passed over); what was read is right if it encodes to the same bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut at = 5;
        let mut take = |len: usize| {
            at += len;
            bytes.get(at - len..at)
        };
        let number =
            |bytes: &[u8]| bytes.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte));
        let kind = HashKind::from_id(take(1)?[0]).ok()?;
        let terminal = take(2)?[0];
        let entries = u64::from_le_bytes(take(8)?.try_into().ok()?);
        let len = number(take(4)?);
        let key = take(len)?.to_vec();
        let terminal = match terminal {
            0 => {
                take(8)?;
                Terminal::Empty
            }
            1 => {
                let len = number(take(4)?);
                Terminal::Present(take(len)?.to_vec())
            }
            _ => {
                take(8)?;
                Terminal::Other(take(32)?.try_into().ok()?, take(32)?.try_into().ok()?)
            }
        };
        let depth = number(take(2)?);
        let marks = take(depth.div_ceil(8))?.to_vec();
        let mut siblings = vec![None; depth];
        for bit in (0..depth).rev().filter(|bit| marks[bit / 8] >> (bit % 8) & 1 == 1) {
            siblings[bit] = Some(take(32)?.try_into().ok()?);
        }
        Some(Self { kind, entries, key, terminal, siblings })
    }

    /// The root that the proof leads to, if there can be such a proof.
    pub(crate) fn root(&self) -> Option<Digest> {
        let key = naive::key_digest(self.kind, &self.key);
        let path = naive::bits(&key);
        if self.siblings.len() > path.len() || self.siblings.contains(&Some([0; 32])) {
            return None;
        }
        let end = match &self.terminal {
            Terminal::Empty => [0; 32],
            Terminal::Present(value) => naive::leaf(self.kind, &key, value),
            Terminal::Other(other, value) => {
                let goes_along = naive::bits(other).starts_with(&path[..self.siblings.len()]);
                if *other == key || !goes_along {
                    return None;
                }
                naive::hash(self.kind, &[&[0x12], other, value])
            }
        };
        Some(naive::seal(self.kind, self.entries, &self.climb(&path, &self.siblings, end)))
    }

    fn climb(&self, path: &str, siblings: &[Option<Digest>], end: Digest) -> Digest {
        let Some((sibling, deeper)) = siblings.split_first() else { return end };
        let ours = self.climb(&path[1..], deeper, end);
        let sibling = sibling.unwrap_or_default();
        if path.starts_with('1') {
            naive::node(self.kind, &sibling, &ours)
        } else {
            naive::node(self.kind, &ours, &sibling)
        }
    }
}

/// What a proof states, by the naive verifier.
pub(crate) fn naive_verify(bytes: &[u8], root: &Digest) -> Option<Proof> {
    let proof = Proof::decode(bytes)?;
    (proof.encode() == bytes && proof.root()? == *root).then_some(proof)
}
