// SPDX-License-Identifier: MIT
//! Whole programs, as users run them: `cascow` beside git, restic, borg, casync and ostree.
//!
//! Each round has a new repository for every program, and lets the programs do each step one after another, beginning with
//! another one each time: save the tree, save it again after one file has changed, write it out. All have their default
//! settings, syncs included, but keep no state outside the round's directory. Before each run all of the system's dirty pages
//! are written, so that nobody waits for what another left. The tree has been read before: it is in the system's cache.
//!
//! What each writes out is counted; it must be the whole tree.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cascow_benches::measure::{Cost, Spread, of_processes};
use cascow_benches::report::{Report, Row, Target, spread};

use crate::sources::{self, Size};

/// Odd, so that a median is one of them.
const ROUNDS: usize = 5;

/// Where a program works in one round.
struct Place {
    /// What is saved.
    tree: PathBuf,
    /// The program's own.
    dir: PathBuf,
    program: PathBuf,
}

impl Place {
    /// The program, run in its own directory, with its state there too.
    fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("HOME", &self.dir)
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("XDG_CONFIG_HOME", self.dir.join("config"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("RESTIC_PASSWORD", "cascow")
            .env("BORG_BASE_DIR", &self.dir)
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        command
    }
}

/// Command lines, in the words of a shell: `TREE` stands for the tree, the rest is split at spaces.
type Lines = &'static [&'static str];

struct Program {
    name: &'static str,
    version: &'static str,
    make: Lines,
    save: Lines,
    save_again: Lines,
    /// Writes the tree into `out`, below the program's own directory.
    checkout: Lines,
    /// The directory that is the repository; what is in it counts as its size.
    repository: &'static str,
    /// How many times faster the first save must be.
    first_save: Option<f64>,
    second_save: Option<f64>,
    written_out: Option<f64>,
}

/// Ours first.
const PROGRAMS: [Program; 6] = [
    Program {
        name: "cascow",
        version: "--version",
        make: &["init --store segments repo"],
        save: &["--repo repo --quiet save TREE --label first"],
        save_again: &["--repo repo --quiet save TREE --label second --parent first"],
        checkout: &["--repo repo --quiet checkout second out"],
        repository: "repo",
        first_save: None,
        second_save: None,
        written_out: None,
    },
    Program {
        name: "git",
        version: "--version",
        make: &["init --quiet --bare repo"],
        // By force, since crates carry rules of what git is to ignore.
        save: &[
            "--git-dir=repo --work-tree=TREE add --all --force TREE",
            "--git-dir=repo --work-tree=TREE write-tree",
        ],
        save_again: &[
            "--git-dir=repo --work-tree=TREE add --all --force TREE",
            "--git-dir=repo --work-tree=TREE write-tree",
        ],
        checkout: &["--git-dir=repo --work-tree=TREE checkout-index --all --prefix=OUT/"],
        repository: "repo",
        first_save: Some(3.0),
        second_save: Some(1.0),
        written_out: None,
    },
    Program {
        name: "restic",
        version: "version",
        make: &["init --quiet --repo repo"],
        save: &["backup --quiet --repo repo TREE"],
        save_again: &["backup --quiet --repo repo TREE"],
        checkout: &["restore --quiet --repo repo latest --target out"],
        repository: "repo",
        first_save: Some(3.0),
        second_save: None,
        written_out: Some(1.5),
    },
    Program {
        name: "borg",
        version: "--version",
        make: &["init --encryption=none repo"],
        save: &["create repo::first TREE"],
        save_again: &["create repo::second TREE"],
        checkout: &["extract ../repo::second"],
        repository: "repo",
        first_save: Some(3.0),
        second_save: None,
        written_out: None,
    },
    Program {
        name: "casync",
        version: "--version",
        make: &[],
        save: &["make --store=repo/objects.castr repo/first.caidx TREE"],
        save_again: &["make --store=repo/objects.castr repo/second.caidx TREE"],
        checkout: &["extract --store=repo/objects.castr repo/second.caidx out"],
        repository: "repo",
        first_save: Some(3.0),
        second_save: None,
        written_out: Some(1.5),
    },
    Program {
        name: "ostree",
        version: "--version",
        make: &["init --repo=repo --mode=bare-user"],
        save: &["commit --repo=repo --branch=tree --tree=dir=TREE"],
        save_again: &["commit --repo=repo --branch=tree --tree=dir=TREE"],
        // Copies, as all others write; by default it would link files into its repository, where nobody may change them.
        checkout: &["checkout --repo=repo --user-mode --force-copy tree out"],
        repository: "repo",
        first_save: None,
        second_save: None,
        written_out: Some(1.5),
    },
];

