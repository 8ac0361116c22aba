// SPDX-License-Identifier: MIT
//! A game that can go round for ever, and its true values: a counter that two players move back and forth until one stops it.
//!
//! The counter stands on a ring. In turn, each moves it one up, two up or one down, or stops: then the game ends with a value
//! that depends on where the counter stood and on who stopped. A stop is always there, so play that avoids every repetition ends.

use std::collections::BTreeSet;
use std::convert::Infallible;

use cascow_core::search::{Action, Choice, Evaluation, Game, Generator, Repetition, Turn};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What the counter may do besides stopping, as steps up.
const STEPS: [usize; 3] = [1, 2, PLACES - 1];
/// Places on the ring: as many as leave the paths without a repetition few enough to try them all.
pub(crate) const PLACES: usize = 6;
/// A state for each place and player to move, even for the first; those from here on are stopped.
pub(crate) const GOING: usize = 2 * PLACES;

/// What the game is worth when stopped, for each state that goes on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stops(pub(crate) [f64; GOING]);

impl Stops {
    /// Quarters from 0 to 1 by a seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut quarter =
            || f64::from(u8::try_from(generator.next_u64() >> 32 & 0xff).unwrap() % 5);
        Self(std::array::from_fn(|_| quarter() / 4.0))
    }

    /// Who is to move wants high values.
    pub(crate) fn first_moves(state: usize) -> bool {
        state.is_multiple_of(2)
    }

    /// The states that the counter's steps lead to, in the order of [`STEPS`].
    pub(crate) fn steps(state: usize) -> [usize; 3] {
        let (place, turn) = (state / 2, state % 2);
        STEPS.map(|step| (place + step) % PLACES * 2 + (1 - turn))
    }

    fn best(state: usize, values: impl Iterator<Item = f64>) -> f64 {
        if Self::first_moves(state) {
            values.fold(0.0, f64::max)
        } else {
            values.fold(1.0, f64::min)
        }
    }

    /// The true values where a repetition ends the game with `value`, by retrograde analysis.
    ///
    /// For each value that the game may end with, the states from which the first player forces at least that much. If going
    /// round is worth as much, these are the largest set from which the second player cannot escape; else the smallest set that
    /// grows from the stops.
    pub(crate) fn values_with_repetition_worth(&self, value: f64) -> [f64; GOING] {
        let mut thresholds = self.0.to_vec();
        thresholds.push(value);
        thresholds.sort_by(f64::total_cmp);
        let mut values = [0.0; GOING];
        for threshold in thresholds {
            let mut forced = [value >= threshold; GOING];
            loop {
                let next: [bool; GOING] = std::array::from_fn(|state| {
                    let mut ways = vec![self.0[state] >= threshold];
                    ways.extend(Self::steps(state).map(|next| forced[next]));
                    if Self::first_moves(state) {
                        ways.contains(&true)
                    } else {
                        !ways.contains(&false)
                    }
                });
                if next == forced {
                    break;
                }
                forced = next;
            }
            for (value, forced) in values.iter_mut().zip(forced) {
                *value = if forced { threshold } else { *value };
            }
        }
        values
    }

    /// The true value of a game begun at `state` where a repetition ends the game with `value`, by trying every path.
    pub(crate) fn value_by_paths_with_repetition_worth(&self, state: usize, value: f64) -> f64 {
        self.value_by_paths(state, &mut BTreeSet::new(), Some(value))
    }

    /// The true value of a game begun at `state` where nobody may return to a state of the path, by trying every path.
    pub(crate) fn value_with_repetition_avoided(&self, state: usize) -> f64 {
        self.value_by_paths(state, &mut BTreeSet::new(), None)
    }

    fn value_by_paths(
        &self,
        state: usize,
        path: &mut BTreeSet<usize>,
        repetition: Option<f64>,
    ) -> f64 {
        path.insert(state);
        let mut values = vec![self.0[state]];
        for next in Self::steps(state) {
            if path.contains(&next) {
                values.extend(repetition);
            } else {
                values.push(self.value_by_paths(next, path, repetition));
            }
        }
        path.remove(&state);
        Self::best(state, values.into_iter())
    }
}

/// The game of some stops. Repetition is avoided, or else a draw. States from [`GOING`] on are those stopped at the state so many
/// before; action 0 stops, the others are the steps.
#[derive(Clone, Debug)]
pub(crate) struct Counter<const AVOID: bool>(pub(crate) Stops);

impl<const AVOID: bool> Game for Counter<AVOID> {
    type State = u32;
    type Error = Infallible;

    const REPETITION: Repetition = if AVOID { Repetition::Avoid } else { Repetition::Value(0.5) };

    fn turn(&self, state: &u32) -> Turn {
        if state.is_multiple_of(2) { Turn::First } else { Turn::Second }
    }

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        if index(*state) < GOING {
            out.extend((0..=3).map(|action| Choice::new(Action(action))));
        }
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
        let from = index(*state);
        let next = match index(action.0).checked_sub(1) {
            None => from + GOING,
            Some(step) => Stops::steps(from)[step],
        };
        Ok(Some(u32::try_from(next).unwrap()))
    }

    /// Nothing is known of a state that goes on.
    fn evaluate(&mut self, state: &u32, _: &mut Generator) -> Result<Evaluation, Infallible> {
        Ok(match index(*state).checked_sub(GOING) {
            Some(stopped) => Evaluation::terminal(self.0.0[stopped]),
            None => Evaluation::estimate(0.5),
        })
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap()
}
