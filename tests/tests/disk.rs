// SPDX-License-Identifier: MIT
//! What the seam promises, on the real machine and on the simulated one; what may be left after a loss of power, on the
//! simulated one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use cascow_native::disk::{Access, Disk, DiskFile, LinuxDisk, Lock, replace};
use cascow_tests::simulated::{Fault, FaultyDisk, Outage, SimulatedDisk};

/// Two processes and a directory that they share. On the real machine both are this process: locks are of open files, not of
/// processes, so that makes no difference to them.
struct Shared {
    one: Arc<dyn Disk>,
    other: Arc<dyn Disk>,
    dir: PathBuf,
    _removed: Option<tempfile::TempDir>,
}

/// Does the same on both machines.
fn on_both(test: impl Fn(&Shared)) {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (LinuxDisk::shared(), LinuxDisk::shared());
    test(&Shared { one, other, dir: dir.path().to_owned(), _removed: Some(dir) });
    let machine = SimulatedDisk::new(1_000_000);
    let (one, other) = (machine.process(), machine.process());
    one.create_dir_all(Path::new("/shared")).unwrap();
    test(&Shared { one, other, dir: "/shared".into(), _removed: None });
}

/// Makes a file with these bytes.
fn file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create(path, 0o666).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// What is in a file, if it is there.
fn text(disk: &dyn Disk, path: &Path) -> Option<String> {
    let bytes = disk.read(path, 1 << 20).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let list = disk.list(dir).unwrap().into_iter().map(|name| name.into_string().unwrap());
    list.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn what_one_writes_another_reads() {
    on_both(|Shared { one, other, dir, .. }| {
        let path = dir.join("file");
        let written = file(&**one, &path, b"0123456789");
        let read = other.open(&path, Access::Read).unwrap();
        let mut bytes = [0; 4];
        assert_eq!(read.read_full_at(&mut bytes, 3).unwrap(), 4);
        assert_eq!(&bytes, b"3456");
        assert_eq!(read.read_full_at(&mut bytes, 8).unwrap(), 2);
        assert_eq!(read.read_at(&mut bytes, 10).unwrap(), 0);
        assert_eq!(read.read_at(&mut bytes, u64::MAX).unwrap(), 0);
        assert!(read.write_at(b"x", 0).is_err(), "it is open to read");
        // Beyond the end there are zeros up to the new bytes.
        written.write_all_at(b"end", 12).unwrap();
        assert_eq!(read.len().unwrap(), 15);
        assert!(!read.is_empty().unwrap());
        assert_eq!(other.read(&path, 100).unwrap(), b"0123456789\0\0end");
        assert_eq!(other.read(&path, 4).unwrap(), b"0123");
        written.sync().unwrap();
        let stat = other.stat(&path).unwrap();
        assert!(stat.is_file && !stat.is_dir && stat.len == 15);
        assert!(other.stat(dir).unwrap().is_dir);
    });
}

#[test]
fn names_are_made_moved_and_removed() {
    on_both(|Shared { one, other, dir, .. }| {
        let (a, b) = (dir.join("a"), dir.join("b"));
        let open = file(&**one, &a, b"a");
        let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(one.create(&a, 0o666).map(drop)), ErrorKind::AlreadyExists);
        one.link(&a, &b).unwrap();
        assert_eq!(kind(one.link(&a, &b)), ErrorKind::AlreadyExists);
        assert_eq!(kind(one.link(&dir.join("none"), &dir.join("c"))), ErrorKind::NotFound);
        open.write_all_at(b"A", 0).unwrap();
        assert_eq!(other.read(&b, 9).unwrap(), b"A", "two names of one file");
        // Two names of one file: a move does nothing.
        one.rename(&a, &b).unwrap();
        assert_eq!(names(&**other, dir), ["a", "b"]);
        file(&**one, &dir.join("c"), b"c");
        one.rename(&dir.join("c"), &a).unwrap();
        assert_eq!(other.read(&a, 9).unwrap(), b"c");
        assert_eq!(kind(one.rename(&dir.join("c"), &a)), ErrorKind::NotFound);
        one.unlink(&b).unwrap();
        assert_eq!(kind(one.unlink(&b)), ErrorKind::NotFound);
        assert_eq!(names(&**other, dir), ["a"]);
        // The file is there as long as it is open.
        let mut bytes = [0];
        assert_eq!(open.read_full_at(&mut bytes, 0).unwrap(), 1);
        assert_eq!(&bytes, b"A");
        for absent in [other.open(&b, Access::Read).map(drop), other.stat(&b).map(drop)] {
            assert_eq!(kind(absent), ErrorKind::NotFound);
        }
        assert_eq!(kind(other.touch(&b)), ErrorKind::NotFound);
        assert_eq!(
            kind(other.open(&a.join("under"), Access::Read).map(drop)),
            ErrorKind::NotADirectory
        );
        assert!(other.open(dir, Access::Read).is_err(), "a directory is no file");
    });
}

