// SPDX-License-Identifier: MIT
//! The store of segments: what it does beyond what every store does.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::Error;
use cascow_native::disk::Disk;
use cascow_native::store::{Durability, Marks, SegmentStore, Store, Sweep};
use cascow_tests::simulated::{Outage, SimulatedDisk};
use cascow_tests::store_conformance::conforms;

const KIND: HashKind = HashKind::Sha256;
const LEVELS: [Durability; 3] = [Durability::None, Durability::Batch, Durability::Each];

fn open(dir: &Path) -> SegmentStore {
    SegmentStore::open(KIND, dir, Durability::Batch).unwrap()
}

fn object(number: u32) -> Vec<u8> {
    // Some compress, some do not, all differ.
    match number % 3 {
        0 => format!("{number} ").repeat(100).into_bytes(),
        1 => number.to_le_bytes().to_vec(),
        _ => (0..40)
            .flat_map(|part: u32| {
                *KIND.hash(&[number, part].map(u32::to_le_bytes).concat()).as_bytes()
            })
            .collect(),
    }
}

fn put(store: &SegmentStore, numbers: std::ops::Range<u32>) {
    for number in numbers {
        store.put(&object(number)).unwrap();
    }
}

fn holds(store: &SegmentStore, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let bytes = object(number);
        assert!(store.get(&KIND.hash(&bytes)).unwrap() == bytes, "object {number}");
    }
}

fn listed(store: &SegmentStore) -> BTreeSet<ContentHash> {
    let mut found = BTreeSet::new();
    store
        .for_each(&mut |object| {
            assert!(found.insert(object.hash), "an object is listed once");
            Ok(())
        })
        .unwrap();
    found
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("segments")).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_store_of_segments_conforms_at_each_level_and_with_either_hash_function() {
    for kind in [HashKind::Sha256, HashKind::Blake3] {
        for level in LEVELS {
            let dir = tempfile::tempdir().unwrap();
            conforms(&SegmentStore::open(kind, dir.path(), level).unwrap());
        }
    }
}

#[test]
fn what_was_put_is_there_after_opening_again() {
    for level in LEVELS {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..3 {
            let store = SegmentStore::open(KIND, dir.path(), level).unwrap();
            holds(&store, 0..round * 50);
            put(&store, round * 50..round * 50 + 50);
            holds(&store, 0..round * 50 + 50);
        }
        assert_eq!(
            segments(dir.path()).len(),
            1,
            "each went on with the segment of the one before"
        );
    }
}

#[test]
fn another_user_sees_what_was_put_when_it_is_published_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = (open(dir.path()), open(dir.path()));
    let hash = writer.put(b"gathered").unwrap().hash;
    assert_eq!(writer.get(&hash).unwrap(), b"gathered");
    assert!(matches!(reader.get(&hash), Err(StoreError::Missing { .. })));
    writer.sync().unwrap();
    assert_eq!(reader.get(&hash).unwrap(), b"gathered");
    assert!(writer.delete(&hash).unwrap());
    assert!(!writer.exists(&hash).unwrap());
    assert!(!reader.exists(&hash).unwrap());
}

#[test]
fn at_level_each_a_put_is_published_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let writer = SegmentStore::open(KIND, dir.path(), Durability::Each).unwrap();
    let reader = open(dir.path());
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (writer, reader) = (&writer, &reader);
            scope.spawn(move || {
                // Half of them are other threads' too.
                for number in thread * 10..thread * 10 + 20 {
                    let hash = writer.put(&object(number)).unwrap().hash;
                    assert!(reader.get(&hash).unwrap() == object(number));
                }
            });
        }
    });
}

#[test]
fn two_writers_append_to_segments_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path()), open(dir.path()));
    put(&first, 0..10);
    put(&second, 5..15);
    first.sync().unwrap();
    second.sync().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    for store in [&first, &second, &open(dir.path())] {
        holds(store, 0..15);
        assert_eq!(listed(store).len(), 15);
    }
}

