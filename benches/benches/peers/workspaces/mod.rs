// SPDX-License-Identifier: MIT
//! Workspaces by overlays: forks, seals, and jumps between snapshots, beside the bare system calls and beside what else copies a tree.
//!
//! A fork is timed until its root directory can be used. Its peer makes the same mount of the same layer by nothing but the system
//! calls that it takes. A seal is timed until the new state can be forked from, its files' contents in the store (which is synced
//! later, as a search does). Files have 256 B, a hundred to a directory.
//!
//! A worker process measures as root and another one as nobody, in a user namespace; see [`worker`].

mod bare;
mod worker;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use cascow_benches::measure::{Percentiles, Spread};
use cascow_benches::report::{Report, Row, Target, spread};

use worker::{DEPTHS, EDITS, FILES, Figures, IN_A_ROW, JUMPS, SIZES, SNAPSHOTS};

/// The word by which this program knows that it is a worker.
pub(crate) const CHILD: &str = "workspaces-worker";

const NOBODY: u32 = 65534;

pub(crate) fn child(args: &[String]) -> ExitCode {
    let [dir, what] = args else { return ExitCode::from(2) };
    worker::write(&worker::measure(Path::new(dir), what));
    ExitCode::SUCCESS
}

pub(crate) fn run(report: &mut Report) {
    report.note(
        "Times of single operations by the wall, percentiles of all of them; a spread is from the 10th to the 90th percentile of the \
         ratios of operations that followed each other.",
    );
    let program = env::current_exe().expect("a program");
    let privileged = rustix::process::geteuid().is_root();
    if privileged {
        report.note(
            "Each part by root on an ext4 of its own, new and loop-mounted: where many files were removed within the last minutes, ext4 \
             takes two to four times as long to make a directory, whoever asks for it, and that is no figure of ours.",
        );
        let as_root = |what| as_root(&program, what).expect("the worker ends well");
        let targets = [("p50", Some(300.0)), ("p95", Some(600.0))];
        forks(report, &as_root(worker::FORKS_BESIDE_BARE), "as root", targets);
        seals(report, &as_root(worker::SEALS_BY_SIZE));
        jumps(report, &as_root(worker::JUMPS_IN_TREES));
        leaves(report, &as_root(worker::MANY_IN_A_ROW));
        copies(report, &as_root(worker::BESIDE_COPIES));
    } else {
        report.note("**Not run by root, so nothing is said of what root alone can do.**");
    }

    // From where nobody can read it.
    let ground = tempfile::tempdir().expect("a directory");
    let copy = ground.path().join("program");
    fs::copy(&program, &copy).expect("room for it");
    let mut command = Command::new(&copy);
    command.args([CHILD.as_ref(), ground.path(), worker::FORKS_BESIDE_BARE.as_ref()]);
    if privileged {
        let nobody = (rustix::fs::Uid::from_raw(NOBODY), rustix::fs::Gid::from_raw(NOBODY));
        rustix::fs::chown(ground.path(), Some(nobody.0), Some(nobody.1)).expect("we are root");
        command.uid(NOBODY).gid(NOBODY).current_dir(ground.path());
    }
    let targets = [("p50", Some(350.0)), ("p95", None)];
    let figures = figures(&mut command).expect("the worker ends well");
    forks(report, &figures, "without privileges", targets);
}

/// What it takes to go to any of a search's states, by kinds of search; or why that cannot be measured here.
pub(crate) fn backtracks() -> Result<Vec<(String, Percentiles)>, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can give them a filesystem of their own".into());
    }
    let program = env::current_exe().expect("a program");
    let figures = as_root(&program, worker::BACKTRACKS)?;
    let kinds = [
        ("jump in a tree", "each forked from any one before it"),
        ("jump in a chain", "each forked from the one before"),
    ];
    let work = |shape| {
        format!(
            "{JUMPS} random backtracks among {SNAPSHOTS} states of a workspace of {FILES} files, by overlays, {shape}"
        )
    };
    let kinds = kinds.map(|(name, shape)| (work(shape), percentiles(&figures, name)));
    Ok(kinds.into())
}

