// SPDX-License-Identifier: MIT
//! The machine: files, names, locks, a clock; and the processes that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cascow_native::disk::{Access, Disk, DiskFile, Lock, Stat, Table};

use super::table::SimulatedTable;

/// The name of the file in which a table is, as the real ones have it.
pub(super) const TABLE_NAME: &str = "data.mdb";

/// A file's, directory's or table's number.
pub(super) type Inode = u64;

/// The directory above all.
pub(super) const ROOT: Inode = 0;

/// What a table holds.
pub(super) type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Bytes that were written and not yet synced.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) offset: usize,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FileNode {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) synced: Arc<Vec<u8>>,
    /// In the order in which they happened; `synced` with all of them is `bytes`.
    pub(super) writes: Vec<Write>,
    pub(super) modified: u64,
    pub(super) synced_modified: u64,
}

/// A change of a directory's names: a name that no longer leads to a file, one that now does, or both at once.
#[derive(Clone, Debug)]
pub(super) struct NameChange {
    /// A move between two directories is a change in each, under one number.
    pub(super) number: u64,
    pub(super) gone: Option<(OsString, Inode)>,
    pub(super) come: Option<(OsString, Inode)>,
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut Names) {
        if let Some((name, inode)) = &self.gone
            && names.get(name) == Some(inode)
        {
            names.remove(name);
        }
        if let Some((name, inode)) = &self.come {
            names.insert(name.clone(), *inode);
        }
    }
}

pub(super) type Names = BTreeMap<OsString, Inode>;

#[derive(Clone, Debug, Default)]
pub(super) struct DirNode {
    pub(super) names: Names,
    pub(super) synced: Names,
    /// In the order in which they happened; `synced` with all of them is `names`.
    pub(super) changes: Vec<NameChange>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct TableNode {
    pub(super) pairs: Arc<Pairs>,
    /// Who is in a transaction that writes.
    pub(super) writer: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
    Table(TableNode),
}

#[derive(Clone, Debug)]
struct Held {
    inode: Inode,
    handle: u64,
    process: u32,
    lock: Lock,
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) nodes: BTreeMap<Inode, Node>,
    pub(super) clock: u64,
    /// The last number given to anything: inode, change, handle.
    last: u64,
    processes: u32,
    locks: Vec<Held>,
    dead: BTreeSet<u32>,
    lacks_unnamed_files: bool,
}

