// SPDX-License-Identifier: MIT
//! How long something took, time after time.

use serde::Serialize;

/// Measured times.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    micros: Vec<u64>,
}

/// Measured times in three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Half took at most this many microseconds.
    pub p50: u64,
    /// Nineteen of twenty took at most this many microseconds.
    pub p95: u64,
    /// How many were measured.
    pub count: usize,
}

impl Latencies {
    /// Adds one, in microseconds.
    pub fn push(&mut self, micros: u64) {
        self.micros.push(micros);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }

    /// The nearest-rank percentiles. O(n log n).
    pub fn summary(&self) -> Summary {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or_default()
        };
        Summary { p50: rank(50), p95: rank(95), count: sorted.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), Summary { p50: 0, p95: 0, count: 0 });
        (1..=20).rev().for_each(|n| latencies.push(n));
        assert_eq!(latencies.summary(), Summary { p50: 10, p95: 19, count: 20 });
    }
}
