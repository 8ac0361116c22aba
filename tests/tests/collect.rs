// SPDX-License-Identifier: MIT
//! The collector takes what nothing keeps, and nothing else: by labels, ancestry, age, leases and pins, with clocks apart, and
//! beside processes that save, label and find again what it was about to take.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cascow_core::blob::BlobId;
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::reach::{Fault, Reach, Visitor};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::Error;
use cascow_native::directory::{self, ScanOptions};
use cascow_native::disk::{Disk, LinuxDisk};
use cascow_native::repository::{Collect, Collected, Label, Repository};
use cascow_native::store::StoreKind;
use cascow_tests::aged_disk::AgedDisk;
use cascow_tests::program::program;
use cascow_tests::sandbox::{Sandbox, text};
use tempfile::TempDir;

const KINDS: [StoreKind; 2] = [StoreKind::Files, StoreKind::Segments];

const HOUR: i64 = 3600;

/// Everything that was put before now; nothing that was put a minute ago or later.
const NO_GRACE: Collect = Collect { grace_secs: 0, dry_run: false };
const A_MINUTE: Collect = Collect { grace_secs: 60, dry_run: false };

/// A repository beside trees to save.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new(kind: StoreKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Repository::init(dir.path(), HashKind::Sha256, kind).unwrap();
        Self { dir }
    }

    fn open(&self, disk: Arc<dyn Disk>) -> Repository {
        Repository::open_on(disk, self.dir.path()).unwrap()
    }

    /// As a process of so many seconds ago has it open.
    fn behind(&self, secs: i64) -> Repository {
        self.open(AgedDisk::behind(secs))
    }

    fn now(&self) -> Repository {
        self.open(LinuxDisk::shared())
    }

    fn collect(&self, how: &Collect) -> Collected {
        self.now().collect(how, &mut |_| {}).unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

/// A state with a long file and a short one, of this repository's objects.
fn scanned(repository: &Repository, content: &str) -> State {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("short"), content).unwrap();
    let long: String = (0..3000).map(|line| format!("{content} {line}\n")).collect();
    fs::write(dir.path().join("long"), long).unwrap();
    fs::write(dir.path().join("shared"), "in every state").unwrap();
    let scan =
        directory::scan(dir.path(), repository.store(), &ScanOptions::default(), &mut |_| {});
    let mut state = scan.unwrap().state;
    // Of one time, so that equal content makes equal snapshots.
    let normal: Vec<(Box<[u8]>, cascow_core::snapshot::Value)> = state
        .iter()
        .map(|(key, value)| {
            let note = cascow_core::entry::Note::decode(&value.note).unwrap();
            let note = cascow_core::entry::Note { mtime_secs: 0, mtime_nanos: 0, ..note };
            let bytes = value.bytes.clone();
            (key.into(), cascow_core::snapshot::Value { bytes, note: note.encode().into() })
        })
        .collect();
    for (key, value) in normal {
        state.write(key, value);
    }
    state
}

fn save(
    repository: &Repository,
    content: &str,
    parent: Option<ContentHash>,
    label: Option<&str>,
) -> ContentHash {
    repository.lease().unwrap();
    let state = scanned(repository, content);
    let snapshot = repository.write_snapshot(&state, parent).unwrap().snapshot;
    let label: Option<Label> = label.map(|label| label.parse().unwrap());
    repository.publish(&snapshot, label.as_ref()).unwrap();
    snapshot
}

fn objects(repository: &Repository) -> BTreeSet<ContentHash> {
    let mut found = BTreeSet::new();
    repository
        .store()
        .for_each(&mut |info| {
            found.insert(info.hash);
            Ok(())
        })
        .unwrap();
    found
}

#[derive(Default)]
struct Told(BTreeSet<ContentHash>);

impl Visitor for Told {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        self.0.insert(*hash);
        Ok(())
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        panic!("{fault}");
    }
}

