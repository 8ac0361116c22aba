// SPDX-License-Identifier: MIT
//! Damage, hostile data, wrong words and a system that refuses: each is one line on standard error with the right exit code, and
//! nothing is half done.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::HashKind;
use cascow_core::record;
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_native::repository::Repository;
use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};

/// A repository with one snapshot, `s`, of a small tree.
fn saved() -> (Sandbox, String) {
    saved_in(Sandbox::new())
}

/// The same, with a file for each object, which tests can lay hands on.
fn saved_in_files() -> (Sandbox, String) {
    saved_in(Sandbox::with_store("files"))
}

fn saved_in(sandbox: Sandbox) -> (Sandbox, String) {
    sandbox.write("tree/dir/file", "hello\n");
    sandbox.write("tree/other", "words ".repeat(1000));
    let snapshot = text(&sandbox.json(["save", "tree", "--label", "s"])["snapshot"]);
    (sandbox, snapshot)
}

fn object(hash: &str) -> String {
    format!(".cascow/objects/{}/{}/{hash}", &hash[..2], &hash[2..4])
}

/// All files of the store, relative to the sandbox.
fn objects(sandbox: &Sandbox) -> Vec<String> {
    let found = sandbox.shell("find .cascow/objects -type f | sort");
    found.text().lines().map(str::to_owned).collect()
}

fn replace(sandbox: &Sandbox, path: &str, bytes: &[u8]) {
    fs::remove_file(sandbox.path(path)).unwrap();
    sandbox.write(path, bytes);
}

#[test]
fn a_damaged_object_is_named_and_nothing_is_written_from_it() {
    let (sandbox, _) = saved_in_files();
    fs::create_dir(sandbox.path("empty")).unwrap();
    for path in objects(&sandbox) {
        let hash = path.rsplit('/').next().unwrap();
        let whole = sandbox.read(&path);
        let flipped = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            bytes
        };
        let damages = [
            Vec::new(),
            whole[..whole.len() / 2].to_vec(),
            flipped(0),
            flipped(6),
            flipped(whole.len() / 2),
            [&whole[..], b"more"].concat(),
            vec![0xff; whole.len()],
        ];
        for (nth, damage) in damages.iter().enumerate() {
            replace(&sandbox, &path, damage);
            for target in ["new", "empty"] {
                let refused = sandbox.cascow(["checkout", "s", target]);
                assert!(refused.error(4).contains(hash), "damage {nth} of {path}");
            }
            assert!(!sandbox.path("new").exists());
            assert_eq!(fs::read_dir(sandbox.path("empty")).unwrap().count(), 0);
            assert!(sandbox.cascow(["object", "get", hash]).error(4).contains(hash));
        }
        fs::remove_file(sandbox.path(&path)).unwrap();
        assert!(sandbox.cascow(["checkout", "s", "new"]).error(4).contains(hash), "missing");
        sandbox.write(&path, &whole);
    }
    sandbox.cascow(["checkout", "s", "new"]).done();
    sandbox.assert_equal_trees("tree", "new");
}

