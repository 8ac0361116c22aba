// SPDX-License-Identifier: MIT
//! What heads lead to, and the deletion of what none leads to.
//!
//! A head leads to a snapshot, with all that it comes from and refers to; to a history, which is a snapshot whose points refer to
//! saved searches; to a saved search; or to any other object, alone. If anything on the way is missing or damaged, nothing is
//! deleted: what cannot be read may refer to what can.

use std::collections::HashSet;
use std::rc::Rc;

use cascow_core::hash::ContentHash;
use cascow_core::reach::{Fault, Reach, Visitor};
use cascow_core::record::{self, RecordError};
use cascow_core::search::{self, CheckpointError};
use cascow_core::store::{ObjectStore, StoreError};
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;

use super::history::History;
use super::objects::Objects;
use super::reading::Reading;
use super::{Database, Shared};
use crate::error::{Code, Failure};
use crate::js::{self, object};

/// Gathers what a snapshot refers to, and the first thing that is wrong.
#[derive(Default)]
struct Gather<'o> {
    objects: Option<&'o Objects>,
    found: HashSet<ContentHash>,
    fault: Option<Failure>,
}

impl Visitor for Gather<'_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        let is_there = match self.objects {
            Some(objects) => objects.exists(hash)?,
            None => true,
        };
        if !is_there {
            return Err(StoreError::Missing { hash: *hash });
        }
        self.found.insert(*hash);
        Ok(())
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        let failure = match fault {
            // A state of its own and not a directory tree: its values refer to nothing.
            Fault::Entry { .. } => return Ok(()),
            Fault::Missing { hash } => Failure::missing(*hash),
            Fault::Unsupported { .. } => Failure::new(Code::Unsupported, fault),
            _ => Failure::new(Code::Damaged, fault),
        };
        self.fault.get_or_insert(failure);
        Ok(())
    }
}

/// All objects that `target` leads to, which must be there.
fn reach(objects: &Objects, target: ContentHash) -> Result<HashSet<ContentHash>, Failure> {
    let mut found = HashSet::from([target]);
    match search::pages_of(objects, target) {
        Ok(pages) => {
            found.extend(pages);
            return present(objects, found);
        }
        Err(CheckpointError::NotACheckpoint { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let record = match record::read(objects, &target) {
        Ok(record) => record,
        // Too long for one, or something else.
        Err(RecordError::NotASnapshot { .. } | RecordError::Blob(_)) => {
            return present(objects, found);
        }
        Err(error) => return Err(error.into()),
    };
    let gather = Gather { objects: Some(objects), ..Gather::default() };
    let mut walk = Reach::new(objects, gather);
    walk.snapshot(&target)?;
    let gathered = walk.into_visitor();
    if let Some(failure) = gathered.fault {
        return Err(failure);
    }
    found.extend(gathered.found);
    if let Some(history) = History::of(&record::read_state(objects, &record)?)? {
        for checkpoint in history.checkpoints() {
            found.insert(checkpoint);
            found.extend(search::pages_of(objects, checkpoint)?);
        }
    }
    present(objects, found)
}

fn present(
    objects: &Objects,
    found: HashSet<ContentHash>,
) -> Result<HashSet<ContentHash>, Failure> {
    for hash in &found {
        if !objects.exists(hash)? {
            return Err(Failure::missing(*hash));
        }
    }
    Ok(found)
}

impl Shared {
    /// All objects that `target` leads to, of which each is there.
    pub(super) async fn reach(&self, target: ContentHash) -> Result<HashSet<ContentHash>, Failure> {
        self.read(|objects| reach(objects, target)).await
    }

    /// Deletes what no version of a head leads to. Says how many bytes of pages went.
    async fn collect(&self) -> Result<(u64, u64), Failure> {
        self.check_open()?;
        if !self.may_write() {
            return Ok((0, 0));
        }
        // Nobody moves a head meanwhile.
        let _turn = self.turns().take().await;
        let mut alive = HashSet::new();
        for target in self.head_targets() {
            alive.extend(self.reach(target).await?);
        }
        let objects = self.objects();
        let is_alive = |hash: &ContentHash| alive.contains(hash) || objects.is_touched(hash);
        let before = objects.tally();
        // What lives in pages that go is brought into memory, and written elsewhere by the transaction that deletes them. More
        // may live by the time it is there. After the last look nothing is awaited until it waits to be written.
        let _reading = Reading::begin(objects);
        let (sparse, moved) = loop {
            let sparse = objects.sparse_pages(&is_alive);
            let moved: Vec<ContentHash> =
                sparse.iter().flat_map(|(_, alive)| alive).copied().collect();
            let absent = objects.pages_of(&moved);
            if absent.is_empty() {
                break (sparse, moved);
            }
            self.fetch(&absent).await?;
        };
        let dropped = objects.drop_waiting(&is_alive);
        objects.rewrite(&moved);
        let pages: Vec<_> = sparse.iter().map(|(page, _)| *page).collect();
        for page in &pages {
            objects.forget_page(*page);
        }
        self.doom(pages);
        self.write_waiting().await?;
        let after = objects.tally();
        let gone = before.objects.saturating_sub(after.objects);
        let bytes = before.stored_bytes.saturating_sub(after.stored_bytes) + dropped.1;
        Ok((gone, bytes))
    }
}

/// As long as it lives, what is put stays: a save that has put its objects and waits for its turn counts on them.
struct Collecting(Rc<Shared>);

impl Collecting {
    fn begin(shared: Rc<Shared>) -> Self {
        shared.objects().begin_collecting();
        Self(shared)
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.0.objects().end_collecting();
    }
}

#[wasm_bindgen]
impl Database {
    /// Deletes what no head needs. Of a page that is mostly dead, what lives is written again elsewhere.
    /// What was put before this was called and is under no head goes too; what is put while it is under way stays.
    ///
    /// # Errors
    /// `missing`, `damaged`: something that a head needs; then nothing is deleted. `quota`, `storage`, `closed`.
    #[wasm_bindgen(unchecked_return_type = "Promise<{ objects: number; bytes: number }>")]
    pub fn collect(&self) -> Promise {
        let collecting = Collecting::begin(self.shared());
        js::promise(Ok(async move {
            let (objects, bytes) = collecting.0.collect().await?;
            Ok(object! { "objects": js::number(objects), "bytes": js::number(bytes) }.into())
        }))
    }
}
