// SPDX-License-Identifier: MIT
//! The vectors of proofs: good ones of every shape, and one or more of every class of attack, each with what a verifier must say.
//!
//! Made by the naive implementation, which can forge any field; what each must lead to was said twice when it was made, by the
//! naive implementation and by the crate. The file was written once by the example `make-proof-vectors`.

use std::fmt::Write as _;
use std::ops::Range;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::log::{LogTree, TreeHead, verify_consistency, verify_inclusion};
use cascow_core::merkle::range::{RangeError, verify_range};
use cascow_core::merkle::{
    ListRoot, LogRoot, ProofError, StateRoot, StateTrie, verify, verify_many,
};
use cascow_core::snapshot::{Cursor, Edit, SnapshotTree};
use serde_json::{Value, json};

use crate::naive::{self, Digest, KINDS, Map, hash};
use crate::naive_log::{Consistency, Inclusion, mth, path, subproof};
use crate::naive_multi::{End, MultiProof};
use crate::naive_range::{self, Named, naive_proof};
use crate::naive_single::{Proof, Terminal};

/// What a proof is verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    State(Digest),
    Multi(Digest),
    Range(Digest, Range<u64>, Vec<Vec<u8>>),
    Inclusion(u64, Digest),
    Consistency((u64, Digest), (u64, Digest)),
}

#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) kind: HashKind,
    /// The class of attack; none of an honest proof.
    pub(crate) attack: &'static str,
    pub(crate) what: String,
    pub(crate) proof: Vec<u8>,
    pub(crate) trusted: Trusted,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn fault<R>(error: &ProofError<R>) -> &'static str {
    match error {
        ProofError::Truncated => "truncated",
        ProofError::Magic => "magic",
        ProofError::Version { .. } => "version",
        ProofError::HashKind { .. } => "hash",
        ProofError::NotCanonical => "not canonical",
        ProofError::Trailing { .. } => "trailing",
        ProofError::Size { .. } => "size",
        ProofError::Root { .. } => "root",
        _ => panic!("no fault of a proof"),
    }
}

fn fault_of_range(error: &RangeError) -> &'static str {
    match error {
        RangeError::Proof(error) => fault(error),
        RangeError::Empty => "empty",
        RangeError::Range { .. } => "range",
        RangeError::ChunkLen { .. } => "chunk length",
        RangeError::Chunk { .. } => "chunk",
        RangeError::Complete => "complete",
        _ => panic!("no fault of a range"),
    }
}

impl Vector {
    /// What the crate says of it: what an accepted proof states, or the fault.
    pub(crate) fn verdict(&self) -> Result<Value, &'static str> {
        let proof = &self.proof[..];
        let says = |key: &[u8], value: Option<&[u8]>| json!([hex(key), value.map(hex)]);
        match &self.trusted {
            Trusted::State(root) => {
                let statement =
                    verify(proof, &StateRoot::from_bytes(*root)).map_err(|error| fault(&error))?;
                let says = says(statement.key, statement.value);
                Ok(json!({ "entries": statement.entries, "says": [says] }))
            }
            Trusted::Multi(root) => {
                let statements = verify_many(proof, &StateRoot::from_bytes(*root))
                    .map_err(|error| fault(&error))?;
                let entries = statements.clone().next().unwrap().entries;
                let says = statements.map(|said| says(said.key, said.value)).collect::<Value>();
                Ok(json!({ "entries": entries, "says": says }))
            }
            Trusted::Range(root, range, chunks) => {
                let read = || {
                    let mut reader =
                        verify_range(proof, &ListRoot::from_bytes(*root), range.clone())?;
                    let mut bytes = Vec::new();
                    for chunk in chunks {
                        bytes.extend_from_slice(reader.accept(chunk)?);
                    }
                    Ok((bytes, reader.remaining()))
                };
                let (bytes, remaining) = read().map_err(|error| fault_of_range(&error))?;
                Ok(json!({ "bytes": hex(&bytes), "remaining": remaining }))
            }
            Trusted::Inclusion(size, root) => {
                let head = TreeHead { size: *size, root: LogRoot::from_bytes(*root) };
                let entry = verify_inclusion(proof, &head).map_err(|error| fault(&error))?;
                Ok(json!({ "index": entry.index, "leaf": hex(entry.leaf) }))
            }
            Trusted::Consistency(old, new) => {
                let [old, new] = [old, new]
                    .map(|(size, root)| TreeHead { size: *size, root: LogRoot::from_bytes(*root) });
                verify_consistency(proof, &old, &new).map_err(|error| fault(&error))?;
                Ok(json!({}))
            }
        }
    }

    /// Whether the naive implementation takes it, chunks aside.
    pub(crate) fn naive_verdict(&self) -> bool {
        let bytes = &self.proof[..];
        let accepts = || {
            Some(match &self.trusted {
                Trusted::State(root) => {
                    let proof = Proof::decode(bytes)?;
                    proof.encode() == bytes && proof.root()? == *root
                }
                Trusted::Multi(root) => {
                    let proof = MultiProof::decode(bytes)?;
                    proof.encode() == bytes && proof.root()? == *root
                }
                Trusted::Range(root, range, _) => {
                    let proof = naive_range::Proof::decode(bytes)?;
                    let seams = proof.seams()?;
                    proof.encode() == bytes
                        && proof.root()? == *root
                        && !range.is_empty()
                        && (seams[0]..seams[1]).contains(&range.start)
                        && seams[seams.len() - 2] < range.end
                        && range.end <= seams[seams.len() - 1]
                }
                Trusted::Inclusion(size, root) => {
                    let proof = Inclusion::decode(bytes)?;
                    proof.encode() == bytes && proof.size == *size && proof.root()? == *root
                }
                Trusted::Consistency((old, first), (new, second)) => {
                    let proof = Consistency::decode(bytes)?;
                    proof.encode() == bytes
                        && (proof.old, proof.new) == (*old, *new)
                        && proof.roots(first)? == (*first, *second)
                }
            })
        };
        accepts().unwrap_or(false)
    }

    pub(crate) fn to_json(&self) -> Value {
        let (about, trusted) = match &self.trusted {
            Trusted::State(root) => ("state", json!({ "root": hex(root) })),
            Trusted::Multi(root) => ("multi", json!({ "root": hex(root) })),
            Trusted::Range(root, range, chunks) => {
                let chunks: Vec<String> = chunks.iter().map(|chunk| hex(chunk)).collect();
                let range = [range.start, range.end];
                ("range", json!({ "root": hex(root), "range": range, "chunks": chunks }))
            }
            Trusted::Inclusion(size, root) => {
                ("inclusion", json!({ "size": size, "root": hex(root) }))
            }
            Trusted::Consistency((old, first), (new, second)) => {
                ("consistency", json!({ "old": [old, hex(first)], "new": [new, hex(second)] }))
            }
        };
        let (accepted, fault) = match self.verdict() {
            Ok(says) => (says, Value::Null),
            Err(fault) => (Value::Null, fault.into()),
        };
        json!({
            "about": about,
            "hash": self.kind.name(),
            "attack": self.attack,
            "what": self.what,
            "proof": hex(&self.proof),
            "trusted": trusted,
            "accepted": accepted,
            "refused": fault,
        })
    }
}

