// SPDX-License-Identifier: MIT
//! The board games from outside: counted, analysed and played through the program.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[test]
fn perft_prints_the_published_counts() {
    let sandbox = Sandbox::without_repository();
    let connect4 = sandbox.json(["perft", "connect4", "8"]);
    assert_eq!((&connect4["paths"], &connect4["states"]), (&json!(5_673_234), &json!(184_275)));
    let othello = sandbox.json(["perft", "othello", "8"]);
    assert_eq!(othello["paths"], 390_216);
    let start = sandbox.json(["perft", "othello", "0"]);
    assert_eq!((&start["paths"], &start["states"]), (&json!(1), &json!(1)));
    let text = sandbox.cascow(["perft", "connect4", "3"]).done();
    assert!(text.text().contains("343") && text.text().contains("238"), "{}", text.text());
}

#[test]
fn an_unknown_game_or_depth_is_a_usage_error_that_names_it() {
    let sandbox = Sandbox::without_repository();
    assert!(sandbox.cascow(["perft", "chess", "3"]).error(2).contains("chess"));
    for depth in ["-1", "x", "99999999999999999999"] {
        assert!(sandbox.cascow(["perft", "connect4", depth]).error(2).contains(depth));
    }
}

/// What an answer says but for what depends on the clock.
fn without_times(mut answer: Value) -> Value {
    for field in ["elapsed_secs", "playouts_per_sec"] {
        assert!(answer[field].as_f64() > Some(0.0), "{answer}");
        answer.as_object_mut().unwrap().remove(field);
    }
    answer
}

#[test]
fn an_analysis_has_the_fields_of_the_contract() {
    let sandbox = Sandbox::without_repository();
    let answer = sandbox.json(["analyze", "connect4", "--moves", "4453", "--nodes", "5000"]);
    assert_eq!((&answer["playouts"], &answer["stopped"]), (&json!(5000), &json!("nodes")));
    assert_eq!((&answer["proven"], &answer["unique_states"]), (&json!(false), &json!(5000)));
    assert!(answer["bytes"].as_u64() > Some(5000 * 8), "{answer}");
    assert!(answer["playouts_per_sec"].as_f64() > Some(0.0), "{answer}");
    let moves = answer["moves"].as_array().unwrap();
    assert_eq!(moves[0]["move"], answer["best_move"]);
    let mut names: Vec<String> = moves.iter().map(|one| text(&one["move"])).collect();
    names.sort();
    assert_eq!(names.concat(), "1234567");
    for value in moves.iter().map(|one| &one["value"]).chain([&answer["value"]]) {
        assert!((0.0..=1.0).contains(&value.as_f64().unwrap()), "{answer}");
    }
    // A visit is a descent, which plays on from up to seven positions.
    let visits: u64 = moves.iter().map(|one| one["visits"].as_u64().unwrap()).sum();
    assert!((5000 / 7..=5000).contains(&visits), "{visits}");
}

#[test]
fn one_worker_with_one_seed_gives_one_answer() {
    let sandbox = Sandbox::without_repository();
    for game in ["connect4", "othello"] {
        let analyze = |seed| {
            let nodes = ["analyze", game, "--nodes", "3000", "--seed", seed];
            without_times(sandbox.json(nodes))
        };
        assert_eq!(analyze("7"), analyze("7"));
        assert_ne!(analyze("7"), analyze("8"));
    }
}

#[test]
fn several_workers_make_exactly_the_playouts_that_were_asked_for() {
    let sandbox = Sandbox::without_repository();
    for (game, workers) in [("connect4", "2"), ("connect4", "5"), ("othello", "3")] {
        let answer = sandbox.json([
            "analyze",
            game,
            "--nodes",
            "20000",
            "--workers",
            workers,
            "--time",
            "300",
        ]);
        assert_eq!((&answer["playouts"], &answer["stopped"]), (&json!(20_000), &json!("nodes")));
        assert_eq!(answer["workers"].to_string(), workers);
        assert_eq!(answer["unique_states"], 20_000);
    }
}

#[test]
fn one_playout_is_enough_for_an_answer() {
    let sandbox = Sandbox::without_repository();
    for workers in ["1", "2"] {
        let answer = sandbox.json(["analyze", "othello", "--nodes", "1", "--workers", workers]);
        assert_eq!(answer["playouts"], 1);
        assert_eq!(
            (&answer["best_move"], answer["moves"].as_array().unwrap().len()),
            (&json!("d3"), 4)
        );
    }
}

