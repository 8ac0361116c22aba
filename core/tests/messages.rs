// SPDX-License-Identifier: MIT
//! What people read of the core: every error says what it carries, in one line, and leads to its cause; every kind has a name.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use std::error::Error;
use std::fmt;

use cascow_core::blob::{BlobError, BlobId, BlobProblem};
use cascow_core::chunk::ChunkSizesError;
use cascow_core::entry::EntryError;
use cascow_core::frame::FrameError;
use cascow_core::hash::{ContentHash, HashKind, HexError, UnknownHashKind, UnknownHashName};
use cascow_core::merkle::range::RangeError;
use cascow_core::merkle::{ListRoot, ProofError, ProveError, StateRoot};
use cascow_core::record::RecordError;
use cascow_core::search::SearchError;
use cascow_core::snapshot::merge::ConflictKind;
use cascow_core::snapshot::{ChangeKind, SnapshotTree, TreeError};
use cascow_core::store::StoreError;
use cascow_core::workspace::{MergeConflictKind, Problem, WorkspaceError};

/// Two digests and how they are written.
const ONE: [u8; 32] = [0x11; 32];
const TWO: [u8; 32] = [0x22; 32];
const ONES: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const TWOS: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// The message of an error, which must hold every fact in one line.
fn assert_says(error: &dyn Error, facts: &[&str]) {
    let message = error.to_string();
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    for fact in facts {
        assert!(message.contains(fact), "{message:?} does not say {fact:?}");
    }
}

/// What fails beneath an error, as written.
fn cause(error: &dyn Error) -> Option<String> {
    error.source().map(ToString::to_string)
}

#[test]
fn errors_of_hashes_and_sizes_say_what_was_found() {
    assert_says(&HexError::Length { found: 63 }, &["64", "63"]);
    assert_says(&HexError::Digit { position: 5 }, &["position 5"]);
    assert_says(&UnknownHashKind { id: 77 }, &["77"]);
    assert_says(&UnknownHashName, &["sha256", "blake3"]);
    assert_says(&ChunkSizesError::Min(63), &["minimum", "63"]);
    assert_says(&ChunkSizesError::Avg(300), &["average", "300"]);
    assert_says(&ChunkSizesError::Max(1023), &["maximum", "1023"]);
    let order = ChunkSizesError::Order { min: 4096, avg: 2048, max: 1024 };
    assert_says(&order, &["4096", "2048", "1024"]);
}

#[test]
fn errors_of_frames_say_what_was_expected_and_found() {
    assert_says(&FrameError::Truncated { found: 15 }, &["15", "16"]);
    assert_says(&FrameError::Magic, &["magic"]);
    assert_says(&FrameError::Version { found: 9 }, &["version 9", "version 1"]);
    assert_says(&FrameError::Flags { found: 0x00a0 }, &["0x00a0"]);
    assert_says(&FrameError::Codec { found: 7 }, &["codec 7"]);
    assert_says(&FrameError::TooLong { declared: 1000, limit: 99 }, &["1000", "99"]);
    assert_says(&FrameError::Payload, &["payload"]);
    assert_says(&mismatch(), &[&format!("expected {ONES}"), &format!("found {TWOS}")]);
}

fn mismatch() -> FrameError {
    let (expected, found) = (ContentHash::from_bytes(ONE), ContentHash::from_bytes(TWO));
    FrameError::Mismatch { expected, found }
}

#[test]
fn errors_of_proofs_say_what_was_expected_and_found() {
    type Error = ProofError<StateRoot>;
    assert_says(&Error::Truncated, &["cut off"]);
    assert_says(&Error::Magic, &["magic"]);
    assert_says(&Error::Version { found: 9 }, &["version 9"]);
    assert_says(&Error::HashKind { found: 7 }, &["7"]);
    assert_says(&Error::NotCanonical, &["canonical"]);
    assert_says(&Error::Trailing { bytes: 12 }, &["12 bytes"]);
    assert_says(&Error::Size { expected: 12, found: 34 }, &["12", "34"]);
    assert_says(&Error::Slots { lent: 12 }, &["12"]);
    let (expected, found) = (StateRoot::from_bytes(ONE), StateRoot::from_bytes(TWO));
    assert_says(&ProofError::Root { expected, found }, &[ONES, TWOS]);
    assert_says(&ProveError::Value, &["value"]);
    assert_says(&ProveError::TooLong, &["longer", "2^32"]);
    assert_says(&ProveError::NoKeys, &["no keys"]);
    assert_says(&ProveError::DuplicateKey, &["twice"]);
    assert_says(&ProveError::Size, &["size"]);
}