/// All of them, in the order of the file.
pub(crate) fn all() -> Vec<Vector> {
    let mut all = Vec::new();
    for kind in KINDS {
        for make in [states, multis, ranges, inclusions, consistencies] {
            let mut made = make(kind);
            let honest: Vec<_> =
                made.iter().filter(|vector| vector.attack == HONEST).cloned().collect();
            // Where a forgery changes nothing, since the field is so already, there is no attack.
            let is_honest = |vector: &Vector| {
                honest.iter().any(|honest| {
                    (&honest.proof, &honest.trusted) == (&vector.proof, &vector.trusted)
                })
            };
            made.retain(|vector| vector.attack == HONEST || !is_honest(vector));
            all.extend(made);
        }
    }
    all
}

/// Collects vectors of one kind of proof.
struct Made {
    kind: HashKind,
    vectors: Vec<Vector>,
}

const HONEST: &str = "";

impl Made {
    fn add(
        &mut self,
        attack: &'static str,
        what: impl Into<String>,
        proof: Vec<u8>,
        trusted: &Trusted,
    ) {
        let what = what.into();
        self.vectors.push(Vector {
            kind: self.kind,
            attack,
            what,
            proof,
            trusted: trusted.clone(),
        });
    }

    /// What can be done to the bytes of any proof.
    fn spoil(&mut self, proof: &[u8], trusted: &Trusted) {
        let mut cuts: Vec<usize> = (0..proof.len().min(28)).collect();
        cuts.extend((28..proof.len()).step_by(47));
        cuts.push(proof.len() - 1);
        cuts.dedup();
        for len in cuts {
            self.add("truncated", format!("cut to {len} bytes"), proof[..len].to_vec(), trusted);
        }
        for tail in [&[0][..], &[0xff], &[0; 32], proof] {
            let what = format!("{} bytes more", tail.len());
            self.add("trailing bytes", what, [proof, tail].concat(), trusted);
        }
        let other_id = 3 - self.kind.id();
        let mut with = |attack, what: String, at: usize, byte: u8| {
            let mut altered = proof.to_vec();
            altered[at] = byte;
            self.add(attack, what, altered, trusted);
        };
        for version in [0, 2, 255] {
            with("version confusion", format!("version {version}"), 4, version);
        }
        for id in [0, 3, 255, other_id] {
            with("hash confusion", format!("hash function {id}"), 5, id);
        }
        for magic in [b"CCSP", b"CCMP", b"CCBR", b"CCLI", b"CCLC", b"ccsp"] {
            if proof[..4] != magic[..] {
                let what = format!("magic {}", magic.escape_ascii());
                self.add("version confusion", what, [magic, &proof[4..]].concat(), trusted);
            }
        }
        for bit in (0..proof.len() * 8).step_by(97) {
            let mut altered = proof.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            self.add("flipped bit", format!("bit {bit}"), altered, trusted);
        }
    }
}

fn squares(count: u32) -> Map {
    (0..count).map(|n| (n.to_string().into(), (n * n).to_string().into())).collect()
}

fn trie(kind: HashKind, map: &Map) -> StateTrie {
    StateTrie::new(kind, map.iter().map(|(key, value)| (&key[..], &value[..])))
}

fn prove(kind: HashKind, map: &Map, key: &[u8]) -> Proof {
    let value = map.get(key).map(|value| &value[..]);
    Proof::decode(&trie(kind, map).prove(key, value).unwrap()).unwrap()
}

fn other() -> HashKind {
    HashKind::Blake3
}

