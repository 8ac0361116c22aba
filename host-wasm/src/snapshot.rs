// SPDX-License-Identifier: MIT
//! `Snapshot` and `Draft`: states that never change, and what is to become one.
//!
//! All snapshots of one database stand in one tree in memory, so that any two that come from the same are compared and merged by
//! what changed. Saving one stores its record and listing; a directory tree, whose values are made by `writeFile` and
//! `makeDirectory`, can then be exported in a bundle.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use cascow_core::blob;
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::ContentHash;
use cascow_core::record;
use cascow_core::snapshot::merge::Policy;
use cascow_core::snapshot::{Delta, Edit, SnapshotId, SnapshotTree, TreeError, Value};
use js_sys::Object;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::database::{Database, Objects, Shared, contents, file};
use crate::error::{Code, Failure};
use crate::js::{self, object};

/// The snapshots of a database in memory, and the names of those that are stored.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    tree: SnapshotTree,
    stored: HashMap<SnapshotId, ContentHash>,
    loaded: HashMap<ContentHash, SnapshotId>,
}

impl Forest {
    fn name(&mut self, id: SnapshotId, hash: ContentHash) {
        self.stored.insert(id, hash);
        self.loaded.insert(hash, id);
    }

    /// The nearest one that this one comes from and that is stored.
    fn stored_ancestor(&self, id: SnapshotId) -> Result<Option<ContentHash>, TreeError> {
        let mut next = self.tree.parent(id)?;
        while let Some(id) = next {
            if let Some(hash) = self.stored.get(&id) {
                return Ok(Some(*hash));
            }
            next = self.tree.parent(id)?;
        }
        Ok(None)
    }
}

/// A state that never changes.
#[wasm_bindgen]
pub struct Snapshot {
    shared: Rc<Shared>,
    id: SnapshotId,
}

/// Changes to a snapshot that are to become another.
#[wasm_bindgen]
pub struct Draft {
    shared: Rc<Shared>,
    parent: SnapshotId,
    delta: RefCell<Option<Delta>>,
}

fn used_up() -> Failure {
    Failure::new(Code::Freed, "this draft was committed: fork the snapshot again")
}

pub(crate) fn changes(changes: &[cascow_core::snapshot::Change]) -> JsValue {
    js::list(changes.iter().map(|change| {
        object! { "key": js::array(&change.key), "kind": change.kind.name() }
    }))
    .into()
}

impl Snapshot {
    fn forest(&self) -> &RefCell<Forest> {
        self.shared.forest()
    }

    fn sibling(&self, id: SnapshotId) -> Self {
        Self { shared: Rc::clone(&self.shared), id }
    }

    fn value(&self, key: &[u8]) -> Result<Option<Value>, Failure> {
        let forest = self.forest().borrow();
        let value = forest.tree.get(self.id, key)?;
        Ok(value.map(|value| Value { bytes: value.bytes.into(), note: value.note.into() }))
    }

    fn state(&self) -> Result<cascow_core::snapshot::State, Failure> {
        Ok(self.forest().borrow().tree.state(self.id)?)
    }
}

