// SPDX-License-Identifier: MIT
//! Writing: what waits, and a change of the heads with it, in one transaction after another.

use cascow_core::hash::ContentHash;
use cascow_core::store::ObjectStore;
use std::rc::Rc;
use wasm_bindgen_futures::spawn_local;

use super::head::{self, Version};
use super::idb::{self, Batch, Trouble};
use super::page::PageNumber;
use super::shared::{ATTEMPTS, Place, Reason, Role, Shared, no_head, storage_failure};
use super::status::{ask, storage_manager};
use super::turns::Turns;
use crate::error::{Code, Failure};
use crate::js;

/// What a head must be for it to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Nothing,
    Target(ContentHash),
}

/// A change of the heads, written with everything that waits.
pub(super) enum HeadChange<'a> {
    Move { name: &'a str, target: ContentHash, expected: Expected },
    Remove { name: &'a str },
}

impl Shared {
    /// Moves a head; says the number of its new version.
    pub(super) async fn move_head(
        &self,
        name: &str,
        target: ContentHash,
        expected: Expected,
        strict: bool,
    ) -> Result<u64, Failure> {
        self.check_open()?;
        let _turn = self.turns.take().await;
        self.move_head_in_turn(name, target, expected, strict).await
    }

    /// [`move_head`](Self::move_head), by one who has the turn already.
    pub(super) async fn move_head_in_turn(
        &self,
        name: &str,
        target: ContentHash,
        expected: Expected,
        strict: bool,
    ) -> Result<u64, Failure> {
        self.check_open()?;
        if !self.objects.exists(&target)? {
            return Err(Failure::missing(target));
        }
        self.write_in_turn(Some(HeadChange::Move { name, target, expected }), strict).await?;
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
    pub(super) async fn check_expected(
        &self,
        name: &str,
        expected: Expected,
    ) -> Result<(), Failure> {
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

    pub(super) async fn write_in_turn(
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
            let pages = self.objects.pack(self.objects.next_page());
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
    pub(super) async fn has_room(&self) -> bool {
        let Some(estimate) = ask(&storage_manager(), "estimate").await else { return false };
        let part = |name| js::field(&estimate, name).as_f64().unwrap_or(0.0);
        let free = part("quota") - part("usage");
        // Twice what is to be written: a browser writes it to a log first.
        free > 2.0 * js::number(self.objects.waiting_bytes()) + 1e6
    }

    /// What a change of heads means in memory.
    pub(super) fn apply(&self, change: Option<&HeadChange<'_>>) {
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
        let lock = self.lock.take();
        self.let_go();
        if let Some(lock) = lock {
            lock.release().await;
        }
        written
    }
}
