// SPDX-License-Identifier: MIT
//! The `cascow` program.
fn main() {}
