// SPDX-License-Identifier: MIT
//! All actions of a node tried at once: what a step then does, within which limits, and that it comes to the same end.
#![cfg(feature = "alloc")]

use std::convert::Infallible;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::{Board, Playouts, after};
use cascow_core::search::rand_core::{Rng, SeedableRng};
use cascow_core::search::{
    Action, Choice, Evaluation, Expansion, Game, Generator, MOST_AT_ONCE, Search, SearchError,
    Settings, Step, Target, Turn,
};

/// A game without cycles: from each state, the states that its actions lead to, all of higher numbers; some lead nowhere.
struct Forward {
    next: Vec<Vec<Option<u32>>>,
    values: Vec<f64>,
}

impl Forward {
    fn random(seed: u64, states: u32) -> Self {
        let mut random = Generator::seed_from_u64(seed);
        let mut below = move |limit: u32| random.next_u32() % limit;
        let mut next = Vec::new();
        let mut values = Vec::new();
        for state in 0..states {
            let later = states - state - 1;
            let actions = if later == 0 { 0 } else { below(6) };
            let lead = |_| (below(5) > 0).then(|| state + 1 + below(later));
            next.push((0..actions).map(lead).collect());
            values.push(f64::from(below(3)) / 2.0);
        }
        Self { next, values }
    }

    fn of(&self, state: u32) -> &[Option<u32>] {
        &self.next[state as usize]
    }
}

impl Game for Forward {
    type State = u32;
    type Error = Infallible;

    fn turn(&self, state: &u32) -> Turn {
        if state.is_multiple_of(2) { Turn::First } else { Turn::Second }
    }

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        out.extend((0..).zip(self.of(*state)).map(|(action, _)| Choice::new(Action(action))));
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
        Ok(self.of(*state)[action.0 as usize])
    }

    fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
        let terminal = self.of(*state).iter().all(Option::is_none);
        Ok(Evaluation { value: self.values[*state as usize], terminal })
    }
}

fn at_once() -> Settings {
    Settings { expansion: Expansion::All, ..Settings::two_players() }
}

fn begun(game: &mut Forward) -> Search<u32> {
    Search::new(at_once(), 0, game).unwrap()
}

fn visits(search: &Search<u32>, state: u32) -> Vec<u32> {
    let node = search.find(&state).unwrap();
    search.edges(node).map(|edge| edge.visits).collect()
}

/// Two ways to state 3 from the root's children, one action of the root that leads nowhere, and more below.
fn small() -> Forward {
    let next = vec![
        vec![Some(1), None, Some(2)],
        vec![Some(3), Some(4)],
        vec![Some(3), Some(5)],
        vec![Some(6)],
        vec![Some(6)],
        vec![Some(6)],
        vec![],
    ];
    Forward { next, values: vec![0.5, 0.75, 0.25, 0.5, 0.25, 0.5, 0.5] }
}

#[test]
fn the_first_step_into_a_node_tries_all_its_actions_and_evaluates_each_new_state_once() {
    let mut game = small();
    let mut search = begun(&mut game);
    let root = search.root().id;
    assert_eq!(search.step(&mut game).unwrap(), Step::Expanded { node: root, new: 2 });
    assert_eq!(visits(&search, 0), [1, 0, 1]);
    assert_eq!(search.edges(root).nth(1).unwrap().target, Target::Closed);
    // The mean of the root's own evaluation and its children's.
    assert_eq!(search.root().value, 0.5);

    let step = search.step(&mut game).unwrap();
    assert_eq!(
        (step, step.evaluations()),
        (Step::Expanded { node: search.find(&1).unwrap(), new: 2 }, 2)
    );
    assert_eq!(visits(&search, 0), [2, 0, 1], "a descent is one visit");
    let into_the_other = (0..20).find_map(|_| {
        let step = search.step(&mut game).unwrap();
        search.find(&5).map(|_| step)
    });
    let step = into_the_other.unwrap();
    assert_eq!(step.evaluations(), 1, "the other of its states was met before");
    assert_eq!(search.counts().evaluations, search.len() as u64);
}

