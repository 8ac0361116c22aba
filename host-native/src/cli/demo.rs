// SPDX-License-Identifier: MIT
//! `demo`: the main job on the bundled example, start to end, with a report that a person understands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cascow_core::hash::HashKind;
use cascow_native::Error;
use cascow_native::repository::Repository;
use cascow_native::search::{Outcome, Plan, Report, Stopped, Summary, read_actions};
use cascow_native::store::StoreKind;

use super::args::Demo;
use super::output::Output;
use super::search::{
    Begin, Sinks, budget, json_answer, observe_search, stopped_in_words, write_results,
};
use super::{Answer, bundled};

/// How long any command of the example may take: a repair or a test run takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn demo(args: &Demo, output: &Output) -> Result<Answer, Error> {
    let dir = place(args.out.as_deref())?;
    let (workspace, actions) = (dir.join("invoice"), dir.join("actions.toml"));
    bundled::write(&workspace, &actions)?;
    let repository = Repository::init(&dir, HashKind::Sha256, StoreKind::default())?;
    let candidates = read_actions(&actions)?;
    let number = candidates.len();
    let default = Plan::new(&workspace, bundled::SCORE_COMMAND);
    let plan = Plan {
        actions: candidates,
        timeout: TIMEOUT,
        depth: args.limits.depth,
        seed: args.limits.seed.unwrap_or(default.seed),
        workers: args.limits.workers.unwrap_or(default.workers),
        budget: budget(&args.limits, None),
        ..default
    };
    output.message(&format!(
        "A small program that prints invoices is broken in ten places, and there are {number} candidate repairs:\n\
         right, wrong, useless and contradictory ones. The search tries them in private forks of the program,\n\
         scores each state by the program's own tests, and jumps back.\n"
    ));
    let mut sinks = Sinks::open(Some(&dir), None)?;
    let begin = Begin::New(Box::new(plan));
    let outcome = observe_search(&repository, begin, output, &mut |event| sinks.write(event))?;
    sinks.finish()?;
    write_results(&dir, &repository, &outcome)?;
    verify(&dir, &outcome)?;
    output.answer(&json_answer(&outcome), || describe(&outcome, &dir))?;
    Ok((outcome.stopped == Stopped::Target).into())
}

/// A new or empty directory of the user's, or a temporary one that stays.
fn place(out: Option<&Path>) -> Result<PathBuf, Error> {
    let Some(dir) = out else {
        let dir = tempfile::Builder::new().prefix("cascow-demo-").tempdir();
        return Ok(dir.map_err(Error::io("create a directory in", std::env::temp_dir()))?.keep());
    };
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let mut entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
    if entries.next().is_some() {
        return Err(Error::Misuse(format!(
            "{dir:?} is not empty; the demo needs a new or empty directory"
        )));
    }
    Ok(dir.to_owned())
}

/// The proof that was written is one, of the root that is reported.
fn verify(dir: &Path, outcome: &Outcome) -> Result<(), Error> {
    let path = dir.join("best.proof");
    if outcome.best.root == outcome.base.root {
        return Ok(());
    }
    let proof = fs::read(&path).map_err(Error::io("read", &path))?;
    match cascow_core::merkle::verify(&proof, &outcome.best.root) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Unavailable(format!("{path:?} does not verify: {error}"))),
    }
}

fn describe(outcome: &Outcome, dir: &Path) -> String {
    let Report { figures, base, best, .. } = &outcome.report;
    let found = match outcome.stopped {
        Stopped::Target => "Found a combination that passes every test".to_owned(),
        stopped => format!("Stopped {}; the best so far", stopped_in_words(stopped)),
    };
    let percent = |score: f64| format!("{:.1} %", 100.0 * score);
    let actions: String = best
        .actions
        .iter()
        .enumerate()
        .map(|(nth, name)| format!("  {:>2}. {name}\n", nth + 1))
        .collect();
    let lines = |sign: char, header: &str| {
        best.patch
            .lines()
            .filter(|line| line.starts_with(sign) && !line.starts_with(header))
            .count()
    };
    let files = best.patch.lines().filter(|line| line.starts_with("diff --git ")).count();
    let times = |summary: &Summary| {
        format!("p50 {:.2} ms, p95 {:.2} ms", summary.p50 as f64 / 1e3, summary.p95 as f64 / 1e3)
    };
    let dir = quoted(&dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
    let cascow = program();
    format!(
        "{found}: tests passed {} -> {}\n\n{actions}\n\
         changed        {files} files, +{} -{} lines\n\
         searched       {} evaluations in {:.1} s; {} actions failed, {} changed nothing\n\
         states         {} unique, each scored once; {} transpositions met one of them again\n\
         fork           {}\n\
         backtrack      {}\n\
         best snapshot  {}\n\
         its root       {}\n\n\
         See it:     {dir}/report.html\n\
         Apply it:   cd {dir}/invoice && patch -p1 < ../best.patch && {}\n\
         Verify it:  {cascow} verify {dir}/best.proof --root {}\n\
         Look in:    {cascow} --repo {dir} diff --patch {} {}\n",
        percent(base.score),
        percent(best.score),
        lines('+', "+++ "),
        lines('-', "--- "),
        figures.evaluations,
        figures.elapsed_secs,
        figures.failed_actions,
        figures.without_effect,
        figures.unique_states,
        figures.transpositions,
        times(&figures.fork_us),
        times(&figures.backtrack_us),
        best.snapshot,
        best.root,
        bundled::SCORE_COMMAND,
        best.root,
        &base.snapshot[..12],
        &best.snapshot[..12],
    )
}

/// How to call this program from here: by its name if the shell would find it, else by its path.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return "cascow".to_owned() };
    let search = std::env::var_os("PATH").unwrap_or_default();
    if path.parent().is_some_and(|dir| std::env::split_paths(&search).any(|place| place == dir)) {
        return "cascow".to_owned();
    }
    match std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()) {
        Some(below) => quoted(below),
        None => quoted(&path),
    }
}

/// A path as a shell takes it whole.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
