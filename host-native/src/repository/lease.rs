// SPDX-License-Identifier: MIT
//! Leases: what tells a collector which processes are at work, since when, and which snapshots they rely on.
//!
//! A process that will put objects, or rely on a snapshot, makes a file in `leases/` and keeps it locked; the kernel gives the
//! lock back however the process ends, and a collector removes what is not locked. What is put under a lease is not collected
//! before the lease ends, and is by then in the history.
//!
//! Leases begin, change and are listed under the repository's lock, so that a list is of one moment.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 8 | magic `CCLE`, version 1, three zero bytes |
//! | 8 | 8 | start, in seconds since 1970, little-endian |
//! | 16 | 32 each | names of snapshots that are relied on |

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cascow_core::hash::{ContentHash, HASH_LEN};

use super::FILE_MODE;
use crate::Error;
use crate::disk::{Access, Disk, DiskFile, Lock};

const HEADER: [u8; 8] = *b"CCLE\x01\0\0\0";

/// Where the names begin.
const PINS_AT: usize = 16;

/// Seconds by which a lease begins early: a filesystem stamps its files by a clock that may be a tick behind.
const EARLY_SECS: u64 = 1;

/// This process's lease, as long as it lives.
#[derive(Debug)]
pub(super) struct Lease {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Locked.
    file: Arc<dyn DiskFile>,
    /// When it began.
    pub(super) start: u64,
    pins: Vec<ContentHash>,
}

/// What the leases of all processes come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leases {
    /// When the oldest began.
    pub(super) since: Option<u64>,
    /// The snapshots that are relied on.
    pub(super) pins: Vec<ContentHash>,
}

impl Lease {
    /// Begins one. The caller holds the repository's lock.
    pub(super) fn begin(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
        let (path, file) = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{}-{number}", process::id()));
            match disk.create(&path, FILE_MODE) {
                Ok(file) => break (path, file),
                // One of the same number died here, or lives in another container.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", path)(error)),
            }
        };
        let start = clock(&**disk, &path)?.saturating_sub(EARLY_SECS);
        let lease = Self { disk: Arc::clone(disk), path, file, start, pins: Vec::new() };
        let locked = lease.file.lock(Lock::Exclusive, false);
        locked.map_err(Error::io("lock", &lease.path))?;
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&start.to_le_bytes());
        lease.write(&bytes, 0)?;
        Ok(lease)
    }

    fn write(&self, bytes: &[u8], at: usize) -> Result<(), Error> {
        self.file.write_all_at(bytes, at as u64).map_err(Error::io("write", &self.path))
    }

    /// Relies on a snapshot from now on. The caller holds the repository's lock, and has seen the snapshot in the history.
    pub(super) fn pin(&mut self, snapshot: &ContentHash) -> Result<(), Error> {
        if self.pins.contains(snapshot) {
            return Ok(());
        }
        self.write(snapshot.as_bytes(), PINS_AT + self.pins.len() * HASH_LEN)?;
        self.pins.push(*snapshot);
        Ok(())
    }

    /// Begins anew, now: all that was put is published. The caller holds the repository's lock.
    pub(super) fn renew(&mut self) -> Result<(), Error> {
        let now = clock(&*self.disk, &self.path)?;
        let start = now.saturating_sub(EARLY_SECS).max(self.start);
        self.write(&start.to_le_bytes(), HEADER.len())?;
        self.start = start;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A collector removes what stays.
        let _ = self.disk.unlink(&self.path);
    }
}

/// The time, in seconds since 1970, by this machine's clock or by the one that stamps files, whichever is behind: an object's age
/// is by either of them, and they may be two machines'. The file is touched.
pub(super) fn clock(disk: &dyn Disk, file: &Path) -> Result<u64, Error> {
    disk.touch(file).map_err(Error::io("touch", file))?;
    let stamped = disk.stat(file).map_err(Error::io("look at", file))?.modified;
    Ok(disk.now().min(stamped))
}

/// The leases of living processes; those of dead ones are removed, if that is wanted. The caller holds the repository's lock.
pub(super) fn list(disk: &dyn Disk, dir: &Path, remove_dead: bool) -> Result<Leases, Error> {
    let mut leases = Leases::default();
    let names = match disk.list(dir) {
        Ok(names) => names,
        // Nobody has had one yet.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(leases),
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    for name in names {
        let path = dir.join(name);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            // Its process ended just now.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            // Not ours.
            Err(error) if error.kind() == ErrorKind::InvalidData => continue,
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        if file.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))? {
            if remove_dead {
                match disk.unlink(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(Error::io("remove", &path)(error));
                    }
                    _ => {}
                }
            }
            continue;
        }
        let len = usize::try_from(file.len().map_err(Error::io("read", &path))?);
        let mut bytes = vec![0; len.unwrap_or(usize::MAX)];
        let found = file.read_full_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        bytes.truncate(found);
        let start = match bytes.strip_prefix(&HEADER).and_then(|rest| rest.split_first_chunk()) {
            Some((start, pins)) => {
                let (pins, _torn) = pins.as_chunks::<HASH_LEN>();
                leases.pins.extend(pins.iter().map(|name| ContentHash::from_bytes(*name)));
                u64::from_le_bytes(*start)
            }
            // Somebody is at work, and nobody knows since when.
            None => 0,
        };
        leases.since = Some(leases.since.map_or(start, |since| since.min(start)));
    }
    Ok(leases)
}
