// SPDX-License-Identifier: MIT
//! Bundles carry snapshots from one repository to another, of whichever store; what is no bundle, or not whole, changes neither
//! history nor labels, nor does an import that is killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cascow_core::bundle::{Decoder, Encoder, Part};
use cascow_core::frame::Frame;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::StateRoot;
use cascow_core::record;
use cascow_core::store::ObjectStore;
use cascow_native::error::ErrorKind;
use cascow_native::repository::{Collect, Fsck, Repository};
use cascow_native::store::StoreKind;
use cascow_tests::aged_disk::AgedDisk;
use cascow_tests::ledger::noise;
use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use serde_json::{Value, json};

const KIND: HashKind = HashKind::Sha256;
const STORES: [&str; 2] = ["files", "segments"];

/// Hash function, the snapshot that the bundle was made of, and the one that it comes from.
const FROZEN: [(HashKind, &str, &str); 2] = [
    (
        HashKind::Sha256,
        "aa0664700df4c5c428e448d0ca23051570051c9f4a3ff65573336ca32e67a4a2",
        "c851203f09ac0635e253ada0ad9e076f2de4a38b11a5f8d9abda6bbd7270ac87",
    ),
    (
        HashKind::Blake3,
        "04ebbe9a77c788319e9a531e04ccea95d2320f70b4e4d81d505a213e315a5fa9",
        "de5beee9dae3d3cea71e510f9740f0019a7acc8215bd4464506372a17ea1264e",
    ),
];

fn frozen(kind: HashKind) -> String {
    format!("{}/fixtures/v1/{}.bundle", env!("CARGO_MANIFEST_DIR"), kind.name())
}

/// A repository with `before`, `after` that comes from it, and `other`; and empty ones, one of each kind of store.
struct Exchange {
    sandbox: Sandbox,
    before: String,
    after: String,
}

fn exchange(store: &str) -> Exchange {
    let sandbox = Sandbox::with_store(store);
    sandbox.write("tree/a.txt", "one\n");
    sandbox.write("tree/dir/words", "the same words, ".repeat(500));
    sandbox.write("tree/dir/long", noise(1, 100_000));
    sandbox.shell("ln -s a.txt tree/link; mkdir tree/empty; chmod 755 tree/dir/words");
    let before = text(&sandbox.json(["save", "tree", "--label", "before"])["snapshot"]);
    sandbox.shell("cp -a tree edited; echo two > edited/a.txt; rm edited/dir/words");
    let saved = sandbox.json(["save", "edited", "--label", "after", "--parent", "before"]);
    let after = text(&saved["snapshot"]);
    sandbox.write("unrelated/file", noise(2, 5000));
    sandbox.json(["save", "unrelated", "--label", "other"]);
    for store in STORES {
        sandbox.cascow(["init", store, "--store", store]).done();
    }
    Exchange { sandbox, before, after }
}

/// What an import must leave alone where it fails.
fn history(sandbox: &Sandbox, repository: &str) -> (Vec<Value>, Value) {
    let log = sandbox.cascow(["--repo", repository, "--json", "log"]).done().json_lines();
    (log, sandbox.json(["--repo", repository, "label"]))
}

#[track_caller]
fn is_clean(sandbox: &Sandbox, repository: &str) -> Value {
    let checked = sandbox.json(["--repo", repository, "fsck"]);
    assert_eq!(checked["damaged"], json!([]), "{checked}");
    checked
}

