#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the tools that judge the program: a comparison that overlooks a difference would pass everything.

Each mutation test changes one thing in one of two equal trees and expects exactly that one difference.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import traceback
import unittest

import compare_trees
import firmware
import make_tree

NOBODY = 65534


class Trees(unittest.TestCase):
    """Two equal trees, `a` and `b`."""

    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="cascow-tools-").encode()
        self.addCleanup(remove, self.scratch)
        self.a, self.b = (os.path.join(self.scratch, name) for name in (b"a", b"b"))
        for tree in (self.a, self.b):
            self.assertEqual(make_tree.make(tree, files=4), [])

    def differences(self, **options):
        options.setdefault("owners", os.geteuid() == 0)
        return list(compare_trees.differences(*(compare_trees.read_tree(tree, **options) for tree in (self.a, self.b))))

    def assert_only_difference(self, path, what):
        found = self.differences()
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}: {what}"), found[0])

    def not_run(self, why):
        """On a line of its own: the script that runs all tests collects and counts these."""
        print(f"\nprivileged, not run: {self._testMethodName}: {why}")

    @contextlib.contextmanager
    def changing(self, path):
        """The path in `b`, as (directory descriptor, name); the times of it and of its directory are put back."""
        root = os.open(self.b, os.O_RDONLY)
        try:
            with make_tree.Tree(root, 0).parent(path) as (parent, name):
                directory_before = os.fstat(parent)
                before = os.stat(name, dir_fd=parent, follow_symlinks=False) if name in entries(parent) else None
                yield parent, name
                if before and name in entries(parent):
                    set_time(name, before.st_mtime_ns, parent)
                os.utime(parent, ns=(0, directory_before.st_mtime_ns))
        finally:
            os.close(root)


def entries(directory):
    return map(os.fsencode, os.listdir(directory))


def set_time(name, time, directory):
    os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)


def write(path, content, mode=os.O_TRUNC):
    directory, name = path
    fd = os.open(name, os.O_WRONLY | mode, dir_fd=directory)
    with open(fd, "wb") as file:
        file.write(content)


def attribute(path, change, *arguments):
    directory, name = path
    fd = os.open(name, os.O_RDONLY, dir_fd=directory)
    try:
        change(fd, *arguments)
    finally:
        os.close(fd)


def remove(tree):
    """By the system's own tools: the paths are too long, and the directories too closed, for `shutil`."""
    subprocess.run(["chmod", "-R", "u+rwX", tree], check=True)
    subprocess.run(["rm", "-rf", tree], check=True)


