// SPDX-License-Identifier: MIT
//! What is timed: in a process of its own, since whoever mounts a workspace enters another mount namespace and stays there, and
//! since without privileges that takes a process of one thread.
//!
//! All times are of single operations by the wall. What an operation leaves is cleared away after its time has been taken, before
//! the next one begins. Operations that are compared take turns.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cascow_core::blob::BlobId;
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::HashKind;
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_native::directory::{self, ScanOptions};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_native::workspace::{Materialize, Origin, Sealed, Workshop};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::bare::Bare;

const KIND: HashKind = HashKind::Sha256;

/// Bytes of a file.
const LEN: usize = 256;
const LEN_U32: u32 = 256;

/// Files of a directory.
const FANOUT: usize = 100;

/// Files of the workspace that most is done with.
pub(super) const FILES: usize = 10_000;

/// Sizes between which sealing one changed file is compared.
pub(super) const SIZES: [usize; 3] = [100, FILES, 100_000];

/// Numbers of files that one seal finds changed, and how often each is done.
pub(super) const EDITS: [(usize, usize); 4] = [(1, 200), (10, 100), (100, 50), (1_000, 20)];

/// Numbers of deltas above the written base.
pub(super) const DEPTHS: [usize; 4] = [1, 10, 100, 1_000];

/// Snapshots of the tree in which a search jumps about.
pub(super) const SNAPSHOTS: usize = 1_000;

/// Forks, runs and seals in a row.
pub(super) const IN_A_ROW: usize = 10_000;

const FORKS: usize = 1_000;
const SEALS: usize = 200;
/// Jumps between snapshots.
pub(super) const JUMPS: usize = 1_000;
const COPIES: usize = 5;

/// Figures by the name of what they are of.
pub(super) type Figures = BTreeMap<String, Vec<f64>>;

/// Who measures, in an empty directory.
struct Worker {
    ground: PathBuf,
    figures: Figures,
    random: Xoshiro256PlusPlus,
    /// Writes so far, so that no two have the same content.
    writes: u64,
}

/// What a worker measures.
pub(super) const FORKS_BESIDE_BARE: &str = "forks";
pub(super) const SEALS_BY_SIZE: &str = "seals";
pub(super) const JUMPS_IN_TREES: &str = "jumps";
pub(super) const BACKTRACKS: &str = "backtracks";
pub(super) const MANY_IN_A_ROW: &str = "row";
pub(super) const BESIDE_COPIES: &str = "copies";

/// Measures one of them.
pub(super) fn measure(ground: &Path, what: &str) -> Figures {
    let random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut worker =
        Worker { ground: ground.to_owned(), figures: Figures::new(), random, writes: 0 };
    let repository = Repository::init(ground, KIND, StoreKind::Segments);
    let repository = repository.expect("a repository");
    let workshop = Workshop::open(&repository, Materialize::Overlay);
    let workshop = workshop.expect("the system lets us mount overlays");
    let state = state(&repository, FILES);
    let origin = workshop.origin(&state, None).expect("a base");
    match what {
        FORKS_BESIDE_BARE => {
            let bare = worker.bare(&repository, &workshop, &state);
            worker.forks(&workshop, &origin, bare);
        }
        SEALS_BY_SIZE => {
            let of = |files| workshop.origin(&self::state(&repository, files), None);
            worker.seals_by_size(&workshop, &SIZES.map(|files| of(files).expect("a base")));
            worker.seals_by_edit(&workshop, &origin);
        }
        JUMPS_IN_TREES => {
            let chain = worker.chain(&workshop, &origin);
            worker.depths(&workshop, &chain);
            let tree = worker.tree(&workshop, &origin);
            worker.jumps("jump in a tree", &workshop, &tree);
            worker.jumps("jump in a chain", &workshop, &chain);
            let some = [&origin, &tree[SNAPSHOTS / 2], &chain[SNAPSHOTS - 1]];
            worker.roots(&repository, &workshop, some);
        }
        BACKTRACKS => {
            let tree = worker.tree(&workshop, &origin);
            worker.jumps("jump in a tree", &workshop, &tree);
            let chain = worker.chain(&workshop, &origin);
            worker.jumps("jump in a chain", &workshop, &chain);
        }
        MANY_IN_A_ROW => worker.in_a_row(&repository, &workshop, &origin),
        BESIDE_COPIES => worker.copies(&workshop, &repository, &origin),
        _ => panic!("nobody measures {what}"),
    }
    worker.figures
}