fn states(kind: HashKind) -> Vec<Vector> {
    let mut made = Made { kind, vectors: Vec::new() };
    let map = squares(40);
    let root = Trusted::State(naive::root(kind, &map));
    let absent = |is_meant: &dyn Fn(&Proof) -> bool| {
        (40u32..).map(|n| prove(kind, &map, n.to_string().as_bytes())).find(is_meant).unwrap()
    };
    let present = prove(kind, &map, b"7");
    let empty = absent(&|proof| proof.terminal == Terminal::Empty);
    let foreign = absent(&|proof| matches!(proof.terminal, Terminal::Other(..)));
    for (what, proof) in [
        ("presence", &present),
        ("absence, nothing there", &empty),
        ("absence, another leaf there", &foreign),
    ] {
        made.add(HONEST, what, proof.encode(), &root);
    }
    let odd: Map = [(vec![], vec![]), (vec![0; 300], vec![0xff; 200])].into();
    for (what, map, key) in [
        ("one entry, present", squares(1), &b"0"[..]),
        ("one entry, another key", squares(1), b"1"),
        ("no entries", squares(0), b"0"),
        ("an empty key with an empty value", odd.clone(), b""),
        ("a long key with a long value", odd.clone(), &[0; 300]),
        ("an absent key of 200 bytes", odd, &[1; 200]),
    ] {
        let root = Trusted::State(naive::root(kind, &map));
        made.add(HONEST, what, prove(kind, &map, key).encode(), &root);
    }
    let prefix = |key: &[u8]| naive::key_digest(kind, key)[..2].to_vec();
    let mut together =
        (0u32..).map(|n| n.to_string().into_bytes()).filter(|key| prefix(key) == prefix(b"x"));
    let deep: Map = together.by_ref().take(2).map(|key| (key, b"value".to_vec())).collect();
    let deep_root = Trusted::State(naive::root(kind, &deep));
    let (one, two) = (deep.keys().next().unwrap(), deep.keys().last().unwrap());
    let deep_proof = prove(kind, &deep, one);
    made.add(HONEST, "beneath sixteen empty siblings", deep_proof.encode(), &deep_root);
    made.add(
        HONEST,
        "absence where two others go together",
        prove(kind, &deep, &together.next().unwrap()).encode(),
        &deep_root,
    );

    for proof in [&present, &empty, &foreign] {
        made.spoil(&proof.encode(), &root);
    }
    let mut forge = |attack, what: &str, from: &Proof, alter: &dyn Fn(&mut Proof)| {
        let mut forged = from.clone();
        alter(&mut forged);
        made.add(attack, what, forged.encode(), &root);
    };

    // Second preimage. The topmost node's halves shown as a leaf would prove the absence of any key; a leaf's parts as a node's.
    let hashes = map.iter().map(|(key, value)| {
        let key = naive::key_digest(kind, key);
        (naive::bits(&key), naive::leaf(kind, &key, value))
    });
    let hashes = hashes.collect();
    let half = |bit: &str| naive::subtree(kind, &hashes, bit);
    forge("second preimage", "the top node shown as another key's leaf", &empty, &|proof| {
        proof.terminal = Terminal::Other(half("0"), half("1"));
        proof.siblings.clear();
    });
    let key = naive::key_digest(kind, b"7");
    let value = hash(kind, &[&[0x11], &map[&b"7"[..]]]);
    forge("second preimage", "a leaf's parts shown as a level", &present, &|proof| {
        proof.terminal = Terminal::Empty;
        proof.siblings.push(Some(value));
    });
    forge("second preimage", "the top shown as the only leaf", &present, &|proof| {
        proof.terminal = Terminal::Present([half("0"), half("1")].concat());
        proof.siblings.clear();
    });

    for at in 0..present.siblings.len() {
        for (end, proof) in
            [("presence", &present), ("nothing", &empty), ("another leaf", &foreign)]
        {
            if at < proof.siblings.len() {
                forge(
                    "absence by a shorter path",
                    &format!("{end}: nothing at depth {at}"),
                    proof,
                    &|proof| {
                        proof.terminal = Terminal::Empty;
                        proof.siblings.truncate(at);
                    },
                );
                forge(
                    "absence by a shorter path",
                    &format!("{end}: the end at depth {at}"),
                    proof,
                    &|proof| {
                        proof.siblings.truncate(at);
                    },
                );
            }
        }
        let next = (at + 1) % present.siblings.len();
        forge("swapped siblings", &format!("siblings {at} and {next}"), &present, &|proof| {
            proof.siblings.swap(at, next);
        });
        forge("reused sibling", &format!("sibling {at} also as {next}"), &present, &|proof| {
            proof.siblings[next] = proof.siblings[at];
        });
        forge("reused sibling", &format!("sibling {at} twice"), &present, &|proof| {
            proof.siblings.insert(at, proof.siblings[at]);
        });
        forge("left out", &format!("sibling {at}"), &present, &|proof| {
            _ = proof.siblings.remove(at);
        });
        forge("left out", &format!("sibling {at}, said to be empty"), &present, &|proof| {
            proof.siblings[at] = None;
        });
        forge("non-canonical", &format!("sibling {at} is 32 zeros"), &present, &|proof| {
            proof.siblings[at] = Some([0; 32]);
        });
    }
    for (end, proof) in [("presence", &present), ("nothing", &empty), ("another leaf", &foreign)] {
        for name in [&b"8"[..], b"another", b""] {
            forge(
                "foreign key",
                &format!("{end}, of key {}", name.escape_ascii()),
                proof,
                &|proof| proof.key = name.to_vec(),
            );
        }
        for entries in [0, 1, 39, 41, u64::MAX] {
            forge("counts that lie", &format!("{end}, of {entries} entries"), proof, &|proof| {
                proof.entries = entries;
            });
        }
        forge("non-canonical", &format!("{end}, an empty level more"), proof, &|proof| {
            proof.siblings.push(None);
        });
        forge("non-canonical", &format!("{end}, an empty level on top"), proof, &|proof| {
            proof.siblings.insert(0, None);
        });
    }
    forge("foreign key", "the key's own leaf shown as another's", &present, &|proof| {
        proof.terminal = Terminal::Other(key, value);
    });
    for name in map.keys().take(12) {
        let other = naive::key_digest(kind, name);
        let value = hash(kind, &[&[0x11], &map[name]]);
        forge(
            "foreign key",
            &format!("leaf of {} in place of 7's", name.escape_ascii()),
            &present,
            &|proof| proof.terminal = Terminal::Other(other, value),
        );
        forge(
            "foreign key",
            &format!("leaf of {} where nothing is", name.escape_ascii()),
            &empty,
            &|proof| proof.terminal = Terminal::Other(other, value),
        );
    }
    forge("counts that lie", "257 siblings", &present, &|proof| {
        proof.siblings.resize(257, Some([7; 32]));
    });
    forge("counts that lie", "256 siblings", &present, &|proof| proof.siblings.resize(256, None));

    let bytes = present.encode();
    let value_at = 16 + 4 + 1;
    let depth_at = value_at + 4 + map[&b"7"[..]].len();
    let mut poke = |attack, what: &str, at: usize, new: &[u8]| {
        let mut altered = bytes.clone();
        altered[at..at + new.len()].copy_from_slice(new);
        made.add(attack, what, altered, &root);
    };
    poke("non-canonical", "terminal 3", 6, &[3]);
    poke("non-canonical", "the zero is one", 7, &[1]);
    for len in [u32::MAX, 1 << 31, 1 << 16, 0] {
        poke("counts that lie", &format!("a key of {len} bytes"), 16, &len.to_le_bytes());
        poke("counts that lie", &format!("a value of {len} bytes"), value_at, &len.to_le_bytes());
    }
    for depth in [0, 1, 255, 256, 257, u16::MAX] {
        poke("counts that lie", &format!("a depth of {depth}"), depth_at, &depth.to_le_bytes());
    }
    poke("non-canonical", "marks beyond the depth", depth_at + 2, &[0xff]);
    let mut sealed = empty.encode();
    sealed[16 + 4 + empty.key.len()] ^= 1;
    made.add("non-canonical", "the seal of another key", sealed, &root);

    // What a shared prefix might allow: the leaf of one of the two shown for the other, and the whole as absence.
    let mut forged = deep_proof.clone();
    forged.key = two.clone();
    made.add(
        "foreign key",
        "one of two that go together, as the other",
        forged.encode(),
        &deep_root,
    );
    let mut forged = prove(kind, &deep, two);
    let digest = naive::key_digest(kind, one);
    forged.terminal = Terminal::Other(digest, hash(kind, &[&[0x11], b"value"]));
    made.add(
        "foreign key",
        "one of two that go together, in the other's place",
        forged.encode(),
        &deep_root,
    );
    let mut forged = deep_proof;
    forged.terminal = Terminal::Empty;
    forged.siblings.truncate(9);
    made.add(
        "absence by a shorter path",
        "beneath nine empty siblings, nothing",
        forged.encode(),
        &deep_root,
    );

    let confused = if kind == other() { HashKind::Sha256 } else { other() };
    made.add(
        "hash confusion",
        "the proof of the other function's state",
        prove(confused, &map, b"7").encode(),
        &root,
    );
    made.add(
        "hash confusion",
        "with the other function's root",
        bytes.clone(),
        &Trusted::State(naive::root(confused, &map)),
    );
    made.add(
        "wrong root",
        "of another state",
        bytes.clone(),
        &Trusted::State(naive::root(kind, &squares(41))),
    );
    made.add(
        "wrong root",
        "the topmost digest itself",
        bytes,
        &Trusted::State(naive::subtree(kind, &hashes, "")),
    );
    made.vectors
}

