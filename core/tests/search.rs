// SPDX-License-Identifier: MIT
//! What the graph search promises about values, completeness, errors and repeatability.
#![cfg(feature = "alloc")]

use std::collections::{HashMap, HashSet};

use cascow_core::search::{
    Action, Backup, Choice, Edge, Evaluation, Expansion, Game, Generator, NodeId, Outcome,
    Preference, Renewal, Repetition, Search, SearchError, Settings, Step, Target, Turn,
    rand_core::{Rng, SeedableRng},
};

/// A game written down state by state; the action `i` of a state is its `i`-th edge.
#[derive(Clone, Default)]
struct Table {
    values: Vec<f64>,
    edges: Vec<Vec<Option<usize>>>,
    prior: Option<f32>,
    /// Values are drawn from the generator, as by playouts.
    drawn: bool,
    minimising: HashSet<usize>,
    evaluated: HashMap<usize, u32>,
    calls: usize,
    fails_at: Option<usize>,
}

#[derive(Debug, PartialEq)]
struct Injected;

impl Table {
    fn call(&mut self) -> Result<(), Injected> {
        self.calls += 1;
        if self.fails_at == Some(self.calls) { Err(Injected) } else { Ok(()) }
    }

    /// A graph of `states` states; `forward` keeps it free of cycles.
    fn random(seed: u64, states: usize, forward: bool) -> Self {
        let random = &mut Generator::seed_from_u64(seed);
        let mut table = Self::default();
        for state in 0..states {
            table.values.push(f64::from(random.next_u32() % 101) / 100.0);
            let lowest = if forward { state + 1 } else { 0 };
            let edges = (0..below(random, 5)).filter(|_| lowest < states);
            table.edges.push(
                edges
                    .map(|_| {
                        (below(random, 6) > 0).then(|| lowest + below(random, states - lowest))
                    })
                    .collect(),
            );
            if below(random, 2) == 0 {
                table.minimising.insert(state);
            }
        }
        table
    }

    /// The shortest distance of every state that is reached from state 0.
    fn distances(&self) -> HashMap<usize, u32> {
        let mut distances = HashMap::from([(0, 0)]);
        let mut queue = std::collections::VecDeque::from([0]);
        while let Some(state) = queue.pop_front() {
            for &next in self.edges[state].iter().flatten() {
                if !distances.contains_key(&next) {
                    distances.insert(next, distances[&state] + 1);
                    queue.push_back(next);
                }
            }
        }
        distances
    }
}

impl Game for Table {
    type State = u32;
    type Error = Injected;

    const REPETITION: Repetition = Repetition::Avoid;

    fn turn(&self, state: &u32) -> Turn {
        if self.minimising.contains(&at(*state)) { Turn::Second } else { Turn::First }
    }

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Injected> {
        self.call()?;
        let prior = self.prior.unwrap_or(1.0);
        let edges = 0..u32::try_from(self.edges[at(*state)].len()).unwrap();
        out.extend(edges.map(|edge| Choice { action: Action(edge), prior }));
        Ok(())
    }

    fn apply(&mut self, state: &u32, Action(edge): Action) -> Result<Option<u32>, Injected> {
        self.call()?;
        Ok(self.edges[at(*state)][at(edge)].map(|next| u32::try_from(next).unwrap()))
    }

    fn evaluate(&mut self, state: &u32, generator: &mut Generator) -> Result<Evaluation, Injected> {
        let drawn = f64::from(generator.next_u32() % 101) / 100.0;
        self.call()?;
        *self.evaluated.entry(at(*state)).or_default() += 1;
        let terminal = self.edges[at(*state)].is_empty();
        let value = if self.drawn { drawn } else { self.values[at(*state)] };
        Ok(Evaluation { value, terminal })
    }
}

fn at(number: u32) -> usize {
    usize::try_from(number).unwrap()
}

