// SPDX-License-Identifier: MIT
//! Actions that a command proposes: what it is told, what is taken of what it says, and what its faults lead to.

use std::collections::HashSet;

use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches::{events, has_no_leftovers, lasting, score, workspace};
use serde_json::{Value, json};

/// Proposes to mend each file; the last is said to be the most promising.
const MEND: &str = r#"for f in a b c; do p=$((${p:-0} + 1)); echo "{\"name\": \"mend $f\", \"run\": \"echo good > $f\", \"prior\": $p}"; done"#;

/// The arguments of a search over the workspace with a proposer.
fn proposing<'a>(act: &'a str, score: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["search", "--workspace", "w", "--act", act, "--score", score];
    arguments.extend(more);
    arguments
}

/// The events of this kind.
fn of_kind<'v>(events: &'v [Value], kind: &str) -> Vec<&'v Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The documents that a proposer was given, which left them in `asked`.
fn asked(sandbox: &Sandbox) -> Vec<Value> {
    let all = String::from_utf8(sandbox.read("asked")).unwrap();
    all.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_proposer_is_told_all_about_the_state_that_it_runs_in_a_private_fork_of() {
    let sandbox = workspace();
    let score = score(&sandbox);
    // It sees the state, and what it does to it is nobody's business.
    let act = format!(
        "cat >> {0}; echo >> {0}; cat a b c | tr '\\n' ' ' >> {1}; echo >> {1}; rm -rf ./*; {MEND}",
        sandbox.path("asked").display(),
        sandbox.path("seen").display()
    );
    let answer = sandbox.json(proposing(&act, &score, &["--target", "1", "--out", "out"]));
    assert_eq!((&answer["stopped"], &answer["best"]["score"]), (&json!("target"), &json!(1.0)));
    has_no_leftovers(&sandbox);
    assert_eq!(sandbox.shell("cat w/a w/b w/c").text(), "bad\nbad\nbad\n");

    let asked = asked(&sandbox);
    let fields: Vec<&String> = asked[0].as_object().unwrap().keys().collect();
    let named = ["actions", "depth", "diff", "feedback", "node", "root", "score", "siblings"];
    assert_eq!(fields, named);
    let base = json!({
        "node": 0, "depth": 0, "root": answer["base"]["root"], "diff": "", "actions": [],
        "feedback": "0 of 3", "score": 0.0, "siblings": [],
    });
    assert_eq!(asked[0], base);

    let told = events(&sandbox, "out/events.jsonl");
    let steps = of_kind(&told, "step");
    let seen = String::from_utf8(sandbox.read("seen")).unwrap();
    let nodes: HashSet<u64> = asked.iter().map(|one| one["node"].as_u64().unwrap()).collect();
    assert_eq!(nodes.len(), asked.len(), "nobody is asked twice about a state");
    for (one, seen) in asked.iter().zip(seen.lines()).skip(1) {
        let actions: Vec<String> = one["actions"].as_array().unwrap().iter().map(text).collect();
        assert_eq!(one["depth"], actions.len());
        let step = steps.iter().find(|step| step["to"] == one["node"]).unwrap();
        for field in ["root", "score", "feedback"] {
            assert_eq!(one[field], step[field], "{field}");
        }
        let diff = text(&one["diff"]);
        for (file, content) in ["a", "b", "c"].into_iter().zip(seen.split(' ')) {
            let is_mended = actions.contains(&format!("mend {file}"));
            assert_eq!(content == "good", is_mended, "{one} {seen}");
            let hunk = format!("--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-bad\n+good\n");
            assert_eq!(diff.contains(&hunk), is_mended, "{diff}");
        }
        let siblings = one["siblings"].as_array().unwrap();
        assert!(siblings.iter().all(|sibling| sibling["name"] != json!(actions.last())), "{one}");
    }
    let with_siblings = asked.iter().flat_map(|one| one["siblings"].as_array().unwrap()).count();
    assert!(with_siblings > 0, "something else was tried before, somewhere");
}

#[test]
fn what_is_said_to_be_most_promising_is_tried_first() {
    let sandbox = workspace();
    let score = score(&sandbox);
    sandbox.json(proposing(MEND, &score, &["--evaluations", "2", "--out", "out"]));
    let told = events(&sandbox, "out/events.jsonl");
    assert_eq!(of_kind(&told, "step")[0]["action"], "mend c");
    let proposed = of_kind(&told, "proposed")[0];
    assert_eq!((&proposed["node"], &proposed["proposals"]), (&json!(0), &json!(3)));
    assert_eq!((&proposed["left_out"], &proposed["bad_lines"]), (&json!(0), &json!(0)));
}

#[test]
fn good_priors_find_the_target_in_fewer_evaluations_than_bad_ones() {
    let sandbox = workspace();
    let score = score(&sandbox);
    // Among twenty that change something and mend nothing.
    let act = |prior: &str| {
        format!(
            r#"{MEND} | sed 's/"prior": ./"prior": {prior}/'
               for n in $(seq 20); do echo "{{\"name\": \"idle $n\", \"run\": \"touch idle$n\", \"prior\": 1}}"; done"#
        )
    };
    let evaluations = |prior: &str| {
        let act = act(prior);
        let answer = sandbox.json(proposing(&act, &score, &["--target", "1"]));
        assert_eq!(answer["stopped"], "target");
        answer["evaluations"].as_u64().unwrap()
    };
    let (good, bad) = (evaluations("10"), evaluations("0.1"));
    assert!(good * 3 < bad, "{good} {bad}");
}

#[test]
fn priors_of_any_size_are_taken() {
    let sandbox = workspace();
    let score = score(&sandbox);
    for prior in ["0", "1e-40", "3e38"] {
        let act = format!(r#"{MEND} | sed 's/"prior": ./"prior": {prior}/'"#);
        let answer = sandbox.json(proposing(&act, &score, &["--target", "1"]));
        assert_eq!(answer["stopped"], "target", "{prior}");
    }
}

#[test]
fn garbage_among_proposals_is_passed_over_counted_and_said_once() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let act = format!(
        "echo Thinking; {MEND}; echo '{{\"name\": \"x\"}}'; head -c 2000 /dev/urandom | tr -d '\\n'; echo; echo '{{\"name\": \"y\", \"run\": \"touch y\", \"prior\": -3}}'"
    );
    let arguments = proposing(&act, &score, &["--evaluations", "12", "--events", "-"]);
    let answer = sandbox.cascow(arguments).done();
    let lines = answer.json_lines();
    let proposed = of_kind(&lines, "proposed");
    assert!(proposed.len() > 1);
    assert!(proposed.iter().all(|one| one["proposals"] == 3 && one["bad_lines"] == 4));
    let last = lines.last().unwrap();
    assert_eq!(last["bad_proposals"], 4 * proposed.len());
    assert_eq!(answer.stderr.matches("are no proposals").count(), 1, "{}", answer.stderr);
}

#[test]
fn of_a_thousand_proposals_the_first_64_are_taken_and_the_others_counted() {
    let sandbox = workspace();
    let act = "for n in $(seq 1000); do echo \"{\\\"name\\\": \\\"$n\\\", \\\"run\\\": \\\"echo $n > a\\\"}\"; done";
    let arguments = proposing(act, "echo 0.5", &["--depth", "1", "--events", "-"]);
    let answer = sandbox.cascow(arguments).done();
    let lines = answer.json_lines();
    let last = lines.last().unwrap();
    assert_eq!((&last["stopped"], &last["proposals_left_out"]), (&json!("exhausted"), &json!(936)));
    let tried: HashSet<String> =
        of_kind(&lines, "step").iter().map(|step| text(&step["action"])).collect();
    assert_eq!(tried, (1..=64).map(|n| n.to_string()).collect());
    assert_eq!(answer.stderr.matches("936 proposals more").count(), 1, "{}", answer.stderr);
}

#[test]
fn a_proposer_that_fails_hangs_or_says_nothing_leaves_a_state_without_actions_and_says_why() {
    let sandbox = workspace();
    let score = score(&sandbox);
    for (act, problem) in [
        ("echo no key >&2; exit 3", "the proposer failed with exit code 3: no key"),
        ("sleep 1000", "the proposer ran out of time"),
        ("trap '' TERM; while :; do echo x; done", "the proposer ran out of time"),
        ("kill -9 $$", "the proposer was killed by signal 9"),
        ("true", "the proposer printed nothing"),
        ("echo x; echo y", "the proposer printed 2 lines, none of them a proposal"),
        ("no-such-program", "the proposer failed with exit code 127"),
    ] {
        let arguments = proposing(act, &score, &["--timeout", "0.3", "--events", "-"]);
        let answer = sandbox.cascow(arguments).done();
        let lines = answer.json_lines();
        let told = text(&of_kind(&lines, "proposed")[0]["problem"]);
        assert!(told.starts_with(problem), "{act}: {told}");
        assert!(answer.stderr.contains(problem), "{act}: {}", answer.stderr);
        let last = lines.last().unwrap();
        assert_eq!((&last["stopped"], &last["evaluations"]), (&json!("exhausted"), &json!(1)));
        has_no_leftovers(&sandbox);
    }
    // Where only some states have none, the others are gone on with.
    let act = format!("grep -q good c && exit 1; {MEND}");
    let answer = sandbox.json(proposing(&act, &score, &["--target", "0.6"]));
    assert_eq!(answer["stopped"], "target");
}

#[test]
fn a_search_with_a_proposer_goes_on_as_if_it_had_not_stopped() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let limits = ["--evaluations", "9", "--rescore", "--out", "whole"];
    let act = MEND.replace("echo good > $f", "echo good >> $f");
    let whole = sandbox.json(proposing(&act, &score, &limits));
    let counted = format!("echo >> {}; {act}", sandbox.path("asked").display());
    for first in ["1", "2", "5", "8"] {
        let limits = ["--evaluations", first, "--rescore", "--name", first];
        sandbox.json(proposing(&counted, &score, &limits));
        let more = ["search", "--resume", first, "--evaluations", "9", "--out", "parts"];
        assert_eq!(lasting(&sandbox.json(more)), lasting(&whole), "stopped after {first}");
        let told = events(&sandbox, "parts/events.jsonl");
        assert_eq!(told, events(&sandbox, "whole/events.jsonl"), "stopped after {first}");
        let asked = String::from_utf8(sandbox.read("asked")).unwrap().lines().count();
        assert_eq!(asked, of_kind(&told, "proposed").len(), "nobody is asked again");
        sandbox.write("asked", "");
    }
}