fn multis(kind: HashKind) -> Vec<Vector> {
    let mut made = Made { kind, vectors: Vec::new() };
    let prove = |map: &Map, keys: &[u32]| {
        let keys: Vec<Vec<u8>> = keys.iter().map(|n| n.to_string().into()).collect();
        let keys = keys.iter().map(|key| (&key[..], map.get(key).map(|value| &value[..])));
        MultiProof::decode(&trie(kind, map).prove_many(keys).unwrap()).unwrap()
    };
    let map = squares(12);
    let root = Trusted::Multi(naive::root(kind, &map));
    let honest = prove(&map, &[3, 5, 7, 50, 51, 52, 53, 54, 55, 56]);
    made.add(HONEST, "every end there is", honest.encode(), &root);
    for (what, entries, keys) in [
        ("two entries, neighbours", 2, &[0, 7, 8, 9][..]),
        ("one entry, present and absent", 1, &[0, 1, 2]),
        ("one entry, absent", 1, &[1, 2]),
        ("no entries", 0, &[1, 2]),
        ("one key", 3, &[2]),
        ("all keys", 12, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ] {
        let map = squares(entries);
        let root = Trusted::Multi(naive::root(kind, &map));
        made.add(HONEST, what, prove(&map, keys).encode(), &root);
    }
    made.spoil(&honest.encode(), &root);
    let small = squares(2);
    let small_root = Trusted::Multi(naive::root(kind, &small));
    made.spoil(&prove(&small, &[0, 7, 8, 9]).encode(), &small_root);

    let mut forge = |attack, what: &str, alter: &dyn Fn(&mut MultiProof)| {
        let mut forged = honest.clone();
        alter(&mut forged);
        made.add(attack, what, forged.encode(), &root);
    };
    let count = honest.records.len();
    for at in 0..count {
        let next = (at + 1) % count;
        forge("wrong index", &format!("keys {at} and {next} change places"), &|proof| {
            proof.records.swap(at, next);
        });
        forge("duplicated leaf", &format!("key {at} twice"), &|proof| {
            proof.records.insert(at, proof.records[at].clone());
        });
        forge("left out", &format!("key {at}"), &|proof| _ = proof.records.remove(at));
        forge("foreign key", &format!("key {at} is another"), &|proof| {
            proof.records[at].key = b"another".to_vec();
        });
        forge("absence by a shorter path", &format!("key {at}: nothing there"), &|proof| {
            proof.records[at].end = End::Nothing;
        });
        forge("foreign key", &format!("key {at}: a neighbour's leaf"), &|proof| {
            proof.records[at].end = End::Neighbours;
        });
        forge("second preimage", &format!("key {at}: 32 bytes as its value"), &|proof| {
            proof.records[at].end = End::Own(vec![7; 32]);
        });
        forge("foreign key", &format!("key {at}: its own leaf as another's"), &|proof| {
            let key = naive::key_digest(kind, &proof.records[at].key);
            proof.records[at].end = End::Other(key, [7; 32]);
        });
        forge("non-canonical", &format!("key {at} joins the one before"), &|proof| {
            proof.records[at].path = None;
        });
        if let Some(path) = &honest.records[at].path {
            forge("absence by a shorter path", &format!("key {at} without a path"), &|proof| {
                proof.records[at].path = Some(Vec::new());
            });
            forge("non-canonical", &format!("key {at}, an empty level more"), &|proof| {
                proof.records[at].path.as_mut().unwrap().push(None);
            });
            forge("counts that lie", &format!("key {at} climbs 257 levels"), &|proof| {
                proof.records[at].path.as_mut().unwrap().resize(257, None);
            });
            for (level, sibling) in path.iter().enumerate() {
                forge("non-canonical", &format!("key {at}, level {level} is 32 zeros"), &|proof| {
                    proof.records[at].path.as_mut().unwrap()[level] = Some([0; 32]);
                });
                forge("left out", &format!("key {at}, level {level}"), &|proof| {
                    _ = proof.records[at].path.as_mut().unwrap().remove(level);
                });
                if sibling.is_none() {
                    forge(
                        "reused sibling",
                        &format!("key {at}, level {level} is there twice"),
                        &|proof| {
                            let any = proof
                                .records
                                .iter()
                                .flat_map(|record| record.path.iter().flatten().flatten())
                                .next()
                                .copied();
                            proof.records[at].path.as_mut().unwrap()[level] = any;
                        },
                    );
                }
            }
        }
    }
    for entries in [0, 11, 13, u64::MAX] {
        forge("counts that lie", &format!("{entries} entries"), &|proof| proof.entries = entries);
    }
    let bytes = honest.encode();
    for keys in [0, 1, 9, 11, u32::MAX] {
        let altered = [&bytes[..14], &keys.to_le_bytes(), &bytes[18..]].concat();
        made.add("counts that lie", format!("{keys} keys"), altered, &root);
    }
    for tag in 3..=255u8 {
        if tag < 10 || tag.is_power_of_two() {
            let altered = [&bytes[..18], &[tag], &bytes[19..]].concat();
            made.add("non-canonical", format!("the first key's end is {tag}"), altered, &root);
        }
    }
    let none = MultiProof { kind, entries: 12, records: Vec::new() };
    made.add("counts that lie", "no keys", none.encode(), &root);
    // What of some keys is altered may be the one proof of others, and true.
    for vector in
        made.vectors.iter_mut().filter(|vector| vector.trusted == root && vector.attack != HONEST)
    {
        let Some(proof) = MultiProof::decode(&vector.proof) else { continue };
        let keys: Vec<&[u8]> = proof.records.iter().map(|record| &record.key[..]).collect();
        let asked = keys.iter().map(|key| (*key, map.get(*key).map(|value| &value[..])));
        if trie(kind, &map).prove_many(asked).is_ok_and(|honest| honest == vector.proof) {
            vector.attack = HONEST;
        }
    }
    made.vectors
}

fn ranges(kind: HashKind) -> Vec<Vector> {
    let mut made = Made { kind, vectors: Vec::new() };
    let chunks: Vec<Vec<u8>> =
        (0..11).map(|n| format!("chunk {n}, {}", "-".repeat(n)).into()).collect();
    let leaves = |chunks: &[Vec<u8>]| {
        let mut offset = 0;
        let name = |chunk: &Vec<u8>| {
            let named = Named {
                name: hash(kind, &[chunk]),
                offset,
                len: u32::try_from(chunk.len()).unwrap(),
            };
            offset += u64::from(named.len);
            named
        };
        chunks.iter().map(name).collect::<Vec<Named>>()
    };
    let list = leaves(&chunks);
    let whole = list.iter().map(|leaf| u64::from(leaf.len)).sum::<u64>();
    let root_of = |list: &[Named]| naive_proof(kind, list, &(0..1)).root().unwrap();
    let root = root_of(&list);
    let of = |range: Range<u64>| {
        let touched = list.iter().enumerate().filter(|(_, leaf)| {
            leaf.offset < range.end && range.start < leaf.offset + u64::from(leaf.len)
        });
        let chunks = touched.map(|(at, _)| chunks[at].clone()).collect::<Vec<_>>();
        (naive_proof(kind, &list, &range), Trusted::Range(root, range, chunks))
    };
    let seam = |at: usize| list[at].offset;
    for (what, range) in [
        ("the middle", seam(4) + 3..seam(6) + 2),
        ("all", 0..whole),
        ("the first byte", 0..1),
        ("the last byte", whole - 1..whole),
        ("one chunk exactly", seam(5)..seam(6)),
        ("the last two chunks", seam(9)..whole),
        ("a single byte at a seam", seam(8)..seam(8) + 1),
    ] {
        let (proof, trusted) = of(range);
        made.add(HONEST, what, proof.encode(), &trusted);
    }
    let lone = leaves(&chunks[..1]);
    let trusted = Trusted::Range(root_of(&lone), 1..4, vec![chunks[0].clone()]);
    made.add(HONEST, "a list of one chunk", naive_proof(kind, &lone, &(1..4)).encode(), &trusted);

    let range = seam(4) + 3..seam(6) + 2;
    let (honest, trusted) = of(range.clone());
    made.spoil(&honest.encode(), &trusted);
    let Trusted::Range(_, _, sent) = trusted.clone() else { unreachable!() };

    let with = |range: Range<u64>| Trusted::Range(root, range, sent.clone());
    for (what, range) in [
        ("no bytes", range.start..range.start),
        ("from the chunk before", seam(4) - 1..range.end),
        ("into the chunk after", range.start..seam(7) + 1),
        ("without the last chunk", range.start..seam(6)),
        ("without the first chunk", seam(5)..range.end),
        ("beyond the end", whole..whole + 1),
        ("of the last number", u64::MAX - 1..u64::MAX),
    ] {
        made.add("wrong range", what, honest.encode(), &with(range));
    }
    let mut received = |attack, what: &str, alter: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut chunks = sent.clone();
        alter(&mut chunks);
        made.add(attack, what, honest.encode(), &Trusted::Range(root, range.clone(), chunks));
    };
    received("wrong chunk", "a flipped bit", &|chunks| chunks[1][0] ^= 1);
    received("wrong chunk", "cut short", &|chunks| _ = chunks[0].pop());
    received("wrong chunk", "a byte more", &|chunks| chunks[0].push(0));
    received("wrong chunk", "one after the other, in the wrong order", &|chunks| chunks.reverse());
    received("wrong chunk", "the first twice", &|chunks| chunks.insert(0, chunks[0].clone()));
    received("wrong chunk", "one more at the end", &|chunks| chunks.push(b"more".to_vec()));
    received(HONEST, "the last is still to come", &|chunks| _ = chunks.pop());

    let mut forge = |attack, what: &str, alter: &dyn Fn(&mut naive_range::Proof)| {
        let mut forged = honest.clone();
        alter(&mut forged);
        made.add(attack, what, forged.encode(), &trusted);
    };
    for offset in [0, honest.offset - 1, honest.offset + 1, u64::MAX] {
        forge("wrong index", &format!("offset {offset}"), &|proof| proof.offset = offset);
    }
    for at in 0..honest.chunks.len() {
        let next = (at + 1) % honest.chunks.len();
        forge("swapped siblings", &format!("chunks {at} and {next}"), &|proof| {
            proof.chunks.swap(at, next);
        });
        forge("left out", &format!("chunk {at}"), &|proof| _ = proof.chunks.remove(at));
        forge("duplicated leaf", &format!("chunk {at}"), &|proof| {
            proof.chunks.insert(at, proof.chunks[at]);
        });
        for len in [0, honest.chunks[at].1 + 1, u32::MAX] {
            forge("counts that lie", &format!("chunk {at} of {len} bytes"), &|proof| {
                proof.chunks[at].1 = len;
            });
        }
        for joins in [honest.chunks[at].2 + 1, 255] {
            forge("counts that lie", &format!("chunk {at} joins {joins}"), &|proof| {
                proof.chunks[at].2 = joins;
            });
        }
    }
    for at in 0..honest.left.len() {
        forge("left out", &format!("left subtree {at}"), &|proof| _ = proof.left.remove(at));
        forge("reused sibling", &format!("left subtree {at} twice"), &|proof| {
            proof.left.insert(at, proof.left[at]);
        });
        forge("swapped siblings", &format!("left subtree {at} and the last right one"), &|proof| {
            let last = proof.right.len() - 1;
            std::mem::swap(&mut proof.left[at].0, &mut proof.right[last].0);
        });
        forge("counts that lie", &format!("left subtree {at} joins more"), &|proof| {
            proof.left[at].1 += 1;
        });
    }
    forge("left out", "the right subtrees", &|proof| proof.right.clear());
    forge("second preimage", "a chunk's leaf shown as a subtree", &|proof| {
        let (name, len, joins) = proof.chunks.remove(0);
        let leaf = hash(kind, &[&[0], &name, &proof.offset.to_le_bytes(), &len.to_le_bytes()]);
        proof.left.push((leaf, joins));
        proof.offset += u64::from(len);
    });
    forge("second preimage", "a subtree shown as a chunk", &|proof| {
        let (digest, joins) = proof.left.pop().unwrap();
        proof.chunks.insert(0, (digest, 45, joins));
    });
    forge("non-canonical", "a subtree opened that no chunk is below", &|proof| {
        // The first four chunks are one subtree: its two halves lead to the same root.
        let pair = |at: usize| {
            let leaf = |at: usize| {
                hash(
                    kind,
                    &[
                        &[0],
                        &list[at].name,
                        &list[at].offset.to_le_bytes(),
                        &list[at].len.to_le_bytes(),
                    ],
                )
            };
            hash(kind, &[&[1], &leaf(at), &leaf(at + 1)])
        };
        assert_eq!(hash(kind, &[&[1], &pair(0), &pair(2)]), proof.left[0].0);
        proof.left.splice(0..1, [(pair(0), 0), (pair(2), 1)]);
    });
    forge("counts that lie", "255 subtrees that wait", &|proof| {
        proof.left = vec![([7; 32], 0); 255];
    });
    let bytes = honest.encode();
    for (what, at) in [("left subtrees", 14), ("chunks", 15), ("right subtrees", 19)] {
        for number in [0, bytes[at].wrapping_add(1), 255] {
            let altered = [&bytes[..at], &[number], &bytes[at + 1..]].concat();
            made.add("counts that lie", format!("{number} {what}"), altered, &trusted);
        }
    }
    let altered = [&bytes[..15], &[0xff; 4], &bytes[19..]].concat();
    made.add("counts that lie", "2^32 - 1 chunks", altered, &trusted);

    // CVE-2012-2459: a last leaf doubled, so that each level has a right neighbour.
    let mut doubled = list.clone();
    let last = Named { offset: whole, ..list[10].clone() };
    doubled.push(last);
    let end = whole..whole + 1;
    let longer = Trusted::Range(root, end.clone(), vec![chunks[10].clone()]);
    made.add(
        "duplicated leaf",
        "a last chunk that the list has once",
        naive_proof(kind, &doubled, &end).encode(),
        &longer,
    );
    made.vectors
}

