// SPDX-License-Identifier: MIT
//! What steers a search: formulas, priors, widening, chance and repetition; and two ways of sharing children that are wrong.
#![cfg(feature = "alloc")]

use std::convert::Infallible;

use cascow_core::search::{
    Action, Backup, Choice, Edge, Evaluation, Expansion, Formula, Game, Generator, Packed, Renewal,
    Repetition, Search, SearchError, Settings, Step, Target, Turn,
};

/// What follows from a state: actions with priors, and where they lead.
type Follow = &'static [(f32, u32)];

/// A game written down: of each state its turn, its value and what follows.
struct Written<const RULE: u8>(&'static [(Turn, f64, Follow)]);

const IMPOSSIBLE: u8 = 0;
const AVOID: u8 = 1;
const DRAW: u8 = 2;

impl<const RULE: u8> Game for Written<RULE> {
    type State = u32;
    type Error = Infallible;

    const REPETITION: Repetition = match RULE {
        AVOID => Repetition::Avoid,
        DRAW => Repetition::Value(0.5),
        _ => Repetition::Impossible,
    };

    fn turn(&self, state: &u32) -> Turn {
        self.0[*state as usize].0
    }

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        let follow = (0..).zip(self.0[*state as usize].2);
        out.extend(follow.map(|(action, &(prior, _))| Choice { action: Action(action), prior }));
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
        Ok(Some(self.0[*state as usize].2[action.0 as usize].1))
    }

    fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
        let (_, value, follow) = self.0[*state as usize];
        Ok(Evaluation { value, terminal: follow.is_empty() })
    }
}

fn one_by_one() -> Settings {
    Settings { expansion: Expansion::One, ..Settings::two_players() }
}

fn begun<const RULE: u8>(settings: Settings, game: &mut Written<RULE>) -> Search<u32> {
    Search::new(settings, 0, game).unwrap()
}

fn run<const RULE: u8>(search: &mut Search<u32>, game: &mut Written<RULE>, most: u32) -> u32 {
    (0..most).find(|_| search.step(game).unwrap() == Step::Exhausted).unwrap_or(most)
}

fn visits(search: &Search<u32>, state: u32) -> Vec<u32> {
    search.edges(search.find(&state).unwrap()).map(|edge| edge.visits).collect()
}

const FIRST: Turn = Turn::First;

/// Four actions, none of which ever ends: each leads to a chain of its own.
const FAN: &[(Turn, f64, Follow)] = &[
    (FIRST, 0.5, &[(0.1, 1), (0.2, 2), (0.4, 3), (0.3, 4)]),
    (FIRST, 0.9, &[(1.0, 5)]),
    (FIRST, 0.2, &[(1.0, 5)]),
    (FIRST, 0.3, &[(1.0, 5)]),
    (FIRST, 0.4, &[(1.0, 5)]),
    (FIRST, 0.5, &[(1.0, 6)]),
    (FIRST, 0.5, &[(1.0, 7)]),
    (FIRST, 0.5, &[(1.0, 8)]),
    (FIRST, 0.5, &[(1.0, 9)]),
    (FIRST, 0.4, &[(1.0, 10)]),
    (FIRST, 0.3, &[]),
];

#[test]
fn uct_tries_each_action_in_the_games_order_before_any_twice() {
    let mut game = Written::<IMPOSSIBLE>(FAN);
    let settings = Settings { formula: Formula::Uct, ..one_by_one() };
    let mut search = begun(settings, &mut game);
    for tried in 1..=4 {
        search.step(&mut game).unwrap();
        let expected: Vec<u32> = (0..4).map(|index| u32::from(index < tried)).collect();
        assert_eq!(visits(&search, 0), expected);
    }
    run(&mut search, &mut game, 3);
    // The first has by far the best value.
    let visits = visits(&search, 0);
    assert!(visits[0] > 1 && visits[0] == *visits.iter().max().unwrap(), "{visits:?}");
}

#[test]
fn puct_follows_priors_where_values_are_alike() {
    let mut game = Written::<IMPOSSIBLE>(FAN);
    let mut search = begun(Settings { exploration: 100.0, ..one_by_one() }, &mut game);
    search.step(&mut game).unwrap();
    assert_eq!(visits(&search, 0), [0, 0, 1, 0]);
    search.step(&mut game).unwrap();
    assert_eq!(visits(&search, 0), [0, 0, 1, 1]);
}

