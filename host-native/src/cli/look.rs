// SPDX-License-Identifier: MIT
//! `ls`, `cat`, `diff`: looking into snapshots.

use std::fmt::Write;

use cascow_core::blob::{Blob, BlobReader};
use cascow_core::entry::{Entry, EntryKind};
use cascow_core::snapshot::ChangeKind;
use cascow_core::workspace::{self, WorkspaceEntry};
use cascow_native::Error;
use cascow_native::patch::{patch, patch_path};
use cascow_native::repository::Repository;
use serde::Serialize;

use super::args::{Cat, Diff, Ls};
use super::output::{JsonContent, JsonPath, Output, printable};
use super::{Answer, is_within, snapshot_path};

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    path: JsonPath,
    kind: &'static str,
    mode: String,
    len: u64,
    hash: Option<String>,
}

pub(super) fn ls(args: &Ls, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let state = repository.state(&repository.resolve_to_read(&args.snapshot)?)?;
    let top = snapshot_path(&args.path);
    let entries = workspace::entries(&state)?;
    let listed: Vec<&WorkspaceEntry<'_>> =
        entries.iter().filter(|entry| is_within(entry.path, &top)).collect();
    if listed.is_empty() && !top.is_empty() {
        return Err(no_path(&top));
    }
    let json: Vec<Listed> = listed
        .iter()
        .map(|WorkspaceEntry { path, entry, .. }| Listed {
            path: JsonPath::new(path),
            kind: kind_name(&entry.kind),
            mode: format!("{:04o}", entry.mode),
            len: len(entry),
            hash: entry.content().map(ToString::to_string),
        })
        .collect();
    output.answer(&json, || {
        let mut text = String::new();
        for WorkspaceEntry { path, entry, .. } in listed {
            let target = match &entry.kind {
                EntryKind::Symlink { target } => format!(" -> {}", printable(target)),
                _ => String::new(),
            };
            // UNWRAP: writing to a string does not fail.
            writeln!(
                text,
                "{}{:04o} {:>12} {}{target}",
                letter(&entry.kind),
                entry.mode,
                len(entry),
                printable(path)
            )
            .expect("a string takes every write");
        }
        text
    })?;
    Ok(Answer::Yes)
}

pub(super) fn cat(args: &Cat, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let state = repository.state(&repository.resolve_to_read(&args.snapshot)?)?;
    let path = snapshot_path(&args.path);
    let value = state.get(&path).ok_or_else(|| no_path(&path))?;
    let WorkspaceEntry { entry, note, .. } = workspace::decode(&path, value)?;
    let Some(id) = entry.content() else {
        let kind = kind_name(&entry.kind);
        return Err(Error::Misuse(format!(
            "{:?} is a {kind}; only files have contents",
            printable(&path)
        )));
    };
    let mut content = BlobReader::new(repository.store(), Blob { id: *id, index: note.index })?;
    if output.json {
        let mut bytes = Vec::new();
        while let Some(chunk) = content.next_chunk()? {
            bytes.extend(chunk);
        }
        let mut answer = serde_json::to_value(JsonPath::new(&path)).unwrap_or_default();
        answer["content"] = serde_json::to_value(JsonContent::new(bytes)).unwrap_or_default();
        output.json_line(&answer)?;
    } else {
        while let Some(chunk) = content.next_chunk()? {
            output.bytes(&chunk)?;
        }
    }
    Ok(Answer::Yes)
}

#[derive(Serialize)]
struct Changed {
    change: &'static str,
    #[serde(flatten)]
    path: JsonPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

pub(super) fn diff(args: &Diff, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let before = repository.state(&repository.resolve_to_read(&args.a)?)?;
    let after = repository.state(&repository.resolve_to_read(&args.b)?)?;
    let top = snapshot_path(&args.path);
    let mut paths = before.iter().chain(after.iter()).map(|(path, _)| path);
    if !top.is_empty() && !paths.any(|path| is_within(path, &top)) {
        return Err(no_path(&top));
    }
    if args.patch && !output.json {
        output.bytes(&patch(repository.store(), &before, &after, |path| is_within(path, &top))?)?;
        return Ok(Answer::Yes);
    }
    let mut changes = Vec::new();
    for change in before.diff(&after).into_iter().filter(|change| is_within(&change.key, &top)) {
        let patch = match args.patch {
            true => Some(patch_path(repository.store(), &before, &after, &change.key)?),
            false => None,
        };
        changes.push((change, patch));
    }
    let json: Vec<Changed> = changes
        .iter()
        .map(|(change, patch)| Changed {
            change: change.kind.name(),
            path: JsonPath::new(&change.key),
            patch: patch.as_ref().map(|patch| String::from_utf8_lossy(patch).into_owned()),
        })
        .collect();
    output.answer(&json, || {
        let line = |kind, path: &[u8]| {
            let letter = match kind {
                ChangeKind::Added => 'A',
                ChangeKind::Modified => 'M',
                ChangeKind::Deleted => 'D',
            };
            format!("{letter} {}\n", printable(path))
        };
        changes.iter().map(|(change, _)| line(change.kind, &change.key)).collect()
    })?;
    Ok(Answer::Yes)
}

fn no_path(path: &[u8]) -> Error {
    Error::NotFound { kind: "path", name: printable(path) }
}

fn kind_name(kind: &EntryKind) -> &'static str {
    match kind {
        EntryKind::File(_) => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink { .. } => "symlink",
        EntryKind::Fifo => "fifo",
        EntryKind::CharacterDevice { .. } => "character-device",
        EntryKind::BlockDevice { .. } => "block-device",
    }
}

/// The letter that `ls -l` begins a line with.
fn letter(kind: &EntryKind) -> char {
    match kind {
        EntryKind::File(_) => '-',
        EntryKind::Directory => 'd',
        EntryKind::Symlink { .. } => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::CharacterDevice { .. } => 'c',
        EntryKind::BlockDevice { .. } => 'b',
    }
}

/// Bytes of a file or of a link's target.
fn len(entry: &Entry) -> u64 {
    match &entry.kind {
        EntryKind::File(content) => content.len(),
        EntryKind::Symlink { target } => target.len() as u64,
        _ => 0,
    }
}
