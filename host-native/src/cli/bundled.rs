// SPDX-License-Identifier: MIT
//! The bundled example: a small program that prints invoices, broken in ten places, and 22 candidate repairs.
//!
//! Its files are in the program itself, so that `cascow demo` needs nothing but a POSIX shell.

use std::fs;
use std::path::Path;

use cascow_native::Error;

/// What scores a state of the example.
pub(super) const SCORE_COMMAND: &str = "sh tests/run.sh";

/// The candidate actions.
const ACTIONS: &str = include_str!("../../demo/actions.toml");

macro_rules! bundle {
    ($($path:literal),* $(,)?) => {
        /// The example's files and their contents.
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../demo/workspace/", $path)))),*];
    };
}

bundle![
    "README.md",
    "bin/invoice",
    "lib/date.sh",
    "lib/invoice.sh",
    "lib/money.sh",
    "lib/order.sh",
    "lib/text.sh",
    "orders/ada.txt",
    "tests/cases.sh",
    "tests/run.sh",
    "tools/edit",
];

/// Writes the example's workspace into `workspace` and its actions into `actions`.
pub(super) fn write(workspace: &Path, actions: &Path) -> Result<(), Error> {
    for (name, content) in FILES {
        let path = workspace.join(name);
        // UNWRAP: every file of the example has a directory above it, the workspace at least.
        let dir = path.parent().expect("a file of the example lies in a directory");
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        fs::write(&path, content).map_err(Error::io("write", &path))?;
    }
    fs::write(actions, ACTIONS).map_err(Error::io("write", actions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn files_below(dir: &Path, top: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, top, found);
            } else {
                found.insert(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_example_is_bundled() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/workspace");
        let mut found = BTreeSet::new();
        files_below(&top, &top, &mut found);
        assert_eq!(found, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
}
