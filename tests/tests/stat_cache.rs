// SPDX-License-Identifier: MIT
//! Saving again reads what changed, and nothing that did not; what is remembered of files never makes a snapshot another.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cascow_core::hash::HashKind;
use cascow_native::directory::{Known, Learned, Scan, ScanOptions, load_known, scan, store_known};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use tempfile::TempDir;

struct Bench {
    _dir: TempDir,
    tree: std::path::PathBuf,
    repository: Repository,
}

/// A tree of all kinds, settled: what was just written is not remembered, so the clock must have gone on before it is saved.
fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/one"), "one").unwrap();
    fs::write(tree.join("a/b/two"), "two".repeat(9000)).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("linked"), "linked").unwrap();
    fs::hard_link(tree.join("linked"), tree.join("a/linked")).unwrap();
    symlink("a/one", tree.join("link")).unwrap();
    let repository = Repository::init(dir.path(), HashKind::Sha256, StoreKind::Files).unwrap();
    settle(&tree.join("a/linked"));
    Bench { _dir: dir, tree, repository }
}

/// Waits until a change of a file from now on would be remembered: the rule under test is one of time, and by this machine's
/// clock. No result depends on how long it takes.
fn settle(file: &Path) {
    let changed = |file: &Path| {
        let stat = fs::metadata(file).unwrap();
        let nanos = u32::try_from(stat.ctime_nsec()).unwrap();
        let since = Duration::new(stat.ctime().unsigned_abs(), nanos);
        SystemTime::UNIX_EPOCH + since
    };
    while SystemTime::now() < changed(file) + Duration::from_secs(4) {
        // A filesystem with fine times needs only a moment of it.
        if SystemTime::now() > changed(file) + Duration::from_millis(60)
            && fs::metadata(file).unwrap().ctime_nsec() != 0
        {
            break;
        }
        std::thread::yield_now();
    }
}

impl Bench {
    fn scan(&self, known: Option<Known>) -> Scan {
        let options = ScanOptions { known, ..ScanOptions::default() };
        scan(&self.tree, self.repository.store(), &options, &mut |_| {}).unwrap()
    }

    /// Saves as the program does, and says how many files were read; the state is checked against one read from nothing.
    fn save(&self) -> u64 {
        let (known, _) = load_known(&self.repository, &self.tree).unwrap();
        let found = self.scan(Some(known.clone()));
        let fresh = self.scan(None);
        assert_eq!((&found.state, found.bytes), (&fresh.state, fresh.bytes));
        let values = |scan: &Scan| -> Vec<_> {
            scan.state.iter().map(|(path, value)| (path.to_vec(), value.note.clone())).collect()
        };
        assert_eq!(values(&found), values(&fresh), "notes");
        let written = self.repository.write_snapshot(&found.state, None).unwrap();
        self.repository.publish(&written.snapshot, None).unwrap();
        let learned = found.learned;
        store_known(&self.repository, &self.tree, &known, learned, &written.snapshot).unwrap();
        found.read
    }

    fn cache(&self) -> std::path::PathBuf {
        let mut files = fs::read_dir(self.repository.dir().join("stat-cache")).unwrap();
        files.next().unwrap().unwrap().path()
    }
}

#[test]
fn a_second_save_reads_nothing_and_a_third_only_what_changed() {
    let bench = bench();
    assert_eq!(bench.save(), 4, "the hard links are one file");
    assert_eq!(bench.save(), 0);
    fs::write(bench.tree.join("a/b/two"), "three").unwrap();
    fs::write(bench.tree.join("new"), "new").unwrap();
    fs::remove_file(bench.tree.join("empty")).unwrap();
    settle(&bench.tree.join("new"));
    assert_eq!(bench.save(), 2);
    assert_eq!(bench.save(), 0);
}

#[test]
fn a_change_that_keeps_length_and_time_of_modification_is_seen() {
    let bench = bench();
    bench.save();
    let path = bench.tree.join("a/one");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "two").unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_times(FileTimes::new().set_modified(modified))
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), modified);
    assert_eq!(bench.save(), 1);
}