#[test]
fn what_is_exported_is_imported_by_a_repository_of_any_store() {
    for store in STORES {
        let Exchange { sandbox, before, after } = exchange(store);
        let exported = sandbox.json(["export", "after", "-o", "it.bundle"]);
        assert_eq!(exported["snapshots"], 2);
        assert_eq!(exported["bytes"], sandbox.read("it.bundle").len());
        for into in STORES {
            let import = ["--repo", into, "import", "it.bundle", "--label", "arrived"];
            let imported = sandbox.json(import);
            for field in ["snapshots", "objects", "bytes"] {
                assert_eq!(imported[field], exported[field], "{field}");
            }
            assert_eq!(imported["heads"], json!([after]));
            assert_eq!(
                (&imported["new_snapshots"], &imported["new_objects"]),
                (&json!(2), &exported["objects"])
            );
            let (log, labels) = history(&sandbox, into);
            let names: BTreeSet<String> = log.iter().map(|line| text(&line["snapshot"])).collect();
            assert_eq!(names, BTreeSet::from([before.clone(), after.clone()]));
            assert_eq!(labels.as_array().map(Vec::len), Some(1), "{labels}");
            let checked = is_clean(&sandbox, into);
            assert_eq!(checked["objects"], exported["objects"], "nothing else came");
            for (snapshot, tree) in [("arrived", "edited"), (before.as_str(), "tree")] {
                let out = format!("out-{into}-{tree}");
                sandbox.cascow(["--repo", into, "checkout", snapshot, &out]).done();
                sandbox.assert_equal_trees(&out, tree);
            }
            // Again, nothing comes.
            let again = sandbox.json(["--repo", into, "import", "it.bundle"]);
            for field in ["new_snapshots", "new_objects", "new_bytes"] {
                assert_eq!(again[field], 0, "{field}");
            }
            assert_eq!(history(&sandbox, into), (log, labels));
            // And what was imported is exported again as it was.
            let back = format!("{into}.bundle");
            sandbox.json(["--repo", into, "export", &after, "-o", &back]);
            assert_eq!(sandbox.read(&back), sandbox.read("it.bundle"));
        }
    }
}

#[test]
fn several_snapshots_travel_together_and_one_by_one() {
    let Exchange { sandbox, before, after } = exchange("segments");
    let exported = sandbox.json(["export", "other", "after", "before", "-o", "all.bundle"]);
    assert_eq!(exported["snapshots"], 3);
    let imported = sandbox.json(["--repo", "files", "import", "all.bundle"]);
    assert_eq!((&imported["snapshots"], &imported["new_snapshots"]), (&json!(3), &json!(3)));
    assert_eq!(imported["heads"].as_array().map(Vec::len), Some(3));
    is_clean(&sandbox, "files");
    // A label for three is refused before anything is put.
    let import = ["--repo", "segments", "import", "all.bundle", "--label", "one"];
    assert!(sandbox.cascow(import).error(2).contains("brings 3 snapshots"));
    assert_eq!(sandbox.json(["--repo", "segments", "stats"])["objects"], 0);

    // What came earlier is not new when more comes.
    sandbox.json(["export", &before, "-o", "before.bundle"]);
    sandbox.json(["export", &after, "-o", "after.bundle"]);
    let first = sandbox.json(["--repo", "segments", "import", "before.bundle"]);
    let second = sandbox.json(["--repo", "segments", "import", "after.bundle"]);
    assert_eq!((&first["new_snapshots"], &second["new_snapshots"]), (&json!(1), &json!(1)));
    let common = first["objects"].as_u64().unwrap();
    assert_eq!(second["new_objects"].as_u64(), second["objects"].as_u64().map(|all| all - common));
    is_clean(&sandbox, "segments");
}

