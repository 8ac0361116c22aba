// SPDX-License-Identifier: MIT
//! Builds the npm package of `cascow-wasm`, and serves a directory that uses it.
//!
//! `cargo run --release -p cascow-www` builds the package into `www/pkg` and serves `www`; `-- build` builds alone, `-- serve`
//! serves alone. Neither needs Node.

mod package;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the npm package.
    Build {
        /// Where to.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Serves a directory to this machine.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// The directory; the demo page, unless told otherwise.
    directory: Option<PathBuf>,
    /// The port; 0 for any that is free.
    #[arg(long, default_value_t = 8017)]
    port: u16,
}

fn main() -> Result<()> {
    // Where this was compiled is where the sources are: it is not installed anywhere else.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let page = root.join("www");
    match Program::parse().command {
        Some(Command::Build { out }) => {
            package::build(&root, &out.unwrap_or_else(|| page.join("pkg")))
        }
        Some(Command::Serve(serve)) => server::serve(&serve.directory.unwrap_or(page), serve.port),
        None => {
            package::build(&root, &page.join("pkg"))?;
            server::serve(&page, 8017)
        }
    }
}
