// SPDX-License-Identifier: MIT
//! A made-up directory with defects: which of some fifteen fixes make the most of its forty cases pass?
//!
//! It has what real repairs have: fixes that need another fix, rival fixes of which one is second best, fixes that do
//! harm, and fixes that do nothing. Its seed gives the order of the actions and the sizes of the effects.

use std::collections::HashMap;
use std::convert::Infallible;

use cascow_core::search::{
    Action, Choice, Evaluation, Game, Generator,
    rand_core::{Rng, SeedableRng},
};

const CASES: usize = 40;

/// What makes a puzzle harder than the plain one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variation {
    /// How many fixes the directory needs.
    pub(crate) good: usize,
    /// Rival fixes do not apply after each other, instead of spoiling a case.
    pub(crate) exclusive: bool,
    /// Useless fixes change the state (not the score) instead of not applying.
    pub(crate) busy: bool,
    /// Cases that need a second fix besides their own.
    pub(crate) entangled: usize,
    /// Harmful fixes make a case of their own pass, so that they look good until they break others.
    pub(crate) tempting: bool,
    /// Two fixes of which neither repairs anything without the other.
    pub(crate) plateau: bool,
    /// A fix that breaks more than it repairs until another fix is applied.
    pub(crate) masked: bool,
    /// Cases that nothing repairs.
    pub(crate) hopeless: usize,
}

/// A set of fixes, one bit for each.
pub(crate) type Fixes = u32;

/// Passes when one of `repairs` is applied wholly and nothing of `breaks`, unless something of `shields` is applied.
#[derive(Clone, Default)]
struct Case {
    repairs: Vec<Fixes>,
    breaks: Fixes,
    shields: Fixes,
}

impl Case {
    fn passes(&self, applied: Fixes) -> bool {
        let broken = applied & self.breaks != 0 && applied & self.shields == 0;
        !broken && self.repairs.iter().any(|&repair| repair & !applied == 0)
    }
}

pub(crate) struct Repair {
    cases: Vec<Case>,
    order: Vec<u32>,
    useless: Fixes,
    rivals: Fixes,
    variation: Variation,
    /// How often each state was evaluated.
    pub(crate) evaluated: HashMap<Fixes, u32>,
}

impl Repair {
    pub(crate) fn new(seed: u64, variation: Variation) -> Self {
        let random = &mut Generator::seed_from_u64(seed);
        let good = variation.good;
        let [first, dependent, right, wrong] = [0, 1, 2, good].map(|fix| 1 << fix);
        let (pair, masked, shield) = (1 << 3 | 1 << 4, 1 << 5, 1 << 6);
        let harmful = [1 << (good + 1), 1 << (good + 2)];

        let mut cases = vec![Case::default(); variation.hopeless];
        cases.extend(vec![Case { repairs: vec![0], ..Case::default() }; 4]);
        // Every good fix repairs two cases, the right rival a third; chance deals out what is left.
        let dealt = (0..good).chain(0..good).chain([2]).map(|fix| 1 << fix);
        let mut owners: Vec<Fixes> = dealt.collect();
        while cases.len() + owners.len() < CASES - if variation.tempting { 2 } else { 0 } {
            owners.push(1 << below(random, good));
        }
        let mut tempts_right = false;
        for owner in owners {
            let mut case = Case { repairs: vec![owner], ..Case::default() };
            if variation.plateau && pair & owner != 0 {
                case.repairs = vec![pair];
            } else if owner == dependent {
                case.repairs = vec![dependent | first];
            } else if owner == right && tempts_right {
                case.repairs.push(wrong);
            } else if owner == right {
                // The case that only the right rival repairs, and only without the wrong one.
                tempts_right = true;
                case.breaks = wrong;
            }
            cases.push(case);
        }
        if variation.masked {
            // The first four pass from the start.
            for case in &mut cases[variation.hopeless..][..4] {
                (case.breaks, case.shields) = (masked, shield);
            }
        }
        for _ in 0..variation.entangled {
            let case = below(random, cases.len());
            let second = 1 << below(random, good);
            cases[case].repairs.iter_mut().for_each(|repair| *repair |= second);
        }
        for fix in harmful {
            for _ in 0..4 {
                let case = variation.hopeless + below(random, cases.len() - variation.hopeless);
                cases[case].breaks |= fix;
            }
        }
        if variation.tempting {
            cases.extend(harmful.map(|fix| Case { repairs: vec![fix], ..Case::default() }));
        }
        assert_eq!(cases.len(), CASES);

        let mut order: Vec<u32> = (0..).take(good + 5).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, below(random, index + 1));
        }
        let useless = (1 << (good + 3)) | (1 << (good + 4));
        Self { cases, order, useless, rivals: right | wrong, variation, evaluated: HashMap::new() }
    }

    pub(crate) fn score(&self, applied: Fixes) -> f64 {
        let passing = self.cases.iter().filter(|case| case.passes(applied)).count();
        f64::from(u32::try_from(passing).unwrap()) / 40.0
    }

    /// The best score of all sets of fixes, by trying every one.
    pub(crate) fn best_score(&self) -> f64 {
        let sets = 0..1 << self.order.len();
        let legal =
            sets.filter(|set| !self.variation.exclusive || set & self.rivals != self.rivals);
        legal.map(|set| self.score(set)).fold(0.0, f64::max)
    }
}

fn below(random: &mut Generator, limit: usize) -> usize {
    usize::try_from(random.next_u64() % u64::try_from(limit).unwrap()).unwrap()
}

impl Game for Repair {
    type State = Fixes;
    type Error = Infallible;

    fn actions(&mut self, state: &Fixes, out: &mut Vec<Choice>) -> Result<(), Infallible> {
        let left = self.order.iter().filter(|&&fix| state >> fix & 1 == 0);
        out.extend(left.map(|&fix| Choice::new(Action(fix))));
        Ok(())
    }

    fn apply(&mut self, state: &Fixes, Action(fix): Action) -> Result<Option<Fixes>, Infallible> {
        let fix = 1 << fix;
        let idle = self.useless & fix != 0 && !self.variation.busy;
        let barred = self.variation.exclusive && self.rivals & fix != 0 && self.rivals & state != 0;
        Ok((!idle && !barred).then_some(state | fix))
    }

    fn evaluate(&mut self, state: &Fixes, _: &mut Generator) -> Result<Evaluation, Infallible> {
        *self.evaluated.entry(*state).or_default() += 1;
        Ok(Evaluation::estimate(self.score(*state)))
    }
}

/// The puzzles that the defaults are judged by.
pub(crate) fn variations() -> [(&'static str, Variation); 11] {
    let plain = Variation { good: 9, ..Variation::default() };
    [
        ("plain", plain),
        ("eight", Variation { good: 8, ..plain }),
        ("ten", Variation { good: 10, ..plain }),
        ("exclusive", Variation { exclusive: true, ..plain }),
        ("busy", Variation { busy: true, ..plain }),
        ("entangled", Variation { entangled: 8, ..plain }),
        ("tempting", Variation { tempting: true, ..plain }),
        ("plateau", Variation { plateau: true, ..plain }),
        ("masked", Variation { masked: true, ..plain }),
        ("hidden", Variation { plateau: true, masked: true, exclusive: true, busy: true, ..plain }),
        (
            "all",
            Variation {
                good: 8,
                exclusive: true,
                busy: true,
                entangled: 6,
                tempting: true,
                hopeless: 3,
                ..plain
            },
        ),
    ]
}
