// SPDX-License-Identifier: MIT
//! What can go wrong on this host. Every message says what, where, and where it helps, what to do; on one line.

use std::io;
use std::path::{Path, PathBuf};

use cascow_core::blob::BlobError;
use cascow_core::bundle::{BundleError, WalkError};
use cascow_core::hash::ContentHash;
use cascow_core::merkle::ProveError;
use cascow_core::record::RecordError;
use cascow_core::snapshot::TreeError;
use cascow_core::store::StoreError;
use cascow_core::workspace::WorkspaceError;

/// Why an operation on this host failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused: permission, space, a file that is not there.
    #[error("cannot {operation} {path:?}: {}", plain(source))]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No repository is there.
    #[error("no repository at {path:?}; `cascow init` makes one")]
    NoRepository {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is something, but not a repository that this build can use.
    #[error("{path:?} is not a usable repository: {reason}")]
    NotARepository {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What was named is not there.
    #[error("no {kind} {name:?} here")]
    NotFound {
        /// What kind of thing it is.
        kind: &'static str,
        /// How it was named.
        name: String,
    },
    /// A snapshot is not in the history.
    #[error("no snapshot \"{snapshot}\" here: it was collected, or never saved in this repository")]
    Absent {
        /// Its name.
        snapshot: ContentHash,
    },
    /// A label names a snapshot that is not in the history.
    #[error(
        "the label {label:?} names snapshot {snapshot}, which is not here: it was collected, or never saved in this repository"
    )]
    Dangling {
        /// The label.
        label: String,
        /// What it names.
        snapshot: ContentHash,
    },
    /// What is stored is damaged, and that keeps from what was asked for.
    #[error("{0}")]
    Damaged(String),
    /// A label or prefix stands for several snapshots.
    #[error("{name:?} stands for {count} snapshots; give all 64 digits of the one that is meant")]
    Ambiguous {
        /// The label or prefix.
        name: String,
        /// How many it stands for.
        count: usize,
    },
    /// The caller asked for what makes no sense.
    #[error("{0}")]
    Misuse(String),
    /// The environment lacks what was asked for.
    #[error("{0}")]
    Unavailable(String),
    /// The user wanted everything to stop.
    #[error("interrupted")]
    Interrupted,
    /// A search could not go on; what it had found is kept.
    #[error("{source}; the search is kept: `cascow search --resume {name}` goes on with it")]
    Kept {
        /// Its name.
        name: String,
        /// What kept it from going on.
        source: Box<Self>,
    },
    /// A snapshot could not be written or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file's content could not be written or read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The store failed, or an object is missing or damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A state is not a directory tree.
    #[error("not a directory tree: {0}")]
    Workspace(#[from] WorkspaceError),
    /// No proof can be made.
    #[error(transparent)]
    Prove(#[from] ProveError),
    /// A file is no bundle, or a damaged one.
    #[error("{path:?}: {source}")]
    Bundle {
        /// Where it came from.
        path: PathBuf,
        /// What is wrong with it.
        source: BundleError,
    },
    /// Snapshots are not whole, so they are neither exported nor imported.
    #[error(transparent)]
    NotWhole(Box<WalkError>),
    /// The tree of a search refused.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Error {
    /// For `map_err`: what was tried on which path.
    pub fn io<E: Into<io::Error>>(
        operation: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { operation, path, source: source.into() }
    }

    /// The family this error belongs to, whatever wraps it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::AlreadyExists => ErrorKind::Usage,
                _ => ErrorKind::Environment,
            },
            Self::Kept { source, .. } => source.kind(),
            Self::Unavailable(_) | Self::Interrupted => ErrorKind::Environment,
            Self::NoRepository { .. }
            | Self::NotFound { .. }
            | Self::Absent { .. }
            | Self::Dangling { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Misuse(_) | Self::Tree(_) | Self::Prove(_) => {
                ErrorKind::Usage
            }
            Self::NotWhole(error) if matches!(**error, WalkError::Bundle(_)) => ErrorKind::Usage,
            Self::NotARepository { .. }
            | Self::Damaged(_)
            | Self::Workspace(_)
            | Self::Bundle { .. }
            | Self::NotWhole(_) => ErrorKind::Corrupt,
            Self::Record(RecordError::Blob(BlobError::Store(error)))
            | Self::Blob(BlobError::Store(error))
            | Self::Store(error) => match error {
                StoreError::Host(host) => {
                    host.downcast_ref::<Self>().map_or(ErrorKind::Environment, Self::kind)
                }
                _ => ErrorKind::Corrupt,
            },
            Self::Record(RecordError::TooLong { .. }) => ErrorKind::Environment,
            Self::Record(_) | Self::Blob(_) => ErrorKind::Corrupt,
        }
    }
}

/// Families of errors, as callers and scripts tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's mistake.
    Usage,
    /// What was named is not there.
    NotFound,
    /// Data is damaged or hostile.
    Corrupt,
    /// The environment refused.
    Environment,
}

/// A host error on its way through a core trait.
impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error,
            error => Self::Host(Box::new(error)),
        }
    }
}

/// The system's message without the number that `io::Error` appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
