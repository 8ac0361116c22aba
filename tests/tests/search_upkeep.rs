// SPDX-License-Identifier: MIT
//! Kept searches and the upkeep of a repository: what the collector leaves, what `fsck` sees, and what is done about what is lost.

use cascow_core::hash::HashKind;
use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, is_privileged, text};
use cascow_tests::searches::{events, lasting, score, search, workspace};
use serde_json::{Value, json};

#[test]
fn the_collector_keeps_what_named_searches_need_and_removes_the_others() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let whole = sandbox.json(search(&score, &["--evaluations", "25", "--rescore"]));
    sandbox.json(search(&score, &["--evaluations", "9", "--name", "mine", "--rescore"]));
    sandbox.cascow(["gc", "--grace", "0"]).done();
    let kept = sandbox.json(["search", "--list"]);
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(kept[0]["search"], "mine");
    sandbox.cascow(["fsck"]).done();
    // Nothing is written out any more: what is needed must come from objects.
    sandbox.shell("rm -rf w .cascow/layers");
    let resumed = sandbox.json(["search", "--resume", "mine", "--evaluations", "25"]);
    assert_eq!(lasting(&resumed), lasting(&whole));
    assert_eq!(resumed["lost_states"], 0);
}

#[test]
fn a_kept_search_that_is_damaged_is_named_and_nothing_is_collected_until_it_is_forgotten() {
    let sandbox = workspace();
    sandbox.json(search("echo 0.5", &["--evaluations", "3", "--name", "mine"]));
    // A record that is whole, and makes no sense.
    let (header, record) = (b"CCSJ\x01\0\0\0", [7, 7, 7]);
    let len = 3_u32.to_le_bytes();
    let check = HashKind::Sha256.hash(&[&header[..], &len, &record].concat());
    let nonsense = [&header[..], &len, &check.as_bytes()[..8], &record].concat();
    let damages = [
        ("plan.json", &b"{}"[..]),
        ("plan.json", b"not JSON"),
        ("journal", b"something else altogether"),
        ("journal", &nonsense),
    ];
    for (file, content) in damages {
        let path = format!(".cascow/searches/mine/{file}");
        let before = sandbox.read(&path);
        sandbox.write(&path, content);
        let checked = sandbox.cascow(["--json", "fsck"]);
        assert_eq!((checked.code, &checked.json()["searches"][0]["search"]), (1, &json!("mine")));
        if content != nonsense {
            assert!(sandbox.json(["search", "--list"])[0]["problem"].is_string());
        }
        sandbox.cascow(["search", "--resume", "mine"]).error(4);
        sandbox.cascow(["gc", "--grace", "0"]).error(4);
        sandbox.write(&path, &before);
    }
    sandbox.cascow(["fsck"]).done();
    sandbox.write(".cascow/searches/mine/plan.json", "{}");
    sandbox.cascow(["search", "--forget", "mine"]).done();
    sandbox.cascow(["gc", "--grace", "0"]).done();
}

#[test]
fn a_journal_cut_or_changed_anywhere_is_one_that_ends_there() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let whole = sandbox.json(search(&score, &["--evaluations", "12", "--name", "x", "--rescore"]));
    let path = ".cascow/searches/x/journal";
    let journal = sandbox.read(path);
    for part in 1..12 {
        let at = 8 + (journal.len() - 8) * part / 12;
        sandbox.write(path, &journal[..at]);
        assert_eq!(
            lasting(&sandbox.json(["search", "--resume", "x"])),
            lasting(&whole),
            "cut at {at}"
        );
        let mut changed = journal.clone();
        changed[at] ^= 0x20;
        sandbox.write(path, &changed);
        assert_eq!(lasting(&sandbox.json(["search", "--resume", "x"])), lasting(&whole), "{at}");
    }
}

/// Removes the objects that the files of a directory are.
fn lose(sandbox: &Sandbox, dir: &str) {
    let known = ["--repo", "known"];
    if !sandbox.path("known").exists() {
        sandbox.cascow(known.into_iter().chain(["init"])).done();
    }
    let saved = sandbox.json(known.into_iter().chain(["save", dir]));
    let snapshot = text(&saved["snapshot"]);
    let listed = sandbox.json(known.into_iter().chain(["ls", &snapshot]));
    for entry in listed.as_array().unwrap() {
        sandbox.cascow(["object", "rm", &text(&entry["hash"])]).done();
    }
    // What is written out already needs no objects.
    sandbox.shell("rm -rf .cascow/layers");
}