fn log_leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("leaf {n}").into_bytes()).collect()
}

fn inclusions(kind: HashKind) -> Vec<Vector> {
    let mut made = Made { kind, vectors: Vec::new() };
    let prove = |index: u64, leaves: &[Vec<u8>]| Inclusion {
        kind,
        index,
        size: leaves.len() as u64,
        leaf: leaves[usize::try_from(index).unwrap()].clone(),
        path: path(kind, usize::try_from(index).unwrap(), leaves),
    };
    for size in [1, 2, 3, 4, 5, 7, 8, 9, 11] {
        let leaves = log_leaves(size);
        let head = Trusted::Inclusion(size, mth(kind, &leaves));
        for index in [0, size / 2, size - 1] {
            let proof = prove(index, &leaves);
            made.add(HONEST, format!("leaf {index} of {size}"), proof.encode(), &head);
        }
    }
    let empty = vec![vec![], vec![]];
    made.add(
        HONEST,
        "an empty leaf",
        prove(1, &empty).encode(),
        &Trusted::Inclusion(2, mth(kind, &empty)),
    );
    // The longest log there can be: 64 levels.
    let longest = Inclusion {
        kind,
        index: 0,
        size: u64::MAX,
        leaf: b"first".into(),
        path: (0..64).map(|n| [n; 32]).collect(),
    };
    let root = longest.root().unwrap();
    made.add(
        HONEST,
        "the first leaf of the longest log",
        longest.encode(),
        &Trusted::Inclusion(u64::MAX, root),
    );

    let leaves = log_leaves(11);
    let root = mth(kind, &leaves);
    let head = Trusted::Inclusion(11, root);
    let honest = prove(6, &leaves);
    made.spoil(&honest.encode(), &head);
    let mut forge = |attack, what: &str, head: &Trusted, alter: &dyn Fn(&mut Inclusion)| {
        let mut forged = honest.clone();
        alter(&mut forged);
        made.add(attack, what, forged.encode(), head);
    };
    for index in [0, 5, 7, 10, 11, 12, u64::MAX] {
        forge("wrong index", &format!("index {index}"), &head, &|proof| proof.index = index);
    }
    for size in [0, 1, 6, 7, 8, u64::MAX] {
        forge("wrong size", &format!("size {size}"), &head, &|proof| proof.size = size);
        // A head is trusted, so one that lies can make a lie true: where the path has the same turns, which it has not here.
        let lied = Trusted::Inclusion(size, root);
        forge("wrong size", &format!("a head of {size} leaves"), &lied, &|_| {});
        forge("wrong size", &format!("size {size}, and a head of as many"), &lied, &|proof| {
            proof.size = size;
        });
    }
    for at in 0..honest.path.len() {
        let next = (at + 1) % honest.path.len();
        forge("swapped siblings", &format!("siblings {at} and {next}"), &head, &|proof| {
            proof.path.swap(at, next);
        });
        forge("reused sibling", &format!("sibling {at} also as {next}"), &head, &|proof| {
            proof.path[next] = proof.path[at];
        });
        forge("reused sibling", &format!("sibling {at} twice"), &head, &|proof| {
            proof.path.insert(at, proof.path[at]);
        });
        forge("left out", &format!("sibling {at}"), &head, &|proof| _ = proof.path.remove(at));
    }
    forge("foreign key", "another leaf", &head, &|proof| proof.leaf = b"leaf 7".into());
    // The node above the leaf, shown as a leaf one level higher in a log half as long.
    let pair = [hash(kind, &[&[0], b"leaf 6"]), hash(kind, &[&[0], b"leaf 7"])].concat();
    for (what, size) in [("in the same log", 11), ("in a log of half the size", 6)] {
        forge(
            "second preimage",
            &format!("a node shown as a leaf, {what}"),
            &Trusted::Inclusion(size, root),
            &|proof| {
                proof.leaf = pair.clone();
                proof.index = 3;
                proof.size = size;
                proof.path.remove(0);
            },
        );
    }
    forge("counts that lie", "64 siblings", &head, &|proof| proof.path = vec![[7; 32]; 64]);
    let bytes = honest.encode();
    for len in [0, 5, 7, 1 << 16, 1 << 31, u32::MAX] {
        let altered = [&bytes[..22], &len.to_le_bytes(), &bytes[26..]].concat();
        made.add("counts that lie", format!("a leaf of {len} bytes"), altered, &head);
    }
    // CVE-2012-2459: the log of three leaves, and of four whose last is doubled.
    let three = log_leaves(3);
    let mut four = three.clone();
    four.push(three[2].clone());
    let (three_root, four_root) = (mth(kind, &three), mth(kind, &four));
    let doubled = prove(3, &four).encode();
    made.add(
        "duplicated leaf",
        "a fourth leaf that three have not",
        doubled.clone(),
        &Trusted::Inclusion(3, three_root),
    );
    made.add(
        "duplicated leaf",
        "four leaves with the root of three",
        doubled,
        &Trusted::Inclusion(4, three_root),
    );
    made.add(
        "duplicated leaf",
        "three leaves with the root of four",
        prove(2, &three).encode(),
        &Trusted::Inclusion(3, four_root),
    );
    made.vectors
}

