// SPDX-License-Identifier: MIT
//! Equal trees have equal roots, however they came to be; different trees never do.

use std::collections::HashMap;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};

/// A tree of two directories, a link, a name with an attribute, and a pair of hard links.
const TREE: &str = "
    mkdir -p tree/dir/empty tree/other
    echo one > tree/dir/one; echo two > tree/two; echo shared > tree/first; ln tree/first tree/other/second
    ln -s dir/one tree/link; chmod 640 tree/two; setfattr -n user.note -v kept tree/two";

#[test]
fn equal_trees_made_by_different_histories_have_equal_roots() {
    let sandbox = Sandbox::new();
    sandbox.shell(TREE);
    let root = sandbox.root("tree");
    let histories = [
        // Another order.
        "mkdir -p tree/other tree/dir; echo shared > tree/other/second; ln -s dir/one tree/link; echo two > tree/two
         setfattr -n user.note -v kept tree/two; chmod 640 tree/two; echo one > tree/dir/one; mkdir tree/dir/empty
         ln tree/other/second tree/first",
        // Things that came and went.
        "mkdir -p tree/dir tree/gone; echo x > tree/gone/x; echo y > tree/link; rm tree/link; rm -r tree/gone
         mkdir -p tree/dir/empty tree/other; echo 1 > tree/dir/one; echo one > tree/dir/one; echo two > tree/two
         echo shared > tree/first; ln tree/first tree/third; ln tree/first tree/other/second; rm tree/third
         ln -s elsewhere tree/link; ln -sfn dir/one tree/link; chmod 777 tree/two; chmod 640 tree/two
         setfattr -n user.old -v x tree/two; setfattr -x user.old tree/two; setfattr -n user.note -v kept tree/two",
        // Renames.
        "mkdir -p tree/a/b tree/other; echo one > tree/other/1; mv tree/other/1 tree/a/one; mv tree/a/b tree/a/empty
         mv tree/a tree/dir; echo two > tree/2; mv tree/2 tree/two; chmod 640 tree/two
         setfattr -n user.note -v kept tree/two; echo shared > tree/s; ln tree/s tree/other/second; mv tree/s tree/first
         ln -s dir/one tree/l; mv tree/l tree/link",
    ];
    for history in histories {
        sandbox.shell("rm -r tree");
        sandbox.shell(history);
        assert_eq!(sandbox.root("tree"), root, "{history}");
    }
}

#[test]
fn equal_trees_made_by_different_runs_have_equal_roots() {
    let sandbox = Sandbox::new();
    sandbox.shell(TREE);
    let snapshot = sandbox.save("tree");
    let run = |from: &str, commands: &str| {
        let ran = sandbox.json(["run", from, "--", "sh", "-e", "-c", commands]);
        assert_eq!(ran["exit"], 0);
        (text(&ran["snapshot"]), text(&ran["root"]))
    };
    let (half, _) = run(&snapshot, "echo new > new");
    let (end, root) = run(&half, "rm two; mv link dir/moved");
    assert_eq!(run(&snapshot, "mv link dir/moved; rm two; echo n > new; echo new > new").1, root);
    let original = sandbox.root("tree");
    assert_eq!(run(&snapshot, "true").1, original);
    let back = "rm new; echo two > two; chmod 640 two; setfattr -n user.note -v kept two; mv dir/moved link";
    assert_eq!(run(&end, back).1, original, "undoing every change leads back");

    sandbox.cascow(["checkout", &end, "out"]).done();
    assert_eq!(sandbox.root("out"), root);
    let other = Sandbox::new();
    other.shell(TREE);
    assert_eq!(other.root("tree"), original, "in another repository too");
}

#[test]
fn times_and_owners_do_not_change_the_root() {
    let sandbox = Sandbox::new();
    sandbox.shell(TREE);
    let saved = sandbox.json(["save", "tree"]);
    sandbox.shell("find tree -exec touch -h -d '2001-02-03 04:05:06.789' {} +");
    let touched = sandbox.json(["save", "tree"]);
    assert_eq!(touched["root"], saved["root"]);
    assert_ne!(touched["snapshot"], saved["snapshot"], "the times are kept beside it");
    sandbox.cascow(["checkout", &text(&touched["snapshot"]), "out"]).done();
    sandbox.assert_equal_trees("tree", "out");
    sandbox.shell("chgrp -hR $(id -G | tr ' ' '\\n' | tail -n 1) tree");
    assert_eq!(sandbox.root("tree"), text(&saved["root"]));
    if cascow_tests::sandbox::is_privileged() {
        sandbox.shell("chown -hR 12345:54321 tree");
        assert_eq!(sandbox.root("tree"), text(&saved["root"]));
    }
}

#[test]
fn every_single_change_changes_the_root() {
    let sandbox = Sandbox::new();
    let changes = [
        "true",
        "printf 'onE\\n' > tree/dir/one",
        "printf 'one' > tree/dir/one",
        ": > tree/dir/one",
        "mv tree/dir/one tree/dir/One",
        "mv tree/dir/one tree/one",
        "rm tree/dir/one",
        "chmod 600 tree/two",
        "chmod u+s tree/two",
        "chmod 700 tree/dir",
        "chmod +t tree/dir",
        "ln -sfn dir/One tree/link",
        "rm tree/link; cp tree/dir/one tree/link",
        "rm tree/link; printf dir/one > tree/link",
        "setfattr -n user.note -v Kept tree/two",
        "setfattr -n user.notes -v kept tree/two",
        "setfattr -x user.note tree/two",
        "setfattr -n user.empty tree/two",
        "setfattr -n user.note -v kept tree/dir",
        "ln tree/two tree/three",
        "cp -a tree/two tree/three",
        "cp tree/first tree/copy; mv tree/copy tree/first",
        "ln tree/first tree/third",
        "rm tree/first",
        "rmdir tree/dir/empty",
        "rmdir tree/dir/empty; : > tree/dir/empty",
        "rmdir tree/dir/empty; mkfifo tree/dir/empty",
        "mkdir tree/dir/empty2",
        "mkdir tree/dir/empty/below",
        "rm tree/two; mkdir tree/two",
    ];
    let mut roots: HashMap<String, &str> = HashMap::new();
    for change in changes {
        sandbox.shell(&format!("rm -rf tree; {TREE}\n{change}"));
        if let Some(other) = roots.insert(sandbox.root("tree"), change) {
            panic!("{other:?} and {change:?} have one root");
        }
    }
    assert_eq!(roots.len(), changes.len());
}

#[test]
fn the_empty_tree_is_a_state_like_any_other() {
    let sandbox = Sandbox::new();
    sandbox.shell("mkdir empty full; echo x > full/x");
    let saved = sandbox.json(["save", "empty"]);
    assert_eq!((&saved["entries"], &saved["bytes"]), (&0.into(), &0.into()));
    let snapshot = text(&saved["snapshot"]);
    sandbox.cascow(["checkout", &snapshot, "out"]).done();
    sandbox.assert_equal_trees("empty", "out");
    sandbox.shell("rm full/x");
    assert_eq!(sandbox.root("full"), text(&saved["root"]));
    let mut prove = sandbox.command(program());
    Answer::of(prove.args(["prove", &snapshot, "anything", "-o", "proof"])).done();
    let verified = sandbox.json(["verify", "proof", "--root", &text(&saved["root"])]);
    assert_eq!(verified["present"], false);
}
