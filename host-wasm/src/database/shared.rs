// SPDX-License-Identifier: MIT
//! What all calls on a database share: the working set, the heads, the connection, and who may write.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::ObjectStore;
use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{BroadcastChannel, MessageEvent};

use super::head::{self, Heads, Version};
use super::idb::{self, Batch, Connection, Fate, Index, OpenTrouble, Trouble};
use super::locks::{self, Asked};
use super::objects::Objects;
use super::page::{self, PageNumber};
use super::turns::Turns;
use crate::error::{Code, Failure};
use crate::js::{self, object};
use crate::snapshot::Forest;

/// The record that says what the database is: magic, version, hash function, flags that a reader must understand.
const FORMAT_MAGIC: [u8; 4] = *b"CCDB";
const FORMAT_VERSION: u8 = 1;

/// How often a write begins anew: after the connection was lost, after another writer was met, after a refusal for want of room
/// where there is room.
const ATTEMPTS: u32 = 3;

/// Transactions whose times are kept for the status.
const MOST_TIMES: usize = 512;

/// Pages that are read in one transaction: 16 MiB, as a rule.
const PAGES_AT_ONCE: usize = 64;

/// What a database is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    memory: bool,
    persist: bool,
    batch_bytes: u64,
    batch_millis: i32,
    max_waiting_bytes: u64,
}

impl Settings {
    pub(super) fn read(options: &JsValue) -> Result<Self, Failure> {
        let flag = |name, default| match js::optional(options, name) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| {
                Failure::argument(format_args!("`{name}` must be true or false"))
            }),
        };
        let millis = js::small_option(options, "batchMillis")?.unwrap_or(1000);
        Ok(Self {
            memory: flag("memory", false)?,
            persist: flag("persist", true)?,
            batch_bytes: js::whole_option(options, "batchBytes")?.unwrap_or(1 << 20),
            batch_millis: i32::try_from(millis).unwrap_or(i32::MAX),
            max_waiting_bytes: js::whole_option(options, "maxWaitingBytes")?.unwrap_or(32 << 20),
        })
    }
}

/// Why a database is in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Asked,
    Absent,
    Refused,
    ConnectionLost,
    Superseded,
    Unreadable,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Absent => "no-indexeddb",
            Self::Refused => "refused",
            Self::ConnectionLost => "connection-lost",
            Self::Superseded => "superseded",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Where things are kept.
enum Place {
    Memory(Reason),
    Disk(Rc<Connection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leader,
    Follower,
    /// There are no locks here.
    Alone,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Alone => "alone",
        }
    }
}

/// What a head must be for it to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Nothing,
    Target(ContentHash),
}

/// The version of a head that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) target: ContentHash,
    /// A later one is not whole.
    pub(super) fell_back: bool,
}

/// A change of the heads, written with everything that waits.
pub(super) enum HeadChange<'a> {
    Move { name: &'a str, target: ContentHash, expected: Expected },
    Remove { name: &'a str },
}

#[derive(Default)]
struct Times {
    all: Vec<f64>,
    next: usize,
}

impl Times {
    fn push(&mut self, millis: f64) {
        match self.all.get_mut(self.next) {
            Some(place) => *place = millis,
            None => self.all.push(millis),
        }
        self.next = (self.next + 1) % MOST_TIMES;
    }

    fn last(&self) -> f64 {
        let last = (self.next + MOST_TIMES - 1) % MOST_TIMES;
        self.all.get(last).copied().unwrap_or(0.0)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.all.clone();
        sorted.sort_by(f64::total_cmp);
        let at = sorted.len().saturating_sub(1) * percent / 100;
        sorted.get(at).copied().unwrap_or(0.0)
    }
}

/// See [the module](self).
pub(crate) struct Shared {
    name: String,
    settings: Settings,
    objects: Objects,
    /// Snapshots in memory.
    forest: RefCell<Forest>,
    heads: RefCell<Heads>,
    place: RefCell<Place>,
    role: Cell<Role>,
    turns: Rc<Turns>,
    /// Lets go of the Web Lock.
    release: RefCell<Option<Function>>,
    channel: RefCell<Option<(BroadcastChannel, Closure<dyn FnMut(MessageEvent)>)>>,
    listeners: RefCell<Vec<(u32, Function)>>,
    next_listener: Cell<u32>,
    /// Pages to be deleted by the next write.
    doomed: RefCell<Vec<PageNumber>>,
    is_closed: Cell<bool>,
    is_timed: Cell<bool>,
    is_persisted: Cell<Option<bool>>,
    quota_reached: Cell<bool>,
    last_error: RefCell<Option<(Code, String)>>,
    batches: Cell<u64>,
    times: RefCell<Times>,
    this: Weak<Self>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A database that was freed and not closed must not keep others from writing.
        self.let_go();
    }
}

