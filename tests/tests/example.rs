// SPDX-License-Identifier: MIT
//! The example of the library, as short as it is said to be, does what it says.

#[path = "../../host-native/examples/search.rs"]
#[allow(dead_code, reason = "its main is the program's")]
mod example;

use std::fs;

#[test]
fn the_search_is_embedded_in_less_than_60_lines_and_finds_the_edits_that_belong_together() {
    assert!(include_str!("../../host-native/examples/search.rs").lines().count() < 60);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "one\n").unwrap();
    fs::write(dir.path().join("b"), "two\n").unwrap();
    let score = r#"case $(cat a b | tr '\n' ' ') in '3 4 ') s=1.0;; *3*|*4*) s=0.5;; *) s=0.1;; esac; echo "{\"score\": $s}""#;
    let edits = ["echo 3 > a", "rm b", "echo 4 > b", "false"].map(str::to_owned);
    let (best, patch) = example::improve(dir.path(), score, &edits).unwrap();
    assert_eq!(best, 1.0);
    for line in ["-one", "+3", "-two", "+4"] {
        assert!(patch.lines().any(|found| found == line), "{line} in {patch}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "one\n", "it is only read");
}
