// SPDX-License-Identifier: MIT
//! Proofs of many keys, written a second time from their description: over strings of bits, with every piece of the trie in a
//! map under its prefix, and the root computed from the top down.

use std::collections::BTreeMap;

use cascow_core::hash::HashKind;

use crate::naive::{self, Digest, Map, bits};

/// A proof as a structure: any field may be forged before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MultiProof {
    pub(crate) kind: HashKind,
    pub(crate) entries: u64,
    pub(crate) records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) end: End,
    /// The topmost first; none at all if the path ends where that of the key before does.
    pub(crate) path: Option<Vec<Option<Digest>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Nothing,
    Own(Vec<u8>),
    /// The other leaf's key digest and value digest.
    Other(Digest, Digest),
    /// The same, as of the key before.
    OtherAgain,
    Neighbours,
}

fn number(value: usize, bytes: usize) -> Vec<u8> {
    value.to_le_bytes()[..bytes].to_vec()
}

impl MultiProof {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = [b"CCMP", &[1, self.kind.id()][..], &self.entries.to_le_bytes()].concat();
        out.extend(number(self.records.len(), 4));
        for Record { key, end, path } in &self.records {
            let end_number = match end {
                End::Nothing => 0,
                End::Own(_) => 1,
                End::Other(..) | End::OtherAgain => 2,
                End::Neighbours => 3,
            };
            out.push(end_number + if path.is_some() { 0 } else { 4 });
            out.extend(number(key.len(), 4));
            out.extend(key);
            if let End::Own(value) = end {
                out.extend(number(value.len(), 4));
                out.extend(value);
            } else {
                out.extend(&naive::key_digest(self.kind, key)[24..]);
            }
            if let End::Other(key, value) = end {
                out.extend([*key, *value].as_flattened());
            }
            if let Some(path) = path {
                out.extend(number(path.len(), 2));
                for eight in path.chunks(8) {
                    let bits = eight.iter().rev().map(|sibling| u8::from(sibling.is_some()));
                    out.push(bits.fold(0, |byte, bit| byte << 1 | bit));
                }
                path.iter().rev().flatten().for_each(|sibling| out.extend(sibling));
            }
        }
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
        let value =
            |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let digest = |bytes: &[u8]| Digest::try_from(bytes).unwrap();
        take(5)?;
        let kind = HashKind::from_id(take(1)?[0]).ok()?;
        let entries = u64::from_le_bytes(take(8)?.try_into().unwrap());
        let mut records = Vec::new();
        for _ in 0..value(take(4)?) {
            let tag = take(1)?[0];
            let len = value(take(4)?);
            let key = take(len)?.to_vec();
            let end = match tag % 4 {
                1 => {
                    let len = value(take(4)?);
                    End::Own(take(len)?.to_vec())
                }
                other => {
                    take(8)?;
                    match (other, tag) {
                        (0, _) => End::Nothing,
                        (3, _) => End::Neighbours,
                        (_, 2) => End::Other(digest(take(32)?), digest(take(32)?)),
                        _ => End::OtherAgain,
                    }
                }
            };
            let path = if tag < 4 {
                let levels = value(take(2)?);
                let marks = take(levels.div_ceil(8))?;
                let mut path = vec![None; levels];
                for level in (0..levels).rev().filter(|at| marks[at / 8] >> (at % 8) & 1 == 1) {
                    path[level] = Some(digest(take(32)?));
                }
                Some(path)
            } else {
                None
            };
            records.push(Record { key, end, path });
        }
        Some(Self { kind, entries, records })
    }

    /// The root that the proof leads to, if there can be such a proof.
    pub(crate) fn root(&self) -> Option<Digest> {
        let kind = self.kind;
        let digests: Vec<Digest> =
            self.records.iter().map(|record| naive::key_digest(kind, &record.key)).collect();
        if digests.is_empty() || !digests.windows(2).all(|pair| pair[0] < pair[1]) {
            return None;
        }
        // Records by their ends.
        let mut ends: Vec<Vec<usize>> = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            match &record.path {
                Some(_) => ends.push(vec![index]),
                None => ends.last_mut()?.push(index),
            }
        }
        let mut pieces: BTreeMap<String, Digest> = BTreeMap::new();
        let mut known: Vec<String> = Vec::new();
        let mut prefixes: Vec<String> = Vec::new();
        for (at, end) in ends.iter().enumerate() {
            let way = bits(&digests[end[0]]);
            let path = self.records[end[0]].path.as_ref()?;
            let stop = ends.get(at + 1).map_or(0, |next| {
                let (last, next) = (bits(&digests[*end.last().unwrap()]), bits(&digests[next[0]]));
                last.bytes().zip(next.bytes()).take_while(|(a, b)| a == b).count() + 1
            });
            let prefix = way.get(..stop + path.len())?.to_string();
            if !end.iter().all(|index| bits(&digests[*index]).starts_with(&prefix)) {
                return None;
            }
            for (level, sibling) in path.iter().enumerate() {
                let depth = stop + level;
                let flipped = if way.as_bytes()[depth] == b'0' { '1' } else { '0' };
                let place = format!("{}{flipped}", &way[..depth]);
                match sibling {
                    Some([0, rest @ ..]) if *rest == [0; 31] => return None,
                    Some(sibling) => {
                        if pieces.insert(place, *sibling).is_some() {
                            return None;
                        }
                    }
                    None => known.push(place),
                }
            }
            let piece = self.standing(end, &digests, &prefix)?;
            if pieces.insert(prefix.clone(), piece).is_some() {
                return None;
            }
            prefixes.push(prefix);
        }
        // A sibling that is not there is either made of other keys' ends or empty.
        for place in known {
            if !prefixes.iter().any(|prefix| prefix.starts_with(&place)) {
                pieces.insert(place, [0; 32]);
            }
        }
        let mut used = 0;
        let top = assemble(kind, &pieces, "", &mut used)?;
        (used == pieces.len()).then(|| naive::seal(kind, self.entries, &top))
    }

    fn standing(&self, end: &[usize], digests: &[Digest], prefix: &str) -> Option<Digest> {
        let ends: Vec<&End> = end.iter().map(|index| &self.records[*index].end).collect();
        let own = end.iter().zip(&ends).find_map(|(index, end)| match end {
            End::Own(value) => Some(naive::leaf(self.kind, &digests[*index], value)),
            _ => None,
        });
        let count = |is_meant: fn(&End) -> bool| ends.iter().filter(|end| is_meant(end)).count();
        let is_other = |end: &&End| matches!(end, End::OtherAgain);
        match (ends[0], own) {
            (_, Some(leaf)) => (count(|end| matches!(end, End::Own(_))) == 1
                && count(|end| matches!(end, End::Neighbours)) == ends.len() - 1)
                .then_some(leaf),
            (End::Nothing, None) => {
                (count(|end| *end == End::Nothing) == ends.len()).then_some([0; 32])
            }
            (End::Other(key, value), None) => {
                let is_strange = !end.iter().any(|index| digests[*index] == *key);
                (is_strange
                    && bits(key).starts_with(prefix)
                    && ends[1..].iter().copied().all(|end| is_other(&end)))
                .then(|| naive::hash(self.kind, &[&[0x12], key, value]))
            }
            _ => None,
        }
    }
}

