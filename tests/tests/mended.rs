// SPDX-License-Identifier: MIT
//! Defects that were found by looking and mended, each with the test that would have found it.

use std::fs;

use cascow_tests::sandbox::{Sandbox, text};

fn sandbox_with_tree() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("tree/a", "one\n");
    sandbox.json(["save", "tree", "--label", "x"]);
    sandbox
}

#[test]
fn init_keeps_the_history_of_a_repository_that_lost_its_format() {
    let sandbox = sandbox_with_tree();
    let history = sandbox.read(".cascow/snapshots");
    fs::remove_file(sandbox.path(".cascow/format")).unwrap();
    sandbox.cascow(["log"]).error(4);
    sandbox.cascow(["init", "."]).error(2);
    assert_eq!(sandbox.read(".cascow/snapshots"), history);
}

#[test]
fn no_absence_is_proved_of_what_is_no_path() {
    let sandbox = sandbox_with_tree();
    for path in ["/a", "d//a", "d/../a", "", ".."] {
        sandbox.cascow(["prove", "x", path, "-o", "proof"]).error(2);
    }
    assert!(!sandbox.path("proof").exists());
}

#[test]
fn a_link_in_a_forks_place_is_not_followed() {
    let sandbox = sandbox_with_tree();
    let log = sandbox.cascow(["log"]).text().to_owned();
    sandbox.write("elsewhere/file", "not part of any fork");
    let elsewhere = sandbox.path("elsewhere");
    let swap = format!("rm -rf \"$PWD\"; ln -s '{}' \"$PWD\"", elsewhere.display());
    // The kernel lets nobody remove the place of a mount; that of a copy is a directory like any other.
    sandbox.cascow(["run", "x", "--materialize", "copy", "--", "sh", "-c", &swap]).error(5);
    assert_eq!(sandbox.read("elsewhere/file"), b"not part of any fork");
    assert_eq!(sandbox.cascow(["log"]).text(), log);
}

#[test]
fn a_repository_is_not_saved_into_itself() {
    let sandbox = sandbox_with_tree();
    sandbox.cascow(["save", ".cascow"]).error(2);
    sandbox.cascow(["save", ".cascow/objects"]).error(2);
}

#[test]
fn what_lies_about_in_the_place_for_workspaces_keeps_nobody_from_working() {
    let sandbox = sandbox_with_tree();
    sandbox.write("elsewhere/file", "not ours to remove");
    sandbox.shell("cd .cascow/work; mkfifo pipe; : > file; mkdir left; ln -s ../../elsewhere link");
    sandbox.json(["run", "x", "--", "true"]);
    assert_eq!(sandbox.read("elsewhere/file"), b"not ours to remove");
    assert!(!sandbox.path(".cascow/work/left").exists(), "an abandoned workshop is cleared away");
}

#[test]
fn an_exclusion_of_everything_is_refused() {
    let sandbox = sandbox_with_tree();
    for pattern in ["", "/", "//"] {
        sandbox.cascow(["save", "tree", "--exclude", pattern]).error(2);
    }
}

#[test]
fn a_stray_file_among_the_objects_is_passed_over() {
    let sandbox = Sandbox::with_store("files");
    sandbox.write("tree/a", "one\n");
    sandbox.json(["save", "tree"]);
    let before = sandbox.json(["stats"]);
    sandbox.shell(
        ": > .cascow/objects/stray; : > \"$(echo .cascow/objects/?? | cut -d' ' -f1)/stray\"",
    );
    assert_eq!(sandbox.json(["stats"]), before);
}

#[test]
fn a_label_that_is_the_beginning_of_another_snapshots_name_is_ambiguous() {
    let sandbox = sandbox_with_tree();
    let first = text(&sandbox.json(["label", "x"])["snapshot"]);
    sandbox.write("tree/a", "two\n");
    let second = sandbox.json(["save", "tree"]);
    sandbox.json(["label", &first[..8], &text(&second["snapshot"])]);
    sandbox.cascow(["ls", &first[..8]]).error(2);
    sandbox.json(["ls", &first[..9]]);
}

#[test]
fn a_score_command_that_cannot_be_run_is_said_to_be() {
    let sandbox = sandbox_with_tree();
    sandbox.write("actions.toml", "[[action]]\nname = 'n'\nrun = 'echo more >> a; exit 3'\n");
    let mut search = sandbox.command(cascow_tests::program::program());
    search.args(["search", "--workspace", "tree", "--actions", "actions.toml"]);
    let output = search.args(["--score", "nosuchcommand"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("scores 0") && said.contains("nosuchcommand"), "{said}");
}

#[test]
fn a_file_that_is_no_directory_is_the_callers_mistake() {
    let sandbox = sandbox_with_tree();
    sandbox.cascow(["checkout", "x", "tree/a"]).error(2);
    sandbox.cascow(["save", "tree/a"]).error(2);
    sandbox.cascow(["--repo", "tree/a", "log"]).error(3);
    sandbox.cascow(["object", "put", "tree"]).error(2);
}

#[test]
fn completions_are_json_where_that_is_wanted() {
    let sandbox = sandbox_with_tree();
    let answer = sandbox.json(["completions", "bash"]);
    assert!(text(&answer["script"]).contains("_cascow"));
}
