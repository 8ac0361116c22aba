// SPDX-License-Identifier: MIT
//! Removes directories beside everything else: a workspace leaves several that nobody needs any more, and removing them takes
//! about as long as all else that sealing it does.
//!
//! Only so much waits to be removed: whoever finds the line full removes what is theirs themselves. What is left when the process
//! ends goes with the workshop.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use crate::directory;

/// Directories that may wait. Each is a few inodes, or a layer.
const WAITING: usize = 64;

/// Where directories are handed in. The thread behind it ends with the last of its clones.
#[derive(Clone, Debug)]
pub(super) struct Remover(SyncSender<Task>);

enum Task {
    Remove(PathBuf),
    /// Everything before it is done when this is dropped.
    Answer(#[expect(dead_code, reason = "its end is the answer")] SyncSender<()>),
}

impl Remover {
    /// To be called once a namespace was entered, which takes a process of one thread.
    pub(super) fn new() -> Self {
        let (sender, tasks) = sync_channel(WAITING);
        // Where no thread can be had, the receiver is dropped, and everybody removes what is theirs.
        let _ = thread::Builder::new().name("remover".to_owned()).spawn(move || work(&tasks));
        Self(sender)
    }

    /// Removes a directory soon. What cannot be removed is cleared away with the workshop.
    pub(super) fn remove(&self, dir: PathBuf) {
        if let Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) =
            self.0.try_send(Task::Remove(dir))
        {
            task.run();
        }
    }

    /// Waits until everything is removed that was handed in.
    pub(super) fn settle(&self) {
        let (answer, answered) = sync_channel(0);
        if self.0.send(Task::Answer(answer)).is_ok() {
            // Its end is what is waited for.
            let _ = answered.recv();
        }
    }
}

impl Task {
    fn run(self) {
        if let Self::Remove(dir) = self {
            remove(&dir);
        }
    }
}

fn work(tasks: &Receiver<Task>) {
    for task in tasks {
        task.run();
    }
}

fn remove(dir: &Path) {
    let _ = directory::remove(dir);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn everything_handed_in_is_gone_once_it_has_settled() {
        let place = tempfile::tempdir().unwrap();
        let remover = Remover::new();
        for number in 0..3 * WAITING {
            let dir = place.path().join(number.to_string());
            fs::create_dir_all(dir.join("below")).unwrap();
            remover.remove(dir);
        }
        remover.settle();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_a_thread_everybody_removes_what_is_theirs() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("dir");
        fs::create_dir(&dir).unwrap();
        let remover = Remover(sync_channel(WAITING).0);
        remover.remove(dir.clone());
        assert!(!dir.exists());
        remover.settle();
    }
}
