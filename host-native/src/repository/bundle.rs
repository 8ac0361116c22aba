// SPDX-License-Identifier: MIT
//! Snapshots out of a repository and into another, as [bundles](cascow_core::bundle).
//!
//! Importing believes nothing. Objects are put under the names that they hash to; the snapshots are entered in the history, all at
//! once, when each has been found whole, and not at all if one is not. What was put until then is garbage, which a collection removes.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use cascow_core::bundle::{self, Decoder, Exported, MAX_OBJECT_LEN, Part, WalkError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectStore, StoreError};

use super::labels::Label;
use super::{Repository, history, labels};
use crate::Error;
use crate::store::Marks;

/// Bytes of a bundle that are read at once.
const READ_LEN: usize = 64 * 1024;

/// Objects that are given to the store together, 1 MiB of them at most.
const BATCH: usize = 128;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The snapshots that the bundle was made to bring, ascending.
    pub heads: Vec<ContentHash>,
    /// Snapshots in the bundle: the heads, and those that they come from.
    pub snapshots: u64,
    /// How many of them the history did not name.
    pub new_snapshots: u64,
    /// Objects in the bundle.
    pub objects: u64,
    /// How many of them the store did not have.
    pub new_objects: u64,
    /// The bundle's length, in bytes.
    pub bytes: u64,
    /// What the store grew by, in bytes.
    pub new_bytes: u64,
}

impl Repository {
    /// Writes a bundle of snapshots, with all that they come from, to `out`. Tells `observe` of its length so far, which may end it
    /// with an error. O(n). Who calls this has [pinned](Repository::pin) the snapshots.
    ///
    /// # Errors
    /// [`Error::NotWhole`] if the repository does not have all of it, or if there are no snapshots or too many; what `observe`
    /// says; [`Error::Io`], with `path` for where `out` leads.
    pub fn export(
        &self,
        heads: &[ContentHash],
        path: &Path,
        out: &mut dyn Write,
        observe: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<Exported, Error> {
        let mut marks = self.store.marks()?;
        let mut len = 0;
        let mut sink = |bytes: &[u8]| {
            out.write_all(bytes).map_err(Error::io("write", path))?;
            len += bytes.len() as u64;
            Ok(observe(len)?)
        };
        let exported = bundle::export(&self.store, heads, &mut |hash| marks.mark(hash), &mut sink)?;
        out.flush().map_err(Error::io("write", path))?;
        Ok(exported)
    }

    /// Reads a bundle, and enters in the history what it brings. Tells `observe` of the bytes read so far, which may end it with an
    /// error. With a label, the bundle's one head is named. Under the process's lease. O(n).
    ///
    /// # Errors
    /// [`Error::Bundle`], [`Error::NotWhole`]; [`Error::Misuse`] if the repository's hash function is another, or a label is for
    /// several heads; what `observe` says; [`Error::Io`], with `path` for where `bundle` comes from. History and labels are then as
    /// they were.
    pub fn import(
        &self,
        path: &Path,
        bundle: &mut dyn Read,
        label: Option<&Label>,
        observe: &mut dyn FnMut(u64) -> Result<(), Error>,
    ) -> Result<Imported, Error> {
        let refuse = |source| Error::Bundle { path: path.to_owned(), source };
        self.lease()?;
        let mut imported = Imported::default();
        let (mut decoder, mut batch) = (Decoder::new(), Vec::with_capacity(BATCH));
        let (mut buffer, mut read) = (vec![0; READ_LEN], 0);
        loop {
            let mut piece = match bundle.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => &buffer[..len],
                Err(error) if error.kind() == ErrorKind::Interrupted => &[],
                Err(error) => return Err(Error::io("read", path)(error)),
            };
            read += piece.len() as u64;
            while let Some(part) = decoder.next(&mut piece).map_err(refuse)? {
                match part {
                    Part::Heads { kind, heads } => {
                        self.fits(kind, heads.len(), label)?;
                        imported.heads = heads;
                    }
                    Part::Object(bytes) => batch.push(bytes),
                    Part::End { objects, len } => {
                        (imported.objects, imported.bytes) = (objects, len);
                    }
                }
                if batch.len() == BATCH {
                    self.put_batch(&mut batch, &mut imported)?;
                }
            }
            observe(read)?;
        }
        decoder.finish().map_err(refuse)?;
        self.put_batch(&mut batch, &mut imported)?;
        // What is being put is not yet seen by everybody.
        self.store.sync()?;
        let snapshots = self.check_imported(&imported.heads, &mut || observe(read))?;
        self.store.sync()?;
        imported.snapshots = snapshots.len() as u64;
        imported.new_snapshots = self.publish_imported(&snapshots, &imported.heads, label)?;
        Ok(imported)
    }

    fn fits(&self, kind: HashKind, heads: usize, label: Option<&Label>) -> Result<(), Error> {
        let ours = self.store.hash_kind();
        if kind != ours {
            return Err(Error::Misuse(format!(
                "the bundle names objects by {}, this repository by {}; make one for it by `cascow init --hash {}`",
                kind.name(),
                ours.name(),
                kind.name(),
            )));
        }
        match label {
            Some(label) if heads != 1 => Err(Error::Misuse(format!(
                "the bundle brings {heads} snapshots, and the label \"{label}\" names one"
            ))),
            _ => Ok(()),
        }
    }

    fn put_batch(&self, batch: &mut Vec<Vec<u8>>, imported: &mut Imported) -> Result<(), Error> {
        let objects: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        for added in self.store.put_many(&objects)?.into_iter().filter_map(|put| put.added) {
            imported.new_objects += 1;
            imported.new_bytes += added;
        }
        batch.clear();
        Ok(())
    }

    /// All that the heads come from, if it is whole, each snapshot after the one before it.
    fn check_imported(
        &self,
        heads: &[ContentHash],
        observe: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<Vec<ContentHash>, Error> {
        let known: HashSet<ContentHash> = self.snapshots()?.into_iter().collect();
        let since = self.lease_start();
        let mut object = |hash: &ContentHash| {
            match self.store.put_last(hash)? {
                Some(put) if put >= since => {}
                // It was here and the bundle did not bring it: no lease of ours keeps it yet.
                Some(_) => {
                    let bytes = self.store.get_within(hash, MAX_OBJECT_LEN as u64)?;
                    self.store.put(&bytes)?;
                }
                None => return Err(StoreError::Missing { hash: *hash }),
            }
            Ok(observe()?)
        };
        Ok(bundle::check(&self.store, heads, &mut |name| known.contains(name), &mut object)?)
    }

    /// Enters stored snapshots in the history, all or none; says how many were new there.
    fn publish_imported(
        &self,
        snapshots: &[ContentHash],
        heads: &[ContentHash],
        label: Option<&Label>,
    ) -> Result<u64, Error> {
        let _lock = self.lock()?;
        let new = history::append_all(&*self.disk, &self.history_path(), snapshots)?;
        if let (Some(label), [head]) = (label, heads) {
            labels::set(&*self.disk, &self.labels_dir(), label, head)?;
        }
        Ok(new)
    }
}

/// A host's error that went through the core is again what it was.
impl From<WalkError> for Error {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Store(StoreError::Host(host)) => match host.downcast::<Self>() {
                Ok(error) => *error,
                Err(host) => Self::Store(StoreError::Host(host)),
            },
            WalkError::Store(error) => Self::Store(error),
            error => Self::NotWhole(Box::new(error)),
        }
    }
}
