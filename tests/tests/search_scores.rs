// SPDX-License-Identifier: MIT
//! What a search knows of scores that others found: a score command is not run on what it has scored, whichever search that was.

use std::process::Stdio;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::Sandbox;
use cascow_tests::searches::{GROWING, score, search, workspace};
use serde_json::json;

/// A command that leaves a line in `seen` each time that it scores.
fn counted(sandbox: &Sandbox) -> String {
    format!("echo >> {}; {}", sandbox.path("seen").display(), score(sandbox))
}

/// How often that command has run since this was asked last.
fn runs(sandbox: &Sandbox) -> u64 {
    let path = sandbox.path("seen");
    let lines = std::fs::read_to_string(&path).unwrap_or_default().lines().count() as u64;
    sandbox.write("seen", "");
    lines
}

#[test]
fn what_one_search_has_scored_no_other_scores_with_the_same_command_as_often() {
    let sandbox = workspace();
    let score = counted(&sandbox);
    let first = sandbox.json(search(&score, &["--evaluations", "20"]));
    let states = first["unique_states"].as_u64().unwrap();
    assert_eq!(runs(&sandbox), states);
    let second = sandbox.json(search(&score, &["--evaluations", "20"]));
    assert_eq!(runs(&sandbox), 0);
    assert_eq!(second["score_cache_hits"], second["evaluations"]);
    assert_eq!(second["best"]["root"], first["best"]["root"]);
    // Another beginning, of which some states are known.
    sandbox.shell("echo good > w/a");
    let other = sandbox.json(search(&score, &["--evaluations", "20"]));
    let known =
        other["score_cache_hits"].as_u64().unwrap() - other["transpositions"].as_u64().unwrap();
    assert!(known > 0, "{other}");
    assert_eq!(runs(&sandbox), other["unique_states"].as_u64().unwrap() - known);
    sandbox.shell("echo bad > w/a");
    // Asked for another thing, or for the same anew.
    for (score, more, times) in [
        (format!("{score} "), &["--evaluations", "20"][..], 1),
        (score.clone(), &["--evaluations", "20", "--repeat", "2"], 2),
        (score, &["--evaluations", "20", "--rescore"], 1),
    ] {
        let answer = sandbox.json(search(&score, more));
        assert_eq!(runs(&sandbox), times * answer["unique_states"].as_u64().unwrap(), "{more:?}");
        assert_eq!(answer["score_cache_hits"], answer["transpositions"], "{more:?}");
    }
}

#[test]
fn a_score_that_was_cut_short_is_not_believed_by_the_next_search() {
    let sandbox = workspace();
    let slow = sandbox.path("slow").display().to_string();
    for cut in ["sleep 1000", "kill -9 $$"] {
        sandbox.write("slow", "");
        let score = format!("if [ -e {slow} ]; then {cut}; fi; echo 0.75");
        let answer = sandbox.json(search(&score, &["--evaluations", "1", "--timeout", "0.3"]));
        assert_eq!(answer["best"]["score"], 0.0);
        sandbox.shell("rm slow");
        let answer = sandbox.json(search(&score, &["--evaluations", "1"]));
        assert_eq!(
            (&answer["best"]["score"], &answer["score_cache_hits"]),
            (&json!(0.75), &json!(0))
        );
        let answer = sandbox.json(search(&score, &["--evaluations", "1"]));
        assert_eq!(
            (&answer["best"]["score"], &answer["score_cache_hits"]),
            (&json!(0.75), &json!(1))
        );
    }
}

#[test]
fn a_flaky_score_is_the_mean_of_as_many_runs_as_were_asked_for() {
    let sandbox = workspace();
    let count = sandbox.path("count").display().to_string();
    let score = format!("echo >> {count}; n=$(wc -l < {count}); echo 0.$((n % 4 * 2))");
    for (repeat, expected) in [("1", 0.2), ("4", 0.3)] {
        sandbox.write("count", "");
        let answer = sandbox.json(search(&score, &["--evaluations", "1", "--repeat", repeat]));
        let found = answer["best"]["score"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{repeat}: {found}");
    }
}

#[test]
fn searches_at_the_same_time_enter_their_scores_without_harm() {
    let sandbox = workspace();
    let score = counted(&sandbox);
    let begin = |seed: &str| {
        let mut command = sandbox.command(program());
        command.args(["--json"]).args(search(&score, &["--seed", seed]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [begin("1"), begin("2"), begin("3")];
    let mut states = 0;
    for child in both {
        let answer = Answer::from(child.wait_with_output().unwrap()).done().json();
        assert_eq!(answer["best"]["score"], 1.0);
        states += answer["unique_states"].as_u64().unwrap();
    }
    assert!(runs(&sandbox) <= states);
    for seed in ["1", "2", "3"] {
        let answer = sandbox.json(search(&score, &["--seed", seed]));
        assert_eq!(answer["score_cache_hits"], answer["evaluations"]);
    }
    assert_eq!(runs(&sandbox), 0);
}

#[test]
fn damaged_scores_are_no_scores_and_the_next_ones_are_entered_behind_those_that_are_whole() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    let score = counted(&sandbox);
    let first = sandbox.json(search(&score, &["--evaluations", "20"]));
    let states = first["unique_states"].as_u64().unwrap();
    let name = sandbox.shell("ls .cascow/scores").text().trim().to_owned();
    let path = format!(".cascow/scores/{name}");
    let whole = sandbox.read(&path);
    runs(&sandbox);
    for part in 1..6 {
        let at = 8 + (whole.len() - 8) * part / 6;
        let mut changed = whole.clone();
        changed[at] ^= 1;
        for damaged in [&whole[..at], &changed] {
            sandbox.write(&path, damaged);
            let answer = sandbox.json(search(&score, &["--evaluations", "20"]));
            assert_eq!(answer["best"]["root"], first["best"]["root"]);
            let again = runs(&sandbox);
            assert!(0 < again && again < states, "{at}: {again} of {states}");
            sandbox.json(search(&score, &["--evaluations", "20"]));
            assert_eq!(runs(&sandbox), 0, "{at}");
        }
    }
    sandbox.write(&path, "another thing");
    let answer = sandbox.cascow(search(&score, &["--evaluations", "20"]));
    assert!(answer.error(4).contains("/scores/"), "{}", answer.stderr);
    sandbox.cascow(search(&score, &["--evaluations", "20", "--rescore"])).done();
}
