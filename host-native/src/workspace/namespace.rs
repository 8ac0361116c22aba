// SPDX-License-Identifier: MIT
//! A mount namespace of our own, so that what is mounted for a workspace shows nowhere else and goes when the last process in it
//! ends, however it ends (`mount_namespaces(7)`, `user_namespaces(7)`).
//!
//! A namespace belongs to the thread that enters it, and to the threads and processes begun by it afterwards. Root needs nothing
//! more. Anyone else becomes the owner of a user namespace first, which the kernel grants only to a process of one thread; in
//! it they have their own numbers as before, and the right to mount.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::mountinfo;
use crate::Error;

/// How overlayfs marks what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// In `trusted.*` attributes, which only root may set.
    Trusted,
    /// In `user.*` attributes.
    User,
}

impl Marks {
    /// Those that this process may set, if it may mount at all.
    pub(super) fn here() -> Self {
        // Who is root in a user namespace alone, as in many containers, may mount and may not set `trusted.*`.
        if is_initial_user_namespace() { Self::Trusted } else { Self::User }
    }
}

/// The namespaces that threads of this process have entered here. By their ids, since a thread that was begun in one is in it
/// without having entered.
static OURS: Mutex<Vec<(NamespaceId, Marks)>> = Mutex::new(Vec::new());

/// What may be set in this thread's namespace, if it is one of our own.
fn ours() -> Option<Marks> {
    let current = NamespaceId::current().ok()?;
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    ours.iter().find(|(id, _)| *id == current).map(|(_, marks)| *marks)
}

/// Which mount namespace a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamespaceId(pub(super) u64, pub(super) u64);

impl NamespaceId {
    /// That of this thread.
    pub(super) fn current() -> Result<Self, Error> {
        let path = "/proc/thread-self/ns/mnt";
        let stat = rustix::fs::stat(path).map_err(Error::io("look at", path))?;
        Ok(Self(stat.st_dev, stat.st_ino))
    }

    /// Whether a process may be in it: one that we see is, or there are some that we cannot look at.
    pub(super) fn may_have_processes(self) -> bool {
        // The number that the first namespace of processes always has: in another one, not all of them show.
        const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
        let sees_all = rustix::fs::stat("/proc/self/ns/pid")
            .is_ok_and(|stat| stat.st_ino == INITIAL_PID_NAMESPACE);
        let Ok(processes) = fs::read_dir("/proc") else { return true };
        !sees_all
            || processes.flatten().any(|process| {
                let name = process.file_name();
                let is_process = name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
                is_process
                    && match rustix::fs::stat(process.path().join("ns/mnt")) {
                        Ok(stat) => Self(stat.st_dev, stat.st_ino) == self,
                        // It has ended.
                        Err(Errno::NOENT | Errno::SRCH) => false,
                        Err(_) => true,
                    }
            })
    }
}

/// Enters a mount namespace of our own with this thread, if it has not yet. What others mount from then on still shows in it.
///
/// # Errors
/// [`Error::Unavailable`] with the reason, if the system does not allow it.
pub(super) fn enter() -> Result<Marks, Error> {
    if let Some(marks) = ours() {
        return Ok(marks);
    }
    match unshare(UnshareFlags::NEWNS) {
        Ok(()) => {}
        Err(Errno::PERM) => enter_user_namespace()?,
        Err(errno) => return Err(unavailable("a mount namespace", errno)),
    }
    let marks = Marks::here();
    // Ours receives what happens outside and sends nothing back.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)
        .map_err(|errno| unavailable("a mount namespace", errno))?;
    let current = NamespaceId::current()?;
    OURS.lock().unwrap_or_else(PoisonError::into_inner).push((current, marks));
    Ok(marks)
}

/// Enters one if that takes no user namespace: where states are written out it is of use only against what commands mount, and
/// an ordinary user's cannot.
pub(super) fn enter_if_privileged() {
    if is_initial_user_namespace() && rustix::process::geteuid().is_root() {
        // Without one, all else works.
        let _ = enter();
    }
}

/// Takes away all that is mounted below a directory, if this thread's namespace is our own. False if something is left.
pub(super) fn detach_below(dir: &Path) -> bool {
    let below = mountinfo::read().unwrap_or_default().into_iter().map(|mount| mount.point);
    let mut below: Vec<_> = below.filter(|point| point != dir && point.starts_with(dir)).collect();
    // What was mounted last lies on top.
    let may_detach = below.is_empty() || ours().is_some();
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    while let Some(point) = below.pop() {
        if !may_detach || rustix::mount::unmount(&point, flags).is_err() {
            return false;
        }
    }
    true
}

/// Which run of the machine this is, if the system tells.
pub(super) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

fn enter_user_namespace() -> Result<(), Error> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(|errno| match errno {
        // The kernel's word for a process of several threads.
        Errno::INVAL => Error::Unavailable(
            "a process of several threads cannot enter a user namespace; open the workshop before threads are begun"
                .to_owned(),
        ),
        _ => unavailable("a user namespace", errno),
    })?;
    // Everybody stays who they are. The list of groups must be given up the right to change before a group is mapped.
    let write = |path: &str, text: String| fs::write(path, text).map_err(Error::io("write", path));
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{0} {0} 1", uid.as_raw()))?;
    write("/proc/self/gid_map", format!("{0} {0} 1", gid.as_raw()))
}

/// The one that the system began with maps every number to itself.
fn is_initial_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[allow(unsafe_code)]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: what is asked of callers is about file descriptor tables, and those stay shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Says what the system refused, and where a setting explains it, which one.
fn unavailable(what: &str, errno: Errno) -> Error {
    let is = |path: &str, value: &str| {
        fs::read_to_string(Path::new("/proc/sys").join(path)).is_ok_and(|text| text.trim() == value)
    };
    let why = if is("user/max_user_namespaces", "0") {
        "they are switched off; user.max_user_namespaces is 0".to_owned()
    } else if is("kernel/unprivileged_userns_clone", "0") {
        "they are for root alone; kernel.unprivileged_userns_clone is 0".to_owned()
    } else if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor keeps them for programs with a profile; kernel.apparmor_restrict_unprivileged_userns is 1".to_owned()
    } else if errno == Errno::NOSPC {
        "there are as many as user.max_user_namespaces or user.max_mnt_namespaces allows".to_owned()
    } else {
        std::io::Error::from(errno).kind().to_string()
    };
    Error::Unavailable(format!("the system does not grant {what}: {why}"))
}