#[test]
fn values_are_in_the_view_of_the_side_to_move() {
    let sandbox = Sandbox::without_repository();
    let analyze =
        |moves| sandbox.json(["analyze", "connect4", "--moves", moves, "--nodes", "100000"]);
    // X has three in column 1 and is to move; then O has, in column 7.
    for (moves, best) in [("121212", "1"), ("3717271", "7")] {
        let answer = analyze(moves);
        assert_eq!((&answer["best_move"], &answer["value"]), (&json!(best), &json!(1.0)));
        assert_eq!((&answer["proven"], &answer["stopped"]), (&json!(true), &json!("exhausted")));
        let best = &answer["moves"][0];
        assert_eq!((&best["value"], &best["proven"]), (&json!(1.0), &json!(true)));
    }
    // X has three in the lowest row, open at both ends, and O is to move.
    let answer = analyze("33445");
    assert_eq!((&answer["value"], &answer["proven"]), (&json!(0.0), &json!(true)));
    let text = sandbox.cascow(["analyze", "connect4", "--moves", "33445", "--nodes", "100000"]);
    let text = text.done();
    assert!(text.text().contains(", a sure loss for O"), "{}", text.text());
}

#[test]
fn a_small_byte_limit_is_kept_and_the_search_goes_on() {
    let sandbox = Sandbox::without_repository();
    for workers in ["1", "2"] {
        let answer = sandbox.json([
            "analyze",
            "connect4",
            "--nodes",
            "100000",
            "--bytes",
            "1000000",
            "--workers",
            workers,
        ]);
        assert_eq!(answer["playouts"], 100_000);
        assert!(answer["forgotten"].as_u64() > Some(0), "{answer}");
        // It is looked at between batches of steps, and a batch adds a few hundred nodes a worker.
        assert!(answer["bytes"].as_u64() < Some(1_200_000), "{answer}");
    }
}

#[test]
fn positions_that_cannot_be_are_usage_errors_in_a_line() {
    let sandbox = Sandbox::without_repository();
    let error =
        |game, moves| sandbox.cascow(["analyze", game, "--moves", moves]).error(2).to_owned();
    assert!(error("connect4", "4458").contains("move 4: expected a column from 1 to 7"));
    assert!(error("connect4", "4444444").contains("move 7, 4: the column is full"));
    assert!(error("connect4", "12121217").contains("move 8, 7: the game is over"));
    assert!(error("connect4", "1212121").contains("no moves: the game is over, X has won"));
    assert!(error("othello", "f5f5").contains("move 2, f5: the square is taken"));
    assert!(error("othello", "e6f4e3f6g5d6e7f5c5").contains("the game is over, X has won"));
    assert!(error("othello", "f5\n\u{1b}[2J").contains("move 2: expected a square"));
    for (option, value) in
        [("--nodes", "0"), ("--time", "0"), ("--time", "-1"), ("--workers", "0"), ("--bytes", "0")]
    {
        let message = format!("{option}={value}");
        let answer = sandbox.cascow(["analyze", "connect4", &message]);
        assert!(answer.error(2).contains(option), "{}", answer.stderr);
    }
    let json = sandbox.cascow(["--json", "analyze", "connect4", "--moves", "9"]);
    assert_eq!((json.code, &json.json()["error"]["code"]), (2, &json!("usage")));
}

/// Starts the program with pipes to its standard streams.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut command = sandbox.command(program());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Sends Ctrl-C's signal once the process handles it, which it does when it handles SIGTERM: it takes that one up last.
fn interrupt(child: &Child) {
    let handles = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (Signal::TERM.as_raw() - 1) & 1 == 1
    };
    while !handles() {
        std::thread::yield_now();
    }
    let process = Pid::from_child(child);
    kill_process(process, Signal::INT).unwrap();
}

#[test]
fn an_interrupted_analysis_says_what_it_found() {
    let sandbox = Sandbox::without_repository();
    for workers in ["1", "2"] {
        let arguments = ["--json", "analyze", "connect4", "--time", "3600", "--workers", workers];
        let child = start(&sandbox, &arguments);
        interrupt(&child);
        let answer = Answer::from(child.wait_with_output().unwrap()).done().json();
        assert_eq!(answer["stopped"], "interrupted");
        assert!(answer["playouts"].as_u64() > Some(0));
    }
}

/// A game with `lines` on standard input.
fn play(sandbox: &Sandbox, arguments: &[&str], lines: &str) -> Answer {
    let mut child = start(sandbox, &[&["play"], arguments].concat());
    // One who has ended the game reads no more.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    Answer::from(child.wait_with_output().unwrap())
}

