// SPDX-License-Identifier: MIT
//! Every command does what the program's contract says, for people and with `--json`.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use serde_json::{Value, json};

fn is_hash(value: &Value) -> bool {
    value.as_str().is_some_and(|hash| {
        hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
fn has_fields(value: &Value, expected: &[&str]) {
    for field in expected {
        assert!(value.get(field).is_some(), "{field} is missing in {value}");
    }
}

/// Two snapshots of a tree: `before` and `after`.
fn edited() -> (Sandbox, String, String) {
    let sandbox = Sandbox::new();
    sandbox.write("tree/a.txt", "one\ntwo\nthree\n");
    sandbox.write("tree/b.txt", "old\n");
    sandbox.write("tree/dir/c.txt", "c\n");
    let before = text(&sandbox.json(["save", "tree", "--label", "before"])["snapshot"]);
    sandbox.write("tree/a.txt", "one\n2\nthree\n");
    sandbox.write("tree/dir/new.txt", "new\n");
    fs::remove_file(sandbox.path("tree/b.txt")).unwrap();
    let saved = sandbox.json(["save", "tree", "--label", "after", "--parent", "before"]);
    (sandbox, before, text(&saved["snapshot"]))
}

#[test]
fn objects_are_put_read_asked_for_and_removed() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "hello\n");
    let put = sandbox.json(["object", "put", "file"]);
    // What `sha256sum` says of these bytes.
    let hash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_eq!(put, json!({ "hash": hash, "len": 6, "new": true }));
    assert_eq!(sandbox.json(["object", "put", "file"])["new"], false);
    assert_eq!(sandbox.cascow(["object", "put", "file"]).done().text(), format!("{hash}\n"));
    assert_eq!(sandbox.cascow(["object", "get", hash]).done().stdout, b"hello\n");
    assert_eq!(sandbox.json(["object", "has", hash])["present"], true);
    sandbox.cascow(["object", "has", hash]).done();

    sandbox.cascow(["object", "rm", hash]).done();
    let has = sandbox.cascow(["--json", "object", "has", hash]);
    assert_eq!((has.code, &has.json()["present"]), (1, &json!(false)));
    assert!(sandbox.cascow(["object", "get", hash]).error(3).contains(hash));
    assert!(sandbox.cascow(["object", "rm", hash]).error(3).contains(hash));

    let program = program().display();
    let piped = sandbox.shell(&format!("printf 'hello\\n' | {program} object put -"));
    assert_eq!(piped.text(), format!("{hash}\n"));
}

#[test]
fn a_save_says_what_it_found_and_what_it_added() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/.hidden/file", "1234");
    sandbox.write("tree/.gitignore", "*.log\n");
    sandbox.write("tree/run.log", "ignored by others");
    sandbox.write("tree/target/big", "left out");
    let saved = sandbox.json(["save", "tree", "--label", "first", "--exclude", "target"]);
    has_fields(
        &saved,
        &["snapshot", "root", "entries", "bytes", "new_objects", "new_bytes", "skipped"],
    );
    assert!(is_hash(&saved["snapshot"]) && is_hash(&saved["root"]));
    assert_eq!((&saved["entries"], &saved["bytes"]), (&json!(4), &json!(4 + 6 + 17)));
    assert_eq!(saved["skipped"], json!([]));
    assert!(saved["new_objects"].as_u64() > Some(3));
    let paths: Vec<String> = sandbox
        .json(["ls", "first"])
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["path"]))
        .collect();
    assert_eq!(paths, [".gitignore", ".hidden", ".hidden/file", "run.log"]);

    let again = sandbox.json(["save", "tree", "--exclude", "target"]);
    assert_eq!((&again["new_objects"], &again["new_bytes"]), (&json!(0), &json!(0)));
    assert_eq!(again["snapshot"], saved["snapshot"]);
    assert_eq!(sandbox.cascow(["log"]).done().text().lines().count(), 1);
}

#[test]
fn a_socket_is_left_out_and_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/file", "kept");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("tree/socket")).unwrap();
    let saved = sandbox.cascow(["--json", "save", "tree"]).done();
    assert_eq!(saved.json()["skipped"], json!([{ "path": "socket", "reason": "a socket" }]));
    assert_eq!(saved.json()["entries"], 1);
    assert!(saved.stderr.contains("socket"));
    assert_eq!(sandbox.cascow(["--quiet", "save", "tree"]).done().stderr, "");
}

