// SPDX-License-Identifier: MIT
//! See `cascow_fuzz::delta`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascow_fuzz::delta(data));
