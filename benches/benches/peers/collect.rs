// SPDX-License-Identifier: MIT
//! Collecting garbage from a repository of one million objects, while another process puts objects into it.
//!
//! The repository is as a search leaves it: a thousand labelled snapshots, of files of 256 B that no other has, and a hundred
//! thousand objects that nothing refers to. `cascow gc` is timed as a process, by the wall; its memory is the highest mark that
//! the kernel keeps of it, looked at every two milliseconds. Beside it stands how much was the process's own at most, and how much
//! was mapped from files: the index and the program, which the kernel can take back at any moment.
//!
//! Meanwhile this process puts objects of 256 B and syncs after each 10,000, in bursts of 20 with a pause of a millisecond, so that
//! what is slowed is a writer and not the race for a processor; its puts are timed one by one. The same is done before the
//! collection begins.
//!
//! Afterwards the garbage must be gone and all else there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use cascow_benches::measure::Spread;
use cascow_benches::report::{Report, Row, Target};
use cascow_core::blob::BlobId;
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const KIND: HashKind = HashKind::Sha256;
const LEN: usize = 256;
const LEN_U32: u32 = 256;

const SNAPSHOTS: usize = 1000;

/// Files of a snapshot. With the chunks of its listing and its record, nine hundred objects.
const FILES: usize = 880;

/// Objects that nothing refers to.
const GARBAGE: usize = 100_000;

/// Odd, so that a median is one of them.
const ROUNDS: usize = 3;

/// How long the writer is timed before the collection.
const BEFORE: Duration = Duration::from_secs(3);

pub(crate) fn run(report: &mut Report) {
    let program = crate::programs::build();
    let ground = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let made = ground.path().join("made");
    let garbage = make(&made);
    let count = count(&made);
    let (mut seconds, mut marks, mut without, mut during, mut ratios) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut mapped) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let dir = ground.path().join(format!("round-{number}"));
        let status = Command::new("cp").args(["--recursive", "--"]).arg(&made).arg(&dir).status();
        assert!(status.expect("cp runs").success());
        rustix::fs::sync();
        let round = collect(&program, &dir, number as u64);
        let repository = Repository::open(&dir).expect("a repository");
        let is_there = |name| repository.store().exists(name).expect("it can tell");
        assert!(!garbage.iter().any(is_there), "the garbage is gone");
        for (_, snapshot) in repository.labels().expect("there are labels") {
            repository.state(&snapshot).expect("a labelled snapshot is whole");
        }
        drop(repository);
        fs::remove_dir_all(&dir).expect("it can be removed");
        ratios.push(round.p99_without / round.p99_during);
        seconds.push(round.took.as_secs_f64());
        marks.push(round.memory.highest);
        own.push(round.memory.own);
        mapped.push(round.memory.mapped);
        without.push(round.p99_without);
        during.push(round.p99_during);
    }
    let (seconds, ratio) = (Spread::of(seconds), Spread::of(ratios));
    report.row(Row {
        work: format!(
            "collect {GARBAGE} objects of {count} from segments, while another process puts"
        ),
        cascow: format!("{:.2} s", seconds.median),
        spread: format!("{:.2} s–{:.2} s", seconds.low, seconds.high),
        target: Some(Target::at_most(seconds.median, 10.0, "≤ 10 s")),
        ..Row::default()
    });
    let memory = Spread::of(marks).median / 1e6;
    let (own, mapped) = (Spread::of(own).median / 1e6, Spread::of(mapped).median / 1e6);
    report.row(Row {
        work: "memory of the collecting process at its highest".into(),
        cascow: format!("{memory:.0} MB; its own ≤ {own:.0} MB, mapped ≤ {mapped:.0} MB"),
        target: Some(Target::at_most(memory, 100.0, "≤ 100 MB")),
        ..Row::default()
    });
    let (without, during) = (Spread::of(without).median / 1e3, Spread::of(during).median / 1e3);
    report.row(Row {
        work: "99th percentile of the other process's puts, during it and without it".into(),
        cascow: format!("{during:.1} µs during, {without:.1} µs without"),
        ratio: format!("{:.2}", ratio.median),
        spread: cascow_benches::report::spread(&ratio, 2),
        target: Some(Target::at_least(ratio.median, 0.2, "≤ 5 times as long")),
        ..Row::default()
    });
}

