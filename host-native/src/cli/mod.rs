// SPDX-License-Identifier: MIT
//! The program's commands: arguments in, one answer out.
//!
//! Exit codes: 0 yes or done; 1 a "no"; 2 usage; 3 not found; 4 corrupt or hostile data; 5 the environment refused. An error is
//! one line on standard error, and with `--json` also `{"error": …}` on standard output.

mod analyze;
mod args;
mod bundle;
mod bundled;
mod demo;
mod keep;
mod label;
mod log;
mod look;
mod merge;
mod mount;
mod object;
mod output;
mod perft;
mod play;
mod proof;
mod run;
mod save;
mod search;
mod told;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cascow_native::Error;
use cascow_native::error::ErrorKind;
use cascow_native::repository::Repository;
use clap::error::ErrorKind as ClapErrorKind;
use clap::{CommandFactory, Parser};
use rustix::process::{Resource, Rlimit};

use args::{Args, Command};
use output::Output;

/// What a command that did not fail answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Yes, or done.
    Yes,
    /// No: verification failed, there are conflicts, nothing reached the target.
    No,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    raise_file_limit();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let output = Output::new(args.json, args.quiet);
    match dispatch(args, &output) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let (exit, code) = match error.kind() {
                ErrorKind::Usage => (2, "usage"),
                ErrorKind::NotFound => (3, "not-found"),
                ErrorKind::Corrupt => (4, "corrupt"),
                _ => (5, "environment"),
            };
            output.error(code, &error.to_string());
            ExitCode::from(exit)
        }
    }
}

fn dispatch(args: Args, output: &Output) -> Result<Answer, Error> {
    let from_environment = || env::var_os("CASCOW_REPO").filter(|dir| !dir.is_empty());
    let repo = args.repo.or_else(|| from_environment().map(Into::into));
    let open = || open_repository(repo.clone());
    match args.command {
        Command::Init(init) => save::init(&init, repo, output),
        Command::Object(command) => object::object(&command, &open()?, output),
        Command::Save(save) => save::save(&save, &open()?, output),
        Command::Checkout(checkout) => save::checkout(&checkout, &open()?, output),
        Command::Ls(ls) => look::ls(&ls, &open()?, output),
        Command::Cat(cat) => look::cat(&cat, &open()?, output),
        Command::Diff(diff) => look::diff(&diff, &open()?, output),
        Command::Merge(merge) => merge::merge(&merge, &open()?, output),
        Command::Log(log) => log::log(&log, &open()?, output),
        Command::Label(label) => label::label(&label, &open()?, output),
        Command::Run(run) => run::run(&run, &open()?, output),
        Command::Mount(mount) => mount::mount(&mount, &open()?, output),
        Command::Umount(umount) => {
            // Its repository is most often above it, wherever the caller is.
            let repository = match open() {
                Err(Error::NoRepository { .. }) if repo.is_none() => {
                    let dir = std::path::absolute(&umount.dir);
                    Repository::discover(
                        dir.ok().as_deref().and_then(Path::parent).unwrap_or(&umount.dir),
                    )?
                }
                opened => opened?,
            };
            mount::umount(&umount, &repository, output)
        }
        Command::Prove(prove) => proof::prove(&prove, &open()?, output),
        Command::Verify(verify) => proof::verify(&verify, output),
        Command::Search(search) => search::search(&search, &open()?, output),
        Command::Analyze(analyze) => analyze::analyze(&analyze, output),
        Command::Play(play) => play::play(&play, output),
        Command::Perft(perft) => perft::perft(&perft, output),
        Command::Stats => log::stats(&open()?, output),
        Command::Gc(gc) => keep::gc(&gc, &open()?, output),
        Command::Fsck(fsck) => keep::fsck(&fsck, &open()?, output),
        Command::Export(export) => bundle::export(&export, &open()?, output),
        Command::Import(import) => bundle::import(&import, &open()?, output),
        Command::Demo(demo) => demo::demo(&demo, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "cascow", &mut script);
            let script = String::from_utf8_lossy(&script);
            let answer = serde_json::json!({ "shell": shell.to_string(), "script": script });
            output.answer(&answer, || script.to_string())?;
            Ok(Answer::Yes)
        }
    }
}

fn open_repository(repo: Option<std::path::PathBuf>) -> Result<Repository, Error> {
    match repo {
        Some(dir) => Repository::open(&dir),
        None => Repository::discover(&env::current_dir().map_err(Error::io("find", "."))?),
    }
}

/// A flag that Ctrl-C and SIGTERM set; the second one ends the program at once.
fn interrupt_flag() -> Result<Arc<AtomicBool>, Error> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(Error::io("watch for", "signals"))?;
    }
    Ok(flag)
}

/// Answers what the command line's reader has to say: help and version, or a mistake.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion) {
        // A closed pipe is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let wants_json = env::args_os().any(|arg| arg == *"--json");
    let wants_command = error.kind() == ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if wants_command && !wants_json {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = if wants_command { "a command is missing".to_owned() } else { error.to_string() };
    // The reader's message is its first paragraph; usage and tips follow.
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let message = paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    Output::new(wants_json, false).error("usage", &format!("{message}; see `cascow --help`"));
    ExitCode::from(2)
}

/// A deep tree is removed with a directory open at each level: 2,048 levels are the most that a path of 4,095 bytes has. No more
/// than needed, since commands inherit the limit, and some close every file that they may have.
fn raise_file_limit() {
    const ENOUGH: u64 = 4096;
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let maximum = limit.maximum;
    if limit.current.is_none_or(|current| current >= ENOUGH) {
        return;
    }
    let current = Some(maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH)));
    // If the system refuses, ordinary trees still work.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum });
}

/// A path within a snapshot as a person may type it: `./` before and `/` after it mean nothing.
fn snapshot_path(path: &OsString) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let mut path = path.as_bytes();
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    if path == b"." { Vec::new() } else { path.to_vec() }
}

/// Whether `path` is `top` or below it; everything is below the empty path.
fn is_within(path: &[u8], top: &[u8]) -> bool {
    top.is_empty() || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
