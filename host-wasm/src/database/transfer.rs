// SPDX-License-Identifier: MIT
//! Bundles in and out: snapshots for any host, and histories as directory trees of files.
//!
//! A bundle brings directory trees, so a history travels as one: the file `history` is the listing of its points as in memory, and
//! `objects/` has a file for each object of the saved searches, named by its content hash. The native program imports it like any
//! other, and may check it out.

use std::cell::RefCell;
use std::collections::HashSet;

use cascow_core::blob::{self, Blob};
use cascow_core::bundle::{self, Decoder, Part};
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::record::{self, RecordError};
use cascow_core::search;
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{MemoryStore, ObjectStore};
use cascow_core::workspace;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::history::History;
use super::objects::Objects;
use super::shared::no_head;
use super::{Database, parse_hash};
use crate::error::{Code, Failure};
use crate::js::{self, object};

/// The longest file that is read into memory, in bytes: what a tab may still hold.
pub(crate) const MAX_FILE_LEN: u64 = 256 << 20;

/// What a bundle has brought, verified and whole, but not yet in the database.
struct Brought {
    store: MemoryStore,
    heads: Vec<ContentHash>,
    snapshots: Vec<ContentHash>,
    names: Vec<ContentHash>,
}

/// Decodes a bundle into memory and checks that its snapshots are whole.
fn decode(bytes: &[u8], expected: HashKind) -> Result<Brought, Failure> {
    let mut decoder = Decoder::new();
    let mut input = bytes;
    let store = MemoryStore::new(expected);
    let (mut heads, mut names) = (Vec::new(), Vec::new());
    while let Some(part) = decoder.next(&mut input)? {
        match part {
            Part::Heads { kind, .. } if kind != expected => {
                return Err(Failure::new(
                    Code::Unsupported,
                    format_args!(
                        "the bundle's objects are named by {}, the database's by {}",
                        kind.name(),
                        expected.name()
                    ),
                ));
            }
            Part::Heads { heads: named, .. } => heads = named,
            Part::Object(bytes) => names.push(store.put(&bytes)?.hash),
            Part::End { .. } => break,
        }
    }
    if !input.is_empty() {
        return Err(Failure::new(Code::Bundle, "bytes follow the bundle's end"));
    }
    decoder.finish()?;
    let mut is_there = |hash: &ContentHash| match store.exists(hash)? {
        true => Ok(()),
        false => Err(cascow_core::store::StoreError::Missing { hash: *hash }),
    };
    let snapshots = bundle::check(&store, &heads, &mut |_| false, &mut is_there)
        .map_err(|error| Failure::new(Code::Bundle, error))?;
    Ok(Brought { store, heads, snapshots, names })
}

impl Brought {
    fn keep(&self, objects: &Objects) -> Result<(), Failure> {
        for name in &self.names {
            objects.put(&self.store.get(name)?)?;
        }
        Ok(())
    }
}

/// A bundle of snapshots whose objects are at hand.
fn encode(objects: &Objects, heads: &[ContentHash]) -> Result<Vec<u8>, Failure> {
    let mut sorted = heads.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let seen = RefCell::new(HashSet::new());
    let mut bytes = Vec::new();
    bundle::export(
        objects,
        &sorted,
        &mut |hash| Ok(seen.borrow_mut().insert(*hash)),
        &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        },
    )?;
    Ok(bytes)
}

/// A regular file of a directory tree, with nothing to note.
pub(crate) fn file(blob: &Blob) -> Value {
    entry(EntryKind::File(blob.id), 0o644, blob)
}

fn directory(blob: &Blob) -> Value {
    entry(EntryKind::Directory, 0o755, &Blob { index: None, ..*blob })
}

fn entry(kind: EntryKind, mode: u16, blob: &Blob) -> Value {
    let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
    // Equal contents are equal entries, whoever writes them and when.
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: blob.index };
    Value { bytes: entry.encode().into(), note: note.encode().into() }
}

/// The contents of a regular file of a directory tree; `None` if there is none at the path.
pub(crate) fn file_at(
    objects: &impl ObjectStore,
    state: &State,
    path: &[u8],
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(value) = state.get(path) else { return Ok(None) };
    contents(objects, path, value).map(Some)
}

/// The contents of a regular file.
pub(crate) fn contents(
    objects: &impl ObjectStore,
    path: &[u8],
    value: &Value,
) -> Result<Vec<u8>, Failure> {
    let entry = workspace::decode(path, value).map_err(Failure::argument)?;
    let Some(id) = entry.entry.content() else {
        return Err(Failure::argument(format_args!("{} is no regular file", path.escape_ascii())));
    };
    let blob = Blob { id: *id, index: entry.note.index };
    Ok(blob::read(objects, &blob, MAX_FILE_LEN).map_err(RecordError::Blob)?)
}

/// The file that a history's points are in.
const LIST: &[u8] = b"history";
/// The directory that its searches' objects are in.
const DIRECTORY: &[u8] = b"objects";

