// SPDX-License-Identifier: MIT
//! Times: of two contestants in turn, and of single operations.
//!
//! Contestants are timed by the processor time of this thread: on a machine that does other things too, the time by the wall says
//! which of the two was interrupted. So nothing that is timed so may start a thread; what does, or waits, is timed by [`waited`].

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Least time of a round: some 10,000 times what reading the clock costs.
const ROUND: Duration = Duration::from_millis(5);

/// Rounds of a comparison. Odd, so that a median is one of them.
const ROUNDS: usize = 21;

/// Does an operation so many times, and says how long that took.
pub type Contestant<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

/// Processor time that this thread has used.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Processor time that all threads of this process have used.
pub fn processor_time_of_all() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Processor time that some work takes on this thread.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = processor_time();
    work();
    processor_time() - start
}

/// Time by the wall that some work takes: for work that waits for a disk, or starts threads. What else the machine does counts too.
pub fn waited(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// What some work costs that other processes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time by the wall.
    pub wall: Duration,
    /// Processor time of the processes, in steps of the system's clock: a hundredth of a second.
    pub processors: Duration,
}

/// What some work costs that runs processes and waits for each of them. Nothing else may wait for processes meanwhile.
pub fn of_processes(work: impl FnOnce()) -> Cost {
    let before = processor_time_of_children();
    let wall = waited(work);
    Cost { wall, processors: processor_time_of_children().saturating_sub(before) }
}

/// Processor time of all children that were waited for.
fn processor_time_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in brackets, may have spaces in it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    // Of children, in user's and system's time: the 16th and 17th field of all.
    let ticks: u64 = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap_or(100)
}

/// A contestant whose results are dropped at once, within the time.
pub fn repeated<'a, T>(mut operation: impl FnMut() -> T + 'a) -> Contestant<'a> {
    Box::new(move |times| timed(|| (0..times).for_each(|_| _ = black_box(operation()))))
}

/// A contestant whose results are kept until the clock has stopped: for what a search keeps too.
pub fn kept<'a, T>(mut operation: impl FnMut() -> T + 'a) -> Contestant<'a> {
    Box::new(move |times| {
        let mut results = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
        let elapsed = timed(|| (0..times).for_each(|_| results.push(black_box(operation()))));
        drop(results);
        elapsed
    })
}

/// The 10th, 50th and 90th of a hundred equal parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A tenth of the figures are lower.
    pub low: f64,
    /// Half of them are.
    pub median: f64,
    /// Nine tenths of them are.
    pub high: f64,
}

impl Spread {
    /// Of the figures in any order.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_unstable_by(f64::total_cmp);
        let at = |percent| figures[(figures.len() - 1) * percent / 100];
        Self { low: at(10), median: at(50), high: at(90) }
    }
}

/// Two contestants, in nanoseconds an operation; and how many times faster the first was in each round.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// The first contestant.
    pub ours: Spread,
    /// The second.
    pub peer: Spread,
    /// The second's time by the first's, of the same round.
    pub ratio: Spread,
}

/// Lets two contestants run in turn.
pub fn compare(mut ours: Contestant<'_>, mut peer: Contestant<'_>) -> Comparison {
    let (our_times, peer_times) = (calibrate(&mut ours), calibrate(&mut peer));
    let (mut our_figures, mut peer_figures) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Who comes first has the caches as the other left them: in turn too.
        if round % 2 == 0 {
            our_figures.push(nanos(&mut ours, our_times));
            peer_figures.push(nanos(&mut peer, peer_times));
        } else {
            peer_figures.push(nanos(&mut peer, peer_times));
            our_figures.push(nanos(&mut ours, our_times));
        }
    }
    let ratios = our_figures.iter().zip(&peer_figures).map(|(ours, peer)| peer / ours).collect();
    Comparison {
        ours: Spread::of(our_figures),
        peer: Spread::of(peer_figures),
        ratio: Spread::of(ratios),
    }
}

/// One contestant alone, in nanoseconds an operation.
pub fn alone(mut contestant: Contestant<'_>) -> Spread {
    let times = calibrate(&mut contestant);
    Spread::of((0..ROUNDS).map(|_| nanos(&mut contestant, times)).collect())
}

