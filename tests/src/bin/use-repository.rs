// SPDX-License-Identifier: MIT
//! A process that uses a repository until it is killed or nobody listens: `use-repository DIR save SEED` saves one snapshot after
//! another under one label, `use-repository DIR collect` collects again and again, with no more than a second of grace.
//!
//! Each time, a line on standard output says the number of what was done.

use std::io::Write;
use std::path::Path;

use cascow_native::Error;
use cascow_native::repository::{Collect, Label, Repository};
use cascow_tests::ledger::{numbered_tree, state};

/// Saves a tree; false if something was collected just now, and the same should be done once more.
fn save(repository: &Repository, label: &Label, seed: u32, number: u32) -> Result<bool, Error> {
    repository.lease()?;
    let state = state(repository.store(), &numbered_tree(seed, number))?;
    let written = match repository.write_snapshot(&state, None) {
        Err(Error::Unavailable(_)) => return Ok(false),
        written => written?,
    };
    repository.publish(&written.snapshot, Some(label))?;
    repository.renew_lease()?;
    Ok(true)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (dir, seed) = match args[..] {
        [dir, "save", seed] => (dir, Some(seed.parse::<u32>()?)),
        [dir, "collect"] => (dir, None),
        _ => return Err("use-repository DIR save SEED, or use-repository DIR collect".into()),
    };
    let repository = Repository::open(Path::new(dir))?;
    let label = format!("s{}", seed.unwrap_or_default()).parse()?;
    let how = Collect { grace_secs: 1, dry_run: false };
    let mut acknowledged = std::io::stdout();
    let mut number = 0;
    loop {
        let is_done = match seed {
            Some(seed) => save(&repository, &label, seed, number)?,
            None => repository.collect(&how, &mut |_| {}).map(|_| true)?,
        };
        if !is_done {
            continue;
        }
        if writeln!(acknowledged, "{number}").is_err() {
            // Nobody reads on.
            return Ok(());
        }
        number += 1;
    }
}