fn below(random: &mut Generator, limit: usize) -> usize {
    usize::try_from(random.next_u64() % u64::try_from(limit).unwrap()).unwrap()
}

fn mean() -> Settings {
    Settings { exploration: 0.0, renewal: Renewal::Ancestors, ..Settings::two_players() }
}

fn exhaust<G: Game<Error: std::fmt::Debug>>(search: &mut Search<G::State>, game: &mut G) -> usize {
    let mut steps = 0;
    while search.step(game).unwrap() != Step::Exhausted {
        steps += 1;
        assert!(steps < 1_000_000, "the search does not end");
    }
    steps
}

/// Everything that can be seen of a search.
fn picture(search: &Search<u32>) -> String {
    let nodes = search.nodes().map(|node| {
        // What a node offers may be known before any of it was tried.
        let is_known = |edge: &Edge| edge.target != Target::Untried;
        let edges: Vec<Edge> = search.edges(node.id).filter(is_known).collect();
        format!("{node:?} {edges:?} {:?}\n", search.parents(node.id))
    });
    nodes.collect::<String>() + &format!("{:?} {:?}", search.counts(), search.best_node())
}

/// What was tried, and what came of it: all of the picture but values, which are renewed in passing.
fn tried(search: &Search<u32>) -> String {
    let nodes = search.nodes().map(|node| {
        let is_known = |edge: &Edge| edge.target != Target::Untried;
        let edges: Vec<Edge> = search.edges(node.id).filter(is_known).collect();
        format!("{:?} {} {:?} {edges:?}\n", node.id, node.state, node.evaluation)
    });
    nodes.collect::<String>() + &format!("{:?}", search.counts())
}

/// Two ways, by states 1 and 2, lead to the shared state 3. States 4 to 7 lead on, so that nothing is complete.
fn diamond() -> Table {
    Table {
        values: vec![0.5, 0.55, 0.6, 0.9, 0.3, 0.0, 1.0, 0.5],
        edges: vec![
            vec![Some(1), Some(2)],
            vec![Some(3)],
            vec![Some(3)],
            vec![Some(4), Some(5)],
            vec![Some(6), Some(7)],
            vec![Some(7)],
            vec![Some(7)],
            vec![Some(0)],
        ],
        ..Table::default()
    }
}

fn assert_values(search: &Search<u32>, expected: &[(u32, f64)]) {
    for &(state, expected) in expected {
        let found = search.node(search.find(&state).unwrap()).unwrap().value;
        assert!(is_near(found, expected), "state {state}: expected {expected}, found {found}");
    }
}

/// Nodes keep values as f32, each rounded.
fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn a_shared_child_weighs_by_the_visits_of_the_edge_and_not_its_own() {
    let mut game = diamond();
    let mut search = Search::new(mean(), 0, &mut game).unwrap();
    for _ in 0..5 {
        search.step(&mut game).unwrap();
    }
    // 1, then 3, 4 and 5 through it, then 2: Q(3) = (0.9 + 0.3 + 0) / 3 and Q(1) = (0.55 + 3 · 0.4) / 4.
    assert_values(&search, &[(3, 0.4), (1, 0.4375), (2, 0.6), (0, 0.475)]);

    let step = search.step(&mut game).unwrap();
    let shared = search.find(&3).unwrap();
    assert!(
        matches!(step, Step::Tried { outcome: Outcome::Transposition { node }, .. } if node == shared)
    );
    // One visit along 2 → 3: (0.6 + 1 · 0.4) / 2. Copying the child's three visits would give (0.6 + 3 · 0.4) / 4 = 0.45.
    assert_values(&search, &[(2, 0.5), (0, (0.5 + 4.0 * 0.4375 + 2.0 * 0.5) / 7.0)]);
}

