// SPDX-License-Identifier: MIT
//! A tree of everything that is awkward comes back as it was, and what did not change is not stored again.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use cascow_tests::program::Answer;
use cascow_tests::sandbox::{Sandbox, text};
use serde_json::json;

const MIB: u64 = 1 << 20;

#[test]
fn a_tree_of_everything_comes_back_as_it_was_and_costs_nothing_the_second_time() {
    let sandbox = Sandbox::new();
    Answer::of(sandbox.tool("make_tree.py").args(["--large", "tree"])).done();
    let saved = sandbox.json(["save", "tree"]);
    let snapshot = text(&saved["snapshot"]);
    let again = sandbox.json(["save", "tree"]);
    assert_eq!((&again["new_objects"], &again["new_bytes"]), (&json!(0), &json!(0)));
    assert_eq!((&again["snapshot"], &again["root"]), (&saved["snapshot"], &saved["root"]));

    let checkout = sandbox.json(["checkout", &snapshot, "out"]);
    assert_eq!(checkout["entries"], saved["entries"]);
    sandbox.assert_equal_trees("tree", "out");
    let resaved = sandbox.json(["save", "out"]);
    assert_eq!(resaved["snapshot"], saved["snapshot"], "times and owners came back too");
    assert_eq!(resaved["new_objects"], 0);
}

#[test]
fn the_number_of_cores_shows_in_nothing_that_is_saved_or_said() {
    for store in ["files", "segments"] {
        let sandbox = Sandbox::with_store(store);
        Answer::of(sandbox.tool("make_tree.py").args(["--files", "300", "tree"])).done();
        sandbox.shell(
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"tree/socket\")'",
        );
        let said = |mut saved: serde_json::Value| {
            if store == "segments" {
                // Which objects are compressed together, and so how well, is the threads' race.
                let bytes = saved["new_bytes"].take().as_u64().unwrap();
                assert!(bytes > 0);
            }
            saved
        };
        let all = said(sandbox.json(["save", "tree"]));
        assert!(!all["skipped"].as_array().unwrap().is_empty());
        sandbox.shell("mv .cascow with-all; first=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//'); echo $first > core");
        let core = String::from_utf8(sandbox.read("core")).unwrap();
        let program = cascow_tests::program::program();
        let on_one_core = |arguments: &[&str]| {
            let mut command = sandbox.command("taskset");
            command.args(["-c", core.trim()]).arg(program).args(arguments);
            Answer::of(&mut command).done()
        };
        on_one_core(&["init", "--store", store]);
        assert_eq!(said(on_one_core(&["--json", "save", "tree"]).json()), all);
        let snapshot = text(&all["snapshot"]);
        on_one_core(&["checkout", &snapshot, "one"]);
        sandbox.json(["--repo", "with-all", "checkout", &snapshot, "all"]);
        sandbox.assert_equal_trees("one", "all");
    }
}

#[test]
fn a_small_change_in_a_large_file_costs_little() {
    let sandbox = Sandbox::new();
    Answer::of(sandbox.tool("make_tree.py").args(["--large", "--files", "0", "tree"])).done();
    sandbox.shell("mkdir large; mv 'tree/sizes/64 MiB' large/file");
    let before = fs::read(sandbox.path("large/file")).unwrap();
    assert_eq!(before.len() as u64, 64 * MIB);
    sandbox.json(["save", "large"]);
    let added = |what: &str| {
        let saved = sandbox.json(["save", "large"]);
        let bytes = saved["new_bytes"].as_u64().unwrap();
        assert!(0 < bytes && bytes < 65_536, "{what}: {bytes} new bytes");
    };
    let file = File::options().write(true).open(sandbox.path("large/file")).unwrap();
    for at in [0, 1000, 32 * MIB, 48 * MIB + 12_345, 64 * MIB - 1] {
        let index = usize::try_from(at).unwrap();
        file.write_all_at(&[before[index] ^ 1], at).unwrap();
        added(&format!("a byte changed at {at}"));
        file.write_all_at(&before[index..=index], at).unwrap();
    }
    for at in [0, 32 << 20, before.len()] {
        let inserted = [&before[..at], b"+", &before[at..]].concat();
        fs::write(sandbox.path("large/file"), inserted).unwrap();
        added(&format!("a byte inserted at {at}"));
    }
    fs::write(sandbox.path("large/file"), &before[1..]).unwrap();
    added("the first byte removed");
}

#[test]
fn an_ordinary_user_gets_the_tree_back_too() {
    let sandbox = Sandbox::without_repository();
    let program = sandbox.public_program();
    let program = program.to_str().unwrap();
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/tools");
    for tool in ["make_tree.py", "compare_trees.py"] {
        fs::copy(format!("{tools}/{tool}"), sandbox.path(tool)).unwrap();
    }
    fs::create_dir(sandbox.path("home")).unwrap();
    sandbox.give_to_ordinary_user("home");
    let test = "an_ordinary_user_gets_the_tree_back_too";
    let Some(mut shell) = sandbox.ordinary_command(test, "sh") else { return };
    let script = format!(
        "cd home; python3 -B ../make_tree.py tree; {program} init
         {program} save tree --label s; {program} checkout s out
         python3 -B ../compare_trees.py --no-root tree out
         {program} run s --label ran -- true; {program} diff s ran; ls .cascow/work"
    );
    let answer = Answer::of(shell.args(["-e", "-c", &script])).done();
    assert!(answer.text().ends_with("exit 0, 0 changes\n"), "{}", answer.text());
}
