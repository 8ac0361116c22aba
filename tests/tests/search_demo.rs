// SPDX-License-Identifier: MIT
//! The demonstration, as a newcomer runs it, with any seed.

use std::thread;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::Sandbox;
use cascow_tests::searches::is_scored_once;
use serde_json::{Value, json};

#[test]
fn the_demonstration_reaches_its_target_with_every_seed_and_scores_nothing_twice() {
    let sandbox = Sandbox::without_repository();
    let demo = |seed: u32| {
        let out = format!("demo{seed}");
        let answer = sandbox.json(["demo", "--quiet", "--seed", &seed.to_string(), "--out", &out]);
        assert_eq!((&answer["best"]["score"], &answer["stopped"]), (&json!(1.0), &json!("target")));
        assert!(answer["transpositions"].as_u64() > Some(0), "seed {seed}");
        let events = String::from_utf8(sandbox.read(&format!("{out}/events.jsonl"))).unwrap();
        let events: Vec<Value> =
            events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        is_scored_once(&events, &answer);
        sandbox.shell(&format!("patch -p1 -d {out}/invoice < {out}/best.patch"));
        let mut save = sandbox.command(program());
        save.args(["--json", "--repo", &out, "save"]).arg(format!("{out}/invoice"));
        let patched = Answer::of(&mut save).done().json();
        assert_eq!(patched["root"], answer["best"]["root"], "the patch leads to the best state");
    };
    thread::scope(|scope| {
        for half in [1..=5, 6..=10] {
            scope.spawn(move || half.for_each(demo));
        }
    });
}