#[test]
fn states_whose_objects_are_lost_are_made_again_or_said_to_be_lost() {
    let sandbox = Sandbox::new();
    sandbox.write("w/a", "a\n");
    sandbox.shell("mkdir seen stable; seq 900 > stable/s");
    // What chance makes is too short for two chunks, so that a file is one object.
    sandbox.write(
        "actions.toml",
        "[[action]]\nname = 'stable'\nrun = 'seq 900 > s'\n\
         [[action]]\nname = 'chance'\nrun = 'head -c 1000 /dev/urandom > r'\n\
         [[action]]\nname = 'end'\nrun = 'echo end >> a'\n[[action]]\nname = 'other'\nrun = 'echo other >> a'\n",
    );
    // What chance made is remembered, so that it can be lost.
    let score = format!(
        "[ -e r ] && cp r {}/$(sha256sum < r | cut -c1-64); \
         n=1; [ -e s ] && n=$((n + 3)); [ -e r ] && n=$((n + 2)); echo 0.$n",
        sandbox.path("seen").display()
    );
    let begun = sandbox.json(search(&score, &["--evaluations", "7", "--name", "x", "--seed", "3"]));
    lose(&sandbox, "stable");
    lose(&sandbox, "seen");
    // As long as nothing is better than what is lost, the best that is whole counts.
    let only = sandbox.cascow(["--json", "search", "--resume", "x"]).done();
    let whole = only.json();
    assert!(whole["best"]["score"].as_f64() < begun["best"]["score"].as_f64(), "{whole}");
    assert_eq!(whole["best"]["actions"], json!(["stable"]));
    assert!(only.stderr.contains("the best that is whole counts"), "{}", only.stderr);
    let more = ["search", "--resume", "x", "--evaluations", "500", "--out", "out", "--events", "-"];
    let answer = sandbox.cascow(more).done();
    let resumed = answer.json_lines().pop().unwrap();
    assert_eq!(resumed["stopped"], "exhausted");
    assert!(resumed["lost_states"].as_u64() > Some(0), "{resumed}");
    assert!(resumed["evaluations"].as_u64() > begun["evaluations"].as_u64(), "{resumed}");
    let told = events(&sandbox, "out/events.jsonl");
    let lost: Vec<_> = told.iter().filter(|event| event["outcome"] == "lost").collect();
    let is_by_chance = |event: &&&Value| text(&event["feedback"]).contains("nondeterministic");
    assert!(lost.iter().any(|event| is_by_chance(&event)), "{lost:?}");
    assert!(answer.stderr.contains("is lost, with what lies beyond it"), "{}", answer.stderr);
    // What could be made again was gone on from.
    let is_first = |event: &&Value| event["action"] == "stable" && event["from"] == 0;
    let stable = told.iter().find(is_first).expect("it was tried at the base");
    let beyond: Vec<_> = told.iter().filter(|event| event["from"] == stable["to"]).collect();
    assert_eq!(beyond.len(), 3, "each other action was tried there");
    assert!(beyond.iter().all(|event| event["outcome"] != "lost"), "{beyond:?}");
}

#[test]
fn a_search_whose_base_is_lost_says_so_and_is_kept() {
    let sandbox = workspace();
    sandbox.shell("seq 900 > w/long; mkdir lost; cp w/long lost");
    let score = score(&sandbox);
    sandbox.json(search(&score, &["--evaluations", "3", "--name", "x"]));
    lose(&sandbox, "lost");
    let answer = sandbox.cascow(["search", "--resume", "x", "--evaluations", "9"]);
    let message = answer.error(4);
    assert!(message.contains("began with is lost") && message.contains("fsck"), "{message}");
    assert_eq!(sandbox.json(["search", "--list"])[0]["search"], "x");
    let (checked, code) = {
        let answer = sandbox.cascow(["--json", "fsck"]);
        (answer.json(), answer.code)
    };
    assert_eq!((code, &checked["damaged"][0]["what"]), (1, &json!("missing")));
    // Whoever has it puts it back.
    sandbox.cascow(["object", "put", "lost/long"]).done();
    let resumed = sandbox.json(["search", "--resume", "x", "--evaluations", "9"]);
    assert_eq!((&resumed["lost_states"], &resumed["best"]["score"]), (&json!(0), &json!(1.0)));
}

#[test]
fn a_full_disk_ends_a_search_with_a_word_and_with_what_it_found() {
    let test = "a_full_disk_ends_a_search_with_a_word_and_with_what_it_found";
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount a filesystem");
        return;
    }
    // What fails is writing a file here, and there copying one to change it.
    for (run, evaluations) in [
        ("head -c 300000 /dev/urandom > f$(ls | wc -l)", 60),
        ("head -c 500000 /dev/urandom >> a", 20),
    ] {
        let sandbox = Sandbox::without_repository();
        sandbox.write("w/a", "a\n");
        sandbox.write(
            "actions.toml",
            format!("[[action]]\nname = 'grow'\nrun = '{run}'\nonce = false\n"),
        );
        sandbox.shell("mkdir full");
        let program = program().display();
        let answer = Answer::of(sandbox.command("unshare").args([
            "-m",
            "sh",
            "-c",
            &format!(
                "mount -t tmpfs -o size=24m none full || exit 77
                 {program} --repo full init > /dev/null || exit 78
                 {program} --json --repo full search --name x --workspace w --actions actions.toml --score 'echo 0.5' > first 2> first.err
                 echo $? > first.code
                 mount -o remount,size=400m full
                 {program} --json --repo full search --resume x --evaluations {evaluations} > second 2> second.err
                 echo $? > second.code
                 {program} --repo full fsck > fsck; echo $? > fsck.code
                 umount full"
            ),
        ]));
        if answer.code == 77 {
            println!("privileged, not run: {test}: {}", answer.stderr.trim_end());
            return;
        }
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let said = |name: &str| String::from_utf8(sandbox.read(name)).unwrap();
        let first = said("first.err");
        assert_eq!(said("first.code"), "5\n", "{first}{}", said("first"));
        let is_said = first.contains("No space left") || first.contains("no storage space");
        assert!(is_said && first.contains("--resume x"), "{first}");
        assert_eq!(said("second.code"), "0\n", "{}", said("second.err"));
        let resumed: Value = serde_json::from_str(&said("second")).unwrap();
        assert_eq!(
            (&resumed["resumed"], &resumed["evaluations"]),
            (&json!(true), &json!(evaluations))
        );
        assert_eq!(resumed["failed_actions"], 0, "want of room is not held against an action");
        assert_eq!(said("fsck.code"), "0\n", "{}", said("fsck"));
    }
}