#[test]
fn what_was_found_again_under_a_lease_comes_back_after_a_deletion() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..3);
    let hash = KIND.hash(&object(1));
    let (deleter, writer) = (open(dir.path()), open(dir.path()));
    // Whatever was put before the lease began has to be noted as put again.
    writer.lease_from(u64::from(u32::MAX));
    assert_eq!(writer.put(&object(1)).unwrap().added, None);
    assert!(deleter.delete(&hash).unwrap());
    assert!(!deleter.exists(&hash).unwrap());
    writer.sync().unwrap();
    assert!(deleter.get(&hash).unwrap() == object(1));
    // And the other way round: the deletion came first, and the object is put as a new one.
    assert!(deleter.delete(&hash).unwrap());
    assert!(writer.put(&object(1)).unwrap().added.is_some());
    writer.sync().unwrap();
    assert!(deleter.get(&hash).unwrap() == object(1));
}

#[test]
fn the_index_is_made_again_from_the_segments() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..300);
    let index = dir.path().join("index");
    let whole = fs::read(index.join("data.mdb")).unwrap();
    let names = listed(&open(dir.path()));
    assert_eq!(names.len(), 300);
    let damages: [&dyn Fn(); 5] = [
        &|| fs::remove_dir_all(&index).unwrap(),
        &|| fs::write(index.join("data.mdb"), b"").unwrap(),
        &|| fs::write(index.join("data.mdb"), &whole[..100]).unwrap(),
        &|| fs::write(index.join("data.mdb"), &whole[..whole.len() / 2]).unwrap(),
        &|| fs::write(index.join("data.mdb"), b"something else ".repeat(10_000)).unwrap(),
    ];
    for damage in damages {
        damage();
        let store = open(dir.path());
        holds(&store, 0..300);
        assert!(listed(&store) == names);
    }
    // And cut off at each page.
    for len in (1..whole.len()).step_by(4096) {
        fs::write(index.join("data.mdb"), &whole[..len]).unwrap();
        holds(&open(dir.path()), 0..300);
    }
}

#[test]
fn an_index_cannot_be_made_again_while_another_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..10);
    fs::write(dir.path().join("index/data.mdb"), b"").unwrap();
    // As another process that uses the store.
    let user = File::options().write(true).open(dir.path().join("lock")).unwrap();
    user.lock_shared().unwrap();
    let refused = SegmentStore::open(KIND, dir.path(), Durability::Batch);
    assert!(matches!(refused, Err(Error::NotARepository { .. })));
    drop(user);
    holds(&open(dir.path()), 0..10);
}

#[test]
fn a_torn_end_is_stepped_over_by_the_next_writer_and_by_who_makes_the_index() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..20);
    let segment = segments(dir.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    for (round, torn) in [1, 3, 39, 40, 57, 200].into_iter().enumerate() {
        // The beginning of a record, as a killed writer leaves it.
        let mut file = File::options().append(true).open(&segment).unwrap();
        file.write_all(&whole[8..8 + torn]).unwrap();
        let round = u32::try_from(round).unwrap();
        put(&open(dir.path()), 20 + round..21 + round);
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        let store = open(dir.path());
        holds(&store, 0..21 + round);
        assert_eq!(listed(&store).len(), 21 + round as usize);
    }
    assert_eq!(segments(dir.path()).len(), 1);
}

#[test]
fn a_writer_that_was_killed_before_its_first_record_is_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("segments")).unwrap();
    for (name, bytes) in [("00000001", &b""[..]), ("00000002", b"CCSG"), ("notes", b"not ours")] {
        fs::write(dir.path().join("segments").join(name), bytes).unwrap();
    }
    put(&open(dir.path()), 0..20);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    holds(&open(dir.path()), 0..20);
}

#[test]
fn damage_in_a_segment_is_told_with_the_objects_name_and_mended_by_putting_again() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = object(2);
    let hash = KIND.hash(&bytes);
    open(dir.path()).put(&bytes).unwrap();
    let store = open(dir.path()).with_cache(0);
    let segment = segments(dir.path()).remove(0);
    let whole = fs::read(&segment).unwrap();
    let file = File::options().write(true).open(&segment).unwrap();
    let is_refused = |what: &str| match store.get(&hash) {
        Err(StoreError::Frame { hash: named, .. }) => assert_eq!(named, hash, "{what}"),
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: damage was not noticed"),
    };
    // The frame begins behind the headers of the segment and of the record. It is raw: no bit of it means nothing.
    for at in 48..whole.len() {
        let flipped = whole[at] ^ (1 << (at % 8));
        file.write_all_at(&[flipped], at as u64).unwrap();
        is_refused(&format!("bit flipped in byte {at}"));
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    for len in (0..whole.len() as u64).rev() {
        file.set_len(len).unwrap();
        is_refused(&format!("cut to {len} bytes"));
    }
    let put = store.put(&bytes).unwrap();
    assert_eq!((put.hash, put.added), (hash, None), "it was there, though damaged");
    assert!(store.get(&hash).unwrap() == bytes);
    store.sync().unwrap();
    assert!(open(dir.path()).get(&hash).unwrap() == bytes);
}

