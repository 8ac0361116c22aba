// SPDX-License-Identifier: MIT
//! `label`: names for snapshots.

use cascow_core::hash::ContentHash;
use cascow_native::Error;
use cascow_native::repository::{Label, Repository};
use serde_json::{Value, json};

use super::Answer;
use super::args::LabelArgs;
use super::output::{Output, short};

pub(super) fn label(
    args: &LabelArgs,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let Some(label) = &args.name else {
        let labels = repository.labels()?;
        let all: Vec<Value> =
            labels.iter().map(|(label, snapshot)| json(label, snapshot)).collect();
        output.answer(&all, || {
            labels
                .iter()
                .map(|(label, snapshot)| format!("{}  {label}\n", short(snapshot)))
                .collect()
        })?;
        return Ok(Answer::Yes);
    };
    if args.delete {
        repository.delete_label(label)?;
        output.answer(&json!({ "label": label.to_string(), "deleted": true }), || {
            format!("deleted the label {label}")
        })?;
        return Ok(Answer::Yes);
    }
    let snapshot = match &args.snapshot {
        Some(name) => {
            let snapshot = repository.resolve(name)?;
            repository.set_label(label, &snapshot)?;
            snapshot
        }
        None => match repository.labels()?.into_iter().find(|(known, _)| known == label) {
            Some((_, snapshot)) => snapshot,
            None => return Err(Error::NotFound { kind: "label", name: label.to_string() }),
        },
    };
    output.answer(&json(label, &snapshot), || format!("{}  {label}", short(&snapshot)))?;
    Ok(Answer::Yes)
}

fn json(label: &Label, snapshot: &ContentHash) -> Value {
    json!({ "label": label.to_string(), "snapshot": snapshot.to_string() })
}