/// What the rounds have shown of one program.
#[derive(Default)]
struct Figures {
    first: Vec<Cost>,
    again: Vec<Cost>,
    out: Vec<Cost>,
    disk: Vec<u64>,
}

pub(crate) fn run(report: &mut Report) {
    let ground = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let tree = ground.path().join("tree");
    fs::create_dir(&tree).expect("a directory");
    let size = sources::unpack(&tree);
    report.note(format!(
        "The tree: sources of crates, {} files of {} MB (10^6) together, warm. Of each program {ROUNDS} runs in turn, each with a new \
         repository; times are medians by the wall, in brackets what its processes used of the processors. Before each run `sync`. \
         Cascow, restic, borg and ostree sync what they save, git and casync do not.",
        size.files,
        size.bytes / 1_000_000,
    ));

    let ours = build();
    let mut present = Vec::new();
    for program in &PROGRAMS {
        let path = if program.name == "cascow" { ours.clone() } else { program.name.into() };
        match version(program, &path) {
            Some(version) => {
                let lines = [program.make, program.save, program.checkout].concat();
                let lines: Vec<String> =
                    lines.iter().map(|line| format!("`{} {line}`", program.name)).collect();
                report.note(format!("{}: {version}; {}.", program.name, lines.join(", ")));
                present.push((program, path));
            }
            None => report.note(format!(
                "**{} is not on this machine, so nothing is said of it.**",
                program.name
            )),
        }
    }

    let mut figures: BTreeMap<&str, Figures> = BTreeMap::new();
    // Nothing is removed before the end: when ext4 makes a file, it looks at all inodes of a group that were freed within the last
    // minutes, and who writes after a removal of thousands would be timed by that.
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        let round = tempfile::tempdir_in(ground.path()).expect("a directory");
        // Who comes first has the caches as the last of the step before left them: in turn too.
        present.rotate_left(number % 2 + 1);
        one_round(round.path(), &tree, size, &present, &mut figures);
        println!("round {} of {ROUNDS}", number + 1);
        rounds.push(round);
    }
    rows(report, &figures);
}

fn one_round<'a>(
    round: &Path,
    tree: &Path,
    size: Size,
    present: &[(&'a Program, PathBuf)],
    figures: &mut BTreeMap<&'a str, Figures>,
) {
    let places: Vec<Place> = present
        .iter()
        .map(|(program, path)| {
            let dir = round.join(program.name);
            fs::create_dir_all(&dir).expect("a directory");
            Place { tree: tree.to_owned(), dir, program: path.clone() }
        })
        .collect();
    let each = || present.iter().map(|(program, _)| *program).zip(&places);
    for (program, place) in each() {
        // Casync has no such command.
        fs::create_dir_all(place.dir.join(if program.make.is_empty() { "repo" } else { "." }))
            .expect("a directory");
        timed(place, program.make, &place.dir);
        let cost = timed(place, program.save, &place.dir);
        figures.entry(program.name).or_default().first.push(cost);
    }
    let changed = sources::files(tree).swap_remove(size.files / 2);
    let former = fs::metadata(&changed).expect("a file of the tree").len();
    let mut file = File::options().append(true).open(&changed).expect("a file of the tree");
    file.write_all(b"// One line more.\n").expect("a line more");
    for (program, place) in each() {
        let cost = timed(place, program.save_again, &place.dir);
        let figures = figures.entry(program.name).or_default();
        figures.again.push(cost);
        figures.disk.push(disk_usage(&place.dir.join(program.repository)));
    }
    let changed_size = sources::size(tree);
    for (program, place) in each() {
        let out = place.dir.join("out");
        // Borg writes where it stands; the others make the directory.
        let stand = if program.name == "borg" { &out } else { &place.dir };
        fs::create_dir_all(stand).expect("a directory");
        let cost = timed(place, program.checkout, stand);
        figures.entry(program.name).or_default().out.push(cost);
        assert_eq!(sources::size(&out), changed_size, "{} writes the tree out", program.name);
    }
    file.set_len(former).expect("the tree is as it was");
}

/// Runs command lines from a directory, after all dirty pages are written.
fn timed(place: &Place, lines: Lines, dir: &Path) -> Cost {
    let (tree, out) = (place.tree.display().to_string(), place.dir.join("out"));
    let word = |word: &str| word.replace("TREE", &tree).replace("OUT", &out.to_string_lossy());
    let commands: Vec<Command> = lines
        .iter()
        .map(|line| {
            let mut command = place.command(line.split(' ').map(word));
            command.current_dir(dir);
            command
        })
        .collect();
    rustix::fs::sync();
    of_processes(|| {
        for mut command in commands {
            let status = command.status().expect("the program runs");
            assert!(status.success(), "{command:?} ends with {status}");
        }
    })
}

/// Builds our program as users have it, and says where it is.
pub(crate) fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target's");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--release", "--package", "cascow-native"])
        .arg("--target-dir")
        .arg(target)
        .status();
    assert!(status.expect("cargo runs").success(), "the program is built");
    target.join("release/cascow")
}