#[test]
fn modes_attributes_links_and_replaced_files_are_seen() {
    let bench = bench();
    let one = bench.tree.join("a/one");
    bench.save();
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(bench.save(), 1, "mode");
    settle(&one);
    bench.save();
    rustix::fs::setxattr(&one, "user.colour", b"red", rustix::fs::XattrFlags::CREATE).unwrap();
    assert_eq!(bench.save(), 1, "attribute");
    settle(&one);
    bench.save();
    fs::hard_link(&one, bench.tree.join("a/again")).unwrap();
    assert_eq!(bench.save(), 1, "one more name");
    settle(&one);
    bench.save();
    assert_eq!(bench.save(), 0);
    fs::remove_file(bench.tree.join("a/again")).unwrap();
    assert_eq!(bench.save(), 1, "one name less");
    let other = bench.tree.join("other");
    fs::write(&other, "eno").unwrap();
    fs::rename(&other, &one).unwrap();
    assert_eq!(bench.save(), 1, "another file in its place");
}

#[test]
fn a_directory_that_moves_takes_what_is_known_along() {
    let bench = bench();
    bench.save();
    fs::rename(bench.tree.join("a/b"), bench.tree.join("c")).unwrap();
    assert_eq!(bench.save(), 0);
}

#[test]
fn what_changes_right_before_a_save_is_read_again_by_the_next() {
    let bench = bench();
    bench.save();
    // As often as it takes to save within the clock's tick of the write.
    let mut remembered = 0;
    for round in 0..20 {
        fs::write(bench.tree.join("a/one"), format!("{round:03}")).unwrap();
        let (known, base) = load_known(&bench.repository, &bench.tree).unwrap();
        let found = bench.scan(Some(known.clone()));
        assert_eq!((found.read, found.learned.kept()), (1, 3));
        let (learned, base) = (found.learned, base.unwrap());
        store_known(&bench.repository, &bench.tree, &known, learned, &base).unwrap();
        remembered = load_known(&bench.repository, &bench.tree).unwrap().0.len();
        if remembered == 3 {
            break;
        }
    }
    assert_eq!(remembered, 3, "all but the file that was just written");
}

#[test]
fn a_cache_that_is_damaged_cut_off_or_of_another_version_is_no_error_and_nothing_known() {
    let bench = bench();
    bench.save();
    let cache = bench.cache();
    let whole = fs::read(&cache).unwrap();
    let altered = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= byte;
        bytes
    };
    let (older, newer) = (altered(4, 3), altered(4, 1));
    for bytes in [Vec::new(), whole[..whole.len() - 1].to_vec(), altered(100, 1), older, newer] {
        fs::write(&cache, bytes).unwrap();
        assert!(load_known(&bench.repository, &bench.tree).unwrap().0.is_empty());
        assert_eq!(bench.save(), 4);
        assert_eq!(bench.save(), 0, "it was made again");
    }
    fs::remove_file(&cache).unwrap();
    fs::create_dir(&cache).unwrap();
    assert!(load_known(&bench.repository, &bench.tree).unwrap().0.is_empty());
}

#[test]
fn a_cache_counts_for_its_directory_and_while_its_snapshot_is_there() {
    let bench = bench();
    bench.save();
    let a = bench.tree.join("a");
    assert!(load_known(&bench.repository, &a).unwrap().0.is_empty(), "another directory");
    let (known, base) = load_known(&bench.repository, &bench.tree).unwrap();
    assert_eq!((known.len(), base), (4, bench.repository.snapshots().unwrap().first().copied()));
    // A history that has lost the snapshot.
    let history = bench.repository.dir().join("snapshots");
    let bytes = fs::read(&history).unwrap();
    fs::write(&history, &bytes[..bytes.len() - 32]).unwrap();
    assert!(load_known(&bench.repository, &bench.tree).unwrap().0.is_empty());
}

#[test]
fn caches_of_many_directories_do_not_add_up() {
    let bench = bench();
    let snapshot = HashKind::Sha256.hash(b"");
    for n in 0..70 {
        let dir = bench.tree.join(format!("dir{n}"));
        fs::create_dir(&dir).unwrap();
        let (known, learned) = (Known::default(), Learned::default());
        store_known(&bench.repository, &dir, &known, learned, &snapshot).unwrap();
    }
    assert_eq!(fs::read_dir(bench.repository.dir().join("stat-cache")).unwrap().count(), 64);
}