impl Inner {
    pub(super) fn holding(nodes: BTreeMap<Inode, Node>, clock: u64) -> Self {
        let last = nodes.last_key_value().map_or(0, |(inode, _)| *inode);
        Self {
            nodes,
            clock,
            last,
            processes: 0,
            locks: Vec::new(),
            dead: BTreeSet::new(),
            lacks_unnamed_files: false,
        }
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn add(&mut self, node: Node) -> Inode {
        let inode = self.number();
        self.nodes.insert(inode, node);
        inode
    }

    fn dir(&mut self, inode: Inode) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&mut self, inode: Inode) -> &mut FileNode {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(file)) => file,
            other => panic!("inode {inode} is open as a file and is {other:?}"),
        }
    }

    pub(super) fn table(&mut self, inode: Inode) -> &mut TableNode {
        match self.nodes.get_mut(&inode) {
            Some(Node::Table(table)) => table,
            other => panic!("inode {inode} is open as a table and is {other:?}"),
        }
    }

    fn find(&mut self, path: &Path) -> io::Result<Inode> {
        let mut way = vec![ROOT];
        for part in path.components() {
            match part {
                Component::Normal(name) => {
                    let above = way.last().copied().unwrap_or(ROOT);
                    let found = self.dir(above)?.names.get(name);
                    way.push(*found.ok_or(io::ErrorKind::NotFound)?);
                }
                Component::ParentDir => {
                    way.truncate(way.len().max(2) - 1);
                }
                _ => {}
            }
        }
        Ok(way.last().copied().unwrap_or(ROOT))
    }

    /// The directory that a name is or would be in.
    fn place(&mut self, path: &Path) -> io::Result<(Inode, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let dir = self.find(path.parent().unwrap_or(Path::new("/")))?;
        self.dir(dir)?;
        Ok((dir, name))
    }

    fn found(&mut self, dir: Inode, name: &OsStr) -> io::Result<Inode> {
        Ok(*self.dir(dir)?.names.get(name).ok_or(io::ErrorKind::NotFound)?)
    }

    fn change(
        &mut self,
        dir: Inode,
        number: u64,
        gone: Option<(OsString, Inode)>,
        come: Option<(OsString, Inode)>,
    ) -> io::Result<()> {
        let dir = self.dir(dir)?;
        let change = NameChange { number, gone, come };
        change.apply(&mut dir.names);
        dir.changes.push(change);
        Ok(())
    }

    fn name(&mut self, path: &Path, inode: Inode) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        if self.dir(dir)?.names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.number();
        self.change(dir, number, None, Some((name, inode)))
    }

    fn unlink(&mut self, dir: Inode, name: OsString, inode: Inode) -> io::Result<()> {
        let number = self.number();
        self.change(dir, number, Some((name, inode)), None)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (old_dir, old_name) = self.place(from)?;
        let inode = self.found(old_dir, &old_name)?;
        let (dir, name) = self.place(to)?;
        if let Ok(there) = self.found(dir, &name) {
            if there == inode {
                // Two names of one file: nothing happens, as in POSIX.
                return Ok(());
            }
            let is_dir = matches!(self.nodes[&inode], Node::Dir(_));
            match &self.nodes[&there] {
                Node::Dir(_) if !is_dir => return Err(io::ErrorKind::IsADirectory.into()),
                Node::Dir(there) if !there.names.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                Node::File(_) | Node::Table(_) if is_dir => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                _ => {}
            }
        }
        let number = self.number();
        let (gone, come) = (Some((old_name, inode)), Some((name, inode)));
        if old_dir == dir {
            return self.change(dir, number, gone, come);
        }
        self.change(old_dir, number, gone, None)?;
        self.change(dir, number, None, come)
    }

    fn remove_all(&mut self, dir: Inode) -> io::Result<()> {
        for (name, inode) in self.dir(dir)?.names.clone() {
            if matches!(self.nodes[&inode], Node::Dir(_)) {
                self.remove_all(inode)?;
            }
            self.unlink(dir, name, inode)?;
        }
        Ok(())
    }

    /// Makes a directory's names durable, and with a move from or to another what came before it there: no journal forgets the
    /// older of two changes.
    fn sync_dir(&mut self, inode: Inode) -> io::Result<()> {
        let dir = self.dir(inode)?;
        dir.synced = dir.names.clone();
        let done: BTreeSet<u64> = dir.changes.drain(..).map(|change| change.number).collect();
        let other = self.nodes.iter().find_map(|(other, node)| match node {
            Node::Dir(dir) if dir.changes.iter().any(|change| done.contains(&change.number)) => {
                Some(*other)
            }
            _ => None,
        });
        match other {
            Some(other) => self.sync_dir(other),
            None => Ok(()),
        }
    }

    fn sync_all(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => {
                    file.synced = Arc::clone(&file.bytes);
                    file.writes.clear();
                    file.synced_modified = file.modified;
                }
                Node::Dir(dir) => {
                    dir.synced = dir.names.clone();
                    dir.changes.clear();
                }
                Node::Table(_) => {}
            }
        }
    }

    fn release(&mut self, goes: impl Fn(&Held) -> bool) {
        self.locks.retain(|held| !goes(held));
    }

    fn lock(&mut self, new: Held) -> bool {
        // A lock is changed by giving up the old one first, as the kernel does.
        self.release(|held| held.handle == new.handle);
        let is_free = self
            .locks
            .iter()
            .filter(|held| held.inode == new.inode)
            .all(|held| held.lock == Lock::Shared && new.lock == Lock::Shared);
        if is_free {
            self.locks.push(new);
        }
        is_free
    }
}

/// A call that a process is about to make.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Which process, from 1.
    pub process: u32,
    /// What it does.
    pub operation: &'static str,
    /// On which path, as far as the call has one.
    pub path: &'a Path,
}

