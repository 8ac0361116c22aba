// SPDX-License-Identifier: MIT
//! The root of a whole state, and after one changed key, beside `jmt` and `merkle-search-tree`.

use std::hint::black_box;

use cascow_benches::measure::{Contestant, alone, repeated};
use cascow_benches::report::{Duel, Report, Unit};
use cascow_core::hash::HashKind;
use cascow_core::merkle::StateTrie;
use cascow_core::snapshot::{Cursor, Edit, SnapshotTree};
use hashbrown::HashMap;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch};
use jmt::{KeyHash, OwnedValue, RootHash, Sha256Jmt, Version};
use merkle_search_tree::MerkleSearchTree;
use sha2::{Digest, Sha256};

/// A key and a value, as all three take them.
type Entry = ([u8; 8], [u8; 32]);

const JMT: &str = "jmt 0.12, SHA-256, nodes in a hash map, nothing written back";
const JMT_KEPT: &str = "jmt 0.12, SHA-256, nodes in a hash map";
const SEARCH_TREE: &str = "merkle-search-tree 0.8, SipHash of 128 bits, no proofs";

pub(crate) fn run(report: &mut Report) {
    for keys in [1024, 65_536] {
        let entries: Vec<Entry> = crate::entries(keys)
            .into_iter()
            .map(|(key, value)| (key.to_le_bytes(), value))
            .collect();
        let duel = |peer| Duel {
            work: format!(
                "root of a state from all of its {keys} keys (8-byte keys, 32-byte values), SHA-256"
            ),
            peer,
            unit: Unit::Time,
            at_least: None,
        };
        let ours = || {
            repeated(|| {
                let entries = entries.iter().map(|(key, value)| (&key[..], &value[..]));
                StateTrie::new(HashKind::Sha256, entries).root()
            })
        };
        report.duel(&duel(JMT), ours(), repeated(|| jmt_update(&Nodes::default(), 0, &entries).0));
        report.duel(
            &duel(SEARCH_TREE),
            ours(),
            repeated(|| search_tree(&entries).root_hash().clone()),
        );

        let duel = |how, peer, at_least| Duel {
            work: format!(
                "change one key of {keys} (8-byte keys, 32-byte values) and compute the root, {how}, SHA-256"
            ),
            peer,
            unit: Unit::Time,
            at_least,
        };
        let ours = || our_changes(&entries);
        let how = "each version kept and changed from the one before";
        report.duel(&duel(how, JMT_KEPT, Some(5.0)), ours(), jmt_versions(&entries));
        let how = "where the peer computes the root alone and keeps nothing";
        report.duel(&duel(how, JMT, None), ours(), jmt_changes(&entries));
        let how = "where the peer has no versions";
        report.duel(&duel(how, SEARCH_TREE, None), ours(), search_tree_changes(&entries));
        let most = if keys == 1024 { 2_000.0 } else { 3_500.0 };
        report.time("the same alone, each version kept", &alone(ours()), Some(most));
    }
}

/// A snapshot forked with one entry changed, each from the one before, a cursor moved there, and the root.
fn our_changes(entries: &[Entry]) -> Contestant<'_> {
    let mut tree = SnapshotTree::new();
    let base = tree.create(entries.iter().map(|(key, value)| Edit::write(key, value)));
    let mut at = base.expect("a new tree has room");
    let mut cursor = Cursor::at(&tree, at).expect("it is there");
    // The whole state is hashed once, as the peers' is when they are made.
    _ = cursor.trie(&tree, HashKind::Sha256);
    let mut number = 0;
    repeated(move || {
        let (key, value) = changed(entries, &mut number);
        at = tree.fork(at, [Edit::write(&key, &value)]).expect("the tree has room");
        cursor.move_to(&tree, at).expect("it is there");
        cursor.trie(&tree, HashKind::Sha256).expect("it is there").root()
    })
}

/// The peer's tree with one entry changed after the other, each version's nodes written back for the next to read.
fn jmt_versions(entries: &[Entry]) -> Contestant<'_> {
    let mut nodes = Nodes::of(jmt_update(&Nodes::default(), 0, entries).1);
    let (mut number, mut version) = (0, 0);
    repeated(move || {
        let (entry, value) = changed(entries, &mut number);
        version += 1;
        let (root, update) = jmt_update(&nodes, version, &[(entry, value)]);
        nodes.keep(update);
        root
    })
}

/// The peer's tree with one entry changed, each time another, always from the same version.
fn jmt_changes(entries: &[Entry]) -> Contestant<'_> {
    let nodes = Nodes::of(jmt_update(&Nodes::default(), 0, entries).1);
    let mut number = 0;
    repeated(move || {
        let (entry, value) = changed(entries, &mut number);
        jmt_update(&nodes, 1, &[(entry, value)]).0
    })
}

/// The peer's tree with one entry changed after the other: it has no versions.
fn search_tree_changes(entries: &[Entry]) -> Contestant<'_> {
    let mut tree = search_tree(entries);
    _ = tree.root_hash();
    let mut number = 0;
    repeated(move || {
        let (key, value) = changed(entries, &mut number);
        tree.upsert(key, &value);
        tree.root_hash().clone()
    })
}

/// The entry with the next number, and a value that it did not have.
fn changed(entries: &[Entry], number: &mut usize) -> Entry {
    *number += 1;
    let (key, mut value) = entries[*number % entries.len()];
    value[..8].copy_from_slice(&number.to_le_bytes());
    (key, value)
}

fn search_tree(entries: &[Entry]) -> MerkleSearchTree<[u8; 8], [u8; 32]> {
    let mut tree = MerkleSearchTree::default();
    entries.iter().for_each(|(key, value)| tree.upsert(*key, value));
    tree
}

/// What a tree of the peer reads: the nodes of one version. Of the crate's own stores, the one in memory is behind a lock and
/// made for tests; this is faster.
#[derive(Default)]
struct Nodes(HashMap<NodeKey, Node>);

impl Nodes {
    fn of(update: TreeUpdateBatch) -> Self {
        let mut nodes = Self::default();
        nodes.keep(update);
        nodes
    }

    fn keep(&mut self, update: TreeUpdateBatch) {
        let nodes = update.node_batch.nodes().iter();
        self.0.extend(nodes.map(|(key, node)| (key.clone(), node.clone())));
    }
}

impl TreeReader for Nodes {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.0.get(key).cloned())
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(None)
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

fn jmt_update(nodes: &Nodes, version: Version, entries: &[Entry]) -> (RootHash, TreeUpdateBatch) {
    let set = black_box(entries)
        .iter()
        .map(|(key, value)| (KeyHash(Sha256::digest(key).into()), Some(value.to_vec())));
    Sha256Jmt::new(nodes).put_value_set(set, version).expect("the tree's nodes are all there")
}
