// SPDX-License-Identifier: MIT
//! The actions of a search by number: those given beforehand, then those proposed, as they came.

use std::collections::HashMap;

use cascow_core::search::rand_core::{Rng, SeedableRng};
use cascow_core::search::{Action as ActionNumber, Choice, Generator};

use super::Action;
use super::proposer::Proposal;
use super::states::Used;
use crate::Error;

/// The actions.
#[derive(Debug)]
pub(super) struct ActionTable {
    actions: Vec<Action>,
    /// In which order those given beforehand are offered: the seed decides.
    order: Vec<u32>,
    /// Proposals by name and command.
    proposed: HashMap<(String, String), u32>,
}

impl ActionTable {
    pub(super) fn new(actions: &[Action], seed: u64) -> Result<Self, Error> {
        let len = u32::try_from(actions.len()).map_err(|_| too_many())?;
        Ok(Self { actions: actions.to_vec(), order: shuffled(len, seed), proposed: HashMap::new() })
    }

    pub(super) fn get(&self, number: u32) -> Option<&Action> {
        self.actions.get(usize::try_from(number).ok()?)
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.get(number).map_or("", |action| &action.name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|action| &*action.name)
    }

    /// What is offered where these are used up.
    pub(super) fn choices(&self, used: &Used) -> Vec<Choice> {
        let choice = |number: &u32| {
            let prior = self.get(*number)?.prior;
            (!used.contains(number)).then_some(Choice { action: ActionNumber(*number), prior })
        };
        self.order.iter().filter_map(choice).collect()
    }

    /// What is offered where these were proposed. Equal ones are one action wherever they are proposed.
    pub(super) fn enter(&mut self, proposals: &[Proposal]) -> Result<Vec<Choice>, Error> {
        let mut choices = Vec::with_capacity(proposals.len());
        for Proposal { name, run, prior } in proposals {
            let key = (name.clone(), run.clone());
            let number = match self.proposed.get(&key) {
                Some(number) => *number,
                None => {
                    let number = u32::try_from(self.actions.len()).map_err(|_| too_many())?;
                    let (name, run) = key.clone();
                    self.actions.push(Action { name, run, prior: 1.0, once: false });
                    self.proposed.insert(key, number);
                    number
                }
            };
            choices.push(Choice { action: ActionNumber(number), prior: *prior });
        }
        Ok(choices)
    }
}

fn too_many() -> Error {
    Error::Misuse("a search has fewer than 2^32 actions".to_owned())
}

/// The numbers below `len` in an order that the seed alone decides: Fisher and Yates's shuffle (TAOCP 2, algorithm 3.4.2P).
fn shuffled(len: u32, seed: u64) -> Vec<u32> {
    let mut generator = Generator::seed_from_u64(seed);
    let mut order: Vec<u32> = (0..len).collect();
    for last in (1..order.len()).rev() {
        // The bias of a remainder of 64 bits is below 2^-50 for any list that a person wrote.
        let pick = generator.next_u64() % (last as u64 + 1);
        order.swap(last, usize::try_from(pick).unwrap_or(last));
    }
    order
}
