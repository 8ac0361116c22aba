#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The second reader of repositories, and the document that it was written from, against frozen bytes and the sources.

What the document shows of its worked example is computed here from its own rules; `tests/tests/formats.rs` holds the same against the
program.
"""

import hashlib
import pathlib
import re
import sys
import tempfile
import unittest

import read_repository as reader
from read_repository import Refused

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "FORMATS.md"
FROZEN = ROOT / "tests/fixtures/v1"
LABEL = re.compile(r"^([a-z][A-Za-z0-9 ,`/-]*): ([0-9a-f]+)((?:\n  [0-9a-f]+)*)$", re.MULTILINE)


def sha256(data):
    return hashlib.sha256(data).digest()


def u(number, length):
    return number.to_bytes(length, "little")


def varint(number):
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def frame(data):
    return b"CCOF\x01\x00\x00\x00" + u(len(data), 8) + data


def examples():
    """Everything that the document's worked example shows, by label."""
    content = b"hello\n"
    name = sha256(content)
    entry = b"\x00" + b"\x00" + name + varint(6) + varint(0o644) + varint(0) + b"\x00"
    note = varint(2 * 1_700_000_000) + varint(5) + varint(1000) + varint(1000) + b"\x00"
    listing = u(5, 4) + u(len(entry), 4) + u(len(note), 4) + b"hello" + entry + note
    key = sha256(b"\x10hello")
    leaf = sha256(b"\x12" + key + sha256(b"\x11" + entry))
    root = sha256(b"\x14\x01\x01" + u(1, 8) + leaf)
    record = b"CCSN\x01\x01\x00\x00" + b"\x00" + root + varint(1) + b"\x00" + sha256(listing) + varint(len(listing)) + b"\x00"
    snapshot = sha256(record)
    bundle = b"CCBU\x01\x01\x00\x00" + u(1, 4) + snapshot
    for data in (record, listing, content):
        bundle += u(16 + len(data), 4) + frame(data)
    bundle += u(0, 4) + u(3, 8)
    bundle += sha256(bundle)
    header, seek = b"CCSJ\x01\x00\x00\x00", b"\x00\x01\x00"
    check = sha256(header + u(len(seek), 4) + seek)[:8]
    head = b"CCHD\x01\x01\x00\x00" + u(1, 8) + snapshot
    return {
        "the number 300 as varint": varint(300),
        "the number -5 as zigzag": varint(9),
        "name of the content": name,
        "frame of the content": frame(content),
        "entry of hello": entry,
        "note of hello": note,
        "listing": listing,
        "root": root,
        "record": record,
        "snapshot": snapshot,
        "bundle": bundle,
        "file format, store of files": b"CASCOW\x01\x01\x01" + bytes(15),
        "file snapshots": b"CCSL\x01\x00\x00\x00" + snapshot,
        "record of the content in a segment": b"CCSR" + u(16 + len(content), 4) + name + frame(content),
        "delta that takes hello away": b"CCDL\x01\x00\x00\x00" + u(5, 4) + b"\xff" * 4 + u(0, 4) + b"hello",
        "lease since 1700000000 on the snapshot": b"CCLE\x01\x00\x00\x00" + u(1_700_000_000, 8) + snapshot,
        "journal in which worker 0 asked": header + u(len(seek), 4) + check + seek,
        "version 1 of head game, to the snapshot": head + sha256(head + b"game"),
    }


def in_document():
    text = DOCUMENT.read_text("utf-8")
    return {label: re.sub(r"\s", "", first + rest) for label, first, rest in LABEL.findall(text)}


def written(shown):
    """The worked example as the document has it: `test_formats.py --examples` prints it."""
    lines = []
    for label, data in shown.items():
        first = 110 - len(label) - 2
        digits = data.hex()
        lines += [f"{label}: {digits[:first]}", *(f"  {digits[at:at + 108]}" for at in range(first, len(digits), 108))]
    return "\n".join(lines) + "\n"


class Kept(reader.Objects):
    """Objects in memory."""

    def __init__(self, objects):
        super().__init__(1)
        self.objects = {sha256(data): data for data in objects}

    def find(self, name):
        reader.refuse_unless(name in self.objects, "missing")
        return self.objects[name]


