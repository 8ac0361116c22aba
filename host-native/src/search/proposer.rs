// SPDX-License-Identifier: MIT
//! Asking a command which actions to try at a state.
//!
//! The command runs in a private fork of the state. On standard input it has one JSON document:
//!
//! | field | holds |
//! |---|---|
//! | `node` | the state's number in events and in the report |
//! | `depth` | how many actions it is from the base, by the shortest way known |
//! | `root` | the state's root |
//! | `diff` | what changed since the base, as a unified diff; longer than 64 KiB, its beginning, and a line that says so |
//! | `actions` | the names of the actions that lead here from the base, in order |
//! | `feedback` | what the score command said of the state, or null |
//! | `score` | the state's score |
//! | `siblings` | what was tried at the state before this one: `{name, score}`, the score null where it led nowhere |
//!
//! It prints proposals, one JSON object a line: `{"name": …, "run": …, "prior": …}`. `run` is given to `sh -c` in a private fork;
//! `prior` is how promising it is against the others, 1 if it is left out. Other lines are passed over and counted. Of one
//! state's proposals the first 64 are taken. Equal ones are one, there and everywhere.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::command::{self, End, Finished, Limits};

/// Proposals of one state that are taken: more than a search considers of a node before it has visited it a thousand times.
pub(super) const MOST_PROPOSALS: usize = 64;

/// Bytes of a command's output that are kept: a thousand proposals of a kilobyte.
const OUTPUT_LEN: usize = 1 << 20;

/// Bytes of a diff that are told.
const DIFF_LEN: usize = 64 << 10;

/// What a proposer is given.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Request {
    pub(super) node: u32,
    pub(super) depth: u32,
    pub(super) root: String,
    pub(super) diff: String,
    pub(super) actions: Vec<String>,
    pub(super) feedback: Option<String>,
    pub(super) score: f64,
    pub(super) siblings: Vec<Sibling>,
}

/// What was tried at the state before.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sibling {
    pub(super) name: String,
    pub(super) score: Option<f64>,
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) name: String,
    pub(super) run: String,
    #[serde(default = "one")]
    pub(super) prior: f32,
}

const fn one() -> f32 {
    1.0
}

/// What a proposer said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Proposed {
    /// Those that are taken, each once.
    pub(super) proposals: Vec<Proposal>,
    /// Proposals beyond those.
    pub(super) left_out: u32,
    /// Lines that are none.
    pub(super) bad_lines: u32,
    /// What went wrong, if there is nothing to try.
    pub(super) problem: Option<String>,
}

/// A diff as it is told, its beginning if it is long.
pub(super) fn bounded(diff: &[u8]) -> String {
    let text = String::from_utf8_lossy(diff);
    if text.len() <= DIFF_LEN {
        return text.into_owned();
    }
    let mut end = DIFF_LEN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').map_or(end, |newline| newline + 1);
    format!("{}[{} bytes more]\n", &text[..end], text.len() - end)
}

/// Asks a proposer, in a fork of the state.
///
/// # Errors
/// [`Error::Interrupted`]; [`Error::Io`] if the command cannot be started. What the command does wrong is no error.
pub(super) fn ask(
    command: &str,
    request: &Request,
    workspace: &Path,
    limits: Limits<'_>,
) -> Result<Proposed, Error> {
    let mut shell = command::shell(command, workspace);
    shell.stdin(Stdio::from(document(request)?));
    let finished = command::capture_within(shell, limits, OUTPUT_LEN)?;
    if finished.end == End::Interrupted {
        return Err(Error::Interrupted);
    }
    Ok(read(&finished))
}

/// A file, since a command that does not read a pipe to its end must not keep us.
fn document(request: &Request) -> Result<File, Error> {
    let json = serde_json::to_vec(request)
        .map_err(|error| Error::Misuse(format!("a state cannot be told to a proposer: {error}")))?;
    let write = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(&json)?;
        file.rewind()?;
        Ok::<_, std::io::Error>(file)
    };
    write().map_err(Error::io("write a file in", std::env::temp_dir()))
}

