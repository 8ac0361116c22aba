// SPDX-License-Identifier: MIT
//! Loss of power: what may be left of a machine.
//!
//! Each file and each directory is a choice of its own. Of a file with unsynced writes there is left: what was synced; all;
//! the first few writes; its full length, with zeros where data is missing, as delayed allocation leaves it; or of each page
//! (4 KiB) or sector (512 bytes) of each write the old or the new. Of a directory with unsynced changes of names: none, the
//! first few, all, or any of them. Times that were touched may be as before. Tables are whole.
//!
//! All combinations are tried where they are few; otherwise the extremes, each choice by itself beside the extremes, and a sample
//! of the rest by the seed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::machine::{
    DirNode, FileNode, Inner, Inode, NameChange, Names, Node, ROOT, SimulatedDisk, TableNode, Write,
};

/// How many arbitrary parts of a directory's changes are among its choices.
const DIR_SAMPLES: usize = 12;

/// How many torn versions of a file are, of pages and of sectors each: more where there are few files.
const FILE_SAMPLES: std::ops::RangeInclusive<usize> = 8..=100;

/// Writes bytes at an offset, with zeros up to there if it is beyond the end.
pub(super) fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    let end = offset + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(new);
}

/// What one file or directory may be afterwards: at first what is certain, then all that was done.
enum Choices {
    File(Vec<Arc<Vec<u8>>>),
    /// Which changes are left.
    Dir(Vec<Vec<bool>>),
    /// Whether times that were only touched are as before.
    Times,
}

impl Choices {
    fn len(&self) -> usize {
        match self {
            Self::File(choices) => choices.len(),
            Self::Dir(choices) => choices.len(),
            Self::Times => 2,
        }
    }
}

/// Losses of power, and what was found after them so far.
pub struct Outage {
    random: Xoshiro256PlusPlus,
    most: usize,
    machines: HashSet<u64>,
    found: HashSet<(u64, u64)>,
}

impl Outage {
    /// Losses that are sampled by this seed where more than `most` machines may be left.
    pub fn new(seed: u64, most: usize) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            most,
            machines: HashSet::new(),
            found: HashSet::new(),
        }
    }

    /// How many machines were found, no two alike.
    pub fn machines(&self) -> usize {
        self.machines.len()
    }

    /// How many pairs of a machine and what must be on it were found.
    pub fn found(&self) -> usize {
        self.found.len()
    }

    /// Counts what another has found, too. What is on machines decides whether they are alike, so the promises of both need not
    /// be comparable.
    pub fn add(&mut self, other: &Self) {
        self.machines.extend(&other.machines);
    }

    /// Shows each machine that may be left if the power is lost now, unless it was shown with the same promise before: a number
    /// that stands for what must be on it.
    pub fn strike(
        &mut self,
        machine: &SimulatedDisk,
        promise: u64,
        found: &mut dyn FnMut(&Arc<SimulatedDisk>),
    ) {
        let before = machine.inner().clone();
        let choices = self.choices(&before);
        let sizes: Vec<usize> = choices.iter().map(|(_, choices)| choices.len()).collect();
        for selection in self.selections(&sizes) {
            let after = left(&before, &choices, &selection);
            let digest = digest(&after);
            self.machines.insert(digest);
            if self.found.insert((digest, promise)) {
                found(&SimulatedDisk::holding(Inner::holding(after, before.clock)));
            }
        }
    }

    fn choices(&mut self, before: &Inner) -> Vec<(Inode, Choices)> {
        // What no name may lead to is gone whatever is left of it.
        let mut named = BTreeSet::new();
        for node in before.nodes.values() {
            if let Node::Dir(dir) = node {
                named.extend(dir.synced.values());
                named.extend(dir.changes.iter().filter_map(|c| Some(c.come.as_ref()?.1)));
            }
        }
        let is_dirty = |(inode, node): &(&Inode, &Node)| {
            named.contains(*inode) && matches!(node, Node::File(file) if !file.writes.is_empty())
        };
        let dirty = before.nodes.iter().filter(is_dirty).count().max(1);
        let samples = (self.most / 4 / dirty).clamp(*FILE_SAMPLES.start(), *FILE_SAMPLES.end());
        let (mut choices, mut has_touched) = (Vec::new(), false);
        for (inode, node) in &before.nodes {
            match node {
                Node::File(file) if named.contains(inode) => {
                    has_touched |= file.modified != file.synced_modified;
                    if !file.writes.is_empty() {
                        choices.push((*inode, Choices::File(self.file(file, samples))));
                    }
                }
                Node::Dir(dir) if !dir.changes.is_empty() => {
                    choices.push((*inode, Choices::Dir(self.dir(dir))));
                }
                _ => {}
            }
        }
        if has_touched {
            choices.push((ROOT, Choices::Times));
        }
        choices
    }

    fn file(&mut self, file: &FileNode, samples: usize) -> Vec<Arc<Vec<u8>>> {
        let mut choices = vec![Arc::clone(&file.synced), Arc::clone(&file.bytes)];
        let mut grown = (*file.synced).clone();
        for Write { offset, bytes } in &file.writes {
            put(&mut grown, *offset, bytes);
            choices.push(Arc::new(grown.clone()));
        }
        let mut zeros = (*file.synced).clone();
        zeros.resize(zeros.len().max(file.bytes.len()), 0);
        choices.push(Arc::new(zeros));
        for unit in [4096, 512] {
            for _ in 0..samples {
                choices.push(Arc::new(self.torn(file, unit)));
            }
        }
        let mut seen = HashSet::new();
        choices.retain(|choice| seen.insert(Arc::clone(choice)));
        choices
    }

    fn torn(&mut self, file: &FileNode, unit: usize) -> Vec<u8> {
        let mut torn = (*file.synced).clone();
        for Write { offset, bytes } in &file.writes {
            let mut at = 0;
            while at < bytes.len() {
                let end = bytes.len().min(at + unit - (offset + at) % unit);
                if self.random.next_u64().is_multiple_of(2) {
                    put(&mut torn, offset + at, &bytes[at..end]);
                }
                at = end;
            }
        }
        if self.random.next_u64().is_multiple_of(2) {
            torn.resize(torn.len().max(file.bytes.len()), 0);
        }
        torn
    }

    fn dir(&mut self, dir: &DirNode) -> Vec<Vec<bool>> {
        let len = dir.changes.len();
        let mut choices = vec![vec![false; len], vec![true; len]];
        choices.extend((1..len).map(|first| (0..len).map(|nth| nth < first).collect()));
        for _ in 0..DIR_SAMPLES {
            choices.push((0..len).map(|_| self.random.next_u64().is_multiple_of(2)).collect());
        }
        let mut seen = HashSet::new();
        choices.retain(|choice| seen.insert(choice.clone()));
        choices
    }

    /// Which combinations of so many choices each are tried.
    fn selections(&mut self, sizes: &[usize]) -> Vec<Vec<usize>> {
        let all = sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        if let Some(all) = all.filter(|all| *all <= self.most) {
            return (0..all)
                .map(|mut number| {
                    let digit = |size: &usize| {
                        let digit = number % size;
                        number /= size;
                        digit
                    };
                    sizes.iter().map(digit).collect()
                })
                .collect();
        }
        let mut selections = vec![vec![0; sizes.len()], vec![1; sizes.len()]];
        for (nth, size) in sizes.iter().enumerate() {
            for base in 0..2 {
                for choice in 0..*size {
                    let mut selection = vec![base; sizes.len()];
                    selection[nth] = choice;
                    selections.push(selection);
                }
            }
        }
        while selections.len() < self.most {
            // Each second one is all: where any name on the way to a file is lost, it does not matter what is in it.
            let choice = |size: &usize| match self.random.next_u64().is_multiple_of(2) {
                true => 1,
                false => self.below(*size),
            };
            selections.push(sizes.iter().map(choice).collect());
        }
        selections
    }

    fn below(&mut self, end: usize) -> usize {
        // UNWRAP: less than a `usize`.
        usize::try_from(self.random.next_u64() % end as u64).expect("below a usize")
    }
}

