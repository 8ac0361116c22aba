// SPDX-License-Identifier: MIT
//! Proofs of what a state holds under many keys at once: what their ways through the trie have in common is there once.
//!
//! The guarantee is that of [`verify`](mod@super::verify), for each key: present and absent keys may be mixed. No statement is
//! handed out before the whole proof was verified.
//!
//! # Encoding, version 1
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCMP` |
//! | 1 | version, 1 |
//! | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 8 | number of entries in the state |
//! | 4 | number of keys, at least 1 |
//!
//! Then for each key, strictly ascending by the keys' digests:
//!
//! | bytes | field |
//! |------:|-------|
//! | 1 | what stands at the path's end: 0 nothing, 1 the key's own leaf, 2 another key's leaf, 3 the leaf of another key of this proof; and 4 more if this path ends where that of the key before does |
//! | 4 + n | length of the key, the key |
//! | 4 + n | own leaf: length of the value, the value |
//! | 8 | any other: seal of the key, the last eight bytes of its digest |
//! | 64 | 2, but not 6: the other leaf's key digest and value digest |
//! | 2 | 0 to 3: levels climbed |
//! | (levels + 7) / 8 | 0 to 3: bit i, from the lowest of the first byte, for the i-th level from the topmost of these: a sibling that is not empty is here; the rest zero |
//! | 32 each | 0 to 3: these siblings, the deepest first |
//!
//! Numbers are little-endian. Nothing may follow.
//!
//! The levels climbed go from the path's end up to where the next path with an end of its own branches off, and for the last
//! of them up to the top. On the way, the climb passes the places where earlier paths branched off: there the left half is
//! known already, and the bit is zero. So a depth need not be written, no sibling is there twice, and a reader that wants
//! the next key only need not know a digest.
//!
//! Each fact has one encoding: keys end at the same place exactly if they are marked so; of these, the first carries the
//! other leaf, unless the leaf is one of theirs (1, and 3 for the others); no sibling is the empty digest; a leaf lies on the
//! path of each absent key that it is shown for, and is not its own. The seal is for what it is for in proofs of one key.
//!
//! Length: 18 bytes; for each key 5 bytes and the key, then 4 bytes and the value or a seal of 8 (and 64 once for each foreign
//! leaf); for each end a path of 2 bytes, a bit a level, and its siblings. Of n entries, m keys that are present need about
//! m · (log2(n / m) − 0.5) siblings, where m proofs of one key need m · (log2(n) − 0.5).

use super::proof::{Fault, Input, Path, ProofError, SEAL_LEN, seal};
use super::state::{self, EMPTY, MAX_DEPTH, Subtree};
use super::verify::Statement;
use super::{KeyDigest, Slot, StateRoot};
use crate::hash::HashKind;

const MAGIC: [u8; 4] = *b"CCMP";
const EMPTY_END: u8 = 0;
const OWN_LEAF: u8 = 1;
const OTHER_LEAF: u8 = 2;
const NEIGHBOURS_LEAF: u8 = 3;
/// Added for a path that ends where the one before does.
const JOINED: u8 = 4;

/// What a proof says of one key. `P` is what a record has of siblings, `L` what of another key's leaf: its key digest and value
/// digest.
#[derive(Debug)]
pub(super) struct Record<'a, P, L> {
    pub(super) key: &'a [u8],
    pub(super) claim: Claim<'a, L>,
    /// `None` if the path ends where that of the record before does.
    pub(super) path: Option<P>,
}

/// What stands at the end of the key's path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim<'a, L> {
    /// Nothing.
    Empty,
    /// The key's own leaf.
    Present {
        /// Its value.
        value: &'a [u8],
    },
    /// The leaf of a key that the proof does not state anything about; not repeated in joined records.
    Other(Option<L>),
    /// The leaf of another key that ends at the same place.
    Neighbour,
}

/// Another key's leaf where it stands in a proof.
type ReadLeaf<'a> = (&'a Subtree, &'a Subtree);

impl<'a> Record<'a, Path<'a>, ReadLeaf<'a>> {
    /// Reads a record; says how its key is sealed, if it is.
    fn read(input: &mut Input<'a>) -> Result<(Self, Option<&'a [u8; SEAL_LEN]>), Fault> {
        let [tag] = *input.array()?;
        let is_joined = tag & JOINED != 0;
        let key = input.prefixed()?;
        let (seal, claim) = match tag & !JOINED {
            OWN_LEAF => (None, Claim::Present { value: input.prefixed()? }),
            EMPTY_END => (Some(input.array()?), Claim::Empty),
            NEIGHBOURS_LEAF => (Some(input.array()?), Claim::Neighbour),
            OTHER_LEAF => {
                let seal = input.array()?;
                let leaf = if is_joined { None } else { Some((input.array()?, input.array()?)) };
                (Some(seal), Claim::Other(leaf))
            }
            _ => return Err(Fault::NotCanonical),
        };
        let path = if is_joined { None } else { Some(Path::read(input)?) };
        Ok((Self { key, claim, path }, seal))
    }
}

/// Verifies a proof of many keys and gives its statements, in the order of the keys' digests. Borrows the proof, allocates
/// nothing. Each key costs its digest, for a present one the value's and the leaf's, and a hash for each level climbed.
/// Memory: 8.3 KiB on the stack, a digest for each of 256 levels, whatever the number of keys; [`verify_many_in`] asks for less.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::{StateTrie, verify_many};
///
/// let state = [(&b"board"[..], &b"x.o"[..]), (b"turn", b"x")];
/// let trie = StateTrie::new(HashKind::Sha256, state);
/// let proof = trie.prove_many([(&b"turn"[..], Some(&b"x"[..])), (b"winner", None)]).unwrap();
/// for statement in verify_many(&proof, &trie.root()).unwrap() {
///     assert_eq!(statement.value.is_some(), statement.key == b"turn");
/// }
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Root`] if the proof is not one for this root; every other [`ProofError`] if the bytes are no proof.
pub fn verify_many<'a>(proof: &'a [u8], root: &StateRoot) -> Result<Statements<'a>, ProofError> {
    verify_many_in(proof, root, &mut [Slot::new(); MAX_DEPTH])
}