#[wasm_bindgen]
impl Database {
    /// A snapshot of these entries, which comes from none.
    ///
    /// # Errors
    /// `argument`, `full`.
    pub fn create(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "Iterable<[Bytes, Bytes]>")] entries: Option<
            Object,
        >,
    ) -> Result<Snapshot, JsValue> {
        let mut delta = Delta::new();
        for entry in entries.map(|entries| js::items(&entries)).transpose()?.unwrap_or_default() {
            let (key, value) = js::pair(&entry)?;
            delta.write(js::bytes(&key)?, Value::from(js::bytes(&value)?));
        }
        let shared = self.shared();
        let id = shared.forest().borrow_mut().tree.create(&delta).map_err(Failure::from)?;
        Ok(Snapshot { shared, id })
    }

    /// A stored snapshot. Its state is read whole and compared with its root.
    ///
    /// # Errors
    /// `missing`, `damaged`, `unsupported`, `storage`.
    pub async fn snapshot(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hash")] hash: String,
    ) -> Result<Snapshot, JsValue> {
        let hash: ContentHash = hash.parse().map_err(Failure::from)?;
        let shared = self.shared();
        let loaded = shared.forest().borrow().loaded.get(&hash).copied();
        if let Some(id) = loaded.filter(|id| shared.forest().borrow().tree.depth(*id).is_ok()) {
            return Ok(Snapshot { shared, id });
        }
        let read = |objects: &Objects| {
            let record = record::read(objects, &hash)?;
            Ok((record::read_state(objects, &record)?, record.parent))
        };
        let (state, parent) = shared.read(read).await?;
        let id = {
            let mut forest = shared.forest().borrow_mut();
            // If what it comes from is here, it is a fork of that, so that the two are compared and merged by their changes.
            let parent = parent.and_then(|parent| forest.loaded.get(&parent).copied());
            let parent = parent.filter(|parent| forest.tree.depth(*parent).is_ok());
            let id = match parent {
                Some(parent) => {
                    let delta = forest.tree.state(parent).map_err(Failure::from)?.delta_to(&state);
                    forest.tree.fork(parent, &delta)
                }
                None => {
                    let entries = state.iter().map(|(key, value)| Edit::write(key, value));
                    forest.tree.create(entries)
                }
            };
            let id = id.map_err(Failure::from)?;
            forest.name(id, hash);
            id
        };
        Ok(Snapshot { shared, id })
    }
}

#[wasm_bindgen]
impl Snapshot {
    /// Changes to this one, none yet. Copies nothing.
    #[must_use]
    pub fn fork(&self) -> Draft {
        Draft {
            shared: Rc::clone(&self.shared),
            parent: self.id,
            delta: RefCell::new(Some(Delta::new())),
        }
    }

    /// What a key maps to.
    ///
    /// # Errors
    /// `unknown-node`, `argument`.
    pub fn read(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
    ) -> Result<Option<Vec<u8>>, JsValue> {
        let value = self.value(&js::bytes(key)?)?;
        Ok(value.map(|value| value.bytes.into_vec()))
    }

    /// The contents of a regular file of a directory tree.
    ///
    /// # Errors
    /// `unknown-node`, `argument`, `missing`, `damaged`, `storage`.
    #[wasm_bindgen(js_name = readFile, unchecked_return_type = "Uint8Array | undefined")]
    pub async fn read_file(&self, path: String) -> Result<JsValue, JsValue> {
        let Some(value) = self.value(path.as_bytes())? else { return Ok(JsValue::UNDEFINED) };
        let shared = Rc::clone(&self.shared);
        let bytes = shared.read(|objects| contents(objects, path.as_bytes(), &value)).await?;
        Ok(js::array(&bytes).into())
    }