#[test]
fn the_repository_itself_is_never_part_of_a_snapshot() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "kept");
    let first = sandbox.json(["save", "."]);
    assert_eq!(first["entries"], 1);
    assert_eq!(sandbox.json(["save", "."])["snapshot"], first["snapshot"]);
}

#[test]
fn a_listing_says_kind_mode_length_and_hash() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/dir/run", "hello\n");
    sandbox.shell("chmod 750 tree/dir/run; chmod 700 tree/dir; ln -s dir/run tree/link; mkfifo -m 600 tree/pipe");
    let snapshot = sandbox.save("tree");
    let hash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    assert_eq!(
        sandbox.json(["ls", &snapshot]),
        json!([
            { "path": "dir", "kind": "directory", "mode": "0700", "len": 0, "hash": null },
            { "path": "dir/run", "kind": "file", "mode": "0750", "len": 6, "hash": hash },
            { "path": "link", "kind": "symlink", "mode": "0777", "len": 7, "hash": null },
            { "path": "pipe", "kind": "fifo", "mode": "0600", "len": 0, "hash": null },
        ])
    );
    let below = sandbox.json(["ls", &snapshot, "./dir/"]);
    assert_eq!(below.as_array().unwrap().len(), 2);
    assert!(sandbox.cascow(["ls", &snapshot, "di"]).error(3).contains("di"));
    let people = sandbox.cascow(["ls", &snapshot]).done();
    assert_eq!(people.text().lines().count(), 4);
    assert!(people.text().contains("link -> dir/run"));

    assert_eq!(sandbox.cascow(["cat", &snapshot, "dir/run"]).done().stdout, b"hello\n");
    assert_eq!(sandbox.json(["cat", &snapshot, "dir/run"])["content"]["data"], "hello\n");
    assert!(sandbox.cascow(["cat", &snapshot, "dir/walk"]).error(3).contains("dir/walk"));
    sandbox.cascow(["cat", &snapshot, "dir"]).error(2);
}

#[test]
fn a_name_that_is_no_text_is_told_in_hex_too() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    sandbox.write("tree/file", "");
    let name = std::ffi::OsStr::from_bytes(b"\xff\n");
    fs::rename(sandbox.path("tree/file"), sandbox.path("tree").join(name)).unwrap();
    let snapshot = sandbox.save("tree");
    assert_eq!(sandbox.json(["ls", &snapshot])[0]["path_hex"], "ff0a");
    assert_eq!(sandbox.cascow(["ls", &snapshot]).done().text().lines().count(), 1);
    let mut cat = sandbox.command(program());
    Answer::of(cat.args(["cat", &snapshot]).arg(name)).done();
}

#[test]
fn a_snapshot_is_named_by_hash_prefix_or_label() {
    let (sandbox, before, after) = edited();
    for name in [&before, &before[..6], &before[..40], &before[..8].to_uppercase(), "before"] {
        assert_eq!(sandbox.json(["ls", name]), sandbox.json(["ls", &before]));
    }
    for name in [&before[..5], "nothing", "ffffff", &"0".repeat(64), "", "../format"] {
        sandbox.cascow(["ls", name]).error(3);
    }
    assert_eq!(
        sandbox.json(["label"]),
        json!([{ "label": "after", "snapshot": after }, { "label": "before", "snapshot": before }])
    );
    let odd = "a/b ../%2e é";
    sandbox.cascow(["label", odd, "before"]).done();
    assert_eq!(sandbox.json(["label", odd]), json!({ "label": odd, "snapshot": before }));
    sandbox.cascow(["label", odd, "after"]).done();
    assert_eq!(sandbox.json(["ls", odd]), sandbox.json(["ls", "after"]));
    sandbox.cascow(["label", odd, "--delete"]).done();
    assert!(sandbox.cascow(["label", odd]).error(3).contains("label"));
    sandbox.cascow(["label", odd, "--delete"]).error(3);
    assert_eq!(sandbox.json(["label"]).as_array().unwrap().len(), 2);
    for refused in ["", "-x", "two\nlines", &before, &"l".repeat(81)] {
        sandbox.cascow(["label", refused, "before"]).error(2);
    }
    assert!(sandbox.cascow(["log"]).done().text().contains("(after)"), "snapshots stay");
}

