// SPDX-License-Identifier: MIT
//! A game of chance, and its true values: a race with a loaded die, after the dice game Pig.
//!
//! In turn, each rolls as often as they like and gathers what the die shows; who holds keeps what was gathered and passes the die
//! on; a roll of one loses it for a single point, and passes the die on. Who first has the goal, what was gathered included, wins.
//! Each roll or hold adds something for good, so no state recurs.

use std::collections::BTreeMap;
use std::convert::Infallible;

use cascow_core::search::{Action, Choice, Evaluation, Game, Generator, Turn};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// Points to win.
pub(crate) const GOAL: u8 = 10;
/// How many times in eight the die shows one, two, three: unequal, so that a search that takes all rolls for equally probable
/// finds other values.
pub(crate) const EIGHTHS: [u8; 3] = [3, 4, 1];

/// Where the race stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Race {
    /// Points kept, of the first player and of the second.
    pub(crate) points: [u8; 2],
    /// Points gathered in this turn.
    pub(crate) gathered: u8,
    /// 0 while the first player has the die.
    pub(crate) player: u8,
    /// The die is in the air: what happens next is chance.
    pub(crate) rolling: bool,
}

impl Race {
    /// Both at nought, the first player to roll.
    pub(crate) const START: Self = Self { points: [0, 0], gathered: 0, player: 0, rolling: false };

    /// The result in the first player's view, if the race is over.
    pub(crate) fn result(self) -> Option<f64> {
        let has = |player: usize| {
            let gathered = if usize::from(self.player) == player { self.gathered } else { 0 };
            self.points[player] + gathered >= GOAL
        };
        match (has(0), has(1)) {
            (true, _) => Some(1.0),
            (_, true) => Some(0.0),
            _ => None,
        }
    }

    /// The choice to roll.
    pub(crate) fn roll(self) -> Self {
        Self { rolling: true, ..self }
    }

    /// The choice to hold, for who has something to keep.
    pub(crate) fn hold(self) -> Option<Self> {
        (self.gathered > 0).then(|| self.keep(self.gathered))
    }

    /// The die shows 1, 2 or 3.
    pub(crate) fn shown(self, face: u8) -> Self {
        match face {
            1 => self.keep(1),
            _ => Self { gathered: self.gathered + face, rolling: false, ..self },
        }
    }

    fn keep(self, points: u8) -> Self {
        let mut kept = self.points;
        kept[usize::from(self.player)] += points;
        Self { points: kept, gathered: 0, player: 1 - self.player, rolling: false }
    }

    /// As one word, and back: five bits for the points of each and for those gathered.
    pub(crate) fn word(self) -> u32 {
        let [first, second] = self.points.map(u32::from);
        first
            | second << 5
            | u32::from(self.gathered) << 10
            | u32::from(self.player) << 15
            | u32::from(self.rolling) << 16
    }

    pub(crate) fn of_word(word: u32) -> Self {
        let field = |shift: u32| u8::try_from(word >> shift & 31).unwrap();
        Self {
            points: [field(0), field(5)],
            gathered: field(10),
            player: field(15) & 1,
            rolling: field(16) & 1 == 1,
        }
    }

    /// A result of random choices and rolls.
    pub(crate) fn playout(mut self, generator: &mut Xoshiro256PlusPlus) -> f64 {
        loop {
            if let Some(result) = self.result() {
                return result;
            }
            let noise = generator.next_u64() >> 61;
            self = if self.rolling {
                let [ones, twos, _] = EIGHTHS.map(u64::from);
                self.shown(match noise {
                    _ if noise < ones => 1,
                    _ if noise < ones + twos => 2,
                    _ => 3,
                })
            } else {
                self.hold().filter(|_| noise & 1 == 1).unwrap_or(self.roll())
            };
        }
    }
}

/// The probability that the first player wins, both playing perfectly, of each state that can be met from `start`.
///
/// By value iteration: sweeps over all states until no value changes. As no state recurs, each sweep settles at least the states
/// all of whose successors were settled before, so it ends, with values exact up to rounding.
pub(crate) fn values(start: Race) -> BTreeMap<Race, f64> {
    let mut successors = BTreeMap::new();
    let mut open = vec![start];
    while let Some(race) = open.pop() {
        if successors.contains_key(&race) {
            continue;
        }
        let next = match race.result() {
            Some(_) => Vec::new(),
            None if race.rolling => vec![race.shown(1), race.shown(2), race.shown(3)],
            None => [Some(race.roll()), race.hold()].into_iter().flatten().collect(),
        };
        open.extend(&next);
        successors.insert(race, next);
    }
    let mut values: BTreeMap<Race, f64> =
        successors.keys().map(|&race| (race, race.result().unwrap_or(0.5))).collect();
    loop {
        let mut changed = false;
        for (&race, next) in successors.iter().filter(|(_, next)| !next.is_empty()) {
            let next = next.iter().map(|next| values[next]);
            let value = match (race.rolling, race.player) {
                (true, _) => {
                    next.zip(EIGHTHS).map(|(value, eighths)| value * f64::from(eighths) / 8.0).sum()
                }
                (false, 0) => next.fold(0.0, f64::max),
                (false, _) => next.fold(1.0, f64::min),
            };
            changed |= values.insert(race, value) != Some(value);
        }
        if !changed {
            return values;
        }
    }
}

/// The race as a game: states are its [words](Race::word); actions are to roll (0), to hold (1), and what the die shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice;

const ROLL: Action = Action(0);
const HOLD: Action = Action(1);

impl Game for Dice {
    type State = u32;
    type Error = Infallible;

    fn turn(&self, state: &u32) -> Turn {
        match Race::of_word(*state) {
            Race { rolling: true, .. } => Turn::Chance,
            Race { player: 0, .. } => Turn::First,
            _ => Turn::Second,
        }
    }

    fn actions(&mut self, state: &u32, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        let race = Race::of_word(*state);
        if race.result().is_some() {
            return Ok(());
        }
        if race.rolling {
            out.extend((1..).zip(EIGHTHS).map(|(face, eighths)| Choice {
                action: Action(face),
                prior: f32::from(eighths) / 8.0,
            }));
        } else {
            out.push(Choice::new(ROLL));
            out.extend(race.hold().map(|_| Choice::new(HOLD)));
        }
        Ok(())
    }

    fn apply(&mut self, state: &u32, action: Action) -> Result<Option<u32>, Infallible> {
        let race = Race::of_word(*state);
        let next = match action {
            _ if race.rolling => Some(race.shown(u8::try_from(action.0).unwrap())),
            ROLL => Some(race.roll()),
            _ => race.hold(),
        };
        Ok(next.map(Race::word))
    }

    fn evaluate(
        &mut self,
        state: &u32,
        generator: &mut Generator,
    ) -> Result<Evaluation, Infallible> {
        let race = Race::of_word(*state);
        Ok(match race.result() {
            Some(result) => Evaluation::terminal(result),
            None => Evaluation::estimate(race.playout(generator)),
        })
    }
}