#[test]
fn looking_into_a_damaged_snapshot_fails_where_the_damage_is() {
    let (sandbox, snapshot) = saved_in_files();
    let hello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let whole = sandbox.read(&object(hello));
    replace(&sandbox, &object(hello), b"garbage");
    assert!(sandbox.cascow(["cat", "s", "dir/file"]).error(4).contains(hello));
    sandbox.cascow(["cat", "s", "other"]).done();
    sandbox.cascow(["ls", "s"]).done();
    sandbox.cascow(["run", "s", "--", "true"]).error(4);
    let error = sandbox.cascow(["--json", "cat", "s", "dir/file"]);
    assert_eq!((error.code, &error.json()["error"]["code"]), (4, &"corrupt".into()));
    replace(&sandbox, &object(hello), &whole);

    replace(&sandbox, &object(&snapshot), b"garbage");
    for command in [vec!["ls", "s"], vec!["prove", "s", "x"], vec!["stats"]] {
        assert!(sandbox.cascow(command).error(4).contains(&snapshot));
    }
    // One that cannot be read keeps nobody from seeing the others.
    sandbox.write("tree/other", "changed");
    let whole = sandbox.save("tree");
    let log = sandbox.cascow(["--json", "log"]).done();
    assert!(log.stderr.contains(&snapshot), "{}", log.stderr);
    let lines = log.json_lines();
    assert_eq!(
        (&lines[0]["snapshot"], &lines[0]["label"]),
        (&snapshot.clone().into(), &"s".into())
    );
    assert!(text(&lines[0]["error"]).contains(&snapshot));
    assert_eq!((&lines[1]["snapshot"], lines[1].get("error")), (&whole.into(), None));
    for arguments in [&["log"][..], &["log", "--graph"], &["log", "s"]] {
        assert!(sandbox.cascow(arguments.iter().copied()).done().text().contains("cannot be read"));
    }
}

#[test]
fn an_object_that_claims_to_be_huge_is_refused_without_its_memory() {
    let (sandbox, snapshot) = saved_in_files();
    let path = object(&snapshot);
    let whole = sandbox.read(&path);
    for at in 0..16.min(whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] = 0xff;
        replace(&sandbox, &path, &bytes);
        let mut limited = sandbox.command("sh");
        let script = format!("ulimit -v 200000; {} ls s", program().display());
        Answer::of(limited.args(["-c", &script])).error(4);
    }
}

#[test]
fn unknown_versions_and_damaged_files_of_a_repository_are_refused() {
    let (sandbox, snapshot) = saved();
    let damaged = |path: &str, bytes: &[u8], command: &[&str]| {
        let whole = sandbox.read(path);
        replace(&sandbox, path, bytes);
        let answer = sandbox.cascow(command.iter().copied());
        assert!(!answer.error(4).is_empty(), "{path}");
        replace(&sandbox, path, &whole);
    };
    let format = sandbox.read(".cascow/format");
    for at in 0..format.len() {
        // Compatible features may be ignored.
        if !(12..16).contains(&at) {
            let mut bytes = format.clone();
            bytes[at] ^= 0x40;
            damaged(".cascow/format", &bytes, &["ls", "s"]);
        }
    }
    damaged(".cascow/format", b"", &["ls", "s"]);
    damaged(".cascow/format", &[&format[..], b"\0"].concat(), &["save", "tree"]);
    let history = sandbox.read(".cascow/snapshots");
    for at in 0..8 {
        let mut bytes = history.clone();
        bytes[at] ^= 0x40;
        damaged(".cascow/snapshots", &bytes, &["log"]);
        damaged(".cascow/snapshots", &bytes, &["ls", &snapshot]);
        damaged(".cascow/snapshots", &bytes, &["save", "tree"]);
    }
    let history = sandbox.path(".cascow/snapshots");
    fs::rename(&history, sandbox.path("aside")).unwrap();
    assert!(sandbox.cascow(["log"]).error(4).contains("missing"));
    fs::rename(sandbox.path("aside"), &history).unwrap();
    for bytes in [&b""[..], b"garbage\n", b"\xff\xfe\n", &[b'0'; 64], &[b'g'; 65]] {
        damaged(".cascow/labels/s", bytes, &["ls", "s"]);
        damaged(".cascow/labels/s", bytes, &["label"]);
        damaged(".cascow/labels/s", bytes, &["gc"]);
        // It keeps nobody from reading the rest.
        let whole = sandbox.read(".cascow/labels/s");
        replace(&sandbox, ".cascow/labels/s", bytes);
        assert!(sandbox.cascow(["log"]).done().stderr.contains("label s"));
        replace(&sandbox, ".cascow/labels/s", &whole);
    }

    // A record of an unknown version, well-named: not damage of the store, but nothing to be read.
    let repository = Repository::open(&sandbox.path("")).unwrap();
    let record = repository.store().get(&snapshot.parse().unwrap()).unwrap();
    for at in 0..8 {
        let mut bytes = record.clone();
        bytes[at] ^= 0x40;
        let other = repository.store().put(&bytes).unwrap().hash;
        repository.publish(&other, None).unwrap();
        let message = sandbox.cascow(["ls", &other.to_string()]);
        assert!(message.error(4).contains(&other.to_string()));
    }
}