/// How often an operation must be done to fill a round. Warms it up.
fn calibrate(contestant: &mut Contestant<'_>) -> u64 {
    let mut times = 1;
    while contestant(times) < ROUND {
        times *= 2;
    }
    times
}

#[expect(clippy::cast_precision_loss, reason = "a round is far below 2^52 ns and operations")]
fn nanos(contestant: &mut Contestant<'_>, times: u64) -> f64 {
    contestant(times).as_nanos() as f64 / times as f64
}

/// Percentiles of single operations, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Half of the operations were no slower.
    pub p50: f64,
    /// Nineteen of twenty were no slower.
    pub p95: f64,
    /// Ninety-nine of a hundred were no slower.
    pub p99: f64,
}

impl Percentiles {
    /// Of the figures in any order.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_unstable_by(f64::total_cmp);
        let at = |percent| figures[(figures.len() - 1) * percent / 100];
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

/// Times `count` operations one by one, without what reading the clock costs. `operation` is given their numbers.
///
/// # Panics
/// If `count` is 0.
pub fn singles<T>(count: u32, mut operation: impl FnMut(u32) -> T) -> Percentiles {
    let times = |operation: &mut dyn FnMut(u32)| -> Vec<f64> {
        let single = |number| {
            let start = Instant::now();
            operation(number);
            f64::from(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX))
        };
        (0..count).map(single).collect()
    };
    let clock = Percentiles::of(times(&mut |number| _ = black_box(number))).p50;
    let mut figures = times(&mut |number| _ = black_box(operation(number)));
    for figure in &mut figures {
        *figure = (*figure - clock).max(0.0);
    }
    Percentiles::of(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_sorted_figures() {
        let figures = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Spread::of(figures), Spread { low: 10.0, median: 50.0, high: 90.0 });
        assert_eq!(Spread::of(vec![7.0]), Spread { low: 7.0, median: 7.0, high: 7.0 });
    }

    #[test]
    fn percentiles_are_of_the_sorted_figures() {
        let figures = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(figures), Percentiles { p50: 50.0, p95: 95.0, p99: 99.0 });
        assert_eq!(Percentiles::of(vec![7.0]), Percentiles { p50: 7.0, p95: 7.0, p99: 7.0 });
    }

    /// Contestants that say how long they took need no clock.
    fn says(nanos: u64) -> Contestant<'static> {
        Box::new(move |times| Duration::from_nanos(nanos * times))
    }

    #[test]
    fn a_contestant_that_needs_half_the_time_is_twice_as_fast() {
        let comparison = compare(says(100), says(200));
        assert_eq!((comparison.ours.median, comparison.peer.median), (100.0, 200.0));
        assert_eq!(comparison.ratio, Spread { low: 2.0, median: 2.0, high: 2.0 });
        assert_eq!(alone(says(30)).median, 30.0);
    }

    #[test]
    fn contestants_take_turns_and_each_is_first_in_half_of_the_rounds() {
        let order = std::cell::RefCell::new(Vec::new());
        let contestant = |name: char| -> Contestant<'_> {
            let order = &order;
            Box::new(move |_| {
                order.borrow_mut().push(name);
                ROUND
            })
        };
        compare(contestant('a'), contestant('b'));
        let order: String = order.into_inner().into_iter().collect();
        assert_eq!(order[2..], "abba".repeat(ROUNDS.div_ceil(2))[..2 * ROUNDS]);
    }

    #[test]
    fn an_operation_is_done_as_often_as_is_said() {
        let mut count = 0;
        repeated(|| count += 1)(1000);
        kept(|| count += 1)(500);
        assert_eq!(count, 1500);
    }

    #[test]
    fn what_a_single_operation_waits_is_in_its_percentiles() {
        let pause = Duration::from_millis(2);
        let percentiles = singles(5, |_| std::thread::sleep(pause));
        assert!(percentiles.p50 > 1e6 && percentiles.p95 >= percentiles.p50, "{percentiles:?}");
    }
}