fn consistencies(kind: HashKind) -> Vec<Vector> {
    let mut made = Made { kind, vectors: Vec::new() };
    let root = |size: u64| mth(kind, &log_leaves(size));
    let heads = |old: u64, new: u64| Trusted::Consistency((old, root(old)), (new, root(new)));
    let prove = |old: u64, new: u64| {
        let path = subproof(kind, usize::try_from(old).unwrap(), &log_leaves(new), true);
        Consistency { kind, old, new, path }
    };
    for (old, new) in [
        (1, 2),
        (1, 11),
        (2, 3),
        (3, 4),
        (4, 8),
        (6, 7),
        (6, 8),
        (7, 11),
        (8, 9),
        (8, 16),
        (10, 11),
    ] {
        made.add(
            HONEST,
            format!("{old} leaves, then {new}"),
            prove(old, new).encode(),
            &heads(old, new),
        );
    }
    let mut log = LogTree::new(kind);
    log.extend(log_leaves(11));
    assert_eq!(log.prove_consistency(7, 11), Ok(prove(7, 11).encode()));

    let (honest, trusted) = (prove(7, 11), heads(7, 11));
    made.spoil(&honest.encode(), &trusted);
    let mut forge = |attack,
                     what: &str,
                     from: &Consistency,
                     trusted: &Trusted,
                     alter: &dyn Fn(&mut Consistency)| {
        let mut forged = from.clone();
        alter(&mut forged);
        made.add(attack, what, forged.encode(), trusted);
    };
    for size in [0, 1, 6, 8, 10, 11, 12, u64::MAX] {
        forge("wrong size", &format!("from {size}"), &honest, &trusted, &|proof| proof.old = size);
        forge("wrong size", &format!("to {size}"), &honest, &trusted, &|proof| proof.new = size);
        let lied = Trusted::Consistency((size, root(7)), (11, root(11)));
        forge("wrong size", &format!("an old head of {size} leaves"), &honest, &lied, &|_| {});
    }
    for at in 0..honest.path.len() {
        let next = (at + 1) % honest.path.len();
        forge(
            "swapped siblings",
            &format!("digests {at} and {next}"),
            &honest,
            &trusted,
            &|proof| proof.path.swap(at, next),
        );
        forge(
            "reused sibling",
            &format!("digest {at} also as {next}"),
            &honest,
            &trusted,
            &|proof| proof.path[next] = proof.path[at],
        );
        forge("reused sibling", &format!("digest {at} twice"), &honest, &trusted, &|proof| {
            proof.path.insert(at, proof.path[at]);
        });
        forge("left out", &format!("digest {at}"), &honest, &trusted, &|proof| {
            _ = proof.path.remove(at);
        });
    }
    let turned = Trusted::Consistency((11, root(11)), (7, root(7)));
    forge("wrong index", "the heads changed places", &honest, &turned, &|_| {});
    forge("wrong index", "sizes and heads changed places", &honest, &turned, &|proof| {
        std::mem::swap(&mut proof.old, &mut proof.new);
    });
    let same = Trusted::Consistency((7, root(7)), (7, root(7)));
    forge("wrong size", "of one log with itself", &honest, &same, &|proof| {
        proof.new = 7;
        proof.path.clear();
    });
    let none = Trusted::Consistency((0, hash(kind, &[])), (11, root(11)));
    forge("wrong size", "from a log without leaves", &honest, &none, &|proof| {
        proof.old = 0;
        proof.path.clear();
    });
    // A perfect old log needs no digest of its own; with it, the proof is not the RFC's.
    let (perfect, perfect_heads) = (prove(4, 8), heads(4, 8));
    forge("non-canonical", "the old root is there too", &perfect, &perfect_heads, &|proof| {
        proof.path.insert(0, root(4));
    });
    forge("second preimage", "a leaf's digest as a subtree", &perfect, &perfect_heads, &|proof| {
        proof.path[0] = hash(kind, &[&[0], b"leaf 4"]);
    });
    let forked = Trusted::Consistency((7, hash(kind, &[b"another log"])), (11, root(11)));
    forge("wrong root", "from another log", &honest, &forked, &|_| {});
    let forked = Trusted::Consistency((4, hash(kind, &[b"another log"])), (8, root(8)));
    forge("wrong root", "from another perfect log", &perfect, &forked, &|_| {});
    let doubled = Trusted::Consistency((3, root(3)), (4, root(3)));
    forge("duplicated leaf", "three leaves as four", &prove(3, 4), &doubled, &|_| {});
    made.vectors
}

