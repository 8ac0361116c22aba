// SPDX-License-Identifier: MIT
//! How much of a changed value a store knows already: 1,000 variations of 1 MB, each a change of the same value.

use std::cell::RefCell;
use std::fmt;

use cascow_benches::report::{Report, Row, Target};
use cascow_core::blob;
use cascow_core::chunk::chunks;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};
use hashbrown::HashSet;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Bytes of the value.
const LEN: usize = 1_000_000;
const VARIATIONS: u64 = 1000;

pub(crate) fn run(report: &mut Report) {
    for (percent, target) in [(0.1, 99.0), (1.0, 95.0), (10.0, 80.0)] {
        let found = found_again(percent, Change::Clustered);
        report.row(Row {
            work: format!(
                "bytes of 1,000 variations of 1 MB found again, {percent} % changed in one piece"
            ),
            cascow: found.to_string(),
            target: Some(Target::at_least(found.all, target, format!("≥ {target} %"))),
            ..Row::default()
        });
        let found = found_again(percent, Change::Scattered);
        report.row(Row {
            work: format!("the same, {percent} % changed byte by byte anywhere"),
            cascow: found.to_string(),
            ..Row::default()
        });
    }
}

/// Where a variation differs.
#[derive(Clone, Copy)]
enum Change {
    /// In one piece at a random place.
    Clustered,
    /// In single bytes at random places.
    Scattered,
}

/// Per cent of bytes that were there already.
struct Found {
    /// Of all objects that the variations are made of.
    all: f64,
    /// Of the variations themselves, without the lists of their chunks.
    values: f64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} % (without lists of chunks {:.2} %)", self.all, self.values)
    }
}

fn found_again(percent: f64, change: Change) -> Found {
    let base = crate::noise(1, LEN);
    let (store, values) = (Names::default(), Names::default());
    let written = "a set of names refuses nothing";
    blob::write(&store, &base).expect(written);
    chunks(&base).for_each(|chunk| _ = values.put(chunk));
    for names in [&store, &values] {
        *names.counts.borrow_mut() = Counts::default();
    }
    let random = &mut Xoshiro256PlusPlus::seed_from_u64(2);
    let changed = share(percent);
    for _ in 0..VARIATIONS {
        let mut variation = base.clone();
        match change {
            Change::Clustered => {
                let start = below(random, LEN - changed);
                random.fill_bytes(&mut variation[start..start + changed]);
            }
            // An exclusive or with what is not 0, so that the byte is another.
            Change::Scattered => (0..changed).for_each(|_| variation[below(random, LEN)] ^= 0x55),
        }
        chunks(&variation).for_each(|chunk| _ = values.put(chunk));
        blob::write(&store, &variation).expect(written);
    }
    Found { all: store.counts.borrow().found(), values: values.counts.borrow().found() }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 10^6")]
fn share(percent: f64) -> usize {
    (LEN as f64 * percent / 100.0).round() as usize
}

fn below(random: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    usize::try_from(random.next_u64() % bound as u64).expect("a number below a length is a length")
}

/// A store that keeps names and counts bytes: of noise, the bytes themselves would only be compressed in vain.
#[derive(Default)]
struct Names {
    names: RefCell<HashSet<ContentHash>>,
    counts: RefCell<Counts>,
}

/// Bytes of objects that were put, uncompressed.
#[derive(Default)]
struct Counts {
    all: u64,
    /// Those that were not there.
    new: u64,
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
    fn found(&self) -> f64 {
        100.0 * (1.0 - self.new as f64 / self.all as f64)
    }
}

impl ObjectStore for Names {
    fn hash_kind(&self) -> HashKind {
        HashKind::Sha256
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        let hash = self.hash_kind().hash(bytes);
        let len = bytes.len() as u64;
        let mut counts = self.counts.borrow_mut();
        counts.all += len;
        let is_new = self.names.borrow_mut().insert(hash);
        if is_new {
            counts.new += len;
        }
        Ok(Put { hash, added: is_new.then_some(len) })
    }

    fn get_within(&self, hash: &ContentHash, _: u64) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Missing { hash: *hash })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.names.borrow().contains(hash))
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.names.borrow_mut().remove(hash))
    }

    fn for_each(
        &self,
        _: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}
