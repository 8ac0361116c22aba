// SPDX-License-Identifier: MIT
//! What takes unsafe code: the two symbols that must stay undefined, the stack's paint, and calls to the emulator's host.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::CStr;
use core::panic::PanicInfo;
use core::ptr;

use cortex_m::register::msp;
use cortex_m_semihosting::syscall;

unsafe extern "C" {
    /// Defined nowhere. The linker drops the panic handler if nothing can panic, and fails if something can.
    #[cfg(not(feature = "blake3"))]
    fn a_panic_is_reachable() -> !;
    /// Defined nowhere, as the above. It returns, as allocators do: the compiler may drop calls of one that does not.
    fn an_allocation_is_reachable() -> *mut u8;
    /// Where the linker script ends the stack, from `cortex-m-rt`.
    static _stack_end: u32;
}

/// Of an image with BLAKE3: the crate has checks that the compiler cannot see to hold. None of the vectors meets one.
#[cfg(feature = "blake3")]
#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    cortex_m_semihosting::debug::exit(cortex_m_semihosting::debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::wfi();
    }
}

#[cfg(not(feature = "blake3"))]
#[panic_handler]
fn refuse_to_link(_: &PanicInfo<'_>) -> ! {
    // SAFETY: never called, since an image with a call does not link.
    unsafe { a_panic_is_reachable() }
}

struct NoHeap;

#[global_allocator]
static NO_HEAP: NoHeap = NoHeap;

// SAFETY: never called, since an image with a call does not link.
unsafe impl GlobalAlloc for NoHeap {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { an_allocation_is_reachable() }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        // SAFETY: as above.
        unsafe { an_allocation_is_reachable() };
    }
}

/// No verifier leaves this word behind on its whole stack.
const PAINT: u32 = 0xa5c3_96e1;

/// Bytes below the stack pointer that are left alone: the frames of who paints and who looks.
const MARGIN: usize = 64;

/// Bytes of stack that `work` uses, as the paint below it shows, and what it gives. The work's own arguments and result lie above.
#[inline(never)]
pub fn stack_used<R>(work: impl FnOnce() -> R) -> (R, usize) {
    let (end, top) = (ptr::addr_of!(_stack_end), msp::read() as usize);
    paint(end as usize, top - MARGIN);
    let result = work();
    (result, top - lowest_changed(end as usize, top))
}

#[inline(never)]
fn paint(mut at: usize, top: usize) {
    while at < top {
        // SAFETY: between the stack's end and the stack pointer, less the margin, there is memory that nothing else uses.
        unsafe { ptr::write_volatile(at as *mut u32, PAINT) };
        at += 4;
    }
}

#[inline(never)]
fn lowest_changed(mut at: usize, top: usize) -> usize {
    // SAFETY: as in `paint`; reading the frames in use harms nothing.
    while at < top && unsafe { ptr::read_volatile(at as *const u32) } == PAINT {
        at += 4;
    }
    at
}

/// A file of the machine that runs the emulator.
pub struct HostFile(usize);

impl HostFile {
    /// Opens a file to read; `None` if there is none.
    pub fn open(path: &CStr) -> Option<Self> {
        let len = path.to_bytes().len();
        // SAFETY: semihosting's open takes a path that ends with NUL, its length without it, and a mode: 1 reads bytes.
        let handle = unsafe { syscall!(OPEN, path.as_ptr(), 1, len) };
        (handle != usize::MAX).then_some(Self(handle))
    }

    /// Fills the buffer; says whether there was as much.
    pub fn read(&mut self, buffer: &mut [u8]) -> bool {
        if buffer.is_empty() {
            return true;
        }
        // SAFETY: the buffer has the length that is given. Semihosting gives the number of bytes that are lacking.
        unsafe { syscall!(READ, self.0, buffer.as_mut_ptr(), buffer.len()) == 0 }
    }
}