/// What is on the machine if this was left of each.
fn left(
    before: &Inner,
    choices: &[(Inode, Choices)],
    selection: &[usize],
) -> BTreeMap<Inode, Node> {
    let (mut files, mut changes, mut done) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut times_lost = false;
    for ((inode, choices), choice) in choices.iter().zip(selection) {
        match choices {
            Choices::File(choices) => drop(files.insert(*inode, &choices[*choice])),
            Choices::Dir(choices) => {
                let Some(Node::Dir(dir)) = before.nodes.get(inode) else { continue };
                changes.insert(*inode, &dir.changes);
                let chosen = dir.changes.iter().zip(&choices[*choice]);
                done.extend(chosen.filter(|(_, is_left)| **is_left).map(|(c, _)| c.number));
            }
            Choices::Times => times_lost = *choice == 0,
        }
    }
    let mut after = BTreeMap::new();
    let mut found = vec![ROOT];
    while let Some(inode) = found.pop() {
        let node = match &before.nodes[&inode] {
            Node::File(file) => {
                let bytes = Arc::clone(files.get(&inode).copied().unwrap_or(&file.synced));
                let modified = if times_lost { file.synced_modified } else { file.modified };
                Node::File(FileNode {
                    synced: Arc::clone(&bytes),
                    bytes,
                    writes: Vec::new(),
                    modified,
                    synced_modified: modified,
                })
            }
            Node::Dir(dir) => {
                let names = left_names(dir, changes.get(&inode).copied(), &done);
                found.extend(names.values());
                Node::Dir(DirNode { synced: names.clone(), names, changes: Vec::new() })
            }
            Node::Table(table) => {
                Node::Table(TableNode { pairs: Arc::clone(&table.pairs), writer: None })
            }
        };
        after.insert(inode, node);
    }
    after
}

/// A move between two directories is done if it is in either.
fn left_names(dir: &DirNode, changes: Option<&Vec<NameChange>>, done: &BTreeSet<u64>) -> Names {
    let mut names = dir.synced.clone();
    for change in changes.into_iter().flatten().filter(|change| done.contains(&change.number)) {
        change.apply(&mut names);
    }
    names
}

/// A digest of all that can be seen on a machine.
fn digest(nodes: &BTreeMap<Inode, Node>) -> u64 {
    let mut hasher = DefaultHasher::new();
    walk(nodes, ROOT, &mut hasher);
    hasher.finish()
}

fn walk(nodes: &BTreeMap<Inode, Node>, inode: Inode, hasher: &mut DefaultHasher) {
    match &nodes[&inode] {
        Node::File(file) => (0_u8, &file.bytes, file.modified).hash(hasher),
        Node::Table(table) => (1_u8, &table.pairs).hash(hasher),
        Node::Dir(dir) => {
            (2_u8, dir.names.len()).hash(hasher);
            for (name, inode) in &dir.names {
                name.hash(hasher);
                walk(nodes, *inode, hasher);
            }
        }
    }
}
