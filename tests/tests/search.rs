// SPDX-License-Identifier: MIT
//! The search finds what it is to find, tells what it did, ends when told to, and leaves the workspace alone.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches::{
    ACTIONS, ENDLESS, has_no_leftovers, is_scored_once, score, search, workspace,
};
use serde_json::{Value, json};

#[test]
fn a_search_finds_the_combination_and_leaves_the_workspace_alone() {
    let sandbox = workspace();
    let score = score(&sandbox);
    sandbox.shell("cp -a w before");
    let answer = sandbox.json(search(
        &score,
        &["--target", "1", "--out", "out", "--events", "events", "--seed", "7"],
    ));
    for field in [
        "best",
        "evaluations",
        "unique_states",
        "transpositions",
        "score_cache_hits",
        "fork_us",
        "backtrack_us",
        "workers",
        "resumed",
        "stopped",
    ] {
        assert!(answer.get(field).is_some(), "{field} is missing in {answer}");
    }
    assert_eq!((&answer["stopped"], &answer["best"]["score"]), (&json!("target"), &json!(1.0)));
    let mut actions: Vec<String> =
        answer["best"]["actions"].as_array().unwrap().iter().map(text).collect();
    actions.sort();
    assert_eq!(actions, ["mend a", "mend b", "mend c"]);
    sandbox.assert_equal_trees("w", "before");
    has_no_leftovers(&sandbox);

    sandbox.shell(
        "patch -p1 -d w < out/best.patch; cd w; grep -q good a; grep -q good b; grep -q good c",
    );
    assert_eq!(
        sandbox.root("w"),
        text(&answer["best"]["root"]),
        "the patch leads to the best state"
    );
    sandbox.json(["verify", "out/best.proof", "--root", &text(&answer["best"]["root"])]);
    assert_eq!(sandbox.read("out/events.jsonl"), sandbox.read("events"));
    let again = sandbox.json([
        "diff",
        &text(&answer["base"]["snapshot"]),
        &text(&answer["best"]["snapshot"]),
    ]);
    assert_eq!(again.as_array().unwrap().len(), 3);
}

#[test]
fn a_place_for_results_within_the_workspace_is_no_part_of_it() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let root = sandbox.root("w");
    let answer = sandbox.json(search(&score, &["--out", "w/out"]));
    assert_eq!(text(&answer["base"]["root"]), root);
    sandbox.cascow(search(&score, &["--out", "w"])).error(2);
    assert!(!sandbox.path("w/events.jsonl").exists());
}

#[test]
fn the_report_is_one_file_that_loads_nothing() {
    let sandbox = workspace();
    sandbox.write("w/hostile", "</script><script>alert(1)</script>\n");
    sandbox.shell("printf 'bad\\n</script><!--\\n' > w/a");
    let score = score(&sandbox);
    let answer = sandbox.json(search(&score, &["--target", "1", "--out", "out"]));
    let report = String::from_utf8(sandbox.read("out/report.html")).unwrap();
    // A name that every SVG bears, not a place to load from.
    let report = report.replace("http://www.w3.org/2000/svg", "");
    for loading in [
        "http://",
        "https://",
        "src=",
        "<link",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ] {
        assert!(!report.contains(loading), "{loading}");
    }
    assert!(report.contains(&text(&answer["best"]["root"])));
    assert!(!report.contains("</script><!--"), "no text of a workspace ends a script");
    let best = text(&answer["best"]["patch"]);
    assert!(best.contains("-bad") && best.contains("</script>"));
    let json = best.replace('<', "\\u003c").replace('\n', "\\n").replace('"', "\\\"");
    assert!(report.contains(&json), "the document is in the page");
}

#[test]
fn events_on_standard_output_are_one_document_a_line_and_the_answer_the_last() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let lines =
        sandbox.cascow(search(&score, &["--target", "1", "--events", "-"])).done().json_lines();
    let (answer, events) = lines.split_last().unwrap();
    assert_eq!(answer["stopped"], "target");
    assert_eq!((&events[0]["event"], &events[0]["score"]), (&json!("start"), &json!(0.0)));
    assert_eq!(events.last().unwrap()["event"], "end");
    let steps = &events[1..events.len() - 1];
    assert!(steps.iter().all(|event| event["event"] == "step"));
    let found = steps.iter().find(|event| event["score"] == 1.0).unwrap();
    assert_eq!(found["feedback"], "3 of 3");
    is_scored_once(events, answer);
}

