// SPDX-License-Identifier: MIT
//! Workspace states: which states are directory trees, and how two of them merge.
//!
//! A state is a workspace if its keys are relative paths, every parent of a path is a directory of the state, and every group
//! of hard links is whole and of one mind. [`entries`] checks all of this before anyone touches a filesystem, so that a hostile
//! state (a path with `..`, a file below a symbolic link) is refused as a whole. Materialising it is a host's work.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use crate::entry::{Entry, EntryError, EntryKind, Note};
use crate::snapshot::merge::{self, ConflictKind, Policy};
use crate::snapshot::{Delta, State, Value};

/// The longest path, in bytes: Linux takes 4,096 with the NUL at the end.
pub const MAX_PATH_LEN: usize = 4095;

/// The longest name between two slashes, in bytes: the limit of every common Linux filesystem.
pub const MAX_NAME_LEN: usize = 255;

/// One entry of a workspace, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceEntry<'a> {
    /// Its path, relative to the workspace's root.
    pub path: &'a [u8],
    /// What it is.
    pub entry: Entry,
    /// What is kept beside it.
    pub note: Note,
}

/// Why a state is not a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceError {
    /// The path at fault.
    pub path: Box<[u8]>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an entry of a would-be workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Not a relative path of plain names: empty, absolute, with `.`, `..`, an empty name, a NUL, or too long.
    Path,
    /// Its value is not a workspace entry.
    Entry(EntryError),
    /// Its note is not one.
    Note(EntryError),
    /// Its parent is not a directory of the state.
    Parent,
    /// It belongs to a group of hard links that is not whole, or whose members differ.
    Links,
}

impl fmt::Display for WorkspaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path \"{}\": ", self.path.escape_ascii())?;
        match self.problem {
            Problem::Path => f.write_str("not a plain relative path"),
            Problem::Entry(error) => error.fmt(f),
            Problem::Note(error) => write!(f, "note beside it: {error}"),
            Problem::Parent => f.write_str("its parent is not a directory of the same state"),
            Problem::Links => f.write_str("its hard links are not whole or differ from each other"),
        }
    }
}

impl core::error::Error for WorkspaceError {}

/// Whether bytes are a path that a workspace may hold: relative, of plain names, within the limits.
pub fn is_path(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name.len() <= MAX_NAME_LEN
            && name != b"."
            && name != b".."
            && !name.contains(&0)
    };
    path.len() <= MAX_PATH_LEN && path.split(|byte| *byte == b'/').all(is_name)
}

/// The path of the directory that holds `path`; `None` at the top.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|slash| &path[..slash])
}

/// All entries, decoded, ascending by path (so that a directory comes before what it holds), if the state is a workspace.
/// O(n log n).
///
/// # Errors
/// [`WorkspaceError`] for the first path at fault.
pub fn entries(state: &State) -> Result<Vec<WorkspaceEntry<'_>>, WorkspaceError> {
    let entries = decode_all(state)?;
    let fault = |path: &[u8], problem| WorkspaceError { path: path.into(), problem };
    if let Some(path) = orphans(&entries).first() {
        return Err(fault(path, Problem::Parent));
    }
    if let Some(group) = broken_links(&entries).first() {
        return Err(fault(group, Problem::Links));
    }
    Ok(entries)
}

/// The entry and note of one path.
///
/// # Errors
/// [`WorkspaceError`] if the path, its value or its note is not one.
pub fn decode<'a>(path: &'a [u8], value: &Value) -> Result<WorkspaceEntry<'a>, WorkspaceError> {
    let fault = |problem| WorkspaceError { path: path.into(), problem };
    if !is_path(path) {
        return Err(fault(Problem::Path));
    }
    let entry = Entry::decode(&value.bytes).map_err(|error| fault(Problem::Entry(error)))?;
    let note = Note::decode(&value.note).map_err(|error| fault(Problem::Note(error)))?;
    Ok(WorkspaceEntry { path, entry, note })
}

/// Paths whose parent is not a directory.
fn orphans<'a>(entries: &[WorkspaceEntry<'a>]) -> Vec<&'a [u8]> {
    let directories: BTreeSet<&[u8]> = entries
        .iter()
        .filter(|entry| entry.entry.kind == EntryKind::Directory)
        .map(|entry| entry.path)
        .collect();
    let is_orphan =
        |path: &&[u8]| parent(path).is_some_and(|directory| !directories.contains(directory));
    entries.iter().map(|entry| entry.path).filter(is_orphan).collect()
}

/// Groups of hard links that are not whole: named after another than their first member, of one member, with members that
/// differ, or of directories.
fn broken_links<'a>(entries: &'a [WorkspaceEntry<'_>]) -> Vec<&'a [u8]> {
    let mut groups: BTreeMap<&[u8], Vec<&WorkspaceEntry<'_>>> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = &entry.entry.links {
            groups.entry(first).or_default().push(entry);
        }
    }
    let is_broken = |name: &[u8], members: &[&WorkspaceEntry<'_>]| {
        let first = members[0];
        let is_directory = first.entry.kind == EntryKind::Directory;
        let differ = members.iter().any(|member| member.entry != first.entry);
        first.path != name || members.len() < 2 || is_directory || differ
    };
    groups
        .into_iter()
        .filter(|(name, members)| is_broken(name, members))
        .map(|(name, _)| name)
        .collect()
}