/// The name of a database as the browser knows it.
pub(super) fn stored_name(name: &str) -> String {
    format!("cascow:{name}")
}

pub(super) fn open_failure(trouble: &OpenTrouble) -> Failure {
    match trouble {
        OpenTrouble::Newer => Failure::new(
            Code::NewerVersion,
            "the database was made by a newer build: reload the page to get it",
        ),
        OpenTrouble::Blocked => Failure::new(
            Code::Blocked,
            "other tabs keep the database open: close them and try again",
        ),
        OpenTrouble::Absent => Failure::new(Code::Storage, "there is no IndexedDB here"),
        OpenTrouble::Refused(why) => Failure::new(Code::Storage, why),
    }
}

pub(super) fn no_head(name: &str) -> Failure {
    Failure::new(
        Code::HeadMissing,
        format_args!("there is no head \"{}\", or no version of it is whole", name.escape_debug()),
    )
}

fn storage_failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Quota => Failure::new(
            Code::Quota,
            "the browser has no room for it: what waits stays in memory; free some and try again",
        ),
        Trouble::Conflict => Failure::new(Code::Storage, "another tab wrote at the same time"),
        Trouble::Gone => Failure::new(Code::Storage, "the browser closed the connection"),
        Trouble::Other(why) => Failure::new(Code::Storage, why),
    }
}

fn format_record(kind: HashKind) -> Vec<u8> {
    [FORMAT_MAGIC.as_slice(), &[FORMAT_VERSION, kind.id(), 0, 0]].concat()
}

/// Waits for a promise of a method that a browser may not have.
async fn ask(of: &JsValue, name: &str) -> Option<JsValue> {
    let promise = js::method(of, name)?.call0(of).ok()?;
    JsFuture::from(promise.dyn_into::<Promise>().ok()?).await.ok()
}

fn storage_manager() -> JsValue {
    js::field(&js::field(&js_sys::global(), "navigator"), "storage")
}

impl Shared {
    pub(super) async fn open(
        name: String,
        kind: Option<HashKind>,
        settings: Settings,
    ) -> Result<Rc<Self>, Failure> {
        let wanted = kind.unwrap_or(HashKind::Sha256);
        if settings.memory {
            return Ok(Self::new(name, wanted, settings, Place::Memory(Reason::Asked)));
        }
        // Known to the connection before the database is: it may end at any time.
        let link: Rc<RefCell<Weak<Self>>> = Rc::default();
        let connection = match Self::connect(&name, wanted, &link).await {
            Ok(connection) => connection,
            Err(trouble @ (OpenTrouble::Newer | OpenTrouble::Blocked)) => {
                return Err(open_failure(&trouble));
            }
            Err(trouble) => {
                let reason = match trouble {
                    OpenTrouble::Absent => Reason::Absent,
                    _ => Reason::Refused,
                };
                let shared = Self::new(name, wanted, settings, Place::Memory(reason));
                shared.remember(&open_failure(&trouble));
                return Ok(shared);
            }
        };
        // The lock first: what is read after it was granted is what the last writer has left.
        let asked = locks::ask(&stored_name(&name), false).await;
        let index = match connection.index().await {
            Ok(index) => index,
            Err(trouble) => {
                let shared = Self::new(name, wanted, settings, Place::Memory(Reason::Unreadable));
                shared.remember(&storage_failure(trouble));
                if let Asked::Held(release) = &asked {
                    locks::release(release);
                }
                return Ok(shared);
            }
        };
        let kind = match index.format.as_deref() {
            Some([m0, m1, m2, m3, version, kind, flags @ ..])
                if [*m0, *m1, *m2, *m3] == FORMAT_MAGIC =>
            {
                match HashKind::from_id(*kind) {
                    Ok(kind) if *version == FORMAT_VERSION && flags == [0, 0] => Some(kind),
                    _ => return Err(open_failure(&OpenTrouble::Newer)),
                }
            }
            _ => None,
        };
        let Some(kind) = kind else {
            if let Asked::Held(release) = &asked {
                locks::release(release);
            }
            return Ok(Self::new(name, wanted, settings, Place::Memory(Reason::Unreadable)));
        };
        let shared = Self::new(name, kind, settings, Place::Disk(Rc::new(connection)));
        link.replace(Rc::downgrade(&shared));
        shared.take_in(index);
        shared.listen_to_others();
        match asked {
            Asked::Held(release) => {
                shared.role.set(Role::Leader);
                shared.release.replace(Some(release));
            }
            Asked::Absent => shared.role.set(Role::Alone),
            Asked::Taken => {
                shared.role.set(Role::Follower);
                shared.wait_for_the_lock();
            }
        }
        if settings.persist && shared.role.get() != Role::Follower {
            let persisted = ask(&storage_manager(), "persist").await;
            shared.is_persisted.set(persisted.and_then(|persisted| persisted.as_bool()));
        }
        Ok(shared)
    }