fn read(finished: &Finished) -> Proposed {
    let failed = |problem: String| Proposed { problem: Some(problem), ..Proposed::default() };
    match finished.end {
        End::TimedOut => return failed("the proposer ran out of time".to_owned()),
        End::Killed(signal) => {
            return failed(format!("the proposer was killed by signal {signal}"));
        }
        End::Exited(code) if code != 0 => {
            let complaint = finished.complaint().map(|said| format!(": {said}"));
            return failed(format!(
                "the proposer failed with exit code {code}{}",
                complaint.unwrap_or_default()
            ));
        }
        End::Exited(_) | End::Interrupted => {}
    }
    let mut proposed = Proposed::default();
    for line in finished.stdout.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Proposal>(line) {
            Ok(proposal) if is_sound(&proposal) => {
                let is_known =
                    |known: &Proposal| (&known.name, &known.run) == (&proposal.name, &proposal.run);
                if proposed.proposals.iter().any(is_known) {
                    continue;
                }
                if proposed.proposals.len() < MOST_PROPOSALS {
                    proposed.proposals.push(proposal);
                } else {
                    proposed.left_out = proposed.left_out.saturating_add(1);
                }
            }
            _ => proposed.bad_lines = proposed.bad_lines.saturating_add(1),
        }
    }
    if proposed.proposals.is_empty() {
        proposed.problem = Some(match proposed.bad_lines {
            0 => "the proposer printed nothing".to_owned(),
            lines => format!("the proposer printed {lines} lines, none of them a proposal"),
        });
    }
    proposed
}

fn is_sound(proposal: &Proposal) -> bool {
    !proposal.name.is_empty()
        && !proposal.run.trim().is_empty()
        && proposal.prior.is_finite()
        && proposal.prior >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(end: End, stdout: &str) -> Proposed {
        read(&Finished {
            end,
            stdout: stdout.into(),
            stdout_was_cut: false,
            stderr: b"no key\n".into(),
        })
    }

    #[test]
    fn lines_that_are_no_proposals_are_counted_and_equal_ones_are_one() {
        let proposed = said(
            End::Exited(0),
            "thinking\n{\"name\":\"a\",\"run\":\"x\"}\n\n{\"name\":\"a\",\"run\":\"x\",\"prior\":3}\n\
             {\"name\":\"b\",\"run\":\"y\",\"prior\":0.5}\n{\"name\":\"\",\"run\":\"y\"}\n{\"name\":\"c\",\"run\":\"z\",\"prior\":-1}\n[]\n",
        );
        let names: Vec<(&str, f32)> =
            proposed.proposals.iter().map(|one| (&*one.name, one.prior)).collect();
        assert_eq!(names, [("a", 1.0), ("b", 0.5)]);
        assert_eq!((proposed.bad_lines, proposed.left_out, proposed.problem), (4, 0, None));
    }

    #[test]
    fn of_a_thousand_proposals_the_first_are_taken_and_the_others_counted() {
        let lines: String =
            (0..1000).map(|n| format!("{{\"name\":\"{n}\",\"run\":\"x\"}}\n")).collect();
        let proposed = said(End::Exited(0), &lines);
        assert_eq!((proposed.proposals.len(), proposed.left_out), (MOST_PROPOSALS, 1000 - 64));
        assert_eq!(proposed.proposals[63].name, "63");
    }

    #[test]
    fn a_proposer_that_proposes_nothing_says_why() {
        for (end, stdout, problem) in [
            (End::TimedOut, "", "the proposer ran out of time"),
            (End::Killed(9), "", "the proposer was killed by signal 9"),
            (End::Exited(3), "{}", "the proposer failed with exit code 3: no key"),
            (End::Exited(0), "", "the proposer printed nothing"),
            (End::Exited(0), "x\ny", "the proposer printed 2 lines, none of them a proposal"),
        ] {
            let proposed = said(end, stdout);
            assert_eq!(proposed.problem.as_deref(), Some(problem));
            assert!(proposed.proposals.is_empty());
        }
    }

    #[test]
    fn a_long_diff_is_cut_at_a_line_and_says_so() {
        assert_eq!(bounded(b"+a\n"), "+a\n");
        let long = bounded("+\u{e4}\n".repeat(40_000).as_bytes());
        assert!(long.len() < DIFF_LEN + 100);
        assert!(long.ends_with("\u{e4}\n[94464 bytes more]\n"), "{}", &long[long.len() - 40..]);
    }
}
