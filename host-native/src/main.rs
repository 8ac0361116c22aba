// SPDX-License-Identifier: MIT
//! The `cascow` program: the library's operations for people, scripts and agents.
#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