/// A path on which two workspaces could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeConflict {
    /// The path.
    pub path: Box<[u8]>,
    /// How the two sides are at odds there.
    pub kind: MergeConflictKind,
}

/// How two workspaces are at odds about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeConflictKind {
    /// Both changed the entry, differently.
    Entry(ConflictKind),
    /// One side holds something below this path's directory, the other made it something else or deleted it.
    Parent,
    /// The hard links of this group were changed by both sides.
    Links,
}

impl MergeConflictKind {
    /// The kind's name in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry(kind) => kind.name(),
            Self::Parent => "parent-not-a-directory",
            Self::Links => "hard-links",
        }
    }
}

/// Merges two workspaces that both come from `base`. O(n log n).
///
/// A policy that takes a side decides every conflict: where the merged tree would not hang together, that side's directories
/// and groups of hard links are kept, and what only the other side holds in them goes or stands alone. Without one, the merged
/// state is to be used only if there are no conflicts.
///
/// # Errors
/// [`WorkspaceError`] if one of the three is not a workspace.
pub fn merge(
    base: &State,
    ours: &State,
    theirs: &State,
    policy: Policy,
) -> Result<(State, Vec<MergeConflict>), WorkspaceError> {
    for state in [base, ours, theirs] {
        entries(state)?;
    }
    let merge::Merge { delta, conflicts } = merge::merge(base, ours, theirs, policy);
    let mut merged = ours.clone();
    merged.apply(delta);
    match policy {
        Policy::Report => {}
        Policy::Ours => mend(&mut merged, ours)?,
        Policy::Theirs => mend(&mut merged, theirs)?,
    }
    let mut conflicts: Vec<MergeConflict> = conflicts
        .into_iter()
        .map(|conflict| MergeConflict {
            path: conflict.key,
            kind: MergeConflictKind::Entry(conflict.kind),
        })
        .collect();
    let decoded = decode_all(&merged)?;
    let structural = |kind| move |path: &[u8]| MergeConflict { path: path.into(), kind };
    conflicts.extend(orphans(&decoded).into_iter().map(structural(MergeConflictKind::Parent)));
    conflicts.extend(broken_links(&decoded).into_iter().map(structural(MergeConflictKind::Links)));
    conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    drop(decoded);
    Ok((merged, conflicts))
}

/// Makes a merged state hang together by keeping what the preferred side holds.
///
/// What a round puts back or removes can break a group of hard links anew, so rounds go on until all is whole. They end: each
/// brings an entry to what the preferred side holds, for good, or frees another of its links or removes it.
fn mend(merged: &mut State, preferred: &State) -> Result<(), WorkspaceError> {
    while entries(merged).is_err() {
        mend_once(merged, preferred)?;
    }
    Ok(())
}

fn mend_once(merged: &mut State, preferred: &State) -> Result<(), WorkspaceError> {
    let mut delta = Delta::new();
    let decoded = decode_all(merged)?;
    let broken: BTreeSet<&[u8]> = broken_links(&decoded).into_iter().collect();
    let is_broken =
        |entry: &Entry| entry.links.as_deref().is_some_and(|group| broken.contains(group));
    for WorkspaceEntry { path, entry, note } in
        decoded.iter().filter(|member| is_broken(&member.entry))
    {
        let alone = Entry { links: None, ..entry.clone() };
        delta.write(*path, Value { bytes: alone.encode().into(), note: note.encode().into() });
    }
    // What the preferred side holds: its groups that were broken, and the directories of all that is still as it had it.
    for WorkspaceEntry { path, entry, .. } in entries(preferred)? {
        let kept = preferred.get(path);
        if is_broken(&entry) || delta.get(path).is_some() {
            kept.map(|value| delta.write(path, value.clone()));
        }
        if delta.get(path).is_some() || merged.get(path) == kept {
            for directory in core::iter::successors(parent(path), |path| parent(path)) {
                if merged.get(directory).is_none_or(|value| !is_directory(directory, value)) {
                    preferred.get(directory).map(|value| delta.write(directory, value.clone()));
                }
            }
        }
    }
    drop(decoded);
    merged.apply(delta);

    let paths: Vec<Box<[u8]>> = merged.iter().map(|(path, _)| path.into()).collect();
    for path in paths {
        // Ascending order: a directory that goes is gone before what it held is looked at.
        let stands =
            |directory| merged.get(directory).is_some_and(|value| is_directory(directory, value));
        if parent(&path).is_some_and(|directory| !stands(directory)) {
            merged.remove(&path);
        }
    }
    Ok(())
}

fn decode_all(state: &State) -> Result<Vec<WorkspaceEntry<'_>>, WorkspaceError> {
    state.iter().map(|(path, value)| decode(path, value)).collect()
}

fn is_directory(path: &[u8], value: &Value) -> bool {
    decode(path, value).is_ok_and(|entry| entry.entry.kind == EntryKind::Directory)
}
