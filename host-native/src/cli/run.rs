// SPDX-License-Identifier: MIT
//! `run`: a command in a private fork of a snapshot.

use std::io::IsTerminal;
use std::process;
use std::time::Instant;

use cascow_native::Error;
use cascow_native::command::{self, End, Limits};
use cascow_native::repository::Repository;
use cascow_native::workspace::Workshop;
use serde_json::{Value, json};

use super::args::Run;
use super::output::{JsonPath, Output, printable, short};
use super::{Answer, interrupt_flag, mount};

pub(super) fn run(args: &Run, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    mount::sweep(repository, output);
    let parent = repository.resolve_pinned(&args.snapshot)?;
    let before = repository.state(&parent)?;
    let interrupt = interrupt_flag()?;
    let workshop = Workshop::open(repository, args.materialize)?;
    let materializer = workshop.materializer();
    if let Some(obstacle) = workshop.obstacle() {
        output.message(&format!("the workspace is written out whole: {obstacle}"));
    }
    let origin = workshop.origin(&before, Some(&parent))?;

    let start = Instant::now();
    let mut workspace = workshop.fork(&origin);
    workspace.path()?;
    let fork_us = micros(start);
    let [program, arguments @ ..] = args.command.as_slice() else {
        return Err(Error::Misuse("no command to run".to_owned()));
    };
    let mut command = command::within(program, workspace.path()?);
    command.args(arguments);
    if std::io::stdin().is_terminal() {
        // The command is in the background of the terminal: reading from it would stop the command for ever.
        command.stdin(process::Stdio::null());
    }
    if output.json {
        // Standard output is the answer's alone.
        command.stdout(process::Stdio::from(std::io::stderr()));
    }
    let limits = Limits { timeout: args.timeout, interrupt: Some(&interrupt), ..Limits::default() };
    let exit = match command::run(command, limits)?.end {
        End::Exited(code) => code,
        End::Killed(signal) => 128 + signal, // as shells say it
        End::Interrupted => return Err(Error::Interrupted),
        End::TimedOut => {
            let answer = json!({
                "snapshot": null, "root": null, "exit": null, "timed_out": true,
                "materializer": materializer.name(), "fork_us": fork_us, "seal_us": null, "changes": [],
            });
            output
                .answer(&answer, || "the command ran out of time; nothing was kept".to_owned())?;
            return Ok(Answer::No);
        }
    };

    let start = Instant::now();
    let sealed = workspace.seal()?;
    let after = sealed.origin.state();
    let written = repository.write_snapshot(&after, Some(parent))?;
    let seal_us = micros(start);
    repository.publish(&written.snapshot, args.label.as_ref())?;

    for skipped in &sealed.skipped {
        output.message(&format!("left out {}: {}", printable(&skipped.path), skipped.reason));
    }
    let changes = before.diff(&after);
    let json_changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let mut item = serde_json::to_value(JsonPath::new(&change.key)).unwrap_or_default();
            item["change"] = change.kind.name().into();
            item
        })
        .collect();
    let answer = json!({
        "snapshot": written.snapshot.to_string(),
        "root": written.record.root.to_string(),
        "exit": exit,
        "timed_out": false,
        "materializer": materializer.name(),
        "fork_us": fork_us,
        "seal_us": seal_us,
        "changes": json_changes,
    });
    output.answer(&answer, || {
        format!("{}  exit {exit}, {} changes", short(&written.snapshot), changes.len())
    })?;
    Ok(Answer::Yes)
}

fn micros(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
