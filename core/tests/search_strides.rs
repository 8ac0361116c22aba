// SPDX-License-Identifier: MIT
//! Steps of several descents: they count and renew what single descents do, and end cleanly wherever they end.
#![cfg(all(feature = "alloc", feature = "sha256"))]

use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::search::{
    Action, Choice, Evaluation, Game, Generator, Search, SearchError, Settings, Step, Turn,
};
use cascow_core::store::MemoryStore;

/// Connect Four, until it has been asked for so many evaluations.
struct Failing {
    game: Playouts<Connect4>,
    left: u64,
}

impl Game for Failing {
    type State = Connect4;
    type Error = &'static str;

    fn turn(&self, state: &Connect4) -> Turn {
        self.game.turn(state)
    }

    fn actions(&mut self, state: &Connect4, out: &mut Vec<Choice>) -> Result<(), Self::Error> {
        self.game.actions(state, out).map_err(|never| match never {})
    }

    fn apply(&mut self, state: &Connect4, action: Action) -> Result<Option<Connect4>, Self::Error> {
        self.game.apply(state, action).map_err(|never| match never {})
    }

    fn evaluate(
        &mut self,
        state: &Connect4,
        chance: &mut Generator,
    ) -> Result<Evaluation, Self::Error> {
        self.left = self.left.checked_sub(1).ok_or("no more")?;
        self.game.evaluate(state, chance).map_err(|never| match never {})
    }
}

fn begun() -> (Search<Connect4>, Playouts<Connect4>) {
    let mut game = Playouts::new();
    (Search::new(Settings::two_players(), Connect4::START, &mut game).unwrap(), game)
}

fn descents(step: Step) -> u64 {
    match step {
        Step::Tried { .. } | Step::Expanded { .. } => 1,
        Step::Strode { descents, .. } => descents.into(),
        Step::Repeated | Step::Busy | Step::Exhausted => 0,
    }
}

/// Visits of all edges of the root.
fn visits(search: &Search<Connect4>) -> u64 {
    search.edges(search.root().id).map(|edge| u64::from(edge.visits)).sum()
}

/// What all that a search knows is kept as.
fn saved(search: &Search<Connect4>) -> ContentHash {
    search.save(&MemoryStore::new(HashKind::Sha256)).unwrap().checkpoint
}

#[test]
fn a_step_makes_several_descents_where_edges_have_many_visits_and_one_where_they_have_few() {
    let (mut search, mut game) = begun();
    for _ in 0..50 {
        assert_eq!(descents(search.step_within(1000, &mut game).unwrap()), 1);
    }
    let mut most = 0;
    while search.counts().evaluations < 20_000 {
        most = most.max(descents(search.step_within(1000, &mut game).unwrap()));
    }
    assert!(most > 8, "{most}");
}

#[test]
fn a_plain_step_makes_one_descent_however_many_visits_there_are() {
    let (mut search, mut game) = begun();
    while search.counts().evaluations < 20_000 {
        assert_eq!(descents(search.step(&mut game).unwrap()), 1);
    }
}

#[test]
fn what_the_root_has_counted_are_the_descents_that_were_made() {
    let (mut search, mut game) = begun();
    // The first is the way to the root itself, and visits all its edges.
    let first = search.step_within(1000, &mut game).unwrap();
    let (mut made, mut strode) = (visits(&search), 0);
    assert_eq!((made, first.evaluations()), (7, 7));
    while search.counts().evaluations < 20_000 {
        let before = search.counts().evaluations;
        let step = search.step_within(40, &mut game).unwrap();
        assert!(step.evaluations() <= 40, "{step:?}");
        assert_eq!(search.counts().evaluations - before, u64::from(step.evaluations()), "{step:?}");
        made += descents(step);
        strode += u32::from(matches!(step, Step::Strode { .. }));
        assert_eq!(visits(&search), made, "{step:?}");
    }
    assert!(strode > 100, "{strode}");
}

