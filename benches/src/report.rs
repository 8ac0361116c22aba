// SPDX-License-Identifier: MIT
//! The rows of the table, and `RESULTS.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use crate::measure::{Comparison, Contestant, Spread, compare};

/// What a row is to reach: a text for the table, and whether it did.
#[derive(Clone, Debug)]
pub struct Target {
    text: String,
    reached: bool,
}

impl Target {
    /// A figure that must be at least so large.
    pub fn at_least(figure: f64, target: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), reached: figure >= target }
    }

    /// A figure that must be at most so large.
    pub fn at_most(figure: f64, target: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), reached: figure <= target }
    }
}

/// What was measured, in words.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The work.
    pub work: String,
    /// Our figure.
    pub cascow: String,
    /// The peer's figure and name; empty if there is no peer.
    pub peer: String,
    /// How many times better than the peer.
    pub ratio: String,
    /// From the 10th to the 90th percentile of the ratio, or of our figure.
    pub spread: String,
    /// What is to be reached, if anything is.
    pub target: Option<Target>,
}

/// The sections so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sections: Vec<Section>,
}

#[derive(Clone, Debug)]
struct Section {
    name: &'static str,
    circumstances: String,
    notes: Vec<String>,
    rows: Vec<Row>,
}

/// How a time is shown.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// As a time, in the unit that fits.
    Time,
    /// As megabytes (10^6) a second, of so many bytes an operation.
    Throughput(f64),
}

impl Unit {
    /// A time of so many nanoseconds an operation.
    pub fn show(self, nanos: f64) -> String {
        match self {
            Self::Time if nanos < 100.0 => format!("{nanos:.1} ns"),
            Self::Time if nanos < 1e3 => format!("{nanos:.0} ns"),
            Self::Time if nanos < 1e6 => format!("{:.2} µs", nanos / 1e3),
            Self::Time => format!("{:.2} ms", nanos / 1e6),
            Self::Throughput(bytes) => format!("{:.0} MB/s", bytes * 1e3 / nanos),
        }
    }
}

/// A work that cascow and a peer both do.
#[derive(Clone, Debug)]
pub struct Duel<'a> {
    /// The work, in words.
    pub work: String,
    /// Who the peer is.
    pub peer: &'a str,
    /// How times are shown.
    pub unit: Unit,
    /// The ratio to reach.
    pub at_least: Option<f64>,
}

impl Report {
    /// Begins a section.
    pub fn section(&mut self, name: &'static str) {
        println!("\n== {name}");
        // Those of the beginning: what is committed while it runs was not measured.
        let circumstances = circumstances();
        self.sections.push(Section { name, circumstances, notes: Vec::new(), rows: Vec::new() });
    }