def run(tool, *arguments):
    """A tool's exit code, with what it prints kept out of the test's output."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        return tool.main([os.fsdecode(argument) for argument in arguments])


class Comparing(Trees):
    def test_equal_seeds_make_equal_trees(self):
        self.assertEqual(self.differences(), [])

    def test_sees_a_missing_entry(self):
        with self.changing(b"sizes/one byte") as (directory, name):
            os.unlink(name, dir_fd=directory)
        self.assert_only_difference("sizes/one byte", "only in A (file)")

    def test_sees_an_additional_entry(self):
        with self.changing(b"empty directory/new") as (directory, name):
            os.mkfifo(name, dir_fd=directory)
        self.assert_only_difference("empty directory/new", "only in B (fifo)")

    def test_sees_an_additional_directory(self):
        with self.changing(b"empty directory/new") as (directory, name):
            os.mkdir(name, dir_fd=directory)
        self.assert_only_difference("empty directory/new", "only in B (directory)")

    def test_sees_a_socket(self):
        with self.changing(b"socket"), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.b, b"socket"))
        self.assert_only_difference("socket", "only in B (socket)")

    def test_sees_another_kind(self):
        with self.changing(b"empty file") as (directory, name):
            os.unlink(name, dir_fd=directory)
            os.mkdir(name, dir_fd=directory)
        self.assert_only_difference("empty file", "kind: file != directory")

    def test_does_not_follow_a_symlink_to_an_equal_file(self):
        with self.changing(b"sizes/one byte") as (directory, name):
            os.rename(name, b"../../moved away", src_dir_fd=directory, dst_dir_fd=directory)
            os.symlink(b"../../moved away", name, dir_fd=directory)
        self.assert_only_difference("sizes/one byte", "kind: file != symlink")

    def test_sees_another_size(self):
        with self.changing(b".hidden") as path:
            write(path, b"\n", os.O_APPEND)
        found = self.differences()
        self.assertEqual([line.split(": ")[1] for line in found], ["size", "sha256"], found)

    def test_sees_other_bytes_of_the_same_size_and_time(self):
        with self.changing(b".hidden") as path:
            write(path, b"HIDDEN\n")
        self.assert_only_difference(".hidden", "sha256")

    def test_sees_a_changed_byte_behind_a_hole(self):
        with self.changing(b"sizes/sparse") as (directory, name):
            fd = os.open(name, os.O_WRONLY, dir_fd=directory)
            os.pwrite(fd, b"M", 5 * make_tree.MIB + 1)
            os.close(fd)
        self.assert_only_difference("sizes/sparse", "sha256")

    def test_holes_and_zeros_are_equal(self):
        with self.changing(b"sizes/sparse") as (directory, name):
            fd = os.open(name, os.O_WRONLY, dir_fd=directory)
            os.pwrite(fd, bytes(make_tree.MIB), make_tree.MIB)
            os.close(fd)
        self.assertEqual(self.differences(), [])

    def test_sees_other_bytes_at_the_end_of_a_path_longer_than_the_kernel_takes(self):
        deepest = max(compare_trees.read_tree(self.b), key=len)
        self.assertEqual(len(deepest), make_tree.DEEP_PATH_LEN_BYTES)
        with self.changing(deepest) as path:
            write(path, b"THE BOTTOM\n")
        self.assert_only_difference(deepest.decode(), "sha256")

    def test_sees_other_bytes_under_a_name_that_is_not_utf8(self):
        name = b"names/\xff\xfe not UTF-8 \x80"
        with self.changing(name) as path:
            write(path, b"\xff\xfe NOT UTF-8 \x80")
        self.assert_only_difference(repr(name), "sha256")

    def test_sees_each_permission_bit(self):
        # Of a fifo, which nobody has to be able to open.
        for bit in range(12):
            mode = 0o640 ^ (1 << bit)
            with self.subTest(mode=f"{mode:04o}"):
                os.chmod(os.path.join(self.b, b"fifo"), mode)
                self.assert_only_difference("fifo", f"mode: 0640 != {mode:04o}")

    def test_sees_the_mode_of_a_directory(self):
        os.chmod(os.path.join(self.b, b"modes/sticky"), 0o777)
        self.assert_only_difference("modes/sticky", "mode: 1777 != 0777")

    def test_sees_the_mode_of_a_file(self):
        os.chmod(os.path.join(self.b, b".hidden"), 0o4644)
        self.assert_only_difference(".hidden", "mode: 0644 != 4644")

    def test_sees_another_target(self):
        with self.changing(b"symlinks/dangling") as (directory, name):
            os.unlink(name, dir_fd=directory)
            os.symlink(b"nowhere/at_all", name, dir_fd=directory)
        self.assert_only_difference("symlinks/dangling", "target")

    def test_sees_a_broken_hard_link(self):
        with self.changing(b"links/c") as (directory, name):
            os.rename(name, b"one of three", src_dir_fd=directory, dst_dir_fd=directory)
            subprocess.run(["cp", "-p", "one of three", name], cwd=os.path.join(self.b, b"links"), check=True)
            os.unlink(b"one of three", dir_fd=directory)
        found = self.differences()
        self.assertEqual([line.split(": ")[:2] for line in found], [[f"links/{x}", "linked_with"] for x in "abc"], found)

    def test_sees_equal_files_that_became_one(self):
        with self.changing(b"links/equal") as (directory, name):
            os.unlink(name, dir_fd=directory)
            os.link(b"here", name, src_dir_fd=directory, dst_dir_fd=directory)
        found = self.differences(times=False)
        paths = ["links/elsewhere/there", "links/equal", "links/here"]
        self.assertEqual([line.split(": ")[:2] for line in found], [[path, "linked_with"] for path in paths], found)

    def test_sees_attributes_of_files(self):
        path = b"attributes/empty"
        for change, arguments in (
            (os.setxattr, ("user.empty", b"\0")),
            (os.setxattr, ("user.more", b"")),
            (os.removexattr, ("user.empty",)),
        ):
            with self.subTest(change=change.__name__, arguments=arguments):
                with self.changing(path) as changed:
                    attribute(changed, change, *arguments)
                self.assert_only_difference("attributes/empty", "attributes")
                for name in os.listxattr(os.path.join(self.b, path)):
                    os.removexattr(os.path.join(self.b, path), name)
                os.setxattr(os.path.join(self.b, path), "user.empty", b"")
                self.assertEqual(self.differences(), [])

    def test_sees_attributes_of_directories(self):
        with self.changing(b"attributes") as path:
            attribute(path, os.setxattr, "user.binary", b"\0\xff")
        self.assert_only_difference("attributes", "attributes")

    def test_sees_one_nanosecond_of_a_file_and_of_a_directory(self):
        for path in ("sizes/sparse", "empty directory"):
            with self.subTest(path=path):
                at = os.path.join(self.b, path.encode())
                before = os.stat(at).st_mtime_ns
                os.utime(at, ns=(0, before + 1))
                self.assert_only_difference(path, "mtime_ns")
                self.assertEqual(self.differences(times=False), [])
                os.utime(at, ns=(0, before))

    def test_ignores_times_of_access(self):
        at = os.path.join(self.b, b".hidden")
        os.utime(at, ns=(0, os.stat(at).st_mtime_ns))
        self.assertEqual(self.differences(), [])

    def test_sees_the_owner_of_each_kind_as_root(self):
        if os.geteuid() != 0:
            return self.not_run("only root can give a file away")
        for path in ("empty file", "empty directory", "symlinks/dangling", "fifo"):
            with self.subTest(path=path):
                at = os.path.join(self.b, path.encode())
                os.chown(at, 1, 0, follow_symlinks=False)
                self.assert_only_difference(path, "owner: (0, 0) != (1, 0)")
                os.chown(at, 0, 2, follow_symlinks=False)
                self.assert_only_difference(path, "owner: (0, 0) != (0, 2)")
                self.assertEqual(self.differences(owners=False), [])
                os.chown(at, 0, 0, follow_symlinks=False)

    def test_sees_the_number_of_a_device_as_root(self):
        try:
            for tree, minor in ((self.a, 3), (self.b, 5)):
                os.mknod(os.path.join(tree, b"device"), 0o600 | 0o020000, os.makedev(1, minor))
                os.utime(tree, ns=(0, 0))
        except PermissionError:
            return self.not_run("only root can make a device")
        self.assert_only_difference("device", "device")

    def test_ends_with_the_documented_exit_codes(self):
        self.assertEqual(run(compare_trees, self.a, self.b), 0)
        os.chmod(self.b, 0o700)
        self.assertEqual(run(compare_trees, self.a, self.b), 1)
        self.assertEqual(run(compare_trees, "--no-root", self.a, self.b), 0)
        os.utime(os.path.join(self.b, b"fifo"))
        os.utime(os.path.join(self.b, b"sizes"))
        self.assertEqual(run(compare_trees, "--no-root", self.a, self.b), 1)
        self.assertEqual(run(compare_trees, "--no-root", "--no-times", self.a, self.b), 0)
        self.assertEqual(run(compare_trees, self.a, os.path.join(self.b, b"absent")), 2)


class Making(Trees):
    def test_another_seed_makes_other_bytes_under_the_same_names(self):
        other = os.path.join(self.scratch, b"c")
        make_tree.make(other, files=4, seed=2)
        a, c = (compare_trees.read_tree(tree) for tree in (self.a, other))
        self.assertEqual(a.keys(), c.keys())
        self.assertNotEqual(a[b"sizes/1 MiB"].sha256, c[b"sizes/1 MiB"].sha256)

    def test_files_and_large_add_what_they_say(self):
        other = os.path.join(self.scratch, b"c")
        make_tree.make(other, files=40, large=True)
        entries = compare_trees.read_tree(other)
        self.assertEqual(sum(path.endswith(b".bin") for path in entries), 40)
        self.assertEqual(entries[b"sizes/64 MiB"].size, 64 * make_tree.MIB)

    def test_a_directory_with_content_is_left_alone(self):
        before = compare_trees.read_tree(self.a)
        self.assertEqual(run(make_tree, self.a), 2)
        self.assertEqual(compare_trees.read_tree(self.a), before)

    def test_a_sparse_file_has_holes(self):
        status = os.stat(os.path.join(self.a, b"sizes/sparse"))
        self.assertLess(status.st_blocks * 512, status.st_size // 2)


class AsAnOrdinaryUser(unittest.TestCase):
    def test_both_tools_work(self):
        """Root becomes nobody in a child, which has loaded everything it needs."""
        scratch = tempfile.mkdtemp(prefix="cascow-tools-")
        self.addCleanup(remove, scratch)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 3
            try:
                code = self.as_nobody(scratch)
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    @staticmethod
    def as_nobody(scratch):
        if os.geteuid() == 0:
            os.chown(scratch, NOBODY, NOBODY)
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        a, b = (os.path.join(scratch, name) for name in "ab")
        assert (run(make_tree, a), run(make_tree, b)) == (0, 0)
        assert run(compare_trees, a, b) == 0
        os.chmod(os.path.join(b, "empty file"), 0o600)
        assert run(compare_trees, a, b) == 1
        os.chmod(os.path.join(b, "empty file"), 0o000)
        assert run(compare_trees, a, b) == 2
        return 0


class Flash(unittest.TestCase):
    """What the functions of an image take."""

    def test_functions_take_as_much_in_any_order(self):
        one = [(0x400, 6, "a"), (0x400, 0, "also a"), (0x406, 10, "b"), (0x408, 0, "in b"), (0x410, 0, "assembly"), (0x41C, 8, "c")]
        other = [(0x400, 10, "b"), (0x40A, 6, "a"), (0x410, 8, "c"), (0x418, 0, "assembly")]
        expected = {"a": 8, "b": 12, "c": 8, "assembly": 12}
        for table in (one, other):
            self.assertEqual({symbol: size for size, symbol in firmware.functions(table, 0x424)}, expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
