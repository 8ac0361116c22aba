// SPDX-License-Identifier: MIT
//! What must hold in a workspace, however it came to be a directory: whatever was done in it, sealing it gives the state that
//! really is there, and every materialiser gives the same one, with the same errors on the way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use cascow_core::hash::HashKind;
use cascow_core::snapshot::{Change, State};
use cascow_core::store::ObjectStore;
use cascow_native::directory::{self, ScanOptions};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_native::workspace::{Materialize, Origin, Workshop};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use tempfile::TempDir;

/// Something that a command may do in its workspace. Paths are relative to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writes a file anew.
    Write(String, Vec<u8>),
    /// Writes at a file's end.
    Append(String, Vec<u8>),
    /// Cuts a file to this length, or extends it with zeros.
    Truncate(String, u64),
    /// Writes a new file and renames it over the old one, as editors do.
    Replace(String, Vec<u8>),
    /// Opens a file for writing and writes nothing.
    Open(String),
    /// Removes what is no directory.
    Remove(String),
    /// Removes a directory with all that is in it.
    RemoveAll(String),
    /// Makes a directory.
    MakeDirectory(String),
    /// Renames whatever is there.
    Rename(String, String),
    /// Renames with each other.
    Exchange(String, String),
    /// Gives a file one more name.
    Link(String, String),
    /// Makes a symbolic link.
    Symlink(String, String),
    /// Sets the permission bits of what is no link.
    SetMode(String, u32),
    /// Sets an attribute of a file or directory.
    SetAttribute(String, String, Vec<u8>),
    /// Removes one.
    RemoveAttribute(String, String),
    /// Sets a time of modification, in nanoseconds after 2001.
    SetTime(String, u32),
    /// Makes a pipe.
    MakeFifo(String),
}

impl Operation {
    /// Does it in a directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn run(&self, dir: &Path) -> io::Result<()> {
        let at = |path: &String| dir.join(path);
        // Never through a link, which may lead out of the workspace.
        let open = |path: &String, options: &mut OpenOptions| {
            options.custom_flags(nofollow()).open(at(path))
        };
        match self {
            Self::Write(path, bytes) => {
                open(path, File::options().write(true).create(true).truncate(true))?
                    .write_all(bytes)
            }
            Self::Append(path, bytes) => open(path, File::options().append(true))?.write_all(bytes),
            Self::Truncate(path, len) => open(path, File::options().write(true))?.set_len(*len),
            Self::Replace(path, bytes) => {
                let temporary = dir.join("temporary");
                fs::write(&temporary, bytes)?;
                let renamed = fs::rename(&temporary, at(path));
                if renamed.is_err() {
                    fs::remove_file(&temporary)?;
                }
                renamed
            }
            Self::Open(path) => open(path, File::options().write(true)).map(drop),
            Self::Remove(path) => fs::remove_file(at(path)),
            Self::RemoveAll(path) => {
                // A link to a directory is removed itself.
                if !fs::symlink_metadata(at(path))?.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                fs::remove_dir_all(at(path))
            }
            Self::MakeDirectory(path) => fs::create_dir(at(path)),
            Self::Rename(from, to) => fs::rename(at(from), at(to)),
            Self::Exchange(one, other) => {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                Ok(rustix::fs::renameat_with(CWD, at(one), CWD, at(other), flags)?)
            }
            Self::Link(path, new) => fs::hard_link(at(path), at(new)),
            Self::Symlink(target, path) => symlink(target, at(path)),
            Self::SetMode(path, mode) => {
                if fs::symlink_metadata(at(path))?.is_symlink() {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                fs::set_permissions(at(path), fs::Permissions::from_mode(*mode))
            }
            Self::SetAttribute(path, name, value) => {
                let name = format!("user.{name}");
                Ok(rustix::fs::lsetxattr(at(path), name, value, XattrFlags::empty())?)
            }
            Self::RemoveAttribute(path, name) => {
                Ok(rustix::fs::lremovexattr(at(path), format!("user.{name}"))?)
            }
            Self::SetTime(path, nanos) => {
                let time = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: (*nanos).into() };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                Ok(rustix::fs::utimensat(CWD, at(path), &times, flags)?)
            }
            Self::MakeFifo(path) => {
                let mode = Mode::from_raw_mode(0o644);
                Ok(rustix::fs::mknodat(CWD, at(path), FileType::Fifo, mode, 0)?)
            }
        }
    }
}