#[test]
fn a_history_cut_off_by_a_crash_is_read_to_the_last_whole_name() {
    let (sandbox, _) = saved();
    let log = sandbox.cascow(["--json", "log"]).done().stdout;
    let mut history = File::options().append(true).open(sandbox.path(".cascow/snapshots")).unwrap();
    history.write_all(&[7; 20]).unwrap();
    assert_eq!(sandbox.cascow(["--json", "log"]).done().stdout, log);
    sandbox.write("tree/more", "");
    let snapshot = sandbox.save("tree");
    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    assert_eq!((log.len(), &log[1]["snapshot"]), (2, &snapshot.into()));
}

#[test]
fn a_prefix_of_several_snapshots_is_a_question_not_an_answer() {
    let (sandbox, snapshot) = saved();
    // Another name with the same first digits, entered in the history as a save would.
    let mut twin: [u8; 32] =
        *snapshot.parse::<cascow_core::hash::ContentHash>().unwrap().as_bytes();
    twin[31] ^= 1;
    let mut history = File::options().append(true).open(sandbox.path(".cascow/snapshots")).unwrap();
    history.write_all(&twin).unwrap();
    for digits in [6, 20, 63] {
        let answer = sandbox.cascow(["ls", &snapshot[..digits]]);
        assert!(answer.error(2).contains("2 snapshots"), "{}", answer.stderr);
    }
    sandbox.cascow(["ls", &snapshot]).done();
    sandbox.cascow(["ls", "s"]).done();
}

#[test]
fn a_directory_that_holds_something_is_not_written_into() {
    let (sandbox, _) = saved();
    sandbox.write("full/file", "mine");
    assert!(sandbox.cascow(["checkout", "s", "full"]).error(2).contains("full"));
    assert_eq!(sandbox.shell("ls -A full").text(), "file\n");
    assert_eq!(sandbox.read("full/file"), b"mine");
    sandbox.cascow(["checkout", "s", "full/file"]).error(2);
    sandbox.cascow(["checkout", "s", "no/such/parent"]).error(3);
    sandbox.shell("ln -s nowhere dangling");
    assert_ne!(sandbox.cascow(["checkout", "s", "dangling"]).code, 0);
    assert!(!sandbox.path("nowhere").exists());
}

#[test]
fn what_is_no_repository_is_not_taken_for_one() {
    let elsewhere = Sandbox::without_repository();
    fs::create_dir(elsewhere.path("plain")).unwrap();
    for repo in ["plain", "missing"] {
        let message = elsewhere.cascow(["--repo", repo, "log"]);
        assert!(message.error(3).contains(repo), "{}", message.stderr);
        let json = elsewhere.cascow(["--json", "--repo", repo, "log"]);
        assert_eq!((json.code, &json.json()["error"]["code"]), (3, &"not-found".into()));
    }
    assert!(elsewhere.cascow(["save", "plain"]).error(3).contains("cascow init"));
}

