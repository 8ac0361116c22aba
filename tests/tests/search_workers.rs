// SPDX-License-Identifier: MIT
//! Several workers: each in its own fork, all for one search.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches::{
    GROWING, LINES, events, fill, has_no_leftovers, is_scored_once, score, search, workspace,
};
use serde_json::json;

#[test]
fn several_workers_find_what_one_finds_and_score_nothing_twice() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let counted = format!(
        // One write, so that lines of two do not mix.
        "echo $(cat a b c 2>/dev/null) >> {}; {score}",
        sandbox.path("seen").display()
    );
    let alone = sandbox.json(search(&counted, &["--target", "1", "--rescore"]));
    assert_eq!(alone["workers"], 1);
    for workers in ["2", "3", "8"] {
        sandbox.write("seen", "");
        // To the end: all that there is, whoever found it.
        let more = ["--workers", workers, "--rescore", "--evaluations", "40", "--out", "out"];
        let answer = sandbox.json(search(&counted, &more));
        assert_eq!(answer["workers"].to_string(), workers);
        assert_eq!(answer["best"]["score"], alone["best"]["score"]);
        assert_eq!(answer["best"]["root"], alone["best"]["root"]);
        is_scored_once(&events(&sandbox, "out/events.jsonl"), &answer);
        let seen = String::from_utf8(sandbox.read("seen")).unwrap();
        let distinct: HashSet<&str> = seen.lines().collect();
        assert_eq!(distinct.len(), seen.lines().count(), "with {workers} workers");
        assert!(answer["evaluations"].as_u64() <= Some(40), "{answer}");
        has_no_leftovers(&sandbox);
    }
}

#[test]
fn two_workers_run_two_commands_at_the_same_time() {
    let sandbox = workspace();
    // Neither ends before the other has begun.
    let meet = |own: &str, other: &str| {
        let path = |name: &str| sandbox.path(name).display().to_string();
        format!("echo {own} > a; touch {}; until [ -e {} ]; do :; done", path(own), path(other))
    };
    sandbox.write(
        "actions.toml",
        format!(
            "[[action]]\nname = 'one'\nrun = '{}'\n[[action]]\nname = 'two'\nrun = '{}'\n",
            meet("one", "two"),
            meet("two", "one")
        ),
    );
    let limits = ["--depth", "1", "--timeout", "60", "--workers", "2"];
    let answer = sandbox.json(search("echo 0.5", &limits));
    assert_eq!((&answer["stopped"], &answer["failed_actions"]), (&json!("exhausted"), &json!(0)));
    assert_eq!(answer["unique_states"], 3);
}

