#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares two trees entry by entry, and prints each difference.

Compared: kind, permission bits, size and bytes of files, targets of symlinks, numbers of devices, `user.*` attributes,
hard-link groups within the tree, time of modification of files and directories in nanoseconds, and, as root, owners.
Not compared: owners as an ordinary user, times of symlinks and special files, holes, ACLs and attributes outside `user.*`.

Shares nothing with the program it judges. Walks by directory descriptors, so paths have no greatest length, and treats
names as bytes. Exit code: 0 equal, 1 different, 2 could not be read.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import os
import stat
import sys

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Never follows, and never waits for a fifo that took the place of a file.
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
ROOT = b"."

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


@dataclasses.dataclass
class Entry:
    """What two entries at one path must have in common; `None` where the kind has no such thing or it is not asked for."""

    kind: str
    owner: tuple | None = None
    mode: str | None = None
    mtime_ns: int | None = None
    size: int | None = None
    sha256: str | None = None
    target: bytes | None = None
    device: int | None = None
    attributes: dict | None = None
    linked_with: list | None = None


def read_tree(root, times=True, owners=False):
    """The entries of the directory `root` by relative path, itself included as `.`."""
    entries, groups = {}, {}
    waiting = [ROOT]
    while waiting:
        path = reading = waiting.pop()
        try:
            with open_directory(root, path) as directory:
                entries[path] = read_entry(directory, directory, os.fstat(directory), times, owners)
                for name in map(os.fsencode, os.listdir(directory)):
                    reading = name if path == ROOT else path + b"/" + name
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(reading)
                        continue
                    entry = entries[reading] = read_entry(directory, name, status, times, owners)
                    entry.linked_with = groups.setdefault((status.st_dev, status.st_ino), [])
                    entry.linked_with.append(reading)
        except OSError as error:
            # The call saw a descriptor and a name; the reader needs the whole path.
            raise OSError(error.errno, error.strerror, root + b"/" + reading) from error
    for paths in groups.values():
        paths.sort()
    return entries


@contextlib.contextmanager
def open_directory(root, path):
    fd = os.open(root, OPEN_DIRECTORY)
    try:
        for step in path.split(b"/"):
            below = os.open(step, OPEN_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def read_entry(directory, name, status, times, owners):
    """The entry `name` of an open directory; the directory itself where `name` is its descriptor."""
    entry = Entry(KINDS[stat.S_IFMT(status.st_mode)])
    if owners:
        entry.owner = (status.st_uid, status.st_gid)
    if entry.kind == "symlink":
        entry.target = os.readlink(name, dir_fd=directory)
        return entry
    entry.mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if entry.kind in ("block device", "character device"):
        entry.device = status.st_rdev
    if entry.kind in ("file", "directory") and times:
        entry.mtime_ns = status.st_mtime_ns
    if entry.kind == "directory":
        entry.attributes = read_attributes(directory)
    if entry.kind == "file":
        entry.size = status.st_size
        fd = os.open(name, OPEN_FILE, dir_fd=directory)
        with open(fd, "rb") as file:
            entry.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            entry.attributes = read_attributes(fd)
    return entry


def read_attributes(fd):
    return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if name.startswith("user.")}


def differences(a, b):
    """Lines that say what differs between two results of `read_tree`, by path."""
    for path in sorted(a.keys() | b.keys()):
        if path not in b:
            yield f"{show(path)}: only in A ({a[path].kind})"
        elif path not in a:
            yield f"{show(path)}: only in B ({b[path].kind})"
        elif a[path].kind != b[path].kind:
            yield f"{show(path)}: kind: {a[path].kind} != {b[path].kind}"
        else:
            for field in dataclasses.fields(Entry):
                in_a, in_b = getattr(a[path], field.name), getattr(b[path], field.name)
                if in_a != in_b:
                    yield f"{show(path)}: {field.name}: {show(in_a)} != {show(in_b)}"


def show(value):
    """On one line, whatever bytes a name has."""
    text = os.fsdecode(value) if isinstance(value, (bytes, str)) else ""
    return text if text.isprintable() and text else repr(value)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a", metavar="A", type=os.fsencode)
    parser.add_argument("b", metavar="B", type=os.fsencode)
    parser.add_argument("--no-times", action="store_true", help="times of modification may differ")
    parser.add_argument("--no-root", action="store_true", help="A and B themselves may differ, only what is below counts")
    options = parser.parse_args(arguments)
    owners = os.geteuid() == 0
    if not owners:
        print("not compared: owners (only root can restore them)", file=sys.stderr)
    try:
        a, b = (read_tree(root, not options.no_times, owners) for root in (options.a, options.b))
    except OSError as error:
        print(f"compare_trees: {error}", file=sys.stderr)
        return 2
    if options.no_root:
        del a[ROOT], b[ROOT]
    found = 0
    for found, line in enumerate(differences(a, b), start=1):
        print(line)
    print(f"{len(a)} and {len(b)} entries, {found} differences", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