    fn new(name: String, kind: HashKind, settings: Settings, place: Place) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            name,
            settings,
            objects: Objects::new(kind),
            forest: RefCell::default(),
            heads: RefCell::default(),
            place: RefCell::new(place),
            role: Cell::new(Role::Leader),
            turns: Rc::default(),
            release: RefCell::default(),
            channel: RefCell::default(),
            listeners: RefCell::default(),
            next_listener: Cell::new(0),
            doomed: RefCell::default(),
            is_closed: Cell::new(false),
            is_timed: Cell::new(false),
            is_persisted: Cell::new(None),
            quota_reached: Cell::new(false),
            last_error: RefCell::default(),
            batches: Cell::new(0),
            times: RefCell::default(),
            this: this.clone(),
        })
    }

    /// A database without a name, for what needs a working set alone.
    pub(crate) fn in_memory(kind: HashKind) -> Rc<Self> {
        let settings = Settings {
            memory: true,
            persist: false,
            batch_bytes: u64::MAX,
            batch_millis: i32::MAX,
            max_waiting_bytes: u64::MAX,
        };
        Self::new(String::new(), kind, settings, Place::Memory(Reason::Asked))
    }

    async fn connect(
        name: &str,
        kind: HashKind,
        link: &Rc<RefCell<Weak<Self>>>,
    ) -> Result<Connection, OpenTrouble> {
        let link = Rc::clone(link);
        let ended = move || {
            let shared = link.borrow().upgrade();
            if let Some(shared) = shared {
                shared.emit_status();
            }
        };
        Connection::open(&stored_name(name), &format_record(kind), ended).await
    }

    pub(crate) const fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) const fn forest(&self) -> &RefCell<Forest> {
        &self.forest
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> HashKind {
        self.objects.hash_kind()
    }

    pub(crate) fn check_open(&self) -> Result<(), Failure> {
        if self.is_closed.get() { Err(super::closed()) } else { Ok(()) }
    }

    /// The connection, opened anew if the browser has closed it; `None` where things are in memory alone.
    async fn connection(&self) -> Option<Rc<Connection>> {
        let connection = match &*self.place.borrow() {
            Place::Memory(_) => return None,
            Place::Disk(connection) => Rc::clone(connection),
        };
        match connection.fate() {
            Fate::Open => return Some(connection),
            Fate::Superseded => {
                self.give_up(Reason::Superseded);
                return None;
            }
            Fate::Lost => {}
        }
        let link = Rc::new(RefCell::new(self.this.clone()));
        for _ in 0..ATTEMPTS {
            if let Ok(connection) = Self::connect(&self.name, self.kind(), &link).await {
                let connection = Rc::new(connection);
                self.place.replace(Place::Disk(Rc::clone(&connection)));
                return Some(connection);
            }
        }
        self.give_up(Reason::ConnectionLost);
        None
    }

    /// Goes on in memory alone.
    fn give_up(&self, reason: Reason) {
        self.place.replace(Place::Memory(reason));
        self.let_go();
        self.emit_status();
    }

    fn let_go(&self) {
        if let Some(release) = self.release.take() {
            locks::release(&release);
        }
        if let Some((channel, _)) = self.channel.take() {
            channel.set_onmessage(None);
            channel.close();
        }
    }

    fn is_on_disk(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Disk(_))
    }

    // --- Reading ---

    /// Reads from the working set, fetching what is on disk until all that was read is at hand.
    pub(crate) async fn read<T>(
        &self,
        read: impl Fn(&Objects) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _reading = Reading::begin(&self.objects);
        loop {
            self.objects.take_wanted();
            let result = read(&self.objects);
            let pages = self.objects.pages_of(&self.objects.take_wanted());
            // Each round brings what was wanted or finds that it is lost, so there is an end.
            if result.is_ok() || pages.is_empty() {
                return result;
            }
            self.fetch(&pages).await?;
        }
    }

    /// Brings the objects of a saved search, all at once rather than one after the other. What is missing shows when they are read.
    pub(crate) async fn fetch_checkpoint(&self, checkpoint: ContentHash) -> Result<(), Failure> {
        let pages = move |objects: &Objects| {
            Ok(cascow_core::search::pages_of(objects, checkpoint)?)
        };
        let objects = self.read(pages).await?;
        self.fetch(&self.objects.pages_of(&objects)).await
    }

    async fn fetch(&self, pages: &[PageNumber]) -> Result<(), Failure> {
        for some in pages.chunks(PAGES_AT_ONCE) {
            let mut attempt = 0;
            let found = loop {
                attempt += 1;
                let Some(connection) = self.connection().await else {
                    return Err(Failure::new(
                        Code::Storage,
                        "the database is no longer open, and this part of it is not in memory",
                    ));
                };
                match connection.pages(some).await {
                    Ok(found) => break found,
                    Err(Trouble::Gone) if attempt < ATTEMPTS => {}
                    Err(trouble) => return Err(self.remember(&storage_failure(trouble))),
                }
            };
            if self.role.get() == Role::Follower && found.iter().any(Option::is_none) {
                // The writer has moved what it needs to other pages.
                self.refresh().await?;
            }
            for (number, page) in some.iter().zip(found) {
                let page = page.map(|page| page.to_vec());
                self.objects.accept(*number, page.as_deref());
            }
        }
        Ok(())
    }

    fn take_in(&self, index: Index) {
        for (number, directory) in index.directories {
            if !self.objects.has_page(number) {
                self.objects.learn(number, page::entries(&directory));
            }
        }
        let mut heads = Heads::default();
        for record in index.heads {
            let target = head::decode(self.kind(), &record.name, record.number, &record.bytes);
            heads.insert(&record.name, Version { number: record.number, target });
        }
        self.heads.replace(heads);
    }

    /// Learns what another tab has written.
    async fn refresh(&self) -> Result<(), Failure> {
        let Some(connection) = self.connection().await else { return Ok(()) };
        let index = connection.index().await.map_err(storage_failure)?;
        let there: std::collections::BTreeSet<PageNumber> =
            index.directories.iter().map(|(number, _)| *number).collect();
        self.objects.keep_pages(|number| there.contains(&number));
        self.take_in(index);
        Ok(())
    }

    // --- Heads ---

    pub(super) fn head_names(&self) -> Vec<String> {
        self.heads.borrow().names().map(str::to_owned).collect()
    }

    pub(super) fn head_targets(&self) -> Vec<ContentHash> {
        self.heads.borrow().targets()
    }

    /// The last version of a head that is whole: its record, and all that it is known to lead to.
    pub(super) async fn whole_head(&self, name: &str) -> Result<Option<Found>, Failure> {
        let versions = self.heads.borrow().versions(name).to_vec();
        let last = versions.last().map(|version| version.number);
        for version in versions.iter().rev() {
            let Some(target) = version.target else { continue };
            match self.reach(target).await {
                Ok(_) => {
                    let fell_back = Some(version.number) != last;
                    return Ok(Some(Found { number: version.number, target, fell_back }));
                }
                Err(failure)
                    if matches!(
                        failure.code(),
                        Some(Code::Missing | Code::Damaged | Code::Unsupported)
                    ) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// Moves a head; says the number of its new version.
    pub(super) async fn move_head(
        &self,
        name: &str,
        target: ContentHash,
        expected: Expected,
        strict: bool,
    ) -> Result<u64, Failure> {
        if !self.objects.exists(&target)? {
            return Err(Failure::missing(target));
        }
        self.write(Some(HeadChange::Move { name, target, expected }), strict).await?;
        let last = self.heads.borrow().last(name);
        let version = last.ok_or_else(|| no_head(name))?;
        self.announce(name, version);
        Ok(version)
    }

    pub(super) async fn remove_head(&self, name: &str) -> Result<(), Failure> {
        self.write(Some(HeadChange::Remove { name }), true).await?;
        self.announce(name, 0);
        Ok(())
    }

    /// Says what the head must be, and the number of its next version.
    async fn check_expected(&self, name: &str, expected: Expected) -> Result<(), Failure> {
        let found = match expected {
            Expected::Anything => return Ok(()),
            Expected::Nothing | Expected::Target(_) => self.whole_head(name).await?,
        };
        let found = found.map(|found| found.target);
        let is_expected = match expected {
            Expected::Anything => true,
            Expected::Nothing => found.is_none(),
            Expected::Target(target) => found == Some(target),
        };
        if is_expected {
            return Ok(());
        }
        let at = found.map_or_else(|| "nowhere".to_owned(), |target| format!("to {target}"));
        let name = name.escape_debug();
        Err(Failure::new(Code::HeadMoved, format_args!("head \"{name}\" leads {at} by now")))
    }

    // --- Writing ---

    /// Sees to it that what waits is written before long.
    pub(crate) fn write_behind(&self) {
        if !self.is_on_disk() || self.role.get() == Role::Follower || self.is_closed.get() {
            return;
        }
        let Some(this) = self.this.upgrade() else { return };
        if self.objects.waiting_bytes() >= self.settings.batch_bytes {
            if !self.turns.is_taken() {
                // A failure is remembered, and told by the status.
                spawn_local(async move { drop(this.write(None, false).await) });
            }
        } else if !self.is_timed.replace(true) {
            let this = self.this.clone();
            idb::later(self.settings.batch_millis, move || {
                let Some(this) = this.upgrade() else { return };
                this.is_timed.set(false);
                if this.objects.waiting_bytes() > 0 && !this.is_closed.get() {
                    spawn_local(async move { drop(this.write(None, false).await) });
                }
            });
        }
    }

    pub(super) async fn ready(&self) {
        while self.objects.waiting_bytes() > self.settings.max_waiting_bytes
            && self.is_on_disk()
            && self.role.get() != Role::Follower
        {
            // Who cannot write goes on in memory rather than stopping: the status says so.
            if self.write(None, false).await.is_err() {
                return;
            }
        }
    }

    /// Flushes.
    pub(super) async fn write(
        &self,
        change: Option<HeadChange<'_>>,
        strict: bool,
    ) -> Result<(), Failure> {
        self.check_open()?;
        let _turn = self.turns.take().await;
        self.write_in_turn(change, strict).await
    }

    async fn write_in_turn(
        &self,
        change: Option<HeadChange<'_>>,
        strict: bool,
    ) -> Result<(), Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            if let Some(HeadChange::Move { name, expected, .. }) = &change {
                self.check_expected(name, *expected).await?;
            }
            let Some(connection) = self.connection().await else {
                self.apply(change.as_ref());
                return Ok(());
            };
            if self.role.get() == Role::Follower {
                return Err(Failure::new(
                    Code::Follower,
                    "another tab writes this database: what is put here stays in memory until that is closed",
                ));
            }
            let pages = self.objects.pack(self.objects.last_page().next());
            let doomed = self.doomed.borrow().clone();
            if pages.is_empty() && doomed.is_empty() && change.is_none() && !strict {
                return Ok(());
            }
            let mut batch = Batch { pages: &pages, deleted_pages: &doomed, ..Batch::default() };
            match &change {
                Some(HeadChange::Move { name, target, .. }) => {
                    let mut heads = self.heads.borrow().clone();
                    let number = heads.last(name).map_or(1, |last| last + 1);
                    heads.insert(name, Version { number, target: Some(*target) });
                    batch.head =
                        Some((name, number, head::encode(self.kind(), name, number, target)));
                    batch.deleted_versions = heads.trim(name);
                }
                Some(HeadChange::Remove { name }) => batch.removed_head = Some(name),
                None => {}
            }
            let begun = js::now();
            match connection.write(&batch, strict).await {
                Ok(()) => {
                    self.times.borrow_mut().push(js::now() - begun);
                    self.batches.set(self.batches.get() + 1);
                    self.doomed.borrow_mut().retain(|page| !doomed.contains(page));
                    self.objects.written(pages);
                    self.apply(change.as_ref());
                    if self.quota_reached.replace(false) {
                        self.emit_status();
                    }
                    return Ok(());
                }
                Err(trouble) => {
                    self.objects.refused(&pages);
                    match trouble {
                        Trouble::Gone | Trouble::Conflict if attempt < ATTEMPTS => {}
                        Trouble::Quota if attempt < ATTEMPTS && self.has_room().await => {}
                        trouble => {
                            if trouble == Trouble::Quota {
                                self.quota_reached.set(true);
                            }
                            return Err(self.remember(&storage_failure(trouble)));
                        }
                    }
                    // Another writer, where there are no locks: what it has written is known from now on.
                    self.refresh().await?;
                }
            }
        }
    }

    /// Whether a refusal for want of room is to be doubted: browsers refuse so, too, when they are merely busy.
    async fn has_room(&self) -> bool {
        let Some(estimate) = ask(&storage_manager(), "estimate").await else { return false };
        let part = |name| js::field(&estimate, name).as_f64().unwrap_or(0.0);
        let free = part("quota") - part("usage");
        // Twice what is to be written: a browser writes it to a log first.
        free > 2.0 * js::number(self.objects.waiting_bytes()) + 1e6
    }

    /// What a change of heads means in memory.
    fn apply(&self, change: Option<&HeadChange<'_>>) {
        let mut heads = self.heads.borrow_mut();
        match change {
            Some(HeadChange::Move { name, target, .. }) => {
                let number = heads.last(name).map_or(1, |last| last + 1);
                heads.insert(name, Version { number, target: Some(*target) });
                heads.trim(name);
            }
            Some(HeadChange::Remove { name }) => heads.remove(name),
            None => {}
        }
    }

    /// Pages that go with the next write.
    pub(super) fn doom(&self, pages: Vec<PageNumber>) {
        self.doomed.borrow_mut().extend(pages);
    }

    pub(super) fn may_write(&self) -> bool {
        !self.is_closed.get() && self.role.get() != Role::Follower
    }

    pub(super) fn turns(&self) -> Rc<Turns> {
        Rc::clone(&self.turns)
    }

    /// Writes what waits, by one who has the turn already.
    pub(super) async fn write_waiting(&self) -> Result<(), Failure> {
        self.write_in_turn(None, false).await
    }

    pub(super) async fn close(&self) -> Result<(), Failure> {
        if self.is_closed.get() {
            return Ok(());
        }
        let _turn = self.turns.take().await;
        let written = match self.may_write() {
            true => self.write_in_turn(None, true).await,
            false => Ok(()),
        };
        self.is_closed.set(true);
        self.place.replace(Place::Memory(Reason::Asked));
        self.let_go();
        written
    }

    // --- Other tabs ---

    fn listen_to_others(&self) {
        let Ok(channel) = BroadcastChannel::new(&stored_name(&self.name)) else { return };
        let this = self.this.clone();
        let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let Some(this) = this.upgrade() else { return };
            let data = event.data();
            let name = js::field(&data, "name").as_string();
            let version = js::field(&data, "version").as_f64();
            if let (Some(name), Some(version)) = (name, version) {
                spawn_local(async move {
                    // What could not be learnt now is learnt at the next message, or when it is needed.
                    if this.refresh().await.is_ok() {
                        this.emit(&object! { "type": "head", "name": name, "version": version });
                    }
                });
            }
        });
        channel.set_onmessage(Some(heard.as_ref().unchecked_ref()));
        self.channel.replace(Some((channel, heard)));
    }

    /// Tells this tab and the others that a head has moved.
    fn announce(&self, name: &str, version: u64) {
        let message = object! { "name": name, "version": js::number(version) };
        if let Some((channel, _)) = &*self.channel.borrow() {
            let _ = channel.post_message(&message);
        }
        self.emit(&object! { "type": "head", "name": name, "version": js::number(version) });
    }

    /// Takes over when the tab that writes ends.
    fn wait_for_the_lock(&self) {
        let (this, name) = (self.this.clone(), stored_name(&self.name));
        spawn_local(async move {
            let Asked::Held(release) = locks::ask(&name, true).await else { return };
            let shared = this.upgrade().filter(|shared| shared.is_on_disk() && !shared.is_closed.get());
            let Some(shared) = shared else {
                locks::release(&release);
                return;
            };
            shared.release.replace(Some(release));
            // What the one before wrote last must be known before anything is written after it.
            if let Err(failure) = shared.refresh().await {
                shared.remember(&failure);
            }
            shared.role.set(Role::Leader);
            shared.emit_status();
            shared.write_behind();
        });
    }

    // --- Telling ---

    pub(super) fn listen(&self, listener: Function) -> u32 {
        let number = self.next_listener.get();
        self.next_listener.set(number.wrapping_add(1));
        self.listeners.borrow_mut().push((number, listener));
        number
    }

    pub(super) fn unlisten(&self, number: u32) {
        self.listeners.borrow_mut().retain(|(other, _)| *other != number);
    }

    fn emit_status(&self) {
        self.emit(&object! { "type": "status" });
    }

    /// Tells the listeners, on a later turn, when nothing is borrowed.
    fn emit(&self, event: &Object) {
        let listeners: Vec<Function> =
            self.listeners.borrow().iter().map(|(_, listener)| listener.clone()).collect();
        if listeners.is_empty() {
            return;
        }
        let event = event.clone();
        spawn_local(async move {
            for listener in listeners {
                if let Err(error) = listener.call1(&JsValue::UNDEFINED, &event) {
                    // As the browser does with listeners of its own events.
                    if let Some(report) = js::method(&js_sys::global(), "reportError") {
                        let _ = report.call1(&JsValue::UNDEFINED, &error);
                    }
                }
            }
        });
    }

    /// Keeps a failure for the status, and gives it back.
    fn remember(&self, failure: &Failure) -> Failure {
        if let Failure::Typed { code, message, .. } = failure {
            self.last_error.replace(Some((*code, message.clone())));
            self.emit_status();
        }
        failure.clone()
    }

    pub(super) async fn status(&self) -> Object {
        let manager = storage_manager();
        let estimate = ask(&manager, "estimate").await.unwrap_or_default();
        let persisted = match ask(&manager, "persisted").await {
            Some(persisted) => persisted.as_bool(),
            None => self.is_persisted.get(),
        };
        let reason = match &*self.place.borrow() {
            Place::Memory(reason) => Some(*reason),
            Place::Disk(connection) => match connection.fate() {
                Fate::Superseded => Some(Reason::Superseded),
                // It is opened again when it is needed.
                Fate::Open | Fate::Lost => None,
            },
        };
        let tally = self.objects.tally();
        let times = self.times.borrow();
        let status = object! {
            "persistence": if reason.is_some() { "memory" } else { "indexeddb" },
            "role": self.role.get().name(),
            "hash": self.kind().name(),
            "quotaReached": self.quota_reached.get(),
            "objects": js::number(tally.objects),
            "storedBytes": js::number(tally.stored_bytes),
            "waitingBytes": js::number(tally.waiting_bytes),
            "waitingObjects": js::number(tally.waiting_objects),
            "residentBytes": js::number(tally.resident_bytes),
            "pages": js::number(tally.pages),
            "putBytes": js::number(tally.put_bytes),
            "savedBytes": js::number(tally.saved_bytes),
            "batches": js::number(self.batches.get()),
            "batchMillis": object! {
                "last": times.last(),
                "p50": times.percentile(50),
                "p95": times.percentile(95),
            },
        };
        js::set_some(&status, "reason", reason.map(Reason::name));
        js::set_some(&status, "persisted", persisted);
        js::set_some(&status, "usageBytes", js::field(&estimate, "usage").as_f64());
        js::set_some(&status, "quotaBytes", js::field(&estimate, "quota").as_f64());
        if let Some((code, message)) = &*self.last_error.borrow() {
            let error = object! { "code": code.name(), "message": message.as_str() };
            js::set(&status, "lastError", error);
        }
        status
    }
}

/// As long as it lives, nothing that is at hand is let go.
struct Reading<'o>(&'o Objects);

impl<'o> Reading<'o> {
    fn begin(objects: &'o Objects) -> Self {
        objects.begin_reading();
        Self(objects)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.end_reading();
    }
}
