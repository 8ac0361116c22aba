// SPDX-License-Identifier: MIT
//! A global allocator that counts the bytes that live, when asked to.
//!
//! Counts what was asked for, not what the system's allocator adds; so it favours many small allocations, for both sides alike.
//! While nothing is counted it costs one look at a flag, since counting would slow a peer that allocates more.
#![expect(unsafe_code, reason = "a global allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

static COUNTS: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, counted. To be the program's `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(-layout.size().cast_signed());
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

fn add(bytes: isize) {
    if COUNTS.load(Relaxed) {
        LIVE.fetch_add(bytes, Relaxed);
    }
}

/// Bytes that live after `make` and did not before, with what it made. Nothing else may allocate meanwhile.
///
/// # Panics
/// If less lives than before.
pub fn live<T>(make: impl FnOnce() -> T) -> (T, usize) {
    LIVE.store(0, Relaxed);
    COUNTS.store(true, Relaxed);
    let made = make();
    COUNTS.store(false, Relaxed);
    let bytes = usize::try_from(LIVE.load(Relaxed)).expect("more was freed than made");
    (made, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    /// One test, since tests run at once and the counter is one.
    #[test]
    fn what_lives_is_counted_and_what_is_freed_is_not() {
        let (kept, bytes) = live(|| {
            drop(vec![0u8; 1 << 20]);
            let mut grown: Vec<u8> = Vec::with_capacity(1 << 24);
            grown.reserve_exact(1 << 25);
            (grown, vec![0u64; 1 << 20])
        });
        let expected = (1 << 25) + (8 << 20);
        // Other tests of this program may allocate beside it, but little.
        assert!(bytes.abs_diff(expected) < 1 << 16, "{bytes}");
        drop(kept);
    }
}
