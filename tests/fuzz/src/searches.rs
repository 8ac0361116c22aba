// SPDX-License-Identifier: MIT
//! Saved searches in which a forger changed bytes, under the names that they had.

use std::cell::RefCell;
use std::sync::OnceLock;

use cascow_core::games::{Board, Playouts, connect4::Connect4};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::search::{Renewal, Search, Settings, Step};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

type Game = Playouts<Connect4>;

/// Objects that are believed to have the names they are kept under.
#[derive(Clone, Default)]
struct Shelf(RefCell<Vec<(ContentHash, Vec<u8>)>>);

impl ObjectStore for Shelf {
    fn hash_kind(&self) -> HashKind {
        HashKind::Sha256
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        let hash = HashKind::Sha256.hash(bytes);
        let added = !self.exists(&hash)?;
        if added {
            self.0.borrow_mut().push((hash, bytes.to_vec()));
        }
        Ok(Put { hash, added: added.then_some(bytes.len() as u64) })
    }

    fn get_within(&self, hash: &ContentHash, _limit: u64) -> Result<Vec<u8>, StoreError> {
        let objects = self.0.borrow();
        let found = objects.iter().find(|(name, _)| name == hash);
        found.map(|(_, bytes)| bytes.clone()).ok_or(StoreError::Missing { hash: *hash })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.0.borrow().iter().any(|(name, _)| name == hash))
    }

    fn delete(&self, _: &ContentHash) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn for_each(
        &self,
        _: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Two searches that were saved, each with its checkpoint: of a graph that does not know parents, and of one that does.
fn saved() -> &'static [(Vec<(ContentHash, Vec<u8>)>, ContentHash); 2] {
    static SAVED: OnceLock<[(Vec<(ContentHash, Vec<u8>)>, ContentHash); 2]> = OnceLock::new();
    SAVED.get_or_init(|| {
        [Renewal::Path, Renewal::Ancestors].map(|renewal| {
            let settings =
                Settings { renewal, byte_limit: Some(400_000), ..Settings::two_players() };
            let mut search = Search::new(settings, Connect4::START, &mut Game::new())
                .expect("the game is sound");
            for _ in 0..60 {
                search.step(&mut Game::new()).expect("the game is sound");
            }
            let shelf = Shelf::default();
            let checkpoint = search.save(&shelf).expect("a shelf takes all").checkpoint;
            (shelf.0.into_inner(), checkpoint)
        })
    })
}

/// A saved search with bytes changed: the first byte chooses which, every four after it say of which object, where, and to what.
///
/// It is refused, or it goes on, and what it then saves is not refused.
pub fn search(data: &[u8]) {
    let Some((which, edits)) = data.split_first() else { return };
    let (objects, checkpoint) = &saved()[usize::from(which & 1)];
    let mut objects = objects.clone();
    for &[object, low, high, value] in edits.as_chunks::<4>().0 {
        let count = objects.len();
        let bytes = &mut objects[usize::from(object) % count].1;
        let len = bytes.len();
        bytes[usize::from(u16::from_le_bytes([low, high])) % len] = value;
    }
    let shelf = Shelf(RefCell::new(objects));
    let Ok(mut search) = Search::<Connect4>::load::<Game>(&shelf, *checkpoint) else { return };
    for _ in 0..60 {
        match search.step(&mut Game::new()) {
            Ok(Step::Exhausted) | Err(_) => break,
            Ok(_) => {}
        }
    }
    for node in search.nodes() {
        assert!((0.0..=1.0).contains(&node.value), "{node:?}");
    }
    let again = Shelf::default();
    let saved = search.save(&again).expect("a shelf takes all");
    let loaded = Search::<Connect4>::load::<Game>(&again, saved.checkpoint);
    assert_eq!(loaded.map(|search| search.counts()).ok(), Some(search.counts()));
}
