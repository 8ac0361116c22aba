// SPDX-License-Identifier: MIT
//! Jobs done by several threads, with the outcome of one after the other.
//!
//! Threads take the next item of a list as they come free, and all that they have to tell goes through one bounded channel to
//! the caller's thread. The results are in the order of the items, and of several failures the first in that order is
//! the one reported, so the number of threads shows in the time alone. A pool of threads that live on would save some tens of
//! microseconds a call, and no more: each call here is one directory.

use std::mem;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::{Observer, Progress};
use crate::Error;

/// Messages that wait for the caller's thread, at most.
const WAITING: usize = 16;

/// Results told at once: to wake the caller for each one costs as much as a small file.
const RESULTS_TOLD: usize = 64;

/// Bytes done after which the caller is told at the latest, so that large files are seen to move.
const BYTES_TOLD: u64 = 1 << 20;

/// Items that are worth a thread of their own: starting one costs about as much as a few small files.
const ITEMS_PER_THREAD: usize = 32;

/// Bytes of content that are worth a thread.
const BYTES_PER_THREAD: u64 = 1 << 20;

/// How many threads so much work is worth, of those that the machine has.
pub(crate) fn threads_for(items: usize, bytes: u64) -> usize {
    let by_bytes = usize::try_from(bytes / BYTES_PER_THREAD).unwrap_or(usize::MAX);
    let worth = (items / ITEMS_PER_THREAD).max(by_bytes).min(items);
    if worth < 2 { 1 } else { worth.min(machine_threads()) }
}

/// How many threads the machine runs at once. To ask the system takes as long as a small directory, so it is asked once.
pub(super) fn machine_threads() -> usize {
    static MACHINE: OnceLock<usize> = OnceLock::new();
    *MACHINE.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// What a thread tells the caller's: what was done since it last told something.
struct Message<T> {
    results: Vec<(usize, Result<T, Error>)>,
    entries: u64,
    bytes: u64,
}

impl<T> Default for Message<T> {
    fn default() -> Self {
        Self { results: Vec::new(), entries: 0, bytes: 0 }
    }
}

/// What `job` makes of each item, in the order of the items, by so many threads with a `worker` each. After a failure no item
/// behind it is begun.
///
/// # Errors
/// That of the first item that failed, in the order of the items.
pub(crate) fn map<I: Sync, W, T: Send>(
    threads: usize,
    items: &[I],
    worker: impl Fn() -> W + Sync,
    job: impl Fn(&mut W, &I, Observer<'_>) -> Result<T, Error> + Sync,
    observe: Observer<'_>,
) -> Result<Vec<T>, Error> {
    let mut results: Vec<Option<T>> = Vec::new();
    results.resize_with(items.len(), || None);
    let mut failed: Option<(usize, Error)> = None;
    let mut started = 0;
    if threads > 1 {
        let next = AtomicUsize::new(0);
        // Items are taken in ascending order, and this only falls to items that failed: all before the first one that fails
        // are taken, done and told.
        let end = AtomicUsize::new(items.len());
        let (sender, receiver) = sync_channel(WAITING);
        thread::scope(|scope| {
            for _ in 0..threads {
                let (worker, job, next, end) = (&worker, &job, &next, &end);
                let sender = sender.clone();
                let run = move || {
                    let mut worker = worker();
                    let mut message = Message::default();
                    // That nobody listens means that the caller is unwinding: there is nobody to work for.
                    let tell = |message: &mut _| sender.send(mem::take(message)).is_ok();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= end.load(Ordering::Relaxed) {
                            break;
                        }
                        let result = job(&mut worker, &items[index], &mut |progress| {
                            if let Progress::Step { entries, bytes } = progress {
                                message.entries += entries;
                                message.bytes += bytes;
                            }
                            if message.bytes >= BYTES_TOLD {
                                tell(&mut message);
                            }
                        });
                        if result.is_err() {
                            end.fetch_min(index, Ordering::Relaxed);
                        }
                        message.results.push((index, result));
                        if message.results.len() >= RESULTS_TOLD && !tell(&mut message) {
                            return;
                        }
                    }
                    tell(&mut message);
                };
                // A system that gives no more threads is worked with those that there are.
                if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                    break;
                }
                started += 1;
            }
            drop(sender);
            for Message { results: told, entries, bytes } in receiver {
                observe(Progress::Step { entries, bytes });
                for (index, result) in told {
                    match result {
                        Ok(result) => results[index] = Some(result),
                        Err(error) if failed.as_ref().is_none_or(|(first, _)| index < *first) => {
                            failed = Some((index, error));
                        }
                        Err(_) => {}
                    }
                }
            }
        });
    }
    if started == 0 {
        let mut worker = worker();
        return items.iter().map(|item| job(&mut worker, item, observe)).collect();
    }
    match failed {
        Some((_, error)) => Err(error),
        // Without a failure all items are done.
        None => Ok(results.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail<T>(item: u32) -> Result<T, Error> {
        Err(Error::Misuse(item.to_string()))
    }

    #[test]
    fn results_and_progress_are_those_of_one_thread() {
        let items: Vec<u32> = (0..1000).collect();
        for threads in [1, 2, 3, 8, 1001] {
            let mut seen = 0;
            let squares = map(
                threads,
                &items,
                || (),
                |(), item, observe| {
                    observe(Progress::Step { entries: 1, bytes: (*item).into() });
                    Ok(item * item)
                },
                &mut |progress| match progress {
                    Progress::Step { bytes, .. } => seen += bytes,
                    Progress::Total { .. } => unreachable!("no job knows the total"),
                },
            );
            assert_eq!(squares.unwrap(), items.iter().map(|item| item * item).collect::<Vec<_>>());
            assert_eq!(seen, 999 * 1000 / 2);
        }
    }

    #[test]
    fn of_several_failures_the_first_in_order_is_reported_whichever_comes_first_in_time() {
        let items: Vec<u32> = (0..200).collect();
        for threads in [1, 2, 8] {
            for round in 0..20 {
                let job = |(): &mut (), item: &u32, _: Observer<'_>| match item {
                    // The first failure takes its time; later ones are there before it.
                    70 => {
                        thread::sleep(std::time::Duration::from_millis(2));
                        fail(70)
                    }
                    71..=90 | 150 => fail(*item),
                    _ => Ok(()),
                };
                let error = map(threads, &items, || (), job, &mut |_| {}).unwrap_err();
                assert_eq!(error.to_string(), "70", "{threads} threads, round {round}");
            }
        }
    }

    #[test]
    fn nothing_far_behind_a_failure_is_begun() {
        let items: Vec<u32> = (0..100_000).collect();
        for threads in [1, 2, 8] {
            let begun = AtomicUsize::new(0);
            let job = |(): &mut (), item: &u32, _: Observer<'_>| {
                begun.fetch_add(1, Ordering::Relaxed);
                if *item == 0 { fail(0) } else { Ok(()) }
            };
            assert!(map(threads, &items, || (), job, &mut |_| {}).is_err());
            let begun = begun.into_inner();
            assert!(begun < items.len(), "{threads} threads began all {begun} items");
        }
    }

    #[test]
    fn little_work_is_done_where_the_caller_is() {
        assert_eq!(threads_for(0, 0), 1);
        assert_eq!(threads_for(63, 1 << 20), 1);
        assert_eq!(threads_for(1, 1 << 40), 1, "one file is one job");
    }
}