#[test]
fn every_command_answers_wrong_usage_with_2_and_says_so_in_json_too() {
    let (sandbox, snapshot) = saved();
    let wrong: &[&[&str]] = &[
        &["bogus"],
        &["--bogus"],
        &["init", "a", "b"],
        &["init", "--hash", "md5"],
        &["save"],
        &["save", "tree", "--label"],
        &["save", "tree", "--label", ""],
        &["save", "tree", "--exclude", "a["],
        &["checkout"],
        &["checkout", "s"],
        &["checkout", "s", "x", "y"],
        &["ls"],
        &["cat", "s"],
        &["cat", "s", "dir"],
        &["diff", "s"],
        &["merge", "s", "s"],
        &["merge", "s", "s", "s", "--prefer", "mine"],
        &["log", "s", "s"],
        &["label", "--delete"],
        &["label", "s", "s", "--delete"],
        &["run", "s"],
        &["run", "s", "--"],
        &["run", "s", "--timeout", "0", "--", "true"],
        &["run", "s", "--timeout", "-1", "--", "true"],
        &["run", "s", "--timeout", "nan", "--", "true"],
        &["run", "s", "--timeout", "1e300", "--", "true"],
        &["run", "s", "--materialize", "magic", "--", "true"],
        &["prove", "s"],
        &["verify"],
        &["verify", "proof"],
        &["verify", "proof", "--root", "abc"],
        &["object"],
        &["object", "bogus"],
        &["object", "put"],
        &["object", "get"],
        &["object", "get", "abc"],
        &["object", "get", &snapshot[1..]],
        &["object", "has", "0"],
        &["object", "rm", "x"],
        &["search"],
        &["search", "--workspace", "tree"],
        &["search", "--workspace", "tree", "--actions", "a", "--score", "true", "--target", "2"],
        &[
            "search",
            "--workspace",
            "tree",
            "--actions",
            "a",
            "--score",
            "true",
            "--evaluations",
            "0",
        ],
        &["stats", "x"],
        &["demo", "--seed", "x"],
        &["demo", "--out", "tree"],
        &["completions"],
        &["completions", "tcl"],
    ];
    for arguments in wrong {
        let answer = sandbox.cascow(["--json"].into_iter().chain(arguments.iter().copied()));
        assert_eq!(answer.code, 2, "{arguments:?} {}", answer.stderr);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "usage", "{arguments:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains('\n'), "{arguments:?} {message}");
        assert_eq!(answer.stderr, format!("cascow: {message}\n"), "{arguments:?}");
    }
    let bare = sandbox.cascow([]);
    assert_eq!((bare.code, bare.text()), (2, ""), "without a word it shows its help");
    assert!(bare.stderr.contains("Usage"));
}

