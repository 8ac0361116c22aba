// SPDX-License-Identifier: MIT
//! The entries of a directory tree as a map that is cheap to fork: states a delta apart share all but that delta.
//!
//! Sealing a workspace asks for what lies below a directory and which names belong to one group of hard links, so both are kept in
//! order. A [`State`] is a plain map and would have to be copied whole for each seal.

use std::sync::Arc;

use cascow_core::blob::BlobId;
use cascow_core::entry::Entry;
use cascow_core::snapshot::{Delta, Edit, State, Value};
use cascow_core::workspace::{self, WorkspaceEntry};
use imbl::{OrdMap, OrdSet};

use crate::Error;

/// A path, shared by all the maps it is in.
pub(super) type Path = Arc<[u8]>;

/// The entries of one state. A clone is O(1); a change is O(log n) and leaves clones as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    map: OrdMap<Path, Arc<Value>>,
    /// The paths of each group of hard links, by the path that names it.
    groups: OrdMap<Path, OrdSet<Path>>,
}

impl Entries {
    /// The entries of a state. O(n log n).
    ///
    /// # Errors
    /// [`Error::Workspace`] if the state is not a directory tree.
    pub(super) fn new(state: &State) -> Result<Self, Error> {
        let mut groups: OrdMap<Path, OrdSet<Path>> = OrdMap::new();
        for WorkspaceEntry { path, entry, .. } in workspace::entries(state)? {
            if let Some(first) = entry.links {
                groups.entry(first.into()).or_default().insert(path.into());
            }
        }
        let map = state.iter().map(|(path, value)| (Path::from(path), Arc::new(value.clone())));
        Ok(Self { map: map.collect(), groups })
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// The length of the longest file. O(n).
    pub(super) fn longest_file_len(&self) -> u64 {
        let len = |value: &Arc<Value>| {
            Entry::decode(&value.bytes).ok().and_then(|entry| entry.content().map(BlobId::len))
        };
        self.map.values().filter_map(len).max().unwrap_or(0)
    }

    /// What is at a path. O(log n).
    pub(super) fn get(&self, path: &[u8]) -> Option<&Value> {
        self.map.get(path).map(|value| &**value)
    }

    /// What is at a path, decoded.
    ///
    /// # Errors
    /// [`Error::Workspace`] if it is no entry of a directory tree: the entries of a state are.
    pub(super) fn decoded<'p>(&self, path: &'p [u8]) -> Result<Option<WorkspaceEntry<'p>>, Error> {
        Ok(self.get(path).map(|value| workspace::decode(path, value)).transpose()?)
    }

    /// All that is below a directory, ascending; all there is for the empty path. O(log n) and a step each.
    pub(super) fn below<'a>(
        &'a self,
        directory: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Value)> + use<'a> {
        // What is below D lies from `D/` up to `D0`, the byte after the slash.
        let bound = |end: u8| [directory, &[end]].concat();
        let (from, to) = if directory.is_empty() {
            (Vec::new(), None)
        } else {
            (bound(b'/'), Some(bound(b'/' + 1)))
        };
        let from = std::ops::Bound::Included(from);
        let to = to.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let range = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        self.map.range::<_, [u8]>(range).map(|(path, value)| (&**path, &**value))
    }

    /// Whether there are groups of hard links at all.
    pub(super) fn has_links(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The paths of all files that have several.
    pub(super) fn linked(&self) -> impl Iterator<Item = &Path> {
        self.groups.values().flatten()
    }

    /// The paths of the group that is named so.
    pub(super) fn group<'a>(&'a self, first: &[u8]) -> impl Iterator<Item = &'a Path> + use<'a> {
        self.groups.get(first).into_iter().flatten()
    }

    /// Applies a delta. O(k log n) for k changes.
    pub(super) fn apply(&mut self, delta: &Delta) {
        for Edit { key, value } in delta {
            let path: Path = key.into();
            if let Some(first) = self.links(key)
                && let Some(group) = self.groups.get_mut(&*first)
            {
                group.remove(key);
                if group.is_empty() {
                    self.groups.remove(&*first);
                }
            }
            match value {
                Some(value) => _ = self.map.insert(Arc::clone(&path), Arc::new(value.into())),
                None => _ = self.map.remove(key),
            }
            if let Some(first) = self.links(key) {
                self.groups.entry(first.into()).or_default().insert(path);
            }
        }
    }

    /// The path that names the group of hard links which a path belongs to.
    fn links(&self, path: &[u8]) -> Option<Vec<u8>> {
        Entry::decode(&self.get(path)?.bytes).ok()?.links
    }

    /// All entries as a plain state. O(n).
    pub(super) fn state(&self) -> State {
        self.map.iter().map(|(path, value)| (&**path, (**value).clone())).collect()
    }
}