#[test]
fn bundles_go_through_pipes() {
    let Exchange { sandbox, after, .. } = exchange("segments");
    sandbox.json(["export", "after", "-o", "it.bundle"]);
    let cascow = program().display();
    sandbox.shell(&format!(
        "{cascow} export after -o - | {cascow} --repo files --quiet import - >answer"
    ));
    assert!(String::from_utf8(sandbox.read("answer")).unwrap().starts_with(&after[..12]));
    let exported = sandbox.cascow(["export", "after", "-o", "-"]).done();
    assert_eq!(exported.stdout, sandbox.read("it.bundle"));
    assert!(exported.stderr.contains("2 snapshots"), "{}", exported.stderr);
    // Whoever closes the pipe early is no error.
    let mut command = sandbox.command(program());
    command.args(["--quiet", "export", "after", "-o", "-"]).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut begin = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"CCBU");
    let ended = Answer::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    // Where the answer would stand between the bundle's bytes, none is made.
    let both = sandbox.cascow(["--json", "export", "after", "-o", "-"]);
    assert_eq!((both.code, &both.json()["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn an_export_that_fails_leaves_what_was_there() {
    let Exchange { sandbox, after, .. } = exchange("files");
    sandbox.write("out/it.bundle", "as it was");
    assert!(
        sandbox.cascow(["export", "nothing", "-o", "out/it.bundle"]).error(3).contains("nothing")
    );
    // One object of a list is gone.
    let removed = sandbox.json(["ls", "after", "dir/long"]);
    let repository = Repository::open(&sandbox.path("")).unwrap();
    let missing = a_chunk_of_long(&repository, &after);
    assert!(repository.store().delete(&missing).unwrap(), "{removed}");
    let error = sandbox.cascow(["export", "after", "-o", "out/it.bundle"]);
    assert!(error.error(4).contains(&missing.to_string()));
    assert_eq!(sandbox.read("out/it.bundle"), b"as it was");
    let left: Vec<_> = fs::read_dir(sandbox.path("out")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing stays beside it: {left:?}");
    // What is no file is written to, and tells when it is full.
    assert!(sandbox.cascow(["export", "before", "-o", "/dev/full"]).error(4).contains("missing"));
    assert!(sandbox.cascow(["export", "other", "-o", "/dev/full"]).error(5).contains("/dev/full"));
    sandbox.cascow(["export", "other", "-o", "/dev/null"]).done();
    sandbox.cascow(["export", "other", "-o", "no/such/place"]).error(3);
}

/// Of the file of 100,000 bytes, one that no other has.
fn a_chunk_of_long(repository: &Repository, snapshot: &str) -> ContentHash {
    let state = repository.state(&snapshot.parse().unwrap()).unwrap();
    let entry =
        cascow_core::workspace::decode(b"dir/long", state.get(b"dir/long").unwrap()).unwrap();
    entry.note.index.expect("it is long").top
}

// --- Hostile bundles ---

/// A bundle's parts, to be put together otherwise.
fn parts(bundle: &[u8]) -> (Vec<ContentHash>, Vec<Vec<u8>>) {
    let (mut decoder, mut heads, mut objects, mut rest) =
        (Decoder::new(), Vec::new(), Vec::new(), bundle);
    while let Some(part) = decoder.next(&mut rest).unwrap() {
        match part {
            Part::Heads { heads: found, .. } => heads = found,
            Part::Object(bytes) => objects.push(bytes),
            _ => {}
        }
    }
    (heads, objects)
}

fn bundle(heads: &[ContentHash], objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(KIND, heads, &mut out).unwrap();
    objects.iter().for_each(|object| encoder.object(object, &mut out).unwrap());
    encoder.finish(&mut out);
    out
}

/// Imports bytes that are to be refused, and looks whether anything changed; the message.
#[track_caller]
fn refused(repository: &Repository, bytes: &[u8]) -> String {
    let names = || (repository.snapshots().unwrap(), repository.labels().unwrap());
    let before = names();
    let label = "refused".parse().unwrap();
    let imported =
        repository.import(Path::new("it.bundle"), &mut &bytes[..], Some(&label), &mut |_| Ok(()));
    let error = imported.expect_err("this is not to be imported");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(names(), before);
    error.to_string()
}

#[test]
fn a_bundle_that_is_cut_off_longer_or_damaged_is_refused() {
    let bytes = fs::read(frozen(KIND)).unwrap();
    for store in [StoreKind::Files, StoreKind::Segments] {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init(dir.path(), KIND, store).unwrap();
        for len in (0..bytes.len()).step_by(97) {
            assert!(refused(&repository, &bytes[..len]).contains("cut off"));
        }
        for bit in (0..bytes.len() * 8).step_by(791) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&repository, &damaged).starts_with("\"it.bundle\": "));
        }
        assert!(refused(&repository, &[&bytes[..], b"\0"].concat()).contains("more than"));
        assert!(repository.fsck(Fsck::default(), &mut |_| {}).unwrap().is_clean());
        // What they left does not keep the whole one out.
        repository.import(Path::new("it.bundle"), &mut &bytes[..], None, &mut |_| Ok(())).unwrap();
        assert_eq!(repository.snapshots().unwrap().len(), 2);
    }
}

