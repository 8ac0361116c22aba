// SPDX-License-Identifier: MIT
//! See `cascow_fuzz::piece`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascow_fuzz::piece(data));
