// SPDX-License-Identifier: MIT
//! Layers: directories that show, above others, what a delta changed.
//!
//! A layer is a cache. It begins as the directory in which the kernel put what a command changed, is removed when others need its
//! room, and is then written again from the objects when it is wanted. So are layers that stand for several: a stack is
//! compacted long before it reaches the kernel's limit of 500.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::store::ObjectStore;
use cascow_core::workspace::{self, WorkspaceEntry};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::super::entries::{Entries, Path};
use super::super::namespace::Marks;
use super::marks;
use super::remover::Remover;
use crate::Error;
use crate::directory;

/// Layers of one size that are joined into one of the next. A mount takes some 7 µs for each layer, and a change is written
/// again for each size: with 8, a snapshot a thousand deltas deep has at most 22 layers, and each change was written 3 times.
pub(super) const JOINED: usize = 8;

/// What a directory or file takes at least, counted with its contents.
pub(super) const INODE_BYTES: u64 = 4096;

/// One workshop's layers, in its directory.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    fd: OwnedFd,
    pub(super) marks: Marks,
    next: AtomicU64,
    remover: Remover,
    dirs: Cache<u64, Arc<LayerDir>, Bytes>,
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<u64, Arc<LayerDir>> for Bytes {
    fn weight(&self, _: &u64, dir: &Arc<LayerDir>) -> u64 {
        dir.bytes
    }
}

/// A layer as it stands on disk, removed when nobody needs it.
#[derive(Debug)]
pub(super) struct LayerDir {
    shelf: PathBuf,
    remover: Remover,
    /// Relative to the shelf.
    pub(super) name: String,
    bytes: u64,
}

impl LayerDir {
    pub(super) fn path(&self) -> PathBuf {
        self.shelf.join(&self.name)
    }
}

impl Drop for LayerDir {
    fn drop(&mut self) {
        self.remover.remove(self.path());
    }
}

impl Shelf {
    /// In an empty directory, holding no more than so many bytes that are not in use.
    pub(super) fn new(path: PathBuf, marks: Marks, bytes: u64) -> Result<Self, Error> {
        let fd = fs::File::open(&path).map_err(Error::io("open", &path))?.into();
        // A layer takes some inodes at least; the cache grows to what it holds.
        let dirs = Cache::with_weighter(1024, bytes, Bytes);
        let (next, remover) = (AtomicU64::new(0), Remover::new());
        Ok(Self { path, fd, marks, next, remover, dirs })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn keep_within(&self, bytes: u64) {
        self.dirs.set_capacity(bytes);
    }

    /// A name that was not given before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A new directory, and its name.
    pub(super) fn make(&self, name: String) -> Result<LayerDir, Error> {
        let path = self.path.join(&name);
        fs::DirBuilder::new().mode(0o755).create(&path).map_err(Error::io("create", &path))?;
        let remover = self.remover.clone();
        Ok(LayerDir { shelf: self.path.clone(), remover, name, bytes: 0 })
    }

    /// Waits until what nobody needs any more is removed.
    pub(super) fn settle(&self) {
        self.remover.settle();
    }
}

/// What one delta, or several after each other, changed.
#[derive(Debug)]
pub(super) struct Layer {
    number: u64,
    shelf: Arc<Shelf>,
    /// How many deltas it stands for.
    span: usize,
    changed: BTreeSet<Path>,
    /// The state with this layer above those below.
    entries: Entries,
}

impl Layer {
    /// A layer that is written when it is first wanted.
    pub(super) fn new(
        shelf: &Arc<Shelf>,
        span: usize,
        changed: BTreeSet<Path>,
        entries: Entries,
    ) -> Self {
        Self { number: shelf.number(), shelf: Arc::clone(shelf), span, changed, entries }
    }

    /// Takes a directory that the kernel has written as this layer's.
    pub(super) fn adopt(&self, mut dir: LayerDir, bytes: u64) {
        dir.bytes = bytes;
        self.shelf.dirs.insert(self.number, Arc::new(dir));
    }

    /// The layer's directory, written anew if it is not there. Stays as long as the answer is held.
    pub(super) fn dir<S: ObjectStore + Sync>(&self, store: &S) -> Result<Arc<LayerDir>, Error> {
        self.shelf.dirs.get_or_insert_with(&self.number, || self.write(store).map(Arc::new))
    }

