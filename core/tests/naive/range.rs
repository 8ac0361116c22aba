// SPDX-License-Identifier: MIT
//! Proofs of ranges, written a second time from their description: a prover that builds the whole tree and cuts it down, and
//! a verifier that reads a proof into a structure and puts the tree together again.

use std::ops::Range;

use cascow_core::hash::HashKind;

use crate::naive::{Digest, hash};

/// A chunk of a value as lists see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: Digest,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// A proof as a structure: any field may be forged before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) kind: HashKind,
    pub(crate) offset: u64,
    pub(crate) left: Vec<(Digest, u8)>,
    pub(crate) chunks: Vec<(Digest, u32, u8)>,
    pub(crate) right: Vec<(Digest, u8)>,
}

impl Proof {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = [b"CCBR", &[1, self.kind.id()][..], &self.offset.to_le_bytes()].concat();
        out.push(u8::try_from(self.left.len()).unwrap());
        out.extend(u32::try_from(self.chunks.len()).unwrap().to_le_bytes());
        out.push(u8::try_from(self.right.len()).unwrap());
        let put = |out: &mut Vec<u8>, (digest, joins): &(Digest, u8)| {
            out.extend([&digest[..], &[*joins]].concat());
        };
        self.left.iter().for_each(|end| put(&mut out, end));
        for (name, len, joins) in &self.chunks {
            out.extend([&name[..], &len.to_le_bytes(), &[*joins]].concat());
        }
        self.right.iter().for_each(|end| put(&mut out, end));
        out
    }

    /// Reads carelessly; what was read is right if it encodes to the same bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut take = move |len: usize| {
            let (taken, left) = rest.split_at_checked(len)?;
            rest = left;
            Some(taken)
        };
        take(5)?;
        let kind = HashKind::from_id(take(1)?[0]).ok()?;
        let offset = u64::from_le_bytes(take(8)?.try_into().ok()?);
        let left = take(1)?[0];
        let chunks = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let right = take(1)?[0];
        let mut proof =
            Self { kind, offset, left: Vec::new(), chunks: Vec::new(), right: Vec::new() };
        for _ in 0..left {
            proof.left.push((take(32)?.try_into().ok()?, take(1)?[0]));
        }
        for _ in 0..chunks {
            let name = take(32)?.try_into().ok()?;
            proof.chunks.push((name, u32::from_le_bytes(take(4)?.try_into().ok()?), take(1)?[0]));
        }
        for _ in 0..right {
            proof.right.push((take(32)?.try_into().ok()?, take(1)?[0]));
        }
        Some(proof)
    }

    /// Where each chunk begins, and the last ends, if there can be such a value.
    pub(crate) fn seams(&self) -> Option<Vec<u64>> {
        let mut seams = vec![self.offset];
        for (_, len, _) in &self.chunks {
            seams.push(seams.last()?.checked_add(u64::from(*len)).filter(|_| *len > 0)?);
        }
        (seams.len() > 1).then_some(seams)
    }

    /// The root that the proof leads to, if there can be such a proof.
    pub(crate) fn root(&self) -> Option<Digest> {
        let seams = self.seams()?;
        let bare = |(digest, joins): &(Digest, u8)| (*digest, *joins, true);
        let chunk = |((name, len, joins), offset): (&(Digest, u32, u8), &u64)| {
            let leaf = hash(self.kind, &[&[0], name, &offset.to_le_bytes(), &len.to_le_bytes()]);
            (leaf, *joins, false)
        };
        let left = self.left.iter().map(bare);
        let ends = left.chain(self.chunks.iter().zip(&seams).map(chunk));
        let mut waiting: Vec<(Digest, bool)> = Vec::new();
        for (digest, joins, is_bare) in ends.chain(self.right.iter().map(bare)) {
            waiting.push((digest, is_bare));
            for _ in 0..joins {
                let (right, left) = (waiting.pop()?, waiting.pop()?);
                if right.1 && left.1 {
                    return None;
                }
                waiting.push((hash(self.kind, &[&[1], &left.0, &right.0]), false));
            }
            // A list has at most 2^64 chunks.
            if waiting.len() > 65 {
                return None;
            }
        }
        match &waiting[..] {
            [(whole, _)] => Some(*whole),
            _ => None,
        }
    }
}

/// The whole tree, word by word from RFC 9162, section 2.1.1.
enum Tree {
    Leaf(Named),
    Node(Digest, Box<Tree>, Box<Tree>),
}

impl Tree {
    fn new(kind: HashKind, leaves: &[Named]) -> Self {
        if let [leaf] = leaves {
            return Self::Leaf(leaf.clone());
        }
        let k = (0..).map(|power| 1 << power).take_while(|k| *k < leaves.len()).last().unwrap();
        let (left, right) = (Self::new(kind, &leaves[..k]), Self::new(kind, &leaves[k..]));
        let digest = hash(kind, &[&[1], &left.digest(kind), &right.digest(kind)]);
        Self::Node(digest, left.into(), right.into())
    }

    fn digest(&self, kind: HashKind) -> Digest {
        match self {
            Self::Leaf(Named { name, offset, len }) => {
                hash(kind, &[&[0], name, &offset.to_le_bytes(), &len.to_le_bytes()])
            }
            Self::Node(digest, ..) => *digest,
        }
    }

    fn touches(&self, range: &Range<u64>) -> bool {
        match self {
            Self::Leaf(Named { offset, len, .. }) => {
                (*offset..offset + u64::from(*len)).any(|byte| range.contains(&byte))
            }
            Self::Node(_, left, right) => left.touches(range) || right.touches(range),
        }
    }

    fn first_offset(&self) -> u64 {
        match self {
            Self::Leaf(leaf) => leaf.offset,
            Self::Node(_, left, _) => left.first_offset(),
        }
    }

    /// Adds what is left of the tree when what does not touch the range is cut off; `joins` nodes end with it.
    fn cut_down(&self, range: &Range<u64>, joins: u8, proof: &mut Proof) {
        match self {
            _ if !self.touches(range) => {
                let end = (self.digest(proof.kind), joins);
                if self.first_offset() < range.start {
                    proof.left.push(end);
                } else {
                    proof.right.push(end);
                }
            }
            Self::Leaf(Named { name, offset, len }) => {
                if proof.chunks.is_empty() {
                    proof.offset = *offset;
                }
                proof.chunks.push((*name, *len, joins));
            }
            Self::Node(_, left, right) => {
                left.cut_down(range, 0, proof);
                right.cut_down(range, joins + 1, proof);
            }
        }
    }
}

pub(crate) fn naive_proof(kind: HashKind, leaves: &[Named], range: &Range<u64>) -> Proof {
    let mut proof =
        Proof { kind, offset: 0, left: Vec::new(), chunks: Vec::new(), right: Vec::new() };
    Tree::new(kind, leaves).cut_down(range, 0, &mut proof);
    proof
}
