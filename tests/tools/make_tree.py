#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds a tree of everything that is awkward to save and restore.

The same seed and options give the same tree: names, bytes, modes, links, extended attributes and times of modification.
Every step goes through directory descriptors, so paths may be longer than the kernel takes in one call. What the file
system or the user is not allowed to make is named on standard error, and the exit code is then 1.

To remove such a tree as an ordinary user: `chmod -R u+rwX DIR && rm -rf DIR`.
"""

import argparse
import contextlib
import os
import random
import sys

KIB = 1024
MIB = 1024 * KIB
DEEP_PATH_LEN_BYTES = 4000
# The longest name that ext4, XFS, Btrfs and tmpfs take.
NAME_MAX_BYTES = 255
# 2024-01-01, so that no time of a tree depends on when it was made.
EPOCH_NS = 1_704_067_200 * 10**9
YEAR_NS = 365 * 24 * 3600 * 10**9

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """A directory being filled. Paths are bytes, relative to it."""

    def __init__(self, root, seed):
        self.random = random.Random(seed)
        self.root = root
        self.not_made = []
        # Modes and times of directories come last: until then they must stay writable, and change with each entry.
        self.directories = [(b"", 0o755, {})]

    @contextlib.contextmanager
    def parent(self, path):
        """The descriptor of the directory that holds `path`, and the last name of `path`."""
        *parents, name = path.split(b"/")
        fd = os.dup(self.root)
        try:
            for step in parents:
                below = os.open(step, OPEN_DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd, name
        finally:
            os.close(fd)

    def time_ns(self):
        return EPOCH_NS + self.random.randrange(YEAR_NS)

    def directory(self, path, mode=0o755, xattrs=None):
        with self.parent(path) as (parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)
        self.directories.append((path, mode, xattrs or {}))

    def file(self, path, content=b"", mode=0o644, xattrs=None):
        """`content` is bytes, or a list of (offset, bytes) that leaves holes between them."""
        pieces = [(0, content)] if isinstance(content, bytes) else content
        with self.parent(path) as (parent, name):
            fd = os.open(name, CREATE_FILE, 0o600, dir_fd=parent)
        try:
            for offset, piece in pieces:
                os.lseek(fd, offset, os.SEEK_SET)
                while piece:
                    piece = piece[os.write(fd, piece):]
            self.finish(fd, path, mode, xattrs or {})
        finally:
            os.close(fd)

    def finish(self, fd, path, mode, xattrs):
        """Attributes first, because a mode may forbid them; the time last, because everything else changes it."""
        for name, value in xattrs.items():
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                self.not_made.append((path, f"attribute {name}: {error.strerror}"))
        os.fchmod(fd, mode)
        time = self.time_ns()
        os.utime(fd, ns=(time, time))

    def symlink(self, path, target):
        with self.parent(path) as (parent, name):
            os.symlink(target, name, dir_fd=parent)
            time = self.time_ns()
            os.utime(name, ns=(time, time), dir_fd=parent, follow_symlinks=False)

    def link(self, path, to):
        with self.parent(to) as (to_parent, to_name), self.parent(path) as (parent, name):
            os.link(to_name, name, src_dir_fd=to_parent, dst_dir_fd=parent, follow_symlinks=False)

    def fifo(self, path, mode=0o640):
        with self.parent(path) as (parent, name):
            os.mkfifo(name, dir_fd=parent)
            os.chmod(name, mode, dir_fd=parent)
            time = self.time_ns()
            os.utime(name, ns=(time, time), dir_fd=parent)

    def seal(self):
        """Gives each directory its attributes, mode and time, children before parents."""
        for path, mode, xattrs in reversed(self.directories):
            with self.parent(path + b"/." if path else b".") as (fd, _):
                self.finish(fd, path, mode, xattrs)
        self.directories.clear()


def fill(tree, files, large):
    tree.file(b"empty file")
    tree.directory(b"empty directory")
    tree.file(b".hidden", b"hidden\n")
    tree.fifo(b"fifo")
    ordinary_files(tree, files)
    sizes(tree, large)
    modes(tree)
    symlinks(tree)
    hard_links(tree)
    names(tree)
    deep_path(tree)
    attributes(tree)
    ignored_files(tree)
    tree.seal()


def ordinary_files(tree, count):
    tree.directory(b"ordinary")
    for i in range(count):
        if i % 16 == 0:
            directory = b"ordinary/%03d" % (i // 16)
            tree.directory(directory)
        tree.file(directory + b"/%05d.bin" % i, tree.random.randbytes(tree.random.randrange(8 * KIB)))


def sizes(tree, large):
    tree.directory(b"sizes")
    tree.file(b"sizes/one byte", b"\0")
    tree.file(b"sizes/1 MiB", tree.random.randbytes(MIB))
    tree.file(b"sizes/1 MiB of zeros", bytes(MIB))
    tree.file(b"sizes/sparse", [(0, b"start"), (5 * MIB + 1, b"middle"), (9 * MIB, b"end")])
    if large:
        tree.file(b"sizes/64 MiB", tree.random.randbytes(64 * MIB))


def modes(tree):
    tree.directory(b"modes")
    for mode in (0o400, 0o444, 0o600, 0o666, 0o700, 0o755, 0o4755):
        tree.file(b"modes/%04o" % mode, b"#!/bin/sh\n", mode)
    tree.directory(b"modes/sticky", 0o1777)
    tree.directory(b"modes/set group", 0o2755)
    tree.directory(b"modes/read only", 0o500)
    tree.file(b"modes/read only/content", b"below a directory that takes no more entries\n", 0o400)
    tree.directory(b"modes/read only/directory", 0o500)


def symlinks(tree):
    tree.directory(b"symlinks")
    tree.symlink(b"symlinks/to a file", b"../empty file")
    tree.symlink(b"symlinks/to a directory", b"../sizes")
    tree.symlink(b"symlinks/dangling", b"nowhere/at all")
    tree.symlink(b"symlinks/absolute", b"/nonexistent/\xff")
    tree.symlink(b"symlinks/itself", b"itself")
    tree.symlink(b"symlinks/loop a", b"loop b")
    tree.symlink(b"symlinks/loop b", b"loop a")
    tree.symlink(b"symlinks/up", b"../..")
    tree.symlink(b"symlinks/long", b"x/" * 2000)


def hard_links(tree):
    tree.directory(b"links")
    tree.directory(b"links/elsewhere")
    tree.file(b"links/a", b"three names in one directory\n")
    tree.link(b"links/b", b"links/a")
    tree.link(b"links/c", b"links/a")
    tree.file(b"links/here", b"two names in two directories\n")
    tree.link(b"links/elsewhere/there", b"links/here")
    # Equal bytes under another inode: one object, but not one group.
    tree.file(b"links/equal", b"two names in two directories\n")


def names(tree):
    tree.directory(b"names")
    for name in (
        b" leading and trailing ",
        b"new\nline",
        b"tab\tand\rreturn",
        b"\"double\" and 'single'",
        b"back\\slash",
        b"-rf",
        b"--help",
        b"$(touch pwned) `id` ; & | * ?",
        b"...",
        b"~",
        b"#",
        b"\x01\x1b[31m\x7f",
        b"\xff\xfe not UTF-8 \x80",
        "composed \u00e9".encode(),
        "decomposed e\u0301".encode(),
        "\u202eright to left".encode(),
        b"CON",
        b"case",
        b"CASE",
        b"n" * NAME_MAX_BYTES,
    ):
        tree.file(b"names/" + name, name)
    tree.directory(b"names/directory\n\xff")
    tree.file(b"names/directory\n\xff/-", b"-")


def deep_path(tree):
    """A file whose path, relative to the root, is DEEP_PATH_LEN_BYTES long."""
    path = b"deep"
    tree.directory(path)
    while DEEP_PATH_LEN_BYTES - len(path) > NAME_MAX_BYTES + 1:
        path += b"/" + b"d" * 200
        tree.directory(path)
    path += b"/" + b"f" * (DEEP_PATH_LEN_BYTES - len(path) - 1)
    tree.file(path, b"the bottom\n")


def attributes(tree):
    tree.directory(b"attributes", xattrs={"user.directory": b"yes", "user.binary": b"\0\xff\n"})
    tree.file(b"attributes/binary", b"x", xattrs={"user.binary": bytes(range(256))})
    tree.file(b"attributes/empty", b"x", xattrs={"user.empty": b""})
    tree.file(b"attributes/several", b"x", xattrs={f"user.{i}": b"%d" % i for i in range(8)})
    tree.file(b"attributes/long name", b"x", xattrs={"user." + "n" * 250: b"v" * KIB})
    tree.file(b"attributes/read only", b"x", 0o400, xattrs={"user.kept": b"kept"})


def ignored_files(tree):
    tree.directory(b"project")
    tree.file(b"project/.gitignore", b"*.log\n/build/\n")
    tree.file(b"project/.ignore", b"notes\n")
    tree.file(b"project/run.log", b"ignored, and still part of the tree\n")
    tree.file(b"project/notes", b"ignored, and still part of the tree\n")
    tree.directory(b"project/build")
    tree.file(b"project/build/output", b"ignored, and still part of the tree\n")
    tree.directory(b"project/.git")
    tree.file(b"project/.git/HEAD", b"ref: refs/heads/main\n")


def make(directory, files=64, seed=1, large=False):
    """Builds the tree in a new or empty directory; returns what could not be made, as (path, reason)."""
    os.makedirs(directory, exist_ok=True)
    if os.listdir(directory):
        raise FileExistsError(f"{os.fsdecode(directory)} is not empty")
    root = os.open(directory, OPEN_DIRECTORY)
    try:
        tree = Tree(root, seed)
        fill(tree, files, large)
        return tree.not_made
    finally:
        os.close(root)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", metavar="DIR", help="new or empty")
    parser.add_argument("--files", type=int, default=64, metavar="N", help="ordinary files beside the awkward ones (64)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of bytes and times (1)")
    parser.add_argument("--large", action="store_true", help="with a file of 64 MiB")
    options = parser.parse_args(arguments)
    try:
        not_made = make(options.directory, options.files, options.seed, options.large)
    except OSError as error:
        print(f"make_tree: {error}", file=sys.stderr)
        return 2
    for path, reason in not_made:
        print(f"not made: {os.fsdecode(path)!r}: {reason}", file=sys.stderr)
    return 1 if not_made else 0


if __name__ == "__main__":
    sys.exit(main())
