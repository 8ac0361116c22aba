// SPDX-License-Identifier: MIT
//! A process that puts objects into a store of segments until it is killed or nobody listens: `put-objects DIR LEVEL SEED`.
//!
//! After each sync, a line on standard output says up to which number the objects of this seed are acknowledged.

use std::io::Write;
use std::path::Path;

use cascow_core::hash::HashKind;
use cascow_core::store::ObjectStore;
use cascow_native::store::{Durability, SegmentStore};
use cascow_tests::object;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, level, seed] = &args[..] else { return Err("put-objects DIR LEVEL SEED".into()) };
    let seed = seed.parse()?;
    let (level, batch) = match level.as_str() {
        "none" => (Durability::None, 40),
        "batch" => (Durability::Batch, 40),
        "each" => (Durability::Each, 1),
        _ => return Err("a level is none, batch or each".into()),
    };
    let store = SegmentStore::open(HashKind::Sha256, Path::new(dir), level)?;
    let mut acknowledged = std::io::stdout();
    for number in 0.. {
        store.put(&object(seed, number))?;
        if number % batch == batch - 1 {
            if level != Durability::Each {
                store.sync()?;
            }
            if writeln!(acknowledged, "{number}").is_err() {
                // Nobody reads on.
                return Ok(());
            }
        }
    }
    Ok(())
}
