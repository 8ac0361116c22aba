// SPDX-License-Identifier: MIT
//! The true values of the test games, each found in two ways.
#![cfg(feature = "alloc")]

#[allow(dead_code, reason = "what searches need of it is for others")]
mod counter;
#[allow(dead_code, reason = "as `counter`")]
mod dice;

use counter::{GOING, Stops};
use dice::Race;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

#[test]
fn retrograde_analysis_agrees_with_trying_every_path() {
    for seed in 0..12 {
        let stops = Stops::of_seed(seed);
        for worth in [0.5, 0.25, 1.0] {
            let values = stops.values_with_repetition_worth(worth);
            for state in [0, 1, 6, 11] {
                let by_paths = stops.value_by_paths_with_repetition_worth(state, worth);
                assert_eq!(values[state], by_paths, "seed {seed}, state {state}, worth {worth}");
            }
        }
    }
}

/// Else a search could have either rule and pass.
#[test]
fn the_rules_of_repetition_give_different_values() {
    let mut differ = 0;
    let mut drawn_by_repetition = 0;
    for seed in 0..12 {
        let stops = Stops::of_seed(seed);
        let drawn = stops.values_with_repetition_worth(0.5);
        let lost = stops.values_with_repetition_worth(0.0);
        for state in 0..GOING {
            differ += u32::from(drawn[state] != stops.value_with_repetition_avoided(state));
            drawn_by_repetition += u32::from(drawn[state] != lost[state]);
        }
    }
    assert!(differ >= 10, "{differ}");
    assert!(drawn_by_repetition >= 10, "{drawn_by_repetition}");
}

#[test]
fn every_path_of_a_stop_that_nobody_can_better_is_worth_it() {
    let stops = Stops([0.75; GOING]);
    assert_eq!(stops.values_with_repetition_worth(0.75), [0.75; GOING]);
    assert_eq!(stops.value_with_repetition_avoided(0), 0.75);
    // The second player would rather go round for less, and the first player stops.
    assert_eq!(stops.values_with_repetition_worth(0.5), [0.75; GOING]);
}

/// The chance to win, straight from the rules.
fn plain_value(race: Race) -> f64 {
    if let Some(result) = race.result() {
        return result;
    }
    if race.rolling {
        let faces = [(1, 0.375), (2, 0.5), (3, 0.125)];
        return faces.iter().map(|&(face, chance)| chance * plain_value(race.shown(face))).sum();
    }
    let roll = plain_value(race.roll());
    match (race.hold().map(plain_value), race.player) {
        (None, _) => roll,
        (Some(hold), 0) => roll.max(hold),
        (Some(hold), _) => roll.min(hold),
    }
}

#[test]
fn value_iteration_agrees_with_plain_recursion() {
    let values = dice::values(Race::START);
    let near_the_end = |race: &Race| race.points.iter().sum::<u8>() >= dice::GOAL;
    let mut compared = 0;
    for (&race, &value) in values.iter().filter(|(race, _)| near_the_end(race)) {
        assert!((value - plain_value(race)).abs() < 1e-12, "{race:?}");
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn words_hold_every_state_of_the_race_and_values_are_chances() {
    let values = dice::values(Race::START);
    assert!(values.keys().all(|&race| Race::of_word(race.word()) == race));
    assert!(values.values().all(|value| (0.0..=1.0).contains(value)));
    let start = values[&Race::START];
    assert!(start > 0.5 && start < 1.0, "the first to roll has the better of it: {start}");
}

#[test]
fn playouts_of_the_race_are_won_as_often_as_random_choices_are() {
    const PLAYOUTS: u32 = 40_000;
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
    let race = Race { points: [8, 8], gathered: 0, player: 0, rolling: true };
    let mean =
        (0..PLAYOUTS).map(|_| race.playout(&mut generator)).sum::<f64>() / f64::from(PLAYOUTS);
    let chance = random_value(race);
    let sigma = (chance * (1.0 - chance) / f64::from(PLAYOUTS)).sqrt();
    assert!((mean - chance).abs() <= 5.0 * sigma, "{mean} for {chance}");
}

/// The chance to win if both choose at random.
fn random_value(race: Race) -> f64 {
    if let Some(result) = race.result() {
        return result;
    }
    if race.rolling {
        let faces = [(1, 0.375), (2, 0.5), (3, 0.125)];
        return faces.iter().map(|&(face, chance)| chance * random_value(race.shown(face))).sum();
    }
    let roll = random_value(race.roll());
    race.hold().map_or(roll, |hold| f64::midpoint(roll, random_value(hold)))
}