/// All that these snapshots, and what they come from, refer to.
fn needed(repository: &Repository, snapshots: &[ContentHash]) -> BTreeSet<ContentHash> {
    let mut reach = Reach::new(repository.store(), Told::default());
    for snapshot in snapshots {
        reach.snapshot(snapshot).unwrap();
    }
    reach.into_visitor().0
}

/// Everything of a snapshot can be read.
fn is_whole(repository: &Repository, snapshot: &ContentHash) {
    let out = tempfile::tempdir().unwrap();
    let state = repository.state(snapshot).unwrap();
    directory::checkout(&state, repository.store(), &out.path().join("out"), &mut |_| {}).unwrap();
}

#[test]
fn what_labels_ancestry_and_age_keep_stays_and_the_rest_goes() {
    for kind in KINDS {
        let place = Place::new(kind);
        let old = place.behind(HOUR);
        let grandparent = save(&old, "grandparent", None, None);
        let parent = save(&old, "parent", Some(grandparent), None);
        let labelled = save(&old, "labelled", Some(parent), Some("kept"));
        let collected =
            [save(&old, "gone", Some(labelled), None), save(&old, "gone too", None, None)];
        old.store().put(b"nobody refers to this").unwrap();
        old.store().sync().unwrap();
        drop(old);
        let now = place.now();
        let young = save(&now, "young", Some(collected[1]), None);
        drop(now);

        // What a young one comes from is kept with it.
        let kept = [grandparent, parent, labelled, collected[1], young];
        let before = objects(&place.now());
        let told = place.collect(&Collect { dry_run: true, ..A_MINUTE });
        assert_eq!(objects(&place.now()), before, "a dry run changes nothing");
        assert_eq!(place.now().snapshots().unwrap().len(), 6);
        let done = place.collect(&A_MINUTE);
        assert_eq!(told, done, "a dry run tells the truth");
        let repository = place.now();
        let expected = needed(&repository, &kept);
        assert_eq!(objects(&repository), expected);
        assert_eq!(
            repository.snapshots().unwrap(),
            [grandparent, parent, labelled, collected[1], young]
        );
        assert_eq!((done.snapshots_kept, done.snapshots_removed), (5, 1));
        assert_eq!(done.swept.live, expected.len() as u64);
        assert_eq!(done.swept.removed, (before.len() - expected.len()) as u64);
        assert!(done.swept.removed > 2 && done.swept.reclaimed_bytes > 0);
        kept.iter().for_each(|snapshot| is_whole(&repository, snapshot));
        let again = place.collect(&A_MINUTE);
        assert_eq!((again.swept.removed, again.snapshots_removed), (0, 0));

        // What is gone is said to be.
        let gone = collected[0];
        assert!(matches!(repository.resolve(&gone.to_string()), Err(Error::Absent { .. })));
        assert!(matches!(repository.pin(&gone), Err(Error::Absent { .. })));
        let label: Label = "x".parse().unwrap();
        assert!(matches!(repository.set_label(&label, &gone), Err(Error::Absent { .. })));
        assert!(matches!(repository.resolve(&gone.to_string()[..12]), Err(Error::NotFound { .. })));
        // And can be saved again.
        assert_eq!(save(&repository, "gone", Some(labelled), None), gone);
        is_whole(&repository, &gone);
    }
}

#[test]
fn what_is_put_under_a_lease_stays_until_it_ends_however_old() {
    for kind in KINDS {
        let place = Place::new(kind);
        let long = place.behind(HOUR);
        long.lease().unwrap();
        let state = scanned(&long, "not yet published");
        long.store().sync().unwrap();
        let garbage = place.behind(2 * HOUR);
        garbage.store().put(b"from before the lease").unwrap();
        garbage.store().sync().unwrap();
        drop(garbage);
        let done = place.collect(&NO_GRACE);
        assert_eq!(done.swept.removed, 1, "only what is older than the lease");

        let snapshot = long.write_snapshot(&state, None).unwrap().snapshot;
        long.publish(&snapshot, Some(&"published".parse().unwrap())).unwrap();
        assert_eq!(place.collect(&NO_GRACE).swept.removed, 0);
        is_whole(&place.now(), &snapshot);

        // A lease that is renewed protects what comes, and no longer what was put without being published.
        let unpublished = long.store().put(b"left behind").unwrap().hash;
        long.store().sync().unwrap();
        drop(long);
        assert_eq!(place.collect(&NO_GRACE).swept.removed, 1);
        assert!(!place.now().store().exists(&unpublished).unwrap());
        is_whole(&place.now(), &snapshot);
        assert_eq!(fs::read_dir(place.path(".cascow/leases")).unwrap().count(), 0);
    }
}