fn path_of(file: usize) -> String {
    format!("directory-{:04}/file-{:02}", file / FANOUT, file % FANOUT)
}

/// A state of so many small files, a hundred to a directory, in the repository.
fn state(repository: &Repository, files: usize) -> State {
    let mut state = State::new();
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let note = Note { mtime_secs: 1_000_000_000, mtime_nanos: 0, uid, gid, index: None }.encode();
    let mut write = |path: String, kind, mode| {
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        let value = Value { bytes: entry.encode().into(), note: note.clone().into() };
        state.write(path.into_bytes(), value);
    };
    let noise = crate::noise(files as u64, files * LEN);
    let contents: Vec<&[u8]> = noise.chunks(LEN).collect();
    for (number, contents) in contents.chunks(FANOUT).enumerate() {
        let first = path_of(number * FANOUT);
        let (parent, _) = first.split_once('/').expect("it is in a directory");
        write(parent.to_owned(), EntryKind::Directory, 0o755);
        let puts = repository.store().put_many(contents).expect("objects are stored");
        for (file, put) in puts.iter().enumerate() {
            let content = BlobId::Chunk { hash: put.hash, len: LEN_U32 };
            write(path_of(number * FANOUT + file), EntryKind::File(content), 0o644);
        }
    }
    repository.store().sync().expect("they are synced");
    state
}

impl Worker {
    fn note(&mut self, name: impl Into<String>, figure: f64) {
        self.figures.entry(name.into()).or_default().push(figure);
    }

    /// Does something, and notes its time in nanoseconds.
    fn time<T>(&mut self, name: impl Into<String>, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.note(name, float(nanos));
        done
    }

    fn choose(&mut self, below: usize) -> usize {
        usize::try_from(self.random.next_u64() % below as u64).expect("it is below a usize")
    }

    /// Gives a file of a workspace a content that nothing had before.
    fn edit(&mut self, workspace: &Path, file: usize) {
        self.writes += 1;
        let content = crate::noise(!self.writes, LEN);
        fs::write(workspace.join(path_of(file)), content).expect("a file can be written");
    }

    /// Bare calls over the very directory that ours is forked from.
    fn bare(&self, repository: &Repository, workshop: &Workshop<'_>, state: &State) -> Bare {
        // A snapshot's base is kept where it can be found.
        let written = repository.write_snapshot(state, None).expect("a snapshot");
        repository.publish(&written.snapshot, None).expect("it is published");
        workshop.origin(state, Some(&written.snapshot)).expect("a base");
        let bases = fs::read_dir(repository.layers_dir()).expect("there are bases");
        let bases: Vec<PathBuf> = bases.map(|base| base.expect("a base").path()).collect();
        let [base] = &bases[..] else { panic!("there is one base: {bases:?}") };
        let is_privileged = rustix::process::geteuid().is_root();
        Bare::new(base, self.ground.join("bare"), is_privileged)
    }

    /// Forks, ours and bare ones in turn.
    fn forks(&mut self, workshop: &Workshop<'_>, origin: &Origin, mut bare: Bare) {
        for number in 0..FORKS {
            for turn in 0..2 {
                if (number + turn) % 2 == 0 {
                    let mut workspace = self.time("fork", || fork(workshop, origin));
                    is_whole(workspace.path().expect("it was forked"));
                } else {
                    let forked = self.time("bare fork", || bare.fork());
                    is_whole(bare.place());
                    bare.end(forked);
                }
            }
        }
    }

