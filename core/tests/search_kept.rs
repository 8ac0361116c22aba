// SPDX-License-Identifier: MIT
//! What a search keeps: through saving and loading, through forgetting, through a new root, and beside other workers.
#![cfg(all(feature = "alloc", feature = "sha256"))]

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cascow_core::games::{Board, Playouts, after, connect4::Connect4};
use cascow_core::hash::HashKind;
use cascow_core::search::{
    Action, Arrival, CheckpointError, Evaluation, Expansion, Game, Preference, Renewal, Search,
    SearchError, Settings, Step, Target, Task, pages_of,
};
use cascow_core::store::{MemoryStore, ObjectStore};

type Playing = Playouts<Connect4>;

fn store() -> MemoryStore {
    MemoryStore::new(HashKind::Sha256)
}

fn game() -> Playing {
    Playing::default()
}

fn begun(settings: Settings, moves: &str) -> Search<Connect4> {
    let start = after(Connect4::START, moves).unwrap();
    Search::new(settings, start, &mut game()).unwrap()
}

fn settings(seed: u64) -> Settings {
    Settings { seed, ..Settings::two_players() }
}

fn go_on(search: &mut Search<Connect4>, steps: usize) {
    for _ in 0..steps {
        if search.step(&mut game()).unwrap() == Step::Exhausted {
            break;
        }
    }
}

/// Everything that can be seen of a search.
fn picture(search: &Search<Connect4>) -> Vec<String> {
    let nodes = search
        .nodes()
        .map(|node| format!("{node:?} {:?}", search.edges(node.id).collect::<Vec<_>>()));
    let whole = format!("{:?} {:?} {}", search.counts(), search.root(), search.bytes());
    nodes.chain([whole]).collect()
}

#[test]
fn a_search_that_was_saved_and_loaded_goes_on_as_if_it_had_not() {
    for byte_limit in [None, Some(700_000)] {
        for renewal in [Renewal::Path, Renewal::Ancestors] {
            let settings = Settings { byte_limit, renewal, ..settings(3) };
            let steps = if renewal == Renewal::Path { 9000 } else { 2000 };
            let mut whole = begun(settings, "44");
            let mut halves = begun(settings, "44");
            for part in [1, 10, steps, steps / 2] {
                go_on(&mut whole, part);
                go_on(&mut halves, part);
                let store = store();
                let saved = halves.save(&store).unwrap();
                halves = Search::load::<Playing>(&store, saved.checkpoint).unwrap();
                assert!(picture(&whole) == picture(&halves), "{settings:?} after {part}");
            }
            if byte_limit.is_some() && renewal == Renewal::Path {
                assert!(whole.counts().forgotten > 0, "the limit was not met");
            }
        }
    }
}

#[test]
fn saving_again_stores_what_changed_and_its_pages_are_all_there_is() {
    let store = store();
    let mut search = begun(settings(1), "");
    go_on(&mut search, 30_000);
    let first = search.save(&store).unwrap();
    assert_eq!(first.new_objects, first.objects);
    assert_eq!(search.save(&store).unwrap().new_objects, 0);
    let pages = pages_of(&store, first.checkpoint).unwrap();
    assert_eq!(pages.len() as u64 + 1, first.objects);
    assert!(pages.iter().all(|page| store.exists(page).unwrap()));
}

#[test]
fn a_page_that_is_lost_is_named_and_not_invented() {
    let store = store();
    let mut search = begun(settings(1), "");
    go_on(&mut search, 100);
    let saved = search.save(&store).unwrap();
    let page = pages_of(&store, saved.checkpoint).unwrap()[0];
    store.delete(&page).unwrap();
    let error = Search::<Connect4>::load::<Playing>(&store, saved.checkpoint).err().unwrap();
    assert!(error.to_string().contains(&page.to_string()), "{error}");
    assert!(matches!(error, CheckpointError::Store(_)));
}

#[test]
fn a_checkpoint_that_was_changed_anywhere_is_refused_or_is_sound() {
    let original = store();
    let mut search = begun(Settings { renewal: Renewal::Ancestors, ..settings(1) }, "");
    go_on(&mut search, 60);
    let saved = search.save(&original).unwrap();
    let checkpoint = original.get(&saved.checkpoint).unwrap();
    for cut in 0..checkpoint.len() {
        let store = store();
        let put = store.put(&checkpoint[..cut]).unwrap();
        assert!(Search::<Connect4>::load::<Playing>(&store, put.hash).is_err(), "cut at {cut}");
    }
    // Pages whose words are other ones, under a checkpoint that names them.
    let pages = pages_of(&original, saved.checkpoint).unwrap();
    let (mut refused, mut sound) = (0, 0);
    for page in &pages {
        let bytes = original.get(page).unwrap();
        for bit in (0..bytes.len() * 8).step_by(37) {
            let store = store();
            for other in &pages {
                store.put(&original.get(other).unwrap()).unwrap();
            }
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let name = store.put(&changed).unwrap().hash;
            let (old, new) = (page.as_bytes(), name.as_bytes());
            let at = checkpoint.windows(32).position(|window| window == old).unwrap();
            let mut forged = checkpoint.clone();
            forged[at..at + 32].copy_from_slice(new);
            let forged = store.put(&forged).unwrap().hash;
            match Search::<Connect4>::load::<Playing>(&store, forged) {
                Err(_) => refused += 1,
                Ok(mut loaded) => {
                    sound += 1;
                    for _ in 0..5 {
                        // What is in it may be wrong, but nothing breaks.
                        let _ = loaded.step(&mut game());
                    }
                }
            }
        }
    }
    assert!(refused > 100 && sound > 100, "{refused} refused, {sound} sound");
}

