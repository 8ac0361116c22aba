// SPDX-License-Identifier: MIT
//! A directory tree as people have them: the sources of the crates that this workspace is built from.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Files of the tree, if there are so many.
const FILES: usize = 11_000;

/// Bytes of the tree, at most.
const BYTES: u64 = 160_000_000;

/// Number and lengths of the regular files below a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

/// Makes the tree in a directory that exists: the crates of `Cargo.lock`, and if these are not enough, others that Cargo has
/// unpacked on this machine; each crate in the order of its name, each file in that of its path. Without compiled libraries
/// (`*.a`), which some crates carry. Says how large it is.
pub(crate) fn unpack(tree: &Path) -> Size {
    let vendor = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
        .arg(vendor.path())
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("cargo runs").success(), "cargo unpacks the crates of Cargo.lock");

    let mut size = Size::default();
    let crates = directories(vendor.path());
    let names: BTreeSet<_> = crates.iter().filter_map(|dir| dir.file_name()).collect();
    let others = unpacked_by_cargo();
    let others = others.iter().filter(|dir| dir.file_name().is_some_and(|it| !names.contains(it)));
    for dir in crates.iter().chain(others) {
        let name = dir.file_name().expect("a listed directory has a name");
        for file in files(dir) {
            let path = file.strip_prefix(dir).expect("it was found below");
            if size.files == FILES || path.extension().is_some_and(|it| it == "a") {
                continue;
            }
            let len = fs::metadata(&file).expect("a file that was just listed").len();
            if size.bytes + len > BYTES {
                continue;
            }
            let copy = tree.join(name).join(path);
            fs::create_dir_all(copy.parent().expect("it is below the tree")).expect("a directory");
            fs::copy(&file, &copy).expect("a copy");
            size.files += 1;
            size.bytes += len;
        }
    }
    size
}

/// Crates in Cargo's own cache, by name; none if it is not where it usually is.
fn unpacked_by_cargo() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let registries = home.map(|home| home.join("registry/src")).filter(|dir| dir.is_dir());
    let registries = registries.map(|dir| directories(&dir)).unwrap_or_default();
    registries.iter().flat_map(|registry| directories(registry)).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).expect("a directory can be listed");
    let mut paths: Vec<_> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().filter(|path| is_dir(path)).collect()
}

/// Regular files below a directory, in the order of their paths.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(dir) {
        if is_dir(&path) {
            found.extend(files(&path));
        } else if path.symlink_metadata().is_ok_and(|it| it.is_file()) {
            found.push(path);
        }
    }
    found
}

/// What is below a directory.
pub(crate) fn size(dir: &Path) -> Size {
    let lens = files(dir).into_iter().map(|file| file.symlink_metadata().map_or(0, |it| it.len()));
    lens.fold(Size::default(), |size, len| Size { files: size.files + 1, bytes: size.bytes + len })
}