class Document(unittest.TestCase):
    def test_the_worked_example_is_what_the_rules_give(self):
        self.assertEqual(in_document(), {label: data.hex() for label, data in examples().items()})

    def test_the_reader_reads_the_worked_example(self):
        shown = {label: bytes.fromhex(data) for label, data in in_document().items()}
        bundle = reader.Bundle(shown["bundle"])
        self.assertEqual(bundle.heads, [shown["snapshot"]])
        state = reader.state_of(bundle, shown["snapshot"])
        self.assertEqual(state, {b"hello": (shown["entry of hello"], shown["note of hello"])})
        entry, note = reader.directory_tree(state)[b"hello"]
        self.assertEqual(reader.value(bundle, entry["content"], note["index"]), b"hello\n")
        self.assertEqual((entry["mode"], note["seconds"], note["nanoseconds"], note["owner"]), (0o644, 1_700_000_000, 5, 1000))
        self.assertEqual(reader.delta(shown["delta that takes hello away"]), [(b"hello", None)])
        self.assertEqual(reader.lease(shown["lease since 1700000000 on the snapshot"])["pins"], [shown["snapshot"]])
        bodies = reader.records(shown["journal in which worker 0 asked"], b"CCSJ")
        self.assertEqual([reader.journal_record(body)["what"] for body in bodies], ["seek"])
        self.assertEqual(reader.head(1, "game", 1, shown["version 1 of head game, to the snapshot"]), shown["snapshot"])
        self.assertEqual(reader.Bytes(shown["the number 300 as varint"]).varint(), 300)
        self.assertEqual(reader.Bytes(shown["the number -5 as zigzag"]).zigzag(), -5)

    def test_every_kind_of_bytes_is_in_the_table_with_its_version(self):
        table = DOCUMENT.read_text("utf-8").split("## All kinds of bytes")[1].split("## ")[0]
        documented = {}
        for names, version in re.findall(r"^\| ((?:`[A-Z]+`(?:, )?)+) \| ?([0-9]*) \|", table, re.MULTILINE):
            for name in re.findall(r"[A-Z]+", names):
                documented.setdefault(name, set()).add(int(version or 0))
        found = {}
        for source in sorted(path for crate in ("core", "host-native", "host-wasm") for path in (ROOT / crate / "src").rglob("*.rs")):
            text = source.read_text("utf-8").split("#[cfg(test)]")[0]
            version = re.search(r"const (?:FORMAT_)?VERSION: u8 = ([0-9]+);", text)
            for magic, beside in re.findall(r'b"(CASCOW|CC[A-Z]{2})(?:\\x([0-9a-f]{2}))?', text):
                # Records within a segment have its version; proofs say theirs once for all.
                inner = magic in ("CCSR", "CCSB")
                number = int(beside, 16) if beside else int(version[1]) if version and not inner else 0 if inner else None
                found.setdefault(magic, set()).add(1 if number is None and "merkle" in str(source) else number)
        self.assertGreater(len(found), 20)
        self.assertEqual(documented, found)


class Frozen(unittest.TestCase):
    CONTENT = b"".join(sha256(u(number, 4)) for number in range(1250))

    def test_frozen_repositories_and_bundles_are_read(self):
        for kind in ("sha256", "blake3"):
            repository = reader.Repository(FROZEN / kind)
            entries = reader.directory_tree(reader.state_of(repository.objects, repository.labels()["frozen"]))
            self.assertEqual(len(entries), 9)
            entry, note = entries[b"long"]
            chunks = reader.chunks_of(repository.objects, entry["content"], note["index"])
            self.assertEqual(b"".join(chunks), self.CONTENT)
            rest = self.CONTENT
            for chunk in chunks:
                self.assertEqual(rest[:reader.first_chunk(rest)], chunk, "where chunks end is as documented")
                rest = rest[len(chunk):]
            bundle = reader.Bundle((FROZEN / f"{kind}.bundle").read_bytes())
            for head in bundle.heads:
                self.assertTrue(reader.directory_tree(reader.state_of(bundle, head)))

    def test_frozen_chunks_end_where_the_document_says(self):
        # SplitMix64 from seed 0, as the core's own frozen test has it.
        state, data = 0, b""
        while len(data) < 40_000:
            state = (state + 0x9E3779B97F4A7C15) % (1 << 64)
            mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % (1 << 64)
            data += u(mixed ^ mixed >> 31, 8)
        lengths = []
        while data:
            lengths.append(reader.first_chunk(data))
            data = data[lengths[-1]:]
        self.assertEqual(lengths, [3843, 3403, 3389, 5370, 5299, 2125, 4827, 3802, 6375, 1567])

    def test_a_snapshot_is_written_out(self):
        repository = reader.Repository(FROZEN / "sha256")
        with tempfile.TemporaryDirectory() as scratch:
            top = pathlib.Path(scratch) / "out"
            reader.extract(repository.objects, repository.labels()["frozen"], top)
            self.assertEqual((top / "long").read_bytes(), self.CONTENT)
            self.assertEqual((top / "dir/run-too.sh").stat().st_ino, (top / "run.sh").stat().st_ino)
            self.assertEqual((top / "dir/hello.txt").stat().st_mtime_ns % 10**9, 678_901_234)