/// [`verify_many`] in memory that the caller lends: a slot for each place where the way to the key at hand goes right and that to
/// an earlier key went left. So never more than there are keys, less one, and in a state of n entries, whose keys nobody chose
/// by their digests, about log2(n), seldom more than 2 log2(n): 40 slots, 1.3 KiB, for a million entries. 256 always do.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::multi::verify_many_in;
/// use cascow_core::merkle::{ProofError, Slot, StateTrie};
///
/// let state = [(&b"board"[..], &b"x.o"[..]), (b"turn", b"x")];
/// let trie = StateTrie::new(HashKind::Sha256, state);
/// let proof = trie.prove_many(state.map(|(key, value)| (key, Some(value)))).unwrap();
/// assert!(verify_many_in(&proof, &trie.root(), &mut [Slot::new()]).is_ok());
/// assert_eq!(verify_many_in(&proof, &trie.root(), &mut []).unwrap_err(), ProofError::Slots { lent: 0 });
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Slots`] if the proof needs more; else those of [`verify_many`].
pub fn verify_many_in<'a>(
    proof: &'a [u8],
    root: &StateRoot,
    slots: &mut [Slot],
) -> Result<Statements<'a>, ProofError> {
    let mut found = EMPTY;
    let statements = read(proof, slots, &mut found)?;
    if found != *root.as_bytes() {
        return Err(ProofError::Root { expected: *root, found: StateRoot::from_bytes(found) });
    }
    Ok(statements)
}

/// What the proof says, and in `found` the root that it leads to.
fn read<'a>(
    proof: &'a [u8],
    slots: &mut [Slot],
    found: &mut Subtree,
) -> Result<Statements<'a>, Fault> {
    let (mut input, kind) = Input::open(proof, MAGIC)?;
    let entries = input.u64()?;
    let keys = input.u32()?;
    let statements = Statements { kind, entries, keys, records: input.clone() };

    let mut climber = Climber { kind, slots, waiting: 0, least_depth: 0 };
    // Until the first key came, none ends anywhere.
    let none = KeyDigest::from_bytes(EMPTY);
    let mut end = End {
        first: none,
        last: none,
        stands: Stands::Nothing,
        subtree: found,
        path: Path::default(),
    };
    let mut is_first = true;
    for _ in 0..keys {
        let (Record { key, claim, path }, sealed) = Record::read(&mut input)?;
        let digest = state::key_digest(kind, key);
        let is_sealed = sealed.is_none_or(|sealed| sealed == seal(&digest));
        if !is_sealed || (!is_first && end.last >= digest) {
            return Err(Fault::NotCanonical);
        }
        match path {
            Some(path) => {
                if !is_first {
                    climber.climb(&mut end, Some(&digest))?;
                }
                end.move_to(kind, &digest, claim, path)?;
            }
            None if is_first => return Err(Fault::NotCanonical),
            None => end.join(kind, &digest, claim)?,
        }
        is_first = false;
    }
    input.finish()?;
    if is_first {
        return Err(Fault::NotCanonical);
    }
    climber.climb(&mut end, None)?;
    *end.subtree = *state::root(kind, entries, end.subtree).as_bytes();
    Ok(statements)
}

/// Where the paths of one key or of several, one after the other, end.
struct End<'a, 'f> {
    first: KeyDigest,
    last: KeyDigest,
    stands: Stands<'a>,
    /// The digest of what stands there, as soon as it is known; on the climb, of what was climbed to.
    subtree: &'f mut Subtree,
    path: Path<'a>,
}

/// What stands there.
#[derive(Clone, Copy)]
enum Stands<'a> {
    Nothing,
    /// The leaf of a key that is none of these.
    Other(&'a Subtree),
    /// The leaf of one of these keys.
    Own,
    /// The same, but that key's turn is still to come.
    Unseen,
}

impl<'a> End<'a, '_> {
    /// Goes to a new end: what the first key that comes there says stands there. In place, since a verifier has little stack.
    #[cfg_attr(not(feature = "alloc"), inline(never))] // so that its stack is not the caller's
    fn move_to(
        &mut self,
        kind: HashKind,
        key: &KeyDigest,
        claim: Claim<'a, ReadLeaf<'a>>,
        path: Path<'a>,
    ) -> Result<(), Fault> {
        self.first = *key;
        self.last = *key;
        self.path = path;
        *self.subtree = EMPTY;
        self.stands = match claim {
            Claim::Empty => Stands::Nothing,
            Claim::Present { value } => {
                self.show(kind, key, value);
                Stands::Own
            }
            Claim::Other(Some((other, value))) if other != key.as_bytes() => {
                *self.subtree = state::leaf(kind, other, value);
                Stands::Other(other)
            }
            Claim::Other(_) => return Err(Fault::NotCanonical),
            Claim::Neighbour => Stands::Unseen,
        };
        Ok(())
    }

    /// Takes another key that comes to the same end.
    #[cfg_attr(not(feature = "alloc"), inline(never))] // so that its stack is not the caller's
    fn join(
        &mut self,
        kind: HashKind,
        key: &KeyDigest,
        claim: Claim<'_, ReadLeaf<'_>>,
    ) -> Result<(), Fault> {
        match (self.stands, claim) {
            (Stands::Nothing, Claim::Empty) | (Stands::Own | Stands::Unseen, Claim::Neighbour) => {}
            (Stands::Other(other), Claim::Other(None)) if other != key.as_bytes() => {}
            (Stands::Unseen, Claim::Present { value }) => {
                self.show(kind, key, value);
                self.stands = Stands::Own;
            }
            _ => return Err(Fault::NotCanonical),
        }
        self.last = *key;
        Ok(())
    }

    /// The key's own leaf stands here.
    fn show(&mut self, kind: HashKind, key: &KeyDigest, value: &[u8]) {
        *self.subtree = *state::value_digest(kind, value).as_bytes();
        *self.subtree = state::leaf(kind, key.as_bytes(), self.subtree);
    }
}

/// Hashes the trie from its ends upwards, from left to right.
struct Climber<'s> {
    kind: HashKind,
    /// The first `waiting`: left halves of nodes whose right half is being hashed, each with the depth of its node, ascending.
    /// So the next that is met on the way up is always the last.
    slots: &'s mut [Slot],
    waiting: usize,
    /// Depth above which the next end cannot lie, since the path before branched off there.
    least_depth: usize,
}

/// What the documentation promises of [`verify_many`], but for some hundred bytes of its own and of the hash function.
const _: () = assert!(size_of::<[Slot; MAX_DEPTH]>() <= 8_500);

impl Climber<'_> {
    /// The left half of the node at `depth`, if it waits for the right one. It waits no longer.
    fn take_left(&mut self, depth: usize) -> Option<&Subtree> {
        let last = self.waiting.checked_sub(1)?;
        let left = self.slots.get(last).filter(|left| usize::from(left.note) == depth)?;
        self.waiting = last;
        Some(&left.digest)
    }

    /// Has the left half of the node at `depth` wait.
    fn put_left(&mut self, depth: usize, digest: &Subtree) -> Result<(), Fault> {
        let lent = self.slots.len();
        let slot = self.slots.get_mut(self.waiting).ok_or(Fault::Slots(lent))?;
        slot.digest = *digest;
        slot.note = u8::try_from(depth).map_err(|_| Fault::NotCanonical)?;
        self.waiting += 1;
        Ok(())
    }

    /// Climbs from an end to where the path of `next` branches off, or to the top.
    #[cfg_attr(not(feature = "alloc"), inline(never))] // so that its stack is not the caller's
    fn climb(&mut self, end: &mut End<'_, '_>, next: Option<&KeyDigest>) -> Result<(), Fault> {
        let branch = next.map(|next| state::common_bits(end.last.as_bytes(), next.as_bytes()));
        let stop = branch.map_or(0, |depth| depth + 1);
        let depth = stop + end.path.levels();
        let reaches = |key: &Subtree| state::common_bits(end.first.as_bytes(), key) >= depth;
        let is_there = match end.stands {
            Stands::Nothing | Stands::Own => true,
            Stands::Other(other) => reaches(other),
            Stands::Unseen => false,
        };
        if !is_there
            || !reaches(end.last.as_bytes())
            || depth < self.least_depth
            || depth > MAX_DEPTH
        {
            return Err(Fault::NotCanonical);
        }
        let kind = self.kind;
        for (level, sibling) in end.path.upwards() {
            let depth = stop + level;
            let sibling = match (self.take_left(depth), sibling) {
                (Some(left), None) => left,
                (Some(_), Some(_)) => return Err(Fault::NotCanonical),
                (None, sibling) => sibling.unwrap_or(&EMPTY),
            };
            *end.subtree = state::parent(kind, &end.first, depth, end.subtree, sibling);
        }
        if let Some(branch) = branch {
            self.put_left(branch, end.subtree)?;
        }
        self.least_depth = stop;
        Ok(())
    }
}

/// What an accepted proof of many keys says, one key after the other, ascending by their digests. See [`verify_many`].
#[derive(Clone, Debug)]
pub struct Statements<'a> {
    kind: HashKind,
    entries: u64,
    keys: u32,
    /// Verified: they are there, and well-formed.
    records: Input<'a>,
}

impl<'a> Iterator for Statements<'a> {
    type Item = Statement<'a>;

    /// O(1): nothing is hashed.
    fn next(&mut self) -> Option<Statement<'a>> {
        self.keys = self.keys.checked_sub(1)?;
        let (Record { key, claim, .. }, _) = Record::read(&mut self.records).ok()?;
        let value = if let Claim::Present { value } = claim { Some(value) } else { None };
        Some(Statement { kind: self.kind, entries: self.entries, key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // On a machine whose addresses have 16 bits, there is no proof of more keys than it can count.
        let keys = usize::try_from(self.keys).unwrap_or(usize::MAX);
        (keys, Some(keys))
    }
}

impl ExactSizeIterator for Statements<'_> {}
impl core::iter::FusedIterator for Statements<'_> {}

/// Writes a proof. `None` if a length does not fit its field.
#[cfg(feature = "alloc")]
pub(super) fn encode(
    kind: HashKind,
    entries: u64,
    records: &[Record<'_, alloc::vec::Vec<Subtree>, super::Leaf>],
) -> Option<alloc::vec::Vec<u8>> {
    use super::proof::{begin, put_path, put_prefixed};

    let mut proof = begin(MAGIC, kind);
    proof.extend_from_slice(&entries.to_le_bytes());
    proof.extend_from_slice(&u32::try_from(records.len()).ok()?.to_le_bytes());
    for Record { key, claim, path } in records {
        let tag = match claim {
            Claim::Empty => EMPTY_END,
            Claim::Present { .. } => OWN_LEAF,
            Claim::Other(_) => OTHER_LEAF,
            Claim::Neighbour => NEIGHBOURS_LEAF,
        };
        proof.push(tag | if path.is_none() { JOINED } else { 0 });
        put_prefixed(&mut proof, key)?;
        match claim {
            Claim::Present { value } => put_prefixed(&mut proof, value)?,
            _ => proof.extend_from_slice(seal(&state::key_digest(kind, key))),
        }
        if let Claim::Other(Some(leaf)) = claim {
            proof.extend_from_slice(leaf.key.as_bytes());
            proof.extend_from_slice(leaf.value.as_bytes());
        }
        if let Some(path) = path {
            put_path(&mut proof, path)?;
        }
    }
    Some(proof)
}