fn nofollow() -> i32 {
    i32::try_from((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits())
        .expect("flags are few")
}

/// What a round of operations came to.
#[derive(Debug)]
pub struct Round {
    /// The error of each operation, if it failed.
    pub errors: Vec<Option<io::ErrorKind>>,
    /// The state that was sealed.
    pub state: State,
    /// How it differs from the one before.
    pub changes: Vec<Change>,
    /// What the next round is forked from.
    pub origin: Origin,
}

/// Forks, does all operations, seals, and compares what was sealed with what really was there.
///
/// # Panics
/// If they differ, or the delta is not what leads from one state to the other.
pub fn round(
    workshop: &Workshop<'_>,
    repository: &Repository,
    origin: &Origin,
    operations: &[Operation],
) -> Round {
    let before = origin.state();
    let mut workspace = workshop.fork(origin);
    let path = workspace.path().unwrap_or_else(|error| panic!("fork: {error}")).to_owned();
    let there = scan(&path, repository);
    let how = workshop.materializer().name();
    assert_eq!(before.diff(&there), [], "{how}: a fork shows its state");
    let errors =
        operations.iter().map(|operation| operation.run(&path).err().map(|e| e.kind())).collect();
    let there = scan(&path, repository);
    let sealed = workspace.seal().unwrap_or_else(|error| panic!("seal: {error}"));
    let state = sealed.origin.state();
    assert_eq!(there.diff(&state), [], "{how}: what is sealed is what is there: {operations:?}");
    let kind = repository.store().hash_kind();
    assert_eq!(there.root(kind), state.root(kind));
    for (path, value) in there.iter() {
        let sealed = state.get(path).expect("equal states have the same paths");
        // A list of chunks may be stored in one place or another; times and owners must be as they are.
        let times = |value| {
            cascow_core::workspace::decode(path, value).map(|entry| {
                (entry.note.mtime_secs, entry.note.mtime_nanos, entry.note.uid, entry.note.gid)
            })
        };
        assert!(
            times(value) == times(sealed),
            "{how}: times and owner of {:?}: {:?} {:?}",
            path.escape_ascii().to_string(),
            times(value),
            times(sealed)
        );
    }
    let changes = before.diff(&state);
    let mut applied = before;
    applied.apply(sealed.delta);
    assert_eq!(applied, state, "{how}: the delta leads from one to the other");
    assert!(!path.exists() || fs::read_dir(&path).is_ok_and(|mut dir| dir.next().is_none()));
    Round { errors, state, changes, origin: sealed.origin }
}

fn scan(path: &Path, repository: &Repository) -> State {
    directory::scan(path, repository.store(), &ScanOptions::default(), &mut |_| {})
        .unwrap_or_else(|error| panic!("scan: {error}"))
        .state
}

/// Does the same rounds in each workshop, each round on what the one before gave.
///
/// # Panics
/// If anything differs between two workshops, or between what was sealed and what was there.
pub fn compare(
    workshops: &[&Workshop<'_>],
    repository: &Repository,
    base: &State,
    rounds: &[Vec<Operation>],
) {
    let mut origins: Vec<Origin> = workshops
        .iter()
        .map(|workshop| {
            workshop.origin(base, None).unwrap_or_else(|error| panic!("origin: {error}"))
        })
        .collect();
    for (number, operations) in rounds.iter().enumerate() {
        let done: Vec<Round> = workshops
            .iter()
            .zip(&origins)
            .map(|(workshop, origin)| round(workshop, repository, origin, operations))
            .collect();
        for other in &done[1..] {
            assert_eq!(done[0].errors, other.errors, "round {number}: errors of {operations:?}");
            assert_eq!(done[0].changes, other.changes, "round {number}: changes by {operations:?}");
            assert_eq!(done[0].state, other.state, "round {number}: states after {operations:?}");
        }
        origins = done.into_iter().map(|round| round.origin).collect();
    }
}

/// A repository with a tree to begin from.
#[derive(Debug)]
pub struct Setting {
    _dir: TempDir,
    repository: Repository,
    base: State,
}

impl Setting {
    /// A tree with files, directories, links of both kinds and attributes, saved.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a/a")).unwrap();
        fs::create_dir_all(tree.join("b")).unwrap();
        fs::create_dir_all(tree.join("deep/er/est")).unwrap();
        fs::write(tree.join("a/b"), "one").unwrap();
        fs::write(tree.join("a/a/a"), "two").unwrap();
        fs::write(tree.join("a/a/b"), "three".repeat(9000)).unwrap();
        fs::write(tree.join("b/a"), "four").unwrap();
        fs::write(tree.join("deep/er/est/file"), "five").unwrap();
        fs::hard_link(tree.join("a/b"), tree.join("b/b")).unwrap();
        fs::hard_link(tree.join("a/b"), tree.join("linked")).unwrap();
        std::os::unix::fs::symlink("a/b", tree.join("c")).unwrap();
        Operation::SetAttribute("a".into(), "of".into(), b"directory".into()).run(&tree).unwrap();
        Operation::SetAttribute("a/b".into(), "of".into(), b"file".into()).run(&tree).unwrap();
        Operation::SetAttribute("a/b".into(), "overlay.opaque".into(), b"y".into())
            .run(&tree)
            .unwrap();
        let repository =
            Repository::init(dir.path(), HashKind::Sha256, StoreKind::Segments).unwrap();
        let options = ScanOptions::default();
        let base = directory::scan(&tree, repository.store(), &options, &mut |_| {}).unwrap().state;
        Self { _dir: dir, repository, base }
    }

    /// The repository.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tree's state.
    pub const fn base(&self) -> &State {
        &self.base
    }

    /// A workshop in the repository.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn workshop(&self, wish: Materialize) -> Workshop<'_> {
        Workshop::open(&self.repository, wish).unwrap()
    }

    /// As [`compare`], in an overlay and in a copy.
    ///
    /// # Panics
    /// If anything differs.
    pub fn compare(&self, rounds: &[Vec<Operation>]) {
        let overlay = self.workshop(Materialize::Overlay);
        let copy = self.workshop(Materialize::Copy);
        compare(&[&overlay, &copy], &self.repository, &self.base, rounds);
    }
}

