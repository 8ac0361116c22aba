// SPDX-License-Identifier: MIT
//! A check finds every damaged and missing object, says which snapshots that touches, and repairs without deleting.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use cascow_tests::sandbox::{Sandbox, text};
use serde_json::Value;

const STORES: [&str; 2] = ["files", "segments"];

/// What a check prints, and its exit code.
fn fsck(sandbox: &Sandbox, arguments: &[&str]) -> (Value, i32) {
    let answer = sandbox.cascow(["--json", "fsck"].into_iter().chain(arguments.iter().copied()));
    assert!(matches!(answer.code, 0 | 1), "{}{}", answer.text(), answer.stderr);
    let checked = answer.json();
    assert_eq!(checked["clean"], answer.code == 0);
    (checked, answer.code)
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

/// The damaged object of this name, as a check told of it.
fn told<'v>(checked: &'v Value, hash: &str) -> &'v Value {
    let damaged = checked["damaged"].as_array().unwrap();
    damaged.iter().find(|object| object["hash"] == *hash).unwrap_or_else(|| panic!("{checked}"))
}

/// Three snapshots: `one` and `two` share a file, which `three` does not have.
fn saved(store: &str) -> (Sandbox, [String; 3]) {
    let sandbox = Sandbox::with_store(store);
    sandbox.write("tree/shared", "in two of them\n");
    let save = |content: &str, label: &str| {
        sandbox.write("tree/own", content.repeat(3000));
        text(&sandbox.json(["save", "tree", "--label", label])["snapshot"])
    };
    let (one, two) = (save("first ", "one"), save("second ", "two"));
    fs::remove_file(sandbox.path("tree/shared")).unwrap();
    let three = save("third ", "three");
    (sandbox, [one, two, three])
}

/// The name of a short file's only chunk.
fn hash_of(sandbox: &Sandbox, snapshot: &str, path: &str) -> String {
    text(&sandbox.json(["ls", snapshot, path])[0]["hash"])
}

#[test]
fn a_whole_repository_is_clean() {
    for store in STORES {
        let (sandbox, _) = saved(store);
        let (checked, code) = fsck(&sandbox, &[]);
        assert_eq!(code, 0);
        assert_eq!(checked["objects"], sandbox.json(["stats"])["objects"]);
        assert_eq!(checked["snapshots"], 3);
        for list in ["damaged", "labels", "malformed"] {
            assert_eq!(checked[list], serde_json::json!([]), "{list}");
        }
        assert_eq!(fsck(&sandbox, &["--repair"]).1, 0);
        assert!(!sandbox.path(".cascow/quarantine").exists(), "nothing was moved");
    }
}

#[test]
fn a_missing_object_is_named_with_the_snapshots_that_need_it() {
    for store in STORES {
        let (sandbox, [one, two, three]) = saved(store);
        let shared = hash_of(&sandbox, "one", "shared");
        sandbox.json(["object", "rm", &shared]);
        sandbox.json(["object", "rm", &three]);
        let (checked, code) = fsck(&sandbox, &[]);
        assert_eq!(code, 1);
        assert_eq!(checked["damaged"].as_array().unwrap().len(), 2, "{checked}");
        let touched = &told(&checked, &shared)["snapshots"];
        assert_eq!(strings(touched), [one, two].into_iter().collect());
        assert_eq!(told(&checked, &shared)["what"], "missing");
        assert_eq!(
            strings(&told(&checked, &three)["snapshots"]),
            [three.clone()].into_iter().collect()
        );
        let person = sandbox.cascow(["fsck"]);
        assert_eq!(person.code, 1);
        assert!(person.text().contains(&shared) && person.text().contains("damage remains"));
        // Whoever has it puts it back.
        sandbox.write("again", "in two of them\n");
        sandbox.json(["object", "put", "again"]);
        let (checked, _) = fsck(&sandbox, &[]);
        assert_eq!(checked["damaged"].as_array().unwrap().len(), 1, "{checked}");
    }
}

#[test]
fn segments_bring_back_what_their_index_lost() {
    let (sandbox, _) = saved("segments");
    let shared = hash_of(&sandbox, "one", "shared");
    sandbox.json(["object", "rm", &shared]);
    let (checked, code) = fsck(&sandbox, &["--repair"]);
    assert_eq!(code, 0, "{checked}");
    assert_eq!(told(&checked, &shared)["repaired"], "recovered");
    assert_eq!(fsck(&sandbox, &[]).1, 0);
    assert_eq!(sandbox.cascow(["cat", "one", "shared"]).done().text(), "in two of them\n");
}