#[test]
fn a_diff_of_any_two_snapshots_names_every_change() {
    let (sandbox, before, after) = edited();
    assert_eq!(
        sandbox.json(["diff", &before, &after]),
        json!([
            { "change": "modified", "path": "a.txt" },
            { "change": "deleted", "path": "b.txt" },
            { "change": "added", "path": "dir/new.txt" },
        ])
    );
    assert_eq!(
        sandbox.json(["diff", &after, &before])[2],
        json!({ "change": "deleted", "path": "dir/new.txt" })
    );
    assert_eq!(sandbox.json(["diff", &before, &before]), json!([]));
    assert_eq!(sandbox.json(["diff", &before, &after, "dir"]).as_array().unwrap().len(), 1);
    let people = sandbox.cascow(["diff", &before, &after]).done();
    assert_eq!(people.text(), "M a.txt\nD b.txt\nA dir/new.txt\n");
    let patch = sandbox.cascow(["diff", "--patch", &before, &after, "a.txt"]).done();
    assert!(patch.text().contains("@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"), "{}", patch.text());
}

#[test]
fn merging_takes_what_either_side_changed() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/ours", "base\n");
    sandbox.write("tree/theirs", "base\n");
    let base = sandbox.save("tree");
    sandbox.write("tree/ours", "ours\n");
    let ours = sandbox.save("tree");
    sandbox.write("tree/ours", "base\n");
    sandbox.write("tree/theirs", "theirs\n");
    let theirs = sandbox.save("tree");

    let merged = sandbox.json(["merge", &base, &ours, &theirs, "--label", "merged"]);
    assert_eq!(merged["conflicts"], json!([]));
    assert!(is_hash(&merged["snapshot"]) && is_hash(&merged["root"]));
    assert_eq!(sandbox.cascow(["cat", "merged", "ours"]).done().stdout, b"ours\n");
    assert_eq!(sandbox.cascow(["cat", "merged", "theirs"]).done().stdout, b"theirs\n");
    let log = sandbox.cascow(["--json", "log", "merged"]).done().json_lines();
    assert_eq!(log.last().unwrap()["parent"], json!(ours));
}

#[test]
fn conflicts_are_a_no_and_save_nothing() {
    let (sandbox, before, after) = edited();
    sandbox.write("tree/a.txt", "one\nzwei\nthree\n");
    let other = sandbox.save("tree");
    let log = sandbox.cascow(["--json", "log"]).done().stdout;
    let merge = ["merge", &before, &after, &other];

    let refused = sandbox.cascow(["--json"].into_iter().chain(merge));
    assert_eq!(refused.code, 1);
    let conflicts = refused.json()["conflicts"].as_array().unwrap().clone();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0]["path"], "a.txt");
    assert!(conflicts[0]["kind"].is_string());
    assert_eq!(refused.json()["snapshot"], Value::Null);
    assert_eq!(sandbox.cascow(merge).code, 1);
    assert_eq!(sandbox.cascow(["--json", "log"]).done().stdout, log);

    for (side, content) in [("ours", "one\n2\nthree\n"), ("theirs", "one\nzwei\nthree\n")] {
        let merged = sandbox.json(merge.into_iter().chain(["--prefer", side, "--label", side]));
        assert_eq!(merged["conflicts"], json!([]));
        assert_eq!(sandbox.cascow(["cat", side, "a.txt"]).done().text(), content);
    }
}

#[test]
fn the_log_is_the_tree_of_snapshots() {
    let (sandbox, before, after) = edited();
    sandbox.write("alone/file", "");
    let alone = sandbox.save("alone");
    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    assert_eq!(log.len(), 3);
    has_fields(&log[0], &["snapshot", "parent", "root", "label", "entries"]);
    let snapshots: Vec<&Value> = log.iter().map(|line| &line["snapshot"]).collect();
    assert_eq!(snapshots, [&json!(before), &json!(after), &json!(alone)], "in order of saving");
    assert_eq!((&log[0]["parent"], &log[0]["label"]), (&Value::Null, &json!("before")));
    assert_eq!((&log[1]["parent"], &log[1]["entries"]), (&json!(before), &json!(4)));
    assert_eq!(log[2]["label"], Value::Null);

    let ancestors = sandbox.cascow(["--json", "log", "after"]).done().json_lines();
    assert_eq!(ancestors.len(), 2);
    let graph = sandbox.cascow(["log", "--graph"]).done();
    assert_eq!(graph.text().lines().count(), 3);
    for (snapshot, label) in [(&before, "(before)"), (&after, "(after)"), (&alone, "")] {
        let line = graph.text().lines().find(|line| line.contains(&snapshot[..12])).unwrap();
        assert!(line.contains(label), "{line}");
    }
    sandbox.cascow(["log", "nothing"]).error(3);
}