#[test]
fn a_game_is_played_from_a_pipe_with_hints_and_moves_taken_back() {
    let sandbox = Sandbox::without_repository();
    let limits = ["connect4", "--nodes", "2000"];
    let answer = play(&sandbox, &limits, "4\nh\nu\n3\nq\n").done();
    let said = answer.text();
    assert!(said.contains("You are X, the search is O."), "{said}");
    assert_eq!(said.matches("O plays ").count(), 2, "{said}");
    assert_eq!(said.matches("Hint: ").count(), 1, "{said}");
    // After the move taken back the board is empty again.
    let empty = format!("{}1 2 3 4 5 6 7", ". . . . . . .\n".repeat(6));
    assert_eq!(said.matches(&empty).count(), 2, "{said}");
    assert!(said.ends_with("The game ends here.\n"), "{said}");
    assert_eq!(answer.stderr, "");
    assert_eq!(play(&sandbox, &limits, "4\nh\nu\n3\nq\n").text(), said);
}

#[test]
fn a_game_goes_on_after_what_is_no_move() {
    let sandbox = Sandbox::without_repository();
    let lines = "9\n\u{1b}[2J\n45\nu\n?\n4\n";
    let answer = play(&sandbox, &["connect4", "--nodes", "500", "--moves", "444444"], lines).done();
    let said = answer.text();
    assert!(said.contains("Expected a column from 1 to 7, u, h or q; found \"9\""), "{said}");
    assert!(said.contains("found \"\\u{1b}[2J\"") && !said.contains('\u{1b}'), "{said}");
    assert!(said.contains("found \"45\""), "{said}");
    assert!(said.contains("There is nothing to take back."), "{said}");
    assert!(said.contains("4 cannot be played: the column is full."), "{said}");
    assert!(said.ends_with("The game ends here.\n"), "the end of the pipe ends it: {said}");
}

#[test]
fn a_game_ends_with_its_result() {
    let sandbox = Sandbox::without_repository();
    let won = play(&sandbox, &["connect4", "--moves", "121212", "--nodes", "10"], "1\n").done();
    assert!(won.text().ends_with("The game is over: X has won.\n"), "{}", won.text());
    let lost = ["connect4", "--moves", "121212", "--seat", "second", "--nodes", "1000"];
    let lost = play(&sandbox, &lost, "").done();
    assert!(lost.text().contains("X plays 1: a sure win for X"), "{}", lost.text());
    assert!(lost.text().ends_with("The game is over: X has won.\n"), "{}", lost.text());
}

/// White is the person, who has no move there after black's.
#[test]
fn a_pass_that_is_forced_is_made_and_said() {
    let sandbox = Sandbox::without_repository();
    // The person's choices lead through a whole game: always the hint's move would need a reader, so all squares are tried in turn.
    let squares: String = (0..64)
        .flat_map(|_| {
            (1..=8).flat_map(|row| ('a'..='h').map(move |column| format!("{column}{row}\n")))
        })
        .collect();
    let mut passes = 0;
    for seed in ["1", "2", "3", "4"] {
        let arguments = ["othello", "--nodes", "50", "--seed", seed];
        let answer = play(&sandbox, &arguments, &squares).done();
        assert!(answer.text().contains("The game is over: "), "{}", answer.text());
        passes += answer.text().matches(" has no move but pass.").count();
    }
    assert!(passes > 0, "no game had a pass");
}

#[test]
fn ctrl_c_ends_a_game_that_waits_for_a_move() {
    let sandbox = Sandbox::without_repository();
    let mut child = start(&sandbox, &["play", "connect4"]);
    let input = child.stdin.take();
    // It waits once it has asked.
    let mut said = Vec::new();
    let mut output = child.stdout.take().unwrap();
    while !said.ends_with(b"X to move: ") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    interrupt(&child);
    output.read_to_end(&mut said).unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(String::from_utf8(said).unwrap().ends_with("The game ends here.\n"));
}

#[test]
fn ctrl_c_ends_a_game_while_the_search_thinks() {
    let sandbox = Sandbox::without_repository();
    let child = start(&sandbox, &["play", "connect4", "--seat", "second", "--time", "3600"]);
    interrupt(&child);
    let answer = Answer::from(child.wait_with_output().unwrap()).done();
    assert!(answer.text().ends_with("The game ends here.\n"), "{}", answer.text());
}

#[test]
fn a_game_is_not_for_json() {
    let sandbox = Sandbox::without_repository();
    let answer = sandbox.cascow(["--json", "play", "connect4"]);
    assert_eq!((answer.code, &answer.json()["error"]["code"]), (2, &json!("usage")));
    assert!(sandbox.cascow(["play", "othello", "--moves", "a1"]).error(2).contains("a1"));
}
