// SPDX-License-Identifier: MIT
//! Tables: a map that is replaced as a whole when a transaction is committed.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cascow_native::disk::{Table, TableWriter};

use super::machine::{Inode, Pairs, Process};

#[derive(Debug)]
pub(super) struct SimulatedTable {
    process: Process,
    inode: Inode,
    dir: PathBuf,
}

impl SimulatedTable {
    pub(super) fn new(process: Process, inode: Inode, dir: &Path) -> Self {
        Self { process, inode, dir: dir.to_owned() }
    }

    fn pairs(&self, operation: &'static str) -> io::Result<Arc<Pairs>> {
        Ok(Arc::clone(&self.process.call(operation, &self.dir)?.table(self.inode).pairs))
    }

    /// Waits until nobody else writes.
    fn begin(&self) -> io::Result<Transaction<'_>> {
        loop {
            let mut inner = self.process.call("begin", &self.dir)?;
            let table = inner.table(self.inode);
            if table.writer.is_none() {
                table.writer = Some(self.process.id());
                return Ok(Transaction { table: self, pairs: Arc::clone(&table.pairs) });
            }
            drop(inner);
            self.process.wait();
        }
    }
}

impl Table for SimulatedTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        let pairs = self.pairs("look up")?;
        for (position, key) in keys.iter().enumerate() {
            if let Some(value) = pairs.get(*key) {
                found(position, value);
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let pairs = self.pairs("scan")?;
        for (key, value) in pairs.range::<[u8], _>((start, Bound::Unbounded)) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut transaction = self.begin()?;
        work(&mut transaction)?;
        self.process.call("commit", &self.dir)?.table(self.inode).pairs =
            Arc::clone(&transaction.pairs);
        Ok(())
    }
}

/// A transaction that writes; whatever ends it lets the next one in.
struct Transaction<'a> {
    table: &'a SimulatedTable,
    pairs: Arc<Pairs>,
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let (mut inner, id) = (self.table.process.inner(), self.table.process.id());
        inner.table(self.table.inode).writer.take_if(|writer| *writer == id);
    }
}

impl TableWriter for Transaction<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        Ok(self.pairs.get(key).map(Vec::as_slice))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        Arc::make_mut(&mut self.pairs).insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        Ok(Arc::make_mut(&mut self.pairs).remove(key).is_some())
    }
}