#[test]
fn a_file_that_cannot_be_read_fails_the_save_and_nothing_is_saved() {
    let sandbox = Sandbox::without_repository();
    let program = sandbox.public_program();
    sandbox.shell("mkdir home; cd home; mkdir tree sealed; echo a > tree/a; echo b > tree/b; mkdir sealed/below");
    sandbox.give_to_ordinary_user("home");
    let test = "a_file_that_cannot_be_read_fails_the_save_and_nothing_is_saved";
    let ordinary = |arguments: &[&str]| {
        let mut command = sandbox.ordinary_command(test, &program)?;
        command.args(arguments).current_dir(sandbox.path("home"));
        Some(Answer::of(&mut command))
    };
    let Some(made) = ordinary(&["init"]) else { return };
    made.done();
    fs::set_permissions(sandbox.path("home/tree/b"), fs::Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(sandbox.path("home/sealed/below"), fs::Permissions::from_mode(0o0))
        .unwrap();
    for (dir, name) in [("tree", "tree/b"), ("sealed", "sealed/below")] {
        let refused = ordinary(&["save", dir, "--label", "x"]).unwrap();
        assert!(refused.error(5).contains(name), "{}", refused.stderr);
    }
    assert_eq!(ordinary(&["log"]).unwrap().done().text(), "");
    assert_eq!(ordinary(&["label"]).unwrap().done().text(), "");
    let excluding = ordinary(&["--json", "save", "tree", "--exclude", "b"]).unwrap().done();
    assert_eq!(excluding.json()["entries"], 1);
}

#[test]
fn a_repository_that_may_only_be_read_is_read() {
    let sandbox = Sandbox::without_repository();
    let program = sandbox.public_program();
    sandbox.shell("mkdir home; cd home; mkdir tree; echo a > tree/a");
    let home = sandbox.path("home");
    let ours = |arguments: &[&str]| {
        Answer::of(sandbox.command(program.as_path()).args(arguments).current_dir(&home))
    };
    ours(&["init"]).done();
    ours(&["save", "tree", "--label", "s"]).done();
    sandbox.shell("chmod -R a-w,a+rX home");
    let test = "a_repository_that_may_only_be_read_is_read";
    let ordinary = |arguments: &[&str]| {
        let mut command = sandbox.ordinary_command(test, &program)?;
        Some(Answer::of(command.args(arguments).current_dir(&home)))
    };
    let Some(read) = ordinary(&["cat", "s", "a"]) else { return };
    assert_eq!(read.done().text(), "a\n");
    for command in [&["log"][..], &["ls", "s"], &["stats"], &["label"], &["prove", "s", "a"]] {
        ordinary(command).unwrap().done();
    }
    for command in [&["save", "tree"][..], &["label", "t", "s"], &["run", "s", "--", "true"]] {
        ordinary(command).unwrap().error(5);
    }
    assert_eq!(ordinary(&["log"]).unwrap().done().text().lines().count(), 1);
}

/// Runs a script as root of a mount namespace of its own, with `$CASCOW` as the program and a filesystem of so many KiB at `small`.
fn with_small_disk(test: &str, kib: u32, script: &str) {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("small")).unwrap();
    let mut unshare = sandbox.command("unshare");
    if !cascow_tests::sandbox::is_privileged() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "sh", "-c"]);
    let mount = format!("mount -t tmpfs -o size={kib}k tmpfs small || exit 99\n");
    let answer =
        Answer::of(unshare.arg(format!("{mount}set -e\n{script}")).env("CASCOW", program()));
    if answer.code == 99 || answer.stderr.starts_with("unshare: ") {
        println!("privileged, not run: {test}: {}", answer.stderr.trim_end().replace('\n', " "));
        return;
    }
    assert_eq!(answer.code, 0, "{}{}", answer.text(), answer.stderr);
}

#[test]
fn a_full_disk_fails_the_save_and_leaves_what_was_saved() {
    let script = r#"
        mkdir tree; echo first > tree/file
        cd small; "$CASCOW" init; "$CASCOW" save ../tree --label first; before=$("$CASCOW" --json log)
        head -c 8000000 /dev/urandom > ../tree/big
        code=0; "$CASCOW" save ../tree --label second 2> ../error || code=$?
        cat ../error; test $code = 5; test $(wc -l < ../error) = 1; grep -q 'No space left' ../error
        test "$("$CASCOW" --json log)" = "$before"; test "$("$CASCOW" label | wc -l)" = 1
        test "$("$CASCOW" cat first file)" = first
        "$CASCOW" checkout first ../out; cmp ../tree/file ../out/file
        code=0; "$CASCOW" run first -- head -c 8000000 /dev/zero > /dev/null 2> ../error || code=$?
        test $code = 0 || { test $code = 5; test $(wc -l < ../error) = 1; }"#;
    with_small_disk("a_full_disk_fails_the_save_and_leaves_what_was_saved", 2048, script);
}

#[test]
fn a_repository_on_a_medium_that_takes_no_writes_is_read_and_refuses_the_rest() {
    let script = r#"
        mkdir tree; echo first > tree/file
        "$CASCOW" init small; "$CASCOW" --repo small save tree --label first
        mount -o remount,ro small
        for command in log 'ls first' stats fsck 'diff first first'; do "$CASCOW" --repo small $command; done
        test "$("$CASCOW" --repo small cat first file)" = first
        "$CASCOW" --repo small checkout first out; cmp tree/file out/file
        for command in 'save tree' 'object put tree/file' 'label x first' gc 'run first -- true'; do
            code=0; "$CASCOW" --repo small $command 2> error || code=$?
            test $code = 5; test $(wc -l < error) = 1; grep -q 'Read-only file system' error
        done"#;
    let test = "a_repository_on_a_medium_that_takes_no_writes_is_read_and_refuses_the_rest";
    with_small_disk(test, 4096, script);
}

