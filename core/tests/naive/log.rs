// SPDX-License-Identifier: MIT
//! Logs, written a second time: the definitions of RFC 9162 word by word, and verifiers that undo them recursively.

use cascow_core::hash::HashKind;

use crate::naive::{Digest, hash};

/// `MTH(D_n)`, section 2.1.1.
pub(crate) fn mth(kind: HashKind, d: &[Vec<u8>]) -> Digest {
    match d.len() {
        0 => hash(kind, &[]),
        1 => hash(kind, &[&[0], &d[0]]),
        n => {
            let k = (0..).map(|power| 1 << power).take_while(|k| *k < n).last().unwrap();
            hash(kind, &[&[1], &mth(kind, &d[..k]), &mth(kind, &d[k..])])
        }
    }
}

/// `PATH(m, D_n)`, section 2.1.3.1.
pub(crate) fn path(kind: HashKind, m: usize, d: &[Vec<u8>]) -> Vec<Digest> {
    if d.len() == 1 {
        return Vec::new();
    }
    let k = (0..).map(|power| 1 << power).take_while(|k| *k < d.len()).last().unwrap();
    if m < k {
        [path(kind, m, &d[..k]), vec![mth(kind, &d[k..])]].concat()
    } else {
        [path(kind, m - k, &d[k..]), vec![mth(kind, &d[..k])]].concat()
    }
}

/// `SUBPROOF(m, D_n, b)`, section 2.1.4.1.
pub(crate) fn subproof(kind: HashKind, m: usize, d: &[Vec<u8>], b: bool) -> Vec<Digest> {
    if m == d.len() {
        return if b { Vec::new() } else { vec![mth(kind, d)] };
    }
    let k = (0..).map(|power| 1 << power).take_while(|k| *k < d.len()).last().unwrap();
    if m <= k {
        [subproof(kind, m, &d[..k], b), vec![mth(kind, &d[k..])]].concat()
    } else {
        [subproof(kind, m - k, &d[k..], false), vec![mth(kind, &d[..k])]].concat()
    }
}

pub(crate) fn inclusion(
    kind: HashKind,
    index: u64,
    size: u64,
    leaf: &[u8],
    path: &[Digest],
) -> Vec<u8> {
    let len = u32::try_from(leaf.len()).unwrap().to_le_bytes();
    let sizes = [index.to_le_bytes(), size.to_le_bytes()];
    [b"CCLI", &[1, kind.id()][..], sizes.as_flattened(), &len, leaf, path.as_flattened()].concat()
}

pub(crate) fn consistency(kind: HashKind, old: u64, new: u64, path: &[Digest]) -> Vec<u8> {
    let sizes = [old.to_le_bytes(), new.to_le_bytes()];
    [b"CCLC", &[1, kind.id()][..], sizes.as_flattened(), path.as_flattened()].concat()
}

/// A proof of inclusion as a structure: any field may be forged before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inclusion {
    pub(crate) kind: HashKind,
    pub(crate) index: u64,
    pub(crate) size: u64,
    pub(crate) leaf: Vec<u8>,
    pub(crate) path: Vec<Digest>,
}

/// A proof of consistency as a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consistency {
    pub(crate) kind: HashKind,
    pub(crate) old: u64,
    pub(crate) new: u64,
    pub(crate) path: Vec<Digest>,
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Inclusion {
    pub(crate) fn encode(&self) -> Vec<u8> {
        inclusion(self.kind, self.index, self.size, &self.leaf, &self.path)
    }

    /// Reads carelessly; what was read is right if it encodes to the same bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = HashKind::from_id(*bytes.get(5)?).ok()?;
        let len = u32::from_le_bytes(bytes.get(22..26)?.try_into().ok()?);
        let (leaf, path) = bytes[26..].split_at_checked(usize::try_from(len).ok()?)?;
        Some(Self {
            kind,
            index: u64_at(bytes, 6)?,
            size: u64_at(bytes, 14)?,
            leaf: leaf.to_vec(),
            path: path.as_chunks().0.to_vec(),
        })
    }

    /// The root that the proof leads to, if there can be such a proof: `PATH` undone.
    pub(crate) fn root(&self) -> Option<Digest> {
        let leaf = hash(self.kind, &[&[0], &self.leaf]);
        self.climb(self.index, self.size, &self.path, leaf)
    }

    fn climb(&self, m: u64, n: u64, path: &[Digest], leaf: Digest) -> Option<Digest> {
        if m >= n {
            return None;
        }
        let Some((last, rest)) = path.split_last() else { return (n == 1).then_some(leaf) };
        let k = split(n)?;
        Some(if m < k {
            hash(self.kind, &[&[1], &self.climb(m, k, rest, leaf)?, last])
        } else {
            hash(self.kind, &[&[1], last, &self.climb(m - k, n - k, rest, leaf)?])
        })
    }
}

impl Consistency {
    pub(crate) fn encode(&self) -> Vec<u8> {
        consistency(self.kind, self.old, self.new, &self.path)
    }

    /// Reads carelessly; what was read is right if it encodes to the same bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = HashKind::from_id(*bytes.get(5)?).ok()?;
        let (old, new) = (u64_at(bytes, 6)?, u64_at(bytes, 14)?);
        Some(Self { kind, old, new, path: bytes[22..].as_chunks().0.to_vec() })
    }

    /// The roots that the proof leads to from an old one, if there can be such a proof: `SUBPROOF` undone.
    pub(crate) fn roots(&self, old: &Digest) -> Option<(Digest, Digest)> {
        if self.old == 0 || self.old >= self.new {
            return None;
        }
        self.climb(self.old, self.new, true, &self.path, old)
    }

    fn climb(
        &self,
        m: u64,
        n: u64,
        b: bool,
        path: &[Digest],
        old: &Digest,
    ) -> Option<(Digest, Digest)> {
        if m == n {
            return match path {
                [] if b => Some((*old, *old)),
                [digest] if !b => Some((*digest, *digest)),
                _ => None,
            };
        }
        let (last, rest) = path.split_last()?;
        let k = split(n)?;
        let node = |left: &Digest, right: &Digest| hash(self.kind, &[&[1], left, right]);
        if m <= k {
            let (first, second) = self.climb(m, k, b, rest, old)?;
            Some((first, node(&second, last)))
        } else {
            let (first, second) = self.climb(m - k, n - k, false, rest, old)?;
            Some((node(last, &first), node(last, &second)))
        }
    }
}

/// The largest power of two that is less than `n`, if there is one.
fn split(n: u64) -> Option<u64> {
    (0..64).rev().map(|power| 1 << power).find(|k| *k < n)
}