impl Default for Setting {
    fn default() -> Self {
        Self::new()
    }
}

fn write(path: &str) -> Operation {
    Operation::Write(path.into(), format!("written to {path}").into())
}

/// Rounds that each are about one thing that overlayfs does in a way of its own. Without privileges it does not rename directories
/// of lower layers.
pub fn rounds(renames_directories: bool) -> Vec<Vec<Operation>> {
    use Operation::*;
    let rename = |from: &str, to: &str| Rename(from.into(), to.into());
    let mut rounds = vec![
        // Nothing, then what leaves no trace.
        vec![],
        vec![Open("a/a/a".into()), write("new"), Remove("new".into())],
        // Whiteouts, of files and of directories.
        vec![Remove("b/a".into()), RemoveAll("deep/er".into())],
        // Deleted and made again: a directory is opaque then, a file is new.
        vec![RemoveAll("a/a".into()), MakeDirectory("a/a".into()), write("a/a/new"), write("b/a")],
        // Changed kinds, there and back.
        vec![RemoveAll("b".into()), write("b"), Remove("c".into()), MakeDirectory("c".into())],
        vec![
            Remove("b".into()),
            MakeDirectory("b".into()),
            write("b/x"),
            MakeFifo("c/pipe".into()),
        ],
        // Hard links: written by one name, one name removed, one more made, all moved.
        vec![MakeDirectory("links".into()), Link("a/b".into(), "links/one".into())],
        vec![Append("links/one".into(), b"+".to_vec())],
        vec![Link("linked".into(), "links/two".into()), Remove("a/b".into())],
        vec![Remove("linked".into()), SetMode("links/two".into(), 0o755)],
        vec![Replace("links/one".into(), b"another file".to_vec())],
        // Modes and times alone, and attributes that look like the kernel's own.
        vec![
            SetMode("a/a/new".into(), 0o4711),
            SetMode("a".into(), 0o2750),
            SetMode("deep".into(), 0),
        ],
        vec![SetTime("c".into(), 123_456_789), SetTime("a/a/new".into(), 999_999_999)],
        vec![
            SetAttribute("a".into(), "overlay.opaque".into(), b"y".to_vec()),
            SetAttribute("a/a/new".into(), "overlay.metacopy".into(), Vec::new()),
            RemoveAttribute("a".into(), "of".into()),
        ],
        vec![write("a/more"), RemoveAttribute("a".into(), "overlay.opaque".into())],
        vec![Truncate("a/a/new".into(), 3), Truncate("a/more".into(), 70_000)],
        vec![Symlink("../../out".into(), "a/out".into()), Symlink("/".into(), "root".into())],
        vec![rename("a/a/new", "a/renamed"), Exchange("a/more".into(), "a/renamed".into())],
    ];
    if renames_directories {
        rounds.extend([
            // Directories that refer to their former place, once, again, with changes before and after.
            vec![rename("a", "moved"), write("moved/a/inside"), Remove("moved/renamed".into())],
            vec![rename("moved/a", "moved/b"), write("moved/a")],
            vec![
                rename("moved", "a"),
                rename("a/b", "outside"),
                SetMode("outside/new".into(), 0o600),
            ],
            vec![MakeDirectory("moved".into()), rename("links", "moved/links")],
            vec![Append("moved/links/two".into(), b"-".to_vec()), rename("moved", "a/moved")],
            vec![Exchange("a".into(), "c".into()), RemoveAll("c/moved/links".into())],
        ]);
    }
    rounds
}