class Hostile(unittest.TestCase):
    """A reader that overlooks damage would prove nothing of the document."""

    def test_every_flipped_bit_of_a_bundle_is_noticed(self):
        whole = examples()["bundle"]
        for bit in range(8 * len(whole)):
            altered = bytearray(whole)
            altered[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(Refused, msg=bit):
                bundle = reader.Bundle(bytes(altered))
                reader.state_of(bundle, examples()["snapshot"])

    def test_what_is_not_canonical_or_cut_off_is_refused(self):
        shown = examples()
        for data, parse in ((shown["entry of hello"], reader.entry), (shown["note of hello"], reader.note),
                            (shown["delta that takes hello away"], reader.delta)):
            parse(data)
            for altered in (data + b"\x00", *(data[:length] for length in range(1, len(data)) if parse is not reader.delta)):
                with self.assertRaises(Refused):
                    parse(altered)
        with self.assertRaises(Refused):
            reader.Bytes(b"\x80\x00").varint()
        with self.assertRaises(Refused):
            reader.open_frame(frame(b"abc")[:-1])
        with self.assertRaises(Refused):
            reader.open_frame(b"CCOF\x01\x01\x00\x00" + u(1 << 40, 8) + b"\x03\x00")

    def test_hostile_paths_and_broken_links_are_no_directory_tree(self):
        shown = examples()
        both = shown["entry of hello"], shown["note of hello"]
        for path in (b"", b"/a", b"a/../b", b"a//b", b"..", b"a/b", b"a\0", b"x" * 256):
            with self.assertRaises(Refused, msg=path):
                reader.directory_tree({path: both})
        linked = both[0][:-1] + b"\x01\x05hello"
        with self.assertRaises(Refused):
            reader.directory_tree({b"hello": (linked, both[1])})
        self.assertEqual(len(reader.directory_tree({b"hello": (linked, both[1]), b"more": (linked, both[1])})), 2)

    def test_what_a_crash_left_of_a_history_or_journal_is_not_read(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch)
            for place in ("objects", "labels"):
                (path / place).mkdir()
            (path / "format").write_bytes(examples()["file format, store of files"])
            name = examples()["snapshot"]
            for end, count in ((b"", 1), (b"abc", 1), (bytes(32), 1), (name, 2)):
                (path / "snapshots").write_bytes(examples()["file snapshots"] + end)
                self.assertEqual(reader.Repository(path).snapshots(), [name] * count)
        journal = examples()["journal in which worker 0 asked"]
        for length in range(8, len(journal)):
            self.assertEqual(reader.records(journal[:length], b"CCSJ"), [])

    def test_a_record_behind_what_a_killed_writer_left_is_found(self):
        record = examples()["record of the content in a segment"]
        with tempfile.TemporaryDirectory() as scratch:
            segments = pathlib.Path(scratch) / "segments"
            segments.mkdir()
            (segments / "00000001").write_bytes(b"CCSG\x02\x01\x00\x00" + record[:30] + b"CCSR" + record[:-1] + b"x" + record)
            store = reader.Segments(1, pathlib.Path(scratch))
            self.assertEqual(store.names(), {sha256(b"hello\n")})
            (segments / "00000001").write_bytes(b"CCSG\x03\x01\x00\x00" + record)
            with self.assertRaises(Refused):
                reader.Segments(1, pathlib.Path(scratch))

    def test_a_state_of_another_root_is_refused(self):
        shown = examples()
        record = shown["record"].replace(shown["root"], bytes(32))
        objects = Kept([record, shown["listing"]])
        with self.assertRaises(Refused):
            reader.state_of(objects, sha256(record))


if __name__ == "__main__":
    if sys.argv[1:] == ["--examples"]:
        print(written(examples()), end="")
    else:
        unittest.main()