/// A history as a directory tree.
fn tree_of(objects: &Objects, history: &History) -> Result<State, Failure> {
    let mut state = State::new();
    let (list, _) = blob::write(objects, &history.encode_list())?;
    state.write(LIST, file(&list));
    state.write(DIRECTORY, directory(&list));
    for checkpoint in history.checkpoints() {
        for name in search::pages_of(objects, checkpoint)?.into_iter().chain([checkpoint]) {
            let key = [DIRECTORY, b"/", name.to_string().as_bytes()].concat();
            if state.get(&key).is_none() {
                let (blob, _) = blob::write(objects, &objects.get(&name)?)?;
                state.write(key, file(&blob));
            }
        }
    }
    Ok(state)
}

#[wasm_bindgen]
impl Database {
    /// A bundle of snapshots that are directory trees, with all that they come from and refer to: for any host to import.
    ///
    /// # Errors
    /// `missing`, `damaged`, `argument`, `storage`.
    #[wasm_bindgen(js_name = exportBundle, unchecked_return_type = "Uint8Array")]
    pub async fn export_bundle(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Hash[]")] snapshots: Vec<String>,
    ) -> Result<JsValue, JsValue> {
        let heads = snapshots.iter().map(|hash| parse_hash(hash));
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        let bytes = self.shared().read(|objects| encode(objects, &heads)).await?;
        Ok(js::array(&bytes).into())
    }

    /// Brings a bundle's objects into the working set, once all of it was found whole.
    ///
    /// # Errors
    /// `bundle`, `unsupported`, `closed`.
    #[wasm_bindgen(
        js_name = importBundle,
        unchecked_return_type = "{ heads: Hash[]; snapshots: Hash[]; objects: number }"
    )]
    pub async fn import_bundle(&self, bytes: Vec<u8>) -> Result<JsValue, JsValue> {
        let shared = self.shared();
        shared.check_open()?;
        let brought = decode(&bytes, shared.kind())?;
        brought.keep(shared.objects())?;
        shared.write_behind();
        Ok(object! {
            "heads": js::list(brought.heads.iter().map(ContentHash::to_string)),
            "snapshots": js::list(brought.snapshots.iter().map(ContentHash::to_string)),
            "objects": js::length(brought.names.len()),
        }
        .into())
    }

    /// A history with its searches as a bundle, which the native program reads as a directory tree.
    ///
    /// # Errors
    /// `head-missing`, `missing`, `damaged`, `storage`.
    #[wasm_bindgen(js_name = exportHistory, unchecked_return_type = "Uint8Array")]
    pub async fn export_history(&self, name: String) -> Result<JsValue, JsValue> {
        let shared = self.shared();
        let history = shared.history(&name).await?.ok_or_else(|| no_head(&name))?;
        for checkpoint in history.checkpoints() {
            shared.fetch_checkpoint(checkpoint).await?;
        }
        let export = |objects: &Objects| {
            // The tree's own objects are for the bundle alone: they go with the next `collect`.
            let tree = record::write(objects, &tree_of(objects, &history)?, None)?;
            encode(objects, &[tree.snapshot])
        };
        let bytes = shared.read(export).await?;
        Ok(js::array(&bytes).into())
    }

    /// Brings a history that was exported, in place of what has that name. Nothing changes unless all of it is whole.
    ///
    /// # Errors
    /// `bundle`, `unsupported`, `quota`, `storage`, `follower`, `closed`.
    #[wasm_bindgen(js_name = importHistory, unchecked_return_type = "Point[]")]
    pub async fn import_history(&self, name: String, bytes: Vec<u8>) -> Result<JsValue, JsValue> {
        let shared = self.shared();
        shared.check_open()?;
        let no_history = || Failure::new(Code::Bundle, "the bundle brings no history");
        let brought = decode(&bytes, shared.kind())?;
        let [head] = brought.heads.as_slice() else { return Err(no_history().into()) };
        let record = record::read(&brought.store, head).map_err(Failure::from)?;
        let state = record::read_state(&brought.store, &record).map_err(Failure::from)?;
        let list = file_at(&brought.store, &state, LIST)?.ok_or_else(no_history)?;
        let history = History::decode_list(&list).ok_or_else(no_history)?;
        let mut bring = Vec::new();
        for (path, value) in state.iter() {
            if path.strip_prefix(DIRECTORY).is_some_and(|rest| rest.starts_with(b"/")) {
                bring.push(contents(&brought.store, path, value)?);
            }
        }
        let arrived = MemoryStore::new(shared.kind());
        for object in &bring {
            arrived.put(object).map_err(Failure::from)?;
        }
        for checkpoint in history.checkpoints() {
            let pages = search::pages_of(&arrived, checkpoint)
                .map_err(|error| Failure::new(Code::Bundle, error))?;
            for page in pages {
                if !arrived.exists(&page).map_err(Failure::from)? {
                    return Err(Failure::new(Code::Bundle, Failure::missing(page)).into());
                }
            }
        }
        for object in &bring {
            shared.objects().put(object).map_err(Failure::from)?;
        }
        let _turn = shared.turns().take().await;
        shared.save_history(&name, &history, true).await?;
        Ok(history.objects().into())
    }
}