#[test]
fn after_each_step_the_root_is_worth_what_its_children_are() {
    let (mut search, mut game) = begun();
    let own = search.root().evaluation;
    while search.counts().evaluations < 20_000 {
        search.step_within(1000, &mut game).unwrap();
        let edges = search.edges(search.root().id);
        let (mut sum, mut total) = (own.value, 1.0);
        for edge in edges {
            let child = edge.child().and_then(|child| search.node(child)).unwrap();
            sum += f64::from(edge.visits) * child.value;
            total += f64::from(edge.visits);
        }
        let mean = sum / total;
        let found = search.root().value;
        assert!((found - mean).abs() < 1e-6, "{found} is not {mean}");
    }
}

#[test]
fn the_same_seed_and_steps_give_the_same_search() {
    let run = || {
        let (mut search, mut game) = begun();
        while search.counts().evaluations < 20_000 {
            search.step_within(300, &mut game).unwrap();
        }
        saved(&search)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_search_that_is_saved_and_loaded_between_two_steps_goes_on_as_if_it_had_not_been() {
    let (mut search, mut game) = begun();
    while search.counts().evaluations < 10_000 {
        search.step_within(300, &mut game).unwrap();
    }
    let store = MemoryStore::new(HashKind::Sha256);
    let checkpoint = search.save(&store).unwrap().checkpoint;
    let mut loaded = Search::load::<Playouts<Connect4>>(&store, checkpoint).unwrap();
    let mut strode = 0;
    while search.counts().evaluations < 20_000 {
        let step = search.step_within(300, &mut game).unwrap();
        assert_eq!(loaded.step_within(300, &mut Playouts::new()).unwrap(), step);
        strode += u32::from(matches!(step, Step::Strode { .. }));
    }
    assert!(strode > 20, "{strode}");
    assert_eq!(saved(&loaded), saved(&search));
}

#[test]
fn a_game_that_fails_within_a_step_leaves_the_descents_before_and_nothing_of_its_own() {
    // At a visit that is the first of a step, and at many that are not.
    for fails_after in (9_000..9_060).step_by(7) {
        let mut game = Failing { game: Playouts::new(), left: fails_after };
        let mut search = Search::new(Settings::two_players(), Connect4::START, &mut game).unwrap();
        let error = loop {
            match search.step_within(1000, &mut game) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SearchError::Game("no more")), "{error:?}");
        let (made, evaluations) = (visits(&search), search.counts().evaluations);
        assert!(evaluations <= fails_after && evaluations + 7 > fails_after, "{evaluations}");
        assert_eq!(search.len() as u64, evaluations);

        // One at a time, the same search counts what is left as it should.
        game.left = u64::MAX;
        let step = search.step(&mut game).unwrap();
        assert_eq!(visits(&search), made + descents(step));
    }
}

#[test]
fn workers_beside_each_other_leave_no_descent_counted_that_was_not_made() {
    let (search, _) = begun();
    let mut search = search;
    search.step(&mut Playouts::new()).unwrap();
    while search.counts().evaluations < 20_000 {
        if search.needs_room() {
            search.make_room::<()>().unwrap();
        }
        let before = visits(&search);
        let mut workers = [search.worker(1), search.worker(2)];
        let made: u64 = std::thread::scope(|scope| {
            let shared = &search;
            let work = |worker| {
                scope.spawn(move || {
                    let step = shared.step_beside(worker, 400, &mut Playouts::new());
                    descents(step.unwrap())
                })
            };
            let threads: Vec<_> = workers.iter_mut().map(work).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        workers.iter_mut().for_each(|worker| search.count(worker));
        assert_eq!(visits(&search), before + made);
    }
}

#[test]
fn a_search_with_room_for_its_nodes_needs_to_make_none() {
    let (mut search, mut game) = begun();
    search.reserve(100_000);
    let bytes = search.bytes();
    while search.counts().evaluations < 90_000 {
        assert!(!search.needs_room(), "{:?}", search.counts());
        search.step_within(1000, &mut game).unwrap();
    }
    // What it has in use counts, and the index, which is made for all: a power of two of places, of 8 bytes each, at most three
    // quarters of them taken.
    assert!(bytes < 100_000 * 8 * 8 / 3, "{bytes}");
}