/// The subtree at a prefix: a piece, or a node over its halves.
fn assemble(
    kind: HashKind,
    pieces: &BTreeMap<String, Digest>,
    prefix: &str,
    used: &mut usize,
) -> Option<Digest> {
    if let Some(piece) = pieces.get(prefix) {
        *used += 1;
        return Some(*piece);
    }
    if !pieces.keys().any(|place| place.starts_with(prefix)) {
        return None;
    }
    let left = assemble(kind, pieces, &format!("{prefix}0"), used)?;
    let right = assemble(kind, pieces, &format!("{prefix}1"), used)?;
    Some(naive::node(kind, &left, &right))
}

/// The one proof of what `map` holds under the keys.
pub(crate) fn prove(kind: HashKind, map: &Map, keys: &[Vec<u8>]) -> MultiProof {
    let leaves: BTreeMap<String, (Digest, Digest, &Vec<u8>)> = map
        .iter()
        .map(|(key, value)| {
            let digest = naive::key_digest(kind, key);
            (bits(&digest), (naive::leaf(kind, &digest, value), digest, value))
        })
        .collect();
    let hashes: BTreeMap<String, Digest> =
        leaves.iter().map(|(way, leaf)| (way.clone(), leaf.0)).collect();
    let inside = |prefix: &str| leaves.keys().filter(|way| way.starts_with(prefix)).count();
    let asked: BTreeMap<String, &Vec<u8>> =
        keys.iter().map(|key| (bits(&naive::key_digest(kind, key)), key)).collect();
    let end_of = |way: &str| {
        let depth = (0..=256).find(|depth| inside(&way[..*depth]) <= 1).unwrap();
        way[..depth].to_string()
    };
    let ways: Vec<&String> = asked.keys().collect();
    let mut records: Vec<Record> = Vec::new();
    for (index, way) in ways.iter().enumerate() {
        let prefix = end_of(way);
        let is_joined = index > 0 && end_of(ways[index - 1]) == prefix;
        let standing = leaves.iter().find(|(way, _)| way.starts_with(&prefix));
        let end = match standing {
            None => End::Nothing,
            Some((at, (_, _, value))) if at == *way => End::Own(value.to_vec()),
            Some((at, _)) if asked.contains_key(at) => End::Neighbours,
            Some(_) if is_joined => End::OtherAgain,
            Some((_, (_, key, value))) => End::Other(*key, naive::hash(kind, &[&[0x11], value])),
        };
        let path = (!is_joined).then(|| {
            let next = ways[index..].iter().find(|other| !other.starts_with(&prefix));
            let stop = next.map_or(0, |next| {
                way.bytes().zip(next.bytes()).take_while(|(a, b)| a == b).count() + 1
            });
            let sibling = |depth: usize| {
                let flipped = if way.as_bytes()[depth] == b'0' { '1' } else { '0' };
                let place = format!("{}{flipped}", &way[..depth]);
                let is_known = ways.iter().any(|way| way.starts_with(&place));
                (!is_known && inside(&place) > 0).then(|| naive::subtree(kind, &hashes, &place))
            };
            (stop..prefix.len()).map(sibling).collect()
        });
        records.push(Record { key: asked[*way].clone(), end, path });
    }
    MultiProof { kind, entries: map.len() as u64, records }
}
