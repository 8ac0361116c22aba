// SPDX-License-Identifier: MIT
//! Workspace entries: what a path of a directory tree maps to in a state, and the note kept beside it.
//!
//! An [`Entry`] is the part of a file, directory or link that makes the state what it is, and its encoding is the value that
//! roots commit: kind, permission bits, content, link target, `user.*` attributes, hard-link group. A [`Note`] holds what is
//! restored but does not count: times and owners, and where a long file's list of chunks is stored. Two states that differ in
//! notes alone are the same state.
//!
//! Both are canonical `postcard` (version 1 of its wire format): [`Entry::decode`] accepts only what [`Entry::encode`] writes.
//! Which paths may hold what is decided in [`crate::workspace`].

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::blob::{BlobId, BlobIndex};

/// Permission bits, set-id bits and the sticky bit: all that `chmod` can set.
pub const MODE_BITS: u16 = 0o7777;

/// The permission bits of a symbolic link, where the kernel keeps none.
pub const SYMLINK_MODE: u16 = 0o777;

/// One file, directory or link of a workspace, as far as it makes the state what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, with what it holds.
    pub kind: EntryKind,
    /// Permission bits, within [`MODE_BITS`]; [`SYMLINK_MODE`] for a symbolic link.
    pub mode: u16,
    /// `user.*` extended attributes, strictly ascending by name. Those of other namespaces mean something to the kernel, so a
    /// stranger's state must not set them.
    pub xattrs: Vec<Xattr>,
    /// The first path, in byte order, of the group of hard links this one belongs to; `None` if it stands alone. Every
    /// member carries the whole entry, so that each can be read and proved without the others.
    pub links: Option<Vec<u8>>,
}

/// What a workspace entry is. The order of the variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A regular file.
    File(BlobId),
    /// A directory. Its contents are entries of their own.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its target: one byte or more, any but NUL; never followed.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Xattr {
    /// Its whole name, with the namespace.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What is kept beside an entry: restored at checkout, not part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Time of last modification: whole seconds since 1970, UTC.
    pub mtime_secs: i64,
    /// … and nanoseconds, below 10^9.
    pub mtime_nanos: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Where the list of a long file's chunks is stored.
    pub index: Option<BlobIndex>,
}

/// Why bytes are not an entry or a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryError {
    /// Not `postcard` of such a value, or something follows it.
    Malformed,
    /// The value is meant, but not in its one canonical encoding.
    NotCanonical,
    /// A field is out of its range: mode bits, an attribute's name or order, a link's target, nanoseconds.
    OutOfRange,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "entry is malformed",
            Self::NotCanonical => "entry is not in its canonical encoding",
            Self::OutOfRange => "entry has a field out of range",
        })
    }
}

impl core::error::Error for EntryError {}

impl Entry {
    /// The canonical bytes, which a state's root commits.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the canonical bytes, and nothing else.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry: Self = decode(bytes)?;
        let kind_and_mode_fit = match &entry.kind {
            EntryKind::Symlink { target } => is_c_string(target) && entry.mode == SYMLINK_MODE,
            _ => entry.mode <= MODE_BITS,
        };
        let xattrs_fit = entry.xattrs.is_sorted_by(|a, b| a.name < b.name)
            && entry.xattrs.iter().all(|xattr| is_user_attribute(&xattr.name));
        if kind_and_mode_fit && xattrs_fit { Ok(entry) } else { Err(EntryError::OutOfRange) }
    }

    /// The content of a regular file.
    pub const fn content(&self) -> Option<&BlobId> {
        match &self.kind {
            EntryKind::File(content) => Some(content),
            _ => None,
        }
    }
}

impl Note {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the canonical bytes, and nothing else.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let note: Self = decode(bytes)?;
        if note.mtime_nanos < 1_000_000_000 { Ok(note) } else { Err(EntryError::OutOfRange) }
    }
}

/// Whether the bytes can be handed to a kernel as a name or target.
fn is_c_string(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !bytes.contains(&0)
}

fn is_user_attribute(name: &[u8]) -> bool {
    name.strip_prefix(b"user.").is_some_and(is_c_string)
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // UNWRAP: postcard fails on sequences of unknown length and on full buffers; there is neither here.
    postcard::to_allocvec(value).expect("entries encode")
}

fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, EntryError> {
    let value = postcard::from_bytes(bytes).map_err(|_| EntryError::Malformed)?;
    // Postcard reads padded integers and ignores what follows; one state must have one encoding.
    if encode(&value) == bytes { Ok(value) } else { Err(EntryError::NotCanonical) }
}
