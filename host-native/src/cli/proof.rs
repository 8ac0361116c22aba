// SPDX-License-Identifier: MIT
//! `prove`, `verify`: what a state holds, shown without the state.

use std::fs;
use std::io::{IsTerminal, Read};

use cascow_core::entry::Entry;
use cascow_core::merkle::{Statement, state};
use cascow_core::workspace;
use cascow_native::Error;
use cascow_native::replace::replace;
use cascow_native::repository::Repository;
use serde_json::json;

use super::args::{Prove, Verify};
use super::output::{JsonPath, Output, hex, printable};
use super::{Answer, snapshot_path};

/// Longest proof that is read, in bytes: its key and value are bounded by what a listing holds, the rest by the trie's depth.
const MAX_PROOF_LEN: u64 = 2 << 20;

pub(super) fn prove(
    args: &Prove,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let record = repository.record(&repository.resolve_to_read(&args.snapshot)?)?;
    let state = cascow_core::record::read_state(repository.store(), &record)?;
    let path = snapshot_path(&args.path);
    if !workspace::is_path(&path) {
        let path = printable(&path);
        return Err(Error::Misuse(format!(
            "{path:?} is no path of a snapshot: it must be relative and plain"
        )));
    }
    let value = state.get(&path);
    let kind = cascow_core::store::ObjectStore::hash_kind(repository.store());
    let proof = state.trie(kind).prove(&path, value.map(|value| &*value.bytes))?;
    match &args.output {
        Some(file) => replace(file, &proof)?,
        None if output.json => {}
        None if std::io::stdout().is_terminal() => {
            return Err(Error::Misuse("a proof is no text; use -o FILE".to_owned()));
        }
        None => return output.bytes(&proof).map(|()| Answer::Yes),
    }
    let mut answer = json!({
        "root": record.root.to_string(),
        "present": value.is_some(),
        "proof_bytes": proof.len(),
    });
    JsonPath::new(&path).insert_as("key", &mut answer);
    if args.output.is_none() {
        answer["proof_hex"] = hex(&proof).into();
    }
    let is_there = if value.is_some() { "holds" } else { "does not hold" };
    output.answer(&answer, || {
        format!(
            "proved in {} bytes that root {} {is_there} {}",
            proof.len(),
            record.root,
            printable(&path)
        )
    })?;
    Ok(Answer::Yes)
}

pub(super) fn verify(args: &Verify, output: &Output) -> Result<Answer, Error> {
    let file = fs::File::open(&args.file).map_err(Error::io("open", &args.file))?;
    let mut proof = Vec::new();
    file.take(MAX_PROOF_LEN + 1).read_to_end(&mut proof).map_err(Error::io("read", &args.file))?;
    let Statement { kind, entries, key, value } = match cascow_core::merkle::verify(
        &proof, &args.root,
    ) {
        Ok(statement) => statement,
        Err(error) => {
            let answer = json!({
                "valid": false, "key": null, "present": null, "value_hash": null, "reason": error.to_string(),
            });
            output.answer(&answer, || format!("not valid: {error}"))?;
            return Ok(Answer::No);
        }
    };
    let value_hash = value.map(|value| state::value_digest(kind, value).to_string());
    let content =
        value.and_then(|value| Entry::decode(value).ok()?.content().map(ToString::to_string));
    let mut answer = json!({
        "valid": true,
        "present": value.is_some(),
        "value_hash": value_hash,
        "content_hash": content,
        "entries": entries,
    });
    JsonPath::new(key).insert_as("key", &mut answer);
    output.answer(&answer, || match &value_hash {
        Some(_) => {
            let content = content.map(|hash| format!(" with content {hash}")).unwrap_or_default();
            format!("valid: the state of {entries} entries holds {}{content}", printable(key))
        }
        None => format!("valid: the state of {entries} entries does not hold {}", printable(key)),
    })?;
    Ok(Answer::Yes)
}
