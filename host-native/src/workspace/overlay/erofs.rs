// SPDX-License-Identifier: MIT
//! Images: a whole tree as one file that the kernel mounts as it is (erofs; Documentation/filesystems/erofs.rst, and
//! `fs/erofs/erofs_fs.h` for the bytes).
//!
//! An image is written once, from first byte to last, and removed by one call, where the same tree as files takes several calls for
//! each of them. All lengths are known before anything is read, so where everything lies is planned first; contents then go from
//! the store to their blocks by several threads, never as whole files in memory. Equal contents share their blocks.
//!
//! ```text
//! block 0      1,024 bytes left free, superblock
//! …            inodes, the top's first, then in the order of paths, each with its attributes and, where it fits into the same
//!              block, the end of its directory or its link's target
//! …            blocks of directories and links that did not fit
//! …            contents, each beginning in a block of its own, in the order of paths
//! ```
//!
//! Everything is uncompressed, in blocks of 4,096 bytes, with the longer of the two forms of inodes, whose times have nanoseconds. No
//! checksums: an image is a cache for one run of the machine, and what it is made of was verified as it was read.
//!
//! What the format cannot hold (a link's target of more than 4,095 bytes, an attribute of 64 KiB, a device with a number of 13
//! bits) has no plan; such a tree must be written out.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cascow_core::blob::{Blob, BlobId, BlobReader};
use cascow_core::entry::{EntryKind, Note, Xattr};
use cascow_core::hash::HashKind;
use cascow_core::store::ObjectStore;
use cascow_core::workspace::WorkspaceEntry;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::mount::Refused;
use crate::Error;
use crate::directory::{split, workers};

/// Bytes of a block: what every kernel takes, whatever its pages.
const BLOCK_LEN: u64 = 4096;

/// Inodes begin at multiples of so many bytes, and are named by which one.
const SLOT_LEN: u64 = 32;

/// Where the superblock is.
const SUPERBLOCK_OFFSET: u64 = 1024;
const SUPERBLOCK_LEN: u64 = 128;

/// An inode in its longer form.
const INODE_LEN: u64 = 64;

/// An entry of a directory, without its name.
const DIRENT_LEN: u64 = 12;

/// The longest target of a link that the kernel would not cut off.
const MAX_TARGET_LEN: usize = 4095;

/// Bytes written to a file at once, and the least that is worth a job: threads take turns on the file.
const WRITE_LEN: usize = 256 * 1024;

/// A tree, as it will lie in an image.
#[derive(Debug)]
pub(super) struct Image {
    /// The beginning of the image, up to the contents, without the superblock.
    metadata: Vec<u8>,
    /// Contents and the blocks they begin in, ascending.
    contents: Vec<(Blob, u64)>,
    /// Which inode is the top's: in the first block or, if its directory's end does not fit there, in the second.
    root: u16,
    inodes: u64,
    blocks: u32,
}

/// What one inode will be.
struct Node<'a> {
    format: Format<'a>,
    mode: u16,
    note: Note,
    links: u32,
    xattrs: Vec<u8>,
    /// Where it begins, in bytes.
    offset: u64,
    /// The first block of what is not beside it.
    block: u64,
}

enum Format<'a> {
    File(Blob),
    Symlink(&'a [u8]),
    Directory {
        above: usize,
        /// What it holds, as names and numbers of nodes.
        names: Vec<(&'a [u8], usize)>,
    },
    Fifo,
    CharacterDevice(u32),
    BlockDevice(u32),
}

impl Format<'_> {
    /// The kind as in `st_mode`, and as in a directory's entries.
    const fn kind(&self) -> (u16, u8) {
        match self {
            Self::File(_) => (0o100_000, 1),
            Self::Directory { .. } => (0o040_000, 2),
            Self::CharacterDevice(_) => (0o020_000, 3),
            Self::BlockDevice(_) => (0o060_000, 4),
            Self::Fifo => (0o010_000, 5),
            Self::Symlink(_) => (0o120_000, 7),
        }
    }

    /// Its length in bytes.
    fn len(&self) -> u64 {
        match self {
            Self::File(blob) => blob.id.len(),
            Self::Symlink(target) => target.len() as u64,
            Self::Directory { names, .. } => directory_len(names),
            Self::Fifo | Self::CharacterDevice(_) | Self::BlockDevice(_) => 0,
        }
    }
}

