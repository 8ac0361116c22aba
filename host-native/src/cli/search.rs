// SPDX-License-Identifier: MIT
//! `search`: Monte-Carlo graph search over a workspace, with what it leaves behind.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use cascow_core::store::ObjectStore;
use cascow_native::Error;
use cascow_native::patch::patch;
use cascow_native::replace::replace;
use cascow_native::repository::{KeptSearch, Label, Repository};
use cascow_native::search::{
    self, Budget, Changes, Event, Figures, Outcome, Plan, Report, Stopped,
};
use serde_json::{Value, json};

use super::args::{Search, SearchLimits};
use super::output::{Output, short};
use super::told::Told;
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
    if args.list {
        return list(repository, output);
    }
    if let Some(name) = &args.forget {
        repository.forget_search(name)?;
        let answer = json!({ "search": name.to_string(), "forgotten": true });
        output.answer(&answer, || format!("the search \"{name}\" is forgotten"))?;
        return Ok(Answer::Yes);
    }
    let begin = match &args.resume {
        Some(name) => Begin::Again(name, changes(args)?),
        None => Begin::New(Box::new(plan(args)?)),
    };
    mount::sweep(repository, output);
    if let Some(dir) = &args.out {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        if let Some(workspace) = &args.workspace
            && is_same(dir, workspace)?
        {
            return Err(Error::Misuse(
                "the workspace is only read; give --out another directory".to_owned(),
            ));
        }
    }
    let events_to_stdout = args.events.as_deref() == Some(Path::new("-"));
    let mut sinks =
        Sinks::open(args.out.as_deref(), args.events.as_deref().filter(|_| !events_to_stdout))?;
    let outcome = observe_search(repository, begin, output, &mut |event| {
        sinks.write(event)?;
        if events_to_stdout { output.json_line(event) } else { Ok(()) }
    })?;
    sinks.finish()?;
    if let Some(dir) = &args.out {
        write_results(dir, repository, &outcome)?;
    }
    let answer = json_answer(&outcome);
    // Events have standard output to themselves, one document a line; the answer is the last of them.
    if events_to_stdout || output.json {
        output.json_line(&answer)?;
    } else {
        output.bytes(describe(&outcome, args.out.as_deref()).as_bytes())?;
    }
    // Where none was asked for, there is nothing to miss.
    Ok((outcome.report.best.score >= args.target.unwrap_or(0.0)).into())
}

fn plan(args: &Search) -> Result<Plan, Error> {
    // The reader of the command line has seen to it that they are there.
    let (Some(workspace), Some(score)) = (&args.workspace, &args.score) else {
        return Err(Error::Misuse("a search needs --workspace and --score".to_owned()));
    };
    let limits = &args.limits;
    let default = Plan::new(workspace, score);
    let plan = Plan {
        results: args.out.clone(),
        actions: match &args.actions {
            Some(actions) => search::read_actions(actions)?,
            None => Vec::new(),
        },
        proposer: args.act.clone(),
        repeat: args.repeat.unwrap_or(default.repeat),
        timeout: args.timeout.unwrap_or(default.timeout),
        depth: limits.depth,
        seed: limits.seed.unwrap_or(default.seed),
        materialize: args.materialize.unwrap_or_default(),
        workers: limits.workers.unwrap_or(default.workers),
        name: args.name.clone(),
        reuse_scores: !args.rescore,
        budget: Budget { bytes: args.bytes, ..budget(limits, args.target) },
        ..default
    };
    fs::read_dir(workspace).map_err(Error::io("read", workspace))?;
    Ok(plan)
}

fn changes(args: &Search) -> Result<Changes, Error> {
    let SearchLimits { evaluations, time, workers, depth, seed } = args.limits;
    if depth.is_some() || seed.is_some() {
        return Err(Error::Misuse("a search that goes on keeps its --depth and --seed".to_owned()));
    }
    Ok(Changes {
        results: args.out.clone(),
        workers,
        evaluations,
        time,
        bytes: args.bytes,
        target: args.target,
    })
}

fn list(repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let searches = repository.searches()?;
    let json = |search: &KeptSearch| {
        json!({
            "search": search.name.to_string(),
            "running": search.is_running,
            "modified": search.modified,
            "problem": search.problem,
        })
    };
    output.answer(&searches.iter().map(json).collect::<Value>(), || {
        let line = |search: &KeptSearch| {
            let about = match &search.problem {
                Some(problem) => problem.clone(),
                None if search.is_running => "running".to_owned(),
                None => String::new(),
            };
            format!("{}  {about}", search.name).trim_end().to_owned()
        };
        searches.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Answer::Yes)
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
        bytes: None,
        target: target.unwrap_or(PERFECT),
    }
}

/// What there is to begin with.
pub(super) enum Begin<'a> {
    New(Box<Plan>),
    Again(&'a Label, Changes),
}

/// Searches, with a line of figures on a terminal.
pub(super) fn observe_search(
    repository: &Repository,
    begin: Begin<'_>,
    output: &Output,
    observe: &mut (dyn FnMut(&Event<'_>) -> Result<(), Error> + Send),
) -> Result<Outcome, Error> {
    let mut told = Told::new(output);
    let interrupt = interrupt_flag()?;
    let mut tell = |event: &Event<'_>| {
        told.tell(event);
        observe(event)
    };
    let outcome = match begin {
        Begin::New(plan) => search::search(repository, &plan, &interrupt, &mut tell),
        Begin::Again(name, changes) => {
            search::resume(repository, name, changes, &interrupt, &mut tell)
        }
    };
    told.bar.finish_and_clear();
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
pub(super) fn json_answer(outcome: &Outcome) -> Value {
    let Outcome { name, report, stopped, .. } = outcome;
    let mut answer = serde_json::to_value(&report.figures).unwrap_or_default();
    answer["best"] = serde_json::to_value(&report.best).unwrap_or_default();
    answer["base"] = serde_json::to_value(&report.base).unwrap_or_default();
    answer["search"] = json!(name.to_string());
    answer["workers"] = json!(report.workers);
    answer["resumed"] = json!(report.resumed);
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
    for (count, what) in [
        (figures.lost_states as u64, "states were lost, with what lay beyond them"),
        (figures.forgotten, "states were forgotten, to stay within --bytes"),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    text.push_str(&format!(
        "{evaluations} evaluations, {unique_states} unique states, {transpositions} transpositions, {:.1} s\n",
        figures.elapsed_secs
    ));
    text.push_str(&format!("snapshot {}  root {}\n", short(&best.snapshot), best.root));
    text.push_str(&format!("kept as \"{0}\": cascow search --resume {0}\n", outcome.name));
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
