// SPDX-License-Identifier: MIT
//! How cost grows: of a fork with the size of its state and with its depth, and of everything with how much of it there is.
//!
//! `GROWTH=7 cargo bench -p cascow-benches -- growth` goes up to 10^7; without, 10^5 is the most.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cascow_benches::measure::{Contestant, alone, kept, repeated, singles, timed, waited};
use cascow_benches::memory::live;
use cascow_benches::plot::{self, Axis, Panel, Plot, Series, SeriesLabelPosition};
use cascow_benches::report::{Report, Row, Unit};
use cascow_core::hash::HashKind;
use cascow_core::snapshot::{Cursor, Edit, SnapshotId, SnapshotTree};
use cascow_core::store::ObjectStore;
use cascow_native::store::{Durability, SegmentStore};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::Entry;

const KIND: HashKind = HashKind::Sha256;

/// Keys of the states that are forked.
const SIZES: [u64; 6] = [16, 128, 1024, 8192, 65_536, 524_288];

/// Forks whose memory is counted; of what is copied whole, fewer.
const FORKS: u32 = 1_000;

/// Levels at which a fork and a read are timed.
const DEPTHS: [u32; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

/// Single operations of which percentiles are taken.
const SINGLES: u32 = 2_000;

const OBJECT_LEN: usize = 256;
const FILE_LEN: usize = 256;

/// Files in a directory, and directories in one above.
const FAN_OUT: u64 = 100;

const ARMS: [&str; 4] = ["cascow", "imbl OrdMap", "imbl HashMap", "copied whole (BTreeMap)"];

const FORK: Plot = plot(
    "fork-time",
    [("keys of the state", plot::short), ("time of a fork with one change", plot::time)],
);
const MEMORY: Plot = plot(
    "fork-memory",
    [("keys of the state", plot::short), ("memory of a fork with one change", plot::size)],
);
const DEPTH: Plot = plot(
    "depth",
    [("forks between the state and its first", plot::short), ("time of one operation", plot::time)],
);

const fn plot(name: &'static str, axes: [Axis; 2]) -> Plot {
    Plot { name, axes, grid: (1, 1), legend: SeriesLabelPosition::UpperLeft }
}

pub(crate) fn run(report: &mut Report) {
    report.note("![Time of a fork by the size of its state](plots/fork-time.svg)");
    report.note("![Memory of a fork by the size of its state](plots/fork-memory.svg)");
    report.note("![Time of a fork by its depth](plots/depth.svg)");
    sizes(report);
    depths(report);
    let most = std::env::var("GROWTH").ok().and_then(|most| most.parse().ok()).unwrap_or(5);
    for exponent in 3..=most {
        snapshots(report, 10_u64.pow(exponent));
    }
    for exponent in 3..=most {
        objects(report, 10_u64.pow(exponent));
    }
    for exponent in 3..=most {
        files(report, 10_u64.pow(exponent));
    }
}

fn draw(plot: &Plot, series: Vec<Series>) {
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("plots");
    let panel = Panel { title: plot.axes[1].0.into(), series };
    plot::draw(&plots, plot, &[panel]).expect("the plot can be written");
}

// --- A fork, by the size of its state ---

fn sizes(report: &mut Report) {
    let empty = || ARMS.map(|name| Series { name, points: Vec::new() }).to_vec();
    let (mut times, mut memories) = (empty(), empty());
    for keys in SIZES {
        let entries = crate::entries(keys);
        let time = [
            alone(forks_of_ours(&entries)).median,
            alone(forks::<imbl::OrdMap<u64, [u8; 32]>>(&entries)).median,
            alone(forks::<imbl::HashMap<u64, [u8; 32]>>(&entries)).median,
            alone(forks::<std::collections::BTreeMap<u64, [u8; 32]>>(&entries)).median,
        ];
        let bytes = [
            bytes_of_ours(&entries),
            bytes::<imbl::OrdMap<u64, [u8; 32]>>(&entries),
            bytes::<imbl::HashMap<u64, [u8; 32]>>(&entries),
            bytes::<std::collections::BTreeMap<u64, [u8; 32]>>(&entries),
        ];
        for arm in 0..ARMS.len() {
            times[arm].points.push((keys as f64, time[arm]));
            memories[arm].points.push((keys as f64, bytes[arm]));
        }
        let show = |arm: usize| format!("{}, {:.0} B", Unit::Time.show(time[arm]), bytes[arm]);
        report.row(Row {
            work: format!(
                "fork a state of {keys} keys (8-byte keys, 32-byte values), change one, keep it"
            ),
            cascow: show(0),
            peer: (1..ARMS.len())
                .map(|arm| format!("{} ({})", show(arm), ARMS[arm]))
                .collect::<Vec<_>>()
                .join(", "),
            ..Row::default()
        });
    }
    draw(&FORK, times);
    draw(&MEMORY, memories);
}

/// What is forked by cloning and inserting.
trait Map: Clone + FromIterator<Entry> {
    fn put(&mut self, entry: &Entry);
    /// How many are kept at once, so that memory suffices.
    fn at_once(keys: usize) -> u32;
}

impl Map for imbl::OrdMap<u64, [u8; 32]> {
    fn put(&mut self, (key, value): &Entry) {
        self.insert(*key, *value);
    }

    fn at_once(_: usize) -> u32 {
        FORKS
    }
}

impl Map for imbl::HashMap<u64, [u8; 32]> {
    fn put(&mut self, (key, value): &Entry) {
        self.insert(*key, *value);
    }

    fn at_once(_: usize) -> u32 {
        FORKS
    }
}

impl Map for std::collections::BTreeMap<u64, [u8; 32]> {
    fn put(&mut self, (key, value): &Entry) {
        self.insert(*key, *value);
    }

    fn at_once(keys: usize) -> u32 {
        u32::try_from((1 << 22) / keys).unwrap_or(FORKS).clamp(2, FORKS)
    }
}

/// Each with another key changed. Kept if they are many, dropped at once if they are copies of all.
fn forks<'a, M: Map + 'a>(entries: &'a [Entry]) -> Contestant<'a> {
    let map: M = entries.iter().copied().collect();
    let mut number = 0;
    let fork = move || {
        number = (number + 1) % entries.len();
        let mut fork = map.clone();
        fork.put(&(entries[number].0, [7; 32]));
        fork
    };
    if M::at_once(entries.len()) < FORKS { repeated(fork) } else { kept(fork) }
}

fn bytes<M: Map>(entries: &[Entry]) -> f64 {
    let map: M = entries.iter().copied().collect();
    let count = M::at_once(entries.len());
    let (_forks, bytes) = live(|| {
        let mut forks = Vec::with_capacity(count as usize);
        for (number, _) in (0..count).enumerate() {
            let mut fork = map.clone();
            fork.put(&(entries[number % entries.len()].0, [7; 32]));
            forks.push(fork);
        }
        forks
    });
    bytes as f64 / f64::from(count)
}

fn tree_of(entries: &[Entry]) -> (SnapshotTree, SnapshotId) {
    let keys: Vec<[u8; 8]> = entries.iter().map(|(key, _)| key.to_le_bytes()).collect();
    let mut tree = SnapshotTree::new();
    let edits = keys.iter().zip(entries).map(|(key, (_, value))| Edit::write(key, value));
    let base = tree.create(edits).expect("a new tree has room");
    (tree, base)
}

fn fork_one(tree: &mut SnapshotTree, parent: SnapshotId, key: u64) -> SnapshotId {
    tree.fork(parent, [Edit::write(&key.to_le_bytes(), &[7; 32])]).expect("the tree has room")
}

fn forks_of_ours(entries: &[Entry]) -> Contestant<'_> {
    let (mut tree, base) = tree_of(entries);
    let mut number = 0;
    Box::new(move |times| {
        let mut forks = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
        let time = timed(|| {
            for _ in 0..times {
                number = (number + 1) % entries.len();
                forks.push(fork_one(&mut tree, base, entries[number].0));
            }
        });
        forks.into_iter().for_each(|fork| _ = tree.prune(fork));
        time
    })
}

fn bytes_of_ours(entries: &[Entry]) -> f64 {
    let (mut tree, base) = tree_of(entries);
    let ((), bytes) = live(|| {
        for number in 0..FORKS as usize {
            fork_one(&mut tree, base, entries[number % entries.len()].0);
        }
    });
    bytes as f64 / f64::from(FORKS)
}

// --- A fork, by its depth ---

fn depths(report: &mut Report) {
    let names = [
        "fork and change one key",
        "read a key without a cursor",
        "move a cursor there from the first",
    ];
    let mut series = names.map(|name| Series { name, points: Vec::new() });
    for depth in DEPTHS {
        let entries = crate::entries(1024);
        let (mut tree, base) = tree_of(&entries);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(u64::from(depth));
        let mut any = || entries[usize::try_from(random.next_u64() % 1024).unwrap_or(0)].0;
        let deepest = (0..depth).fold(base, |at, _| fork_one(&mut tree, at, any()));
        let mut forks = Vec::with_capacity(SINGLES as usize);
        let keys: Vec<u64> = (0..SINGLES).map(|_| any()).collect();
        let fork = singles(SINGLES, |number| {
            forks.push(fork_one(&mut tree, deepest, keys[number as usize]));
        });
        let read = singles(SINGLES, |number| {
            let key = keys[number as usize].to_le_bytes();
            tree.get(deepest, &key).map(|value| black_box(value).is_some())
        });
        let mut cursor = Cursor::at(&tree, base).expect("it is there");
        let mut moves = Vec::new();
        for _ in 0..SINGLES.min(2_000_000 / depth) {
            let move_ = singles(1, |_| cursor.move_to(&tree, deepest));
            moves.push(move_.p50);
            cursor.move_to(&tree, base).expect("it is there");
        }
        moves.sort_by(f64::total_cmp);
        let moved = moves[moves.len() / 2];
        for (series, figure) in series.iter_mut().zip([fork.p50, read.p50, moved]) {
            series.points.push((f64::from(depth), figure.max(1.0)));
        }
        let show = |nanos: f64| Unit::Time.show(nanos);
        report.row(Row {
            work: format!(
                "in a state {depth} forks deep (1,024 keys, each fork changed one): {}",
                names.join("; ")
            ),
            cascow: format!("{}; {}; {} (p50)", show(fork.p50), show(read.p50), show(moved)),
            ..Row::default()
        });
    }
    draw(&DEPTH, series.to_vec());
}

// --- Everything, by how much of it there is ---

/// Time for each of so many, as text.
fn each(time: Duration, count: u64) -> String {
    Unit::Time.show(time.as_nanos() as f64 / count as f64)
}

fn snapshots(report: &mut Report, count: u64) {
    let entries = crate::entries(1024);
    let (mut tree, base) = tree_of(&entries);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(count);
    let len = usize::try_from(count).expect("ten million at most");
    let mut ids = Vec::with_capacity(len + 1);
    ids.push(base);
    let mut time = Duration::ZERO;
    let ((), bytes) = live(|| {
        time = timed(|| {
            while ids.len() <= len {
                let at = usize::try_from(random.next_u64() % ids.len() as u64).unwrap_or(0);
                let key = entries[usize::try_from(random.next_u64() % 1024).unwrap_or(0)].0;
                ids.push(fork_one(&mut tree, ids[at], key));
            }
        });
    });
    let mut any = || ids[usize::try_from(random.next_u64() % ids.len() as u64).unwrap_or(0)];
    let targets: Vec<SnapshotId> = (0..SINGLES).map(|_| any()).collect();
    let mut cursor = Cursor::at(&tree, base).expect("it is there");
    let moves = singles(SINGLES, |number| cursor.move_to(&tree, targets[number as usize]));
    report.row(Row {
        work: format!(
            "{count} snapshots, each forked from any before it with one of 1,024 keys changed"
        ),
        cascow: format!(
            "{} a fork, {:.1} B each, a cursor to any other: p50 {}, p95 {}",
            each(time, count),
            bytes as f64 / count as f64,
            Unit::Time.show(moves.p50),
            Unit::Time.show(moves.p95)
        ),
        ..Row::default()
    });
}

/// Bytes of all files below a directory.
fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("it can be read").map(|entry| entry.expect("an entry"));
    let of = |entry: fs::DirEntry| {
        let facts = entry.metadata().expect("it is there");
        if facts.is_dir() { bytes_below(&entry.path()) } else { facts.len() }
    };
    entries.map(of).sum()
}