#[test]
fn widening_considers_the_likeliest_first_and_more_with_more_visits() {
    let mut game = Written::<IMPOSSIBLE>(FAN);
    let settings = Settings { widening: 1.0, exploration: 0.0, ..Settings::two_players() };
    let mut search = begun(settings, &mut game);
    let root = search.root().id;
    let opened = |search: &Search<u32>| {
        search.edges(root).filter(|edge| edge.target != Target::Untried).count()
    };
    let mut before = 0;
    for _ in 0..8 {
        let total = search.root().visits;
        search.step(&mut game).unwrap();
        // At most the square root of the visits, rounded up.
        let opened_before = (opened(&search) as u64).saturating_sub(1);
        assert!(opened_before.pow(2) < total, "{} of {total} visits", opened(&search));
        assert!(opened(&search) >= before);
        before = opened(&search);
    }
    let actions: Vec<u32> = search.edges(root).map(|edge| edge.action.0).collect();
    assert_eq!(actions, [2, 3, 1, 0], "by falling priors");
    // What the widening leaves out is tried when nothing else is left.
    run(&mut search, &mut game, 1000);
    assert!(search.root().is_complete && opened(&search) == 4);
}

/// Chance between a win, a draw and a loss, 1 : 2 : 1, beside a safe draw.
const LOTTERY: &[(Turn, f64, Follow)] = &[
    (FIRST, 0.5, &[(1.0, 1), (1.0, 2)]),
    (Turn::Chance, 0.5, &[(0.25, 3), (0.5, 2), (0.25, 4), (0.0, 5)]),
    (FIRST, 0.5, &[]),
    (FIRST, 1.0, &[]),
    (FIRST, 1.0, &[]),
    (FIRST, 0.0, &[]),
];

#[test]
fn chance_is_valued_by_its_probabilities_and_what_cannot_happen_does_not_count() {
    let mut game = Written::<IMPOSSIBLE>(LOTTERY);
    let mut search = begun(Settings::two_players(), &mut game);
    run(&mut search, &mut game, 100);
    assert!(search.root().is_complete);
    let lottery = search.node(search.find(&1).unwrap()).unwrap();
    assert_eq!((lottery.value, lottery.bounds), (0.75, (0.5, 1.0)));
    assert_eq!(search.root().value, 0.75);
}

#[test]
fn chance_visits_its_outcomes_as_evenly_as_can_be() {
    // Each outcome is the start of a game without end but for its last state.
    const DICE: &[(Turn, f64, Follow)] = &[
        (Turn::Chance, 0.5, &[(0.5, 1), (0.25, 2), (0.25, 3)]),
        (FIRST, 0.5, &[(1.0, 4), (1.0, 5), (1.0, 6)]),
        (FIRST, 0.5, &[(1.0, 4), (1.0, 5), (1.0, 6)]),
        (FIRST, 0.5, &[(1.0, 4), (1.0, 5), (1.0, 6)]),
        (FIRST, 0.1, &[]),
        (FIRST, 0.2, &[]),
        (FIRST, 0.3, &[]),
    ];
    let mut game = Written::<IMPOSSIBLE>(DICE);
    let mut search = begun(one_by_one(), &mut game);
    run(&mut search, &mut game, 8);
    assert_eq!(visits(&search, 0), [4, 2, 2]);
}

/// A player who may go round between 0 and 1, or leave to a loss.
const ROUND: &[(Turn, f64, Follow)] =
    &[(FIRST, 0.5, &[(1.0, 1), (1.0, 2)]), (FIRST, 0.5, &[(1.0, 0), (1.0, 2)]), (FIRST, 0.0, &[])];

#[test]
fn a_repetition_with_a_value_is_worth_it_and_ends_when_nothing_else_is_left() {
    let mut game = Written::<DRAW>(ROUND);
    let mut search = begun(Settings::two_players(), &mut game);
    let steps = run(&mut search, &mut game, 10_000);
    assert!(steps < 10_000, "a search of three states does not end");
    assert_eq!(search.len(), 3);
    assert!((search.root().value - 0.5).abs() < 0.01, "{}", search.root().value);
    assert_eq!(search.root().bounds.0, 0.0, "nothing is proven through a cycle");
}

