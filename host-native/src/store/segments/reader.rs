// SPDX-License-Identifier: MIT
//! Segments open for reading, a bounded number of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::writer::SegmentNumber;
use crate::Error;

/// A process may hold 1,024 open files on most systems, and has others to open.
const MOST_OPEN: usize = 128;

/// Reads parts of segments. Any number of threads may at once.
#[derive(Debug)]
pub(super) struct SegmentReader {
    dir: PathBuf,
    open: RwLock<HashMap<SegmentNumber, Arc<File>>>,
}

impl SegmentReader {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, open: RwLock::default() }
    }

    /// So many bytes from there, or as many as there are: none if the segment is gone.
    pub(super) fn read(
        &self,
        number: SegmentNumber,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, Error> {
        let Some(file) = self.file(number)? else { return Ok(Vec::new()) };
        let failed = Error::io("read", number.path(&self.dir));
        let mut bytes = Vec::new();
        // A length from a damaged index must be no reason to give up.
        if bytes.try_reserve_exact(len).is_err() {
            return Err(failed(std::io::Error::from(ErrorKind::OutOfMemory)));
        }
        bytes.resize(len, 0);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // An offset beyond what a file can have: a damaged index.
                Err(error) if error.kind() == ErrorKind::InvalidInput => break,
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn file(&self, number: SegmentNumber) -> Result<Option<Arc<File>>, Error> {
        // Whoever panicked with the lock left a map of open files, which is right whatever it holds.
        let known = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(&number) {
            return Ok(Some(Arc::clone(file)));
        }
        drop(known);
        let path = number.path(&self.dir);
        let file = match File::open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let mut known = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_OPEN {
            known.clear();
        }
        known.insert(number, Arc::clone(&file));
        Ok(Some(file))
    }
}
