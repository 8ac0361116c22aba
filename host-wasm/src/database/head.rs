// SPDX-License-Identifier: MIT
//! Heads: names that lead into the database, each with its last few versions.
//!
//! A version is a record under the key `[name, number]` that is added and never changed, so that two writers cannot both make the
//! same one. Of a name, the last [`KEPT`] versions stay: when the newest is damaged, or leads to what is, the one before counts.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCHD` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | 8 | the version's number, little-endian |
//! | 16 | 32 | the object that it leads to |
//! | 48 | 32 | hash of all before and of the name |

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};

const MAGIC: [u8; 4] = *b"CCHD";
const VERSION: u8 = 1;
const BODY_LEN: usize = 16 + HASH_LEN;

/// Versions of a head that stay: the one that counts, and two to fall back to.
pub(super) const KEPT: usize = 3;

/// One version of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(super) number: u64,
    /// `None` if its record is damaged.
    pub(super) target: Option<ContentHash>,
}

fn seal(kind: HashKind, body: &[u8], name: &str) -> ContentHash {
    kind.hash(&[body, name.as_bytes()].concat())
}

pub(super) fn encode(kind: HashKind, name: &str, number: u64, target: &ContentHash) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY_LEN + HASH_LEN);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, kind.id(), 0, 0]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(target.as_bytes());
    bytes.extend_from_slice(seal(kind, &bytes, name).as_bytes());
    bytes
}

/// Where a version leads; `None` if the record is not whole, or another's.
pub(super) fn decode(kind: HashKind, name: &str, number: u64, bytes: &[u8]) -> Option<ContentHash> {
    let body = bytes.get(..BODY_LEN)?;
    let target = ContentHash::from_bytes(*body[16..].first_chunk()?);
    (encode(kind, name, number, &target) == bytes).then_some(target)
}

/// The heads in the order of their names, each with its versions in ascending order. They are few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads(Vec<(String, Vec<Version>)>);

impl Heads {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    pub(super) fn insert(&mut self, name: &str, version: Version) {
        let place = self.place(name).unwrap_or_else(|place| {
            self.0.insert(place, (name.to_owned(), Vec::new()));
            place
        });
        let versions = &mut self.0[place].1;
        versions.retain(|other| other.number != version.number);
        let at = versions.partition_point(|other| other.number < version.number);
        versions.insert(at, version);
    }

    /// Drops the versions that are too many, and says which they were.
    pub(super) fn trim(&mut self, name: &str) -> Vec<u64> {
        let Ok(place) = self.place(name) else { return Vec::new() };
        let versions = &mut self.0[place].1;
        let extra = versions.len().saturating_sub(KEPT);
        versions.drain(..extra).map(|version| version.number).collect()
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Ok(place) = self.place(name) {
            self.0.remove(place);
        }
    }

    pub(super) fn versions(&self, name: &str) -> &[Version] {
        self.place(name).map_or(&[], |place| &self.0[place].1)
    }

    /// The greatest number of a version, damaged or not.
    pub(super) fn last(&self, name: &str) -> Option<u64> {
        self.versions(name).last().map(|version| version.number)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All that any version leads to.
    pub(super) fn targets(&self) -> Vec<ContentHash> {
        let versions = self.0.iter().flat_map(|(_, versions)| versions);
        versions.filter_map(|version| version.target).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: HashKind = HashKind::Sha256;

    #[test]
    fn a_record_is_read_under_its_own_name_and_number_alone() {
        let target = KIND.hash(b"target");
        let record = encode(KIND, "game", 3, &target);
        assert_eq!(decode(KIND, "game", 3, &record), Some(target));
        assert_eq!(decode(KIND, "other", 3, &record), None);
        assert_eq!(decode(KIND, "game", 4, &record), None);
        assert_eq!(decode(HashKind::Blake3, "game", 3, &record), None);
    }

    #[test]
    fn any_changed_byte_of_a_record_is_noticed() {
        let record = encode(KIND, "game", 3, &KIND.hash(b"target"));
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(KIND, "game", 3, &damaged), None, "byte {at}");
            assert_eq!(decode(KIND, "game", 3, &record[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn the_last_versions_stay() {
        let mut heads = Heads::default();
        for number in [2, 1, 4, 3] {
            heads.insert("a", Version { number, target: None });
        }
        assert_eq!(heads.trim("a"), [1]);
        assert_eq!(heads.last("a"), Some(4));
        assert_eq!(heads.trim("a"), []);
    }
}
