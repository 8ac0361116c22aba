// SPDX-License-Identifier: MIT
//! A tree of directories, visited by several threads.
//!
//! What visiting a directory finds below it is put on one pile, from which every thread takes the topmost: so none waits while there
//! is something to visit, and the pile grows with the depth of the tree and the breadth of its directories, not with their number.
//! The caller's thread is one of them. The others are begun when the pile is worth it, since most trees are small.
//!
//! In which order directories are visited depends on the threads. Of several failures the one whose directory has the least path
//! is reported all the same: after a failure, what lies behind it in that order is not visited, and all that lies before it is.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use super::{Observer, Progress, workers};
use crate::Error;

/// Directories on the pile that are worth a thread of their own: starting one costs about as much as a few small directories.
const DIRECTORIES_PER_THREAD: usize = 8;

/// Visits the directory with the empty path, and all that is found below it, by as many threads as the machine has cores, each
/// with a `worker`, and gives back what `finish` makes of each worker, still on its thread. `visit` adds the paths of the
/// directories below to the list that it is given, and says how many entries it has dealt with; a path that is found sorts behind
/// the one that led to it.
///
/// # Errors
/// That of the first directory that failed, in the order of their paths.
pub(super) fn descend<W, T: Send>(
    worker: impl Fn() -> W + Sync,
    visit: impl Fn(&mut W, &[u8], &mut Vec<Vec<u8>>) -> Result<u64, Error> + Sync,
    finish: impl Fn(W) -> T + Sync,
    observe: Observer<'_>,
) -> Result<Vec<T>, Error> {
    descend_with(workers::machine_threads(), worker, visit, finish, observe)
}

fn descend_with<W, T: Send>(
    threads: usize,
    worker: impl Fn() -> W + Sync,
    visit: impl Fn(&mut W, &[u8], &mut Vec<Vec<u8>>) -> Result<u64, Error> + Sync,
    finish: impl Fn(W) -> T + Sync,
    observe: Observer<'_>,
) -> Result<Vec<T>, Error> {
    let pile = Pile::new();
    let done = AtomicU64::new(0);
    let run = |between: &mut dyn FnMut()| {
        let mut worker = worker();
        while let Some(mut turn) = pile.take() {
            match visit(&mut worker, &turn.path, &mut turn.below) {
                Ok(entries) => _ = done.fetch_add(entries, Ordering::Relaxed),
                Err(error) => pile.fail(&turn.path, error),
            }
            drop(turn);
            between();
        }
        finish(worker)
    };
    let mut tell = || {
        let entries = done.swap(0, Ordering::Relaxed);
        if entries > 0 {
            observe(Progress::Step { entries, bytes: 0 });
        }
    };
    let results = thread::scope(|scope| {
        let mut others = Vec::new();
        let mut wanted = threads.saturating_sub(1);
        let own = run(&mut || {
            tell();
            while others.len() < wanted && pile.is_worth(others.len() + 1) {
                match thread::Builder::new().spawn_scoped(scope, || run(&mut || ())) {
                    Ok(other) => others.push(other),
                    // A system that gives no more threads is worked with those that there are.
                    Err(_) => wanted = 0,
                }
            }
        });
        let join = |other: ScopedJoinHandle<'_, T>| {
            other.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        let mut results = vec![own];
        results.extend(others.into_iter().map(join));
        results
    });
    tell();
    match pile.into_failure() {
        Some(error) => Err(error),
        None => Ok(results),
    }
}

/// What is still to be visited, and by how many threads.
struct Pile {
    inner: Mutex<Inner>,
    /// There is something to visit again, or nothing will be any more.
    changed: Condvar,
}

struct Inner {
    waiting: Vec<Vec<u8>>,
    /// Threads that are visiting a directory, and may find more.
    busy: usize,
    /// Threads that have nothing to do: to wake none costs a system call too.
    idle: usize,
    /// The first in order of those that failed so far.
    failed: Option<(Vec<u8>, Error)>,
}

/// A directory while it is visited. When that ends, by a panic too, what was found is put on the pile.
struct Turn<'a> {
    pile: &'a Pile,
    path: Vec<u8>,
    below: Vec<Vec<u8>>,
}