#[test]
fn a_segment_that_is_gone_or_swapped_gives_errors_and_never_other_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path()), open(dir.path()));
    put(&first, 0..10);
    first.sync().unwrap();
    put(&second, 10..30);
    second.sync().unwrap();
    drop((first, second));
    let paths = segments(dir.path());
    let aside = dir.path().join("aside");
    fs::rename(&paths[0], &aside).unwrap();
    fs::rename(&paths[1], &paths[0]).unwrap();
    fs::rename(&aside, &paths[1]).unwrap();
    {
        let store = open(dir.path());
        for number in 0..30 {
            let bytes = object(number);
            // Equal lengths can lie at equal places; the hash tells.
            if let Ok(found) = store.get(&KIND.hash(&bytes)) {
                assert!(found == bytes);
            }
        }
    }
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    holds(&open(dir.path()), 0..30);
    fs::remove_file(&paths[0]).unwrap();
    let store = open(dir.path());
    let lost = KIND.hash(&object(10));
    assert!(matches!(store.get(&lost), Err(StoreError::Frame { .. })));
    put(&store, 0..30);
    holds(&store, 0..30);
}

#[test]
fn a_store_of_another_hash_function_or_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..3);
    let refused = SegmentStore::open(HashKind::Blake3, dir.path(), Durability::Batch);
    assert!(matches!(refused, Err(Error::NotARepository { .. })));
    drop(refused);
    // Without an index, the segments themselves say it.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let refused = SegmentStore::open(HashKind::Blake3, dir.path(), Durability::Batch);
    assert!(matches!(refused, Err(Error::NotARepository { .. })));
    let segment = segments(dir.path()).remove(0);
    File::options().write(true).open(&segment).unwrap().write_all_at(&[3], 4).unwrap();
    let refused = SegmentStore::open(KIND, dir.path(), Durability::Batch);
    let Err(Error::NotARepository { reason, .. }) = refused else { panic!("it was opened") };
    assert!(reason.contains("newer"), "{reason}");
}

#[test]
fn batches_that_fill_up_are_published_and_segments_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = SegmentStore::open(KIND, dir.path(), Durability::None).unwrap();
    let reader = open(dir.path());
    // 17 objects of 8 MiB that do not compress: more than a segment.
    let noise: Vec<u8> = (0..1 << 18_u32)
        .flat_map(|number: u32| *KIND.hash(&number.to_le_bytes()).as_bytes())
        .collect();
    let nth = |number: u8| [&[number], &noise[..]].concat();
    for number in 0..17 {
        store.put(&nth(number)).unwrap();
    }
    assert!(reader.exists(&KIND.hash(&nth(0))).unwrap(), "nobody asked for a sync");
    store.put(b"one more").unwrap();
    store.sync().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    for number in 0..17 {
        assert!(reader.get(&KIND.hash(&nth(number))).unwrap() == nth(number));
    }
}

#[test]
fn many_threads_put_get_and_delete_through_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    thread::scope(|scope| {
        for thread in 0..100_u32 {
            let store = &store;
            scope.spawn(move || {
                for number in thread..thread + 60 {
                    let bytes = object(number);
                    let hash = store.put(&bytes).unwrap().hash;
                    assert!(store.get(&hash).unwrap() == bytes);
                    if number % 16 == 0 {
                        store.sync().unwrap();
                    }
                }
                let own = [&b"own"[..], &thread.to_le_bytes()].concat();
                let hash = store.put(&own).unwrap().hash;
                assert!(store.delete(&hash).unwrap());
                assert!(matches!(store.get(&hash), Err(StoreError::Missing { .. })));
            });
        }
    });
    drop(store);
    let store = open(dir.path());
    holds(&store, 0..159);
    assert_eq!(listed(&store).len(), 159);
}

/// Marks every fourth object of the store, has the rest removed, and gives back what space that leaves.
fn collect(store: &Store, numbers: std::ops::Range<u32>) {
    let mut marks = store.marks().unwrap();
    for number in numbers.step_by(4) {
        marks.mark(&KIND.hash(&object(number))).unwrap();
    }
    store.sweep(&marks, &Sweep { before: u64::MAX, dry_run: false }).unwrap();
    store.give_back(None).unwrap();
}