/// Makes the repository; says what is garbage.
fn make(dir: &Path) -> Vec<ContentHash> {
    let repository = Repository::init(dir, KIND, StoreKind::Segments).expect("a repository");
    let store = repository.store();
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None }.encode();
    for snapshot in 0..SNAPSHOTS {
        let noise = crate::noise(snapshot as u64, FILES * LEN);
        let contents: Vec<&[u8]> = noise.chunks(LEN).collect();
        let puts = store.put_many(&contents).expect("objects are stored");
        let mut state = State::new();
        for (number, put) in puts.iter().enumerate() {
            let content = BlobId::Chunk { hash: put.hash, len: LEN_U32 };
            let kind = EntryKind::File(content);
            let entry = Entry { kind, mode: 0o644, xattrs: Vec::new(), links: None };
            let value = Value { bytes: entry.encode().into(), note: note.clone().into() };
            state.write(format!("file-{number:04}").into_bytes(), value);
        }
        let written = repository.write_snapshot(&state, None).expect("a snapshot");
        let label = format!("snapshot-{snapshot}").parse().expect("a label");
        repository.publish(&written.snapshot, Some(&label)).expect("it is published");
    }
    let noise = crate::noise(SNAPSHOTS as u64, GARBAGE * LEN);
    let garbage: Vec<&[u8]> = noise.chunks(LEN).collect();
    let puts = store.put_many(&garbage).expect("objects are stored");
    store.sync().expect("they are synced");
    puts.iter().map(|put| put.hash).collect()
}

fn count(dir: &Path) -> usize {
    let repository = Repository::open(dir).expect("a repository");
    let mut count = 0;
    let counted = repository.store().for_each(&mut |_| {
        count += 1;
        Ok(())
    });
    counted.expect("objects can be listed");
    count
}

/// Highest marks of a process, in bytes. The two parts need not have been at theirs at once.
struct Memory {
    /// Of all that is resident, by the kernel's own mark.
    highest: f64,
    /// Of anonymous memory, of the moments looked at.
    own: f64,
    /// Of files that are mapped, of the moments looked at.
    mapped: f64,
}

struct Round {
    took: Duration,
    memory: Memory,
    /// Nanoseconds.
    p99_without: f64,
    p99_during: f64,
}

fn collect(program: &Path, dir: &Path, number: u64) -> Round {
    let repository = Repository::open(dir).expect("a repository");
    let mut writer = Writer::new(&repository, number);
    let start = Instant::now();
    let p99_without = writer.p99_while(|| start.elapsed() < BEFORE);

    let start = Instant::now();
    let mut child = Command::new(program)
        .arg("--repo")
        .arg(dir)
        .args(["--quiet", "gc", "--grace", "0"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let status = format!("/proc/{}/status", child.id());
    // Highest marks in bytes, and the nanoseconds that it took; 0 until it has ended.
    let (marks, took) = ([const { AtomicU64::new(0) }; 3], AtomicU64::new(0));
    let p99_during = thread::scope(|scope| {
        scope.spawn(|| {
            let ended = loop {
                for (mark, bytes) in marks.iter().zip(memory(&status).unwrap_or_default()) {
                    mark.fetch_max(bytes, Relaxed);
                }
                if let Some(ended) = child.try_wait().expect("it can be waited for") {
                    break ended;
                }
                thread::sleep(Duration::from_millis(2));
            };
            let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            took.store(nanos, Relaxed);
            assert!(ended.success(), "the collector ends with {ended}");
        });
        writer.p99_while(|| took.load(Relaxed) == 0)
    });
    let [highest, own, mapped] = marks.map(|mark| float(mark.into_inner()));
    Round {
        took: Duration::from_nanos(took.into_inner()),
        memory: Memory { highest, own, mapped },
        p99_without,
        p99_during,
    }
}

/// What the kernel says a process has used of memory at its highest, and what is its own and what mapped now, in bytes; `None` once
/// it has ended.
fn memory(status: &str) -> Option<[u64; 3]> {
    let text = fs::read_to_string(status).ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some([bytes("VmHWM:")?, bytes("RssAnon:")?, bytes("RssFile:")?])
}

/// Puts new objects in bursts.
struct Writer<'a> {
    repository: &'a Repository,
    random: Xoshiro256PlusPlus,
    puts: usize,
}

impl<'a> Writer<'a> {
    fn new(repository: &'a Repository, number: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(1_000_000 + number);
        Self { repository, random, puts: 0 }
    }

    /// The 99th percentile of puts, in nanoseconds; a sync counts to the put that it follows.
    fn p99_while(&mut self, mut goes_on: impl FnMut() -> bool) -> f64 {
        let store = self.repository.store();
        let mut times = Vec::new();
        while goes_on() {
            for _ in 0..20 {
                let mut object = [0; LEN];
                self.random.fill_bytes(&mut object);
                self.puts += 1;
                let start = Instant::now();
                store.put(&object).expect("an object is stored");
                if self.puts.is_multiple_of(10_000) {
                    store.sync().expect("they are synced");
                }
                times.push(start.elapsed());
            }
            thread::sleep(Duration::from_millis(1));
        }
        times.sort_unstable();
        let p99 = times[(times.len() - 1) * 99 / 100];
        float(u64::try_from(p99.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}
