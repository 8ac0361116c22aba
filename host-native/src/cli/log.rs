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

/// A snapshot with its record and labels.
struct Logged {
    snapshot: ContentHash,
    record: SnapshotRecord,
    labels: Vec<String>,
}

impl Logged {
    fn json(&self) -> Value {
        json!({
            "snapshot": self.snapshot.to_string(),
            "parent": self.record.parent.map(|parent| parent.to_string()),
            "root": self.record.root.to_string(),
            "label": self.labels.first(),
            "labels": self.labels,
            "entries": self.record.entries,
        })
    }

    fn line(&self) -> String {
        let labels = if self.labels.is_empty() {
            String::new()
        } else {
            format!("  ({})", self.labels.join(", "))
        };
        format!("{}  {} entries{labels}", short(&self.snapshot), self.record.entries)
    }
}

pub(super) fn log(args: &Log, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let mut labels: HashMap<ContentHash, Vec<String>> = HashMap::new();
    for (label, snapshot) in repository.labels()? {
        labels.entry(snapshot).or_default().push(label.to_string());
    }
    let names = match &args.snapshot {
        Some(name) => ancestry(repository, repository.resolve(name)?)?,
        None => repository.snapshots()?,
    };
    let mut logged = Vec::with_capacity(names.len());
    for snapshot in names {
        let record = repository.record(&snapshot)?;
        logged.push(Logged {
            snapshot,
            record,
            labels: labels.remove(&snapshot).unwrap_or_default(),
        });
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

/// A snapshot's ancestors and itself, the oldest first.
fn ancestry(repository: &Repository, snapshot: ContentHash) -> Result<Vec<ContentHash>, Error> {
    let mut names = vec![snapshot];
    let mut next = repository.record(&snapshot)?.parent;
    // A hash cannot name what names it, so this ends.
    while let Some(parent) = next {
        names.push(parent);
        next = repository.record(&parent)?.parent;
    }
    names.reverse();
    Ok(names)
}

/// The snapshots as a tree, each below its parent.
fn graph(logged: &[Logged]) -> String {
    let known: HashMap<ContentHash, usize> =
        logged.iter().enumerate().map(|(at, one)| (one.snapshot, at)).collect();
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (at, one) in logged.iter().enumerate() {
        let parent = one.record.parent.and_then(|parent| known.get(&parent).copied());
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
