// SPDX-License-Identifier: MIT
//! The file of candidate actions: `[[action]]` tables in TOML.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::Error;

/// Longest file of actions, in bytes: more than anyone writes, and not all that a device may give.
const MAX_LEN: u64 = 16 << 20;

/// A candidate action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// What people call it; unique.
    pub name: String,
    /// What `sh -c` is given, in a private fork of the state.
    pub run: String,
    /// How promising it is thought to be, against the other actions' priors; not negative.
    pub prior: f32,
    /// Whether it is tried at most once on the way to any state.
    pub once: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionsFile {
    #[serde(default)]
    action: Vec<ActionTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionTable {
    name: Spanned<String>,
    run: Spanned<String>,
    #[serde(default = "default_prior")]
    prior: Spanned<f32>,
    #[serde(default = "default_once")]
    once: bool,
}

fn default_prior() -> Spanned<f32> {
    Spanned::new(0..0, 1.0)
}

const fn default_once() -> bool {
    true
}

/// Reads a file of actions.
///
/// # Errors
/// [`Error::Misuse`] with line and column of what is wrong in it, [`Error::Io`].
pub fn read_actions(path: &Path) -> Result<Vec<Action>, Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(Error::Misuse(format!(
            "{path:?} is longer than a file of actions may be, 16 MiB"
        )));
    }
    let text = String::from_utf8_lossy(&bytes);
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text),
        Err(error) => Err(Fault { at: error.valid_up_to(), problem: "not UTF-8".to_owned() }),
    };
    parsed.map_err(|Fault { at, problem }| {
        let (line, column) = position(&text, at);
        Error::Misuse(format!("{path:?}, line {line}, column {column}: {problem}"))
    })
}

/// Something wrong in the text, and where.
struct Fault {
    at: usize,
    problem: String,
}

fn parse(text: &str) -> Result<Vec<Action>, Fault> {
    let file: ActionsFile = toml::from_str(text).map_err(|error| Fault {
        at: error.span().map_or(0, |span| span.start),
        problem: error.message().replace('\n', "; "),
    })?;
    let fault =
        |span: Range<usize>, problem: &str| Fault { at: span.start, problem: problem.to_owned() };
    if file.action.is_empty() {
        return Err(fault(0..0, "no [[action]] in it"));
    }
    let mut names = HashSet::new();
    let mut actions = Vec::with_capacity(file.action.len());
    for ActionTable { name, run, prior, once } in file.action {
        if name.as_ref().is_empty() {
            return Err(fault(name.span(), "an action needs a name"));
        }
        if !names.insert(name.as_ref().clone()) {
            return Err(fault(name.span(), "another action has this name"));
        }
        if run.as_ref().trim().is_empty() {
            return Err(fault(run.span(), "an action needs something to run"));
        }
        if !(prior.as_ref().is_finite() && *prior.as_ref() >= 0.0) {
            return Err(fault(prior.span(), "a prior is a number, and not below 0"));
        }
        actions.push(Action {
            name: name.into_inner(),
            run: run.into_inner(),
            prior: prior.into_inner(),
            once,
        });
    }
    Ok(actions)
}

/// Line and column, from 1, of a byte in a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (usize, usize, String) {
        let fault = parse(text).unwrap_err();
        let (line, column) = position(text, fault.at);
        (line, column, fault.problem)
    }

    #[test]
    fn defaults_are_filled_in() {
        let actions = parse("[[action]]\nname = \"a\"\nrun = \"true\"\n").unwrap_or_default();
        assert_eq!(
            actions,
            [Action { name: "a".into(), run: "true".into(), prior: 1.0, once: true }]
        );
    }

    #[test]
    fn every_fault_is_named_with_its_line_and_column() {
        let (line, column, _) = fault("[[action]]\nname = \"a\"\nrun = oops\n");
        assert_eq!((line, column), (3, 7));
        let (line, column, problem) = fault("[[action]]\nname = \"a\"\nrun = \"x\"\nspeed = 3\n");
        assert_eq!((line, column), (4, 1), "{problem}");
        assert!(problem.contains("speed"), "{problem}");
        let twice =
            "[[action]]\nname = \"a\"\nrun = \"x\"\n[[action]]\nname = \"a\"\nrun = \"y\"\n";
        assert_eq!(fault(twice), (5, 8, "another action has this name".into()));
        assert_eq!(fault("").2, "no [[action]] in it");
        assert_eq!(fault("[[action]]\nname = \"a\"\nrun = \" \"\n").0, 3);
        assert_eq!(fault("[[action]]\nname = \"a\"\nrun = \"x\"\nprior = -1.0\n").0, 4);
        assert_eq!(fault("[[action]]\nname = \"a\"\nrun = \"x\"\nprior = nan\n").0, 4);
        assert!(fault("[[action]]\nname = \"a\"\n").2.contains("run"));
    }
}
