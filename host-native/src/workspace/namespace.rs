// SPDX-License-Identifier: MIT
//! A mount namespace of our own, so that what is mounted for a workspace shows nowhere else and goes when the last process in it
//! ends, however it ends (`mount_namespaces(7)`, `user_namespaces(7)`).
//!
//! A namespace belongs to the thread that enters it, and to the threads and processes begun by it afterwards. Root needs nothing
//! more. Anyone else becomes the owner of a user namespace first, which the kernel grants only to a process of one thread; in
//! it they have their own numbers as before, and the right to mount.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use crate::Error;

/// How overlayfs marks what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marks {
    /// In `trusted.*` attributes, which only root may set.
    Trusted,
    /// In `user.*` attributes.
    User,
}

thread_local! {
    static ENTERED: Cell<Option<Marks>> = const { Cell::new(None) };
}

/// Which mount namespace a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamespaceId(u64, u64);

impl NamespaceId {
    /// That of this thread.
    pub(super) fn current() -> Result<Self, Error> {
        let path = "/proc/thread-self/ns/mnt";
        let stat = rustix::fs::stat(path).map_err(Error::io("look at", path))?;
        Ok(Self(stat.st_dev, stat.st_ino))
    }
}

/// Enters a mount namespace of our own with this thread, if it has not yet. What others mount from then on still shows in it.
///
/// # Errors
/// [`Error::Unavailable`] with the reason, if the system does not allow it.
pub(super) fn enter() -> Result<Marks, Error> {
    if let Some(marks) = ENTERED.get() {
        return Ok(marks);
    }
    match unshare(UnshareFlags::NEWNS) {
        Ok(()) => {}
        Err(Errno::PERM) => enter_user_namespace()?,
        Err(errno) => return Err(unavailable("a mount namespace", errno)),
    }
    // Who is root in a user namespace alone, as in many containers, may mount and may not set `trusted.*`.
    let marks = if is_initial_user_namespace() { Marks::Trusted } else { Marks::User };
    // Ours receives what happens outside and sends nothing back.
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)
        .map_err(|errno| unavailable("a mount namespace", errno))?;
    ENTERED.set(Some(marks));
    Ok(marks)
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
