// SPDX-License-Identifier: MIT
//! Reading: objects are fetched from disk until all that is asked for is at hand; a head counts by its last whole version.

use cascow_core::hash::ContentHash;

use super::head::{self, Heads, Version};
use super::idb::{Index, Trouble};
use super::objects::Objects;
use super::page::{self, PageNumber};
use super::shared::{ATTEMPTS, Role, Shared, storage_failure};
use crate::error::{Code, Failure};

/// Pages that are read in one transaction: 16 MiB, as a rule.
const PAGES_AT_ONCE: usize = 64;
/// The version of a head that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) target: ContentHash,
    /// A later one is not whole.
    pub(super) fell_back: bool,
}

impl Shared {
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
        let pages =
            move |objects: &Objects| Ok(cascow_core::search::pages_of(objects, checkpoint)?);
        let objects = self.read(pages).await?;
        self.fetch(&self.objects.pages_of(&objects)).await
    }

    pub(super) async fn fetch(&self, pages: &[PageNumber]) -> Result<(), Failure> {
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

    pub(super) fn take_in(&self, index: Index) {
        for (number, directory) in index.directories {
            // What is to be deleted with the next write is known no more.
            if self.doomed.borrow().contains(&number) {
                continue;
            }
            let entries = page::entries(&directory);
            // A page that was deleted may have left its number to another, made by a tab that began later.
            if !self.objects.has_page(number, &entries) {
                self.objects.forget_page(number);
                self.objects.learn(number, entries);
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
    pub(super) async fn refresh(&self) -> Result<(), Failure> {
        let Some(connection) = self.connection().await else { return Ok(()) };
        let index = connection.index().await.map_err(storage_failure)?;
        // A store's keys come in their order.
        let there = |number| index.directories.binary_search_by_key(&number, |(number, _)| *number);
        self.objects.keep_pages(|number| there(number).is_ok());
        self.take_in(index);
        Ok(())
    }

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
}

/// As long as it lives, nothing that is at hand is let go.
pub(super) struct Reading<'o>(&'o Objects);

impl<'o> Reading<'o> {
    pub(super) fn begin(objects: &'o Objects) -> Self {
        objects.begin_reading();
        Self(objects)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.end_reading();
    }
}