#[test]
fn a_repetition_to_be_avoided_is_never_walked() {
    let mut game = Written::<AVOID>(ROUND);
    let mut search = begun(one_by_one(), &mut game);
    assert_eq!(run(&mut search, &mut game, 10_000), 4, "there are four edges");
    assert_eq!(search.step(&mut game).unwrap(), Step::Exhausted);
}

#[test]
fn a_game_that_goes_round_though_it_cannot_is_found_out() {
    let mut game = Written::<IMPOSSIBLE>(ROUND);
    let mut search = begun(Settings::two_players(), &mut game);
    let error = (0..10_000).find_map(|_| search.step(&mut game).err()).unwrap();
    assert!(matches!(error, SearchError::Recurred { .. }));
    assert!(error.to_string().contains("REPETITION"), "{error}");
    let visits = search.root().visits;
    assert!(search.step(&mut game).is_err());
    assert_eq!(search.root().visits, visits, "an error counts nothing");
}

/// Two ways to a shared child that is good at first sight and turns out bad, through the second way alone.
const SHARED: &[(Turn, f64, Follow)] = &[
    (FIRST, 0.5, &[(1.0, 1), (1.0, 2)]),
    (FIRST, 0.5, &[(1.0, 3)]),
    (FIRST, 0.5, &[(1.0, 3)]),
    (FIRST, 0.9, &[(1.0, 4), (1.0, 5), (1.0, 6)]),
    (FIRST, 0.1, &[(1.0, 7)]),
    (FIRST, 0.1, &[(1.0, 7)]),
    (FIRST, 0.1, &[(1.0, 7)]),
    (FIRST, 0.1, &[]),
];

/// What a node would be worth by a rule other than the search's, of its own evaluation and its edges.
fn by_rule(search: &Search<u32>, state: u32, of_edge: impl Fn(&Edge) -> (f64, f64)) -> f64 {
    let id = search.find(&state).unwrap();
    let own = search.node(id).unwrap().evaluation.value;
    let edges = search.edges(id).filter(|edge| edge.child().is_some());
    let (sum, total) = edges
        .map(|edge| of_edge(&edge))
        .fold((own, 1.0), |(sum, total), (n, q)| (sum + n * q, total + n));
    sum / total
}

/// The first variant that is known to be unsound: a parent that keeps the mean of what was backed up along its own edge. It
/// goes on believing in a child that others have found to be bad.
#[test]
fn running_means_miss_what_is_learnt_by_another_way() {
    let mut game = Written::<IMPOSSIBLE>(SHARED);
    let settings =
        Settings { renewal: Renewal::Ancestors, exploration: 1.0, ..Settings::two_players() };
    let mut search = begun(settings, &mut game);
    // What a running mean would hold: for each edge of states 1 and 2, the values of the shared child at the time.
    let mut means = [(0.0, 0.0); 2];
    for _ in 0..9 {
        let before = [visits(&search, 0)].concat();
        search.step(&mut game).unwrap();
        let after = visits(&search, 0);
        let Some(shared) = search.find(&3) else { continue };
        let value = search.node(shared).unwrap().value;
        for (index, mean) in means.iter_mut().enumerate() {
            if before.get(index) != after.get(index) {
                *mean = (mean.0 + value, mean.1 + 1.0);
            }
        }
    }
    let shared = search.node(search.find(&3).unwrap()).unwrap().value;
    for state in [1, 2] {
        let sound = search.node(search.find(&state).unwrap()).unwrap().value;
        let ours = by_rule(&search, state, |edge| (f64::from(edge.visits), shared));
        assert!((sound - ours).abs() < 1e-6, "{sound} {ours}");
    }
    let stale = means.map(|(sum, count)| sum / count);
    assert!(
        stale.iter().any(|mean| mean - shared > 0.05),
        "means {stale:?} of a child worth {shared}"
    );
}