fn objects(report: &mut Report, count: u64) {
    const BATCH: usize = 1_000;
    let dir = tempfile::tempdir().expect("a directory");
    let open =
        || SegmentStore::open(KIND, dir.path(), Durability::Batch).expect("a store").with_cache(0);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(count);
    let mut put = Duration::ZERO;
    // Of these, the names are kept, to be read.
    let mut some = Vec::new();
    {
        let store = open();
        for _ in 0..count / BATCH as u64 {
            let mut bytes = vec![0; OBJECT_LEN * BATCH];
            random.fill_bytes(&mut bytes);
            let objects: Vec<&[u8]> = bytes.chunks(OBJECT_LEN).collect();
            put += waited(|| {
                store.put_many(&objects).expect("objects are stored");
                store.sync().expect("they are synced");
            });
            let step = usize::try_from((count / u64::from(SINGLES)).max(1)).unwrap_or(usize::MAX);
            some.extend(
                objects.iter().step_by(step.min(objects.len())).map(|object| KIND.hash(object)),
            );
        }
    }
    let mut opened = None;
    let open = waited(|| opened = Some(open()));
    let store = opened.expect("it was opened");
    let names: Vec<_> = (0..SINGLES)
        .map(|_| some[usize::try_from(random.next_u64() % some.len() as u64).unwrap_or(0)])
        .collect();
    let get = singles(SINGLES, |number| store.get(&names[number as usize]).expect("it is there"));
    report.row(Row {
        work: format!("{count} objects of {OBJECT_LEN} B that do not compress, in segments, synced every {BATCH}"),
        cascow: format!(
            "{} a put, {:.0} B each on disk; opened in {}; any of them read and verified, warm: p50 {}, p95 {}",
            each(put, count),
            bytes_below(dir.path()) as f64 / count as f64,
            Unit::Time.show(open.as_nanos() as f64),
            Unit::Time.show(get.p50),
            Unit::Time.show(get.p95)
        ),
        ..Row::default()
    });
}