/// What a program calls itself; `None` if it is not there.
fn version(program: &Program, path: &Path) -> Option<String> {
    let output = Command::new(path).arg(program.version).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // Ostree says it in the second line.
    lines.iter().find(|line| line.contains(|it: char| it.is_ascii_digit())).map(ToString::to_string)
}

/// Bytes that a directory takes on the disk, as `du` says.
fn disk_usage(dir: &Path) -> u64 {
    let output = Command::new("du").args(["--summarize", "--block-size=1"]).arg(dir).output();
    let output = output.expect("du runs");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("du says a number")
}

fn rows(report: &mut Report, figures: &BTreeMap<&str, Figures>) {
    let ours = &figures["cascow"];
    type Of = fn(&Figures) -> &Vec<Cost>;
    type Least = fn(&Program) -> Option<f64>;
    let works: [(&str, Of, Least); 3] = [
        ("first save", |of| &of.first, |program| program.first_save),
        ("save again after one file has changed", |of| &of.again, |program| program.second_save),
        ("write the tree out", |of| &of.out, |program| program.written_out),
    ];
    let peers = || PROGRAMS[1..].iter().filter_map(|it| Some((it, figures.get(it.name)?)));
    for (work, of, least) in works {
        for (program, peer) in peers() {
            let pairs = of(ours).iter().zip(of(peer));
            let ratio = pairs.map(|(ours, peer)| peer.wall.as_secs_f64() / ours.wall.as_secs_f64());
            let ratio = Spread::of(ratio.collect());
            report.row(Row {
                work: work.into(),
                cascow: show(of(ours)),
                peer: format!("{} ({})", show(of(peer)), program.name),
                ratio: format!("{:.2}", ratio.median),
                spread: spread(&ratio, 2),
                target: least(program)
                    .map(|least| Target::at_least(ratio.median, least, format!("≥ {least}×"))),
            });
        }
    }
    let disk = |of: &Figures| Spread::of(of.disk.iter().map(|bytes| megabytes(*bytes)).collect());
    for (program, peer) in peers() {
        let (our_disk, peer_disk) = (disk(ours).median, disk(peer).median);
        report.row(Row {
            work: "size of the repository on the disk, of both saves".into(),
            cascow: format!("{our_disk:.1} MB"),
            peer: format!("{peer_disk:.1} MB ({})", program.name),
            ratio: format!("{:.2}", peer_disk / our_disk),
            target: (program.name == "casync")
                .then(|| Target::at_least(peer_disk / our_disk, 1.0, "not larger")),
            ..Row::default()
        });
    }
}

fn show(costs: &[Cost]) -> String {
    let median = |of: fn(&Cost) -> f64| Spread::of(costs.iter().map(of).collect()).median;
    let wall = median(|cost| cost.wall.as_secs_f64());
    let processors = median(|cost| cost.processors.as_secs_f64());
    format!("{wall:.2} s ({processors:.2} s)")
}

#[expect(clippy::cast_precision_loss, reason = "a repository is far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
