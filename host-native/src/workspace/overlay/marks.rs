// SPDX-License-Identifier: MIT
//! The attributes by which overlayfs tells what a layer's files mean, and how a user's attributes of the same names are kept apart
//! from them.
//!
//! The kernel keeps its marks in `trusted.overlay.*`, or in `user.overlay.*` where the mount has no right to the former. There, a
//! user's own `user.overlay.X` is kept as `user.overlay.overlay.X`, by the kernel as by us.

use std::os::fd::{AsRawFd, BorrowedFd};

use cascow_core::entry::{Entry, EntryKind, Xattr};
use cascow_core::workspace::WorkspaceEntry;
use rustix::io::Errno;

use super::super::namespace::Marks;
use crate::Error;

/// What the kernel noted on a file or directory of an upper layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// A directory that hides what is below it in lower layers.
    pub(super) is_opaque: bool,
    /// A file that stands for nothing.
    pub(super) is_whiteout: bool,
    /// A file whose content is that of the lower layers' file.
    pub(super) is_metacopy: bool,
    /// Where in the lower layers it comes from, if not from its own path: absolute, or a name in the same directory.
    pub(super) redirect: Option<Vec<u8>>,
    /// Attributes of a user's that look like marks, without what keeps them apart.
    pub(super) escaped: Vec<Xattr>,
}

/// Why marks could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    Io(Errno),
    /// The kernel wrote a mark that this version does not know.
    Unknown(Vec<u8>),
}

impl From<Errno> for Unreadable {
    fn from(errno: Errno) -> Self {
        Self::Io(errno)
    }
}

impl Marks {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }

    /// Whether an attribute that a scan finds in a layer is one of the kernel's, or a user's in disguise.
    pub(super) fn covers(self, name: &[u8]) -> bool {
        name.starts_with(self.prefix())
    }
}

/// The marks of what has this name in an open directory; a link is not followed.
pub(super) fn read(dir: BorrowedFd<'_>, name: &[u8], marks: Marks) -> Result<Found, Unreadable> {
    // There is no call that takes a directory and a name.
    let path = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
    let mut names = Vec::new();
    loop {
        match rustix::fs::llistxattr_query(path.as_slice()) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Found::default()),
            Ok(len) => names.resize(len, 0),
            Err(errno) => return Err(errno.into()),
        }
        match rustix::fs::llistxattr(path.as_slice(), &mut names[..]) {
            Ok(len) => {
                names.truncate(len);
                break;
            }
            // It grew meanwhile.
            Err(Errno::RANGE) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let value = |name: &[u8]| {
        let mut value = vec![0; 64 * 1024]; // XATTR_SIZE_MAX: no value is longer
        let len = rustix::fs::lgetxattr(path.as_slice(), name, &mut value[..])?;
        value.truncate(len);
        Ok::<_, Errno>(value)
    };
    let mut found = Found::default();
    for name in names.split(|byte| *byte == 0) {
        let Some(mark) = name.strip_prefix(marks.prefix()) else { continue };
        match mark {
            // `x` says that it holds whiteouts that are files, which are told by themselves.
            b"opaque" => found.is_opaque = value(name)? == b"y",
            b"whiteout" => found.is_whiteout = true,
            b"metacopy" => found.is_metacopy = true,
            b"redirect" => found.redirect = Some(value(name)?),
            // Which lower file it was copied from, whether it holds what was; counts of names; flags of the lower file: none
            // of these changes what is seen.
            b"origin" | b"impure" | b"nlink" | b"upper" | b"uuid" | b"protattr" => {}
            _ => match mark.strip_prefix(b"overlay.") {
                Some(rest) => {
                    let name = [marks.prefix(), rest].concat();
                    // Of other namespaces than a state holds, nothing is kept.
                    if name.starts_with(b"user.") {
                        found
                            .escaped
                            .push(Xattr { name, value: value(&[marks.prefix(), mark].concat())? });
                    }
                }
                None => return Err(Unreadable::Unknown(name.to_vec())),
            },
        }
    }
    Ok(found)
}

/// Entries as a layer must hold them, so that a mount shows them as they are.
///
/// # Errors
/// [`Error::Unavailable`] if one of them cannot be shown.
pub(super) fn shown(
    mut tree: Vec<WorkspaceEntry<'_>>,
    marks: Marks,
) -> Result<Vec<WorkspaceEntry<'_>>, Error> {
    for WorkspaceEntry { entry, .. } in &mut tree {
        if marks == Marks::User {
            for xattr in &mut entry.xattrs {
                if let Some(rest) = xattr.name.strip_prefix(marks.prefix()) {
                    xattr.name = [marks.prefix(), b"overlay.", rest].concat();
                }
            }
        }
    }
    Ok(tree)
}

/// Whether overlayfs would take an entry of a state for one of its own whiteouts.
pub(super) fn looks_like_whiteout(entry: &Entry) -> bool {
    entry.kind == EntryKind::CharacterDevice { major: 0, minor: 0 }
}

/// The attributes that an entry of an upper layer has for its user.
pub(super) fn unmarked(xattrs: Vec<Xattr>, found: &Found, marks: Marks) -> Vec<Xattr> {
    let own = xattrs.into_iter().filter(|xattr| !marks.covers(&xattr.name));
    let mut own: Vec<Xattr> = own.chain(found.escaped.iter().cloned()).collect();
    own.sort();
    own
}
