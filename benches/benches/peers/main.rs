// SPDX-License-Identifier: MIT
//! Cascow beside its peers. How it measures, and how to run it, is said in the package's library.

mod cache;
mod chunking;
mod collect;
mod crossover;
mod deduplication;
mod growth;
mod indexes;
mod maps;
mod mixed;
mod programs;
mod proofs;
mod roots;
mod search;
mod snapshots;
mod sources;
mod states;
mod stores;
mod workspaces;

use std::path::Path;
use std::process::ExitCode;

use cascow_benches::memory::Counting;
use cascow_benches::report::Report;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A section's name and what adds its rows.
type Section = (&'static str, fn(&mut Report));

const SECTIONS: [Section; 18] = [
    ("chunking", chunking::run),
    ("deduplication", deduplication::run),
    ("maps", maps::run),
    ("snapshots", snapshots::run),
    ("growth", growth::run),
    ("roots", roots::run),
    ("proofs", proofs::run),
    ("stores", stores::run),
    ("indexes", indexes::run),
    ("cache", cache::run),
    ("collect", collect::run),
    ("search", search::run),
    ("strength", search::strength::run),
    ("budget", search::budget::run),
    ("states", states::run),
    ("crossover", crossover::run),
    ("programs", programs::run),
    ("workspaces", workspaces::run),
];

fn main() -> ExitCode {
    // Cargo says `--bench`.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [mixed::CHILD, ..] = chosen.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return mixed::child(&chosen[1..]);
    }
    if let [workspaces::CHILD, ..] = chosen.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return workspaces::child(&chosen[1..]);
    }
    let names = SECTIONS.map(|(name, _)| name);
    if let Some(unknown) = chosen.iter().find(|chosen| !names.contains(&chosen.as_str())) {
        eprintln!("no section `{unknown}`; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    for (name, run) in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            report.section(name);
            run(&mut report);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    match report.write(&path, &names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// So many bytes of noise, the same for a seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// A key and a value, as the works with maps have them.
type Entry = (u64, [u8; 32]);

/// So many entries with distinct keys in no order.
fn entries(count: u64) -> Vec<Entry> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(count);
    let mut value = [0; 32];
    let entry = |number: u64| {
        random.fill_bytes(&mut value);
        // An odd factor only permutes the 2^64 numbers, so keys stay distinct.
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), value)
    };
    (0..count).map(entry).collect()
}
