// SPDX-License-Identifier: MIT
//! What a person is told while a search runs: a line of figures on a terminal, and once, in words, what is not as it should be.

use std::time::{Duration, Instant};

use cascow_native::search::Event;
use indicatif::ProgressBar;

use super::output::Output;

/// Over how long forks are counted for their rate: long enough that one slow command does not make it jump.
const WINDOW: Duration = Duration::from_secs(2);

pub(super) struct Told<'o> {
    output: &'o Output,
    pub(super) bar: ProgressBar,
    /// Since when forks are counted, and how many there were then.
    window: Option<(Instant, usize)>,
    rate: Option<f64>,
    has_bad_lines: bool,
    has_left_out: bool,
    has_problem: bool,
    has_lost: bool,
}

impl<'o> Told<'o> {
    pub(super) fn new(output: &'o Output) -> Self {
        Self {
            output,
            bar: output.figure_bar("searching"),
            window: None,
            rate: None,
            has_bad_lines: false,
            has_left_out: false,
            has_problem: false,
            has_lost: false,
        }
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { score, feedback, obstacle, .. } => {
                if let (0.0, Some(feedback)) = (*score, feedback) {
                    self.say(&format!("the workspace as it is scores 0: {feedback}"));
                }
                if let Some(obstacle) = obstacle {
                    self.say(&format!("workspaces are written out whole: {obstacle}"));
                }
            }
            Event::Proposed { node, left_out, bad_lines, problem, proposals } => {
                if *bad_lines > 0 && !std::mem::replace(&mut self.has_bad_lines, true) {
                    self.say(&format!(
                        "the proposer printed {bad_lines} lines at state {node} that are no proposals; such lines are passed over"
                    ));
                }
                if *left_out > 0 && !std::mem::replace(&mut self.has_left_out, true) {
                    self.say(&format!(
                        "the proposer made {left_out} proposals more at state {node} than the {proposals} that are taken of one state"
                    ));
                }
                if let Some(problem) = problem
                    && !std::mem::replace(&mut self.has_problem, true)
                {
                    self.say(&format!("nothing to try at state {node}: {problem}"));
                }
            }
            Event::Step { outcome: "lost", from, feedback: Some(reason), .. }
                if !std::mem::replace(&mut self.has_lost, true) =>
            {
                self.say(&format!("state {from} is lost, with what lies beyond it: {reason}"));
            }
            Event::Step {
                best,
                evaluations,
                unique_states,
                transpositions,
                forks,
                is_replayed,
                ..
            } => {
                if !is_replayed {
                    self.count(*forks);
                }
                let rate = self.rate.map_or(String::new(), |rate| format!(", {rate:.0} forks/s"));
                self.bar.set_message(format!(
                    "best {best:.4}, {evaluations} evaluations, {unique_states} states, {transpositions} transpositions{rate}"
                ));
                self.bar.tick();
            }
            Event::BestLost { node, score, reason } => self.say(&format!(
                "state {node}, the best with {score}, is lost, and the best that is whole counts: {reason}"
            )),
            Event::End { .. } => {}
        }
    }

    fn count(&mut self, forks: usize) {
        let Some((since, before)) = self.window else {
            self.window = Some((Instant::now(), forks));
            return;
        };
        let took = since.elapsed();
        if took >= WINDOW {
            // Lossless: nobody makes 2^52 forks.
            self.rate = Some(forks.saturating_sub(before) as f64 / took.as_secs_f64());
            self.window = Some((Instant::now(), forks));
        }
    }

    /// Above the line of figures.
    fn say(&self, text: &str) {
        self.bar.suspend(|| self.output.message(text));
    }
}
