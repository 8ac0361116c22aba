// SPDX-License-Identifier: MIT
//! The npm package: a directory that `npm pack` accepts.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "wasm";

/// Builds the package into `out`, whose former contents go.
pub(crate) fn build(root: &Path, out: &Path) -> Result<()> {
    let module = compile(root)?;
    // What is left of another version must not be packed.
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    Bindgen::new()
        .input_path(&module)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)?;
    // Says what the module exports, to those who load it by hand; `cascow.js` is for everybody else.
    fs::remove_file(out.join("cascow_bg.wasm.d.ts"))?;
    let parts = root.join("host-wasm/npm");
    for name in ["index.js", "index.d.ts", "README.md"] {
        copy(&parts.join(name), &out.join(name))?;
    }
    copy(&root.join("LICENSE"), &out.join("LICENSE"))?;
    fs::write(out.join("package.json"), manifest())?;
    println!("built {}", out.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Compiles the module with the toolchain that runs this; gives its path.
fn compile(root: &Path) -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--locked", "-p", "cascow-wasm", "--lib", "--target", TARGET])
        .args(["--profile", PROFILE, "--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "the module does not build; is its target there? `rustup target add {TARGET}`"
    );
    // Cargo says where it is, wherever the target directory may be.
    let found = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "cascow_wasm")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .find(|name| name.ends_with(".wasm"));
    let built = found.context("cargo built no module")?;
    // wasm-bindgen names what it makes after its input.
    let named = Path::new(&built).with_file_name("cascow.wasm");
    copy(Path::new(&built), &named)?;
    Ok(named)
}

fn manifest() -> String {
    let manifest = json!({
        "name": "cascow",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Content-addressed copy-on-write states, Merkle proofs and Monte-Carlo graph search, kept in IndexedDB",
        "license": "MIT",
        "type": "module",
        // Loading a file does nothing; whatever is not used may be left out.
        "sideEffects": false,
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {
            ".": { "types": "./index.d.ts", "default": "./index.js" },
            "./cascow_bg.wasm": "./cascow_bg.wasm",
            "./package.json": "./package.json",
        },
        "files": ["index.js", "index.d.ts", "cascow.js", "cascow.d.ts", "cascow_bg.wasm"],
        "engines": { "node": ">=18" },
        "keywords": ["content-addressed", "copy-on-write", "merkle", "mcts", "indexeddb", "wasm"],
    });
    format!("{manifest:#}\n")
}