#[test]
fn a_shared_child_that_rises_raises_the_parent_that_was_not_on_the_path() {
    let mut game = diamond();
    let mut search = Search::new(mean(), 0, &mut game).unwrap();
    for _ in 0..7 {
        search.step(&mut game).unwrap();
    }
    // The seventh step goes 0 → 2 → 3 → 4 → 6 and lifts 3 from 0.4 to 0.55. Running means would leave state 1 at 0.4375;
    // handing the new 1.0 to every parent would give it (4 · 0.4375 + 1) / 5 = 0.55 too, but a visit it never made.
    assert_values(&search, &[(4, 0.65), (3, 0.55), (1, 0.55), (2, 1.7 / 3.0), (0, 0.55)]);
    let visits = |state: u32| search.node(search.find(&state).unwrap()).unwrap().visits;
    assert_eq!([visits(0), visits(1), visits(2), visits(3)], [8, 4, 3, 4]);
}

#[test]
fn with_path_renewal_the_other_parent_catches_up_when_it_is_passed() {
    let mut game = diamond();
    let mut search = Search::new(
        Settings { renewal: Renewal::Path, expansion: Expansion::One, ..mean() },
        0,
        &mut game,
    )
    .unwrap();
    for _ in 0..7 {
        search.step(&mut game).unwrap();
    }
    assert_values(&search, &[(3, 0.55), (1, 0.4375), (2, 1.7 / 3.0)]);
}

/// The definition of values, bounds and completeness, recomputed from nothing for each node of a graph without cycles.
struct Naive<'a> {
    search: &'a Search<u32>,
}

impl Naive<'_> {
    fn settings(&self) -> &Settings {
        self.search.settings()
    }

    fn edges(&self, id: NodeId) -> Vec<Edge> {
        self.search.edges(id).filter(|edge| edge.target != Target::Closed).collect()
    }

    fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.edges(id).iter().filter_map(Edge::child).collect()
    }

    fn is_entered(&self, id: NodeId) -> bool {
        self.search.edges(id).next().is_some()
    }

    /// Whether everything that can be done there was tried, and is final.
    fn is_settled(&self, id: NodeId) -> bool {
        let final_edge = |edge: &Edge| edge.child().is_some_and(|child| self.complete(child));
        self.is_entered(id) && self.edges(id).iter().all(final_edge)
    }

    fn complete(&self, id: NodeId) -> bool {
        let node = self.search.node(id).unwrap();
        let (lowest, highest) = self.bounds(id);
        let at_limit = node.wide.unwrap().depth >= self.settings().depth_limit;
        node.evaluation.terminal
            || lowest == highest
            || self.is_settled(id)
            || at_limit && self.children(id).iter().all(|child| self.complete(*child))
    }

    /// In halves.
    fn bounds(&self, id: NodeId) -> (u8, u8) {
        let node = self.search.node(id).unwrap();
        if self.settings().backup != Backup::Mean {
            return (0, 2);
        }
        if node.evaluation.terminal {
            let value = node.evaluation.value;
            return match value {
                0.0 => (0, 0),
                1.0 => (2, 2),
                0.5 => (1, 1),
                value if value < 0.5 => (0, 1),
                _ => (1, 2),
            };
        }
        let of_children: Vec<(u8, u8)> =
            self.children(id).into_iter().map(|child| self.bounds(child)).collect();
        if of_children.is_empty() {
            return (0, 2);
        }
        let (lowest, highest): (Vec<u8>, Vec<u8>) = of_children.into_iter().unzip();
        match (node.turn, self.is_settled(id)) {
            (Turn::First, true) => (*lowest.iter().max().unwrap(), *highest.iter().max().unwrap()),
            (Turn::First, false) => (*lowest.iter().max().unwrap(), 2),
            (_, true) => (*lowest.iter().min().unwrap(), *highest.iter().min().unwrap()),
            (_, false) => (0, *highest.iter().min().unwrap()),
        }
    }

    fn extreme(&self, id: NodeId, values: impl Iterator<Item = f64>) -> Option<f64> {
        let maximises = self.search.node(id).unwrap().turn == Turn::First;
        values.reduce(if maximises { f64::max } else { f64::min })
    }

    fn best(&self, id: NodeId) -> f64 {
        let below = self.children(id).into_iter().map(|child| self.best(child));
        let own = self.search.node(id).unwrap().evaluation.value;
        self.extreme(id, below.chain([own])).unwrap()
    }

    fn value(&self, id: NodeId) -> f64 {
        let node = self.search.node(id).unwrap();
        let is_mean = self.settings().backup == Backup::Mean;
        let (lowest, highest) = self.bounds(id);
        if is_mean && lowest == highest && self.is_entered(id) {
            return f64::from(lowest) / 2.0;
        }
        let certain = self.children(id).into_iter().filter(|child| self.complete(*child));
        let certain = self.extreme(id, certain.map(|child| self.value(child)));
        if let (true, true, Some(certain)) = (is_mean, self.is_settled(id), certain) {
            return certain;
        }
        let (mut sum, mut visits) = (node.evaluation.value, 1.0);
        for edge in self.edges(id) {
            let Some(child) = edge.child() else { continue };
            let lost = match node.turn {
                Turn::First => self.bounds(child).1 == 0,
                _ => self.bounds(child).0 == 2,
            };
            if !(is_mean && lost) {
                sum += f64::from(edge.visits) * self.value(child);
                visits += f64::from(edge.visits);
            }
        }
        let mean = sum / visits;
        if let Backup::Best { weight } = self.settings().backup {
            return (1.0 - weight) * mean + weight * self.best(id);
        }
        let value = self.extreme(id, certain.into_iter().chain([mean])).unwrap();
        value.clamp(f64::from(lowest) / 2.0, f64::from(highest) / 2.0)
    }
}