#[test]
fn a_dead_processs_lease_holds_nothing_and_is_removed() {
    for kind in KINDS {
        let place = Place::new(kind);
        let old = place.behind(HOUR);
        old.store().put(b"of a process that was killed").unwrap();
        old.store().sync().unwrap();
        drop(old);
        let leases = place.path(".cascow/leases");
        fs::create_dir_all(&leases).unwrap();
        for (name, bytes) in [("1-0", &b""[..]), ("2-0", b"CCLE"), ("3-7", &[0xff; 100])] {
            fs::write(leases.join(name), bytes).unwrap();
        }
        let told = place.collect(&Collect { dry_run: true, ..NO_GRACE });
        assert_eq!(fs::read_dir(&leases).unwrap().count(), 3, "a dry run changes nothing");
        assert_eq!(place.collect(&NO_GRACE), told);
        assert_eq!(told.swept.removed, 1);
        assert_eq!(fs::read_dir(&leases).unwrap().count(), 0);
    }
}

#[test]
fn a_lease_that_cannot_be_read_but_is_held_keeps_everything() {
    let place = Place::new(StoreKind::Files);
    let old = place.behind(HOUR);
    old.store().put(b"perhaps somebody's").unwrap();
    drop(old);
    let leases = place.path(".cascow/leases");
    fs::create_dir_all(&leases).unwrap();
    fs::write(leases.join("of a newer version"), b"CCLE\x02").unwrap();
    let held =
        LinuxDisk.open(&leases.join("of a newer version"), cascow_native::disk::Access::Read);
    let held = held.unwrap();
    assert!(held.lock(cascow_native::disk::Lock::Exclusive, false).unwrap());
    assert_eq!(place.collect(&NO_GRACE).swept.removed, 0);
    drop(held);
    assert_eq!(place.collect(&NO_GRACE).swept.removed, 1);
}

#[test]
fn a_snapshot_that_is_pinned_stays_with_all_it_needs() {
    for kind in KINDS {
        let place = Place::new(kind);
        let old = place.behind(HOUR);
        let parent = save(&old, "parent", None, None);
        let pinned = save(&old, "pinned", Some(parent), None);
        drop(old);
        let user = place.now();
        user.pin(&pinned).unwrap();
        user.pin(&pinned).unwrap();
        let done = place.collect(&NO_GRACE);
        assert_eq!((done.snapshots_kept, done.swept.removed), (2, 0));
        is_whole(&place.now(), &pinned);
        user.renew_lease().unwrap();
        assert_eq!(place.collect(&NO_GRACE).snapshots_kept, 2, "pins outlast a renewal");
        drop(user);
        let done = place.collect(&NO_GRACE);
        assert_eq!((done.snapshots_kept, done.snapshots_removed, done.swept.live), (0, 2, 0));
    }
}

#[test]
fn a_dedup_hit_makes_what_it_hits_young() {
    for kind in KINDS {
        let place = Place::new(kind);
        let old = place.behind(HOUR);
        let snapshot = save(&old, "found again", None, None);
        let gone = save(&old, "not found again", None, None);
        drop(old);
        let now = place.now();
        assert_eq!(save(&now, "found again", None, None), snapshot);
        drop(now);
        let done = place.collect(&A_MINUTE);
        assert_eq!((done.snapshots_kept, done.snapshots_removed), (1, 1));
        let repository = place.now();
        is_whole(&repository, &snapshot);
        assert_eq!(repository.snapshots().unwrap(), [snapshot]);
        assert!(!repository.store().exists(&gone).unwrap());
    }
}

