// SPDX-License-Identifier: MIT
//! How long restoring took, as a histogram of fixed size.

/// Buckets for each doubling: a quantile is read at most an eighth too high.
const STEPS: usize = 8;

/// Doublings told apart: up to 2^32 µs, more than an hour.
const DOUBLINGS: usize = 30;

const BUCKETS: usize = STEPS * DOUBLINGS;

/// Durations by bucket: 0 to 7 µs exactly, then eight buckets for each doubling.
#[derive(Clone, Debug)]
pub(super) struct Histogram([u32; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

/// Quantiles of some durations, by the host's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half of them took no longer, in microseconds; at most an eighth too high.
    pub p50_micros: u64,
    /// 95 of 100 took no longer, in microseconds; at most an eighth too high.
    pub p95_micros: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, micros: u64) {
        let count = &mut self.0[bucket(micros)];
        *count = count.saturating_add(1);
    }

    pub(super) fn latency(&self) -> Latency {
        let count: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let quantile = |percent: u64| {
            let rank = (count * percent).div_ceil(100);
            let mut below = 0;
            let found = self.0.iter().position(|count| {
                below += u64::from(*count);
                below >= rank && rank > 0
            });
            found.map_or(0, greatest)
        };
        Latency { count, p50_micros: quantile(50), p95_micros: quantile(95) }
    }
}

fn bucket(micros: u64) -> usize {
    let micros = usize::try_from(micros.min(u64::from(u32::MAX))).unwrap_or(usize::MAX);
    if micros < STEPS {
        return micros;
    }
    // The highest bit says which doubling, the three below it which of its buckets.
    let shift = micros.ilog2() as usize - 3;
    shift * STEPS + (micros >> shift)
}

/// The longest duration of a bucket.
fn greatest(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    (((bucket % STEPS + STEPS + 1) as u64) << shift) - 1
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_a_bucket_whose_end_is_at_most_an_eighth_above_it() {
        let durations = (0..70_000).chain((0..33).flat_map(|bit| [(1 << bit) - 1, 1 << bit]));
        for micros in durations.map(|micros: u64| micros.min(u64::from(u32::MAX))) {
            let end = greatest(bucket(micros));
            assert!(micros <= end && end <= micros + micros / 8, "{micros}: {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_durations() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.latency(), Latency::default());
        (0..94).for_each(|_| histogram.add(3));
        (0..6).for_each(|_| histogram.add(1000));
        let latency = histogram.latency();
        assert_eq!((latency.count, latency.p50_micros), (100, 3));
        assert!((1000..=1125).contains(&latency.p95_micros), "{latency:?}");
    }
}