#[test]
fn every_value_equals_the_naive_recomputation_after_every_step() {
    for seed in 0..60 {
        for backup in [Backup::Mean, Backup::Best { weight: 0.3 }] {
            for depth_limit in [3, u32::MAX] {
                let mut game = Table::random(seed, 14, true);
                let settings = Settings { backup, depth_limit, exploration: 0.7, ..mean() };
                let mut search = Search::new(settings, 0, &mut game).unwrap();
                loop {
                    let naive = Naive { search: &search };
                    for node in search.nodes() {
                        let what = format!("{node:?}, seed {seed}, {settings:?}");
                        let (lowest, highest) = naive.bounds(node.id);
                        let halves = (f64::from(lowest) / 2.0, f64::from(highest) / 2.0);
                        assert_eq!(node.bounds, halves, "bounds of {what}");
                        let value = naive.value(node.id);
                        assert!(is_near(node.value, value), "value {value} of {what}");
                        if backup != Backup::Mean {
                            let best = node.wide.unwrap().best;
                            assert!(is_near(best, naive.best(node.id)), "best of {what}");
                        }
                        let entered = search.edges(node.id).next().is_some();
                        if entered || node.evaluation.terminal {
                            assert_eq!(node.is_complete, naive.complete(node.id), "{what}");
                        }
                    }
                    if search.step(&mut game).unwrap() == Step::Exhausted {
                        break;
                    }
                }
            }
        }
    }
}

