// SPDX-License-Identifier: MIT
//! The `cascow` program, built once for the tests of it, and what it answered.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The program, in the profile of the tests.
///
/// # Panics
/// If it does not build.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--quiet", "--message-format=json"]);
        cargo.args(["-p", "cascow-native", "--bin", "cascow"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).expect("cargo speaks JSON");
        let executable = |line: &str| {
            let message: Value = serde_json::from_str(line).expect("cargo speaks JSON");
            message["executable"].as_str().map(PathBuf::from)
        };
        messages.lines().filter_map(executable).next_back().expect("cargo names what it built")
    })
}

/// What the program answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Answer {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it does not start, or is killed.
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().expect("the command starts"))
    }

    /// The answer of one that was to succeed.
    ///
    /// # Panics
    /// If it did not.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.text(), self.stderr);
        self
    }

    /// Standard output as text.
    ///
    /// # Panics
    /// If it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is text")
    }

    /// The one JSON document on standard output.
    ///
    /// # Panics
    /// If there is not exactly one.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{error}: {:?} {}", self.text(), self.stderr))
    }

    /// The JSON documents on standard output, one a line.
    ///
    /// # Panics
    /// If a line is none.
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).expect("each line is a JSON document");
        self.text().lines().map(parse).collect()
    }

    /// The message of an answer that was to be an error with this exit code: one line, and nothing else anywhere.
    ///
    /// # Panics
    /// If it is not that.
    #[track_caller]
    pub fn error(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stdout.is_empty(), "an error prints nothing: {}", self.text());
        let message = self.stderr.strip_prefix("cascow: ").and_then(|text| text.strip_suffix('\n'));
        let message = message.unwrap_or_else(|| panic!("no error's form: {:?}", self.stderr));
        assert!(!message.contains('\n'), "an error is one line: {message}");
        assert!(!message.contains("panicked"), "an error is no panic: {message}");
        message
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        let code = code.unwrap_or_else(|| panic!("killed: {} {stderr}", output.status));
        Self { code, stdout: output.stdout, stderr }
    }
}