    /// All entries, ascending by key.
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(unchecked_return_type = "[Uint8Array, Uint8Array][]")]
    pub fn entries(&self) -> Result<JsValue, JsValue> {
        let state = self.state()?;
        let pair = |(key, value): (&[u8], &Value)| {
            js_sys::Array::of2(&js::array(key), &js::array(&value.bytes))
        };
        Ok(js::list(state.iter().map(pair)).into())
    }

    /// Number of entries. O(n).
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(getter)]
    pub fn length(&self) -> Result<f64, JsValue> {
        Ok(js::length(self.state()?.len()))
    }

    /// How another one differs from this one. Costs the changes between them, or both whole where they come from nothing in common.
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(unchecked_return_type = "Change[]")]
    pub fn diff(&self, other: &Self) -> Result<JsValue, JsValue> {
        if !Rc::ptr_eq(&self.shared, &other.shared) {
            return Ok(changes(&self.state()?.diff(&other.state()?)));
        }
        let found = self.forest().borrow().tree.diff(self.id, other.id);
        Ok(match found {
            Ok(found) => changes(&found),
            Err(TreeError::Unrelated { .. }) => changes(&self.state()?.diff(&other.state()?)),
            Err(error) => return Err(Failure::from(error).into()),
        })
    }

    /// Merges another one into this one, from what both come from.
    ///
    /// # Errors
    /// `unknown-node`, `unrelated`, `argument`.
    #[wasm_bindgen(unchecked_return_type = "{ snapshot: Snapshot; conflicts: Conflict[] }")]
    pub fn merge(
        &self,
        theirs: &Self,
        #[wasm_bindgen(unchecked_optional_param_type = "\"report\" | \"ours\" | \"theirs\"")]
        policy: Option<String>,
    ) -> Result<JsValue, JsValue> {
        let policy = match policy.as_deref() {
            None | Some("report") => Policy::Report,
            Some("ours") => Policy::Ours,
            Some("theirs") => Policy::Theirs,
            Some(_) => {
                let message = "a policy is \"report\", \"ours\" or \"theirs\"";
                return Err(Failure::argument(message).into());
            }
        };
        if !Rc::ptr_eq(&self.shared, &theirs.shared) {
            let message = "the snapshots are of different databases";
            return Err(Failure::new(Code::Unrelated, message).into());
        }
        let (id, conflicts) = {
            let mut forest = self.forest().borrow_mut();
            let merge = forest.tree.merge(self.id, theirs.id, policy).map_err(Failure::from)?;
            let id = forest.tree.fork(self.id, &merge.delta).map_err(Failure::from)?;
            (id, merge.conflicts)
        };
        let conflicts = conflicts.iter().map(|conflict| {
            object! { "key": js::array(&conflict.key), "kind": conflict.kind.name() }
        });
        let conflicts = js::list(conflicts);
        Ok(object! { "snapshot": self.sibling(id), "conflicts": conflicts }.into())
    }

    /// The commitment to its state. O(n) hashes.
    ///
    /// # Errors
    /// `unknown-node`.
    #[wasm_bindgen(unchecked_return_type = "Hash")]
    pub fn root(&self) -> Result<String, JsValue> {
        Ok(self.state()?.root(self.shared.kind()).to_string())
    }

    /// A proof of what a key maps to, or that it is not there. O(n) hashes.
    ///
    /// # Errors
    /// `unknown-node`, `argument`.
    pub fn prove(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
    ) -> Result<Vec<u8>, JsValue> {
        let (state, key) = (self.state()?, js::bytes(key)?);
        let value = state.get(&key).map(|value| &*value.bytes);
        Ok(state.trie(self.shared.kind()).prove(&key, value).map_err(Failure::from)?)
    }

    /// One proof of what several keys map to. O(n) hashes.
    ///
    /// # Errors
    /// `unknown-node`, `argument`.
    #[wasm_bindgen(js_name = proveMany)]
    pub fn prove_many(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Iterable<Bytes>")] keys: &JsValue,
    ) -> Result<Vec<u8>, JsValue> {
        let state = self.state()?;
        let keys = js::items(keys)?.iter().map(js::bytes).collect::<Result<Vec<_>, _>>()?;
        let entries =
            keys.iter().map(|key| (key.as_slice(), state.get(key).map(|value| &*value.bytes)));
        Ok(state.trie(self.shared.kind()).prove_many(entries).map_err(Failure::from)?)
    }

    /// Stores its record and entries in the working set; gives its name, for `commit`.
    ///
    /// # Errors
    /// `unknown-node`, `argument`, `closed`.
    #[wasm_bindgen(unchecked_return_type = "Hash")]
    pub fn save(&self) -> Result<String, JsValue> {
        self.shared.check_open()?;
        let state = self.state()?;
        let parent = self.forest().borrow().stored_ancestor(self.id).map_err(Failure::from)?;
        let written =
            record::write(self.shared.objects(), &state, parent).map_err(Failure::from)?;
        self.forest().borrow_mut().name(self.id, written.snapshot);
        self.shared.write_behind();
        Ok(written.snapshot.to_string())
    }

    /// Removes it from memory, with all that come from it. Says how many there were.
    ///
    /// # Errors
    /// `unknown-node`.
    pub fn prune(&self) -> Result<f64, JsValue> {
        let mut forest = self.forest().borrow_mut();
        let pruned = forest.tree.prune(self.id).map_err(Failure::from)?;
        let Forest { tree, stored, loaded } = &mut *forest;
        stored.retain(|id, _| tree.depth(*id).is_ok());
        loaded.retain(|_, id| tree.depth(*id).is_ok());
        Ok(js::length(pruned))
    }
}