#[test]
fn a_score_command_is_never_run_twice_on_one_state() {
    let sandbox = workspace();
    // Every run of the command leaves a line that says what it saw.
    let score = format!(
        "cat a b c 2>/dev/null | tr '\\n' ' ' >> {0}; echo >> {0}; echo 0.5",
        sandbox.path("seen").display()
    );
    let answer = sandbox.json(search(&score, &["--evaluations", "60"]));
    let seen = String::from_utf8(sandbox.read("seen")).unwrap();
    let runs = seen.lines().count();
    assert_eq!(Some(runs as u64), answer["unique_states"].as_u64());
    assert!(answer["transpositions"].as_u64() > Some(0), "{answer}");
    // Three files of which one may be missing: no more states than these.
    assert!(runs <= 2 * 2 * 3);
    let distinct: HashSet<&str> = seen.lines().collect();
    assert_eq!(distinct.len(), runs);
    fs::remove_file(sandbox.path("seen")).unwrap();
    let repeated = sandbox.json(search(&score, &["--evaluations", "5", "--repeat", "3"]));
    let runs = String::from_utf8(sandbox.read("seen")).unwrap().lines().count() as u64;
    assert_eq!(Some(runs), repeated["unique_states"].as_u64().map(|states| states * 3));
}

#[test]
fn a_target_that_is_not_reached_is_a_no() {
    let sandbox = workspace();
    let answer = sandbox.cascow(
        ["--json"]
            .into_iter()
            .chain(search("echo 0.5", &["--target", "0.6", "--evaluations", "5", "--out", "out"])),
    );
    assert_eq!((answer.code, &answer.json()["best"]["score"]), (1, &json!(0.5)));
    assert!(sandbox.path("out/report.html").exists(), "the results are there all the same");
    assert_eq!(sandbox.cascow(search("echo 0.5", &["--target", "0.6", "--depth", "1"])).code, 1);
    sandbox.cascow(search("echo 0.5", &["--target", "0.5"])).done();
    assert_eq!(sandbox.json(search("echo 0.5", &["--depth", "1"]))["stopped"], "exhausted");
    sandbox.write("actions.toml", ENDLESS);
    assert_eq!(sandbox.json(search("echo 0.5", &["--time", "0.3"]))["stopped"], "time");
}

#[test]
fn a_score_command_that_hangs_dies_or_talks_nonsense_scores_without_ending_the_search() {
    let sandbox = workspace();
    for (score, expected) in [
        ("sleep 1000", 0.0),
        ("trap '' TERM INT; while :; do :; done", 0.0),
        ("kill -SEGV $$", 0.0),
        ("kill -KILL $$", 0.0),
        ("echo 7", 0.0),
        ("echo -1", 0.0),
        ("echo NaN; exit 1", 0.0),
        ("head -c 1000000 /dev/urandom; echo; exit 1", 0.0),
        ("echo '{\"score\":'; exit 1", 0.0),
        ("echo garbage", 1.0),
        ("exec >&-; exit 3", 0.0),
        ("no-such-program", 0.0),
        ("rm -rf ../* .* * 2>/dev/null; echo 0.25", 0.25),
    ] {
        let answer = sandbox.json(search(score, &["--evaluations", "2", "--timeout", "0.3"]));
        assert_eq!(answer["best"]["score"], expected, "{score}");
        has_no_leftovers(&sandbox);
    }
    assert_eq!(sandbox.shell("ls w").text(), "a\nb\nc\n");
}