impl Node<'_> {
    /// Bytes that lie beside the inode: the end of what does not fill a block, if it fits into one with the inode. Contents of
    /// files never do, since they may be shared.
    fn tail_len(&self) -> u64 {
        let tail = match self.format {
            Format::Symlink(_) | Format::Directory { .. } => self.format.len() % BLOCK_LEN,
            _ => 0,
        };
        if self.head_len() + tail <= BLOCK_LEN { tail } else { 0 }
    }

    fn head_len(&self) -> u64 {
        INODE_LEN + self.xattrs.len() as u64
    }

    /// Bytes that lie in blocks of their own, among the metadata.
    fn blocks_len(&self) -> u64 {
        match self.format {
            Format::Symlink(_) | Format::Directory { .. } => self.format.len() - self.tail_len(),
            _ => 0,
        }
    }

    /// The number by which directories name it.
    const fn number(&self) -> u64 {
        self.offset / SLOT_LEN
    }

    /// The inode itself.
    fn encode(&self, ino: u32, out: &mut Vec<u8>) {
        const LONG: u16 = 1;
        const WITH_TAIL: u16 = 2 << 1;
        let layout = if self.tail_len() > 0 { WITH_TAIL } else { 0 };
        let (kind, _) = self.format.kind();
        let place = match self.format {
            Format::CharacterDevice(number) | Format::BlockDevice(number) => number,
            // UNWRAP: a plan has no more blocks than 32 bits count.
            _ => u32::try_from(self.block).expect("blocks were counted"),
        };
        // The header of 12 bytes counts as one, all else in words.
        let xattr_words = self.xattrs.len().saturating_sub(8) / 4;
        // UNWRAP: attributes that do not fit have no encoding.
        let xattr_words = u16::try_from(xattr_words).expect("attributes were measured");
        out.extend((LONG | layout).to_le_bytes());
        out.extend(xattr_words.to_le_bytes());
        out.extend((kind | self.mode).to_le_bytes());
        out.extend([0; 2]);
        out.extend(self.format.len().to_le_bytes());
        out.extend(place.to_le_bytes());
        out.extend(ino.to_le_bytes());
        out.extend(self.note.uid.to_le_bytes());
        out.extend(self.note.gid.to_le_bytes());
        out.extend(self.note.mtime_secs.to_le_bytes());
        out.extend(self.note.mtime_nanos.to_le_bytes());
        out.extend(self.links.to_le_bytes());
        out.extend([0; 16]);
        out.extend(&self.xattrs);
    }
}

