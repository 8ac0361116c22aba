// SPDX-License-Identifier: MIT
//! Differences between two workspace states as a unified diff that `patch -p1` applies.
//!
//! The form is git's: `diff --git` with mode lines, `/dev/null` for what is not there, quoted names where a name has bytes that need
//! it. A text patch cannot say everything: what it leaves out (binary contents, empty directories, pipes, devices,
//! attributes, permissions other than to execute) is named in a line that `patch` passes over. And GNU patch refuses one thing
//! that such a diff can say: a file that became a directory, or the other way round.

use cascow_core::blob::{self, Blob};
use cascow_core::entry::{Entry, EntryKind};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_core::workspace::{self, WorkspaceEntry};
use similar::TextDiff;

use crate::Error;

/// Longest file that is compared line by line, in bytes; a longer one is said to differ.
const MAX_TEXT_LEN: u64 = 4 << 20;

/// How long one file's comparison may look for the shortest difference.
const MAX_DIFF_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// The patch that turns `before` into `after`, for the paths that `wanted` accepts. O(n) and the texts that differ.
///
/// # Errors
/// [`Error::Workspace`] if a state is not a directory tree, [`Error::Blob`] if a content cannot be read.
pub fn patch<S: ObjectStore>(
    store: &S,
    before: &State,
    after: &State,
    wanted: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Error> {
    let mut patch = Vec::new();
    for change in before.diff(after).iter().filter(|change| wanted(&change.key)) {
        patch.append(&mut patch_path(store, before, after, &change.key)?);
    }
    Ok(patch)
}

/// The part of the patch that is about one path. O(log n) and its text.
///
/// # Errors
/// As [`patch`].
pub fn patch_path<S: ObjectStore>(
    store: &S,
    before: &State,
    after: &State,
    path: &[u8],
) -> Result<Vec<u8>, Error> {
    patch_values(store, path, before.get(path), after.get(path), MAX_TEXT_LEN)
}

/// The patch that turns what a path maps to from one value into another. Files longer than `max_text_len` bytes are said to
/// differ. O(its text).
///
/// # Errors
/// As [`patch`].
pub(crate) fn patch_values<S: ObjectStore>(
    store: &S,
    path: &[u8],
    before: Option<&Value>,
    after: Option<&Value>,
    max_text_len: u64,
) -> Result<Vec<u8>, Error> {
    let decode = |value: Option<&Value>| {
        let read = |value| Side::read(store, &workspace::decode(path, value)?, max_text_len);
        value.map(read).transpose()
    };
    let mut patch = Vec::new();
    // A patch changes a file's content, not its kind nor where a link points: then it takes away and puts there.
    match (decode(before)?, decode(after)?) {
        (Some(old), Some(new)) if !old.takes_edits_to(&new) => {
            write_change(&mut patch, path, Some(&old), None);
            write_change(&mut patch, path, None, Some(&new));
        }
        (old, new) => write_change(&mut patch, path, old.as_ref(), new.as_ref()),
    }
    Ok(patch)
}

/// Bits of a git mode that tell files from links and the rest.
const TYPE_BITS: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// A path on one side of a difference.
struct Side {
    /// Kind and permissions, as git writes them.
    mode: u32,
    content: Content,
}

enum Content {
    Text(Vec<u8>),
    /// Not text, or too long to compare.
    Opaque,
    /// Neither file nor link: named by what it is.
    Other(&'static str),
}

impl Side {
    fn read<S: ObjectStore>(
        store: &S,
        entry: &WorkspaceEntry<'_>,
        max_text_len: u64,
    ) -> Result<Self, Error> {
        let WorkspaceEntry { entry: Entry { kind, mode, .. }, note, .. } = entry;
        let mode = u32::from(*mode);
        Ok(match kind {
            EntryKind::File(id) => {
                let content = if id.len() > max_text_len {
                    Content::Opaque
                } else {
                    let bytes =
                        blob::read(store, &Blob { id: *id, index: note.index }, max_text_len)?;
                    if bytes.contains(&0) { Content::Opaque } else { Content::Text(bytes) }
                };
                // Git knows two kinds of files only, and so does patch: with and without execution.
                let mode = TYPE_FILE | if mode & 0o100 == 0 { 0o644 } else { 0o755 };
                Self { mode, content }
            }
            EntryKind::Symlink { target } => {
                Self { mode: TYPE_SYMLINK, content: Content::Text(target.clone()) }
            }
            EntryKind::Directory => Self { mode: 0, content: Content::Other("directory") },
            EntryKind::Fifo => Self { mode: 1, content: Content::Other("pipe") },
            EntryKind::CharacterDevice { .. } | EntryKind::BlockDevice { .. } => {
                Self { mode: 2, content: Content::Other("device") }
            }
        })
    }
}

fn write_change(patch: &mut Vec<u8>, path: &[u8], old: Option<&Side>, new: Option<&Side>) {
    let said = |side: Option<&Side>, prefix: &str| match side {
        Some(_) => quote(prefix, path),
        None => b"/dev/null".to_vec(),
    };
    let mut line = |parts: &[&[u8]]| {
        patch.extend(parts.iter().flat_map(|part| part.iter()));
        patch.push(b'\n');
    };
    if let Some(kind) = [old, new].into_iter().flatten().find_map(Side::other) {
        let verb = match (old, new) {
            (None, _) => "added",
            (_, None) => "deleted",
            _ => "modified",
        };
        return line(&[format!("# {kind} {verb}: ").as_bytes(), &quote("", path)]);
    }
    if let (Some(before), Some(after)) = (old, new) {
        let is_text = Side::text(old).is_some();
        if is_text && before.mode == after.mode && Side::text(old) == Side::text(new) {
            return line(&[b"# attributes, links or permissions modified: ", &quote("", path)]);
        }
    }
    line(&[b"diff --git ", &quote("a/", path), b" ", &quote("b/", path)]);
    match (old, new) {
        (None, Some(new)) => line(&[format!("new file mode {:06o}", new.mode).as_bytes()]),
        (Some(old), None) => line(&[format!("deleted file mode {:06o}", old.mode).as_bytes()]),
        (Some(old), Some(new)) if old.mode != new.mode => {
            line(&[format!("old mode {:06o}", old.mode).as_bytes()]);
            line(&[format!("new mode {:06o}", new.mode).as_bytes()]);
        }
        _ => {}
    }
    let (Some(before), Some(after)) = (Side::text(old), Side::text(new)) else {
        return line(&[b"Binary files ", &said(old, "a/"), b" and ", &said(new, "b/"), b" differ"]);
    };
    if before == after {
        // Git's marks of no file and of an empty one: without them `patch` would not make or remove it.
        match (old, new) {
            (None, _) => line(&[b"index 0000000..e69de29"]),
            (_, None) => line(&[b"index e69de29..0000000"]),
            _ => {}
        }
        return;
    }
    line(&[b"--- ", &said(old, "a/")]);
    line(&[b"+++ ", &said(new, "b/")]);
    // Lines as `patch` knows them: a carriage return alone ends none.
    let [before, after] =
        [before, after].map(|text| text.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>());
    let diff = TextDiff::configure()
        .timeout(MAX_DIFF_TIME)
        .newline_terminated(true)
        .diff_slices(&before, &after);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        // UNWRAP: writing to memory does not fail.
        hunk.to_writer(&mut *patch).expect("memory takes every write");
    }
}

impl Side {
    fn other(&self) -> Option<&'static str> {
        match self.content {
            Content::Other(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether a patch can lead from here to there by changing lines and permissions.
    fn takes_edits_to(&self, new: &Self) -> bool {
        let is_link = self.mode & TYPE_BITS == TYPE_SYMLINK;
        self.mode & TYPE_BITS == new.mode & TYPE_BITS
            && (!is_link || Self::text(Some(self)) == Self::text(Some(new)))
    }

    /// The lines of a side; those of what is not there are none.
    fn text(side: Option<&Self>) -> Option<&[u8]> {
        match side.map(|side| &side.content) {
            None => Some(&[]),
            Some(Content::Text(text)) => Some(text),
            Some(_) => None,
        }
    }
}

/// A name as git writes it: between quotes, with octal escapes, if a byte of it needs that. Spaces do here, since `patch` takes
/// them for the end of a name that is not quoted.
fn quote(prefix: &str, path: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if path.iter().all(|byte| is_plain(byte) && *byte != b' ') {
        return [prefix.as_bytes(), path].concat();
    }
    let mut quoted = format!("\"{prefix}").into_bytes();
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            byte if is_plain(byte) => quoted.push(*byte),
            byte => quoted.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}
