// SPDX-License-Identifier: MIT
//! Opening: the connection, the lock, the index, and what becomes of a database that is none of ours or cannot be read.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use cascow_core::hash::HashKind;

use super::idb::{Connection, Fate, OpenTrouble};
use super::locks::{self, Asked};
use super::settings::Settings;
use super::shared::{ATTEMPTS, Place, Reason, Role, Shared, storage_failure};
use super::status::{ask, storage_manager};
use crate::error::{Code, Failure};

/// The record that says what the database is: magic, version, hash function, flags that a reader must understand.
const FORMAT_MAGIC: [u8; 4] = *b"CCDB";
const FORMAT_VERSION: u8 = 1;
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

fn format_record(kind: HashKind) -> Vec<u8> {
    [FORMAT_MAGIC.as_slice(), &[FORMAT_VERSION, kind.id(), 0, 0]].concat()
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
            return Ok(Self::new(name, wanted, settings, Place::Memory(Reason::Unreadable)));
        };
        let shared = Self::new(name, kind, settings, Place::Disk(Rc::new(connection)));
        link.replace(Rc::downgrade(&shared));
        shared.take_in(index);
        shared.listen_to_others();
        match asked {
            Asked::Held(lock) => {
                shared.role.set(Role::Leader);
                shared.lock.replace(Some(lock));
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

    pub(super) async fn connect(
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

    /// The connection, opened anew if the browser has closed it; `None` where things are in memory alone.
    pub(super) async fn connection(&self) -> Option<Rc<Connection>> {
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
}