#[test]
fn what_the_collector_moved_survives_a_loss_of_power_also_where_it_filled_segments() {
    let machine = SimulatedDisk::new(1_700_000_000);
    let dir = Path::new("/store");
    let disk = machine.process();
    disk.create_dir_all(dir).unwrap();
    let open = |machine: &std::sync::Arc<SimulatedDisk>| {
        let store = SegmentStore::open_on(machine.process(), KIND, dir, Durability::Batch);
        store.unwrap().with_segment_len(4096).with_cache(0)
    };
    let numbers = 0..120;
    for part in 0..12 {
        let store = open(&machine);
        put(&store, part * 10..part * 10 + 10);
        store.sync().unwrap();
    }
    disk.sync_all(Path::new("/")).unwrap();
    let before = disk.list(&dir.join("segments")).unwrap();
    assert!(before.len() > 5, "{} segments", before.len());
    let store = Store::Segments(Box::new(open(&machine)));
    collect(&store, numbers.clone());
    let after = disk.list(&dir.join("segments")).unwrap();
    assert!(before.iter().filter(|name| after.contains(name)).count() < before.len() / 2);

    // Whatever is not synced may be lost: of the moved objects, nothing.
    let mut outage = Outage::new(20_260_714, 200);
    outage.strike(&machine, 0, &mut |left| {
        let store = open(left);
        for number in numbers.clone().step_by(4) {
            let bytes = object(number);
            assert!(store.get(&KIND.hash(&bytes)).unwrap() == bytes, "object {number}");
        }
    });
    assert!(outage.machines() > 0);
    // And whoever opens the store next has nothing left to enter: an object that is removed now stays removed.
    let gone = KIND.hash(&object(4));
    assert!(store.delete(&gone).unwrap());
    drop(store);
    assert!(!open(&machine).exists(&gone).unwrap());
}

#[test]
fn what_is_put_into_a_store_whose_segment_was_cut_off_is_found_by_others() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()), 0..20);
    let segment = segments(dir.path()).remove(0);
    File::options().write(true).open(&segment).unwrap().set_len(100).unwrap();
    let writer = open(dir.path());
    put(&writer, 100..101);
    writer.sync().unwrap();
    holds(&open(dir.path()), 100..101);
    // As if the writer had been killed.
    std::mem::forget(writer);
    holds(&open(dir.path()), 100..101);
}

#[test]
fn an_object_that_was_deleted_does_not_come_back_with_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let texts = [b"one text, ".repeat(200), b"another text, ".repeat(200)];
    let store = open(dir.path());
    let puts = store.put_many(&[&texts[0], &texts[1]]).unwrap();
    drop(store);
    let store = open(dir.path());
    assert!(store.delete(&puts[0].hash).unwrap());
    assert!(store.get(&puts[1].hash).unwrap() == texts[1]);
    assert!(matches!(store.get(&puts[0].hash), Err(StoreError::Missing { .. })));
}

#[test]
fn damage_is_found_though_another_copy_of_the_object_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let texts: Vec<Vec<u8>> =
        (0..3_u8).map(|n| [b'a' + n; 9].repeat(100 + usize::from(n))).collect();
    // Two processes put the same object into a block each; the index names one of the two.
    let (first, second) = (open(dir.path()), open(dir.path()));
    first.put_many(&[&texts[0], &texts[1]]).unwrap();
    second.put_many(&[&texts[0], &texts[2]]).unwrap();
    drop(second);
    drop(first);
    let store = Store::Segments(Box::new(open(dir.path())));
    let mut found = Vec::new();
    store.check(&mut |damage| found.push(damage)).unwrap();
    assert_eq!(found, []);
    // One block after the other is damaged: whichever is named, it is told once.
    let hash = KIND.hash(&texts[0]);
    let mut told = 0;
    for path in segments(dir.path()) {
        let whole = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[0xff; 40], whole.len() as u64 - 40).unwrap();
        let mut found = Vec::new();
        store.check(&mut |damage| found.push(damage.hash)).unwrap();
        told += usize::from(found.contains(&hash));
        file.write_all_at(&whole, 0).unwrap();
    }
    assert_eq!(told, 1);
}