type CallHook = Arc<dyn Fn(&Call<'_>) + Send + Sync>;
type WaitHook = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
struct Hooks {
    call: Option<CallHook>,
    wait: Option<WaitHook>,
}

/// A machine in memory.
pub struct SimulatedDisk {
    inner: Mutex<Inner>,
    hooks: Mutex<Hooks>,
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDisk").finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// A machine with an empty directory `/`, and a clock that stands at this many seconds since 1970.
    pub fn new(clock: u64) -> Arc<Self> {
        let nodes = BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]);
        Self::holding(Inner::holding(nodes, clock))
    }

    pub(super) fn holding(inner: Inner) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(inner), hooks: Mutex::default() })
    }

    /// A new process.
    pub fn process(self: &Arc<Self>) -> Arc<Process> {
        let mut inner = self.inner();
        inner.processes += 1;
        Arc::new(Process { machine: Arc::clone(self), id: inner.processes })
    }

    /// Sets the clock, in seconds since 1970.
    pub fn set_clock(&self, clock: u64) {
        self.inner().clock = clock;
    }

    /// Says that its filesystem has no files without names.
    pub fn without_unnamed_files(&self) {
        self.inner().lacks_unnamed_files = true;
    }

    /// What is done before each call of any process. It may look at the machine, and let other processes use it.
    pub fn before_each_call(&self, hook: impl Fn(&Call<'_>) + Send + Sync + 'static) {
        self.hooks().call = Some(Arc::new(hook));
    }

    /// What is done again and again while a process waits for another; otherwise the thread yields.
    pub fn while_waiting(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.hooks().wait = Some(Arc::new(hook));
    }

    /// Takes the hooks away.
    pub fn without_hooks(&self) {
        *self.hooks() = Hooks::default();
    }

    /// A machine that holds the same, synced or not, without the processes.
    #[must_use]
    pub fn copy(&self) -> Arc<Self> {
        let inner = self.inner();
        let mut copy = Inner::holding(inner.nodes.clone(), inner.clock);
        copy.last = inner.last;
        copy.lacks_unnamed_files = inner.lacks_unnamed_files;
        for node in copy.nodes.values_mut() {
            if let Node::Table(table) = node {
                table.writer = None;
            }
        }
        Self::holding(copy)
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics halfway through a change but on a defect of this module.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others go on, who may release what is waited for.
    fn wait(&self) {
        let hook = self.hooks().wait.clone();
        match hook {
            Some(hook) => hook(),
            None => std::thread::yield_now(),
        }
    }
}

/// A process on a simulated machine.
#[derive(Debug)]
pub struct Process {
    machine: Arc<SimulatedDisk>,
    id: u32,
}

impl Process {
    /// Ends it as `kill -9` does: its locks are free, and whatever it still tries fails.
    pub fn kill(&self) {
        let mut inner = self.machine.inner();
        inner.dead.insert(self.id);
        inner.release(|held| held.process == self.id);
        for node in inner.nodes.values_mut() {
            if let Node::Table(table) = node {
                table.writer.take_if(|writer| *writer == self.id);
            }
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The machine as the call finds it.
    pub(super) fn call(
        &self,
        operation: &'static str,
        path: &Path,
    ) -> io::Result<MutexGuard<'_, Inner>> {
        let hook = self.machine.hooks().call.clone();
        if let Some(hook) = hook {
            hook(&Call { process: self.id, operation, path });
        }
        let inner = self.machine.inner();
        match inner.dead.contains(&self.id) {
            true => Err(io::Error::other("the process was killed")),
            false => Ok(inner),
        }
    }

    /// Without being a call itself.
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.machine.inner()
    }

    pub(super) fn wait(&self) {
        self.machine.wait();
    }

    /// The same process, for what it opens.
    fn again(&self) -> Self {
        Self { machine: Arc::clone(&self.machine), id: self.id }
    }

    fn opened(
        &self,
        inner: &mut Inner,
        inode: Inode,
        writes: bool,
        path: &Path,
    ) -> Arc<dyn DiskFile> {
        let handle = inner.number();
        Arc::new(SimulatedFile {
            process: self.again(),
            inode,
            handle,
            writes,
            path: path.to_owned(),
        })
    }

    fn made(&self, inner: &mut Inner) -> Inode {
        let clock = inner.clock;
        inner.add(Node::File(FileNode {
            modified: clock,
            synced_modified: clock,
            ..FileNode::default()
        }))
    }
}

impl Disk for Process {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.call("open", path)?;
        let inode = inner.find(path)?;
        match inner.nodes[&inode] {
            Node::File(_) => Ok(self.opened(&mut inner, inode, access == Access::Write, path)),
            _ if matches!(inner.nodes[&inode], Node::Dir(_)) && access == Access::Write => {
                Err(io::ErrorKind::IsADirectory.into())
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn create(&self, path: &Path, _mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.call("create", path)?;
        inner.place(path)?;
        let inode = self.made(&mut inner);
        inner.name(path, inode)?;
        Ok(self.opened(&mut inner, inode, true, path))
    }

    fn create_unnamed(&self, dir: &Path, _mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.call("create_unnamed", dir)?;
        let above = inner.find(dir)?;
        inner.dir(above)?;
        if inner.lacks_unnamed_files {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let inode = self.made(&mut inner);
        Ok(self.opened(&mut inner, inode, true, dir))
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        let mut inner = self.call("link", path)?;
        let inode = inner.find(path)?;
        if matches!(inner.nodes[&inode], Node::Dir(_)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        inner.name(new, inode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename", from)?.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.call("unlink", path)?;
        let (dir, name) = inner.place(path)?;
        let inode = inner.found(dir, &name)?;
        if matches!(inner.nodes[&inode], Node::Dir(_)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        inner.unlink(dir, name, inode)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.call("create_dir_all", path)?;
        let mut way = PathBuf::new();
        for part in path.components() {
            way.push(part);
            match inner.find(&way) {
                Ok(inode) => drop(inner.dir(inode).map_err(|_| io::ErrorKind::AlreadyExists)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let inode = inner.add(Node::Dir(DirNode::default()));
                    inner.name(&way, inode)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.call("remove_dir_all", path)?;
        let (above, name) = inner.place(path)?;
        let inode = inner.found(above, &name)?;
        inner.remove_all(inode)?;
        inner.unlink(above, name, inode)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut inner = self.call("list", dir)?;
        let inode = inner.find(dir)?;
        Ok(inner.dir(inode)?.names.keys().cloned().collect())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let mut inner = self.call("stat", path)?;
        let inode = inner.find(path)?;
        let clock = inner.clock;
        let (is_dir, len, modified) = match &inner.nodes[&inode] {
            Node::File(file) => (false, file.bytes.len() as u64, file.modified),
            Node::Dir(_) => (true, 0, clock),
            // Never empty: it has at least what says that it is a table.
            Node::Table(_) => (false, 4096, clock),
        };
        Ok(Stat { is_file: !is_dir, is_dir, len, modified })
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.call("touch", path)?;
        let (inode, clock) = (inner.find(path)?, inner.clock);
        if let Some(Node::File(file)) = inner.nodes.get_mut(&inode) {
            file.modified = clock;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.call("sync_dir", dir)?;
        let inode = inner.find(dir)?;
        inner.sync_dir(inode)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        let mut inner = self.call("sync_all", dir)?;
        let inode = inner.find(dir)?;
        inner.dir(inode)?;
        inner.sync_all();
        Ok(())
    }

    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>> {
        let mut inner = self.call("table", dir)?;
        let above = inner.find(dir)?;
        let found = inner.dir(above)?.names.get(OsStr::new(TABLE_NAME)).copied();
        let inode = match found {
            Some(inode) if matches!(inner.nodes[&inode], Node::Table(_)) => inode,
            Some(inode) => {
                let is_new =
                    matches!(&inner.nodes[&inode], Node::File(file) if file.bytes.is_empty());
                if !is_new || access == Access::Read {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                // As LMDB takes an empty file for a new one.
                inner.nodes.insert(inode, Node::Table(TableNode::default()));
                inode
            }
            None if access == Access::Read => return Err(io::ErrorKind::NotFound.into()),
            None => {
                let inode = inner.add(Node::Table(TableNode::default()));
                // By promise its transactions survive, and so does its name within its directory.
                let dir = inner.dir(above)?;
                dir.names.insert(TABLE_NAME.into(), inode);
                dir.synced.insert(TABLE_NAME.into(), inode);
                inode
            }
        };
        drop(inner);
        Ok(Arc::new(SimulatedTable::new(self.again(), inode, dir)))
    }

    fn now(&self) -> u64 {
        self.machine.inner().clock
    }
}

/// An open file.
#[derive(Debug)]
struct SimulatedFile {
    process: Process,
    inode: Inode,
    handle: u64,
    writes: bool,
    path: PathBuf,
}

/// Whether an operation that the kernel refuses on such a handle is asked for.
fn refused() -> io::Error {
    // EBADF, for which the standard library has no kind.
    io::Error::from_raw_os_error(9)
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.process.call("read", &self.path)?;
        let there = &inner.file(self.inode).bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(there.len());
        let len = bytes.len().min(there.len() - start);
        bytes[..len].copy_from_slice(&there[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.process.call("write", &self.path)?;
        if !self.writes {
            return Err(refused());
        }
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let clock = inner.clock;
        let file = inner.file(self.inode);
        let write = Write { offset, bytes: bytes.into() };
        super::outage::put(Arc::make_mut(&mut file.bytes), offset, bytes);
        file.writes.push(write);
        file.modified = clock;
        Ok(bytes.len())
    }

    fn len(&self) -> io::Result<u64> {
        let mut inner = self.process.call("len", &self.path)?;
        Ok(inner.file(self.inode).bytes.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.process.call("sync", &self.path)?;
        let file = inner.file(self.inode);
        file.synced = Arc::clone(&file.bytes);
        file.writes.clear();
        Ok(())
    }

    fn link(&self, path: &Path) -> io::Result<()> {
        self.process.call("link", path)?.name(path, self.inode)
    }

    fn lock(&self, lock: Lock, wait: bool) -> io::Result<bool> {
        let held = Held { inode: self.inode, handle: self.handle, process: self.process.id, lock };
        let mut is_held = self.process.call("lock", &self.path)?.lock(held.clone());
        while wait && !is_held {
            self.process.wait();
            is_held = self.process.call("lock", &self.path)?.lock(held.clone());
        }
        Ok(is_held)
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.process.inner().release(|held| held.handle == self.handle);
    }
}