/// The depth-limited state space is what breadth-first search says, whatever the cycles and the renewal.
#[test]
fn an_exhausted_search_has_met_every_state_within_the_depth_limit_once() {
    for seed in 0..200 {
        for renewal in [Renewal::Path, Renewal::Ancestors] {
            for depth_limit in [0, 2, 4, u32::MAX] {
                let mut game = Table::random(seed, 25, false);
                // The best of all states: nothing is proven before all are met.
                let backup = Backup::Best { weight: 1.0 };
                let settings =
                    Settings { backup, renewal, depth_limit, exploration: 0.5, ..mean() };
                let mut search = Search::new(settings, 0, &mut game).unwrap();
                let steps = exhaust(&mut search, &mut game);

                let distances = game.distances();
                let within =
                    |limit| distances.iter().filter(move |&(_, &distance)| distance <= limit);
                let met: HashMap<usize, u32> =
                    search.nodes().map(|node| (at(node.state), node.wide.unwrap().depth)).collect();
                let expected: HashMap<usize, u32> =
                    within(depth_limit).map(|(&a, &b)| (a, b)).collect();
                assert_eq!(met, expected, "seed {seed}, {settings:?}");
                assert!(game.evaluated.values().all(|&times| times == 1));
                let expandable = distances.iter().filter(|&(_, &distance)| distance < depth_limit);
                let edges: usize = expandable.map(|(&state, _)| game.edges[state].len()).sum();
                assert_eq!(steps, edges, "every edge is tried once, seed {seed}");
                assert!(search.root().is_complete);
                assert_eq!(search.step(&mut game).unwrap(), Step::Exhausted);
            }
        }
    }
}

#[test]
fn a_way_back_is_known_but_never_walked() {
    let edges = (0..6_usize).map(|i| vec![Some((i + 1) % 6), Some((i + 5) % 6)]).collect();
    let mut game = Table { values: vec![0.5; 6], edges, ..Table::default() };
    let mut search = Search::new(Settings { exploration: 1.0, ..mean() }, 0, &mut game).unwrap();
    assert_eq!(exhaust(&mut search, &mut game), 12);
    assert_eq!(search.counts().evaluations, 6);
    assert_eq!(search.counts().transpositions, 7);
    assert!(search.nodes().all(|node| node.is_complete));
    assert!(search.principal_variation(Preference::Visits).len() <= 6);
}

/// `0..n` switches, each turned on once, in any order.
struct Commuting {
    switches: u32,
    evaluated: HashMap<u32, u32>,
}

