// SPDX-License-Identifier: MIT
//! Many processes may use one repository at once, and all that one of them acknowledged stays.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cascow_tests::sandbox::{Sandbox, text};

const WRITERS: usize = 4;
const SAVES: usize = 25;

#[test]
fn what_several_writers_save_and_label_at_once_is_all_there() {
    let sandbox = Sandbox::new();
    let write = |writer: usize| {
        let (dir, label) = (format!("tree{writer}"), format!("latest{writer}"));
        let save = |round: usize| {
            // All share this file's chunks, and write them at the same time.
            sandbox.write(&format!("{dir}/shared"), format!("{round} ").repeat(5000));
            sandbox.write(&format!("{dir}/own"), format!("{writer} {round}"));
            let saved = match round % 2 {
                0 => sandbox.json(["save", &dir]),
                _ => sandbox.json(["save", &dir, "--label", &label]),
            };
            sandbox.json(["label", &format!("{writer}/{round}"), &text(&saved["snapshot"])]);
            text(&saved["snapshot"])
        };
        (0..SAVES).map(save).collect::<Vec<_>>()
    };
    let saved: Vec<Vec<String>> = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });

    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    let labels: HashMap<String, String> = sandbox
        .json(["label"])
        .as_array()
        .unwrap()
        .iter()
        .map(|label| (text(&label["label"]), text(&label["snapshot"])))
        .collect();
    assert_eq!(log.len(), WRITERS * SAVES, "each once");
    for (writer, snapshots) in saved.iter().enumerate() {
        for (round, snapshot) in snapshots.iter().enumerate() {
            assert!(log.iter().any(|line| line["snapshot"] == **snapshot));
            assert_eq!(&labels[&format!("{writer}/{round}")], snapshot);
            let own = sandbox.cascow(["cat", snapshot, "own"]).done();
            assert_eq!(own.text(), format!("{writer} {round}"));
        }
        let out = format!("out{writer}");
        sandbox.cascow(["checkout", &format!("latest{writer}"), &out]).done();
        assert_eq!(sandbox.read(&format!("{out}/own")), format!("{writer} 23").as_bytes());
        assert_eq!(sandbox.read(&format!("{out}/shared")), "23 ".repeat(5000).as_bytes());
    }
    assert_eq!(fs::read_dir(sandbox.path(".cascow/labels")).unwrap().count(), labels.len());
}

#[test]
fn a_tree_that_changes_while_it_is_saved_is_saved_and_what_vanished_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/steady/kept", "kept");
    let stop = AtomicBool::new(false);
    let churn = || {
        while !stop.load(Ordering::Relaxed) {
            for index in 0..40 {
                sandbox.write(&format!("tree/d{index}/e/f"), "coming and going");
                sandbox.write(&format!("tree/f{index}"), "coming and going");
            }
            for index in 0..40 {
                fs::remove_dir_all(sandbox.path(format!("tree/d{index}"))).unwrap();
                fs::remove_file(sandbox.path(format!("tree/f{index}"))).unwrap();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(churn);
        for round in 0..40 {
            let saved = sandbox.cascow(["--json", "save", "tree"]);
            // Whatever happens below, the churning ends.
            if saved.code != 0 || round == 39 {
                stop.store(true, Ordering::Relaxed);
            }
            let saved = saved.done().json();
            for skipped in saved["skipped"].as_array().unwrap() {
                assert!(text(&skipped["reason"]).contains("while"), "{skipped}");
            }
        }
    });
    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    for (nth, line) in log.iter().enumerate() {
        let out = format!("out{nth}");
        sandbox.cascow(["checkout", &text(&line["snapshot"]), &out]).done();
        assert_eq!(sandbox.read(&format!("{out}/steady/kept")), b"kept");
    }
}

#[test]
fn several_runs_of_one_snapshot_do_not_see_each_other() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/counter", "0\n");
    let snapshot = sandbox.save("tree");
    let run = |index: usize| {
        let commands =
            format!("test $(cat counter) = 0; echo {index} > counter; test $(ls | wc -l) = 1");
        let label = format!("run{index}");
        let ran =
            sandbox.json(["run", &snapshot, "--label", &label, "--", "sh", "-e", "-c", &commands]);
        assert_eq!(ran["exit"], 0);
        assert_eq!(sandbox.cascow(["cat", &label, "counter"]).done().text(), format!("{index}\n"));
    };
    thread::scope(|scope| {
        for index in 0..8 {
            scope.spawn(move || run(index));
        }
    });
    assert_eq!(sandbox.cascow(["cat", &snapshot, "counter"]).done().text(), "0\n");
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).unwrap().count(), 0);
}
