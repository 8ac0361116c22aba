// SPDX-License-Identifier: MIT
//! What all calls on a database share: the working set, the heads, the connection, and who may write.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use cascow_core::hash::HashKind;
use cascow_core::store::ObjectStore;
use js_sys::Function;
use wasm_bindgen::prelude::Closure;
use web_sys::{BroadcastChannel, MessageEvent};

use super::head::Heads;
use super::idb::{Connection, Trouble};
use super::locks::Lock;
use super::objects::Objects;
use super::page::PageNumber;
use super::settings::Settings;
use super::status::Times;
use super::turns::Turns;
use crate::error::{Code, Failure};
use crate::snapshot::Forest;

/// How often a write begins anew: after the connection was lost, after another writer was met, after a refusal for want of room
/// where there is room.
pub(super) const ATTEMPTS: u32 = 3;
/// Why a database is in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Asked,
    Absent,
    Refused,
    ConnectionLost,
    Superseded,
    Unreadable,
}

impl Reason {
    pub(super) const fn name(self) -> &'static str {
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
pub(super) enum Place {
    Memory(Reason),
    Disk(Rc<Connection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Leader,
    Follower,
    /// There are no locks here.
    Alone,
}

impl Role {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Alone => "alone",
        }
    }
}

/// What a channel calls when another tab says something.
type Heard = Closure<dyn FnMut(MessageEvent)>;

/// See [the module](self).
pub(crate) struct Shared {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) objects: Objects,
    /// Snapshots in memory.
    pub(super) forest: RefCell<Forest>,
    pub(super) heads: RefCell<Heads>,
    pub(super) place: RefCell<Place>,
    pub(super) role: Cell<Role>,
    pub(super) turns: Rc<Turns>,
    /// The Web Lock of the tab that writes.
    pub(super) lock: RefCell<Option<Lock>>,
    pub(super) channel: RefCell<Option<(BroadcastChannel, Heard)>>,
    pub(super) listeners: RefCell<Vec<(u32, Function)>>,
    pub(super) next_listener: Cell<u32>,
    /// Pages to be deleted by the next write.
    pub(super) doomed: RefCell<Vec<PageNumber>>,
    pub(super) is_closed: Cell<bool>,
    pub(super) is_timed: Cell<bool>,
    pub(super) is_persisted: Cell<Option<bool>>,
    pub(super) quota_reached: Cell<bool>,
    pub(super) last_error: RefCell<Option<(Code, String)>>,
    pub(super) batches: Cell<u64>,
    pub(super) times: RefCell<Times>,
    pub(super) this: Weak<Self>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A database that was freed and not closed must not keep others from writing.
        self.let_go();
    }
}

pub(super) fn no_head(name: &str) -> Failure {
    Failure::new(
        Code::HeadMissing,
        format_args!("there is no head \"{}\", or no version of it is whole", name.escape_debug()),
    )
}
pub(super) fn storage_failure(trouble: Trouble) -> Failure {
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

impl Shared {
    pub(super) fn new(name: String, kind: HashKind, settings: Settings, place: Place) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            name,
            settings,
            objects: Objects::new(kind),
            forest: RefCell::default(),
            heads: RefCell::default(),
            place: RefCell::new(place),
            role: Cell::new(Role::Leader),
            turns: Rc::default(),
            lock: RefCell::default(),
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

    /// Goes on in memory alone.
    pub(super) fn give_up(&self, reason: Reason) {
        self.place.replace(Place::Memory(reason));
        self.let_go();
        self.emit_status();
    }

    pub(super) fn let_go(&self) {
        self.lock.take();
        if let Some((channel, _)) = self.channel.take() {
            channel.set_onmessage(None);
            channel.close();
        }
    }

    pub(super) fn is_on_disk(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Disk(_))
    }
}
