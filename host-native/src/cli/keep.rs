// SPDX-License-Identifier: MIT
//! `gc`, `fsck`: keeping a repository small and whole.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cascow_native::Error;
use cascow_native::repository::{
    Checked, Collect, CollectProgress, Fsck, FsckProgress, Mended, Repository,
};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Answer;
use super::args::{FsckArgs, Gc};
use super::output::{Output, short};

pub(super) fn gc(args: &Gc, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    if args.grace == 0 {
        wait_for_next_second();
    }
    let bar = output.figure_bar("collecting");
    let how = Collect { grace_secs: args.grace, dry_run: args.dry_run };
    let collected = repository.collect(&how, &mut |progress| {
        match progress {
            CollectProgress::Marking { references } => {
                bar.set_message(format!("{references} references followed"));
            }
            _ => bar.set_message("removing what is not needed"),
        }
        bar.tick();
    })?;
    bar.finish_and_clear();
    let swept = collected.swept;
    if collected.missing > 0 {
        output.message(&format!(
            "{} objects are missing from what is kept; `cascow fsck` tells which",
            collected.missing
        ));
    }
    let answer = json!({
        "live": swept.live,
        "removed": swept.removed,
        "reclaimed_bytes": swept.reclaimed_bytes,
        "snapshots_kept": collected.snapshots_kept,
        "snapshots_removed": collected.snapshots_removed,
        "missing": collected.missing,
        "grace": args.grace,
        "dry_run": args.dry_run,
    });
    output.answer(&answer, || {
        format!(
            "{} {} snapshots and {} objects of {}; {} snapshots and {} objects stay",
            if args.dry_run { "would remove" } else { "removed" },
            collected.snapshots_removed,
            swept.removed,
            HumanBytes(swept.reclaimed_bytes),
            collected.snapshots_kept,
            swept.live,
        )
    })?;
    Ok(Answer::Yes)
}

/// Ages are whole seconds, and what was put in the current one is young. Who asks for no grace means all that was put before.
fn wait_for_next_second() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let begun = now();
    // Should somebody set the clock back meanwhile, this must end all the same.
    for _ in 0..120 {
        if now().as_secs() != begun.as_secs() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    // The clock that stamps files may be a tick behind.
    thread::sleep(Duration::from_millis(20));
}

pub(super) fn fsck(
    args: &FsckArgs,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let bar = output.figure_bar("checking");
    let checked = repository.fsck(Fsck { repair: args.repair }, &mut |progress| {
        match progress {
            FsckProgress::Walking { references } => {
                bar.set_message(format!("{references} references followed"));
            }
            FsckProgress::Attributing { snapshots } => {
                bar.set_message(format!("{snapshots} snapshots looked through for damage"));
            }
            _ => bar.set_message("reading every object"),
        }
        bar.tick();
    })?;
    bar.finish_and_clear();
    output.answer(&json_answer(&checked), || describe(&checked, args.repair))?;
    Ok(checked.is_clean().into())
}

fn json_answer(checked: &Checked) -> Value {
    let mended = |mended: Option<Mended>| mended.map(Mended::name);
    let damaged: Vec<Value> = checked
        .damaged
        .iter()
        .map(|object| {
            let snapshots: Vec<String> = object.snapshots.iter().map(ToString::to_string).collect();
            json!({
                "hash": object.hash.to_string(),
                "what": object.what.to_string(),
                "snapshots": snapshots,
                "repaired": mended(object.mended),
            })
        })
        .collect();
    let labels: Vec<Value> = checked
        .labels
        .iter()
        .map(|label| {
            json!({
                "label": label.label.to_string(),
                "what": label.what,
                "snapshot": label.snapshot.map(|snapshot| snapshot.to_string()),
                "repaired": mended(label.mended),
            })
        })
        .collect();
    let malformed: Vec<Value> = checked
        .malformed
        .iter()
        .map(|(snapshot, fault)| {
            json!({ "snapshot": snapshot.to_string(), "what": fault.to_string() })
        })
        .collect();
    let searches: Vec<Value> = checked
        .searches
        .iter()
        .map(|(name, what)| json!({ "search": name.to_string(), "what": what }))
        .collect();
    json!({
        "objects": checked.objects,
        "snapshots": checked.snapshots,
        "clean": checked.is_clean(),
        "damaged": damaged,
        "labels": labels,
        "malformed": malformed,
        "searches": searches,
        "history_torn_bytes": checked.torn_bytes,
    })
}

fn describe(checked: &Checked, repair: bool) -> String {
    let mut text = String::new();
    let mended = |mended: Option<Mended>| match mended {
        Some(mended) => format!("; {}", mended.name()),
        None => String::new(),
    };
    // UNWRAP: writing to a string does not fail.
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes every write");
    for object in &checked.damaged {
        let touched = match &object.snapshots[..] {
            [] => "no snapshot needs it".to_owned(),
            snapshots => {
                let names: Vec<String> = snapshots.iter().map(short).collect();
                format!("needed by {}", names.join(", "))
            }
        };
        let (hash, what) = (object.hash, object.what);
        line(format!("object {hash}: {what}; {touched}{}", mended(object.mended)));
    }
    for label in &checked.labels {
        line(format!("label {}: {}{}", label.label, label.what, mended(label.mended)));
    }
    for (snapshot, fault) in &checked.malformed {
        line(format!("snapshot {snapshot}: {fault}"));
    }
    for (name, what) in &checked.searches {
        line(format!("search {name}: {what}"));
    }
    if checked.torn_bytes > 0 {
        let end = if repair { "; cut off" } else { ", which nothing refers to" };
        line(format!("the history ends in {} bytes of a crash{end}", checked.torn_bytes));
    }
    let (objects, snapshots) = (checked.objects, checked.snapshots);
    let found = if checked.is_clean() { "nothing wrong remains" } else { "damage remains" };
    line(format!("{objects} objects and {snapshots} snapshots checked: {found}"));
    text
}
