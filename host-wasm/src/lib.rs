// SPDX-License-Identifier: MIT
//! cascow in the browser: the core behind wasm-bindgen.
//!
//! For now what a page needs to check what a native program gave it: content hashes and proofs. Binary values are copied at the
//! boundary; what fails is an `Error` whose message says why.

use cascow_core::hash::HashKind;
use cascow_core::merkle::StateRoot;
use wasm_bindgen::prelude::{JsError, wasm_bindgen};

/// The content hash of bytes, as 64 hexadecimal digits. `kind` is `sha256` or `blake3`.
///
/// # Errors
/// An `Error` if there is no such hash function.
#[wasm_bindgen(js_name = contentHash)]
pub fn content_hash(kind: &str, bytes: &[u8]) -> Result<String, JsError> {
    Ok(kind.parse::<HashKind>()?.hash(bytes).to_string())
}

/// What an accepted proof says of a state.
#[wasm_bindgen(getter_with_clone)]
#[derive(Debug)]
pub struct Statement {
    /// The key that the proof is about.
    pub key: Vec<u8>,
    /// What the state holds under the key; `undefined` if nothing.
    pub value: Option<Vec<u8>>,
    /// Number of entries in the state.
    pub entries: u64,
}

/// Verifies a proof against a state root of 64 hexadecimal digits.
///
/// # Errors
/// An `Error` that says why the proof is not accepted.
#[wasm_bindgen]
pub fn verify(proof: &[u8], root: &str) -> Result<Statement, JsError> {
    let root: StateRoot = root.parse()?;
    let statement = cascow_core::merkle::verify(proof, &root)?;
    Ok(Statement {
        key: statement.key.to_vec(),
        value: statement.value.map(<[u8]>::to_vec),
        entries: statement.entries,
    })
}