#[test]
fn a_damaged_file_is_quarantined_and_what_lies_aside_takes_its_place() {
    let (sandbox, [one, two, _]) = saved("files");
    let path = |hash: &str| format!(".cascow/objects/{}/{}/{hash}", &hash[..2], &hash[2..4]);
    let replace = |path: &str, bytes: &[u8]| {
        fs::remove_file(sandbox.path(path)).unwrap();
        sandbox.write(path, bytes);
    };
    // Of one there is another copy, where a killed collector left it; of the other there is none.
    let (lost, held) = (hash_of(&sandbox, "one", "shared"), one.clone());
    let whole = sandbox.read(&path(&held));
    sandbox.write(&path(&held).replace(&format!("/{held}"), &format!("/.gone-{held}")), &whole);
    replace(&path(&held), b"garbage");
    let mut damaged = sandbox.read(&path(&lost));
    *damaged.last_mut().unwrap() ^= 1;
    replace(&path(&lost), &damaged);
    // Nobody needs this one.
    sandbox.write("tree/stray", "of no snapshot");
    let stray = text(&sandbox.json(["object", "put", "tree/stray"])["hash"]);
    replace(&path(&stray), b"");

    let (checked, code) = fsck(&sandbox, &[]);
    assert_eq!((code, checked["damaged"].as_array().unwrap().len()), (1, 3), "{checked}");
    assert_eq!(strings(&told(&checked, &stray)["snapshots"]), BTreeSet::new());
    assert_eq!(sandbox.read(&path(&lost)), damaged, "a check changes nothing");
    let (checked, code) = fsck(&sandbox, &["--repair"]);
    assert_eq!(code, 1, "what is lost stays lost");
    let repaired = |hash: &str| text(&told(&checked, hash)["repaired"]);
    assert_eq!(
        (repaired(&held), repaired(&lost), repaired(&stray)),
        ("recovered".to_owned(), "quarantined".to_owned(), "quarantined".to_owned())
    );
    assert_eq!(strings(&told(&checked, &lost)["snapshots"]), [one, two].into_iter().collect());
    assert_eq!(sandbox.read(&format!(".cascow/quarantine/{lost}")), damaged);
    assert!(sandbox.path(&format!(".cascow/quarantine/{stray}")).exists());
    sandbox.cascow(["ls", "one"]).done();
    let (checked, code) = fsck(&sandbox, &[]);
    assert_eq!((code, checked["damaged"].as_array().unwrap().len()), (1, 1), "{checked}");
    assert_eq!(told(&checked, &lost)["what"], "missing");
    // Without it, the others are collected and read as ever.
    sandbox.json(["gc", "--grace", "0"]);
    sandbox.cascow(["checkout", "three", "out"]).done();
}

#[test]
fn damage_in_a_segment_is_found_and_only_what_it_touches_is_lost() {
    let (sandbox, snapshots) = saved("segments");
    let path = sandbox.path(".cascow/objects/segments/00000001");
    let segment = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let len = segment.metadata().unwrap().len();
    let (mut found, mut clean) = (0, 0);
    for at in (64..len).step_by(usize::try_from(len / 24).unwrap()) {
        let mut byte = [0];
        segment.read_exact_at(&mut byte, at).unwrap();
        segment.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        let (checked, code) = fsck(&sandbox, &[]);
        let damaged = checked["damaged"].as_array().unwrap();
        assert_eq!(code == 0, damaged.is_empty(), "{checked}");
        match code {
            0 => clean += 1,
            _ => found += 1,
        }
        let mut touched = BTreeSet::new();
        for object in damaged {
            sandbox.cascow(["object", "get", &text(&object["hash"])]).error(4);
            touched.extend(strings(&object["snapshots"]));
        }
        // What is not said to be touched is whole.
        for (nth, snapshot) in snapshots.iter().enumerate() {
            let out = format!("out-{at}-{nth}");
            let checkout = sandbox.cascow(["checkout", snapshot, &out]);
            assert_eq!(checkout.code == 0, !touched.contains(snapshot), "{at}: {checked}");
        }
        segment.write_all_at(&byte, at).unwrap();
    }
    assert!(found > 0, "{found} found, {clean} without harm");
    assert_eq!(fsck(&sandbox, &[]).1, 0);
}

#[test]
fn labels_that_name_nothing_are_told_and_moved_away() {
    for store in STORES {
        let (sandbox, [_, two, _]) = saved(store);
        let nowhere = "ab".repeat(32);
        sandbox.write(".cascow/labels/nowhere", format!("{nowhere}\n"));
        sandbox.write(".cascow/labels/garbage", "garbage");
        // The history lost the second of its names; the snapshot itself is whole.
        let history = sandbox.read(".cascow/snapshots");
        let mut shorter = history.clone();
        shorter.drain(8 + 32..8 + 64);
        sandbox.write(".cascow/snapshots", &shorter);
        assert!(sandbox.cascow(["ls", "two"]).error(3).contains(&two));

        let (checked, code) = fsck(&sandbox, &[]);
        assert_eq!((code, checked["labels"].as_array().unwrap().len()), (1, 3), "{checked}");
        let (checked, code) = fsck(&sandbox, &["--repair"]);
        assert_eq!(code, 0, "{checked}");
        let repaired = |name: &str| {
            let labels = checked["labels"].as_array().unwrap();
            text(&labels.iter().find(|label| label["label"] == *name).unwrap()["repaired"])
        };
        assert_eq!(
            (repaired("garbage"), repaired("nowhere"), repaired("two")),
            ("quarantined".to_owned(), "quarantined".to_owned(), "recovered".to_owned())
        );
        sandbox.cascow(["ls", "two"]).done();
        assert_eq!(sandbox.read(".cascow/quarantine/label-garbage"), b"garbage");
        assert_eq!(sandbox.json(["label"]).as_array().unwrap().len(), 3);
        assert_eq!(fsck(&sandbox, &[]).1, 0);
    }
}

#[test]
fn the_torn_end_of_a_history_is_told_and_cut_off() {
    let (sandbox, _) = saved("segments");
    let whole = sandbox.read(".cascow/snapshots");
    let mut history =
        OpenOptions::new().append(true).open(sandbox.path(".cascow/snapshots")).unwrap();
    history.write_all(&[7; 20]).unwrap();
    let (checked, code) = fsck(&sandbox, &[]);
    assert_eq!((code, &checked["history_torn_bytes"]), (0, &20.into()), "a crash is no damage");
    fsck(&sandbox, &["--repair"]);
    assert_eq!(sandbox.read(".cascow/snapshots"), whole);
}