#[test]
fn what_several_workers_left_fewer_or_more_go_on_with() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    for (first, second) in [("4", "1"), ("1", "4"), ("3", "2")] {
        let name = format!("{first}-{second}");
        let mut command = sandbox.command(program());
        let more = ["--workers", first, "--name", &name, "--events", "-", "--rescore"];
        command.args(search(LINES, &more)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..20 {
            assert_ne!(lines.read_line(&mut String::new()).unwrap(), 0);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let more = [
            "search",
            "--resume",
            &name,
            "--workers",
            second,
            "--evaluations",
            "60",
            "--out",
            &name,
        ];
        let answer = sandbox.json(more);
        assert_eq!(
            (&answer["stopped"], &answer["evaluations"]),
            (&json!("evaluations"), &json!(60))
        );
        assert_eq!(answer["workers"].to_string(), second);
        let told = events(&sandbox, &format!("{name}/events.jsonl"));
        is_scored_once(&told, &answer);
        let steps = told.iter().filter(|event| event["event"] == "step").count();
        assert!(steps >= 59, "{steps}");
        // Where nothing is under way, nothing is random: it is told the same again.
        let again = sandbox.json(["search", "--resume", &name, "--out", "again"]);
        assert_eq!(again["best"], answer["best"]);
        assert_eq!(events(&sandbox, "again/events.jsonl"), told);
        has_no_leftovers(&sandbox);
    }
}

#[test]
fn several_workers_stop_when_the_user_wants_it_and_end_what_they_run() {
    let sandbox = workspace();
    sandbox.write(
        "actions.toml",
        "[[action]]\nname = 'a'\nrun = 'echo good > a'\n[[action]]\nname = 'b'\nrun = 'echo good > b'\n",
    );
    let score = format!(
        "grep -q good a b || {{ echo 0.5; exit; }}; echo >> {}; sleep 1000",
        sandbox.path("seen").display()
    );
    let mut command = sandbox.command(program());
    command.args(["--json"]).args(search(&score, &["--workers", "3"]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Both states that are one action away are being scored, and a third worker waits.
    sandbox.shell("until [ \"$(wc -l < seen)\" -ge 2 ]; do :; done 2> /dev/null");
    sandbox.shell(&format!("kill -TERM {}", child.id()));
    let answer = Answer::from(child.wait_with_output().unwrap()).done().json();
    assert_eq!((&answer["stopped"], &answer["unique_states"]), (&json!("interrupted"), &json!(1)));
    has_no_leftovers(&sandbox);
}

#[test]
fn workers_that_wait_for_another_add_nothing_to_the_journal() {
    let sandbox = workspace();
    sandbox.write("actions.toml", "[[action]]\nname = 'a'\nrun = 'echo good > a'\n");
    let len = |name: &str, took: &str| {
        let score = format!("if grep -q good a; then sleep {took}; fi; echo 0.5");
        sandbox.json(search(&score, &["--workers", "4", "--name", name]));
        sandbox.read(&format!(".cascow/searches/{name}/journal")).len()
    };
    let (short, long) = (len("short", "0"), len("long", "2"));
    // Numbers take more bytes where they are greater; each record has fifteen at least.
    assert!(long < short + 64, "{short} {long}");
}

#[test]
fn several_workers_make_room_and_go_on() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    let limits = ["--workers", "3", "--bytes", "120K", "--evaluations", "150", "--out", "out"];
    let answer = sandbox.json(search(LINES, &limits));
    assert_eq!((&answer["stopped"], &answer["evaluations"]), (&json!("evaluations"), &json!(150)));
    assert!(answer["forgotten"].as_u64() > Some(0), "{answer}");
    sandbox.shell("patch -p1 -d w < out/best.patch");
    assert_eq!(sandbox.root("w"), text(&answer["best"]["root"]));
}

#[test]
fn several_workers_of_a_user_without_privileges_have_forks_of_their_own() {
    let sandbox = Sandbox::without_repository();
    fill(&sandbox);
    sandbox.shell("mkdir home");
    sandbox.give_to_ordinary_user("home");
    let test = "several_workers_of_a_user_without_privileges_have_forks_of_their_own";
    let program = sandbox.public_program();
    let score = score(&sandbox);
    let home = sandbox.path("home/.cascow").display().to_string();
    let Some(mut init) = sandbox.ordinary_command(test, &program) else { return };
    Answer::of(init.args(["--repo", &home, "init"])).done();
    let Some(mut command) = sandbox.ordinary_command(test, &program) else { return };
    command.args(["--repo", &home, "--json"]);
    command.args(search(&score, &["--workers", "3", "--target", "1"]));
    let answer = Answer::of(&mut command).done().json();
    assert_eq!((&answer["stopped"], &answer["best"]["score"]), (&json!("target"), &json!(1.0)));
}

#[test]
fn the_demonstration_reaches_its_target_with_two_workers() {
    let sandbox = Sandbox::without_repository();
    let answer = sandbox.json(["demo", "--quiet", "--workers", "2", "--out", "demo"]);
    assert_eq!((&answer["best"]["score"], &answer["stopped"]), (&json!(1.0), &json!("target")));
    assert_eq!(answer["workers"], 2);
    is_scored_once(&events(&sandbox, "demo/events.jsonl"), &answer);
}
