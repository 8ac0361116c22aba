// SPDX-License-Identifier: MIT
//! Executors: the threads that a host lends.
//!
//! The core starts no thread. Where work falls into jobs that do not wait for each other, it hands them to an executor, and the
//! result is the same whatever the executor does at once. How many threads there are, and what becomes of a panic in one, is
//! the host's affair.

use alloc::vec::Vec;

/// Does jobs, several at once if it can.
///
/// ```
/// use cascow_core::executor::Executor;
///
/// /// A thread for each item: for a few long jobs.
/// struct Threads;
///
/// impl Executor for Threads {
///     fn map<I: Sync, T: Send>(&self, items: &[I], job: impl Fn(&I) -> T + Sync) -> Vec<T> {
///         std::thread::scope(|scope| {
///             let job = &job;
///             let spawn = |item| scope.spawn(move || job(item));
///             let threads: Vec<_> = items.iter().map(spawn).collect();
///             threads.into_iter().map(|thread| thread.join().unwrap()).collect()
///         })
///     }
/// }
/// assert_eq!(Threads.map(&[1, 2, 3], |n| n * n), [1, 4, 9]);
/// ```
pub trait Executor {
    /// What the job makes of each item, in the order of the items. Each is done once.
    fn map<I: Sync, T: Send>(&self, items: &[I], job: impl Fn(&I) -> T + Sync) -> Vec<T>;
}

/// Does one job after the other, where the caller is: for hosts without threads to lend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Executor for Sequential {
    fn map<I: Sync, T: Send>(&self, items: &[I], job: impl Fn(&I) -> T + Sync) -> Vec<T> {
        items.iter().map(job).collect()
    }
}