#[test]
fn a_step_within_fewer_actions_leaves_the_others_to_be_tried_one_by_one() {
    let mut game = small();
    let mut search = begun(&mut game);
    let root = search.root().id;
    assert_eq!(search.step_within(1, &mut game).unwrap(), Step::Expanded { node: root, new: 1 });
    assert_eq!(visits(&search, 0), [1, 0, 0]);
    let targets: Vec<Target> = search.edges(root).map(|edge| edge.target).collect();
    assert_eq!(targets[1..], [Target::Untried, Target::Untried]);
    let tried = (0..100).any(|_| {
        matches!(search.step(&mut game).unwrap(), Step::Tried { edge, .. } if edge.parent == root && edge.index == 2)
    });
    assert!(tried, "what was left out is tried later");
}

#[test]
fn as_many_evaluations_are_made_as_were_asked_for() {
    for evaluations in [2, 3, 9, 1000, 1001] {
        let mut game = Playouts::<Connect4>::new();
        let mut search = Search::new(at_once(), Connect4::START, &mut game).unwrap();
        while search.counts().evaluations < evaluations {
            let left = evaluations - search.counts().evaluations;
            search.step_within(u32::try_from(left).unwrap(), &mut game).unwrap();
        }
        assert_eq!(search.counts().evaluations, evaluations);
        assert_eq!(search.len() as u64, evaluations);
    }
}

#[test]
fn a_search_to_the_end_comes_to_the_same_values_as_one_by_one() {
    for seed in 0..300 {
        let mut game = Forward::random(seed, 14);
        let mut ends = Vec::new();
        for expansion in [Expansion::One, Expansion::All] {
            let settings = Settings { expansion, ..Settings::two_players() };
            let mut search = Search::new(settings, 0, &mut game).unwrap();
            let end = (0..10_000).find(|_| search.step(&mut game).unwrap() == Step::Exhausted);
            assert!(end.is_some(), "seed {seed}: the search does not end");
            let root = search.root();
            assert!(root.is_complete);
            ends.push((root.value, root.bounds));
            for node in search.nodes() {
                for edge in search.edges(node.id) {
                    let leads = game.of(node.state)[edge.action.0 as usize];
                    match edge.target {
                        Target::Node(child) => {
                            assert_eq!(search.node(child).map(|node| node.state), leads);
                        }
                        Target::Closed => assert_eq!(leads, None),
                        Target::Untried => {}
                        other => panic!("seed {seed}: {other:?}"),
                    }
                }
            }
        }
        assert_eq!(ends[0], ends[1], "seed {seed}");
    }
}

#[test]
fn a_win_is_seen_as_soon_as_its_node_is_entered() {
    // Three in a row, open on both sides: whoever is to move wins with either end.
    let board = after(Connect4::START, "445566").unwrap();
    let mut game = Playouts::<Connect4>::new();
    let mut search = Search::new(at_once(), board, &mut game).unwrap();
    search.step(&mut game).unwrap();
    assert_eq!(search.root().bounds, (1.0, 1.0));
    assert_eq!(search.step(&mut game).unwrap(), Step::Exhausted);
    assert!(board.moves().count() == 7);
}

#[test]
fn more_actions_than_the_limit_are_tried_one_by_one() {
    for actions in [MOST_AT_ONCE, MOST_AT_ONCE + 1] {
        let children = (1..=actions).map(Some).collect();
        let next = [vec![children], vec![vec![Some(actions + 1)]; actions as usize], vec![vec![]]];
        let mut game = Forward { next: next.concat(), values: vec![0.5; actions as usize + 2] };
        let mut search = begun(&mut game);
        let expected = if actions == MOST_AT_ONCE { actions } else { 1 };
        assert_eq!(search.step(&mut game).unwrap().evaluations(), expected);
    }
}

#[test]
fn a_bad_prior_is_refused_before_anything_is_evaluated() {
    struct Bad(u32);
    impl Game for Bad {
        type State = u32;
        type Error = Infallible;
        fn actions(&mut self, _: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
            out.extend([Choice::new(Action(0)), Choice { action: Action(1), prior: -1.0 }]);
            Ok(())
        }
        fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
            Ok(Some(state + 1 + action.0))
        }
        fn evaluate(&mut self, _: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
            self.0 += 1;
            Ok(Evaluation::estimate(0.5))
        }
    }
    let mut game = Bad(0);
    let mut search = Search::new(at_once(), 0, &mut game).unwrap();
    for _ in 0..2 {
        let error = search.step(&mut game).unwrap_err();
        assert!(matches!(error, SearchError::InvalidPrior { index: 1, .. }), "{error}");
    }
    assert_eq!(game.0, 1, "the root alone");
}
