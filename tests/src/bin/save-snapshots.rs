// SPDX-License-Identifier: MIT
//! A process that saves one snapshot after another in a repository, under one label, until it is killed or nobody listens:
//! `save-snapshots DIR SEED`.
//!
//! After each, a line on standard output says its number.

use std::io::Write;
use std::path::Path;

use cascow_native::Error;
use cascow_native::repository::{Label, Repository};
use cascow_tests::ledger::{numbered_tree, state};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, seed] = &args[..] else { return Err("save-snapshots DIR SEED".into()) };
    let seed: u32 = seed.parse()?;
    let label: Label = format!("s{seed}").parse()?;
    let repository = Repository::open(Path::new(dir))?;
    let mut acknowledged = std::io::stdout();
    for number in 0.. {
        repository.lease()?;
        let state = state(repository.store(), &numbered_tree(seed, number))?;
        let written = match repository.write_snapshot(&state, None) {
            // It says that something was collected just now, and that the same should be done once more.
            Err(Error::Unavailable(_)) => continue,
            written => written?,
        };
        repository.publish(&written.snapshot, Some(&label))?;
        if writeln!(acknowledged, "{number}").is_err() {
            // Nobody reads on.
            return Ok(());
        }
        repository.renew_lease()?;
    }
    Ok(())
}