    fn seals_by_size(&mut self, workshop: &Workshop<'_>, origins: &[Origin; SIZES.len()]) {
        for number in 0..SEALS {
            for turn in 0..SIZES.len() {
                let which = (number + turn) % SIZES.len();
                let file = self.choose(SIZES[which]);
                let name = format!("seal in {}", SIZES[which]);
                self.forked_and_sealed(&name, workshop, &origins[which], &[file]);
            }
        }
    }

    fn seals_by_edit(&mut self, workshop: &Workshop<'_>, origin: &Origin) {
        for (edits, times) in EDITS {
            let files: Vec<usize> = (0..edits).map(|edit| edit * (FILES / edits)).collect();
            for _ in 0..times {
                self.forked_and_sealed(&format!("seal {edits} edits"), workshop, origin, &files);
            }
        }
    }

    fn forked_and_sealed(
        &mut self,
        name: &str,
        workshop: &Workshop<'_>,
        origin: &Origin,
        files: &[usize],
    ) -> Sealed {
        let mut workspace = fork(workshop, origin);
        let path = workspace.path().expect("it was forked").to_owned();
        for file in files {
            self.edit(&path, *file);
        }
        let sealed = self.time(name, || workspace.seal().expect("it can be sealed"));
        // The file, and the directory above it where its time counts.
        assert!(sealed.delta.len() >= files.len(), "what was changed is in the delta");
        sealed
    }

    /// A thousand states, each forked from the one before.
    fn chain(&mut self, workshop: &Workshop<'_>, origin: &Origin) -> Vec<Origin> {
        let mut chain: Vec<Origin> = Vec::new();
        for _ in 0..SNAPSHOTS {
            let last = chain.last().unwrap_or(origin).clone();
            let mut workspace = self.time("fork the newest of a chain", || fork(workshop, &last));
            let path = workspace.path().expect("it was forked").to_owned();
            let file = self.choose(FILES);
            self.edit(&path, file);
            let sealed = self.time("seal in a chain", || workspace.seal());
            chain.push(sealed.expect("it can be sealed").origin);
        }
        // The last has not been forked from yet, as all others have.
        drop(fork(workshop, &chain[SNAPSHOTS - 1]));
        chain
    }

    fn depths(&mut self, workshop: &Workshop<'_>, chain: &[Origin]) {
        for number in 0..FORKS / 2 {
            for turn in 0..DEPTHS.len() {
                let depth = DEPTHS[(number + turn) % DEPTHS.len()];
                let name = format!("fork {depth} deep");
                drop(self.time(name, || fork(workshop, &chain[depth - 1])));
            }
        }
    }

    /// A thousand states, each forked from any one before it.
    fn tree(&mut self, workshop: &Workshop<'_>, origin: &Origin) -> Vec<Origin> {
        let mut tree = vec![origin.clone()];
        while tree.len() <= SNAPSHOTS {
            let (from, file) = (self.choose(tree.len()), self.choose(FILES));
            let origin = tree[from].clone();
            tree.push(self.forked_and_sealed("seal in a tree", workshop, &origin, &[file]).origin);
        }
        tree.remove(0);
        tree
    }

    fn jumps(&mut self, name: &str, workshop: &Workshop<'_>, snapshots: &[Origin]) {
        for _ in 0..JUMPS {
            let to = self.choose(snapshots.len());
            drop(self.time(name, || fork(workshop, &snapshots[to])));
        }
    }

