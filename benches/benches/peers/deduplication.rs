// SPDX-License-Identifier: MIT
//! How much of a changed value a store knows already: 1,000 variations of 1 MB, each a change of the same value.
//!
//! Measured by what the core's own test of it uses, with more variations.

#[path = "../../../core/tests/variations/mod.rs"]
mod variations;

use cascow_benches::report::{Report, Row, Target};

use variations::{Changes, Count, found_again};

/// Bytes of the value.
const LEN: usize = 1_000_000;
const VARIATIONS: u32 = 1000;

pub(crate) fn run(report: &mut Report) {
    for (name, changed, target) in
        [("0.1 %", 1_000, 99), ("1 %", 10_000, 95), ("10 %", 100_000, 80)]
    {
        for (changes, how) in [
            (Changes::Clustered, "in one run of bytes"),
            (Changes::Scattered, "byte by byte anywhere"),
        ] {
            let found = found_again(1, LEN, VARIATIONS, changed, changes);
            let reached = f64::from(target);
            let is_target = changes == Changes::Clustered;
            report.row(Row {
                work: format!(
                    "bytes of 1,000 variations of 1 MB found again, {name} changed {how}"
                ),
                cascow: format!(
                    "{:.2} % of the value's; {:.2} % with the lists of its chunks",
                    percent(&found.state),
                    percent(&found.with_lists)
                ),
                target: is_target.then(|| {
                    Target::at_least(
                        percent(&found.state),
                        reached,
                        format!("≥ {target} % of the value's"),
                    )
                }),
                ..Row::default()
            });
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "hundredths of a per cent")]
fn percent(count: &Count) -> f64 {
    count.found_of_10_000() as f64 / 100.0
}
