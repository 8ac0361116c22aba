// SPDX-License-Identifier: MIT
//! `object put|get|has|rm`: the raw store.

use std::fs;
use std::io::Read;
use std::path::Path;

use cascow_core::frame::MAX_OBJECT_LEN;
use cascow_core::hash::ContentHash;
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::Error;
use cascow_native::repository::Repository;
use serde_json::json;

use super::Answer;
use super::args::Object;
use super::output::{JsonContent, Output};

pub(super) fn object(
    command: &Object,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let store = repository.store();
    match command {
        Object::Put { file } => {
            let bytes = read(file)?;
            repository.lease()?;
            let put = store.put(&bytes)?;
            store.sync()?;
            let is_new = put.added.is_some();
            let answer = json!({ "hash": put.hash.to_string(), "len": bytes.len(), "new": is_new });
            output.answer(&answer, || put.hash.to_string())?;
        }
        Object::Get { hash } => {
            let bytes = match store.get(hash) {
                Err(StoreError::Missing { hash }) => return Err(not_found(&hash)),
                found => found?,
            };
            if output.json {
                let content = serde_json::to_value(JsonContent::new(bytes)).unwrap_or_default();
                output.json_line(&json!({ "hash": hash.to_string(), "content": content }))?;
            } else {
                output.bytes(&bytes)?;
            }
        }
        Object::Has { hash } => {
            let present = store.exists(hash)?;
            output.answer(&json!({ "hash": hash.to_string(), "present": present }), || {
                if present { "yes" } else { "no" }.to_owned()
            })?;
            return Ok(present.into());
        }
        Object::Rm { hash } => {
            if !store.delete(hash)? {
                return Err(not_found(hash));
            }
            store.sync()?;
            output.answer(&json!({ "hash": hash.to_string(), "removed": true }), || {
                format!("removed {hash}")
            })?;
        }
    }
    Ok(Answer::Yes)
}

fn not_found(hash: &ContentHash) -> Error {
    Error::NotFound { kind: "object", name: hash.to_string() }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // One byte more than an object may have, so that one too long is noticed and not cut.
    let limit = MAX_OBJECT_LEN + 1;
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", "standard input"))?;
    } else {
        let source = fs::File::open(file).map_err(Error::io("open", file))?;
        source.take(limit).read_to_end(&mut bytes).map_err(Error::io("read", file))?;
    }
    if bytes.len() as u64 > MAX_OBJECT_LEN {
        return Err(Error::Misuse(format!(
            "{file:?} is longer than an object may be, 1 GiB; `cascow save` cuts long files"
        )));
    }
    Ok(bytes)
}
