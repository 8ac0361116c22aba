// SPDX-License-Identifier: MIT
//! `log`, `stats`: what a repository holds.

use std::collections::HashMap;

use cascow_core::hash::ContentHash;
use cascow_core::record::SnapshotRecord;
use cascow_core::store::ObjectStore;
use cascow_core::workspace;
use cascow_native::Error;
use cascow_native::repository::Repository;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Answer;
use super::args::Log;
use super::output::{Output, short};

/// A snapshot with its record, or why that cannot be read, and its labels.
struct Logged {
    snapshot: ContentHash,
    record: Result<SnapshotRecord, Error>,
    labels: Vec<String>,
}

impl Logged {
    fn parent(&self) -> Option<ContentHash> {
        self.record.as_ref().ok()?.parent
    }

    fn json(&self) -> Value {
        let mut line = json!({
            "snapshot": self.snapshot.to_string(),
            "label": self.labels.first(),
            "labels": self.labels,
        });
        match &self.record {
            Ok(record) => {
                line["parent"] = record.parent.map(|parent| parent.to_string()).into();
                line["root"] = record.root.to_string().into();
                line["entries"] = record.entries.into();
            }
            Err(error) => line["error"] = error.to_string().into(),
        }
        line
    }

    fn line(&self) -> String {
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!("  ({})", self.labels.join(", "))
        };
        match &self.record {
            Ok(record) => format!("{}  {} entries{labels}", short(&self.snapshot), record.entries),
            Err(_) => format!("{}  cannot be read{labels}", short(&self.snapshot)),
        }
    }
}

pub(super) fn log(args: &Log, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let mut labels: HashMap<ContentHash, Vec<String>> = HashMap::new();
    for (label, named) in repository.readable_labels()? {
        match named {
            Ok(snapshot) => labels.entry(snapshot).or_default().push(label.to_string()),
            // One that cannot be read keeps nobody from reading the others.
            Err(error) => output.message(&format!("label {label}: {error}")),
        }
    }
    let mut logged = match &args.snapshot {
        Some(name) => ancestry(repository, repository.resolve(name)?),
        None => {
            let snapshots = repository.snapshots()?;
            snapshots.into_iter().map(|snapshot| logged(repository, snapshot)).collect()
        }
    };
    for one in &mut logged {
        one.labels = labels.remove(&one.snapshot).unwrap_or_default();
        if let Err(error) = &one.record {
            output
                .message(&format!("snapshot {}: {error}; see `cascow fsck`", short(&one.snapshot)));
        }
    }
    if args.snapshot.is_none() {
        for (snapshot, labels) in labels {
            let labels = labels.join(", ");
            output.message(&format!("label {labels}: snapshot {snapshot} is not in the history"));
        }
    }
    if output.json {
        return logged
            .iter()
            .try_for_each(|logged| output.json_line(&logged.json()))
            .map(|()| Answer::Yes);
    }
    let text: String = if args.graph {
        graph(&logged)
    } else {
        logged.iter().rev().map(|logged| format!("{}\n", logged.line())).collect()
    };
    output.bytes(text.as_bytes())?;
    Ok(Answer::Yes)
}

fn logged(repository: &Repository, snapshot: ContentHash) -> Logged {
    Logged { snapshot, record: repository.record(&snapshot), labels: Vec::new() }
}

/// A snapshot's ancestors and itself, the oldest first: as far as they can be read.
fn ancestry(repository: &Repository, snapshot: ContentHash) -> Vec<Logged> {
    let mut found = Vec::new();
    let mut next = Some(snapshot);
    // A hash cannot name what names it, so this ends.
    while let Some(snapshot) = next {
        let one = logged(repository, snapshot);
        next = one.parent();
        found.push(one);
    }
    found.reverse();
    found
}

/// The snapshots as a tree, each below its parent.
fn graph(logged: &[Logged]) -> String {
    let known: HashMap<ContentHash, usize> =
        logged.iter().enumerate().map(|(at, one)| (one.snapshot, at)).collect();
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (at, one) in logged.iter().enumerate() {
        let parent = one.parent().and_then(|parent| known.get(&parent).copied());
        children.entry(parent).or_default().push(at);
    }
    let mut text = String::new();
    // Depth first with a stack of our own: a line of a million snapshots is no reason to overflow.
    let mut pending: Vec<(usize, String, &str)> = Vec::new();
    let roots = children.get(&None).map(Vec::as_slice).unwrap_or_default();
    pending.extend(roots.iter().rev().map(|root| (*root, String::new(), "")));
    while let Some((at, indent, branch)) = pending.pop() {
        text.push_str(&format!("{indent}{branch}{}\n", logged[at].line()));
        let below = match branch {
            "├─ " => format!("{indent}│  "),
            "└─ " => format!("{indent}   "),
            _ => indent,
        };
        let kids = children.get(&Some(at)).map(Vec::as_slice).unwrap_or_default();
        for (nth, kid) in kids.iter().enumerate().rev() {
            // An only child goes straight down: a line of snapshots does not walk off to the right.
            let branch = match (kids.len(), nth + 1 == kids.len()) {
                (1, _) => "",
                (_, true) => "└─ ",
                (_, false) => "├─ ",
            };
            pending.push((*kid, below.clone(), branch));
        }
    }
    text
}

pub(super) fn stats(repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let (mut objects, mut bytes, mut raw_bytes) = (0_u64, 0_u64, 0_u64);
    repository.store().for_each(&mut |info| {
        objects += 1;
        bytes += info.stored_len;
        raw_bytes += info.raw_len;
        Ok(())
    })?;
    let snapshots = repository.snapshots()?;
    let mut logical_bytes = 0_u64;
    for snapshot in &snapshots {
        let state = repository.state(snapshot)?;
        let contents = workspace::entries(&state)?;
        logical_bytes += contents
            .iter()
            .filter_map(|entry| entry.entry.content())
            .map(|id| id.len())
            .sum::<u64>();
    }
    // The share of all snapshots' contents that needed no storing again. Ratios need no 53 bits.
    let dedup_ratio = if logical_bytes == 0 {
        0.0
    } else {
        (1.0 - raw_bytes as f64 / logical_bytes as f64).max(0.0)
    };
    let answer = json!({
        "objects": objects,
        "snapshots": snapshots.len(),
        "bytes": bytes,
        "raw_bytes": raw_bytes,
        "logical_bytes": logical_bytes,
        "dedup_ratio": dedup_ratio,
    });
    output.answer(&answer, || {
        format!(
            "{} snapshots of {} in all; {objects} objects of {}, {} on disk; {:.1} % found again",
            snapshots.len(),
            HumanBytes(logical_bytes),
            HumanBytes(raw_bytes),
            HumanBytes(bytes),
            100.0 * dedup_ratio,
        )
    })?;
    Ok(Answer::Yes)
}
