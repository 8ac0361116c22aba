// SPDX-License-Identifier: MIT
//! What each action brought where it was tried, for what is expected of it elsewhere.

use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::order;

/// What an action has brought.
#[derive(Clone, Copy, Debug, Default)]
struct Gain {
    sum: f64,
    edges: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Gains {
    by_action: HashMap<u32, Gain>,
}

impl Gains {
    /// What `action` brought on average; nothing is expected of one never tried.
    pub(super) fn of(&self, action: u32) -> f64 {
        match self.by_action.get(&action) {
            Some(gain) => gain.sum / f64::from(gain.edges),
            None => 0.0,
        }
    }

    pub(super) fn add(&mut self, action: u32, gained: f64) {
        let gain = self.by_action.entry(action).or_default();
        gain.sum += gained;
        gain.edges = gain.edges.saturating_add(1);
    }

    /// All of them, ascending by action.
    pub(super) fn list(&self) -> Vec<(u32, f64, u32)> {
        let mut list: Vec<_> =
            self.by_action.iter().map(|(action, gain)| (*action, gain.sum, gain.edges)).collect();
        order::distinct_by(&mut list, |(a, ..), (b, ..)| a.cmp(b));
        list
    }

    pub(super) fn from_list(list: Vec<(u32, f64, u32)>) -> Self {
        let gain = |(action, sum, edges)| (action, Gain { sum, edges });
        Self { by_action: list.into_iter().map(gain).collect() }
    }
}