#[test]
fn errors_of_ranges_say_what_was_expected_and_found() {
    assert_says(&RangeError::Proof(ProofError::Truncated), &["cut off"]);
    assert_eq!(cause(&RangeError::Proof(ProofError::Truncated)), None);
    assert_says(&RangeError::Empty, &["without bytes"]);
    assert_says(&RangeError::Range { start: 12, end: 34 }, &["12", "34"]);
    assert_says(&RangeError::ChunkLen { expected: 12, found: 34 }, &["12 bytes", "34"]);
    let (expected, found) = (ContentHash::from_bytes(ONE), ContentHash::from_bytes(TWO));
    assert_says(&RangeError::Chunk { expected, found }, &[ONES, TWOS]);
    assert_says(&RangeError::Complete, &["follows the last"]);
}

#[test]
fn errors_of_stores_and_values_name_the_object_and_lead_to_the_cause() {
    let hash = ContentHash::from_bytes(TWO);
    let missing = || StoreError::Missing { hash };
    assert_says(&missing(), &[TWOS, "missing"]);
    assert_eq!(cause(&missing()), None);

    let damaged = StoreError::Frame { hash, error: FrameError::Payload };
    assert_says(&damaged, &[TWOS, &FrameError::Payload.to_string()]);
    assert_eq!(cause(&damaged), Some(FrameError::Payload.to_string()));

    // The host's error stands for itself: its own cause comes next, and nothing is said twice.
    let host = StoreError::Host(Box::new(FrameError::Payload));
    assert_eq!(host.to_string(), FrameError::Payload.to_string());
    assert_eq!(cause(&host), None);

    let blob = BlobError::from(missing());
    assert_eq!(blob.to_string(), missing().to_string());
    assert_eq!(cause(&blob), Some(missing().to_string()));
    let record = RecordError::from(missing());
    assert_eq!(record.to_string(), missing().to_string());
    assert_eq!(cause(&record), Some(missing().to_string()));

    assert_says(&BlobError::Range { start: 5, end: 9, len: 7 }, &["5", "9", "7 bytes"]);
    assert_says(&BlobError::OneChunk { hash }, &[TWOS]);
    assert_says(&BlobError::TooLong, &["chunks"]);

    let list = BlobId::List { root: ListRoot::from_bytes(ONE), len: 9000 };
    assert_eq!(list.to_string(), ONES);
    assert_eq!(BlobId::Chunk { hash, len: 1 }.to_string(), TWOS);
    let root = ListRoot::from_bytes(TWO);
    for (problem, facts) in [
        (BlobProblem::Index, &["list"][..]),
        (BlobProblem::List, &["malformed"]),
        (BlobProblem::ChunkLen, &["length"]),
        (BlobProblem::Len { expected: 9000, found: 8999 }, &["9000", "8999"]),
        (BlobProblem::Root { found: root }, &[TWOS]),
    ] {
        let error = BlobError::Corrupt { id: list, problem };
        assert_says(&error, &[&[ONES], facts].concat());
        assert_eq!(cause(&error), None);
    }
}