#[test]
fn running_a_command_keeps_its_result_and_leaves_the_original() {
    let (sandbox, before, _) = edited();
    let listing = sandbox.json(["ls", &before]);
    let answer = sandbox.cascow([
        "--json",
        "run",
        "before",
        "--label",
        "ran",
        "--",
        "sh",
        "-c",
        "echo noise; echo changed > a.txt; rm b.txt; mkdir made; exit 3",
    ]);
    let ran = answer.done();
    assert!(ran.stderr.contains("noise"));
    let ran = ran.json();
    has_fields(
        &ran,
        &["snapshot", "root", "exit", "materializer", "fork_us", "seal_us", "changes"],
    );
    assert_eq!(ran["exit"], 3);
    assert!(ran["materializer"] == "overlay" || ran["materializer"] == "copy", "{ran}");
    assert!(ran["fork_us"].is_u64() && ran["seal_us"].is_u64());
    assert_eq!(
        ran["changes"],
        json!([
            { "change": "modified", "path": "a.txt" },
            { "change": "deleted", "path": "b.txt" },
            { "change": "added", "path": "made" },
        ])
    );
    assert_eq!(sandbox.cascow(["cat", "ran", "a.txt"]).done().stdout, b"changed\n");
    assert_eq!(sandbox.json(["ls", &before]), listing);
    let log = sandbox.cascow(["--json", "log", "ran"]).done().json_lines();
    assert_eq!(log.last().unwrap()["parent"], json!(before));

    let people = sandbox.cascow(["run", "before", "--", "echo", "said"]).done();
    assert!(people.text().starts_with("said\n") && people.text().contains("exit 0, 0 changes"));
    let killed = sandbox.json(["run", "before", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed["exit"], 128 + 15);
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).unwrap().count(), 0);
}

#[test]
fn a_command_out_of_time_is_a_no_and_keeps_nothing() {
    let (sandbox, ..) = edited();
    let log = sandbox.cascow(["--json", "log"]).done().stdout;
    let hang = ["run", "before", "--timeout", "0.2", "--", "sh", "-c", "touch x; sleep 1000"];
    let answer = sandbox.cascow(["--json"].into_iter().chain(hang));
    assert_eq!((answer.code, &answer.json()["snapshot"]), (1, &Value::Null));
    assert_eq!(sandbox.cascow(hang).code, 1);
    assert_eq!(sandbox.cascow(["--json", "log"]).done().stdout, log);
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).unwrap().count(), 0);
    sandbox.cascow(["run", "before", "--", "no such program"]).error(3);
}

#[test]
fn statistics_count_what_is_there() {
    let sandbox = Sandbox::new();
    let empty = sandbox.json(["stats"]);
    has_fields(&empty, &["objects", "snapshots", "bytes", "raw_bytes", "dedup_ratio"]);
    assert_eq!((&empty["objects"], &empty["snapshots"]), (&json!(0), &json!(0)));
    sandbox.write("tree/a", "the same bytes ".repeat(100));
    sandbox.write("tree/b", "the same bytes ".repeat(100));
    let saved = sandbox.json(["save", "tree"]);
    let stats = sandbox.json(["stats"]);
    assert_eq!(stats["objects"], saved["new_objects"]);
    assert_eq!(stats["bytes"], saved["new_bytes"]);
    assert_eq!(stats["snapshots"], 1);
    assert!(stats["raw_bytes"].as_u64() > stats["bytes"].as_u64(), "it compresses");
    assert!((0.0..1.0).contains(&stats["dedup_ratio"].as_f64().unwrap()));
    assert!(sandbox.cascow(["stats"]).done().text().starts_with("1 snapshots"));
}