#[test]
fn snapshots_of_which_anything_is_missing_are_not_entered() {
    let (heads, objects) = parts(&fs::read(frozen(KIND)).unwrap());
    for left_out in 0..objects.len() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init(dir.path(), KIND, StoreKind::Segments).unwrap();
        let mut objects = objects.clone();
        let missing = KIND.hash(&objects.remove(left_out));
        let message = refused(&repository, &bundle(&heads, &objects));
        assert!(
            message.contains("is not whole") && message.contains(&missing.to_string()),
            "{message}"
        );
        // If it is here already, nothing is missing.
        let whole = [objects.clone(), parts(&fs::read(frozen(KIND)).unwrap()).1].concat();
        repository
            .import(Path::new("it"), &mut &bundle(&heads, &whole)[..], None, &mut |_| Ok(()))
            .unwrap();
        let none: &[Vec<u8>] = &[];
        let thin = bundle(&heads, none);
        let imported =
            repository.import(Path::new("it"), &mut &thin[..], None, &mut |_| Ok(())).unwrap();
        assert_eq!((imported.objects, imported.snapshots, imported.new_snapshots), (0, 2, 0));
    }
}

#[test]
fn snapshots_that_lie_are_not_entered() {
    let (heads, objects) = parts(&fs::read(frozen(KIND)).unwrap());
    let store = cascow_core::store::MemoryStore::new(KIND);
    objects.iter().for_each(|object| _ = store.put(object).unwrap());
    let honest = record::read(&store, &heads[0]).unwrap();
    let state = record::read_state(&store, &honest).unwrap();
    let wrong_root = record::write_record(
        &store,
        &state,
        StateRoot::from_bytes([1; 32]),
        (honest.listing, Default::default()),
        None,
    );
    let wrong_root = wrong_root.unwrap().snapshot;
    let mut later = store.get(&heads[0]).unwrap();
    later[4] = 9;
    let later = store.put(&later).unwrap().hash;
    let file = KIND.hash(b"hello\n");
    let from_nothing = record::write(&store, &state, Some(file)).unwrap().snapshot;
    let mut all = Vec::new();
    store
        .for_each(&mut |info| {
            all.push(store.get(&info.hash)?);
            Ok(())
        })
        .unwrap();
    for (head, says) in [
        (wrong_root, "root"),
        (later, "of a version or kind"),
        (file, "is not a snapshot"),
        (from_nothing, "is not a snapshot"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init(dir.path(), KIND, StoreKind::Files).unwrap();
        // Not even the good one beside it.
        for heads in [vec![head], vec![head, heads[0]]] {
            let bytes = bundle(&heads, &all);
            let imported =
                repository.import(Path::new("it"), &mut &bytes[..], None, &mut |_| Ok(()));
            let error = imported.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(repository.snapshots().unwrap(), []);
        }
        // What they left is garbage to a collection.
        assert!(repository.fsck(Fsck::default(), &mut |_| {}).unwrap().is_clean());
    }
}

#[test]
fn the_program_says_in_a_line_what_is_wrong_with_a_bundle() {
    let Exchange { sandbox, .. } = exchange("segments");
    sandbox.json(["export", "after", "-o", "it.bundle"]);
    let bytes = sandbox.read("it.bundle");
    let with = |at: usize, byte: u8| {
        let mut altered = bytes.clone();
        altered[at] = byte;
        altered
    };
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("cut", bytes[..bytes.len() / 2].to_vec(), "cut off after"),
        ("empty", Vec::new(), "cut off after 0 bytes"),
        ("longer", [&bytes[..], b"more"].concat(), "more than its"),
        ("other", b"this is some text, and nothing else".to_vec(), "not a bundle"),
        ("later", with(4, 2), "version 2"),
        ("flags", with(7, 1), "unknown flags 0x0100"),
        ("altered", with(bytes.len() - 1, bytes[bytes.len() - 1] ^ 1), "its bytes hash to"),
    ];
    let before = history(&sandbox, "files");
    for (file, bytes, says) in cases {
        sandbox.write(file, &bytes);
        let answer = sandbox.cascow(["--repo", "files", "import", file, "--label", "new"]);
        let message = answer.error(4);
        assert!(message.contains(says) && message.contains(file), "{message}");
        assert_eq!(history(&sandbox, "files"), before);
    }
    let json = sandbox.cascow(["--repo", "files", "--json", "import", "cut"]);
    assert_eq!((json.code, &json.json()["error"]["code"]), (4, &json!("corrupt")));
    is_clean(&sandbox, "files");

    assert!(sandbox.cascow(["import", "nowhere"]).error(3).contains("nowhere"));
    assert!(sandbox.cascow(["import", "tree"]).error(2).contains("tree"));
    sandbox.cascow(["init", "other-hash", "--hash", "blake3"]).done();
    let answer = sandbox.cascow(["--repo", "other-hash", "import", "it.bundle"]);
    assert!(answer.error(2).contains("sha256"));
}

