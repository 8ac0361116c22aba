// SPDX-License-Identifier: MIT
//! What a search may use, and what it shows while it does.

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches::{ENDLESS, GROWING, LINES, has_no_leftovers, score, search, workspace};
use serde_json::json;

#[test]
fn a_budget_of_nothing_is_refused_in_words() {
    let sandbox = workspace();
    sandbox.json(search("echo 0.5", &["--evaluations", "1", "--name", "x"]));
    for (limit, word) in [
        (["--evaluations", "0"], "at least 1"),
        (["--time", "0"], "more"),
        (["--bytes", "0"], "0 bytes"),
        (["--workers", "0"], "at least 1 worker"),
        (["--workers", "257"], "at most 256 workers"),
        (["--target", "1.5"], "from 0 to 1"),
    ] {
        let begun = sandbox.cascow(search("echo 0.5", &limit));
        assert!(begun.error(2).contains(word), "{limit:?}: {}", begun.stderr);
        let resumed = sandbox.cascow(["search", "--resume", "x"].into_iter().chain(limit));
        assert!(resumed.error(2).contains(word), "{limit:?}: {}", resumed.stderr);
    }
    assert_eq!(sandbox.json(["search", "--list"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_a_search_began_with_cannot_be_changed_when_it_goes_on() {
    let sandbox = workspace();
    sandbox.json(search("echo 0.5", &["--evaluations", "1", "--name", "x"]));
    for change in [
        ["--seed", "3"],
        ["--depth", "3"],
        ["--workspace", "w"],
        ["--score", "true"],
        ["--act", "true"],
        ["--actions", "actions.toml"],
        ["--repeat", "2"],
        ["--timeout", "2"],
        ["--name", "y"],
    ] {
        sandbox.cascow(["search", "--resume", "x"].into_iter().chain(change)).error(2);
    }
    sandbox.cascow(["search", "--workspace", "w", "--score", "true"]).error(2);
    let both = search("true", &["--act", "true"]);
    sandbox.cascow(both).error(2);
}

#[test]
fn within_few_bytes_a_search_forgets_and_goes_on() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    let free = sandbox.json(search(LINES, &["--evaluations", "300"]));
    assert_eq!(free["forgotten"], 0);
    let limits = ["--evaluations", "300", "--bytes", "120K", "--out", "out"];
    let answer = sandbox.json(search(LINES, &limits));
    assert_eq!((&answer["stopped"], &answer["evaluations"]), (&json!("evaluations"), &json!(300)));
    assert!(answer["forgotten"].as_u64() > Some(50), "{answer}");
    // What was forgotten and is met again is known by its score.
    assert!(answer["score_cache_hits"].as_u64() > answer["transpositions"].as_u64(), "{answer}");
    sandbox.shell("patch -p1 -d w < out/best.patch");
    assert_eq!(sandbox.root("w"), text(&answer["best"]["root"]));
    has_no_leftovers(&sandbox);
}

#[test]
fn the_best_state_stays_when_its_node_is_forgotten() {
    let sandbox = workspace();
    // The second state is the best there ever is; all beyond are worth less, and there is no end of them.
    sandbox.write("actions.toml", ENDLESS);
    let score = "n=$(grep -c x a); [ \"$n\" = 2 ] && echo 0.9 || echo 0.$((100 + n))";
    let limits = ["--evaluations", "300", "--bytes", "1K", "--out", "out"];
    let answer = sandbox.json(search(score, &limits));
    assert!(answer["forgotten"].as_u64() > Some(50), "{answer}");
    assert_eq!(answer["best"]["score"], 0.9);
    assert_eq!(answer["best"]["actions"], json!(["more", "more"]));
    sandbox.shell("patch -p1 -d w < out/best.patch; test $(grep -c x w/a) = 2");
}

#[test]
fn actions_that_undo_each_other_do_not_keep_a_search_for_ever() {
    let sandbox = workspace();
    sandbox.write(
        "actions.toml",
        "[[action]]\nname = 'up'\nrun = 'echo good > a'\nonce = false\n[[action]]\nname = 'down'\nrun = 'echo bad > a'\nonce = false\n",
    );
    let score = score(&sandbox);
    let answer = sandbox.json(search(&score, &["--evaluations", "100000"]));
    assert_eq!((&answer["stopped"], &answer["unique_states"]), (&json!("exhausted"), &json!(2)));
}

/// What a shell's command writes to a terminal.
fn on_a_terminal(sandbox: &Sandbox, line: &str) -> String {
    let mut python = sandbox.command("python3");
    let script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['sh', '-c', sys.argv[1]])))";
    let answer = Answer::of(python.args(["-c", script, line]).env("TERM", "xterm")).done();
    String::from_utf8_lossy(&answer.stdout).into_owned()
}

#[test]
fn a_terminal_is_shown_best_score_evaluations_states_transpositions_and_forks_a_second() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    sandbox.write("score.sh", LINES);
    // Longer than the window over which forks are counted.
    let program = program().display();
    let base = "search --workspace w --actions actions.toml --evaluations 100000 --time 3";
    let score = format!("--score 'sh {}'", sandbox.path("score.sh").display());
    let shown = on_a_terminal(&sandbox, &format!("{program} {base} {score} > answer"));
    let is_whole = |line: &str| {
        ["best 0.1", " evaluations, ", " states, ", " transpositions, ", " forks/s"]
            .iter()
            .all(|part| line.contains(part))
    };
    assert!(shown.split('\r').any(is_whole), "{shown:?}");
    let answer = String::from_utf8(sandbox.read("answer")).unwrap();
    assert!(answer.contains("kept as \"search-1\"") && !answer.contains("forks/s"), "{answer}");
    // Neither where it is not wanted, nor where nobody looks.
    let quiet = on_a_terminal(&sandbox, &format!("{program} --quiet {base} {score} > answer"));
    assert_eq!(quiet, "");
    let score = format!("sh {}", sandbox.path("score.sh").display());
    let answer = sandbox.cascow(search(&score, &["--evaluations", "20"])).done();
    assert_eq!(answer.stderr, "");
}