#[test]
fn clocks_that_are_apart_lose_nothing_of_who_is_at_work() {
    for kind in KINDS {
        // The writer's clock behind the collector's, and ahead of it.
        for behind in [HOUR, -HOUR] {
            let place = Place::new(kind);
            let writer = place.behind(behind);
            writer.lease().unwrap();
            let state = scanned(&writer, "by another clock");
            writer.store().sync().unwrap();
            assert_eq!(place.collect(&NO_GRACE).swept.removed, 0, "{kind} {behind}");
            let snapshot = writer.write_snapshot(&state, None).unwrap().snapshot;
            writer.publish(&snapshot, Some(&"l".parse().unwrap())).unwrap();
            drop(writer);
            place.collect(&NO_GRACE);
            is_whole(&place.now(), &snapshot);
        }
        // What was put in the future is young.
        let place = Place::new(kind);
        let ahead = place.behind(-HOUR);
        let snapshot = save(&ahead, "of the future", None, None);
        drop(ahead);
        assert_eq!(place.collect(&NO_GRACE).swept.removed, 0);
        is_whole(&place.now(), &snapshot);
    }
}

#[test]
fn one_collection_runs_at_a_time() {
    let place = Place::new(StoreKind::Files);
    let (first, second) = (place.now(), place.now());
    let mut refused = 0;
    first
        .collect(&NO_GRACE, &mut |_| {
            let error = second.collect(&NO_GRACE, &mut |_| {}).unwrap_err();
            assert!(error.to_string().contains("running already"), "{error}");
            refused += 1;
        })
        .unwrap();
    assert!(refused > 0);
}

#[test]
fn what_a_killed_collector_moved_aside_is_still_there_and_comes_back() {
    let place = Place::new(StoreKind::Files);
    let repository = place.now();
    let snapshot = save(&repository, "moved aside", None, Some("l"));
    let all = objects(&repository);
    for hash in &all {
        let name = hash.to_string();
        let dir = place.path(".cascow/objects").join(&name[..2]).join(&name[2..4]);
        fs::rename(dir.join(&name), dir.join(format!(".gone-{name}"))).unwrap();
    }
    drop(repository);
    is_whole(&place.now(), &snapshot);
    assert_eq!(objects(&place.now()), all, "each is listed once");
    let done = place.collect(&NO_GRACE);
    assert_eq!((done.swept.live, done.swept.removed), (all.len() as u64, 0));
    for hash in &all {
        let name = hash.to_string();
        let dir = place.path(".cascow/objects").join(&name[..2]).join(&name[2..4]);
        assert!(dir.join(&name).exists() && !dir.join(format!(".gone-{name}")).exists());
    }
    is_whole(&place.now(), &snapshot);
}