#[test]
fn errors_of_snapshots_name_them_and_what_disagrees() {
    let snapshot = ContentHash::from_bytes(ONE);
    assert_says(&RecordError::NotASnapshot { snapshot }, &[ONES]);
    assert_says(&RecordError::Unsupported { snapshot }, &[ONES, "version"]);
    assert_says(&RecordError::Listing { after: 41 }, &["41"]);
    assert_says(&RecordError::Entries { expected: 10, found: 12 }, &["10", "12"]);
    let (expected, found) = (StateRoot::from_bytes(ONE), StateRoot::from_bytes(TWO));
    let root = RecordError::Root { expected, found };
    assert_says(&root, &[ONES, TWOS]);
    assert_eq!(cause(&root), None);
    let key = (*b"a\nb").into();
    assert_says(&RecordError::TooLong { key }, &["a\\nb"]);

    let mut tree = SnapshotTree::new();
    let a = tree.create([]).unwrap();
    let b = tree.create([]).unwrap();
    assert_says(&TreeError::Unknown { id: b }, &["1"]);
    assert_says(&TreeError::Unrelated { a, b }, &["0", "1"]);
    assert_says(&TreeError::Foreign, &["another tree"]);
    assert_says(&TreeError::Full, &["full", "prune"]);
    assert_says(&TreeError::TooLong, &["1073741823 bytes", "split"]);
}

#[test]
fn errors_of_workspaces_name_the_path_unbroken() {
    let entries = [EntryError::Malformed, EntryError::NotCanonical, EntryError::OutOfRange];
    for (error, fact) in entries.into_iter().zip(["malformed", "canonical", "range"]) {
        assert_says(&error, &[fact]);
        for problem in [Problem::Entry(error), Problem::Note(error)] {
            let path = (*b"new\nline").into();
            assert_says(&WorkspaceError { path, problem }, &["\"new\\nline\"", fact]);
        }
    }
    for (problem, fact) in
        [(Problem::Path, "path"), (Problem::Parent, "parent"), (Problem::Links, "hard links")]
    {
        let path = (*b"\xff").into();
        assert_says(&WorkspaceError { path, problem }, &["\"\\xff\"", fact]);
    }
}

#[test]
fn errors_of_a_search_say_what_the_game_returned_and_lead_to_its_own() {
    type Error = SearchError<EntryError>;
    let game = Error::Game(EntryError::Malformed);
    assert_says(&game, &[&EntryError::Malformed.to_string()]);
    assert_eq!(cause(&game), Some(EntryError::Malformed.to_string()));
    assert_says(&Error::InvalidValue { found: 1.5 }, &["1.5"]);
    assert_says(&Error::InvalidPrior { index: 3, found: -0.5 }, &["3", "-0.5"]);
    assert_says(&Error::InvalidSetting { field: "exploration" }, &["exploration"]);
    assert_says(&Error::Full, &["full"]);
    assert_eq!(cause(&Error::Full), None);
}

#[test]
fn kinds_have_names_of_their_own() {
    let changes = [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted];
    assert_eq!(changes.map(ChangeKind::name), ["added", "modified", "deleted"]);
    let conflicts = [
        ConflictKind::AddedAdded,
        ConflictKind::ModifiedModified,
        ConflictKind::ModifiedDeleted,
        ConflictKind::DeletedModified,
    ];
    let names = ["added-added", "modified-modified", "modified-deleted", "deleted-modified"];
    assert_eq!(conflicts.map(ConflictKind::name), names);
    assert_eq!(conflicts.map(|kind| MergeConflictKind::Entry(kind).name()), names);
    let merges = [MergeConflictKind::Parent, MergeConflictKind::Links];
    assert_eq!(merges.map(MergeConflictKind::name), ["parent-not-a-directory", "hard-links"]);
}

/// In a failed test's output and in logs: one kind of digest is never taken for another, and a hasher's state is not shown.
#[test]
fn digests_name_their_kind_when_debugged() {
    fn debugged(value: impl fmt::Debug) -> String {
        format!("{value:?}")
    }
    assert_eq!(debugged(ContentHash::from_bytes(ONE)), format!("ContentHash({ONES})"));
    assert_eq!(debugged(StateRoot::from_bytes(TWO)), format!("StateRoot({TWOS})"));
    let mut hasher = HashKind::Sha256.hasher();
    hasher.update(b"secret");
    assert_eq!(debugged(hasher), "Hasher");
}