/// What a worker measures as root, on a new filesystem.
fn as_root(program: &Path, what: &str) -> Result<Figures, String> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut command = Command::new("unshare");
    // In a mount namespace of its own, which takes the mount away with it.
    command.args(["--mount", "sh", "-e", "-c", GROUND, "sh"]).current_dir(place.path());
    figures(command.arg(program).arg(CHILD).arg(place.path().join("ground")).arg(what))
}

/// Mounts a new filesystem, and runs there what the arguments say.
const GROUND: &str = "truncate -s 8G disk && mkfs.ext4 -q disk && mkdir ground && mount -o loop disk ground && \
                      mkdir ground/in && program=$1 child=$2 && shift 3 && exec \"$program\" \"$child\" \"$PWD/ground/in\" \"$@\"";

/// What a worker measures.
fn figures(command: &mut Command) -> Result<Figures, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("the worker cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the worker ends with {}", output.status));
    }
    Ok(worker::read(&String::from_utf8(output.stdout).expect("it writes text")))
}

fn percentiles(figures: &Figures, name: &str) -> Percentiles {
    Percentiles::of(figures[name].clone())
}

/// In microseconds, as all times here.
fn show(Percentiles { p50, p95, p99 }: Percentiles) -> String {
    let [p50, p95, p99] = [p50, p95, p99].map(|nanos| nanos / 1e3);
    format!("p50 {p50:.0} µs, p95 {p95:.0} µs, p99 {p99:.0} µs")
}

/// Forks beside the bare calls. `targets` are the microseconds that percentiles may have.
fn forks(report: &mut Report, figures: &Figures, how: &str, targets: [(&str, Option<f64>); 2]) {
    let ours = percentiles(figures, "fork");
    let ratios = figures["fork"].iter().zip(&figures["bare fork"]).map(|(ours, bare)| bare / ours);
    let ratio = Spread::of(ratios.collect());
    let work = format!("fork a workspace of {FILES} files, {how}");
    report.row(Row {
        work: work.clone(),
        cascow: show(ours),
        peer: format!("{} (the bare system calls)", show(percentiles(figures, "bare fork"))),
        ratio: format!("{:.2}", ratio.median),
        spread: spread(&ratio, 2),
        target: Some(Target::at_least(ratio.median, 0.8, "≤ 1.25 times as long")),
    });
    for ((name, target), figure) in targets.into_iter().zip([ours.p50, ours.p95]) {
        let Some(target) = target else { continue };
        report.row(Row {
            work: format!("{work}: {name}"),
            cascow: format!("{:.0} µs", figure / 1e3),
            target: Some(Target::at_most(figure / 1e3, target, format!("≤ {target} µs"))),
            ..Row::default()
        });
    }
}

fn seals(report: &mut Report, figures: &Figures) {
    for size in SIZES {
        let figure = percentiles(figures, &format!("seal in {size}"));
        report.row(Row {
            work: format!("seal one changed file in a workspace of {size} files"),
            cascow: show(figure),
            target: Some(Target::at_most(figure.p50 / 1e3, 500.0, "p50 ≤ 500 µs")),
            ..Row::default()
        });
    }
    let [small, _, large] = SIZES;
    let of = |size| &figures[&format!("seal in {size}")];
    let ratio = of(large).iter().zip(of(small)).map(|(large, small)| large / small);
    let ratio = Spread::of(ratio.collect());
    report.row(Row {
        work: format!("the same in {large} files by that in {small}, in turn"),
        cascow: format!("{:.2} times as long", ratio.median),
        spread: spread(&ratio, 2),
        target: Some(Target::at_most(ratio.median, 1.5, "≤ 1.5 times")),
        ..Row::default()
    });
    for (edits, _) in EDITS {
        report.row(Row {
            work: format!("seal {edits} changed files in a workspace of {FILES}"),
            cascow: show(percentiles(figures, &format!("seal {edits} edits"))),
            ..Row::default()
        });
    }
}