    fn write<S: ObjectStore + Sync>(&self, store: &S) -> Result<LayerDir, Error> {
        let tree = content(&self.entries, &self.changed)?;
        let tree = marks::shown(tree, self.shelf.marks)?;
        let bytes = tree.iter().map(|entry| {
            INODE_BYTES + entry.entry.content().map_or(0, cascow_core::blob::BlobId::len)
        });
        let bytes = bytes.fold(0, u64::saturating_add);
        let mut dir = self.shelf.make(format!("{}.layer", self.shelf.number()))?;
        directory::write_tree(&tree, store, &dir.path(), &mut |_| {})?;
        dir.bytes = bytes;
        Ok(dir)
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.shelf.dirs.remove(&self.number);
    }
}

/// Writes every file that has several names into an upper layer that is still empty, for kernels that would give a name a file of its
/// own when it is first written to.
pub(in super::super) fn write_links<S: ObjectStore + Sync>(
    entries: &Entries,
    upper: &std::path::Path,
    marks: Marks,
    store: &S,
) -> Result<(), Error> {
    let linked = entries.linked().cloned().collect();
    let tree = marks::shown(content(entries, &linked)?, marks)?;
    directory::write_tree(&tree, store, upper, &mut |_| {}).map(|_| ())
}

/// What a layer holds: all that changed, whiteouts for what went, and the directories above, since the topmost layer's
/// directory is the one whose mode and times are seen.
fn content<'a>(
    entries: &'a Entries,
    changed: &'a BTreeSet<Path>,
) -> Result<Vec<WorkspaceEntry<'a>>, Error> {
    // A group of hard links is written whole, or its names would not be one file.
    let mut paths: BTreeSet<&[u8]> = BTreeSet::new();
    let mut tree: Vec<WorkspaceEntry<'a>> = Vec::new();
    let with_links = changed.iter().flat_map(|path| {
        let links = entries.get(path).and_then(|value| Entry::decode(&value.bytes).ok()?.links);
        let group = links.into_iter().flat_map(|first| entries.group(&first));
        [path].into_iter().chain(group)
    });
    for path in with_links {
        paths.insert(path);
        let mut above = workspace::parent(path);
        while let Some(directory) = above {
            if !paths.insert(directory) {
                break;
            }
            above = workspace::parent(directory);
        }
    }
    for path in paths {
        match entries.decoded(path)? {
            Some(entry) => tree.push(entry),
            // Below what is no directory any more, nothing is left to hide.
            None if is_below_directory(entries, path)? => tree.push(whiteout(path)),
            None => {}
        }
    }
    Ok(tree)
}

fn is_below_directory(entries: &Entries, path: &[u8]) -> Result<bool, Error> {
    let Some(parent) = workspace::parent(path) else { return Ok(true) };
    let parent = entries.decoded(parent)?;
    Ok(parent.is_some_and(|parent| parent.entry.kind == EntryKind::Directory))
}

/// What overlayfs takes for "nothing here": a character device without numbers.
fn whiteout(path: &[u8]) -> WorkspaceEntry<'_> {
    let kind = EntryKind::CharacterDevice { major: 0, minor: 0 };
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: u32::MAX, gid: u32::MAX, index: None };
    WorkspaceEntry { path, entry: Entry { kind, mode: 0, xattrs: Vec::new(), links: None }, note }
}

/// The layers of a state, the topmost first, joined where eight of one size lie upon each other.
pub(super) fn compact(mut stack: Vec<Arc<Layer>>) -> Vec<Arc<Layer>> {
    while let Some(top) = stack.get(..JOINED)
        && top.iter().all(|layer| layer.span == top[0].span)
    {
        let changed = top.iter().flat_map(|layer| layer.changed.iter().cloned()).collect();
        let span = top.iter().map(|layer| layer.span).sum();
        let joined = Layer::new(&top[0].shelf, span, changed, top[0].entries.clone());
        stack.splice(..JOINED, [Arc::new(joined)]);
    }
    stack
}

/// Names of changed paths, as a layer keeps them.
pub(super) fn changed<'a>(keys: impl Iterator<Item = &'a [u8]>) -> BTreeSet<Path> {
    keys.map(Path::from).collect()
}