#[test]
fn a_full_disk_fails_the_checkout_and_leaves_nothing() {
    let script = r#"
        mkdir tree; echo a > tree/a; head -c 8000000 /dev/urandom > tree/big
        "$CASCOW" save tree --label s; mkdir small/empty
        for target in small/new small/empty; do
            code=0; "$CASCOW" checkout s $target 2> error || code=$?
            test $code = 5; test $(wc -l < error) = 1; grep -q 'No space left' error; grep -q big error
        done
        test "$(find small | sort | tr '\n' ' ')" = 'small small/empty '
        code=0; "$CASCOW" init small/empty && code=0 || code=$?; test $code = 0
        dd if=/dev/zero of=small/fill bs=4k 2> /dev/null || true
        code=0; "$CASCOW" prove s a -o small/proof 2> error || code=$?
        test $code = 5; test $(wc -l < error) = 1"#;
    with_small_disk("a_full_disk_fails_the_checkout_and_leaves_nothing", 1024, script);
}

/// A state crafted by a stranger.
struct Hostile(State);

impl Hostile {
    fn new() -> Self {
        Self(State::new())
    }

    fn with(mut self, path: &[u8], kind: EntryKind) -> Self {
        let mode = if matches!(kind, EntryKind::Symlink { .. }) { 0o777 } else { 0o755 };
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        self.0.write(path, value(&entry));
        self
    }

    fn linked(mut self, path: &[u8], kind: EntryKind, first: &[u8]) -> Self {
        let links = Some(first.to_vec());
        self.0.write(path, value(&Entry { kind, mode: 0o644, xattrs: Vec::new(), links }));
        self
    }
}

fn value(entry: &Entry) -> Value {
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None };
    Value { bytes: entry.encode().into(), note: note.encode().into() }
}