#[test]
fn what_is_no_checkpoint_or_another_games_says_so() {
    let store = store();
    let other = store.put(b"CCSNwhatever").unwrap().hash;
    let error = Search::<Connect4>::load::<Playing>(&store, other).err().unwrap();
    assert!(matches!(error, CheckpointError::NotACheckpoint { .. }), "{error}");
    let later = store.put(b"CCSE\x09\x02\x00\x00").unwrap().hash;
    let error = Search::<Connect4>::load::<Playing>(&store, later).err().unwrap();
    assert!(matches!(error, CheckpointError::Unsupported { .. }), "{error}");
    // Its states have two words; these have another number of them.
    let saved = begun(settings(1), "").save(&store).unwrap();
    let mut checkpoint = store.get(&saved.checkpoint).unwrap();
    checkpoint[5] = 4;
    let other = store.put(&checkpoint).unwrap().hash;
    let error = Search::<Connect4>::load::<Playing>(&store, other).err().unwrap();
    assert!(matches!(error, CheckpointError::OtherGame { .. }), "{error}");
    for error in [
        CheckpointError::NotACheckpoint { object: other },
        CheckpointError::Unsupported { object: other },
        CheckpointError::OtherGame { object: other },
        CheckpointError::Inconsistent { object: other, what: "nothing fits" },
        CheckpointError::Store(cascow_core::store::StoreError::Missing { hash: other }),
    ] {
        assert!(error.to_string().contains(&other.to_string()), "{error}");
        let is_of_the_store = matches!(error, CheckpointError::Store(_));
        assert_eq!(std::error::Error::source(&error).is_some(), is_of_the_store);
    }
}

#[test]
fn a_search_beyond_its_limit_forgets_and_goes_on_with_the_same_statistics() {
    let limit = 600_000;
    let mut search = begun(Settings { byte_limit: Some(limit), ..settings(5) }, "");
    let root = search.root().id;
    let mut most = 0;
    for _ in 0..40 {
        let before: Vec<u32> = search.edges(root).map(|edge| edge.visits).collect();
        go_on(&mut search, 1000);
        let after: Vec<u32> = search.edges(root).map(|edge| edge.visits).collect();
        assert!(
            before.iter().zip(&after).all(|(before, after)| before <= after),
            "a visit was lost"
        );
        most = most.max(search.bytes());
    }
    assert!(search.counts().forgotten > 1000, "{:?}", search.counts());
    // A node is looked at after it was made, and growth is by chunks.
    assert!(most < limit + 1000, "{most} bytes");
    // The first step tried all seven moves.
    assert_eq!(search.root().visits, 40_001 + 6);
    assert_eq!(search.counts().closed, 0);
    let forgotten = |id| search.edges(id).any(|edge| matches!(edge.target, Target::Forgotten(_)));
    assert!(search.nodes().any(|node| forgotten(node.id)));
    // The middle column is the best first move.
    let best = search.best_edge(root, Preference::Visits).unwrap();
    assert_eq!(search.edge(best).unwrap().action, Action(3));
}

#[test]
fn a_new_root_keeps_what_is_known_below_it_and_forgets_the_rest() {
    let mut search = begun(settings(2), "");
    go_on(&mut search, 5000);
    let state = after(Connect4::START, "4").unwrap();
    let before = search.node(search.find(&state).unwrap()).unwrap();
    let nodes = search.len();
    let root = search.advance_root(Action(3), &mut game()).unwrap().unwrap();
    assert_eq!(search.root(), before);
    assert_eq!(search.root().id, root);
    assert!(
        search.len() < nodes && search.len() as u64 + search.counts().forgotten == nodes as u64
    );
    assert_eq!(search.find(&Connect4::START), None);
    assert_eq!(search.advance_root(Action(9), &mut game()).unwrap(), None);
    go_on(&mut search, 500);
    assert_eq!(search.root().visits, before.visits + 500);
}