    /// Adds what the section's rows have in common: what was measured, or could not be.
    ///
    /// # Panics
    /// If no section has begun.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("{text}");
        self.current().notes.push(text);
    }

    fn current(&mut self) -> &mut Section {
        self.sections.last_mut().expect("a section has begun")
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If no section has begun.
    pub fn row(&mut self, row: Row) {
        println!("{}\n    cascow {}", row.work, row.cascow);
        for (name, figure) in
            [("peer  ", &row.peer), ("ratio ", &row.ratio), ("spread", &row.spread)]
        {
            if !figure.is_empty() {
                println!("    {name} {figure}");
            }
        }
        if let Some(target) = &row.target {
            println!("    target {}: {}", target.text, verdict(target.reached));
        }
        self.current().rows.push(row);
    }

    /// Lets both run in turn and adds a row of their times.
    pub fn duel(
        &mut self,
        duel: &Duel<'_>,
        ours: Contestant<'_>,
        peer: Contestant<'_>,
    ) -> Comparison {
        let comparison = compare(ours, peer);
        let Comparison { ours, peer, ratio } = comparison;
        self.row(Row {
            work: duel.work.clone(),
            cascow: duel.unit.show(ours.median),
            peer: format!("{} ({})", duel.unit.show(peer.median), duel.peer),
            ratio: format!("{:.2}", ratio.median),
            spread: spread(&ratio, 2),
            target: duel
                .at_least
                .map(|least| Target::at_least(ratio.median, least, format!("≥ {least}×"))),
        });
        comparison
    }

    /// Adds a row of a time that has no peer, or whose peer stands in the row before, with what it may take at most.
    pub fn time(&mut self, work: impl Into<String>, time: &Spread, at_most: Option<f64>) {
        let most =
            |most| Target::at_most(time.median, most, format!("≤ {}", Unit::Time.show(most)));
        self.row(Row {
            work: work.into(),
            cascow: Unit::Time.show(time.median),
            spread: format!("{}–{}", Unit::Time.show(time.low), Unit::Time.show(time.high)),
            target: at_most.map(most),
            ..Row::default()
        });
    }

    /// Writes the sections, each with the circumstances of its run, in the order of `names`. Sections that were not run stay as
    /// they are in the file, with the date and commit of theirs.
    ///
    /// # Errors
    /// If the file cannot be written, or is there and cannot be read.
    pub fn write(&self, path: &Path, names: &[&str]) -> io::Result<()> {
        let former = match fs::read_to_string(path) {
            Ok(former) => former,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let text_of = |name: &str| {
            let run = self.sections.iter().find(|section| section.name == name);
            run.map(Section::text).or_else(|| kept(&former, name))
        };
        let sections: String = names.iter().filter_map(|name| text_of(name)).collect();
        fs::write(path, format!("{HEAD}{sections}"))
    }
}

/// In two pieces, lest the first be taken for a licence line of this file's own.
const HEAD: &str = concat!(
    "<!-- SPDX-License-",
    "Identifier: MIT -->\n\
     # Benchmarks\n\n\
     Written by `cargo bench -p cascow-benches`, never by hand. Cascow and its peer take turns, round by round, in one run;\n\
     the ratio is the median of the rounds' ratios and says how many times better cascow is (above 1: cascow is); the spread is from\n\
     their 10th to their 90th percentile. A section's rows are of one run; each section says of which.\n",
);

/// How a section begins; its name follows.
const SECTION: &str = "\n## ";

/// A section as it is in the file.
fn kept(file: &str, name: &str) -> Option<String> {
    let begins = file.find(&format!("{SECTION}{name}\n"))?;
    let section = &file[begins..];
    let ends =
        section[SECTION.len()..].find(SECTION).map_or(section.len(), |at| at + SECTION.len());
    Some(section[..ends].to_owned())
}

impl Section {
    fn text(&self) -> String {
        let mut text = format!("{SECTION}{}\n\nMeasured {}.\n", self.name, self.circumstances);
        for note in &self.notes {
            _ = write!(text, "\n{note}\n");
        }
        text.push_str(
            "\n| work | cascow | peer | ratio | spread | target | reached |\n|---|---|---|---:|---|---|---|\n",
        );
        for row in &self.rows {
            let (target, reached) = row
                .target
                .as_ref()
                .map_or(("", ""), |target| (&*target.text, verdict(target.reached)));
            let Row { work, cascow, peer, ratio, spread, .. } = row;
            _ = writeln!(
                text,
                "| {work} | {cascow} | {peer} | {ratio} | {spread} | {target} | {reached} |"
            );
        }
        text
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "yes" } else { "**no**" }
}

/// A spread with so many decimals.
pub fn spread(spread: &Spread, decimals: usize) -> String {
    format!("{:.decimals$}–{:.decimals$}", spread.low, spread.high)
}

/// When, of what and where, in one line.
fn circumstances() -> String {
    // Not all of the repository: the table itself changes from one section's run to the next.
    let sources = ["../core", "../host-native", "benches", "src", "../Cargo.lock"];
    let status = [&["status", "--porcelain", "--untracked-files=no", "--"][..], &sources].concat();
    let changed = match output("git", &status).is_empty() {
        true => "",
        false => " and changes not committed",
    };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models =
        processors.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<&str> = models.map(|(_, model)| model).collect();
    format!(
        "{date} at commit {commit}{changed}, on {count} × {model}, by {compiler}",
        date = output("date", &["-u", "+%F"]),
        commit = output("git", &["rev-parse", "--short=12", "HEAD"]),
        count = models.len(),
        model = models.first().unwrap_or(&"unknown"),
        compiler = output("rustc", &["--version"]),
    )
}

/// What a program prints; empty if it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_were_not_run_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("RESULTS.md");
        let names = ["first", "second", "third"];
        let run = |sections: &[&'static str], figure: &str| {
            let mut report = Report::default();
            for name in sections {
                report.section(name);
                report.note("A note.");
                report.row(Row { work: "work".into(), cascow: figure.into(), ..Row::default() });
            }
            report.write(&path, &names).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        let all = run(&names, "old");
        assert_eq!(all.matches(SECTION).count(), names.len());
        let all_again = run(&names, "old");
        assert_eq!(all_again.matches(SECTION).count(), names.len(), "nothing is there twice");
        let mended = run(&["second"], "new");
        assert_eq!(kept(&mended, "first"), kept(&all_again, "first"));
        assert_eq!(kept(&mended, "third"), kept(&all_again, "third"));
        assert_eq!(mended.matches("old").count(), 2);
        assert!(kept(&mended, "second").unwrap().contains("| work | new |"));
        assert!(mended.starts_with(HEAD) && kept(&mended, "none").is_none());
    }
}