#[test]
fn a_hostile_snapshot_writes_nothing_anywhere() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/content", "hostile\n");
    let snapshot = sandbox.save("tree");
    let repository = Repository::open(&sandbox.path("")).unwrap();
    assert_eq!(repository.store().hash_kind(), HashKind::Sha256);
    let good = repository.state(&snapshot.parse().unwrap()).unwrap();
    let file = Entry::decode(&good.get(b"content").unwrap().bytes).unwrap().kind;
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    let absolute = |path: &PathBuf| path.to_str().unwrap().as_bytes().to_vec();
    let link = |target: &[u8]| EntryKind::Symlink { target: target.to_vec() };
    let to_outside = absolute(&outside);
    let long_name = [b'n'; 256];
    let long_path = [&b"n/".repeat(2047)[..], b"ab"].concat();
    let mut states = vec![
        Hostile::new().with(b"../outside/x", file.clone()),
        Hostile::new().with(b"..", EntryKind::Directory),
        Hostile::new().with(b".", EntryKind::Directory),
        Hostile::new().with(b"", file.clone()),
        Hostile::new().with(b"/", EntryKind::Directory),
        Hostile::new().with(&absolute(&outside.join("x")), file.clone()),
        Hostile::new().with(b"a", EntryKind::Directory).with(b"a/../../outside/x", file.clone()),
        Hostile::new().with(b"a", EntryKind::Directory).with(b"a/./x", file.clone()),
        Hostile::new().with(b"a", EntryKind::Directory).with(b"a//x", file.clone()),
        Hostile::new().with(b"a", EntryKind::Directory).with(b"a/", file.clone()),
        Hostile::new().with(b"a\0b", file.clone()),
        Hostile::new().with(b"a", link(&to_outside)).with(b"a/x", file.clone()),
        Hostile::new().with(b"a", link(b"../outside")).with(b"a/x", file.clone()),
        Hostile::new().with(b"a", link(b"")),
        Hostile::new().with(b"a", link(b"x\0y")),
        Hostile::new().with(b"a/x", file.clone()),
        Hostile::new().with(b"a", file.clone()).with(b"a/x", file.clone()),
        Hostile::new().with(&long_name, file.clone()),
        Hostile::new().with(&long_path, file.clone()),
        Hostile::new().linked(b"b", file.clone(), b"../outside/secret"),
        Hostile::new().linked(b"b", file.clone(), b"a"),
        Hostile::new().linked(b"a", EntryKind::Directory, b"a").linked(
            b"b",
            EntryKind::Directory,
            b"a",
        ),
    ];
    let mut garbage = Hostile::new();
    garbage.0.write(&b"a"[..], Value { bytes: b"no entry"[..].into(), note: Box::default() });
    states.push(garbage);
    let mut no_note = Hostile::new();
    no_note
        .0
        .write(&b"a"[..], Value { note: Box::default(), ..good.get(b"content").unwrap().clone() });
    states.push(no_note);
    let mut foreign_attribute = Hostile::new();
    let xattr = |name: &str| cascow_core::entry::Xattr { name: name.into(), value: b"1".to_vec() };
    let entry =
        Entry { kind: file, mode: 0o644, xattrs: vec![xattr("security.capability")], links: None };
    foreign_attribute.0.write(&b"a"[..], value(&entry));
    states.push(foreign_attribute);

    sandbox.write("outside/secret", "secret");
    for (nth, Hostile(state)) in states.iter().enumerate() {
        let hostile = record::write(repository.store(), state, None).unwrap().snapshot;
        repository.publish(&hostile, None).unwrap();
        let hostile = hostile.to_string();
        let answer = sandbox.cascow(["checkout", &hostile, "out"]);
        assert_eq!(answer.code, 4, "state {nth}: {}", answer.stderr);
        answer.error(4);
        sandbox.cascow(["run", &hostile, "--", "true"]).error(4);
        assert!(!sandbox.path("out").exists(), "state {nth}");
        assert_eq!(sandbox.shell("ls -A outside").text(), "secret\n", "state {nth}");
        // Looking is refused too, or harmless.
        let looked = sandbox.cascow(["diff", "--patch", &snapshot, &hostile]);
        assert!([0, 4].contains(&looked.code), "state {nth}: {}", looked.stderr);
    }
}

#[test]
fn a_record_that_lies_about_its_state_is_refused() {
    let (sandbox, snapshot) = saved();
    let repository = Repository::open(&sandbox.path("")).unwrap();
    let store = repository.store();
    let honest = store.get(&snapshot.parse().unwrap()).unwrap();
    let mut refused = 0;
    for at in 8..honest.len() {
        let mut lie = honest.clone();
        lie[at] ^= 1;
        let lie = store.put(&lie).unwrap().hash;
        repository.publish(&lie, None).unwrap();
        let name = lie.to_string();
        let answer = sandbox.cascow(["checkout", &name, "out"]);
        answer.error(4);
        assert!(!sandbox.path("out").exists());
        refused += 1;
    }
    assert_eq!(refused, honest.len() - 8);
    sandbox.cascow(["checkout", "s", "out"]).done();
}

#[test]
fn a_sparse_giant_in_the_store_is_refused() {
    let (sandbox, snapshot) = saved_in_files();
    let path = sandbox.path(object(&snapshot));
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let file = File::create(&path).unwrap();
    file.write_all_at(&whole, 0).unwrap();
    file.set_len(1 << 40).unwrap();
    let mut limited = sandbox.command("sh");
    let script = format!("ulimit -v 2000000; {} ls s", program().display());
    let answer = Answer::of(limited.args(["-c", &script]));
    assert!(answer.error(4).contains(&snapshot), "{}", answer.stderr);
}
