// SPDX-License-Identifier: MIT
//! The default settings find the best repair within a budget of evaluations.
#![cfg(feature = "alloc")]

mod repair;

use cascow_core::search::{Search, Settings, Step};
use repair::{Repair, Variation, variations};

/// Evaluations until the best score is met, or `None` if the budget ends first.
fn evaluations_to_best(seed: u64, variation: Variation, budget: u64) -> Option<u64> {
    let mut game = Repair::new(seed, variation);
    let best = game.best_score();
    let mut search = Search::new(Settings::optimisation(), 0, &mut game).unwrap();
    loop {
        // Nodes keep 24 bits of an evaluation.
        let found = game.score(search.node(search.best_node()).unwrap().state) >= best;
        let evaluations = search.counts().evaluations;
        if found || evaluations >= budget {
            assert!(
                game.evaluated.values().all(|&times| times == 1),
                "a state was evaluated twice"
            );
            assert_eq!(game.evaluated.len() as u64, evaluations);
            return found.then_some(evaluations);
        }
        assert_ne!(search.step(&mut game).unwrap(), Step::Exhausted);
    }
}

/// The median over ten seeds, each of which must find the best within `budget` evaluations.
fn median_within(name: &str, budget: u64) -> u64 {
    let (_, variation) = variations().into_iter().find(|(other, _)| *other == name).unwrap();
    let solve = |seed| {
        evaluations_to_best(seed, variation, budget)
            .unwrap_or_else(|| panic!("{name}, seed {seed}: not found in {budget} evaluations"))
    };
    let mut evaluations: Vec<u64> = (1..=10).map(solve).collect();
    evaluations.sort_unstable();
    println!("{name}: {evaluations:?}");
    evaluations[evaluations.len() / 2]
}

#[test]
fn nine_fixes_of_fourteen_are_found() {
    assert!(median_within("plain", 80) <= 70);
}

#[test]
fn eight_fixes_of_thirteen_are_found() {
    assert!(median_within("eight", 65) <= 58);
}

#[test]
fn ten_fixes_of_fifteen_are_found() {
    assert!(median_within("ten", 95) <= 83);
}

#[test]
fn rivals_that_exclude_each_other_are_told_apart() {
    assert!(median_within("exclusive", 80) <= 65);
}

#[test]
fn useless_changes_of_state_cost_little() {
    assert!(median_within("busy", 100) <= 87);
}

#[test]
fn cases_that_need_two_fixes_are_repaired() {
    assert!(median_within("entangled", 80) <= 71);
}

#[test]
fn harm_that_looks_good_at_first_is_avoided() {
    assert!(median_within("tempting", 80) <= 72);
}

#[test]
fn all_difficulties_together_are_overcome() {
    assert!(median_within("all", 80) <= 69);
}

#[test]
fn two_fixes_that_only_gain_together_are_found() {
    assert!(median_within("plateau", 80) <= 72);
}

#[test]
fn a_fix_that_needs_a_shield_is_found() {
    assert!(median_within("masked", 80) <= 70);
}

#[test]
fn gains_hidden_behind_plateaus_and_masks_are_found() {
    assert!(median_within("hidden", 105) <= 90);
}