// --- Crashes and collections ---

fn importing(sandbox: &Sandbox, repository: &str) -> Child {
    let mut command: Command = sandbox.command(program());
    command.args(["--repo", repository, "import", "-", "--label", "arrived"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn an_import_that_is_killed_leaves_the_repository_whole_and_can_be_made_again() {
    let sandbox = Sandbox::new();
    // Many batches, so that objects are in the store when it is killed.
    sandbox.write("tree/long", noise(1, 6 << 20));
    sandbox.json(["save", "tree", "--label", "it"]);
    sandbox.json(["export", "it", "-o", "it.bundle"]);
    let bytes = sandbox.read("it.bundle");
    for store in STORES {
        sandbox.cascow(["init", store, "--store", store]).done();
        let mut done = 0;
        for eighth in (0..=8).chain([8, 8]) {
            let mut child = importing(&sandbox, store);
            let mut pipe = child.stdin.take().unwrap();
            // What does not fit into the pipe was read when this returns. With the last byte, the end is in sight too.
            pipe.write_all(&bytes[..bytes.len() / 8 * eighth]).unwrap();
            if eighth == 8 {
                pipe.write_all(&bytes[bytes.len() / 8 * 8..]).unwrap();
                drop(pipe);
            }
            child.kill().unwrap();
            done += u32::from(child.wait().unwrap().success());
            let (log, labels) = history(&sandbox, store);
            assert!(log.len() == 1 || done == 0 && log.is_empty(), "{log:?}");
            if eighth < 8 {
                assert_eq!((log.len(), labels), (0, json!([])), "after {eighth} eighths");
            }
            is_clean(&sandbox, store);
        }
        let again = sandbox.json(["--repo", store, "import", "it.bundle", "--label", "arrived"]);
        assert_eq!(again["snapshots"], 1);
        is_clean(&sandbox, store);
        sandbox.cascow(["--repo", store, "checkout", "arrived", &format!("out-{store}")]).done();
        sandbox.assert_equal_trees(&format!("out-{store}"), "tree");
        // What they left and the label does not need is nothing: a collection finds only what is needed.
        let collected = sandbox.json(["--repo", store, "gc", "--grace", "0"]);
        assert_eq!(collected["live"], again["objects"]);
    }
}

#[test]
fn what_a_bundle_relied_on_is_not_collected_while_it_is_imported() {
    let (heads, objects) = parts(&fs::read(frozen(KIND)).unwrap());
    let thin = bundle(&heads, &[]);
    for store in [StoreKind::Files, StoreKind::Segments] {
        // Of two equal repositories, the first tells how often an import says how far it is.
        let mut told = 0;
        for is_first in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            {
                // Garbage of a process that ended an hour ago.
                let disk = AgedDisk::behind(3600);
                let repository = Repository::init_on(disk, dir.path(), KIND, store).unwrap();
                for object in &objects {
                    repository.store().put(object).unwrap();
                }
                repository.store().sync().unwrap();
            }
            let repository = Repository::open(dir.path()).unwrap();
            let collecting = Repository::open(dir.path()).unwrap();
            let (mut calls, mut removed) = (0, 0);
            let imported = repository.import(Path::new("it"), &mut &thin[..], None, &mut |_| {
                calls += 1;
                // All was found, and nothing is published.
                if !is_first && calls == told {
                    let how = Collect { grace_secs: 0, dry_run: false };
                    removed = collecting.collect(&how, &mut |_| {}).unwrap().swept.removed;
                }
                Ok(())
            });
            let imported = imported.unwrap();
            assert_eq!((imported.objects, imported.new_snapshots), (0, 2));
            // In segments, that an object was put again is noted later, and brings it back if a collection was faster.
            assert!(removed == 0 || store == StoreKind::Segments, "{removed} were removed");
            assert_eq!(repository.snapshots().unwrap().len(), 2);
            assert_eq!(repository.state(&heads[0]).unwrap().len(), 3);
            assert!(repository.fsck(Fsck::default(), &mut |_| {}).unwrap().is_clean());
            assert!(is_first || calls >= told);
            told = calls;
        }
        assert!(told > objects.len(), "{told}");
    }
}

#[test]
fn an_import_that_is_interrupted_enters_nothing() {
    let bytes = fs::read(frozen(KIND)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init(dir.path(), KIND, StoreKind::Segments).unwrap();
    // When it was read, and at each reference that is looked for.
    let mut after = 0;
    loop {
        let mut calls = 0;
        let imported = repository.import(Path::new("it"), &mut &bytes[..], None, &mut |_| {
            calls += 1;
            if calls > after { Err(cascow_native::Error::Interrupted) } else { Ok(()) }
        });
        match imported {
            Err(cascow_native::Error::Interrupted) => {
                assert_eq!(repository.snapshots().unwrap(), []);
            }
            imported => {
                assert_eq!(imported.unwrap().new_snapshots, 2);
                break;
            }
        }
        after += 1;
    }
    assert!(after > 12, "it was asked {after} times");
}

// --- Frozen ---

#[test]
fn bundles_of_version_1_are_imported() {
    for (kind, snapshot, parent) in FROZEN {
        let sandbox = Sandbox::without_repository();
        sandbox.cascow(["init", "--hash", kind.name()]).done();
        let imported = sandbox.json(["import", &frozen(kind), "--label", "frozen"]);
        assert_eq!((&imported["heads"], &imported["objects"]), (&json!([snapshot]), &json!(12)));
        is_clean(&sandbox, ".");
        let read =
            |snapshot: &str, path: &str| sandbox.cascow(["cat", snapshot, path]).done().stdout;
        assert_eq!(read("frozen", "hello.txt"), b"hello again\n");
        assert_eq!(read(parent, "hello.txt"), b"hello\n");
        assert_eq!(read(parent, "words"), b"the same words, ".repeat(64));
        let long: Vec<u8> = (0..400_u32)
            .flat_map(|n| *HashKind::Sha256.hash(&n.to_le_bytes()).as_bytes())
            .collect();
        assert_eq!(read("frozen", "long"), long);
        // Raw and deflated frames are in it.
        let bytes = fs::read(frozen(kind)).unwrap();
        let mut rest = &bytes[12 + 32..];
        let mut codecs = BTreeSet::new();
        while let Some((len, after)) = rest.split_first_chunk::<4>()
            && *len != [0; 4]
        {
            let (frame, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            codecs.insert(format!("{:?}", Frame::parse(frame).unwrap().codec()));
            rest = after;
        }
        assert_eq!(codecs, BTreeSet::from(["Deflate".to_owned(), "Raw".to_owned()]));
    }
}

#[test]
fn help_says_what_a_bundle_is() {
    for command in ["export", "import"] {
        let help = Answer::of(Command::new(program()).args([command, "--help"])).done();
        assert!(help.text().contains("undle"), "{}", help.text());
    }
}