#[test]
fn several_threads_make_one_sound_graph() {
    let search = RwLock::new(begun(settings(4), "44444"));
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 1..=3 {
            let (search, done) = (&search, &done);
            scope.spawn(move || {
                let mut worker = search.read().unwrap().worker(number);
                let mut game = game();
                while done.load(Ordering::Relaxed) < 60_000 {
                    let shared = search.read().unwrap();
                    for _ in 0..64 {
                        let descents = match shared.step_beside(&mut worker, 64, &mut game) {
                            Ok(Step::Tried { .. } | Step::Expanded { .. }) => 1,
                            Ok(Step::Strode { descents, .. }) => descents.into(),
                            Ok(Step::Busy | Step::Repeated | Step::Exhausted) => 0,
                            Err(error) => panic!("{error}"),
                        };
                        done.fetch_add(descents, Ordering::Relaxed);
                    }
                    drop(shared);
                    let mut alone = search.write().unwrap();
                    alone.count(&mut worker);
                    // Nobody else is on its way: a step ends before its lock does.
                    alone.make_room::<std::convert::Infallible>().unwrap();
                }
            });
        }
    });
    let search = search.into_inner().unwrap();
    let root = search.root();
    assert_eq!(search.counts().evaluations, search.len() as u64);
    // The first step tried all seven moves.
    assert_eq!(root.visits, 1 + 6 + done.into_inner() - search.counts().closed);
    for node in search.nodes() {
        assert!((0.0..=1.0).contains(&node.value));
        assert_eq!(search.find(&node.state), Some(node.id), "a state is one node");
        assert!(search.edges(node.id).all(|edge| edge.target != Target::Claimed));
    }
}

#[test]
fn a_search_that_renews_all_ancestors_is_for_one_thread() {
    let search = begun(Settings { renewal: Renewal::Ancestors, ..settings(4) }, "");
    let mut worker = search.worker(1);
    let error = search.step_beside(&mut worker, 1, &mut game()).unwrap_err();
    assert_eq!(error, SearchError::NotShareable);
    assert!(error.to_string().contains("Renewal::Path"));
}

#[test]
fn steps_in_halves_are_whole_steps_and_can_be_given_up() {
    // In halves, edges are tried one by one whatever the settings say.
    let mut whole = begun(Settings { expansion: Expansion::One, ..settings(6) }, "");
    let mut halves = begun(settings(6), "");
    let mut worker = halves.worker(0);
    let mut game = game();
    // The root's playout has used some of the chance.
    let start = after(Connect4::START, "").unwrap();
    game.evaluate(&start, &mut worker.generator).unwrap();
    for round in 0..400 {
        whole.step(&mut game).unwrap();
        let mut given_up = round % 3 != 0;
        loop {
            match halves.seek::<std::convert::Infallible>(&mut worker).unwrap() {
                Task::Expand { state, .. } => {
                    let mut choices = Vec::new();
                    game.actions(&state, &mut choices).unwrap();
                    halves.expand::<std::convert::Infallible>(&mut worker, &mut choices).unwrap();
                }
                Task::Try { .. } if !given_up => {
                    assert!(worker.is_waiting());
                    halves.abandon(&mut worker);
                    assert!(!worker.is_waiting());
                    given_up = true;
                }
                Task::Try { state, action, .. } => {
                    let next = game.apply(&state, action).unwrap().unwrap();
                    let arrival = match halves.find(&next) {
                        Some(_) => Arrival::Met { state: next },
                        None => Arrival::New {
                            state: next,
                            turn: game.turn(&next),
                            evaluation: game.evaluate(&next, &mut worker.generator).unwrap(),
                        },
                    };
                    halves.answer::<std::convert::Infallible>(&mut worker, arrival).unwrap();
                    break;
                }
                task => panic!("{task:?}"),
            }
        }
    }
    assert!(picture(&whole) == picture(&halves));
}

#[test]
fn workers_in_halves_try_different_edges_until_none_is_left() {
    let mut search = begun(settings(6), "");
    let mut workers: Vec<_> = (0..9).map(|number| search.worker(number)).collect();
    let mut tried = Vec::new();
    let mut busy = 0;
    for worker in &mut workers {
        loop {
            match search.seek::<std::convert::Infallible>(worker).unwrap() {
                Task::Expand { state, .. } => {
                    let mut choices = Vec::new();
                    game().actions(&state, &mut choices).unwrap();
                    search.expand::<std::convert::Infallible>(worker, &mut choices).unwrap();
                }
                Task::Try { edge, .. } => {
                    assert!(!tried.contains(&edge));
                    tried.push(edge);
                    break;
                }
                Task::Busy => {
                    busy += 1;
                    break;
                }
                task => panic!("{task:?}"),
            }
        }
    }
    // A new root has seven edges.
    assert_eq!((tried.len(), busy), (7, 2));
    let invalid = Arrival::New {
        state: after(Connect4::START, "1").unwrap(),
        turn: cascow_core::search::Turn::Second,
        evaluation: Evaluation::estimate(f64::NAN),
    };
    let error = search.answer::<std::convert::Infallible>(&mut workers[0], invalid).unwrap_err();
    assert!(matches!(error, SearchError::InvalidValue { .. }));
    workers.iter_mut().for_each(|worker| search.abandon(worker));
    assert_eq!(search.root().visits, 1);
}