/// By the program, since what it saves depends on what it kept of the last save, in processes of their own, as users have it.
fn files(report: &mut Report, count: u64) {
    let place = tempfile::tempdir().expect("a directory");
    let [tree, repo, out] = ["tree", "repo", "out"].map(|name| place.path().join(name));
    let file = |number: u64| {
        let (upper, lower) = (number / FAN_OUT / FAN_OUT, number / FAN_OUT % FAN_OUT);
        tree.join(format!("{upper}/{lower}/{number}"))
    };
    let mut random = Xoshiro256PlusPlus::seed_from_u64(count);
    let mut bytes = [0; FILE_LEN];
    for number in 0..count {
        let path = file(number);
        if number.is_multiple_of(FAN_OUT) {
            fs::create_dir_all(path.parent().expect("it is below the tree")).expect("a directory");
        }
        random.fill_bytes(&mut bytes);
        fs::write(path, bytes).expect("a file");
    }
    let program = crate::programs::build();
    let cascow = |args: &[&Path]| {
        waited(|| {
            let mut command = Command::new(&program);
            command.args(["--quiet", "--repo"]).arg(&repo).args(args).stdout(Stdio::null());
            let status = command.status();
            assert!(status.expect("the program runs").success(), "{args:?}");
        })
    };
    let [save, label, checkout, init] = ["save", "--label", "checkout", "init"].map(Path::new);
    let name = Path::new("files");
    cascow(&[init]);
    let first = cascow(&[save, &tree, label, name]);
    fs::write(file(count / 2), "changed").expect("a file");
    let second = cascow(&[save, &tree, label, name]);
    let written = cascow(&[checkout, name, &out]);
    report.row(Row {
        work: format!("{count} files of {FILE_LEN} B that do not compress, {FAN_OUT} in a directory"),
        cascow: format!(
            "saved in {} ({} a file), again after one changed in {}, written out in {}; {:.0} B a file in the repository",
            Unit::Time.show(first.as_nanos() as f64),
            each(first, count),
            Unit::Time.show(second.as_nanos() as f64),
            Unit::Time.show(written.as_nanos() as f64),
            bytes_below(&repo) as f64 / count as f64
        ),
        ..Row::default()
    });
}
