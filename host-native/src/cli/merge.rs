// SPDX-License-Identifier: MIT
//! `merge`: two snapshots that come from a third, joined.

use cascow_core::snapshot::merge::Policy;
use cascow_core::workspace::{self, MergeConflict};
use cascow_native::Error;
use cascow_native::repository::Repository;
use serde::Serialize;
use serde_json::json;

use super::Answer;
use super::args::{Merge, Side};
use super::output::{JsonPath, Output, printable, short};

#[derive(Serialize)]
struct Conflict {
    #[serde(flatten)]
    path: JsonPath,
    kind: &'static str,
}

pub(super) fn merge(
    args: &Merge,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let ours_name = repository.resolve_pinned(&args.ours)?;
    let base = repository.state(&repository.resolve_pinned(&args.base)?)?;
    let ours = repository.state(&ours_name)?;
    let theirs = repository.state(&repository.resolve_pinned(&args.theirs)?)?;
    let policy = match args.prefer {
        None => Policy::Report,
        Some(Side::Ours) => Policy::Ours,
        Some(Side::Theirs) => Policy::Theirs,
    };
    let (merged, conflicts) = workspace::merge(&base, &ours, &theirs, policy)?;
    if !conflicts.is_empty() {
        report(&conflicts, output)?;
        return Ok(Answer::No);
    }
    let written = repository.write_snapshot(&merged, Some(ours_name))?;
    repository.publish(&written.snapshot, args.label.as_ref())?;
    let (snapshot, root) = (written.snapshot.to_string(), written.record.root.to_string());
    let answer = json!({ "snapshot": snapshot, "root": root, "conflicts": [] });
    output.answer(&answer, || {
        format!("{}  {} entries", short(&written.snapshot), written.record.entries)
    })?;
    Ok(Answer::Yes)
}

fn report(conflicts: &[MergeConflict], output: &Output) -> Result<(), Error> {
    let json: Vec<Conflict> = conflicts
        .iter()
        .map(|conflict| Conflict {
            path: JsonPath::new(&conflict.path),
            kind: conflict.kind.name(),
        })
        .collect();
    output.answer(&json!({ "snapshot": null, "root": null, "conflicts": json }), || {
        let lines = conflicts
            .iter()
            .map(|conflict| format!("{}: {}\n", conflict.kind.name(), printable(&conflict.path)));
        format!("{}{} conflicts; nothing was saved\n", lines.collect::<String>(), conflicts.len())
    })
}