    /// States that overlays gave, and the same written out and read as a whole, and the same edits sealed in copies.
    fn roots<const N: usize>(
        &mut self,
        repository: &Repository,
        workshop: &Workshop<'_>,
        origins: [&Origin; N],
    ) {
        let copies = Workshop::open(repository, Materialize::Copy).expect("a workshop");
        for origin in origins {
            let (state, out) = (origin.state(), self.ground.join("out"));
            let root = state.root(KIND);
            directory::checkout(&state, repository.store(), &out, &mut |_| {})
                .expect("a state can be written out");
            let options = ScanOptions::default();
            let scan = directory::scan(&out, repository.store(), &options, &mut |_| {});
            assert_eq!(scan.expect("it can be saved").state.root(KIND), root, "checked out");
            fs::remove_dir_all(&out).expect("it can be removed");

            let copied = copies.origin(&state, None).expect("a state");
            let edit = |workshop: &Workshop<'_>, origin: &Origin| {
                let mut workspace = workshop.fork(origin);
                let path = workspace.path().expect("a directory").to_owned();
                fs::write(path.join(path_of(7)), "one").expect("a file can be written");
                fs::remove_file(path.join(path_of(8))).expect("a file can be removed");
                fs::rename(path.join(path_of(9)), path.join("moved")).expect("it can be moved");
                workspace.seal().expect("it can be sealed").origin.state().root(KIND)
            };
            let (overlay, copy) = (edit(workshop, origin), edit(&copies, &copied));
            assert!(overlay == copy && overlay != root, "sealed in an overlay and in a copy");
            self.note("equal roots", 2.0);
        }
    }

    /// Ten thousand workspaces, one after another, each with a process run in it; and what is there afterwards that was not before.
    fn in_a_row(&mut self, repository: &Repository, workshop: &Workshop<'_>, origin: &Origin) {
        // Few contents, so that the store does not grow: all that grows is what workspaces leave.
        let one = |number: usize| {
            let mut workspace = fork(workshop, origin);
            let path = workspace.path().expect("it was forked").to_owned();
            fs::write(path.join(path_of(number % FILES)), [u8::from(number.is_multiple_of(2))])
                .expect("a file can be written");
            let status = Command::new("true").current_dir(&path).status();
            assert!(status.expect("a process runs").success());
            let sealed = workspace.seal().expect("it can be sealed");
            assert!(!sealed.delta.is_empty(), "what was changed is in the delta");
        };
        (0..IN_A_ROW / 10).for_each(one);
        let dir = self.ground.join(".cascow");
        let before = Left::now(repository, workshop, &dir);
        for number in 0..IN_A_ROW {
            self.time("fork, run and seal", || one(number));
        }
        let after = Left::now(repository, workshop, &dir);
        for (name, of) in Left::KINDS {
            self.note(format!("{name} before"), of(&before));
            self.note(format!("{name} after"), of(&after));
        }
    }

    /// A private copy of the same tree: a fork, and what else makes one.
    fn copies(&mut self, workshop: &Workshop<'_>, repository: &Repository, origin: &Origin) {
        let tree = self.ground.join("tree");
        directory::checkout(&origin.state(), repository.store(), &tree, &mut |_| {})
            .expect("a state can be written out");
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-e", "-c", script]).current_dir(&self.ground);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", &self.ground);
            command.status().is_ok_and(|status| status.success())
        };
        let has_git = run("cd tree && git init --quiet --initial-branch=main && git add --all
             git -c user.name=cascow -c user.email=cascow commit --quiet --message=tree
             mv .git ../git && git --git-dir=../git config core.bare true");
        // In this process's own mount namespace, so it goes with it. Without a reflink there is nothing to compare.
        let has_btrfs = run("truncate -s 1G disk && mkfs.btrfs -q disk && mkdir btrfs
             mount -o loop disk btrfs && cp -a tree btrfs/tree
             cp --reflink=always btrfs/tree/directory-0000/file-00 btrfs/one");
        let mut peers = vec![("cp -a", "cp -a tree copy-ROUND")];
        if has_btrfs {
            peers.push(("cp --reflink=always", "cp -a --reflink=always btrfs/tree btrfs/ROUND"));
        }
        if has_git {
            peers.push((
                "git worktree add",
                "git --git-dir=git worktree add --quiet --detach worktree-ROUND main",
            ));
        }
        let mut figures = Figures::new();
        for round in 0..COPIES {
            let mut note = |name: &str, start: Instant| {
                let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                figures.entry(format!("copy by {name}")).or_default().push(float(nanos));
            };
            for (name, script) in &peers {
                rustix::fs::sync();
                let start = Instant::now();
                assert!(run(&script.replace("ROUND", &round.to_string())), "{name} copies");
                note(name, start);
            }
            rustix::fs::sync();
            let start = Instant::now();
            let workspace = fork(workshop, origin);
            note("cascow", start);
            drop(workspace);
        }
        for (copy, of) in [
            ("copy-0", "cp -a"),
            ("btrfs/0", "cp --reflink=always"),
            ("worktree-0", "git worktree add"),
        ] {
            if peers.iter().any(|(name, _)| *name == of) {
                let whole = format!("diff --recursive --brief --exclude=.git tree {copy}");
                assert!(run(&whole), "{of} copies all");
            }
        }
        if has_btrfs {
            run("umount btrfs");
        }
        self.figures.extend(figures);
    }
}