impl Pile {
    /// With the top on it.
    fn new() -> Self {
        let inner = Inner { waiting: vec![Vec::new()], busy: 0, idle: 0, failed: None };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// The next directory; waits for one as long as somebody may find more.
    fn take(&self) -> Option<Turn<'_>> {
        let mut inner = self.lock();
        loop {
            while let Some(path) = inner.waiting.pop() {
                if inner.failed.as_ref().is_none_or(|(first, _)| path < *first) {
                    inner.busy += 1;
                    return Some(Turn { pile: self, path, below: Vec::new() });
                }
            }
            if inner.busy == 0 {
                return None;
            }
            inner.idle += 1;
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
    }

    fn fail(&self, path: &[u8], error: Error) {
        let failed = &mut self.lock().failed;
        if failed.as_ref().is_none_or(|(first, _)| path < &first[..]) {
            *failed = Some((path.to_vec(), error));
        }
    }

    /// Whether there is work for so many threads more than the one that asks.
    fn is_worth(&self, others: usize) -> bool {
        self.lock().waiting.len() >= DIRECTORIES_PER_THREAD * others
    }

    fn into_failure(self) -> Option<Error> {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.failed.map(|(_, error)| error)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that may panic is done under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inner = self.pile.lock();
        inner.busy -= 1;
        inner.waiting.append(&mut self.below);
        if inner.idle > 0 && (inner.busy == 0 || !inner.waiting.is_empty()) {
            self.pile.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// A tree in which each directory has some below it, down to a depth.
    fn children(path: &[u8], breadth: u8, depth: usize) -> Vec<Vec<u8>> {
        if path.len() / 2 >= depth {
            return Vec::new();
        }
        (b'a'..b'a' + breadth).map(|name| [path, &[name, b'/']].concat()).collect()
    }

    #[test]
    fn every_directory_is_visited_once_and_counted_whatever_the_threads() {
        for (breadth, depth) in [(0, 0), (1, 300), (4, 5), (26, 2)] {
            for threads in [1, 2, 8] {
                let mut told = 0;
                let visit = |seen: &mut Vec<Vec<u8>>, path: &[u8], below: &mut Vec<_>| {
                    seen.push(path.to_vec());
                    below.extend(children(path, breadth, depth));
                    Ok(1)
                };
                let seen =
                    descend_with(threads, Vec::new, visit, |worker| worker, &mut |progress| {
                        match progress {
                            Progress::Step { entries, .. } => told += entries,
                            Progress::Total { .. } => unreachable!("nobody knows the total"),
                        }
                    });
                let mut seen = seen.unwrap().concat();
                seen.sort();
                let mut all = vec![Vec::new()];
                let mut at = 0;
                while at < all.len() {
                    all.extend(children(&all[at], breadth, depth));
                    at += 1;
                }
                all.sort();
                assert_eq!(seen, all, "{breadth} to the {depth}, {threads} threads");
                assert_eq!(told, all.len() as u64);
            }
        }
    }

    #[test]
    fn of_several_failures_the_one_with_the_least_path_is_reported_whichever_comes_first_in_time() {
        let fails: [&[u8]; 5] = [b"c/b/", b"c/b/a/", b"c/c/", b"d/", b"z/a/"];
        for threads in [1, 2, 8] {
            for _ in 0..50 {
                let visit = |(): &mut (), path: &[u8], below: &mut Vec<_>| {
                    below.extend(children(path, 26, 3));
                    match fails.contains(&path) {
                        true => Err(Error::Misuse(String::from_utf8_lossy(path).into())),
                        false => Ok(1),
                    }
                };
                let error = descend_with(threads, || (), visit, |worker| worker, &mut |_| {})
                    .err()
                    .unwrap();
                assert_eq!(error.to_string(), "c/b/", "{threads} threads");
            }
        }
    }

    #[test]
    fn nothing_behind_a_failure_is_begun_once_it_is_known() {
        for threads in [1, 2, 8] {
            let begun = AtomicU64::new(0);
            let visit = |(): &mut (), path: &[u8], below: &mut Vec<_>| {
                begun.fetch_add(1, Ordering::Relaxed);
                below.extend(children(path, 26, 3));
                if path.is_empty() { Err(Error::Misuse("the top".into())) } else { Ok(1) }
            };
            assert!(descend_with(threads, || (), visit, |worker| worker, &mut |_| {}).is_err());
            assert_eq!(begun.into_inner(), 1, "{threads} threads");
        }
    }

    #[test]
    fn several_threads_are_at_work_at_once() {
        let met = Barrier::new(2);
        let visit = |(): &mut (), path: &[u8], below: &mut Vec<_>| {
            below.extend(children(path, 26, 1));
            // Nobody passes here alone.
            if !path.is_empty() {
                met.wait();
            }
            Ok(1)
        };
        assert_eq!(descend_with(2, || (), visit, |worker| worker, &mut |_| {}).unwrap().len(), 2);
    }

    #[test]
    fn a_panic_of_any_thread_ends_all_of_them() {
        for threads in [1, 2, 8] {
            let visit = |(): &mut (), path: &[u8], below: &mut Vec<_>| {
                below.extend(children(path, 26, 2));
                assert!(path != b"k/k/", "a fault");
                Ok(1)
            };
            let run = || descend_with(threads, || (), visit, |worker| worker, &mut |_| {}).is_ok();
            assert!(std::panic::catch_unwind(run).is_err(), "{threads} threads");
        }
    }
}