impl Draft {
    fn change(&self, change: impl FnOnce(&mut Delta)) -> Result<(), Failure> {
        match &mut *self.delta.borrow_mut() {
            Some(delta) => {
                change(delta);
                Ok(())
            }
            None => Err(used_up()),
        }
    }
}

#[wasm_bindgen]
impl Draft {
    /// Maps a key to a value.
    ///
    /// # Errors
    /// `argument`, `freed`.
    pub fn write(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] value: &JsValue,
    ) -> Result<(), JsValue> {
        let (key, value) = (js::bytes(key)?, js::bytes(value)?);
        Ok(self.change(|delta| {
            delta.write(key, Value::from(value));
        })?)
    }

    /// Writes a regular file of a directory tree, whose directories must be made too (`makeDirectory`). Its chunks are put into the
    /// working set.
    ///
    /// # Errors
    /// `argument`, `freed`, `closed`.
    #[wasm_bindgen(js_name = writeFile)]
    pub fn write_file(
        &self,
        path: String,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] contents: &JsValue,
    ) -> Result<(), JsValue> {
        self.shared.check_open()?;
        let contents = js::bytes(contents)?;
        let (blob, _) = blob::write(self.shared.objects(), &contents).map_err(Failure::from)?;
        self.shared.write_behind();
        Ok(self.change(|delta| {
            delta.write(path.into_bytes(), file(&blob));
        })?)
    }

    /// Makes a directory of a directory tree.
    ///
    /// # Errors
    /// `freed`.
    #[wasm_bindgen(js_name = makeDirectory)]
    pub fn make_directory(&self, path: String) -> Result<(), JsValue> {
        let entry =
            Entry { kind: EntryKind::Directory, mode: 0o755, xattrs: Vec::new(), links: None };
        let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None };
        let value = Value { bytes: entry.encode().into(), note: note.encode().into() };
        Ok(self.change(|delta| {
            delta.write(path.into_bytes(), value);
        })?)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// `argument`, `freed`.
    pub fn delete(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
    ) -> Result<(), JsValue> {
        let key = js::bytes(key)?;
        Ok(self.change(|delta| {
            delta.whiteout(key);
        })?)
    }

    /// What a key maps to, with the draft's own changes.
    ///
    /// # Errors
    /// `argument`, `freed`, `unknown-node`.
    pub fn read(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Bytes")] key: &JsValue,
    ) -> Result<Option<Vec<u8>>, JsValue> {
        let key = js::bytes(key)?;
        let delta = self.delta.borrow();
        let delta = delta.as_ref().ok_or_else(used_up)?;
        if let Some(changed) = delta.get(&key) {
            return Ok(changed.map(|value| value.bytes.to_vec()));
        }
        let forest = self.shared.forest().borrow();
        let value = forest.tree.get(self.parent, &key).map_err(Failure::from)?;
        Ok(value.map(|value| value.bytes.to_vec()))
    }

    /// Makes the snapshot. The draft is used up.
    ///
    /// # Errors
    /// `freed`, `unknown-node`, `full`.
    pub fn commit(&self) -> Result<Snapshot, JsValue> {
        let delta = self.delta.take().ok_or_else(used_up)?;
        let id = self.shared.forest().borrow_mut().tree.fork(self.parent, &delta);
        let id = id.map_err(Failure::from)?;
        Ok(Snapshot { shared: Rc::clone(&self.shared), id })
    }
}