/// The second: a parent that weighs a shared child by the child's visits instead of its own edge's. A way that was looked at once
/// seems as well known as the child.
#[test]
fn a_childs_own_visits_give_it_a_weight_that_its_parent_never_gave_it() {
    let mut game = Written::<IMPOSSIBLE>(SHARED);
    let settings =
        Settings { renewal: Renewal::Ancestors, exploration: 1.0, ..Settings::two_players() };
    let mut search = begun(settings, &mut game);
    run(&mut search, &mut game, 7);
    let child = search.node(search.find(&3).unwrap()).unwrap();
    let mut worst: f64 = 0.0;
    for state in [1, 2] {
        let sound = search.node(search.find(&state).unwrap()).unwrap().value;
        let ours = by_rule(&search, state, |edge| (f64::from(edge.visits), child.value));
        let copied = by_rule(&search, state, |_| (child.visits as f64, child.value));
        assert!((sound - ours).abs() < 1e-6);
        worst = worst.max((copied - sound).abs());
    }
    assert!(worst > 0.02, "{worst}");
}

#[test]
fn a_wide_search_forgets_and_keeps_its_best_and_its_ways() {
    /// Every number has two that follow, and is worth more the more ones it has.
    struct Counting;
    impl Game for Counting {
        type State = u32;
        type Error = Infallible;
        fn actions(&mut self, _: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
            out.extend([Choice::new(Action(0)), Choice::new(Action(1)), Choice::new(Action(2))]);
            Ok(())
        }
        fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
            let depth = state >> 20;
            let next = (state & 0xF_FFFF).wrapping_mul(3).wrapping_add(action.0 * 7 + 1) & 0xF_FFFF;
            Ok((depth < 4000).then_some((depth + 1) << 20 | next))
        }
        fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
            Ok(Evaluation::estimate(f64::from((state & 0xF_FFFF).count_ones()) / 20.0))
        }
    }
    let settings = Settings { byte_limit: Some(500_000), ..Settings::optimisation() };
    let mut search = Search::new(settings, 5, &mut Counting).unwrap();
    for _ in 0..12_000 {
        search.step(&mut Counting).unwrap();
    }
    assert!(search.counts().forgotten > 0);
    assert!(search.bytes() < 510_000, "{}", search.bytes());
    for node in search.nodes() {
        let depth = node.wide.unwrap().depth;
        assert_eq!(node.state >> 20, depth, "each action leads a level down");
        let path = search.path_to(node.id).unwrap();
        assert_eq!(path.len(), depth as usize);
    }
    let best = search.node(search.best_node()).unwrap().evaluation.value;
    assert!(search.nodes().all(|node| node.evaluation.value <= best));
}

#[test]
fn too_many_actions_are_refused_in_words() {
    struct Many;
    impl Game for Many {
        type State = u32;
        type Error = Infallible;
        fn actions(&mut self, _: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
            out.extend((0..20_000).map(|action| Choice::new(Action(action))));
            Ok(())
        }
        fn apply(&mut self, state: &u32, _: Action) -> Result<Option<u32>, Infallible> {
            Ok(Some(state + 1))
        }
        fn evaluate(&mut self, _: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
            Ok(Evaluation::estimate(0.5))
        }
    }
    let mut search = Search::new(Settings::two_players(), 0, &mut Many).unwrap();
    let error = search.step(&mut Many).unwrap_err();
    assert!(matches!(error, SearchError::TooManyActions { found: 20_000, .. }));
    assert!(error.to_string().contains("20000"), "{error}");
}

#[test]
fn packed_numbers_come_back() {
    fn there_and_back<P: Packed + PartialEq + std::fmt::Debug>(state: P) {
        let mut words = vec![0; P::WORDS];
        state.pack(&mut words);
        assert_eq!(P::unpack(&words), state);
    }
    there_and_back(0xDEAD_BEEF_u32);
    there_and_back(0x0123_4567_89AB_CDEF_u64);
    there_and_back([1 << 63 | 5, u64::MAX - 1, 0]);
}

#[test]
fn a_best_that_is_weighed_lies_between_the_mean_and_the_best() {
    let mut game = Written::<IMPOSSIBLE>(FAN);
    let backup = Backup::Best { weight: 0.5 };
    let mut search = begun(Settings { backup, ..Settings::two_players() }, &mut game);
    run(&mut search, &mut game, 4);
    let root = search.root();
    assert!(root.value < root.wide.unwrap().best && root.value > 0.3, "{root:?}");
}
