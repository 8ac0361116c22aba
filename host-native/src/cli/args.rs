// SPDX-License-Identifier: MIT
//! The command line: names, options, help.

use std::ffi::OsString;
use std::path::PathBuf;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_native::repository::Label;
use cascow_native::store::StoreKind;
use cascow_native::workspace::Materialize;
use clap::{Parser, Subcommand, ValueEnum};

/// Content-addressed, copy-on-write states for tree search: save, fork, change, score and verify directory trees.
#[derive(Debug, Parser)]
#[command(
    name = "cascow",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "A snapshot S is named by its hash, the first 6 or more digits of it, or a label.\n\
                  Exit codes: 0 yes or done, 1 no, 2 usage, 3 not found, 4 corrupt data, 5 the system refused.\n\
                  Begin with `cascow demo`."
)]
pub(crate) struct Args {
    /// The repository; else $CASCOW_REPO, else the nearest .cascow from here upwards
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no messages and no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search the bundled example, start to end, with a report
    Demo(Demo),
    /// Make a repository
    Init(Init),
    /// Save a directory as a snapshot, hidden and ignored files included
    Save(Save),
    /// Write a snapshot into a new or empty directory
    Checkout(Checkout),
    /// List what a snapshot holds
    Ls(Ls),
    /// Print a file of a snapshot
    Cat(Cat),
    /// Show how two snapshots differ
    Diff(Diff),
    /// Merge two snapshots that come from a third
    Merge(Merge),
    /// List the snapshots
    Log(Log),
    /// List, show, set or delete labels
    Label(LabelArgs),
    /// Run a command in a private fork of a snapshot and keep the result
    Run(Run),
    /// Show a snapshot as a directory that stays when this command has ended; for root
    #[command(
        long_about = "Show a snapshot as a directory that stays when this command has ended; for root.\n\n\
        Nothing is copied if the snapshot was mounted or forked since the machine was started. Read-only unless --rw is given; \
        then what is changed stays, also if the machine is started again, until `cascow umount` saves it or throws it away. \
        Set-user-id programs and devices give nobody rights in it."
    )]
    Mount(Mount),
    /// Take a mount away; what was changed in it is thrown away unless --save is given
    Umount(Umount),
    /// Prove what a snapshot holds under a path, or that it holds nothing
    Prove(Prove),
    /// Verify a proof; needs no repository
    Verify(Verify),
    /// Search for the best combination of actions on a workspace
    #[command(long_about = "Search for the best combination of actions on a workspace.\n\n\
        A state is a directory tree, and an action a command that is given to sh -c in a private fork of it. The score command runs in \
        a fork too: its last line is a number from 0 to 1 or {\"score\": N, \"terminal\": BOOL, \"feedback\": TEXT}; otherwise exit \
        code 0 scores 1 and any other 0. What a score command has said of a state, it is not asked again in this repository.\n\n\
        Actions come from a file of [[action]] tables with name, run, prior (1) and once (true), or from a command, --act. It runs in \
        a fork of each state, is given {node, depth, root, diff, actions, feedback, score, siblings} as JSON on standard input, and \
        prints proposals, one {\"name\": TEXT, \"run\": TEXT, \"prior\": N} a line; the first 64 of a state are taken.\n\n\
        Every step is kept as it is done. Ctrl-C stops a search cleanly, and --resume goes on with one however it was stopped. A \
        search that was given a --name stays until it is forgotten; the others go with `cascow gc` after its time of grace.")]
    Search(Box<Search>),
    /// Search a position of a board game
    #[command(long_about = "Search a position of a board game.\n\n\
        The search plays on at random from one position after the other and proves what it can. Values are from 0, lost, to 1, \
        won, in the view of the side to move at the position; those of moves too. One worker is repeatable: the same --nodes and \
        --seed give the same answer. A position where the game is over has no moves, and is a usage error.")]
    Analyze(Analyze),
    /// Play a board game against the search
    #[command(long_about = "Play a board game against the search.\n\n\
        Moves are read from standard input, a line each: a move, u to take back, h for a hint, q to end. The limits hold for each \
        move of the search and for each hint.")]
    Play(Play),
    /// Count the sequences of moves from a game's start, and the positions that they lead to
    #[command(
        long_about = "Count the sequences of moves from a game's start, and the positions that they lead to.\n\n\
        Games that end earlier are not counted; a forced pass counts as a move. Positions are distinct by the SHA-256 of their \
        canonical bytes, and about 60 bytes of memory are used for each. Counts of others are published: 5673234 sequences and \
        184275 positions for connect4 8, 390216 sequences for othello 8."
    )]
    Perft(Perft),
    /// The raw store
    #[command(subcommand)]
    Object(Object),
    /// Count what the repository holds
    Stats,
    /// Remove old snapshots that no label keeps, and objects that nothing needs
    #[command(
        long_about = "Remove old snapshots that no label keeps, and objects that nothing needs.\n\n\
        A snapshot stays if a label names it or one that comes from it, if a running command relies on it, or if it was \
        saved within the time of grace. Others may read and write meanwhile."
    )]
    Gc(Gc),
    /// Check every object, and all that snapshots and labels refer to
    #[command(long_about = "Check every object, and all that snapshots and labels refer to.\n\n\
        The exit code is 1 if there is damage that remains.")]
    Fsck(FsckArgs),
    /// Write snapshots, with all that they come from, to a file for another repository
    #[command(
        long_about = "Write snapshots, with all that they come from, to a file for another repository.\n\n\
        The file, a bundle, has everything in it, and every host of cascow reads it. Labels stay here."
    )]
    Export(Export),
    /// Take over the snapshots of a bundle
    #[command(long_about = "Take over the snapshots of a bundle.\n\n\
        Nothing in it is believed: a snapshot is entered in the history only if it is whole, with all that it comes from, and \
        none is if one is not.")]
    Import(Import),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Where; DIR/.cascow is made
    pub(crate) dir: Option<PathBuf>,
    /// The hash function that names its objects: sha256 or blake3
    #[arg(long, default_value = "sha256")]
    pub(crate) hash: HashKind,
    /// How it keeps objects: files, one each, or segments, many together
    #[arg(long, default_value_t)]
    pub(crate) store: StoreKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Object {
    /// Store a file's bytes as one object; - is standard input
    Put {
        /// The file
        file: PathBuf,
    },
    /// Print an object's bytes
    Get {
        /// Its hash, 64 digits
        hash: ContentHash,
    },
    /// Say whether an object is there
    Has {
        /// Its hash, 64 digits
        hash: ContentHash,
    },
    /// Remove an object
    Rm {
        /// Its hash, 64 digits
        hash: ContentHash,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Save {
    /// The directory
    pub(crate) dir: PathBuf,
    /// Name the snapshot
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<Label>,
    /// The snapshot that it comes from
    #[arg(long, value_name = "S")]
    pub(crate) parent: Option<String>,
    /// Leave out paths that match, with all below them; may be given again
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Read every file, also those that look as they did at the last save
    #[arg(long)]
    pub(crate) reread: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Checkout {
    /// The snapshot
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// The directory: new or empty
    pub(crate) dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// The snapshot
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// Only this path and what is below it
    #[arg(default_value = "")]
    pub(crate) path: OsString,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    /// The snapshot
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// The file
    pub(crate) path: OsString,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// The snapshot before
    pub(crate) a: String,
    /// The snapshot after
    pub(crate) b: String,
    /// Only this path and what is below it
    #[arg(default_value = "")]
    pub(crate) path: OsString,
    /// Print a unified diff
    #[arg(long, short)]
    pub(crate) patch: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Merge {
    /// The snapshot that both come from
    pub(crate) base: String,
    /// Ours; the merged snapshot's parent
    pub(crate) ours: String,
    /// Theirs
    pub(crate) theirs: String,
    /// Name the merged snapshot
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<Label>,
    /// Decide conflicts for one side
    #[arg(long)]
    pub(crate) prefer: Option<Side>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// Only this snapshot and its ancestors
    #[arg(value_name = "S")]
    pub(crate) snapshot: Option<String>,
    /// Draw the tree
    #[arg(long)]
    pub(crate) graph: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LabelArgs {
    /// The label; all are listed without one
    pub(crate) name: Option<Label>,
    /// The snapshot to name; the one named is shown without one
    #[arg(value_name = "S")]
    pub(crate) snapshot: Option<String>,
    /// Take the name away; the snapshot stays
    #[arg(long, requires = "name", conflicts_with = "snapshot")]
    pub(crate) delete: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The snapshot; it stays as it is
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// How the fork is made: auto, overlay or copy
    #[arg(long, default_value = "auto", value_name = "HOW")]
    pub(crate) materialize: Materialize,
    /// Name the new snapshot
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<Label>,
    /// End the command after so many seconds and keep nothing
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) timeout: Option<std::time::Duration>,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Mount {
    /// The snapshot; it stays as it is
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// The directory: empty, or a new one, which is removed when it is unmounted
    pub(crate) dir: PathBuf,
    /// Let it be changed
    #[arg(long)]
    pub(crate) rw: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Umount {
    /// The directory
    pub(crate) dir: PathBuf,
    /// Keep what was changed as a new snapshot
    #[arg(long)]
    pub(crate) save: bool,
    /// Name the new snapshot
    #[arg(long, value_name = "L", requires = "save")]
    pub(crate) label: Option<Label>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// The snapshot
    #[arg(value_name = "S")]
    pub(crate) snapshot: String,
    /// The path; where nothing is, its absence is proved
    pub(crate) path: OsString,
    /// Write the proof there instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The proof
    pub(crate) file: PathBuf,
    /// The state root to verify it with
    #[arg(long, value_name = "HEX", value_parser = state_root)]
    pub(crate) root: cascow_core::merkle::StateRoot,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("kept").args(["resume", "list", "forget"])))]
pub(crate) struct Search {
    /// The directory to search from; it is read, never written
    #[arg(long, value_name = "DIR", required_unless_present = "kept", conflicts_with = "kept")]
    pub(crate) workspace: Option<PathBuf>,
    /// The candidate actions, a TOML file with a table for each
    #[arg(long, value_name = "FILE", required_unless_present_any = ["kept", "act"], conflicts_with_all = ["kept", "act"])]
    pub(crate) actions: Option<PathBuf>,
    /// A command that proposes actions for each state: JSON on standard input, a proposal a line on standard output
    #[arg(long, value_name = "CMD", conflicts_with = "kept")]
    pub(crate) act: Option<String>,
    /// The command that scores a state, given to sh -c in a private fork
    #[arg(long, value_name = "CMD", required_unless_present = "kept", conflicts_with = "kept")]
    pub(crate) score: Option<String>,
    #[command(flatten)]
    pub(crate) limits: SearchLimits,
    /// Memory for the graph and its states, as 500M; beyond, what was visited least is forgotten
    #[arg(long, value_name = "N", value_parser = bytes)]
    pub(crate) bytes: Option<u64>,
    /// Stop at a state with this score; the exit code is 1 if none reaches it
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub(crate) target: Option<f64>,
    /// How forks are made: auto, overlay or copy [default: auto]
    #[arg(long, value_name = "HOW", conflicts_with = "kept")]
    pub(crate) materialize: Option<Materialize>,
    /// End any one action or score command after so many seconds [default: 60]
    #[arg(long, value_name = "SECS", value_parser = seconds, conflicts_with = "kept")]
    pub(crate) timeout: Option<std::time::Duration>,
    /// Score each state so often and take the mean [default: 1]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "kept")]
    pub(crate) repeat: Option<u32>,
    /// Score anew what earlier searches have scored with the same command
    #[arg(long, conflicts_with = "kept")]
    pub(crate) rescore: bool,
    /// Write events.jsonl, best.patch, best.proof and report.html there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["list", "forget"])]
    pub(crate) out: Option<PathBuf>,
    /// Write what happens there as it happens, one JSON object a line; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["list", "forget"])]
    pub(crate) events: Option<PathBuf>,
    /// What the search is kept as, for --resume [default: the next search-1, search-2, ...]
    #[arg(long, value_name = "N", conflicts_with = "kept")]
    pub(crate) name: Option<Label>,
    /// Go on with a kept search; limits given now are its limits from now on
    #[arg(long, value_name = "NAME")]
    pub(crate) resume: Option<Label>,
    /// List the searches that are kept
    #[arg(long)]
    pub(crate) list: bool,
    /// Remove a kept search; what it found stays as snapshots
    #[arg(long, value_name = "NAME")]
    pub(crate) forget: Option<Label>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SearchLimits {
    /// Stop after so many evaluations, those before it was resumed included [default: 1000 if there is no --time]
    #[arg(long, value_name = "N", value_parser = evaluations)]
    pub(crate) evaluations: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) time: Option<std::time::Duration>,
    /// Longest combination of actions
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u32>,
    /// The order in which equals are tried [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many commands run at a time [default: 1]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) workers: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Keep everything there: a new or empty directory [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: SearchLimits,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GameName {
    /// Connect Four; moves are columns from 1 to 7
    Connect4,
    /// Othello; moves are squares from a1 to h8
    Othello,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Analyze {
    /// The game
    pub(crate) game: GameName,
    /// The moves that lead to the position, one after the other: 4453, or f5d6
    #[arg(long, value_name = "M")]
    pub(crate) moves: Option<String>,
    #[command(flatten)]
    pub(crate) thinking: Thinking,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Thinking {
    /// Stop after so many evaluations: playouts, or positions where the game is over
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) nodes: Option<u64>,
    /// Stop after so many seconds [default: 1 if there is no --nodes]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) time: Option<std::time::Duration>,
    /// The chance in the playouts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: u32,
    /// Bytes that the graph may take; beyond, what was visited least is forgotten
    #[arg(long, value_name = "N", default_value_t = 1 << 31, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Seat {
    First,
    Second,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Play {
    /// The game
    pub(crate) game: GameName,
    /// Moves already made: 4453, or f5d6
    #[arg(long, value_name = "M")]
    pub(crate) moves: Option<String>,
    /// Which side is yours
    #[arg(long, value_name = "SIDE", default_value = "first")]
    pub(crate) seat: Seat,
    #[command(flatten)]
    pub(crate) thinking: Thinking,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Perft {
    /// The game
    pub(crate) game: GameName,
    /// How many moves
    pub(crate) depth: u32,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Gc {
    /// Keep what was saved within so many seconds; 14 days, as git does, unless told otherwise. With 0, everything that
    /// nothing names goes
    #[arg(long, value_name = "SECS", default_value_t = cascow_native::repository::GRACE_SECS)]
    pub(crate) grace: u64,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FsckArgs {
    /// Recover what other copies still hold, and move the rest to the repository's quarantine; nothing is deleted
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The snapshots
    #[arg(required = true, value_name = "S")]
    pub(crate) snapshots: Vec<String>,
    /// The bundle; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The bundle; - is standard input
    pub(crate) file: PathBuf,
    /// Name the snapshot, if the bundle was made of one
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<Label>,
}

fn evaluations(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("a search of 0 evaluations has nothing to say; allow at least 1".to_owned()),
        parsed => parsed.map_err(|_| "not a number".to_owned()),
    }
}

fn workers(text: &str) -> Result<u32, String> {
    let most = cascow_native::search::MOST_WORKERS;
    match text.parse() {
        Ok(0) => Err("a search needs at least 1 worker".to_owned()),
        Ok(count) if count > most => Err(format!("a search has at most {most} workers")),
        parsed => parsed.map_err(|_| "not a number".to_owned()),
    }
}

/// A number of bytes, with K, M or G for powers of 1024.
fn bytes(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let (digits, shift) = match upper.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a number of bytes; write 500M or 2G".to_owned())?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("a search cannot be kept in 0 bytes; allow more".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("more bytes than there are numbers".to_owned()),
    }
}

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let duration =
        std::time::Duration::try_from_secs_f64(secs).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be more than 0".to_owned()) } else { Ok(duration) }
}

fn score(text: &str) -> Result<f64, String> {
    let score: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&score) { Ok(score) } else { Err("a score is from 0 to 1".to_owned()) }
}

fn state_root(text: &str) -> Result<cascow_core::merkle::StateRoot, String> {
    text.parse().map_err(|error: cascow_core::hash::HexError| error.to_string())
}