#[test]
fn a_collection_refuses_to_guess_what_a_damaged_object_refers_to() {
    let place = Place::new(StoreKind::Files);
    let old = place.behind(HOUR);
    let snapshot = save(&old, "damaged", None, Some("l"));
    save(&old, "garbage", None, None);
    drop(old);
    let before = objects(&place.now());
    let listing = place.now().record(&snapshot).unwrap().listing;
    let name = match listing.index {
        Some(index) => index.top.to_string(),
        None => listing.id.to_string(),
    };
    let path = place.path(".cascow/objects").join(&name[..2]).join(&name[2..4]).join(&name);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let error = place.now().collect(&NO_GRACE, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(objects(&place.now()), before);
    // What is gone altogether leads nowhere, and is told.
    fs::remove_file(&path).unwrap();
    let done = place.collect(&NO_GRACE);
    assert_eq!((done.missing, done.snapshots_kept, done.snapshots_removed), (1, 1, 1));
}

#[test]
fn the_program_collects_and_says_what_is_gone() {
    for kind in ["files", "segments"] {
        let sandbox = Sandbox::without_repository();
        sandbox.cascow(["init", "--store", kind]).done();
        sandbox.write("tree/a", "one");
        let kept = text(&sandbox.json(["save", "tree", "--label", "kept"])["snapshot"]);
        sandbox.write("tree/a", "two");
        let gone = sandbox.save("tree");
        sandbox.json(["label", "mine", &gone]);
        assert_eq!(sandbox.json(["gc"])["removed"], 0, "the time of grace is long");
        assert_eq!(sandbox.json(["gc", "--grace", "0"])["removed"], 0, "a label keeps it");
        sandbox.json(["label", "mine", "--delete"]);
        let told = sandbox.json(["gc", "--grace", "0", "--dry-run"]);
        let done = sandbox.json(["gc", "--grace", "0"]);
        for figure in ["live", "removed", "reclaimed_bytes", "snapshots_kept", "snapshots_removed"]
        {
            assert_eq!(told[figure], done[figure], "{figure}");
        }
        assert_eq!((&done["snapshots_kept"], &done["snapshots_removed"]), (&1.into(), &1.into()));
        assert!(sandbox.cascow(["ls", &gone]).error(3).contains("collected"));
        assert!(sandbox.cascow(["label", "again", &gone]).error(3).contains("collected"));
        sandbox.cascow(["ls", &gone[..12]]).error(3);
        // A label made by hand.
        sandbox.write(".cascow/labels/forged", format!("{gone}\n"));
        for command in [
            &["ls", "forged"][..],
            &["checkout", "forged", "out"],
            &["run", "forged", "--", "true"],
        ] {
            let refused = sandbox.cascow(command.iter().copied());
            assert!(refused.error(3).contains("forged") && refused.stderr.contains(&gone));
        }
        let log = sandbox.cascow(["--json", "log"]).done();
        assert_eq!(log.json_lines().len(), 1);
        assert_eq!(log.json_lines()[0]["snapshot"], *kept);
        assert!(log.stderr.contains("forged"), "{}", log.stderr);
        sandbox.cascow(["checkout", "kept", "out"]).done();
        assert_eq!(sandbox.read("out/a"), b"one");
    }
}

/// What a save knows of unchanged files it does not put again: the snapshot that has them must be there.
#[test]
fn a_save_does_not_rely_on_what_was_collected() {
    for kind in ["files", "segments"] {
        let sandbox = Sandbox::with_store(kind);
        sandbox.write("tree/unchanged", "some words ".repeat(5000));
        let first = sandbox.json(["save", "tree"]);
        // What was just written is not remembered: until the clock has gone on, files are read.
        let is_known = || sandbox.json(["save", "tree"])["files_read"] == 0;
        assert!((0..1000).any(|_| is_known()));
        sandbox.write("tree/more", "");
        let known = sandbox.json(["save", "tree"]);
        assert_eq!(known["files_read"], 1, "else nothing is known, and this test shows nothing");
        assert_eq!(sandbox.json(["gc", "--grace", "0"])["live"], 0);
        let again = sandbox.json(["save", "tree"]);
        assert_eq!((&again["snapshot"], &again["files_read"]), (&known["snapshot"], &2.into()));
        sandbox.cascow(["ls", &text(&first["snapshot"])]).error(3);
        sandbox.cascow(["checkout", &text(&again["snapshot"]), "out"]).done();
        sandbox.assert_equal_trees("tree", "out");
        assert_eq!(sandbox.cascow(["--json", "fsck"]).done().json()["clean"], true);
    }
}

/// A collector at work while a process relies on a snapshot that nothing else keeps, and puts nothing.
#[test]
fn a_pin_that_comes_while_a_collection_marks_is_seen() {
    for kind in KINDS {
        let place = Place::new(kind);
        let old = place.behind(HOUR);
        let snapshot = save(&old, "relied on", None, None);
        let other = save(&old, "not relied on", None, Some("l"));
        drop(old);
        let user = place.now();
        let mut pinned = false;
        let done = place.now().collect(&A_MINUTE, &mut |progress| {
            // The last moment before the history is written anew.
            if matches!(progress, cascow_native::repository::CollectProgress::Marked) {
                user.pin(&snapshot).unwrap();
                pinned = true;
            }
        });
        assert!(pinned);
        assert_eq!((done.unwrap().snapshots_kept, place.now().snapshots().unwrap().len()), (2, 2));
        is_whole(&place.now(), &snapshot);
        is_whole(&place.now(), &other);
        // And one that comes a moment later comes too late, and is told so.
        drop(user);
        let user = place.now();
        let mut refused = false;
        place
            .now()
            .collect(&A_MINUTE, &mut |progress| {
                if matches!(progress, cascow_native::repository::CollectProgress::Sweeping) {
                    let pinned = user.pin(&snapshot);
                    assert!(matches!(pinned, Err(Error::Absent { .. })), "{pinned:?}");
                    // Who saves it again meanwhile puts all of it again.
                    assert_eq!(save(&user, "relied on", None, Some("again")), snapshot);
                    refused = true;
                }
            })
            .unwrap();
        assert!(refused);
        is_whole(&place.now(), &snapshot);
        assert_eq!(place.collect(&NO_GRACE).snapshots_removed, 0);
        is_whole(&place.now(), &snapshot);
    }
}

/// Savers, each with processes of its own, beside another process that collects without any grace, over and over.
fn race(kind: &str) {
    const WRITERS: usize = 3;
    const ROUNDS: usize = 30;
    let sandbox = Sandbox::without_repository();
    sandbox.cascow(["init", "--store", kind]).done();
    let running = AtomicUsize::new(WRITERS);
    let write = |writer: usize| {
        let mut acknowledged = Vec::new();
        let dir = format!("tree{writer}");
        for round in 0..ROUNDS {
            // Few different contents, so that what is garbage one moment is found again the next, by any of them.
            let content = (round + writer) % 4;
            let long: String = (0..2000).map(|line| format!("{content} {line}\n")).collect();
            sandbox.write(&format!("{dir}/content"), &long);
            sandbox.shell(&format!("touch -d @1 {dir}/content {dir}"));
            let label = format!("latest{writer}");
            let first = text(&sandbox.json(["save", &dir])["snapshot"]);
            // Nothing but its age keeps the first one, and there is no grace: it may be gone by now, and then that is said.
            let second =
                sandbox.cascow(["--json", "save", &dir, "--parent", &first, "--label", &label]);
            let named = match second.code {
                3 => text(&sandbox.json(["save", &dir, "--label", &label])["snapshot"]),
                _ => text(&second.done().json()["snapshot"]),
            };
            let labelled = sandbox.cascow(["label", &format!("{writer}/{round}"), &named]);
            labelled.done();
            if round % 3 == 0 {
                acknowledged.push((format!("{writer}/{round}"), named.clone(), content));
            } else {
                sandbox.cascow(["label", "--delete", &format!("{writer}/{round}")]).done();
            }
            if round % 4 == 1 {
                let ran = sandbox.cascow([
                    "--json",
                    "run",
                    &label,
                    "--",
                    "sh",
                    "-c",
                    "echo more >> content",
                ]);
                ran.done();
            }
        }
        running.fetch_sub(1, Ordering::Relaxed);
        acknowledged
    };
    let (acknowledged, collections) = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        let collector = scope.spawn(|| {
            let (mut runs, mut removed) = (0, 0);
            while running.load(Ordering::Relaxed) > 0 {
                // Without the program's pause, which lets the second end in which something was put.
                let repository = Repository::open(&sandbox.path("")).unwrap();
                match repository.collect(&NO_GRACE, &mut |_| {}) {
                    Ok(collected) => {
                        removed += collected.swept.removed;
                        runs += 1;
                    }
                    // Another thread of ours is just starting a program, which holds our locks until it is loaded.
                    Err(Error::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (runs, removed)
        });
        let acknowledged: Vec<_> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        (acknowledged, collector.join().unwrap())
    });
    println!("{kind}: {} collections removed {} objects", collections.0, collections.1);
    assert!(collections.0 > 0 && collections.1 > 0, "nothing was collected: {collections:?}");
    for (label, snapshot, content) in &acknowledged {
        assert_eq!(text(&sandbox.json(["label", label])["snapshot"]), *snapshot);
        let read = sandbox.cascow(["cat", label, "content"]).done();
        assert!(read.text().starts_with(&format!("{content} 0\n")));
        let out = format!("out-{}", label.replace('/', "-"));
        sandbox.cascow(["checkout", label, &out]).done();
    }
    let checked = sandbox.cascow(["--json", "fsck"]).done().json();
    assert_eq!(checked["clean"], true);
    sandbox.json(["gc", "--grace", "0"]);
    assert_eq!(sandbox.cascow(["--json", "fsck"]).done().json()["clean"], true);
    assert!(Path::new(&sandbox.path(".cascow/leases")).read_dir().unwrap().next().is_none());
}

/// Makes a repository of segments in which `objects` are referred to by labelled snapshots, and somewhat more by nothing.
fn half_garbage(repository: &Repository, objects: usize) {
    const FILES: usize = 5000;
    let store = repository.store();
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None }.encode();
    let put = |numbers: std::ops::Range<usize>| {
        let contents: Vec<String> = numbers.map(|number| format!("object {number:040}")).collect();
        let contents: Vec<&[u8]> = contents.iter().map(String::as_bytes).collect();
        store.put_many(&contents).unwrap()
    };
    for start in (0..objects).step_by(FILES) {
        let mut state = State::new();
        for (number, put) in put(start..start + FILES).iter().enumerate() {
            let kind = EntryKind::File(BlobId::Chunk { hash: put.hash, len: 47 });
            let entry = Entry { kind, mode: 0o644, xattrs: Vec::new(), links: None };
            let value = Value { bytes: entry.encode().into(), note: note.clone().into() };
            state.write(format!("{number:04}").into_bytes(), value);
        }
        let snapshot = repository.write_snapshot(&state, None).unwrap().snapshot;
        repository.publish(&snapshot, Some(&format!("l{start}").parse().unwrap())).unwrap();
        put(objects + start..objects + start + FILES + 100);
    }
    store.sync().unwrap();
}

/// Bytes that the collecting program has in memory at its highest, and the length of the repository's index before, when half of
/// so many objects are garbage.
fn memory_of_a_collection(objects: usize) -> (u64, u64) {
    let sandbox = Sandbox::with_store("segments");
    half_garbage(&Repository::open(&sandbox.path("")).unwrap(), objects / 2);
    let index = fs::metadata(sandbox.path(".cascow/objects/index/data.mdb")).unwrap().len();
    let mut command = sandbox.command(program());
    command.args(["--quiet", "gc", "--grace", "0"]).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = Path::new("/proc").join(child.id().to_string()).join("status");
    let mut highest = 0;
    // The kernel keeps the mark as long as the program runs; that is looked at until it does not.
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB"));
        highest = mark.map_or(highest, |mark| mark.trim().parse::<u64>().unwrap() * 1024);
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None => thread::yield_now(),
        }
    };
    assert!(ended.success(), "{ended}");
    (highest, index)
}

#[test]
fn memory_of_a_collection_grows_by_a_fraction_of_the_index_it_looks_through() {
    let (small, small_index) = memory_of_a_collection(100_000);
    let (large, large_index) = memory_of_a_collection(400_000);
    let (more, more_index) = (large.saturating_sub(small), large_index - small_index);
    println!("{small} and {large} bytes of memory, {small_index} and {large_index} of index");
    assert!(more < more_index / 2, "{more} bytes more of memory for {more_index} more of index");
}

#[test]
fn collections_beside_savers_lose_nothing_that_was_acknowledged_in_files() {
    race("files");
}

#[test]
fn collections_beside_savers_lose_nothing_that_was_acknowledged_in_segments() {
    race("segments");
}