#[test]
fn an_action_that_hangs_or_fails_leads_nowhere() {
    let sandbox = workspace();
    sandbox.write(
        "actions.toml",
        "[[action]]\nname = 'hang'\nrun = 'echo good > a; sleep 1000'\n[[action]]\nname = 'fail'\nrun = 'echo good > b; false'
         [[action]]\nname = 'die'\nrun = 'kill -9 $$'\n[[action]]\nname = 'leave'\nrun = 'mv ../* ../../elsewhere; false'\n",
    );
    let score = score(&sandbox);
    let answer = sandbox.json(search(&score, &["--timeout", "0.3"]));
    assert_eq!((&answer["stopped"], &answer["best"]["score"]), (&json!("exhausted"), &json!(0.0)));
    assert_eq!((&answer["failed_actions"], &answer["unique_states"]), (&json!(4), &json!(1)));
    assert_eq!(answer["best"]["actions"], json!([]));
    assert_eq!(answer["best"]["snapshot"], answer["base"]["snapshot"]);
    assert_eq!(sandbox.shell("cat w/a w/b w/c").text(), "bad\nbad\nbad\n");
}

#[test]
fn a_mistake_in_an_actions_file_is_named_with_its_line_and_column() {
    let sandbox = workspace();
    for (actions, place) in [
        ("[[action]]\nname = \"a\"\nrun = oops\n", "line 3, column 7"),
        ("[[action]]\nname = \"a\"\nrun = \"x\"\nspeed = 3\n", "line 4, column 1"),
        ("[[action]]\nname = \"a\"\nrun = \"x\"\nprior = -1\n", "line 4, column 9"),
        ("[[action]]\nname = 7\nrun = \"x\"\n", "line 2, column 8"),
        ("[[action]\n", "line 1"),
        ("", "line 1, column 1"),
    ] {
        sandbox.write("actions.toml", actions);
        let answer = sandbox.cascow(search("true", &[]));
        let message = answer.error(2);
        assert!(message.contains("actions.toml") && message.contains(place), "{message}");
    }
    sandbox.write("actions.toml", b"# \xc3\xa4\nname = \"\xff\"");
    let answer = sandbox.cascow(search("true", &[]));
    assert!(answer.error(2).contains("line 2, column 9: not UTF-8"), "{}", answer.stderr);
    fs::remove_file(sandbox.path("actions.toml")).unwrap();
    sandbox.cascow(search("true", &[])).error(3);
    sandbox.write("actions.toml", ACTIONS);
    sandbox.shell("mv w gone");
    sandbox.cascow(search("true", &[])).error(3);
}

/// Starts a search that has no end, and waits until it is in the middle of it.
fn endless(sandbox: &Sandbox) -> (Child, BufReader<std::process::ChildStdout>) {
    sandbox.write("actions.toml", ENDLESS);
    let mut command = sandbox.command(program());
    command.args(search("echo 0.5; sleep 0.02", &["--events", "-", "--evaluations", "1000000"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..4 {
        assert_ne!(events.read_line(&mut String::new()).unwrap(), 0, "the search goes on");
    }
    (child, events)
}

#[test]
fn an_interrupted_search_ends_cleanly_with_its_best_state_saved() {
    for signal in ["INT", "TERM"] {
        let sandbox = workspace();
        let (child, mut events) = endless(&sandbox);
        sandbox.shell(&format!("kill -{signal} {}", child.id()));
        let mut rest = String::new();
        events.read_to_string(&mut rest).unwrap();
        Answer::from(child.wait_with_output().unwrap()).done();
        let answer: Value = serde_json::from_str(rest.lines().next_back().unwrap()).unwrap();
        assert_eq!(answer["stopped"], "interrupted", "{signal}");
        has_no_leftovers(&sandbox);
        let best = text(&answer["best"]["snapshot"]);
        sandbox.cascow(["checkout", &best, "out"]).done();
    }
}

#[test]
fn a_killed_search_leaves_a_repository_that_works_and_the_next_one_clears_up() {
    let sandbox = workspace();
    let (mut child, _events) = endless(&sandbox);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).unwrap().count(), 1);
    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    assert_eq!(log.len(), 1, "the base was saved before the search began");
    sandbox.cascow(["checkout", &text(&log[0]["snapshot"]), "out"]).done();
    sandbox.assert_equal_trees("w", "out");
    sandbox.cascow(search("echo 0.5", &["--evaluations", "3"])).done();
    has_no_leftovers(&sandbox);
}
