// SPDX-License-Identifier: MIT
//! `search`: Monte-Carlo graph search over a workspace, with what it leaves behind.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cascow_core::store::ObjectStore;
use cascow_native::Error;
use cascow_native::patch::patch;
use cascow_native::replace::replace;
use cascow_native::repository::Repository;
use cascow_native::search::{self, Budget, Event, Figures, Outcome, Plan, Report, Stopped};
use serde_json::{Value, json};

use super::args::{Search, SearchLimits};
use super::output::{Output, short};
use super::{Answer, interrupt_flag, mount};

/// How many evaluations a search without any other limit makes.
const DEFAULT_EVALUATIONS: u64 = 1000;

/// No state scores more, so that nothing is left to look for.
const PERFECT: f64 = 1.0;

pub(super) fn search(
    args: &Search,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let actions = search::read_actions(&args.actions)?;
    mount::sweep(repository, output);
    let plan = Plan {
        workspace: &args.workspace,
        results: args.out.as_deref(),
        actions: &actions,
        score_command: &args.score,
        repeat: args.repeat,
        timeout: args.timeout,
        depth: args.limits.depth,
        seed: args.limits.seed,
        materialize: args.materialize,
        budget: budget(&args.limits, args.target),
    };
    fs::read_dir(&args.workspace).map_err(Error::io("read", &args.workspace))?;
    if let Some(dir) = &args.out {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        if is_same(dir, &args.workspace)? {
            return Err(Error::Misuse(
                "the workspace is only read; give --out another directory".to_owned(),
            ));
        }
    }
    let events_to_stdout = args.events.as_deref() == Some(Path::new("-"));
    let mut sinks =
        Sinks::open(args.out.as_deref(), args.events.as_deref().filter(|_| !events_to_stdout))?;
    let outcome = observe_search(repository, &plan, output, &*interrupt_flag()?, &mut |event| {
        sinks.write(event)?;
        if events_to_stdout { output.json_line(event) } else { Ok(()) }
    })?;
    sinks.finish()?;
    if let Some(dir) = &args.out {
        write_results(dir, repository, &outcome)?;
    }
    let answer = json_answer(&outcome.report, outcome.stopped);
    // Events have standard output to themselves, one document a line; the answer is the last of them.
    if events_to_stdout || output.json {
        output.json_line(&answer)?;
    } else {
        output.bytes(describe(&outcome, args.out.as_deref()).as_bytes())?;
    }
    let reached = outcome.report.best.score >= args.target.unwrap_or(0.0);
    Ok(reached.into())
}

fn is_same(a: &Path, b: &Path) -> Result<bool, Error> {
    let real = |path: &Path| path.canonicalize().map_err(Error::io("find", path));
    Ok(real(a)? == real(b)?)
}

pub(super) fn budget(limits: &SearchLimits, target: Option<f64>) -> Budget {
    let default = if limits.time.is_none() { Some(DEFAULT_EVALUATIONS) } else { None };
    Budget {
        evaluations: limits.evaluations.or(default),
        time: limits.time,
        target: target.unwrap_or(PERFECT),
    }
}

/// Searches, with a line of figures on a terminal.
pub(super) fn observe_search(
    repository: &Repository,
    plan: &Plan<'_>,
    output: &Output,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Event<'_>) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let bar = output.figure_bar("searching");
    let outcome = search::search(repository, plan, interrupt, &mut |event| {
        if let Event::Start { score: 0.0, feedback: Some(feedback), .. } = event {
            output.message(&format!("the workspace as it is scores 0: {feedback}"));
        }
        if let Event::Start { obstacle: Some(obstacle), .. } = event {
            output.message(&format!("workspaces are written out whole: {obstacle}"));
        }
        if let Event::Step { step, evaluations, best, .. } = event {
            bar.set_message(format!(
                "best {best:.4}, {evaluations} evaluations, {step} actions tried"
            ));
            bar.tick();
        }
        observe(event)
    });
    bar.finish_and_clear();
    outcome
}