impl Game for Commuting {
    type State = u32;
    type Error = std::convert::Infallible;

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Self::Error> {
        let left = (0..self.switches).filter(|&switch| state >> switch & 1 == 0);
        out.extend(left.map(|switch| Choice::new(Action(switch))));
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Self::Error> {
        Ok(Some(state | 1 << action.0))
    }

    fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Self::Error> {
        *self.evaluated.entry(*state).or_default() += 1;
        Ok(Evaluation::estimate(f64::from(state.count_ones()) / f64::from(self.switches)))
    }
}

#[test]
fn commuting_actions_meet_each_subset_once() {
    for switches in 1..=9 {
        let mut game = Commuting { switches, evaluated: HashMap::new() };
        let mut search = Search::new(Settings::optimisation(), 0, &mut game).unwrap();
        let steps = exhaust(&mut search, &mut game) as u64;
        let (states, edges) = (1_u64 << switches, u64::from(switches) << (switches - 1));
        assert_eq!(search.counts().evaluations, states);
        assert_eq!(search.nodes().count() as u64, states);
        assert_eq!(steps, edges);
        assert_eq!(search.counts().transpositions, edges - (states - 1));
        assert_eq!(search.counts().closed, 0);
        assert!(game.evaluated.values().all(|&times| times == 1));
        let best = search.node(search.best_node()).unwrap();
        assert_eq!(best.state, (1 << switches) - 1);
        assert_eq!(search.path_to(search.best_node()).unwrap().len(), switches as usize);
    }
}

#[test]
fn an_action_without_effect_is_closed_and_not_tried_again() {
    let edges = vec![vec![None, Some(0), Some(1)], vec![]];
    let mut game = Table { values: vec![0.2, 0.7], edges, ..Table::default() };
    let mut search = Search::new(mean(), 0, &mut game).unwrap();
    assert_eq!(exhaust(&mut search, &mut game), 3);
    assert_eq!(search.counts().closed, 2);
    let targets: Vec<Target> = search.edges(search.root().id).map(|edge| edge.target).collect();
    assert_eq!(targets[..2], [Target::Closed, Target::Closed]);
    assert_eq!(search.root().visits, 2);
}

#[test]
fn an_error_at_any_call_leaves_the_search_as_it_was() {
    for seed in 0..20 {
        for (renewal, expansion) in [
            (Renewal::Path, Expansion::One),
            (Renewal::Path, Expansion::All),
            (Renewal::Ancestors, Expansion::One),
        ] {
            let settings = Settings { renewal, expansion, exploration: 0.6, ..mean() };
            let mut sound = Table { drawn: true, ..Table::random(seed, 15, false) };
            let mut expected = Search::new(settings, 0, &mut sound).unwrap();
            exhaust(&mut expected, &mut sound);
            let expected = picture(&expected);

            for call in 1..=sound.calls {
                let mut game =
                    Table { drawn: true, fails_at: Some(call), ..Table::random(seed, 15, false) };
                let Ok(mut search) = Search::new(settings, 0, &mut game) else {
                    assert!(call == 1, "only the root's own call stops the making of a search");
                    continue;
                };
                let mut failures = 0;
                loop {
                    let before = tried(&search);
                    match search.step(&mut game) {
                        Ok(Step::Exhausted) => break,
                        Ok(_) => {}
                        Err(error) => {
                            assert_eq!(error, SearchError::Game(Injected));
                            assert_eq!(tried(&search), before, "seed {seed}, call {call}");
                            failures += 1;
                        }
                    }
                }
                assert_eq!(failures, 1);
                assert_eq!(picture(&search), expected, "seed {seed}, call {call}");
            }
        }
    }
}

#[test]
fn values_and_priors_outside_their_range_are_refused() {
    for bad in [f64::NAN, -0.01, 1.01, f64::INFINITY] {
        let mut game = Table {
            values: vec![0.5, bad],
            edges: vec![vec![Some(1)], vec![]],
            ..Table::default()
        };
        let mut search = Search::new(mean(), 0, &mut game).unwrap();
        let before = picture(&search);
        let error = search.step(&mut game).unwrap_err();
        assert!(
            matches!(error, SearchError::InvalidValue { found } if found.to_bits() == bad.to_bits())
        );
        assert_eq!(picture(&search), before);
        game.values[1] = 1.0;
        assert!(matches!(
            search.step(&mut game).unwrap(),
            Step::Tried { outcome: Outcome::New { .. }, .. }
        ));
    }
    for bad in [f32::NAN, -1.0, f32::INFINITY] {
        let mut game = Table { prior: Some(bad), ..diamond() };
        let mut search = Search::new(mean(), 0, &mut game).unwrap();
        let error = search.step(&mut game).unwrap_err();
        assert!(
            matches!(error, SearchError::InvalidPrior { index: 0, found } if found.to_bits() == bad.to_bits())
        );
    }
    let mut game = Table { prior: Some(0.0), ..diamond() };
    let mut search = Search::new(mean(), 0, &mut game).unwrap();
    search.step(&mut game).unwrap();
    let priors: Vec<f64> = search.edges(search.root().id).map(|edge| edge.prior).collect();
    assert_eq!(priors, [0.5, 0.5], "priors of nothing mean equal priors");
}

#[test]
fn settings_outside_their_range_are_refused() {
    let defaults = Settings::optimisation();
    let wrong = [
        ("backup", Settings { backup: Backup::Best { weight: 1.5 }, ..defaults }),
        ("exploration", Settings { exploration: f64::NAN, ..defaults }),
        ("first_play_reduction", Settings { first_play_reduction: 2.0, ..defaults }),
        ("depth_limit", Settings { depth_limit: 3, ..Settings::two_players() }),
        ("widening", Settings { widening: f64::INFINITY, ..defaults }),
        ("gain_weight", Settings { gain_weight: -1.0, ..defaults }),
    ];
    for (field, settings) in wrong {
        let error = Search::new(settings, 0, &mut diamond()).err().unwrap();
        assert_eq!(error, SearchError::InvalidSetting { field });
    }
}
