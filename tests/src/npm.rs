// SPDX-License-Identifier: MIT
//! The npm package of the browser host: built once, and run in Node.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The repository's own directory.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn cargo_www() -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(repository());
    command.args(["run", "--quiet", "--locked", "--release", "-p", "cascow-www", "--"]);
    command
}

/// The npm package, built once by the one command that builds it.
///
/// # Panics
/// If it does not build.
pub fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let out = repository().join("tests/output/npm");
        let built = cargo_www().arg("build").arg("--out").arg(&out).status().unwrap();
        assert!(built.success(), "the package does not build");
        out
    })
}

/// Copies a directory with all that is in it.
///
/// # Panics
/// If it cannot.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A script that runs the body of an asynchronous function with the package at hand; its value is a promise of what [`gave`] reads.
pub(crate) fn script(package: &str, body: &str) -> String {
    format!(
        "(async () => {{
            const cascow = await import('{package}');
            const {{ init, Database, Search, StateManager, board, boardOf, verify, verifyMany, statisticsOf, contentHash }} = cascow;
            await init();
            const code = async doing => {{ try {{ await doing(); return 'nothing was thrown'; }} catch (error) {{ return error.code ?? String(error); }} }};
            const text = bytes => new TextDecoder().decode(bytes);
            return await (async () => {{ {body} }})();
        }})().then(gave => ({{ gave }}), error => ({{ threw: error.code ?? String(error.stack ?? error) }}))"
    )
}

/// What a [`script`] returned, or what it threw: the error's code, or its text if it has none.
pub(crate) fn gave(value: &Value) -> Result<Value, String> {
    match value["threw"].as_str() {
        Some(threw) => Err(threw.to_owned()),
        None => Ok(value["gave"].clone()),
    }
}

/// Runs the body of an asynchronous function in Node, with the package at hand, and gives what it returns or throws.
///
/// # Errors
/// What it throws: the error's code, or its text if it has none.
///
/// # Panics
/// If there is no Node, or the package does not load.
#[track_caller]
pub fn node(body: &str) -> Result<Value, String> {
    let path = package().canonicalize().unwrap().join("index.js");
    let script = script(&path.display().to_string(), body);
    let output = Command::new("node")
        .args(["--input-type=module", "--eval"])
        .arg(format!("console.log(JSON.stringify(await {script}))"))
        .output()
        .expect("node, which Debian has in the package nodejs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    gave(&serde_json::from_slice(&output.stdout).unwrap())
}