/// A fork that can be used.
fn fork<'w>(
    workshop: &'w Workshop<'_>,
    origin: &Origin,
) -> cascow_native::workspace::Workspace<'w> {
    let mut workspace = workshop.fork(origin);
    workspace.path().expect("a workspace can be mounted");
    workspace
}

fn is_whole(dir: &Path) {
    for file in [0, FILES - 1] {
        let len = fs::metadata(dir.join(path_of(file))).map(|there| there.len());
        assert_eq!(len.expect("a file is there"), LEN as u64);
    }
}

/// What workspaces may leave behind.
struct Left {
    mounts: usize,
    descriptors: usize,
    directories: usize,
    resident: u64,
}

/// What is counted, and how many there are.
type Kind = (&'static str, fn(&Left) -> f64);

impl Left {
    const KINDS: [Kind; 4] = [
        ("mounts", |left| float(left.mounts as u64)),
        ("descriptors", |left| float(left.descriptors as u64)),
        ("directories", |left| float(left.directories as u64)),
        ("resident bytes", |left| float(left.resident)),
    ];

    fn now(repository: &Repository, workshop: &Workshop<'_>, dir: &Path) -> Self {
        // What is still being removed is not left behind.
        workshop.settle();
        // Objects that a store holds in memory until then are not what a workspace leaves.
        repository.store().sync().expect("it is synced");
        let text = |path| fs::read_to_string(path).expect("the kernel says it");
        let pages = text("/proc/self/statm");
        let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Self {
            mounts: text("/proc/self/mountinfo").lines().count(),
            descriptors: fs::read_dir("/proc/self/fd").expect("the kernel says it").count(),
            directories: directories(dir),
            resident: pages.expect("a number of pages") * rustix::param::page_size() as u64,
        }
    }
}

fn directories(dir: &Path) -> usize {
    let mut count = 1;
    // What is removed meanwhile is gone.
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.expect("it can be listed");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            count += directories(&entry.path());
        }
    }
    count
}

/// One line for each name, for [`read`].
pub(super) fn write(figures: &Figures) {
    let mut out = std::io::stdout().lock();
    for (name, figures) in figures {
        let figures: Vec<String> = figures.iter().map(ToString::to_string).collect();
        writeln!(out, "{name}\t{}", figures.join(" ")).expect("a line can be written");
    }
}

/// What [`write`] has written.
pub(super) fn read(text: &str) -> Figures {
    let line = |line: &str| {
        let (name, figures) = line.split_once('\t')?;
        let figures: Option<Vec<f64>> = figures.split(' ').map(|it| it.parse().ok()).collect();
        Some((name.to_owned(), figures?))
    };
    text.lines().map(|text| line(text).expect("a line of figures")).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