fn jumps(report: &mut Report, figures: &Figures) {
    for (name, shape) in [
        ("jump in a tree", "each forked from any one before it"),
        ("jump in a chain", "each forked from the one before"),
    ] {
        let figure = percentiles(figures, name);
        report.row(Row {
            work: format!("backtrack to any of {SNAPSHOTS} snapshots, {shape}"),
            cascow: show(figure),
            target: Some(Target::at_most(figure.p95 / 1e3, 1000.0, "p95 ≤ 1 ms")),
            ..Row::default()
        });
    }
    report.row(Row {
        work: format!("fork what was sealed just now, {SNAPSHOTS} times after each other"),
        cascow: show(percentiles(figures, "fork the newest of a chain")),
        ..Row::default()
    });
    report.row(Row {
        work: format!("seal one changed file, {SNAPSHOTS} times after each other"),
        cascow: show(percentiles(figures, "seal in a chain")),
        ..Row::default()
    });
    let mut ends: Vec<f64> = Vec::new();
    for depth in DEPTHS {
        let figure = percentiles(figures, &format!("fork {depth} deep"));
        ends.push(figure.p95);
        report.row(Row {
            work: format!("fork a snapshot {depth} deep"),
            cascow: show(figure),
            ..Row::default()
        });
    }
    let slowest = ends.iter().copied().fold(0.0, f64::max);
    let ratio = slowest / ends.iter().copied().fold(f64::INFINITY, f64::min);
    report.row(Row {
        work: "the highest p95 of these by the lowest".into(),
        cascow: format!("{ratio:.2} times as long"),
        target: Some(Target::at_most(ratio, 2.0, "≤ 2 times")),
        ..Row::default()
    });
    report.row(Row {
        work: "states sealed by overlays, and the same written out and saved whole, or sealed in copies".into(),
        cascow: format!("{} of {} roots equal", figures["equal roots"].iter().sum::<f64>(), 6),
        ..Row::default()
    });
}

fn leaves(report: &mut Report, figures: &Figures) {
    report.row(Row {
        work: format!("fork, run `true`, seal, {IN_A_ROW} times: each"),
        cascow: show(percentiles(figures, "fork, run and seal")),
        ..Row::default()
    });
    for kind in ["mounts", "descriptors", "directories", "resident bytes"] {
        let [before, after] = ["before", "after"].map(|when| figures[&format!("{kind} {when}")][0]);
        // A page that was touched for the first time is no leak. This would be a hundred bytes a workspace.
        let allowed = if kind == "resident bytes" { 1e6 } else { 0.0 };
        report.row(Row {
            work: format!("{kind} afterwards"),
            cascow: format!("{after}, before {before}"),
            target: Some(Target::at_most(
                after - before,
                allowed,
                if allowed > 0.0 { "≤ 1 MB more" } else { "no more" },
            )),
            ..Row::default()
        });
    }
}

fn copies(report: &mut Report, figures: &Figures) {
    for name in ["cp -a", "cp --reflink=always", "git worktree add"] {
        let Some(theirs) = figures.get(&format!("copy by {name}")) else {
            report.note(format!("**{name} cannot be had on this machine.**"));
            continue;
        };
        let ours = &figures["copy by cascow"];
        let ratio = Spread::of(ours.iter().zip(theirs).map(|(ours, peer)| peer / ours).collect());
        let on = if name.contains("reflink") { ", on a btrfs of its own" } else { "" };
        report.row(Row {
            work: format!("a private copy of {FILES} files"),
            cascow: format!("{:.2} ms", Spread::of(ours.clone()).median / 1e6),
            peer: format!("{:.0} ms ({name}{on})", Spread::of(theirs.clone()).median / 1e6),
            ratio: format!("{:.0}", ratio.median),
            spread: spread(&ratio, 0),
            target: None,
        });
    }
}
