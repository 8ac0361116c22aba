// SPDX-License-Identifier: MIT
//! The board games from outside: counted, analysed and played through the program.

use cascow_tests::sandbox::Sandbox;
use serde_json::json;

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