#[test]
fn a_proof_written_to_a_file_is_verified_without_a_repository() {
    let (sandbox, _, after) = edited();
    let log = sandbox.cascow(["--json", "log", "after"]).done().json_lines();
    let root = text(&log.last().unwrap()["root"]);
    sandbox.cascow(["prove", &after, "a.txt", "-o", "present.proof"]).done();
    sandbox.cascow(["prove", &after, "b.txt", "-o", "absent.proof"]).done();
    let piped = sandbox.cascow(["prove", &after, "a.txt"]).done();
    assert_eq!(piped.stdout, sandbox.read("present.proof"));

    let elsewhere = Sandbox::without_repository();
    for name in ["present.proof", "absent.proof"] {
        fs::copy(sandbox.path(name), elsewhere.path(name)).unwrap();
    }
    let present = elsewhere.json(["verify", "present.proof", "--root", &root]);
    assert_eq!(fields(&present).len(), 6, "{present}");
    has_fields(&present, &["valid", "key", "present", "value_hash"]);
    assert_eq!((&present["valid"], &present["present"]), (&json!(true), &json!(true)));
    assert_eq!(present["key"], "a.txt");
    assert!(is_hash(&present["value_hash"]));
    let listed = sandbox.json(["ls", &after, "a.txt"]);
    assert_eq!(present["content_hash"], listed[0]["hash"], "the proof leads to the content");

    let absent = elsewhere.json(["verify", "absent.proof", "--root", &root]);
    assert_eq!((&absent["valid"], &absent["present"]), (&json!(true), &json!(false)));
    assert_eq!((&absent["key"], &absent["value_hash"]), (&json!("b.txt"), &Value::Null));

    let other_root = "0".repeat(64);
    let refused = elsewhere.cascow(["--json", "verify", "present.proof", "--root", &other_root]);
    assert_eq!((refused.code, &refused.json()["valid"]), (1, &json!(false)));
    assert_eq!(elsewhere.cascow(["verify", "present.proof", "--root", &other_root]).code, 1);
    elsewhere.cascow(["verify", "missing.proof", "--root", &root]).error(3);
}

