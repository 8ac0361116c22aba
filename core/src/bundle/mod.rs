// SPDX-License-Identifier: MIT
//! Bundles: snapshots in one portable file, with all that they come from and all that they refer to, for any host to import.
//!
//! [`Encoder`] and [`Decoder`] turn objects into the file's bytes and back, in pieces of any length, holding one object and one
//! table of names. [`export`] finds what belongs into a bundle; [`check`] finds out, once the objects are in a store, whether the
//! snapshots are whole. Files, stores and histories are the host's.
//!
//! # Bytes
//!
//! Numbers are little-endian.
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCBU` |
//! | 1 | version, 1 |
//! | 1 | hash function that names the objects: 1 SHA-256, 2 BLAKE3 |
//! | 2 | flags that a reader must understand: none yet, zero |
//! | 4 | number of heads, 1 to 65,536 |
//! | 32 each | the heads: names of snapshots, strictly ascending |
//! | 4 + n each | an object: the length n of its [frame], 16 to 8,208, and the frame, raw or deflate |
//! | 4 | zero, where another length would stand |
//! | 8 | number of objects |
//! | 32 | hash of all bytes before, by the same function |
//!
//! A file that ends earlier, or has a byte more, is refused.
//!
//! # What it brings
//!
//! The *heads* are the snapshots that somebody wanted. A bundle brings them and every snapshot that they come from, whole: a
//! repository keeps what its snapshots come from and calls it damage where that is missing, so one that imports less would not be
//! whole. Which snapshots those are follows from the records; the file does not say it a second time.
//!
//! Objects have no names in it. They are called what they hash to, so there is no name that could lie, and what is damaged is found
//! by the hash at the end, or because an object that is needed is not there. A writer puts each object once; a reader finds the same
//! object twice to be the same object. They stand in the order in which [`Reach`](crate::reach::Reach) tells of them, a snapshot's
//! record first: so a writer needs no memory but which objects it has written, and a reader, who has to look for every reference
//! anyway, needs no order.
//!
//! No object is longer than a chunk, since nothing longer is read as a part of a snapshot. So a reader holds 8 KiB, or the heads.
//!
//! Frames are raw or deflate and never zstd, which not every host decodes. They say their codec and version themselves.
//!
//! # What is believed
//!
//! Nothing. A bundle that decodes is some objects and some names, by whoever wrote it: its hash tells damage, not origin. Importing
//! is to put the objects into a store and to enter the snapshots in a history only after [`check`] has found them whole.

mod check;
mod decode;
mod encode;
mod export;

use alloc::boxed::Box;
use core::fmt;

use crate::chunk::ChunkSizes;
use crate::frame::{self, FrameError};
use crate::hash::{ContentHash, HASH_LEN};
use crate::reach::Fault;
use crate::record::RecordError;
use crate::store::StoreError;

pub use check::check;
pub use decode::{Decoder, Part};
pub use encode::Encoder;
pub use export::{Exported, export};

const MAGIC: [u8; 4] = *b"CCBU";
const VERSION: u8 = 1;

/// Magic, version, hash function, flags, number of heads.
const HEADER_LEN: usize = 12;

/// Number of objects, and the hash.
const TRAILER_LEN: usize = 8 + HASH_LEN;

/// Bytes of the number before each frame.
const LENGTH_LEN: usize = 4;

/// The most snapshots that one bundle is asked to bring; those that they come from do not count. Few enough that a reader can hold
/// their names, 2 MiB. Readers of version 1 refuse more.
pub const MAX_HEADS: u32 = 1 << 16;

/// The longest object of a bundle, in bytes: nothing longer is read as a part of a snapshot. Readers of version 1 refuse more.
pub const MAX_OBJECT_LEN: usize = ChunkSizes::FORMAT.max();

/// The longest frame, in bytes: what does not become shorter by deflating stays raw.
const MAX_FRAME_LEN: usize = frame::HEADER_LEN + MAX_OBJECT_LEN;

/// Why bytes are not a bundle, or no bundle can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BundleError {
    /// The first four bytes are not a bundle's.
    Magic,
    /// A version this build does not read.
    Version {
        /// The version found; 1 is read.
        found: u8,
    },
    /// Flags this build does not understand.
    Flags {
        /// The flags found; 0 is understood.
        found: u16,
    },
    /// A hash function that this build does not know or leaves out.
    HashKind {
        /// Its number.
        found: u8,
    },
    /// No heads, or more than a bundle can have.
    Heads {
        /// How many.
        found: u64,
    },
    /// The heads do not ascend strictly.
    HeadOrder {
        /// The one that does not come after the one before.
        at: u32,
    },
    /// The length of a frame is none that a frame can have here.
    FrameLen {
        /// The number of the object, from 0.
        object: u64,
        /// The length found, in bytes.
        found: u64,
    },
    /// An object's frame is damaged, or of an object too long, or of a codec that bundles do not have.
    Frame {
        /// The number of the object, from 0.
        object: u64,
        /// What is wrong with it.
        error: FrameError,
    },
    /// There are more or fewer objects than the end says.
    Objects {
        /// What the end says.
        expected: u64,
        /// Objects found.
        found: u64,
    },
    /// Some byte is not as it was written.
    Mismatch {
        /// What the end says.
        expected: ContentHash,
        /// The hash of the bytes found.
        found: ContentHash,
    },
    /// The bytes end within the bundle.
    Truncated {
        /// After so many.
        len: u64,
    },
    /// Something follows the bundle's end.
    Trailing {
        /// After so many bytes.
        len: u64,
    },
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("not a bundle: wrong magic"),
            Self::Version { found } => {
                write!(f, "bundle of version {found}; this build reads version {VERSION}")
            }
            Self::Flags { found } => {
                write!(f, "bundle with unknown flags {found:#06x}; a newer cascow may read it")
            }
            Self::HashKind { found } => {
                write!(f, "bundle with hash function {found}, which this build does not know")
            }
            Self::Heads { found } => {
                write!(f, "bundle of {found} snapshots; it can bring 1 to {MAX_HEADS}")
            }
            Self::HeadOrder { at } => {
                write!(f, "bundle damaged: the names of its snapshots are out of order at {at}")
            }
            Self::FrameLen { object, found } => {
                write!(f, "bundle damaged: object {object} says that it has {found} bytes")
            }
            Self::Frame { object, error } => {
                write!(f, "bundle damaged at object {object}: {error}")
            }
            Self::Objects { expected, found } => {
                write!(f, "bundle damaged: it has {found} objects and says {expected}")
            }
            Self::Mismatch { expected, found } => {
                write!(f, "bundle damaged: its bytes hash to {found}, its end says {expected}")
            }
            Self::Truncated { len } => write!(f, "bundle cut off after {len} bytes"),
            Self::Trailing { len } => write!(f, "bundle has more than its {len} bytes"),
        }
    }
}

impl core::error::Error for BundleError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Frame { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why snapshots in a store are not fit to be exported, or to be entered in a history.
#[derive(Debug)]
#[non_exhaustive]
pub enum WalkError {
    /// A part of a snapshot is missing, damaged, or not to be understood.
    Fault {
        /// The snapshot.
        snapshot: ContentHash,
        /// What is wrong with it.
        fault: Fault,
    },
    /// All that a snapshot refers to is there, but it is not the state that its record commits to.
    State {
        /// The snapshot.
        snapshot: ContentHash,
        /// What is wrong with it.
        error: Box<RecordError>,
    },
    /// No bundle can be made of so many snapshots.
    Bundle(BundleError),
    /// The store or the host failed.
    Store(StoreError),
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { snapshot, fault } => {
                write!(f, "snapshot {snapshot} is not whole: {fault}")
            }
            Self::State { snapshot, error } => {
                write!(f, "snapshot {snapshot} cannot be read: {error}")
            }
            Self::Bundle(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WalkError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Fault { .. } => None,
            Self::State { error, .. } => Some(&**error),
            Self::Bundle(error) => error.source(),
            Self::Store(error) => error.source(),
        }
    }
}

impl From<BundleError> for WalkError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl From<StoreError> for WalkError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
