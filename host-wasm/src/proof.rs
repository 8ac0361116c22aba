// SPDX-License-Identifier: MIT
//! Content hashes, and proofs verified without any state.

use cascow_core::hash::HashKind;
use cascow_core::merkle::{self, StateRoot, Statement};
use js_sys::Object;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Failure;
use crate::js::{self, object};

/// The content hash of bytes.
///
/// # Errors
/// `argument`.
#[wasm_bindgen(js_name = contentHash, unchecked_return_type = "Hash")]
pub fn content_hash(
    #[wasm_bindgen(unchecked_param_type = "HashKind")] kind: &str,
    #[wasm_bindgen(unchecked_param_type = "Bytes")] bytes: &JsValue,
) -> Result<String, JsValue> {
    Ok(hash_kind(kind)?.hash(&js::bytes(bytes)?).to_string())
}

pub(crate) fn hash_kind(name: &str) -> Result<HashKind, Failure> {
    Ok(name.parse()?)
}

fn statement(statement: &Statement<'_>) -> Object {
    let object = object! {
        "hash": statement.kind.name(),
        "entries": js::number(statement.entries),
        "key": js::array(statement.key),
    };
    js::set_some(&object, "value", statement.value.map(js::array));
    object
}

/// Verifies a proof of one key under a state's root, whoever made it. Needs no database.
///
/// # Errors
/// `proof`: the message says why it is not accepted; `argument`.
#[wasm_bindgen(unchecked_return_type = "Statement")]
pub fn verify(
    proof: &[u8],
    #[wasm_bindgen(unchecked_param_type = "Hash")] root: &str,
) -> Result<JsValue, JsValue> {
    let root: StateRoot = root.parse().map_err(Failure::from)?;
    Ok(statement(&merkle::verify(proof, &root).map_err(Failure::from)?).into())
}

/// Verifies a proof of several keys.
///
/// # Errors
/// As `verify`.
#[wasm_bindgen(js_name = verifyMany, unchecked_return_type = "Statement[]")]
pub fn verify_many(
    proof: &[u8],
    #[wasm_bindgen(unchecked_param_type = "Hash")] root: &str,
) -> Result<JsValue, JsValue> {
    let root: StateRoot = root.parse().map_err(Failure::from)?;
    let statements = merkle::verify_many(proof, &root).map_err(Failure::from)?;
    Ok(js::list(statements.map(|one| statement(&one))).into())
}

/// The package's version.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
