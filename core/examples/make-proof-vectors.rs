// SPDX-License-Identifier: MIT
//! Writes the vectors of proofs into a directory: `cargo run -p cascow-core --example make-proof-vectors -- DIR`.
//!
//! `tests/fixtures/proofs` was written by it once and is frozen; what it holds is checked by the test `proof_vectors`.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/naive/mod.rs"]
mod naive;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/naive/log.rs"]
mod naive_log;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/naive/multi.rs"]
mod naive_multi;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/naive/range.rs"]
mod naive_range;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/naive/single.rs"]
mod naive_single;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/vectors/mod.rs"]
mod vectors;

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dir = env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.ok_or_else(|| io::Error::other("name the directory"))?;
    let small = vectors::all();
    for vector in &small {
        assert!(vector.attack.is_empty() || vector.verdict().is_err(), "{vector:?}");
        let accepted = vector.verdict().is_ok();
        // Chunks that arrive are no matter of the naive implementation.
        assert!(accepted == vector.naive_verdict() || vector.attack == "wrong chunk", "{vector:?}");
    }
    fs::write(dir.join("vectors.json"), vectors::document(None, &small))?;
    let (figures, million) = vectors::million();
    fs::write(dir.join("million.json"), vectors::document(Some(&figures), &million))
}