/// What is measured of a state of 2^20 entries, and the two proofs of it that devices verify: of a single key, of the median
/// length, and of 100 keys.
pub(crate) fn million() -> (Value, Vec<Vector>) {
    let kind = HashKind::Sha256;
    let entry = |n: u32| (format!("key {n}").into_bytes(), format!("value {n}").into_bytes());
    let entries: Vec<_> = (0..1 << 20).map(entry).collect();
    let mut tree = SnapshotTree::new();
    let edits = entries.iter().map(|(key, value)| Edit::write(key, &value[..]));
    let whole = tree.create(edits).unwrap();
    // A trie that keeps its digests makes each proof without hashing the state again.
    let mut cursor = Cursor::at(&tree, whole).unwrap();
    let trie = cursor.trie(&tree, kind).unwrap();
    let root = *trie.root().as_bytes();
    let mut singles: Vec<Vec<u8>> = (0..1_000)
        .map(|n| &entries[n * 1_048 + 7])
        .map(|(key, value)| trie.prove(key, Some(value)).unwrap())
        .collect();
    let asked: Vec<_> = (0..100).map(|n| &entries[n * 10_480 + 7]).collect();
    let hundred: usize =
        asked.iter().map(|(key, value)| trie.prove(key, Some(value)).unwrap().len()).sum();
    let multi =
        trie.prove_many(asked.iter().map(|(key, value)| (&key[..], Some(&value[..])))).unwrap();
    singles.sort_by_key(Vec::len);
    let lens = |at: usize| singles[at].len();
    let figures = json!({
        "entries": 1 << 20,
        "proofs": 1_000,
        "shortest_bytes": lens(0),
        "median_bytes": lens(500),
        "longest_bytes": lens(999),
        "keys": 100,
        "single_proofs_bytes": hundred,
        "multi_proof_bytes": multi.len(),
    });
    let vector = |what: &str, proof, trusted| Vector {
        kind,
        attack: HONEST,
        what: what.into(),
        proof,
        trusted,
    };
    let state =
        vector("of median length, among 2^20 entries", singles[500].clone(), Trusted::State(root));
    let multi = vector("100 keys of 2^20 entries", multi, Trusted::Multi(root));
    (figures, vec![state, multi])
}

/// A file: one vector a line.
pub(crate) fn document(figures: Option<&Value>, vectors: &[Vector]) -> String {
    let lines: Vec<String> = vectors.iter().map(|vector| vector.to_json().to_string()).collect();
    let figures = figures.map_or(String::new(), |figures| format!("\"figures\": {figures},\n"));
    format!(
        "{{\"format\": \"cascow proofs 1\",\n{figures}\"vectors\": [\n{}\n]}}\n",
        lines.join(",\n")
    )
}

/// The name of an object with these bytes: what a file's digest is frozen as.
pub(crate) fn name(bytes: &[u8]) -> ContentHash {
    HashKind::Sha256.hash(bytes)
}