impl Image {
    /// Plans an image of entries that are known to be a directory tree, ascending by path. What belongs to nobody in particular is
    /// given to the owner. O(n) memory for n entries; `None` if an image cannot hold the tree.
    pub(super) fn plan(tree: &[WorkspaceEntry<'_>], (uid, gid): (u32, u32)) -> Option<Self> {
        let mut nodes = nodes(tree, (uid, gid))?;
        let mut end = SUPERBLOCK_OFFSET + SUPERBLOCK_LEN;
        for node in &mut nodes {
            end = end.next_multiple_of(SLOT_LEN);
            let len = node.head_len() + node.tail_len();
            // A tail must lie in one block, and what fits into one is best read from one.
            if len <= BLOCK_LEN && end % BLOCK_LEN + len > BLOCK_LEN {
                end = end.next_multiple_of(BLOCK_LEN);
            }
            node.offset = end;
            end = end.checked_add(len)?;
        }
        let mut block = end.div_ceil(BLOCK_LEN);
        for node in &mut nodes {
            if node.blocks_len() > 0 {
                node.block = block;
                block += node.blocks_len().div_ceil(BLOCK_LEN);
            }
        }
        let metadata_len = block * BLOCK_LEN;
        let mut contents = Vec::new();
        let mut places: HashMap<BlobId, u64> = HashMap::new();
        for node in &mut nodes {
            let Format::File(blob) = node.format else { continue };
            if blob.id.is_empty() {
                continue;
            }
            node.block = match places.entry(blob.id) {
                Place::Occupied(there) => *there.get(),
                Place::Vacant(place) => {
                    let first = *place.insert(block);
                    contents.push((blob, first));
                    block = first.checked_add(blob.id.len().div_ceil(BLOCK_LEN))?;
                    first
                }
            };
        }
        let blocks = u32::try_from(block).ok()?;
        let metadata = encode(&nodes, metadata_len)?;
        let root = u16::try_from(nodes.first()?.number()).ok()?;
        Some(Self { metadata, contents, root, inodes: nodes.len() as u64, blocks })
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        u64::from(self.blocks) * BLOCK_LEN
    }

    /// Writes the image into a new file, the superblock last.
    ///
    /// # Errors
    /// [`Error::Blob`] if a content is missing or damaged, [`Error::Io`].
    pub(super) fn write<S: ObjectStore + Sync>(
        &self,
        store: &S,
        file: &File,
        path: &Path,
    ) -> Result<(), Error> {
        let fail = |error: io::Error| Error::io("write", path)(error);
        file.set_len(self.len()).map_err(fail)?;
        file.write_all_at(&self.metadata, 0).map_err(fail)?;
        let jobs = jobs(&self.contents);
        let bytes = self.contents.iter().map(|(blob, _)| blob.id.len());
        let bytes = bytes.fold(0, u64::saturating_add);
        let threads = workers::threads_for(self.contents.len(), bytes).min(jobs.len().max(1));
        let new_buffer = || Vec::with_capacity(WRITE_LEN);
        workers::map(
            threads,
            &jobs,
            new_buffer,
            |buffer, contents, _| write_contents(contents, store, file, buffer, &fail),
            &mut |_| {},
        )?;
        file.write_all_at(&self.superblock(), SUPERBLOCK_OFFSET).map_err(fail)
    }

    fn superblock(&self) -> Vec<u8> {
        const MAGIC: u32 = 0xe0f5_e1e2;
        const HAS_TIMES: u32 = 2;
        const BLOCK_BITS: u8 = 12;
        // Overlayfs names lower files by it and by the numbers of their inodes, which the metadata fixes.
        let uuid = HashKind::Sha256.hash(&self.metadata);
        let mut out = Vec::new();
        out.extend(MAGIC.to_le_bytes());
        out.extend([0; 4]); // no checksum
        out.extend(HAS_TIMES.to_le_bytes());
        out.extend([BLOCK_BITS, 0]);
        out.extend(self.root.to_le_bytes());
        out.extend(self.inodes.to_le_bytes());
        out.extend([0; 12]); // time of making
        out.extend(self.blocks.to_le_bytes());
        out.extend([0; 8]); // inodes are counted from the image's beginning; no shared attributes
        out.extend(&uuid.as_bytes()[..16]);
        // No name, no features that a kernel could lack.
        out.resize(128, 0);
        out
    }
}

/// The tree's inodes, the top's first. A group of hard links is one.
fn nodes<'a>(tree: &'a [WorkspaceEntry<'a>], (uid, gid): (u32, u32)) -> Option<Vec<Node<'a>>> {
    let top = Format::Directory { above: 0, names: Vec::new() };
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid, gid, index: None };
    let (offset, block) = (0, 0);
    let mut nodes =
        vec![Node { format: top, mode: 0o755, note, links: 2, xattrs: Vec::new(), offset, block }];
    let mut directories: HashMap<&[u8], usize> = HashMap::from([(&b""[..], 0)]);
    let mut groups: HashMap<&[u8], usize> = HashMap::new();
    for WorkspaceEntry { path, entry, note } in tree {
        let (parent, name) = split(path);
        let above = *directories.get(parent)?;
        let number = nodes.len();
        let number = match entry.links.as_deref().map(|first| groups.entry(first)) {
            Some(Place::Occupied(node)) => *node.get(),
            group => {
                let format = match &entry.kind {
                    EntryKind::File(id) => Format::File(Blob { id: *id, index: note.index }),
                    EntryKind::Directory => Format::Directory { above, names: Vec::new() },
                    EntryKind::Symlink { target } if target.len() <= MAX_TARGET_LEN => {
                        Format::Symlink(target)
                    }
                    EntryKind::Symlink { .. } => return None,
                    EntryKind::Fifo => Format::Fifo,
                    EntryKind::CharacterDevice { major, minor } => {
                        Format::CharacterDevice(device(*major, *minor)?)
                    }
                    EntryKind::BlockDevice { major, minor } => {
                        Format::BlockDevice(device(*major, *minor)?)
                    }
                };
                let is_directory = matches!(format, Format::Directory { .. });
                if is_directory {
                    directories.insert(path, number);
                    nodes[above].links += 1;
                }
                // The number of all ones is nobody's.
                let is_owned = note.uid != u32::MAX && note.gid != u32::MAX;
                let note = if is_owned { *note } else { Note { uid, gid, ..*note } };
                let xattrs = encode_xattrs(&entry.xattrs)?;
                let links = if is_directory { 2 } else { 0 };
                nodes.push(Node { format, mode: entry.mode, note, links, xattrs, offset, block });
                if let Some(Place::Vacant(group)) = group {
                    group.insert(number);
                }
                number
            }
        };
        if !matches!(nodes[number].format, Format::Directory { .. }) {
            nodes[number].links += 1;
        }
        if let Format::Directory { names, .. } = &mut nodes[above].format {
            names.push((name, number));
        }
    }
    for (number, node) in nodes.iter_mut().enumerate() {
        if let Format::Directory { above, names } = &mut node.format {
            names.extend([(&b"."[..], number), (&b".."[..], *above)]);
            names.sort_unstable();
        }
    }
    Some(nodes)
}

/// A device's number as the kernel writes it since it is one of 32 bits.
fn device(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20)
        .then_some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}