#[test]
fn directories_are_made_with_those_above_and_removed_with_all_in_them() {
    on_both(|Shared { one, other, dir, .. }| {
        let deep = dir.join("x/y/z");
        one.create_dir_all(&deep).unwrap();
        one.create_dir_all(&deep).unwrap();
        file(&**one, &deep.join("file"), b"1");
        assert_eq!(names(&**other, &dir.join("x")), ["y"]);
        one.sync_dir(&deep).unwrap();
        one.sync_all(&deep).unwrap();
        // To another directory, and a directory as a whole.
        one.rename(&deep.join("file"), &dir.join("file")).unwrap();
        one.rename(&dir.join("x/y"), &dir.join("w")).unwrap();
        assert_eq!(names(&**other, dir), ["file", "w", "x"]);
        assert_eq!(names(&**other, &dir.join("w")), ["z"]);
        let taken = one.create_dir_all(&dir.join("file")).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert!(one.create_dir_all(&dir.join("file/under")).is_err());
        assert!(one.unlink(&dir.join("w")).is_err(), "a directory is not unlinked");
        one.remove_dir_all(&dir.join("w")).unwrap();
        assert_eq!(one.remove_dir_all(&dir.join("w")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(one.list(&dir.join("w")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(one.sync_dir(&dir.join("w")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(names(&**other, dir), ["file", "x"]);
    });
}

#[test]
fn a_file_without_a_name_is_given_one() {
    on_both(|Shared { one, other, dir, .. }| {
        let path = dir.join("file");
        let unnamed = match one.create_unnamed(dir, 0o666) {
            // The temporary directory's filesystem has none.
            Err(error) if error.kind() == ErrorKind::Unsupported => return,
            made => made.unwrap(),
        };
        unnamed.write_all_at(b"whole", 0).unwrap();
        assert!(names(&**other, dir).is_empty());
        unnamed.link(&path).unwrap();
        assert_eq!(other.read(&path, 9).unwrap(), b"whole");
        assert_eq!(unnamed.link(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let nowhere = one.create_unnamed(&dir.join("none"), 0o666).unwrap_err();
        assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    });
    let machine = SimulatedDisk::new(0);
    machine.without_unnamed_files();
    let refused = machine.process().create_unnamed(Path::new("/"), 0o666).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[test]
fn times_of_files_are_those_of_their_last_change() {
    on_both(|Shared { one, dir, .. }| {
        let (path, before) = (dir.join("file"), one.now());
        file(&**one, &path, b"1");
        // A filesystem's clock may be a tick behind.
        assert!(one.stat(&path).unwrap().modified + 1 >= before);
        one.touch(&path).unwrap();
        assert!(one.stat(&path).unwrap().modified <= one.now());
    });
    let machine = SimulatedDisk::new(100);
    let (disk, path) = (machine.process(), Path::new("/file"));
    let open = file(&*disk, path, b"1");
    machine.set_clock(200);
    assert_eq!((disk.now(), disk.stat(path).unwrap().modified), (200, 100));
    disk.touch(path).unwrap();
    assert_eq!(disk.stat(path).unwrap().modified, 200);
    machine.set_clock(300);
    open.write_all_at(b"2", 0).unwrap();
    assert_eq!(disk.stat(path).unwrap().modified, 300);
}

#[test]
fn locks_keep_others_out_until_their_file_is_closed() {
    on_both(|Shared { one, other, dir, .. }| {
        let path = dir.join("lock");
        let first = file(&**one, &path, b"");
        let second = other.open(&path, Access::Write).unwrap();
        assert!(first.lock(Lock::Shared, true).unwrap());
        assert!(second.lock(Lock::Shared, false).unwrap());
        assert!(!first.lock(Lock::Exclusive, false).unwrap());
        drop(second);
        assert!(first.lock(Lock::Exclusive, false).unwrap());
        let second = other.open(&path, Access::Read).unwrap();
        assert!(!second.lock(Lock::Shared, false).unwrap());
        assert!(first.lock(Lock::Shared, false).unwrap(), "its own lock is in nobody's way");
        assert!(second.lock(Lock::Shared, false).unwrap());
        drop(second);
        // Who waits goes on when the lock is free.
        assert!(first.lock(Lock::Exclusive, false).unwrap());
        let is_released = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let second = other.open(&path, Access::Read).unwrap();
                assert!(second.lock(Lock::Exclusive, true).unwrap());
                assert!(is_released.load(Ordering::SeqCst));
            });
            is_released.store(true, Ordering::SeqCst);
            drop(first);
            waiting.join().unwrap();
        });
    });
}

#[test]
fn locks_and_transactions_end_with_their_process() {
    let machine = SimulatedDisk::new(0);
    let (killed, other) = (machine.process(), machine.process());
    let held = file(&*killed, Path::new("/lock"), b"");
    assert!(held.lock(Lock::Exclusive, false).unwrap());
    let table = killed.table(Path::new("/"), Access::Write).unwrap();
    let after = table.write(&mut |writer| {
        writer.put(b"key", b"value")?;
        killed.kill();
        let taken = other.open(Path::new("/lock"), Access::Write)?;
        assert!(taken.lock(Lock::Exclusive, false)?);
        let table = other.table(Path::new("/"), Access::Write)?;
        table.write(&mut |writer| {
            assert_eq!(writer.get(b"key")?, None);
            writer.put(b"other", b"value")
        })
    });
    assert!(after.is_err(), "a killed process commits nothing");
    assert!(held.lock(Lock::Shared, false).is_err());
    assert!(killed.stat(Path::new("/lock")).is_err());
    assert_eq!(pairs(&*other, Path::new("/")), ["other=value"]);
}

fn pairs(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    let (mut pairs, table) = (Vec::new(), disk.table(dir, Access::Read).unwrap());
    table
        .scan(None, &mut |key, value| {
            pairs.push(format!("{}={}", key.escape_ascii(), value.escape_ascii()));
            true
        })
        .unwrap();
    pairs
}

#[test]
fn tables_change_by_whole_transactions() {
    on_both(|Shared { one, other, dir, .. }| {
        assert!(one.table(&dir.join("none"), Access::Write).is_err());
        assert!(one.table(dir, Access::Read).is_err(), "there is none to read");
        let table = one.table(dir, Access::Write).unwrap();
        table
            .write(&mut |writer| {
                for (key, value) in [(b"b", b"2"), (b"c", b"3"), (b"a", b"1")] {
                    writer.put(key, value)?;
                }
                assert_eq!(writer.get(b"a")?, Some(&b"1"[..]));
                assert!(pairs(&**other, dir).is_empty(), "nobody sees what is not committed");
                Ok(())
            })
            .unwrap();
        assert_eq!(pairs(&**other, dir), ["a=1", "b=2", "c=3"]);
        let failed = table.write(&mut |writer| {
            assert!(writer.delete(b"a")?);
            assert!(!writer.delete(b"a")?);
            writer.put(b"b", b"4")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(pairs(&**other, dir), ["a=1", "b=2", "c=3"]);
        let (mut found, mut scanned) = (Vec::new(), Vec::new());
        table
            .get_many(&[b"c", b"x", b"a"], &mut |position, value| {
                found.push((position, value.to_vec()));
            })
            .unwrap();
        assert_eq!(found, [(0, b"3".to_vec()), (2, b"1".to_vec())]);
        table
            .scan(Some(b"a"), &mut |key, _| {
                scanned.push(key.to_vec());
                false
            })
            .unwrap();
        assert_eq!(scanned, [b"b"], "behind a key, and no further than asked");
        table.trim();
        table.write(&mut |writer| writer.delete(b"b").map(drop)).unwrap();
        assert_eq!(pairs(&**other, dir), ["a=1", "c=3"]);
        // It moves with its directory once it is closed.
        drop(table);
        let moved = dir.with_file_name("moved-table");
        one.rename(dir, &moved).unwrap();
        assert_eq!(pairs(&**other, &moved), ["a=1", "c=3"]);
        one.rename(&moved, dir).unwrap();
    });
}

/// Bytes of a file that this process has mapped and in memory.
fn resident(path: &Path) -> u64 {
    let path = path.canonicalize().unwrap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mapping = smaps.split_once(path.to_str().unwrap()).expect("it is mapped").1;
    let line = mapping.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn trimming_gives_back_what_a_table_has_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let table = LinuxDisk::shared().table(dir.path(), Access::Write).unwrap();
    // Of no pair at all, too.
    table.trim();
    let keys: Vec<[u8; 4]> = (0..40_000_u32).map(u32::to_be_bytes).collect();
    let fill = table.write(&mut |writer| keys.iter().try_for_each(|key| writer.put(key, &[7; 32])));
    fill.unwrap();
    let file = dir.path().join("data.mdb");
    let all = || assert_eq!(pairs(&*LinuxDisk::shared(), dir.path()).len(), keys.len());
    all();
    assert!(resident(&file) > 1 << 20, "it was read: {} bytes", resident(&file));
    table.trim();
    assert_eq!(resident(&file), 0);
    all();
    // In a transaction what it has changed stays as it is.
    let change = table.write(&mut |writer| {
        writer.put(&keys[0], b"new")?;
        table.trim();
        assert_eq!(writer.get(&keys[0])?, Some(&b"new"[..]));
        assert_eq!(writer.get(&keys[1])?, Some(&[7; 32][..]));
        table.trim();
        writer.delete(&keys[2]).map(drop)
    });
    change.unwrap();
    let mut found = Vec::new();
    let wanted = [&keys[0][..], &keys[1][..], &keys[2][..]];
    table.get_many(&wanted, &mut |at, value| found.push((at, value.len()))).unwrap();
    assert_eq!(found, [(0, 3), (1, 32)]);
}

#[test]
fn a_file_that_is_no_table_is_damaged() {
    on_both(|Shared { one, dir, .. }| {
        file(&**one, &dir.join("data.mdb"), &[7; 10_000]);
        for access in [Access::Read, Access::Write] {
            assert_eq!(one.table(dir, access).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    });
}

#[test]
fn one_call_fails_and_the_next_does_not() {
    on_both(|Shared { one, dir, .. }| {
        let path = dir.join("file");
        let disk = FaultyDisk::new(Arc::clone(one), Fault::Errno(28), 1);
        let open = disk.create(&path, 0o666).unwrap();
        assert!(!disk.has_failed());
        assert_eq!(open.write_all_at(b"12345", 0).unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(disk.has_failed());
        open.write_all_at(b"12345", 0).unwrap();
        assert_eq!(text(&*disk, &path).unwrap(), "12345");
        for fault in [Fault::Interrupted, Fault::Short] {
            for at in 0..2 {
                let disk = FaultyDisk::new(Arc::clone(one), fault, at);
                disk.open(&path, Access::Write).unwrap().write_all_at(b"abcde", 0).unwrap();
                assert_eq!(text(&*disk, &path).unwrap(), "abcde");
                assert!(disk.has_failed());
            }
        }
        let disk = FaultyDisk::new(Arc::clone(one), Fault::ShortThenFull, 0);
        let open = disk.open(&path, Access::Write).unwrap();
        assert_eq!(open.write_all_at(b"12345", 0).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(text(&*disk, &path).unwrap(), "123de", "a part was written");
    });
}

// Loss of power.

/// What may be in `/file` after a loss of power at any call of a protocol, and how often it was looked at.
fn left_by(
    before: &str,
    protocol: impl Fn(&dyn Disk) + Send + Sync + 'static,
) -> (BTreeSet<Option<String>>, BTreeSet<Option<String>>, usize) {
    let (machine, path) = (SimulatedDisk::new(0), Path::new("/file"));
    let process = machine.process();
    file(&*process, path, before.as_bytes());
    process.sync_all(Path::new("/")).unwrap();
    let outage = Arc::new(Mutex::new((Outage::new(7, 500), BTreeSet::new())));
    let look = |outage: &Mutex<(Outage, BTreeSet<_>)>, machine: &SimulatedDisk| {
        let (outage, seen) = &mut *outage.lock().unwrap();
        outage.strike(machine, 0, &mut |left| {
            seen.insert(text(&*left.process(), path));
        });
    };
    let (hooked, within) = (Arc::clone(&outage), Arc::downgrade(&machine));
    machine.before_each_call(move |_| look(&hooked, &within.upgrade().unwrap()));
    protocol(&*process);
    machine.without_hooks();
    look(&outage, &machine);
    // What is certain once the protocol has returned.
    let after = RefCell::new(BTreeSet::new());
    Outage::new(7, 500).strike(&machine, 0, &mut |left| {
        after.borrow_mut().insert(text(&*left.process(), path));
    });
    let (outage, seen) = &*outage.lock().unwrap();
    (seen.clone(), after.into_inner(), outage.machines())
}

fn texts(texts: &[&str]) -> BTreeSet<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn power_lost_while_a_file_is_replaced_leaves_the_old_or_the_new() {
    let new = "new".repeat(3000);
    let expected = new.clone();
    let (seen, after, machines) =
        left_by("old", move |disk| replace(disk, Path::new("/file"), new.as_bytes()).unwrap());
    assert_eq!(seen, texts(&["old", &expected]));
    assert_eq!(after, texts(&[&expected]), "what was acknowledged is there");
    assert!(machines > 5, "{machines} machines");
}

#[test]
fn power_lost_while_a_file_is_replaced_without_syncs_is_found_to_lose_it() {
    let new = "new".repeat(3000);
    let whole = Some(new.clone());
    let (seen, after, _) = left_by("old", move |disk| {
        file(disk, Path::new("/new"), new.as_bytes());
        disk.rename(Path::new("/new"), Path::new("/file")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
    });
    let is_torn = |text: &Option<String>| text.as_deref() != Some("old") && *text != whole;
    assert!(seen.contains(&Some(String::new())), "the name without the bytes");
    assert!(seen.iter().filter(|text| is_torn(text)).count() > 3, "and some of the bytes");
    assert!(after.iter().any(is_torn));
}

#[test]
fn power_lost_after_an_unsynced_move_leaves_either_name() {
    let (_, after, _) = left_by("old", |disk| {
        file(disk, Path::new("/new"), b"new").sync().unwrap();
        disk.rename(Path::new("/new"), Path::new("/file")).unwrap();
    });
    assert_eq!(after, texts(&["old", "new"]));
}

#[test]
fn power_lost_after_a_write_in_place_tears_it_by_pages_and_sectors() {
    let (_, after, _) = left_by(&"a".repeat(8192), |disk| {
        let open = disk.open(Path::new("/file"), Access::Write).unwrap();
        open.write_all_at(&[b'b'; 8192], 0).unwrap();
        open.write_all_at(b"cc", 8192).unwrap();
    });
    let whole = |text: &str, letter: char| text.starts_with(&letter.to_string().repeat(8192));
    let after: Vec<String> = after.into_iter().flatten().collect();
    assert!(after.iter().any(|text| whole(text, 'a') && text.len() == 8192), "none");
    assert!(after.iter().any(|text| whole(text, 'b') && text.ends_with("cc")), "all");
    assert!(after.iter().any(|text| whole(text, 'b') && text.len() == 8192), "the first alone");
    assert!(after.iter().any(|text| whole(text, 'a') && text.ends_with("\0\0")), "zeros");
    let mixed = |text: &&String| text.contains("ab") || text.contains("ba");
    assert!(after.iter().filter(mixed).count() > 2, "torn");
}

#[test]
fn power_lost_keeps_what_was_synced_and_takes_names_of_each_directory_apart() {
    let machine = SimulatedDisk::new(0);
    let disk = machine.process();
    for dir in ["/a", "/b"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    file(&*disk, Path::new("/a/moved"), b"1");
    disk.sync_all(Path::new("/")).unwrap();
    disk.rename(Path::new("/a/moved"), Path::new("/b/moved")).unwrap();
    file(&*disk, Path::new("/a/one"), b"");
    file(&*disk, Path::new("/b/two"), b"");
    disk.table(Path::new("/a"), Access::Write).unwrap();
    let mut seen = BTreeSet::new();
    let mut outage = Outage::new(1, 1000);
    outage.strike(&machine, 0, &mut |left| {
        let left = left.process();
        seen.insert((names(&*left, Path::new("/a")), names(&*left, Path::new("/b"))));
    });
    let has = |(a, b): &(Vec<String>, Vec<String>), name: &str| {
        usize::from(a.iter().any(|n| n == name)) + usize::from(b.iter().any(|n| n == name))
    };
    assert!(seen.iter().all(|both| has(both, "moved") == 1), "a move has happened or has not");
    assert!(seen.iter().all(|both| has(both, "data.mdb") == 1), "a table is there");
    for (one, two) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert!(seen.iter().any(|both| (has(both, "one"), has(both, "two")) == (one, two)));
    }
    // With the directory of one end of the move, what came before it in the other's is durable, and what came after is not.
    disk.sync_dir(Path::new("/a")).unwrap();
    seen.clear();
    outage.strike(&machine, 1, &mut |left| {
        let left = left.process();
        seen.insert((names(&*left, Path::new("/a")), names(&*left, Path::new("/b"))));
    });
    assert!(seen.iter().all(|(a, b)| a == &["data.mdb", "one"] && b[0] == "moved"));
}

#[test]
fn the_same_seed_finds_the_same_machines() {
    let run = |seed| {
        let machine = SimulatedDisk::new(0);
        let disk = machine.process();
        for nth in 0..6 {
            file(&*disk, Path::new(&format!("/{nth}")), &[nth; 6000]);
        }
        let (mut outage, mut order) = (Outage::new(seed, 200), Vec::new());
        outage.strike(&machine, 0, &mut |left| {
            let left = left.process();
            order.push(names(&*left, Path::new("/")));
        });
        (outage.machines(), outage.found(), order)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).2, run(2).2);
    let mut outage = Outage::new(1, 200);
    let machine = SimulatedDisk::new(0);
    for _ in 0..2 {
        outage.strike(&machine, 5, &mut |_| {});
    }
    assert_eq!((outage.machines(), outage.found()), (1, 1), "none is shown twice");
}
