// SPDX-License-Identifier: MIT
//! Which way back is cheaper, loading or replaying.
//!
//! Each way has a rate, time for an edit, learned from what the host's clock measured. Without a clock the rates stay as they are
//! at first, so that the choice follows from the counts of edits alone and is the same on every host.

/// How an evicted state comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Load,
    Replay,
}

/// Added to a step's edits: opening an object or calling a game costs something also for an edit alone.
const STEP_EDITS: u64 = 4;

/// What is assumed of loading until it was measured, for an edit.
const LOAD_NANOS: u64 = 1000;

/// Both ways apply the edits; a replay also runs the game, and hashes the way up from each edit to check the root.
const REPLAY_NANOS: u64 = 2 * LOAD_NANOS;

#[derive(Clone, Debug)]
pub(super) struct Costs {
    load_nanos: u64,
    replay_nanos: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { load_nanos: LOAD_NANOS, replay_nanos: REPLAY_NANOS }
    }
}

impl Costs {
    /// What a step of so many edits is expected to take.
    pub(super) fn nanos(&self, way: Way, edits: u64) -> u64 {
        let rate = match way {
            Way::Load => self.load_nanos,
            Way::Replay => self.replay_nanos,
        };
        rate.saturating_mul(edits.saturating_add(STEP_EDITS))
    }

    /// The way that is expected to be cheaper.
    pub(super) fn cheaper(&self, edits: u64) -> Way {
        if self.nanos(Way::Replay, edits) < self.nanos(Way::Load, edits) {
            Way::Replay
        } else {
            Way::Load
        }
    }

    /// Learns what a step took: an eighth of the rate is new each time, so that one hiccup decides little.
    pub(super) fn learn(&mut self, way: Way, micros: u64, edits: u64) {
        let sample = micros.saturating_mul(1000) / edits.saturating_add(STEP_EDITS);
        let (taken, other) = match way {
            Way::Load => (&mut self.load_nanos, &mut self.replay_nanos),
            Way::Replay => (&mut self.replay_nanos, &mut self.load_nanos),
        };
        *taken = (*taken - *taken / 8).saturating_add(sample / 8);
        // What is not measured is slowly doubted, so that a way that was slow once is tried again.
        *other -= *other / 256;
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_was_measured_cheaper_is_taken_and_the_other_is_tried_again_later() {
        let mut costs = Costs::default();
        assert_eq!(costs.cheaper(10), Way::Load, "what is assumed at first");
        for _ in 0..100 {
            costs.learn(Way::Load, 1400, 10);
        }
        assert_eq!(costs.cheaper(10), Way::Replay);
        for _ in 0..100 {
            costs.learn(Way::Replay, 14_000, 10);
        }
        assert_eq!(costs.cheaper(10), Way::Load);
        let steps = (0..10_000).take_while(|_| {
            costs.learn(Way::Load, 1400, 10);
            costs.cheaper(10) == Way::Load
        });
        let steps = steps.count();
        assert!((100..5000).contains(&steps), "{steps}");
    }

    #[test]
    fn absurd_measurements_overflow_nothing() {
        let mut costs = Costs::default();
        for _ in 0..1000 {
            costs.learn(Way::Load, u64::MAX, 0);
        }
        assert_eq!(costs.cheaper(u64::MAX), Way::Load, "both are as costly as can be");
        assert_eq!(costs.cheaper(0), Way::Replay);
    }
}
