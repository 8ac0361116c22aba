// SPDX-License-Identifier: MIT
//! What a score command says of a state.
//!
//! The last line of its standard output may be a number or a JSON object `{"score": 0..1, "terminal": bool, "feedback": "…"}`.
//! Anything else leaves the exit code to speak: 0 is a score of 1, any other is 0. A command that is killed, runs out of time, or
//! gives a score out of range scores 0, with the reason as feedback: one bad state must not end a search.

use serde::{Deserialize, Serialize};

use crate::command::{End, Finished};

/// A judgement of one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// From 0 to 1.
    pub value: f64,
    /// Whether nothing is to be tried from here.
    pub terminal: bool,
    /// What the command had to say about it.
    pub feedback: Option<String>,
}

#[derive(Deserialize)]
struct ScoreLine {
    score: f64,
    #[serde(default)]
    terminal: bool,
    feedback: Option<String>,
}

impl Score {
    /// What a score command that ended says.
    pub fn read(finished: &Finished) -> Self {
        match finished.end {
            End::TimedOut => return Self::zero("the score command ran out of time"),
            End::Killed(signal) => {
                return Self::zero(&format!("the score command was killed by signal {signal}"));
            }
            End::Interrupted => return Self::zero("the score command was interrupted"),
            End::Exited(_) => {}
        }
        let text = String::from_utf8_lossy(&finished.stdout);
        if finished.stdout_was_cut && !text.trim_end().contains('\n') {
            return Self::zero("the score command's last line is longer than 64 KiB");
        }
        let last = text.trim_end().lines().next_back().unwrap_or_default().trim();
        let said = match last.parse::<f64>() {
            Ok(score) => Some(ScoreLine { score, terminal: false, feedback: None }),
            Err(_) => serde_json::from_str(last).ok(),
        };
        match said {
            Some(ScoreLine { score, terminal, feedback }) if (0.0..=1.0).contains(&score) => {
                Self { value: score, terminal, feedback }
            }
            Some(ScoreLine { score, .. }) => {
                Self::zero(&format!("the score command said {score}, not 0 to 1"))
            }
            None => {
                let value = if finished.end.is_success() { 1.0 } else { 0.0 };
                Self { value, terminal: false, feedback: finished.complaint() }
            }
        }
    }

    /// The mean of several judgements of one state; with the words of the worst.
    pub fn mean(scores: Vec<Self>) -> Option<Self> {
        let count = scores.len();
        let sum: f64 = scores.iter().map(|score| score.value).sum();
        let worst = scores.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        // Lossless: nobody repeats a score 2^52 times.
        Some(Self { value: (sum / count as f64).clamp(0.0, 1.0), ..worst })
    }

    fn zero(reason: &str) -> Self {
        Self { value: 0.0, terminal: false, feedback: Some(reason.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(end: End, stdout: &str) -> Score {
        Score::read(&Finished {
            end,
            stdout: stdout.into(),
            stdout_was_cut: false,
            stderr: b"warn\n\nsh: no such command\n".into(),
        })
    }

    #[test]
    fn the_last_line_speaks_if_it_can() {
        assert_eq!(read(End::Exited(1), "noise\n0.25\n").value, 0.25);
        assert_eq!(read(End::Exited(0), "0.25\n\n").value, 0.25);
        let score =
            read(End::Exited(0), "{\"score\": 0.5, \"terminal\": true, \"feedback\": \"case 3\"}");
        assert_eq!(score, Score { value: 0.5, terminal: true, feedback: Some("case 3".into()) });
    }

    #[test]
    fn otherwise_the_exit_code_speaks() {
        for garbage in ["", "all well", "\u{fffd}", "{\"score\": \"high\"}", "{}", "[1]"] {
            assert_eq!(read(End::Exited(0), garbage).value, 1.0, "{garbage}");
            assert_eq!(read(End::Exited(3), garbage).value, 0.0, "{garbage}");
        }
    }

    #[test]
    fn a_command_that_cannot_be_run_says_why() {
        let score = read(End::Exited(127), "");
        assert_eq!((score.value, score.feedback.as_deref()), (0.0, Some("sh: no such command")));
    }

    #[test]
    fn a_last_line_whose_beginning_is_lost_is_not_believed() {
        let cut = |stdout: &str| {
            let stdout = stdout.into();
            let (end, stderr) = (End::Exited(0), Vec::new());
            Score::read(&Finished { end, stdout, stdout_was_cut: true, stderr }).value
        };
        assert_eq!(cut("xxxxx\"}\n"), 0.0);
        assert_eq!(cut("5\n"), 0.0);
        assert_eq!(cut("xxxxx\n0.5\n"), 0.5);
    }

    #[test]
    fn a_score_out_of_range_and_a_command_that_dies_score_zero_and_say_why() {
        for line in ["1.5", "-0.1", "NaN", "inf", "{\"score\": 7}"] {
            let score = read(End::Exited(0), line);
            assert_eq!(score.value, 0.0, "{line}");
            assert!(score.feedback.is_some(), "{line}");
        }
        for end in [End::TimedOut, End::Killed(9)] {
            let score = read(end, "1.0\n");
            assert_eq!(score.value, 0.0);
            assert!(score.feedback.is_some());
        }
    }

    #[test]
    fn the_mean_of_a_flaky_score_is_between_its_values() {
        let scores = [1.0, 0.0, 0.5].map(|value| Score { value, terminal: false, feedback: None });
        assert_eq!(Score::mean(scores.into()).map(|score| score.value), Some(0.5));
        assert_eq!(Score::mean(Vec::new()), None);
    }
}
