// SPDX-License-Identifier: MIT
//! A search that was stopped, however it was, goes on as if it never had been.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use cascow_tests::searches::{
    ENDLESS, GROWING, LINES, events, fill, has_no_leftovers, lasting, score, search, workspace,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

/// Kills a search at random moments until it has come to its end, and says how often.
fn kill_until_it_ends(
    sandbox: &Sandbox,
    repository: &str,
    arguments: &[&str],
    steps: u64,
    generator: &mut Xoshiro256PlusPlus,
) -> (u32, Value) {
    let mut kills = 0;
    let begin: Vec<&str> = arguments.iter().copied().chain(["--name", "x"]).collect();
    let go_on = ["search", "--resume", "x"];
    let mut has_begun = false;
    loop {
        let mut command = sandbox.command(program());
        command.args(["--quiet", "--repo", repository]);
        command.args(if has_begun { &go_on[..] } else { &begin[..] });
        command.args(["--events", "-", "--out", &format!("{repository}-out")]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Anywhere: while it begins, is told again, or is in the middle of a try.
        let seen = generator.next_u64() % (steps + 2);
        let delay = Duration::from_micros(generator.next_u64() % 30_000);
        let mut last = String::new();
        let is_over = (0..seen).any(|_| {
            last.clear();
            lines.read_line(&mut last).unwrap() == 0 || last.contains(r#""event":"end""#)
        });
        let start = Instant::now();
        while !is_over && start.elapsed() < delay {
            std::thread::yield_now();
        }
        if !is_over {
            child.kill().unwrap();
        }
        let mut answer = String::new();
        for line in lines.lines() {
            answer = line.unwrap();
        }
        let ended = child.wait_with_output().unwrap();
        has_begun = sandbox.path(repository).join(".cascow/searches/x/plan.json").exists();
        if ended.status.code().is_some() {
            Answer::from(ended).done();
            return (kills, serde_json::from_str(&answer).unwrap());
        }
        kills += 1;
    }
}

/// Kills searches until that was done so many times, and compares each with one that was let be.
fn is_as_if_never_killed(arguments: &[&str], steps: u64, wanted: u32, seed: u64) -> Value {
    let sandbox = Sandbox::without_repository();
    fill(&sandbox);
    sandbox.write("actions.toml", GROWING);
    sandbox.cascow(["--repo", "let-be", "init"]).done();
    let whole = sandbox.json(
        ["--repo", "let-be"]
            .into_iter()
            .chain(arguments.iter().copied())
            .chain(["--out", "let-be-out"]),
    );
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut kills = 0;
    for trial in 0.. {
        if kills >= wanted {
            break;
        }
        let repository = format!("killed{trial}");
        sandbox.cascow(["--repo", &repository, "init"]).done();
        let (times, answer) =
            kill_until_it_ends(&sandbox, &repository, arguments, steps, &mut generator);
        kills += times;
        assert_eq!(lasting(&answer), lasting(&whole), "seed {seed}, trial {trial}");
        assert_eq!(
            events(&sandbox, &format!("{repository}-out/events.jsonl")),
            events(&sandbox, "let-be-out/events.jsonl"),
            "seed {seed}, trial {trial}"
        );
        assert_eq!(
            sandbox.read(&format!("{repository}-out/best.patch")),
            sandbox.read("let-be-out/best.patch")
        );
        sandbox.cascow(["--repo", &repository, "fsck"]).done();
    }
    whole
}

#[test]
fn killed_at_any_moment_and_resumed_it_ends_as_if_never_killed() {
    let arguments = ["search", "--workspace", "w", "--actions", "actions.toml", "--score", LINES];
    let arguments: Vec<&str> = arguments.into_iter().chain(["--evaluations", "60"]).collect();
    is_as_if_never_killed(&arguments, 90, 24, 0x5EED);
}

#[test]
fn killed_at_any_moment_one_that_forgets_ends_as_if_never_killed() {
    let arguments = ["search", "--workspace", "w", "--actions", "actions.toml", "--score", LINES];
    let more = ["--evaluations", "120", "--bytes", "120K"];
    let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
    let whole = is_as_if_never_killed(&arguments, 150, 8, 0xB17E5);
    assert!(whole["forgotten"].as_u64() > Some(0), "{whole}");
}

#[test]
fn what_stopped_at_its_budget_goes_on_with_more_as_if_it_had_had_it_at_first() {
    let sandbox = workspace();
    let score = score(&sandbox);
    let whole = sandbox.json(search(
        &score,
        &["--evaluations", "25", "--out", "whole", "--name", "whole", "--rescore"],
    ));
    let begun =
        sandbox.json(search(&score, &["--evaluations", "5", "--name", "parts", "--rescore"]));
    assert_eq!((&begun["search"], &begun["stopped"]), (&json!("parts"), &json!("evaluations")));
    assert_eq!((&begun["evaluations"], &begun["resumed"]), (&json!(5), &json!(false)));
    let same = sandbox.json(["search", "--resume", "parts"]);
    assert_eq!((&same["evaluations"], &same["resumed"]), (&json!(5), &json!(true)));
    assert_eq!(lasting(&same), lasting(&begun), "nothing was allowed, and nothing was done");
    // What it is scored by must not be run again for what is known.
    let more = ["search", "--resume", "parts", "--evaluations", "25", "--out", "parts"];
    let resumed = sandbox.json(more);
    assert_eq!(lasting(&resumed), lasting(&whole));
    assert_eq!(events(&sandbox, "parts/events.jsonl"), events(&sandbox, "whole/events.jsonl"));
    has_no_leftovers(&sandbox);
    // The budget that was given last is the search's now.
    let last = sandbox.json(["search", "--resume", "parts"]);
    assert_eq!(lasting(&last), lasting(&whole));
}

#[test]
fn what_was_interrupted_goes_on_as_if_it_had_not_been() {
    let sandbox = workspace();
    sandbox.write("actions.toml", GROWING);
    let whole =
        sandbox.json(search(LINES, &["--evaluations", "40", "--out", "whole", "--rescore"]));
    for signal in ["INT", "TERM"] {
        let mut command = sandbox.command(program());
        let more = ["--evaluations", "40", "--name", signal, "--events", "-", "--rescore"];
        command.args(search(LINES, &more)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..15 {
            assert_ne!(lines.read_line(&mut String::new()).unwrap(), 0);
        }
        sandbox.shell(&format!("kill -{signal} {}", child.id()));
        let answer = lines.lines().map(Result::unwrap).last().unwrap();
        Answer::from(child.wait_with_output().unwrap()).done();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["stopped"], "interrupted");
        has_no_leftovers(&sandbox);
        let resumed = sandbox.json(["search", "--resume", signal, "--out", signal]);
        assert_eq!(lasting(&resumed), lasting(&whole));
        let told = events(&sandbox, &format!("{signal}/events.jsonl"));
        assert_eq!(told, events(&sandbox, "whole/events.jsonl"));
    }
}

#[test]
fn commands_die_with_a_search_that_is_killed() {
    let sandbox = workspace();
    let score = format!("sleep 1000 & echo $! $$ > {}; wait", sandbox.path("pids").display());
    let mut command = sandbox.command(program());
    let mut child = command.args(search(&score, &[])).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    let pids = loop {
        let pids = fs::read_to_string(sandbox.path("pids")).unwrap_or_default();
        if pids.ends_with('\n') {
            break pids;
        }
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    for pid in pids.split_whitespace() {
        loop {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") || state.contains(") X ") {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "{state}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn one_process_at_a_time_runs_a_search_and_nobody_forgets_it_meanwhile() {
    let sandbox = workspace();
    sandbox.write("actions.toml", ENDLESS);
    let mut command = sandbox.command(program());
    command
        .args(search("echo 0.5; sleep 0.01", &["--name", "x", "--events", "-", "--time", "600"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    let listed = sandbox.json(["search", "--list"]);
    assert_eq!((&listed[0]["search"], &listed[0]["running"]), (&json!("x"), &json!(true)));
    for arguments in [["search", "--resume", "x"], ["search", "--forget", "x"]] {
        let answer = sandbox.cascow(arguments);
        assert!(answer.error(5).contains("another process is running"), "{}", answer.stderr);
    }
    let answer = sandbox.cascow(search("echo 0.5", &["--name", "x"]));
    assert!(answer.error(2).contains("--resume x"), "{}", answer.stderr);
    sandbox.cascow(["gc", "--grace", "0"]).done();
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = sandbox.json(["search", "--resume", "x", "--evaluations", "1", "--time", "60"]);
    assert_eq!(resumed["stopped"], "evaluations");
    sandbox.cascow(["search", "--forget", "x"]).done();
    assert_eq!(sandbox.json(["search", "--list"]), json!([]));
    for arguments in [["search", "--resume", "x"], ["search", "--forget", "x"]] {
        assert!(sandbox.cascow(arguments).error(3).contains("no search"), "it is gone");
    }
}

#[test]
fn names_are_given_to_those_that_have_none() {
    let sandbox = workspace();
    for (number, name) in [(1, "search-1"), (2, "search-2")] {
        let answer = sandbox.json(search("echo 0.5", &["--evaluations", "2"]));
        assert_eq!(text(&answer["search"]), name, "{number}");
    }
    sandbox.cascow(["search", "--forget", "search-1"]).done();
    let told = sandbox.cascow(search("echo 0.5", &["--evaluations", "2"])).done();
    assert!(told.text().contains("--resume search-1"), "{}", told.text());
}
