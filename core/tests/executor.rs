// SPDX-License-Identifier: MIT
//! Blobs written by several threads at once are those written one after the other.
#![cfg(all(feature = "std", feature = "sha256"))]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use cascow_core::blob::{self, Added};
use cascow_core::executor::{Executor, Sequential};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const KIND: HashKind = HashKind::Sha256;

/// So many threads, which begin together and each take the next item when they are done with one.
struct Threads(usize);

impl Executor for Threads {
    fn map<I: Sync, T: Send>(&self, items: &[I], job: impl Fn(&I) -> T + Sync) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let begin = Barrier::new(self.0);
        let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
        thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    begin.wait();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at) else { break };
                        *results[at].lock().unwrap() = Some(job(item));
                    }
                });
            }
        });
        results.into_iter().map(|result| result.into_inner().unwrap().unwrap()).collect()
    }
}

/// Objects in memory, for several threads; a put of what is refused fails.
struct Shared {
    objects: Mutex<MemoryStore>,
    refused: Vec<ContentHash>,
}

impl Shared {
    fn new(refused: &[ContentHash]) -> Self {
        Self { objects: Mutex::new(MemoryStore::new(KIND)), refused: refused.to_vec() }
    }

    fn listing(&self) -> BTreeMap<ContentHash, ObjectInfo> {
        let mut listing = BTreeMap::new();
        self.for_each(&mut |object| {
            listing.insert(object.hash, object);
            Ok(())
        })
        .unwrap();
        listing
    }
}

impl ObjectStore for Shared {
    fn hash_kind(&self) -> HashKind {
        KIND
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        let name = KIND.hash(bytes);
        if self.refused.contains(&name) {
            return Err(StoreError::Host(name.to_string().into()));
        }
        self.objects.lock().unwrap().put(bytes)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.objects.lock().unwrap().get_within(hash, limit)
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.objects.lock().unwrap().exists(hash)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.objects.lock().unwrap().delete(hash)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.objects.lock().unwrap().for_each(visit)
    }
}

/// Values of many lengths, short ones and long ones, of which some share chunks and some are equal.
fn values() -> Vec<Vec<u8>> {
    let mut noise = vec![0; 300_000];
    Xoshiro256PlusPlus::seed_from_u64(4).fill_bytes(&mut noise);
    (0..60).map(|n| noise[(n % 7) * 10_000..][..(n % 13) * 15_000].to_vec()).collect()
}

fn total(added: impl IntoIterator<Item = Added>) -> Added {
    added.into_iter().fold(Added::default(), |mut sum, added| {
        sum += added;
        sum
    })
}

#[test]
fn threads_write_the_same_blobs_and_objects_as_one_after_the_other() {
    let values = values();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let alone = Shared::new(&[]);
    let expected: Vec<_> = values.iter().map(|value| blob::write(&alone, value).unwrap()).collect();

    let sequential = Shared::new(&[]);
    assert_eq!(blob::write_all(&sequential, &values, &Sequential).unwrap(), expected);
    assert_eq!(sequential.listing(), alone.listing());

    for threads in [1, 2, 8] {
        let shared = Shared::new(&[]);
        let written = blob::write_all(&shared, &values, &Threads(threads)).unwrap();
        assert!(written.iter().map(|(blob, _)| blob).eq(expected.iter().map(|(blob, _)| blob)));
        let added =
            |written: &[(blob::Blob, Added)]| total(written.iter().map(|(_, added)| *added));
        assert_eq!(added(&written), added(&expected), "{threads} threads");
        assert_eq!(shared.listing(), alone.listing(), "{threads} threads");
        for ((blob, _), value) in written.iter().zip(&values) {
            assert_eq!(blob::read(&shared, blob, u64::MAX).unwrap(), *value);
        }
    }
}

#[test]
fn the_first_value_that_fails_is_the_one_that_is_told_of() {
    let values: Vec<[u8; 1]> = (0..100).map(|n| [n]).collect();
    let slices: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    let refused = [90, 41, 40].map(|n| KIND.hash(&[n]));
    for threads in [1, 2, 8] {
        let store = Shared::new(&refused);
        let errors = [
            blob::write_all(&store, &slices, &Threads(threads)).unwrap_err(),
            blob::write_all(&store, &slices, &Sequential).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.to_string(), KIND.hash(&[40]).to_string(), "{threads} threads");
        }
    }
}