#[test]
fn the_repository_is_named_by_option_environment_or_place() {
    let (sandbox, before, _) = edited();
    let listing = sandbox.json(["ls", &before]);
    let elsewhere = Sandbox::without_repository();
    elsewhere.cascow(["ls", &before]).error(3);

    let place = sandbox.path("");
    let place = place.to_str().unwrap();
    assert_eq!(elsewhere.json(["--repo", place, "ls", &before]), listing);
    assert_eq!(elsewhere.json(["ls", &before, "--repo", &format!("{place}/.cascow")]), listing);
    let mut by_environment = elsewhere.command(program());
    by_environment.args(["--json", "ls", &before]).env("CASCOW_REPO", place);
    assert_eq!(Answer::of(&mut by_environment).done().json(), listing);
    let mut below = sandbox.command(program());
    below.args(["--json", "ls", &before]).current_dir(sandbox.path("tree/dir"));
    assert_eq!(Answer::of(&mut below).done().json(), listing);

    elsewhere.cascow(["init", "there", "--hash", "blake3"]).done();
    assert!(elsewhere.path("there/.cascow").is_dir());
    elsewhere.cascow(["init", "there"]).error(2);
    let mut below = elsewhere.command(program());
    below.args(["--json", "stats"]).current_dir(elsewhere.path("there"));
    assert_eq!(Answer::of(&mut below).done().json()["objects"], 0);
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let sandbox = Sandbox::without_repository();
    for shell in ["bash", "zsh", "fish"] {
        let script = sandbox.cascow(["completions", shell]).done();
        assert!(script.text().contains("cascow") && script.text().contains("checkout"), "{shell}");
        fs::write(sandbox.path(shell), &script.stdout).unwrap();
    }
    sandbox.shell("bash -n bash");
    sandbox.cascow(["completions", "tcl"]).error(2);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let sandbox = Sandbox::new();
    // More than any pipe holds.
    for index in 0..3000 {
        sandbox.write(&format!("tree/{index:0200}"), "");
    }
    sandbox.write("tree/long", "x".repeat(1 << 20));
    let snapshot = sandbox.save("tree");
    let commands = [
        vec!["ls", &snapshot],
        vec!["--json", "ls", &snapshot],
        vec!["cat", &snapshot, "long"],
        vec!["--json", "cat", &snapshot, "long"],
        vec!["completions", "bash"],
        vec!["--help"],
    ];
    for arguments in commands {
        let mut command = sandbox.command(program());
        command.args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let answer = Answer::from(child.wait_with_output().unwrap()).done();
        assert_eq!(answer.stderr, "", "{arguments:?}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let (sandbox, ..) = edited();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command(program());
    let answer = Answer::of(command.args(["ls", "before"]).stdout(full));
    assert!(answer.error(5).contains("standard output"));
}

#[test]
fn colours_and_bars_are_for_terminals_that_want_them() {
    let (sandbox, ..) = edited();
    let program = program().to_str().unwrap();
    // Standard output and error are both a terminal here.
    let on_terminal = |arguments: &str, no_color: bool| {
        let mut python = sandbox.command("python3");
        let script = format!(
            "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn([{program:?}, {arguments}])))"
        );
        python.args(["-c", &script]).env("TERM", "xterm");
        if no_color {
            python.env("NO_COLOR", "1");
        }
        Answer::of(&mut python).stdout
    };
    let coloured = on_terminal("'--help'", false);
    assert!(coloured.contains(&0x1b), "a terminal gets colours");
    for arguments in ["'--help'", "'ls', 'before'", "'ls', 'nothing'", "'--bogus'"] {
        let plain = on_terminal(arguments, true);
        assert!(!plain.is_empty());
        let escaped = plain.escape_ascii();
        assert!(!plain.contains(&0x1b), "{arguments}: {escaped}");
    }
    let quiet = on_terminal("'--quiet', 'save', 'tree'", true);
    assert!(!quiet.contains(&0x1b), "quiet means no bar: {}", quiet.escape_ascii());
    let piped = sandbox.cascow(["--help"]).done();
    assert!(!piped.stdout.contains(&0x1b), "a pipe gets none");
    assert_eq!(sandbox.cascow(["save", "tree"]).done().stderr, "", "nor does it get a bar");
}

#[test]
fn a_hash_function_once_chosen_is_used_throughout() {
    let sandbox = Sandbox::without_repository();
    sandbox.cascow(["init", "--hash", "blake3"]).done();
    sandbox.write("tree/file", "hello\n");
    let saved = sandbox.json(["save", "tree", "--label", "s"]);
    // What `b3sum` says of these bytes.
    let hash = "8e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99";
    assert_eq!(sandbox.json(["ls", "s"])[0]["hash"], hash);
    sandbox.cascow(["checkout", "s", "out"]).done();
    sandbox.assert_equal_trees("tree", "out");
    let root = text(&saved["root"]);
    sandbox.cascow(["prove", "s", "file", "-o", "proof"]).done();
    assert_eq!(sandbox.json(["verify", "proof", "--root", &root])["content_hash"], hash);
    let ran = sandbox.json(["run", "s", "--", "sh", "-c", "echo more >> file"]);
    assert_eq!(ran["changes"], json!([{ "change": "modified", "path": "file" }]));
    let other = Sandbox::new();
    other.write("tree/file", "hello\n");
    assert_ne!(other.root("tree"), root);
    sandbox.cascow(["init", "x", "--hash", "md5"]).error(2);
}

#[test]
fn a_store_once_chosen_is_used_throughout() {
    let (sandbox, files) = (Sandbox::without_repository(), Sandbox::with_store("files"));
    // Without a word, it is segments.
    sandbox.cascow(["init"]).done();
    for place in [&sandbox, &files] {
        place.write("tree/file", "hello\n");
        place.write("tree/long", "some words ".repeat(5000));
    }
    let saved = sandbox.json(["save", "tree", "--label", "s"]);
    assert_eq!(text(&saved["root"]), files.root("tree"), "a root does not depend on the store");
    assert!(sandbox.path(".cascow/objects/segments/00000001").is_file());
    sandbox.cascow(["checkout", "s", "out"]).done();
    sandbox.assert_equal_trees("tree", "out");
    let ran = sandbox.json(["run", "s", "--", "sh", "-c", "echo more >> file"]);
    assert_eq!(ran["changes"], json!([{ "change": "modified", "path": "file" }]));

    let put = sandbox.json(["object", "put", "tree/long"]);
    let hash = text(&put["hash"]);
    assert_eq!(sandbox.cascow(["object", "get", &hash]).done().text(), "some words ".repeat(5000));
    sandbox.cascow(["object", "rm", &hash]).done();
    assert_eq!(sandbox.cascow(["object", "has", &hash]).code, 1);
    sandbox.cascow(["object", "rm", &hash]).error(3);
    assert!(sandbox.json(["stats"])["objects"].as_u64().unwrap() > 3);

    sandbox.cascow(["init", "x", "--store", "tapes"]).error(2);
    let mut format = sandbox.read(".cascow/format");
    format[8] = 3;
    sandbox.write(".cascow/format", format);
    let message = sandbox.cascow(["ls", "s"]);
    assert!(message.error(4).contains("kind of store is unknown"), "{}", message.stderr);
}
