// SPDX-License-Identifier: MIT
//! What the browser host must come to, by the core on this host.

use cascow_core::games::{Board, Playouts};
use cascow_core::hash::HashKind;
use cascow_core::merkle::StateTrie;
use cascow_core::search::{Search, Settings, Turn};
use cascow_core::store::MemoryStore;

/// A search of seed 7 as the browser host begins one, until so many playouts were made after the first.
///
/// # Panics
/// If the search does.
#[must_use]
pub fn played<B: Board>(start: B, playouts: u64) -> Search<B> {
    let settings = Settings { seed: 7, byte_limit: Some(256 << 20), ..Settings::two_players() };
    let mut game = Playouts::new();
    let mut search = Search::new(settings, start, &mut game).unwrap();
    while search.counts().evaluations < playouts + 1 {
        search.step(&mut game).unwrap();
    }
    search
}

/// The name under which it is saved.
///
/// # Panics
/// If it cannot be saved.
#[must_use]
pub fn checkpoint<B: Board>(search: &Search<B>) -> String {
    search.save(&MemoryStore::new(HashKind::Sha256)).unwrap().checkpoint.to_string()
}

/// The statistics of a search as `host-wasm` documents them.
///
/// # Panics
/// If a bound is none of loss, draw and win.
#[must_use]
pub fn statistics<B: Board>(search: &Search<B>) -> StateTrie {
    let entries = search.nodes().map(|node| {
        let mut words = vec![0; B::WORDS];
        node.state.pack(&mut words);
        let key: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut value = node.visits.to_le_bytes().to_vec();
        value.extend(node.value.to_le_bytes());
        let halves = |bound: f64| [0.0, 0.5, 1.0].iter().position(|half| *half == bound).unwrap();
        value.extend(
            [node.bounds.0, node.bounds.1].map(|bound| u8::try_from(halves(bound)).unwrap()),
        );
        value.push(u8::from(node.is_complete) | u8::from(node.evaluation.terminal) << 1);
        value.push(u8::from(node.turn == Turn::Second));
        value.extend([0; 4]);
        (key, value)
    });
    let entries: Vec<(Vec<u8>, Vec<u8>)> = entries.collect();
    let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    StateTrie::new(HashKind::Sha256, entries)
}
