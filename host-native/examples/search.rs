// SPDX-License-Identifier: MIT
//! The search embedded in a program: which edits of a directory, together, make a command content with it?
//!
//! `cargo run --release -p cascow-native --example search -- DIR SCORE EDIT...`: every EDIT and SCORE is a shell command, run in a
//! private copy of DIR, which is only read. SCORE ends with 0, or prints `{"score": 0.7}`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cascow_core::hash::HashKind;
use cascow_native::Error;
use cascow_native::repository::Repository;
use cascow_native::search::{Action, Budget, Plan, search};
use cascow_native::store::StoreKind;
use cascow_native::workspace::Materialize;

/// The best score found within 200 evaluations, and what changes DIR so, as a patch.
pub(crate) fn improve(dir: &Path, score: &str, edits: &[String]) -> Result<(f64, String), Error> {
    // Kept for as long as this runs; one that lasts could be shared by several programs.
    let home = tempfile::tempdir().map_err(Error::io("create", "a temporary directory"))?;
    let repository = Repository::init(home.path(), HashKind::Sha256, StoreKind::Segments)?;
    let action =
        |run: &String| Action { name: run.clone(), run: run.clone(), prior: 1.0, once: true };
    let actions: Vec<Action> = edits.iter().map(action).collect();
    let plan = Plan {
        workspace: dir,
        results: None,
        actions: &actions,
        score_command: score,
        repeat: 1,
        timeout: Duration::from_secs(60),
        depth: None,
        seed: 0,
        materialize: Materialize::Auto,
        budget: Budget { evaluations: Some(200), time: None, target: 1.0 },
    };
    // The closure is called with all that happens, for a progress bar or a log; setting the flag stops the search early.
    let outcome = search(&repository, &plan, &AtomicBool::new(false), &mut |_| Ok(()))?;
    Ok((outcome.report.best.score, outcome.report.best.patch))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let improved = match &arguments[..] {
        [dir, score, edits @ ..] => improve(Path::new(dir), score, edits),
        _ => Err(Error::Misuse("usage: search DIR SCORE EDIT...".to_owned())),
    };
    match improved {
        Ok((score, patch)) => println!("score {score}\n{patch}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