/// Files that take events as they happen.
pub(super) struct Sinks(Vec<(PathBuf, BufWriter<File>)>);

impl Sinks {
    /// `events.jsonl` in the directory for results, and a file of the user's.
    pub(super) fn open(out: Option<&Path>, events: Option<&Path>) -> Result<Self, Error> {
        let paths =
            out.map(|dir| dir.join("events.jsonl")).into_iter().chain(events.map(Path::to_owned));
        let open = |path: PathBuf| {
            let file = File::create(&path).map_err(Error::io("create", &path))?;
            Ok((path, BufWriter::new(file)))
        };
        paths.map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Each event is on its way to the disk before the next step begins.
    pub(super) fn write(&mut self, event: &Event<'_>) -> Result<(), Error> {
        for (path, file) in &mut self.0 {
            let written = serde_json::to_writer(&mut *file, event).map_err(std::io::Error::from);
            let written = written.and_then(|()| file.write_all(b"\n")).and_then(|()| file.flush());
            written.map_err(Error::io("write", &*path))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        self.0
            .into_iter()
            .try_for_each(|(path, mut file)| file.flush().map_err(Error::io("write", path)))
    }
}

/// Writes `best.patch`, `report.html` and, if anything changed, `best.proof`: of the first path that did.
pub(super) fn write_results(
    dir: &Path,
    repository: &Repository,
    outcome: &Outcome,
) -> Result<(), Error> {
    let store = repository.store();
    let (base, best) = (&outcome.base.state, &outcome.best.state);
    let write = |name: &str, bytes: &[u8]| replace(&dir.join(name), bytes);
    write("best.patch", &patch(store, base, best, |_| true)?)?;
    write("report.html", search::html(&outcome.report)?.as_bytes())?;
    let proof = dir.join("best.proof");
    match base.diff(best).first() {
        Some(change) => {
            let value = best.get(&change.key).map(|value| &*value.bytes);
            replace(&proof, &best.trie(store.hash_kind()).prove(&change.key, value)?)?;
        }
        // An earlier search's proof must not pass for one of this.
        None if proof.exists() => fs::remove_file(&proof).map_err(Error::io("remove", &proof))?,
        None => {}
    }
    Ok(())
}

/// The fields that scripts rely on, and what else there is.
pub(super) fn json_answer(report: &Report, stopped: Stopped) -> Value {
    let mut answer = serde_json::to_value(&report.figures).unwrap_or_default();
    answer["best"] = serde_json::to_value(&report.best).unwrap_or_default();
    answer["base"] = serde_json::to_value(&report.base).unwrap_or_default();
    answer["workers"] = json!(1);
    answer["resumed"] = json!(false);
    answer["stopped"] = json!(stopped.name());
    answer
}

/// A search's end in a few lines.
pub(super) fn describe(outcome: &Outcome, out: Option<&Path>) -> String {
    let Report { figures, base, best, .. } = &outcome.report;
    let Figures { evaluations, unique_states, transpositions, .. } = figures;
    let mut text = format!(
        "score {:.4} -> {:.4}, {}\n",
        base.score,
        best.score,
        stopped_in_words(outcome.stopped)
    );
    for action in &best.actions {
        text.push_str(&format!("  + {action}\n"));
    }
    text.push_str(&format!(
        "{evaluations} evaluations, {unique_states} unique states, {transpositions} transpositions, {:.1} s\n",
        figures.elapsed_secs
    ));
    text.push_str(&format!("snapshot {}  root {}\n", short(&best.snapshot), best.root));
    if let Some(dir) = out {
        text.push_str(&format!("see {}\n", dir.join("report.html").display()));
    }
    text
}

/// Why a search stopped, as the end of a sentence.
pub(super) fn stopped_in_words(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Target => "the target",
        Stopped::Evaluations => "when the evaluations were used up",
        Stopped::Time => "when the time was used up",
        Stopped::Exhausted => "when nothing was left to try",
        Stopped::Interrupted => "when it was interrupted",
    }
}
