// SPDX-License-Identifier: MIT
//! Directory trees to states and back.
//!
//! [`scan`] reads a directory into a state, storing the contents of its files; [`checkout`] writes a state into a new or empty
//! directory. Both work through file descriptors beneath the directory they were given and never follow a symbolic link in it,
//! so that neither a hostile state nor a tree that changes meanwhile can lead them elsewhere.
//!
//! Directories are walked, and contents read and written, by as many threads as the machine has cores, each with buffers of its
//! own. How many there are shows in nothing but the time. A scan can be told what an earlier one [knew](Known), reads what changed
//! since, and says what it [learned](Learned).
//!
//! Kept: kinds, permission bits, contents, link targets, `user.*` attributes, hard links, times of modification, owners (set again
//! only by root). Not kept: the top directory itself, other attributes, times of access, holes. Sockets are left out and reported.

pub(crate) mod beneath;
mod checkout;
mod descent;
pub(crate) mod file;
mod known;
mod remove;
mod scan;
mod stat_cache;
mod walk;
pub(crate) mod workers;

use std::path::PathBuf;

pub(crate) use checkout::write_tree;
pub use checkout::{Checkout, checkout};
pub use known::{Known, Learned};
pub use remove::remove;
pub use scan::{Scan, ScanOptions, Skipped, scan};
pub use stat_cache::{load_known, store_known};

/// Bytes of a directory's listing that are asked for at once: some hundred names.
pub(crate) const LISTING_LEN: usize = 32 * 1024;

/// Called, on the caller's thread, with every step; of a large file there are several.
pub type Observer<'a> = &'a mut dyn FnMut(Progress);

/// A step of a scan or checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// What there is to do, said once, when it is known.
    Total {
        /// Bytes of content to read or write.
        bytes: u64,
    },
    /// What was done since the last step.
    Step {
        /// Entries finished.
        entries: u64,
        /// Bytes of content read or written; those of a file that is read again count again.
        bytes: u64,
    },
}

/// A path of bytes as a path of the system's.
pub(crate) fn os_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path))
}

/// Splits a path into its directory's and its name. The top's directory is the empty path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match cascow_core::workspace::parent(path) {
        Some(parent) => (parent, &path[parent.len() + 1..]),
        None => (&[], path),
    }
}