/// Attributes as they follow an inode; nothing if there are none.
fn encode_xattrs(xattrs: &[Xattr]) -> Option<Vec<u8>> {
    const USER: u8 = 1;
    if xattrs.is_empty() {
        return Some(Vec::new());
    }
    let mut out = vec![0; 12]; // no filter of names, no shared attributes
    for Xattr { name, value } in xattrs {
        let name = name.strip_prefix(b"user.")?;
        out.extend([u8::try_from(name.len()).ok()?, USER]);
        out.extend(u16::try_from(value.len()).ok()?.to_le_bytes());
        out.extend(name);
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    u16::try_from(out.len() / 4).is_ok().then_some(out)
}

/// How long a directory is: full blocks, and what the last one holds.
fn directory_len(mut names: &[(&[u8], usize)]) -> u64 {
    let mut before = 0;
    loop {
        let (count, len) = first_block(names);
        names = &names[count..];
        if names.is_empty() {
            return before + len;
        }
        before += BLOCK_LEN;
    }
}

/// How many names go into one block, and how many bytes these are.
fn first_block(names: &[(&[u8], usize)]) -> (usize, u64) {
    let mut len = 0;
    for (count, (name, _)) in names.iter().enumerate() {
        let longer = len + DIRENT_LEN + name.len() as u64;
        if longer > BLOCK_LEN {
            return (count, len);
        }
        len = longer;
    }
    (names.len(), len)
}

/// A directory's bytes: in each block the entries, then their names.
fn encode_directory(mut names: &[(&[u8], usize)], nodes: &[Node<'_>]) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    while !names.is_empty() {
        out.resize(out.len().next_multiple_of(usize::try_from(BLOCK_LEN).ok()?), 0);
        let (block, rest) = names.split_at(first_block(names).0);
        let mut name_offset = DIRENT_LEN * block.len() as u64;
        for (name, number) in block {
            let node = &nodes[*number];
            out.extend(node.number().to_le_bytes());
            out.extend(u16::try_from(name_offset).ok()?.to_le_bytes());
            out.extend([node.format.kind().1, 0]);
            name_offset += name.len() as u64;
        }
        out.extend(block.iter().flat_map(|(name, _)| *name));
        names = rest;
    }
    Some(out)
}

/// All that comes before the contents.
fn encode(nodes: &[Node<'_>], len: u64) -> Option<Vec<u8>> {
    let at = |place: u64| usize::try_from(place).ok();
    let mut metadata = Vec::with_capacity(at(len)?);
    let mut in_blocks = Vec::new();
    for (ino, node) in (1..).zip(nodes) {
        metadata.resize(at(node.offset)?, 0);
        node.encode(ino, &mut metadata);
        let bytes = match &node.format {
            Format::Directory { names, .. } => encode_directory(names, nodes)?,
            Format::Symlink(target) => target.to_vec(),
            _ => continue,
        };
        let (blocks, tail) = bytes.split_at(at(node.blocks_len())?);
        metadata.extend(tail);
        if !blocks.is_empty() {
            in_blocks.push((node.block, blocks.to_vec()));
        }
    }
    for (block, bytes) in in_blocks {
        metadata.resize(at(block * BLOCK_LEN)?, 0);
        metadata.extend(bytes);
    }
    metadata.resize(at(len)?, 0);
    Some(metadata)
}

/// Contents that lie side by side, in runs long enough to be worth a write.
fn jobs(mut contents: &[(Blob, u64)]) -> Vec<&[(Blob, u64)]> {
    let mut jobs = Vec::new();
    while let Some((_, first)) = contents.first() {
        let run = WRITE_LEN as u64 / BLOCK_LEN;
        let count = contents.iter().take_while(|(_, block)| block - first < run).count();
        let (job, rest) = contents.split_at(count);
        jobs.push(job);
        contents = rest;
    }
    jobs
}

/// Writes contents that lie side by side.
fn write_contents<S: ObjectStore>(
    contents: &[(Blob, u64)],
    store: &S,
    file: &File,
    buffer: &mut Vec<u8>,
    fail: &impl Fn(io::Error) -> Error,
) -> Result<(), Error> {
    let Some((_, first)) = contents.first() else { return Ok(()) };
    let mut offset = first * BLOCK_LEN;
    buffer.clear();
    let mut flush = |buffer: &mut Vec<u8>| {
        file.write_all_at(buffer, offset).map_err(fail)?;
        offset += buffer.len() as u64;
        buffer.clear();
        Ok::<(), Error>(())
    };
    for (blob, _) in contents {
        let mut reader = BlobReader::new(store, *blob)?;
        while let Some(chunk) = reader.next_chunk()? {
            if buffer.len() + chunk.len() > WRITE_LEN {
                flush(buffer)?;
            }
            buffer.extend_from_slice(&chunk);
        }
        let padding = blob.id.len().next_multiple_of(BLOCK_LEN) - blob.id.len();
        // UNWRAP: less than a block.
        buffer.resize(buffer.len() + usize::try_from(padding).expect("a short length"), 0);
    }
    flush(buffer)
}

/// Mounts an image: the answer is a detached mount, which goes when nobody uses it any more.
pub(super) fn mount(image: &File) -> Result<OwnedFd, Refused> {
    let refused = |step| move |errno| Refused { step, errno };
    let fs = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused("open erofs"))?;
    let source = format!("/proc/self/fd/{}", image.as_raw_fd());
    fsconfig_set_string(&fs, "source", source).map_err(refused("source"))?;
    fsconfig_set_flag(&fs, "ro").map_err(refused("ro"))?;
    fsconfig_create(&fs).map_err(refused("create"))?;
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(refused("mount"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use cascow_core::{snapshot::State, workspace};
    use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

    use super::*;
    use crate::directory::{self, ScanOptions};
    use crate::store::{Store, StoreKind};

    fn new_store() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(StoreKind::Segments, HashKind::Sha256, dir.path()).unwrap();
        (store, dir)
    }

    fn scan(dir: &Path, store: &Store) -> State {
        directory::scan(dir, store, &ScanOptions::default(), &mut |_| {}).unwrap().state
    }

    /// An image of a directory, found in order by the tool that comes with the format; and its length.
    fn image_of(dir: &Path, store: &Store) -> (File, State) {
        let state = scan(dir, store);
        let image = Image::plan(&workspace::entries(&state).unwrap(), (0, 0)).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        image.write(store, file.as_file(), file.path()).unwrap();
        let checked = Command::new("fsck.erofs").arg(file.path()).output();
        let checked = checked.expect("fsck.erofs is there (Debian's package erofs-utils)");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        (file.into_file(), state)
    }

    /// Whether images can be mounted; else says that a test is not run to its end.
    fn can_mount(test: &str) -> bool {
        let can = rustix::process::geteuid().is_root();
        if !can {
            println!("privileged, not run: {test}: only root may mount an image");
        }
        can
    }

    /// What an image shows is what it was made of: entries, contents, times and owners.
    fn assert_shows(test: &str, dir: &Path) {
        let (store, _objects) = new_store();
        let (file, state) = image_of(dir, &store);
        if can_mount(test) {
            let mounted = mount(&file).unwrap();
            let shown = Path::new("/proc/self/fd").join(mounted.as_raw_fd().to_string()).join(".");
            let shown = scan(&shown, &store);
            assert_eq!(shown.len(), state.len());
            for ((path, is), (_, should)) in shown.iter().zip(state.iter()) {
                assert_eq!(is, should, "{}", path.escape_ascii());
            }
            assert!(shown == state);
        }
    }

    fn at(dir: &Path, name: &[u8]) -> std::path::PathBuf {
        dir.join(std::ffi::OsStr::from_bytes(name))
    }

    #[test]
    fn an_image_shows_every_kind_of_entry_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::write(dir.join("setuid"), "x").unwrap();
        fs::set_permissions(dir.join("setuid"), fs::Permissions::from_mode(0o6751)).unwrap();
        fs::create_dir(dir.join("sticky")).unwrap();
        fs::set_permissions(dir.join("sticky"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::create_dir_all(dir.join("deep/er/est")).unwrap();
        fs::write(dir.join("deep/er/est/file"), vec![7; 10_000]).unwrap();
        fs::hard_link(dir.join("deep/er/est/file"), dir.join("another")).unwrap();
        fs::hard_link(dir.join("deep/er/est/file"), dir.join("sticky/third")).unwrap();
        symlink("deep/er", dir.join("link")).unwrap();
        rustix::fs::mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        if rustix::process::geteuid().is_root() {
            // Numbers that need all the bits there are for them.
            let device = rustix::fs::makedev(0xfed, 0xfedcb);
            let mode = Mode::from_raw_mode(0o640);
            for (name, kind) in
                [("char", FileType::CharacterDevice), ("block", FileType::BlockDevice)]
            {
                rustix::fs::mknodat(CWD, dir.join(name), kind, mode, device).unwrap();
            }
            std::os::unix::fs::chown(dir.join("setuid"), Some(70_000), Some(4_000_000_000))
                .unwrap();
        }
        for (name, nanos) in [("another", 1), ("sticky", 999_999_999), ("link", 123_456_789)] {
            let time = Timespec { tv_sec: -5, tv_nsec: nanos };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, dir.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        assert_shows("an_image_shows_every_kind_of_entry_as_it_was", dir);
    }

    #[test]
    fn an_image_shows_attributes_short_and_long() {
        let dir = tempfile::tempdir().unwrap();
        for (name, lens) in
            [("none", &[][..]), ("empty", &[0]), ("some", &[1, 2, 3, 4, 5]), ("long", &[900, 2900])]
        {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            symlink("x".repeat(300), path.join("link")).unwrap();
            for (number, len) in lens.iter().enumerate() {
                let (name, value) = (format!("user.{number}"), vec![b'v'; *len]);
                rustix::fs::setxattr(&path, name, &value, XattrFlags::CREATE).unwrap();
            }
        }
        let longest = format!("user.{}", "n".repeat(250));
        rustix::fs::setxattr(dir.path().join("some"), longest, b"", XattrFlags::CREATE).unwrap();
        assert_shows("an_image_shows_attributes_short_and_long", dir.path());
    }

    #[test]
    fn an_image_shows_names_of_any_bytes_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        // Some of them come before the dots, which directories hold too.
        for byte in (1..=255).filter(|byte| !b"./".contains(byte)) {
            fs::write(at(dir.path(), &[byte]), [byte]).unwrap();
            fs::write(at(dir.path(), &[b'.', byte]), [byte]).unwrap();
            fs::create_dir(at(dir.path(), &[b'a', byte])).unwrap();
            fs::write(at(dir.path(), &[byte; 255]), [byte]).unwrap();
        }
        assert_shows("an_image_shows_names_of_any_bytes_in_their_order", dir.path());
    }

    #[test]
    fn an_image_shows_a_directory_of_ten_thousand_names() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..10_000 {
            fs::write(dir.path().join(number.to_string()), number.to_string()).unwrap();
        }
        assert_shows("an_image_shows_a_directory_of_ten_thousand_names", dir.path());
    }

    #[test]
    fn an_image_shows_directories_that_fill_a_block_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        // The dots take 27 bytes. With the inode, 64 more; at 4,032 the end no longer fits beside it.
        for len in [4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 8193] {
            let path = dir.path().join(len.to_string());
            fs::create_dir(&path).unwrap();
            let mut left: usize = len - 27;
            for number in 100.. {
                let name_len = left.saturating_sub(12).min(100);
                if name_len < 3 {
                    break;
                }
                fs::write(path.join(format!("{number:0name_len$}")), "").unwrap();
                left -= 12 + name_len;
            }
        }
        assert_shows("an_image_shows_directories_that_fill_a_block_to_the_byte", dir.path());
    }

    #[test]
    fn an_image_shows_contents_and_links_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> =
            (0..5_000_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes()).collect();
        for len in [0, 1, 4095, 4096, 4097, 300_000, 5_000_000] {
            fs::write(dir.path().join(len.to_string()), &bytes[..len]).unwrap();
        }
        for len in [1, 4000, 4032, 4033, 4094, 4095] {
            symlink("t".repeat(len), dir.path().join(format!("link {len}"))).unwrap();
        }
        assert_shows("an_image_shows_contents_and_links_of_any_length", dir.path());
    }

    #[test]
    fn equal_contents_share_their_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _objects) = new_store();
        fs::write(dir.path().join("one"), vec![1; 1_000_000]).unwrap();
        let one = image_of(dir.path(), &store).0.metadata().unwrap().len();
        fs::write(dir.path().join("two"), vec![1; 1_000_000]).unwrap();
        let two = image_of(dir.path(), &store).0.metadata().unwrap().len();
        assert_eq!(one, two);
        assert_shows("equal_contents_share_their_blocks", dir.path());
    }

    #[test]
    fn equal_states_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), name.repeat(100_000)).unwrap();
        }
        let (store, _objects) = new_store();
        let read = || {
            let file = image_of(dir.path(), &store).0;
            let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        assert!(read() == read());
    }

    #[test]
    fn what_the_format_cannot_hold_has_no_plan() {
        let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None };
        let plan = |kind: EntryKind, value_len: usize| {
            let xattrs = vec![Xattr { name: b"user.x".to_vec(), value: vec![0; value_len] }];
            let entry = cascow_core::entry::Entry { kind, mode: 0o777, xattrs, links: None };
            let tree = [WorkspaceEntry { path: b"it", entry, note }];
            Image::plan(&tree, (0, 0)).is_some()
        };
        let link = |len| EntryKind::Symlink { target: vec![b'x'; len] };
        assert!(plan(link(4095), 65_535));
        assert!(!plan(link(4096), 1));
        assert!(!plan(EntryKind::Directory, 65_536));
        let device = |major, minor| EntryKind::BlockDevice { major, minor };
        assert!(plan(device(0xfff, 0xf_ffff), 1));
        assert!(!plan(device(0x1000, 0), 1));
        assert!(!plan(device(0, 0x10_0000), 1));
    }
}
