// SPDX-License-Identifier: MIT
//! Tells the linker where this board's memory is.

fn main() {
    println!("cargo::rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rerun-if-changed=memory.x");
}
