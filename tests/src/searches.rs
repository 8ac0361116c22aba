// SPDX-License-Identifier: MIT
//! What the tests of searches share: a workspace to search in, and what they compare.

use std::collections::HashSet;
use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, text};

/// A workspace with three defects, in files of their own, and six actions: three repairs, and three that fail, harm or do nothing.
pub const ACTIONS: &str = r#"
[[action]]
name = "mend a"
run = "echo good > a"
[[action]]
name = "mend b"
run = "echo good > b"
prior = 0.5
[[action]]
name = "mend c"
run = "test -e c && echo good > c"
[[action]]
name = "fail"
run = "echo good > a; exit 1"
[[action]]
name = "harm"
run = "rm -f c"
[[action]]
name = "nothing"
run = "true"
once = false
"#;

/// An action that leads to ever new states.
pub const ENDLESS: &str = "[[action]]\nname = 'more'\nrun = 'echo x >> a'\nonce = false\n";

/// Actions that are short, lead to ever new states, and meet.
pub const GROWING: &str = "[[action]]\nname = 'x'\nrun = 'echo x >> a'\nonce = false\n[[action]]\nname = 'y'\nrun = 'echo y >> b'\nonce = false\n\
                       [[action]]\nname = 'less'\nrun = 'sed -i 1d a'\nonce = false\n[[action]]\nname = 'c'\nrun = 'echo c >> c'\n";

/// The more lines, up to a dozen in `a`, the better.
pub const LINES: &str = r#"n=$(grep -c x a); m=$(grep -c y b); [ "$n" -gt 12 ] && n=12; echo "{\"score\": 0.$((100 + 5 * n + m % 3)), \"feedback\": \"$n $m\"}""#;

/// A sandbox with that workspace in `w`, its actions and a command that scores it.
pub fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    fill(&sandbox);
    sandbox
}

/// Puts that workspace into a sandbox.
pub fn fill(sandbox: &Sandbox) {
    for name in ["a", "b", "c"] {
        sandbox.write(&format!("w/{name}"), "bad\n");
    }
    sandbox.write("actions.toml", ACTIONS);
    sandbox.write(
        "score.sh",
        "n=0; for f in a b c; do grep -q good $f 2>/dev/null && n=$((n + 1)); done
        case $n in 3) s=1.0;; *) s=0.$((n * 3));; esac
        echo noise; echo \"{\\\"score\\\": $s, \\\"feedback\\\": \\\"$n of 3\\\"}\"\n",
    );
}

/// The arguments of a search over the workspace, with a score command.
pub fn search<'a>(score: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments =
        vec!["search", "--workspace", "w", "--actions", "actions.toml", "--score", score];
    arguments.extend(more);
    arguments
}

/// The command that scores the workspace by how many defects are mended.
pub fn score(sandbox: &Sandbox) -> String {
    format!("sh {}", sandbox.path("score.sh").display())
}

/// No process has left anything where workspaces are.
///
/// # Panics
/// If one has.
#[track_caller]
pub fn has_no_leftovers(sandbox: &Sandbox) {
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).expect("it is there").count(), 0);
}

/// No root is new twice, and the figures say so too.
///
/// # Panics
/// If one is.
#[track_caller]
pub fn is_scored_once(events: &[Value], answer: &Value) {
    let mut met: HashSet<String> = HashSet::from([text(&events[0]["root"])]);
    for event in events.iter().filter(|event| event["outcome"] == "new") {
        assert!(met.insert(text(&event["root"])), "{event} was scored before");
    }
    for event in events.iter().filter(|event| event["outcome"] == "transposition") {
        assert!(met.contains(&text(&event["root"])), "{event} was not met before");
    }
    let count = |field: &str| answer[field].as_u64().expect("a count");
    assert_eq!(met.len() as u64, count("unique_states"));
    assert_eq!(count("evaluations") - count("score_cache_hits"), count("unique_states"));
}

/// The lines of a file of events.
///
/// # Panics
/// If a line is no JSON.
pub fn events(sandbox: &Sandbox, path: &str) -> Vec<Value> {
    let bytes = sandbox.read(path);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("each line is JSON")).collect()
}

/// An answer without what differs from one run to another of the same search: names, times, snapshots (which hold the times at
/// which commands wrote their files; roots do not), and whether it was resumed.
///
/// # Panics
/// If it is no document.
pub fn lasting(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let fields = answer.as_object_mut().expect("an answer is a document");
    for field in ["elapsed_secs", "fork_us", "seal_us", "backtrack_us", "resumed", "search"] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    for state in ["base", "best"] {
        let fields = answer[state].as_object_mut().expect("a state is a document");
        assert!(fields.remove("snapshot").is_some(), "{state}");
    }
    answer
}
