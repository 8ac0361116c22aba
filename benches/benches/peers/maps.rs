// SPDX-License-Identifier: MIT
//! Forking a state and changing one key, reading a key, and the memory of a million forks, beside the persistent maps that people
//! fork states with today.

use std::hint::black_box;

use cascow_benches::measure::{Contestant, kept, repeated};
use cascow_benches::memory::live;
use cascow_benches::report::{Duel, Report, Unit};
use rpds::HashTrieMapSync;

use crate::Entry;

const SIZES: [u64; 3] = [64, 1024, 65_536];
const VERSIONS: u64 = 1_000_000;

type OrdMap = imbl::OrdMap<u64, [u8; 32]>;
type HashMap = imbl::HashMap<u64, [u8; 32]>;
type TrieMap = HashTrieMapSync<u64, [u8; 32]>;

pub(crate) fn run(report: &mut Report) {
    for keys in SIZES {
        let entries = crate::entries(keys);
        let fork = |then, peer, at_least| Duel {
            work: format!(
                "fork a state of {keys} keys and change one (8-byte keys, 32-byte values), each fork {then}"
            ),
            peer,
            unit: Unit::Time,
            at_least,
        };
        let (ord, hash, trie) = (
            "imbl 7 OrdMap, clone + insert",
            "imbl 7 HashMap, clone + insert",
            "rpds 1 HashTrieMapSync, insert",
        );
        let then = "dropped at once";
        report.peer_alone(&fork(then, ord, Some(4.0)), repeated(forks::<OrdMap>(&entries)));
        report.peer_alone(&fork(then, hash, None), repeated(forks::<HashMap>(&entries)));
        report.peer_alone(&fork(then, trie, None), repeated(forks::<TrieMap>(&entries)));
        // As a search keeps them: new memory each time.
        let then = "kept";
        report.peer_alone(&fork(then, ord, Some(4.0)), kept(forks::<OrdMap>(&entries)));
        report.peer_alone(&fork(then, hash, None), kept(forks::<HashMap>(&entries)));
        report.peer_alone(&fork(then, trie, None), kept(forks::<TrieMap>(&entries)));

        let read = |peer| Duel {
            work: format!("read a key of a state of {keys} keys, keys in no order"),
            peer,
            unit: Unit::Time,
            at_least: None,
        };
        report.peer_alone(&read("imbl 7 OrdMap"), reads::<OrdMap>(&entries));
        report.peer_alone(&read("imbl 7 HashMap"), reads::<HashMap>(&entries));
        report.peer_alone(&read("rpds 1 HashTrieMapSync"), reads::<TrieMap>(&entries));
    }
    let entries = crate::entries(1024);
    println!("memory of a fork with one changed key of 1024, one million of them");
    println!("    peer   {} bytes (imbl 7 OrdMap)", bytes_a_version::<OrdMap>(&entries));
    println!("    peer   {} bytes (imbl 7 HashMap)", bytes_a_version::<HashMap>(&entries));
    println!("    peer   {} bytes (rpds 1 HashTrieMapSync)", bytes_a_version::<TrieMap>(&entries));
}

/// What the peers have in common.
trait Persistent: Clone + FromIterator<Entry> {
    /// A version with one entry changed.
    fn with(&self, entry: Entry) -> Self;
    fn value(&self, key: u64) -> Option<&[u8; 32]>;
}

impl Persistent for OrdMap {
    fn with(&self, (key, value): Entry) -> Self {
        self.update(key, value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

impl Persistent for HashMap {
    fn with(&self, (key, value): Entry) -> Self {
        self.update(key, value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

impl Persistent for TrieMap {
    fn with(&self, (key, value): Entry) -> Self {
        self.insert(key, value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

/// Forks of one state, each with another key changed.
fn forks<'a, M: Persistent + 'a>(entries: &'a [Entry]) -> impl FnMut() -> M + 'a {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    move || map.with(keys.next_changed())
}

fn reads<'a, M: Persistent + 'a>(entries: &'a [Entry]) -> Contestant<'a> {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    repeated(move || map.value(black_box(keys.next_changed().0)).is_some())
}

/// Bytes that a fork with one changed key adds: its own nodes, and the map itself as it lies in a vector.
fn bytes_a_version<M: Persistent>(entries: &[Entry]) -> u64 {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    let (_versions, bytes) = live(|| {
        let mut versions = Vec::with_capacity(usize::try_from(VERSIONS).unwrap_or(0));
        versions.extend((0..VERSIONS).map(|_| map.with(keys.next_changed())));
        versions
    });
    bytes as u64 / VERSIONS
}

/// The entries round and round, in an order that is not the keys'.
struct Keys<'a> {
    entries: &'a [Entry],
    number: usize,
}

fn keys(entries: &[Entry]) -> Keys<'_> {
    Keys { entries, number: 0 }
}

impl Keys<'_> {
    /// The next entry's key with a value that it did not have.
    fn next_changed(&mut self) -> Entry {
        self.number += 1;
        let (key, mut value) = self.entries[self.number % self.entries.len()];
        value[..8].copy_from_slice(&self.number.to_le_bytes());
        (key, value)
    }
}
