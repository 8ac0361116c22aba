#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader of all that cascow keeps, written from FORMATS.md alone, with Python's standard library and the program zstd.

    read_repository.py list FROM [SNAPSHOT]        all snapshots, or what one holds, as JSON
    read_repository.py extract FROM SNAPSHOT DIR   writes a snapshot out
    read_repository.py search FROM NAME            the nodes and edges of a saved search, as JSON
    read_repository.py browser FILE                what a browser's database says, of which the file has all keys and values
    read_repository.py dump FILE                   what a file is and says, as JSON

FROM is a repository (`.cascow`, or what holds it) or a bundle; SNAPSHOT a label or a whole name. Slow, and in the order of the
document. Whatever the document calls refused is a `Refused`.
"""

import binascii
import hashlib
import json
import os
import pathlib
import stat
import struct
import subprocess
import sys
import tempfile
import urllib.parse
import zlib

import verify_proofs

MAX_OBJECT = 1 << 30
MAX_CHUNK = 8192
MIN_CHUNK = 2048
MAX_DEPTH = 8


class Refused(Exception):
    """The bytes are not what the document says they must be."""


def refuse_unless(holds, why):
    if not holds:
        raise Refused(why)


# --- Notation ---

HASHES = {1: lambda data: hashlib.sha256(data).digest(), 2: verify_proofs.blake3}


class Bytes:
    """Bytes that are read from the front."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, length):
        refuse_unless(length <= self.left(), f"cut off at byte {self.at}")
        self.at += length
        return self.data[self.at - length:self.at]

    def u(self, length):
        return int.from_bytes(self.take(length), "little")

    def i64(self):
        return int.from_bytes(self.take(8), "little", signed=True)

    def magic(self, magic, version, *fields):
        """Four letters, a version, and as many bytes, given back, as `fields`; then zeros up to the eighth."""
        refuse_unless(self.take(4) == magic, f"not a {magic.decode()}")
        refuse_unless(self.u(1) == version, f"a {magic.decode()} of another version")
        found = [self.u(1) for _ in fields]
        refuse_unless(self.take(3 - len(fields)) == bytes(3 - len(fields)), "fields that are not zero")
        return found

    def end(self):
        refuse_unless(self.left() == 0, "bytes are left over")

    # Postcard.

    def varint(self, bits=64):
        number = shift = 0
        while True:
            byte = self.u(1)
            number |= (byte & 0x7F) << shift
            refuse_unless(byte or not shift, "a number that is longer than needed")
            if byte < 0x80:
                break
            shift += 7
        refuse_unless(number < 1 << bits, "a number that is too great")
        return number

    def zigzag(self):
        number = self.varint()
        return -(number >> 1) - 1 if number & 1 else number >> 1

    def bytes(self):
        return self.take(self.varint())

    def text(self):
        return self.bytes().decode()

    def bool(self):
        byte = self.u(1)
        refuse_unless(byte < 2, "neither 0 nor 1")
        return byte == 1

    def f32(self):
        return struct.unpack("<f", self.take(4))[0]

    def f64(self):
        return struct.unpack("<d", self.take(8))[0]

    def list(self, item):
        return [item() for _ in range(self.varint())]

    def option(self, item):
        return item() if self.bool() else None

    def one_of(self, *choices):
        number = self.varint(32)
        refuse_unless(number < len(choices), f"choice {number}")
        name, fields = choices[number]
        return {"what": name, **{field: item() for field, item in fields.items()}}

    def hash(self):
        return self.take(32)


# --- Objects ---


def unzstd(payload, length):
    """What zstd frames hold; `None` if that is not `length` bytes. By zstd's own program, since few Pythons have it."""
    with tempfile.TemporaryFile() as source:
        source.write(payload)
        source.seek(0)
        with subprocess.Popen(["zstd", "-dcq"], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            data = program.stdout.read(length + 1)
            program.stdout.close()
            done = program.wait()
    return data if len(data) == length and done == 0 else None


def inflate(payload, length):
    stream = zlib.decompressobj(-15)
    try:
        data = stream.decompress(payload, length + 1)
    except zlib.error as error:
        raise Refused(f"deflate: {error}") from None
    return data if len(data) == length and stream.eof and not stream.unused_data else None


def open_frame(frame):
    """The object in a frame."""
    read = Bytes(frame)
    codec, = read.magic(b"CCOF", 1, "codec")
    length = read.u(8)
    payload = read.take(read.left())
    refuse_unless(codec in (0, 1, 2), f"codec {codec}")
    most = len(payload) * (1, 1032, 1 << 15)[codec]
    refuse_unless(length <= min(most, MAX_OBJECT), "a length that cannot be")
    data = (lambda: payload, lambda: inflate(payload, length), lambda: unzstd(payload, length))[codec]()
    refuse_unless(data is not None and len(data) == length, "a payload of another length")
    return data


class Objects:
    """Objects by their names, wherever they are. `frames(name)` gives those that may hold one."""

    def __init__(self, kind):
        refuse_unless(kind in HASHES, f"hash function {kind}")
        self.kind, self.digest = kind, HASHES[kind]

    def get(self, name, most=MAX_OBJECT):
        data = self.find(name)
        refuse_unless(len(data) <= most, "an object that is too long")
        refuse_unless(self.digest(data) == name, f"object {name.hex()} is not what its name says")
        return data


class Files(Objects):
    """The store of files."""

    def __init__(self, kind, path):
        super().__init__(kind)
        self.path = path

    def find(self, name):
        place = self.path / name.hex()[:2] / name.hex()[2:4]
        for path in (place / name.hex(), place / f".gone-{name.hex()}", place / name.hex()):
            if path.exists():
                return open_frame(path.read_bytes())
        raise Refused(f"object {name.hex()} is missing")

    def names(self):
        return {bytes.fromhex(path.name) for path in self.path.glob("??/??/*") if not path.name.startswith(".")}


class Segments(Objects):
    """The store of segments, without its index: all of them are scanned."""

    def __init__(self, kind, path):
        super().__init__(kind)
        self.objects = {}
        for segment in sorted((path / "segments").iterdir()):
            if len(segment.name) == 8:
                self.scan(segment.read_bytes())

    def scan(self, data):
        if data[:4] == b"CCSG":
            found, = Bytes(data).magic(b"CCSG", 2, "hash function")
            refuse_unless(found == self.kind, "a segment by another hash function")
        at = 8
        while 0 <= at < len(data):
            try:
                at += self.record(Bytes(data[at:]))
            except Refused:
                nexts = [place for place in (data.find(magic, at + 1) for magic in (b"CCSR", b"CCSB")) if place >= 0]
                at = min(nexts, default=-1)

    def record(self, read):
        """Takes a record in; gives its length."""
        magic, length = read.take(4), read.u(4)
        if magic == b"CCSR":
            name, frame = read.hash(), read.take(length)
            found = {name: open_frame(frame)}
        else:
            refuse_unless(magic == b"CCSB", "not a record")
            read = Bytes(read.data[:8 + length])
            read.at = 8
            count = read.u(4)
            refuse_unless(1 <= count <= 64, f"a block of {count} objects")
            members = [(read.hash(), read.u(4)) for _ in range(count)]
            total = sum(size for _, size in members)
            refuse_unless(total <= 131072 and len(read.data) == 8 + length, "a block that cannot be")
            data = unzstd(read.take(read.left()), total)
            refuse_unless(data is not None, "a block of another length")
            joined = Bytes(data)
            found = {name: joined.take(size) for name, size in members}
        refuse_unless(all(self.digest(data) == name for name, data in found.items()), "a record of other objects")
        self.objects.update(found)
        return read.at

    def find(self, name):
        refuse_unless(name in self.objects, f"object {name.hex()} is missing")
        return self.objects[name]

    def names(self):
        return set(self.objects)


class Bundle(Objects):
    """A bundle."""

    def __init__(self, data):
        read = Bytes(data)
        kind, = read.magic(b"CCBU", 1, "hash function")
        super().__init__(kind)
        count = read.u(4)
        refuse_unless(1 <= count <= 65536, f"{count} heads")
        self.heads = [read.hash() for _ in range(count)]
        refuse_unless(all(a < b for a, b in zip(self.heads, self.heads[1:])), "heads out of order")
        self.objects, number = {}, 0
        while length := read.u(4):
            refuse_unless(16 <= length <= 8208, f"a frame of {length} bytes")
            frame = read.take(length)
            refuse_unless(frame[5] < 2, "a codec that bundles do not have")
            data = open_frame(frame)
            refuse_unless(len(data) <= MAX_CHUNK, "an object that is too long")
            self.objects[self.digest(data)] = data
            number += 1
        refuse_unless(read.u(8) == number, "another number of objects")
        seen = read.data[:read.at]
        refuse_unless(read.hash() == self.digest(seen), "the bundle is damaged")
        read.end()

    def find(self, name):
        refuse_unless(name in self.objects, f"object {name.hex()} is missing")
        return self.objects[name]

    def names(self):
        return set(self.objects)


# --- Values ---

GEAR = [int.from_bytes(hashlib.md5(bytes([byte]) * 64).digest()[:8], "big") for byte in range(256)]


def first_chunk(data):
    """The length of the first chunk: for who writes, or wants to know whether a writer kept to the rule."""
    if len(data) <= MIN_CHUNK:
        return len(data)
    end, centre, rolled = min(len(data), MAX_CHUNK), min(len(data), 4096), 0
    for start, stop, mask in ((MIN_CHUNK, centre, 0x0000D90303530000), (centre, end, 0x0000D90003530000)):
        for at in range(start, stop - stop % 2):
            rolled = (2 * rolled + GEAR[data[at]]) % (1 << 64)
            if rolled & mask == 0:
                return at
    return end


def blob_id(read):
    kind = read.varint(32)
    refuse_unless(kind < 2, f"blob-id {kind}")
    return ("chunk", "list")[kind], read.hash(), read.varint((32, 64)[kind])


def index(read):
    return read.u(1), read.hash()


def tree(digest, leaves):
    """RFC 9162, section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return digest(b"\x01" + tree(digest, leaves[:half]) + tree(digest, leaves[half:]))


def chunks_of(objects, blob, place):
    """A value's chunks."""
    kind, name, length = blob
    if kind == "chunk":
        refuse_unless(place is None and length <= MAX_CHUNK, "a chunk that cannot be")
        chunks = [objects.get(name, MAX_CHUNK)]
        refuse_unless(len(chunks[0]) == length, "a chunk of another length")
        return chunks
    refuse_unless(place is not None and 1 <= place[0] <= MAX_DEPTH, "a list that cannot be")
    level = [(objects.get(place[1], MAX_CHUNK))]
    for _ in range(place[0]):
        listed = Bytes(b"".join(level))
        level, names, last = [], [], MAX_CHUNK
        while listed.left():
            refuse_unless(last >= MIN_CHUNK, "a short chunk before the last")
            chunk, last = listed.hash(), listed.u(4)
            refuse_unless(1 <= last <= MAX_CHUNK, "a chunk of a length that cannot be")
            level.append(objects.get(chunk, MAX_CHUNK))
            refuse_unless(len(level[-1]) == last, "a chunk of another length than its list says")
            names.append(chunk)
    refuse_unless(len(level) >= 2, "a list of one chunk")
    leaves, offset = [], 0
    for chunk, data in zip(names, level):
        leaves.append(objects.digest(b"\x00" + chunk + struct.pack("<QI", offset, len(data))))
        offset += len(data)
    refuse_unless(offset == length, "a value of another length")
    refuse_unless(tree(objects.digest, leaves) == name, "a value of another list root")
    return level


def value(objects, blob, place):
    return b"".join(chunks_of(objects, blob, place))


# --- Entries, states, snapshots ---


def entry(data):
    read = Bytes(data)
    device = {"major": lambda: read.varint(32), "minor": lambda: read.varint(32)}
    found = read.one_of(
        ("file", {"content": lambda: blob_id(read)}), ("directory", {}), ("symlink", {"target": read.bytes}),
        ("fifo", {}), ("character device", device), ("block device", device))
    found["mode"] = read.varint(16)
    found["xattrs"] = read.list(lambda: (read.bytes(), read.bytes()))
    found["links"] = read.option(read.bytes)
    read.end()
    names = [name for name, _ in found["xattrs"]]
    refuse_unless(found["mode"] <= 0o7777, "a mode that cannot be")
    if found["what"] == "symlink":
        target = found["target"]
        refuse_unless(found["mode"] == 0o777 and target and b"\0" not in target, "a symbolic link that cannot be")
    refuse_unless(all(a < b for a, b in zip(names, names[1:])), "attributes out of order")
    refuse_unless(all(name.startswith(b"user.") and len(name) > 5 and b"\0" not in name for name in names), "an attribute")
    return found


def note(data):
    read = Bytes(data)
    found = {"seconds": read.zigzag(), "nanoseconds": read.varint(32), "owner": read.varint(32), "group": read.varint(32),
             "index": read.option(lambda: index(read))}
    read.end()
    refuse_unless(found["nanoseconds"] < 10**9, "nanoseconds")
    return found


def parent_of(path):
    return path.rpartition(b"/")[0]


def directory_tree(state):
    """The entries of a state that is a directory tree: path, entry, note, ascending by path."""
    entries = {}
    for path, (data, beside) in state.items():
        names = path.split(b"/")
        fits = len(path) <= 4095 and all(1 <= len(name) <= 255 and name not in (b".", b"..") and b"\0" not in name for name in names)
        refuse_unless(fits, f"path {path}")
        entries[path] = entry(data), note(beside)
    groups = {}
    for path, (found, _) in entries.items():
        above = parent_of(path)
        refuse_unless(b"/" not in path or above in entries and entries[above][0]["what"] == "directory", f"parent of {path}")
        if found["links"] is not None:
            groups.setdefault(found["links"], []).append(path)
    for first, paths in groups.items():
        same = all(entries[path][0] == entries[paths[0]][0] for path in paths)
        whole = paths[0] == first and len(paths) > 1 and same and entries[first][0]["what"] != "directory"
        refuse_unless(whole, f"links of {first}")
    return entries


def state_root(kind, state):
    """The root of a map from keys to values."""
    digest = HASHES[kind]

    def subtree(leaves, depth):
        if not leaves:
            return bytes(32)
        if len(leaves) == 1:
            return leaves[0][1]
        halves = [], []
        for leaf in leaves:
            halves[leaf[0][depth // 8] >> 7 - depth % 8 & 1].append(leaf)
        return digest(b"\x13" + subtree(halves[0], depth + 1) + subtree(halves[1], depth + 1))

    leaves = []
    for key, data in state.items():
        key = digest(b"\x10" + key)
        leaves.append((key, digest(b"\x12" + key + digest(b"\x11" + data))))
    return digest(b"\x14\x01" + struct.pack("<BQ", kind, len(leaves)) + subtree(leaves, 0))


def record(objects, snapshot):
    read = Bytes(objects.get(snapshot, 512))
    kind, = read.magic(b"CCSN", 1, "hash function")
    refuse_unless(kind == objects.kind, "a record by another hash function")
    found = {"parent": read.option(read.hash), "root": read.hash(), "entries": read.varint(),
             "listing": blob_id(read), "index": read.option(lambda: index(read))}
    read.end()
    return found


def state_of(objects, snapshot):
    """A snapshot's state: from keys to values and notes."""
    said = record(objects, snapshot)
    read = Bytes(value(objects, said["listing"], said["index"]))
    state, last = {}, None
    while read.left():
        lengths = [read.u(4) for _ in range(3)]
        refuse_unless(all(length <= most for length, most in zip(lengths, (1 << 16, 1 << 20, 1 << 16))), "an entry that is too long")
        key, data, beside = (read.take(length) for length in lengths)
        refuse_unless(last is None or last < key, "keys out of order")
        state[key], last = (data, beside), key
    refuse_unless(len(state) == said["entries"], "another number of entries")
    root = state_root(objects.kind, {key: data for key, (data, _) in state.items()})
    refuse_unless(root == said["root"], "a state of another root")
    return state


# --- A repository ---


class Repository:
    """What `.cascow` holds."""

    def __init__(self, path):
        path = pathlib.Path(path)
        path = path / ".cascow" if (path / ".cascow").is_dir() else path
        self.path = path
        read = Bytes((path / "format").read_bytes())
        refuse_unless(read.take(6) == b"CASCOW", "not a repository")
        refuse_unless(read.u(1) == 1, "a repository of another version")
        kind, store = read.u(1), read.u(1)
        refuse_unless(read.take(3) == bytes(3), "fields that are not zero")
        # Those that may be ignored, and those that only keep from writing.
        read.take(8)
        refuse_unless(read.u(4) == 0, "features that are not known")
        read.end()
        refuse_unless(store in (1, 2), f"store {store}")
        self.objects = (Files, Segments)[store - 1](kind, path / "objects")

    def snapshots(self):
        read = Bytes((self.path / "snapshots").read_bytes())
        read.magic(b"CCSL", 1)
        names = []
        while read.left() >= 32:
            names.append((read.at, read.hash()))
        while names and self.is_torn(*names[-1]):
            names.pop()
        return [name for _, name in names]

    @staticmethod
    def is_torn(at, name):
        cut = 512 - at % 512
        return any(part and not any(part) for part in (name[:cut], name[cut:]))

    def labels(self):
        found = {}
        for path in (self.path / "labels").iterdir():
            if not path.name.startswith("."):
                text = path.read_text("ascii")
                refuse_unless(len(text) == 65 and text.endswith("\n"), f"label {path.name}")
                found[urllib.parse.unquote(path.name)] = bytes.fromhex(text[:64])
        return found


class Alone:
    """A bundle, as if it were a repository of its heads."""

    def __init__(self, path):
        self.objects = Bundle(pathlib.Path(path).read_bytes())

    def snapshots(self):
        return self.objects.heads

    def labels(self):
        return {}


def opened(path):
    return Alone(path) if os.path.isfile(path) else Repository(path)


def resolved(source, name):
    labels = source.labels()
    if name in labels:
        return labels[name]
    try:
        return bytes.fromhex(name)
    except ValueError:
        raise Refused(f"no snapshot {name}") from None


# --- Writing out ---


def extract(objects, snapshot, top):
    """Writes a snapshot into a new directory, with everything that the caller may set."""
    entries = directory_tree({path: both for path, both in state_of(objects, snapshot).items()})
    top = os.fsencode(top)
    os.mkdir(top)
    first_of = {}
    for path, (found, beside) in entries.items():
        place = os.path.join(top, path)
        group = found["links"]
        if group is not None and group in first_of:
            os.link(first_of[group], place, follow_symlinks=False)
            continue
        if group is not None:
            first_of[group] = place
        kind = found["what"]
        if kind == "directory":
            os.mkdir(place)
        elif kind == "symlink":
            os.symlink(found["target"], place)
        elif kind == "file":
            with open(place, "xb") as file:
                for chunk in chunks_of(objects, found["content"], beside["index"]):
                    file.write(chunk)
        elif kind == "fifo":
            os.mkfifo(place)
        else:
            bit = stat.S_IFCHR if kind == "character device" else stat.S_IFBLK
            os.mknod(place, bit | 0o600, os.makedev(found["major"], found["minor"]))
        for name, data in found["xattrs"]:
            os.setxattr(place, name, data, follow_symlinks=False)
    # What a directory holds is written before its mode and time are set, so the deepest come first.
    for path, (found, beside) in reversed(entries.items()):
        place = os.path.join(top, path)
        if os.geteuid() == 0:
            os.chown(place, beside["owner"], beside["group"], follow_symlinks=False)
        if found["what"] != "symlink":
            os.chmod(place, found["mode"])
        modified = beside["seconds"] * 10**9 + beside["nanoseconds"]
        os.utime(place, ns=(modified, modified), follow_symlinks=False)


# --- Files of records, and other files ---


def records(data, magic):
    """The records of a file, as far as they fit."""
    read = Bytes(data)
    read.magic(magic, 1)
    last, found = data[:8], []
    while read.left() >= 12:
        length, check = read.u(4), read.take(8)
        if length > 1 << 28 or length > read.left():
            break
        body = read.take(length)
        if hashlib.sha256(last + struct.pack("<I", length) + body).digest()[:8] != check:
            break
        last = check
        found.append(body)
    return found


def score(read):
    return {"value": read.f64(), "terminal": read.bool(), "feedback": read.option(read.text)}


def journal_record(data):
    read = Bytes(data)

    def edit():
        return read.bytes(), read.option(lambda: (read.bytes(), read.bytes()))

    def times():
        return {"forks": read.list(lambda: (read.varint(), read.bool())), "seal": read.option(read.varint), "at": read.varint()}

    def landing():
        return read.one_of(
            ("failed", {"complaint": lambda: read.option(read.text)}), ("lost", {"reason": read.text}), ("no effect", {}),
            ("at", {"root": read.hash, "score": lambda: read.option(lambda: score(read)), "cached": read.bool}))

    def proposal():
        return {"name": read.text(), "run": read.text(), "prior": read.f32()}

    def worker():
        return read.varint(32)

    delta = read.option(lambda: read.list(edit))
    found = read.one_of(
        ("begin", {"score": lambda: score(read), "cached": read.bool, "times": times}), ("seek", {"worker": worker}),
        ("offer", {"worker": worker, "proposals": lambda: read.list(proposal), "left out": lambda: read.varint(32),
                   "bad lines": lambda: read.varint(32), "problem": lambda: read.option(read.text)}),
        ("answer", {"worker": worker, "landing": landing, "times": times}), ("room", {"bytes": read.varint}),
        ("abandon", {"worker": worker}))
    read.end()
    return {"delta": delta, **found}


def score_record(data):
    read = Bytes(data)
    found = {"root": read.hash(), **score(read)}
    read.end()
    return found


def lease(data):
    read = Bytes(data)
    read.magic(b"CCLE", 1)
    return {"since": read.u(8), "pins": [read.hash() for _ in range(read.left() // 32)]}


def mount_record(data):
    read = Bytes(data)
    read.magic(b"CCMT", 1)
    found = {"snapshot": read.hash(), "flags": read.u(4), "namespace": (read.u(8), read.u(8)),
             "boot": read.take(read.u(2)), "base": read.take(read.u(2)), "directory": read.take(read.left())}
    refuse_unless(found["flags"] < 8 and found["directory"].startswith(b"/"), "a mount that cannot be")
    return found


def known_files(data):
    read = Bytes(data)
    read.magic(b"CCSC", 2)
    refuse_unless(read.hash() == verify_proofs.blake3(data[40:]), "damaged")
    found = {"directory": read.hash(), "snapshot": read.hash(), "files": []}
    files = [{"device": read.u(8), "inode": read.u(8), "length": read.u(8), "modified": (read.i64(), read.u(4)),
              "changed": (read.i64(), read.u(4)), "place": read.u(8), "lengths": (read.u(4), read.u(4))} for _ in range(read.u(8))]
    values = read.take(read.left())
    for file in files:
        at, (first, second) = file.pop("place"), file.pop("lengths")
        found["files"].append({**file, "entry": entry(values[at:at + first]), "note": note(values[at + first:at + first + second])})
    return found


def delta(data):
    read = Bytes(data)
    read.magic(b"CCDL", 1)
    edits, last = [], None
    while read.left():
        key, size, beside = (read.u(4) for _ in range(3))
        key = read.take(key)
        refuse_unless(last is None or last < key, "edits out of order")
        if size == 0xFFFFFFFF:
            refuse_unless(beside == 0, "a note of what is no more")
            edits.append((key, None))
        else:
            edits.append((key, (read.take(size), read.take(beside))))
        last = key
    return edits


def checkpoint(data):
    """The object of a saved search."""
    read = Bytes(data)
    words, = read.magic(b"CCSE", 3, "words")

    def choice(*names):
        return lambda: read.one_of(*names)["what"]

    settings = {"backup": read.one_of(("mean", {}), ("best", {"weight": read.f64}))}
    settings["renewal"] = choice(("path", {}), ("ancestors", {}))()
    settings["formula"] = choice(("puct", {}), ("uct", {}))()
    settings["expansion"] = choice(("one", {}), ("all", {}))()
    settings.update({name: read.f64() for name in ("exploration", "reduction", "gain weight")})
    settings.update({"depth limit": read.varint(32), "widening": read.f64(), "byte limit": read.option(read.varint), "seed": read.varint()})
    found = {"words": words, "settings": settings, "repetition": read.one_of(("impossible", {}), ("avoid", {}), ("value", {"of": read.f64})),
             "root": read.varint(32), "best": read.varint(32),
             **{name: read.varint() for name in ("evaluations", "transpositions", "closed", "forgotten")},
             "generator": read.take(32), "idle": read.varint(), "room": [read.varint(32) for _ in range(3)],
             "nodes": read.varint(32), "edges": read.varint(32),
             "spare": read.list(lambda: (read.varint(32), read.list(lambda: read.varint(32)))),
             "gains": read.list(lambda: (read.varint(32), read.f64(), read.varint(32))),
             "pages": {column: read.list(read.hash) for column in ("heads", "states", "edges")}}
    read.end()
    return found


def saved_search(objects, name):
    """The nodes of a saved search by their numbers, each with its state's bytes and its edges."""
    said = checkpoint(objects.get(name))
    wide = said["settings"]["renewal"] == "ancestors" or said["settings"]["backup"]["what"] == "best"
    repeats = said["repetition"]["what"] == "value"

    def column(which, row, rows, end):
        pages = [objects.get(page) for page in said["pages"][which]]
        refuse_unless(all(len(page) == 4 * row * rows for page in pages[:-1]), "a page of another length")
        joined = b"".join(pages)
        refuse_unless(len(joined) == 4 * row * end, "pages of another length than their rows")
        return [joined[at:at + 4 * row] for at in range(0, len(joined), 4 * row)]

    heads = column("heads", 4, 4096, said["nodes"])
    states = column("states", said["words"] + (3 if wide else 0), 4096, said["nodes"])
    words = [int.from_bytes(word, "little") for word in column("edges", 1, 65536, said["edges"])]
    nodes = {}
    for number, head in enumerate(heads):
        worth, facts, evaluation, place = struct.unpack("<fIfI", head)
        if facts == 0:
            continue
        edges = []
        if place:
            count, uniform = words[place] & 0x7FFFFFFF, words[place] >> 31
            columns = 3 + (not uniform) + repeats + 2 * wide
            refuse_unless(place >= 2 and place % 65536 + 1 + columns * count <= 65536, "edges that cannot be")
            block = words[place + 1:place + 1 + columns * count]
            for edge in range(count):
                link, visits, action = (block[at * count + edge] for at in range(3))
                refuse_unless(link != 1, "an edge that somebody is trying")
                to = link - 3 if 3 <= link < 1 << 31 else None
                edges.append({"action": action, "visits": visits, "to": to})
        nodes[number] = {"state": states[number][:4 * said["words"]], "value": worth, "evaluation": evaluation, "facts": facts,
                         "edges": edges}
    links = [edge["to"] for node in nodes.values() for edge in node["edges"] if edge["to"] is not None]
    refuse_unless(said["root"] in nodes and said["best"] in nodes and all(to in nodes for to in links), "a node that is not there")
    return {**said, "graph": nodes}


def head(kind, name, number, data):
    """Where a version of a head of a browser's database leads."""
    read = Bytes(data)
    found, = read.magic(b"CCHD", 1, "hash function")
    refuse_unless(found == kind and read.u(8) == number, "another's")
    target = read.hash()
    refuse_unless(read.hash() == HASHES[kind](data[:48] + name.encode()), "damaged")
    read.end()
    return target


def statistics(saved):
    """The root of a saved search's statistics."""
    state = {}
    for node in saved["graph"].values():
        facts = node["facts"]
        visits = (facts >> 8) + sum(edge["visits"] for edge in node["edges"])
        lowest = 2 if facts & 2 else facts & 1
        highest = 0 if facts & 8 else 1 if facts & 4 else 2
        flags = facts >> 5 & 1 | facts >> 4 << 1 & 2
        state[node["state"]] = struct.pack("<QdBBBBI", visits, node["value"], lowest, highest, flags, facts >> 6 & 3, 0)
    return state_root(1, state)


def point(data):
    """One point of a history of a browser."""
    read = Bytes(data)
    found = {"search": read.hash(), "statistics": read.hash(), **{name: read.u(8) for name in ("states", "playouts", "bytes", "saved at")},
             "from": read.u(4), "game": read.u(1)}
    refuse_unless(found["game"] < 3 and read.take(3) == bytes(3), "a point that cannot be")
    found["moves"] = read.take(read.u(4)).decode()
    found["label"] = read.take(read.left()).decode()
    return found


class Database(Objects):
    """A browser's database, as its four stores were read: keys, and values in hex."""

    def __init__(self, stores):
        read = Bytes(bytes.fromhex(dict(stores["meta"])["format"]))
        kind, = read.magic(b"CCDB", 1, "hash function")
        read.end()
        super().__init__(kind)
        pages = {number: bytes.fromhex(data) for number, data in stores["pages"]}
        self.objects = {}
        for number, data in stores["directories"]:
            read = Bytes(bytes.fromhex(data))
            while read.left() >= 40:
                name, start, length = read.hash(), read.u(4), read.u(4)
                frame = pages[number][start:start + length]
                refuse_unless(frame[5] < 2, "a codec that browsers do not have")
                self.objects[name] = open_frame(frame)
        self.heads = {}
        for (name, number), data in stores["heads"]:
            self.heads.setdefault(name, {})[number] = head(kind, name, number, bytes.fromhex(data))

    def find(self, name):
        refuse_unless(name in self.objects, f"object {name.hex()} is missing")
        return self.objects[name]

    def told(self):
        """Each head with its versions and the state that the last leads to; of a history, its points with their searches."""
        answer = {}
        for name, versions in self.heads.items():
            state = state_of(self, versions[max(versions)])
            answer[name] = {"versions": versions, "state": {key.decode("utf-8", "backslashreplace"): data for key, (data, _) in state.items()}}
            if b"history" in state:
                refuse_unless(state[b"history"][0] == b"\x01\0\0\0", "a history of another version")
                points = {}
                for key, (data, _) in state.items():
                    if key.startswith(b"point/"):
                        found = point(data)
                        saved = saved_search(self, found["search"])
                        refuse_unless(statistics(saved) == found["statistics"], "statistics of another root")
                        points[int.from_bytes(key[6:], "big")] = {**found, "nodes": len(saved["graph"])}
                answer[name] = {"versions": versions, "next": int.from_bytes(state[b"next"][0], "little"), "points": points}
        return answer


def dump(data):
    """What bytes with a magic say."""
    known = {
        b"CCOF": lambda: {"object": open_frame(data)},
        b"CCLE": lambda: lease(data),
        b"CCMT": lambda: mount_record(data),
        b"CCSC": lambda: known_files(data),
        b"CCDL": lambda: {"edits": delta(data)},
        b"CCSE": lambda: checkpoint(data),
        b"CCSJ": lambda: {"records": [journal_record(body) for body in records(data, b"CCSJ")]},
        b"CCSS": lambda: {"records": [score_record(body) for body in records(data, b"CCSS")]},
    }
    refuse_unless(data[:4] in known, "nothing that is known by its first bytes")
    return {"magic": data[:4].decode(), **known[data[:4]]()}


# --- The program ---


def shown(found):
    """As JSON has it, with bytes in hex."""
    if isinstance(found, bytes):
        return binascii.hexlify(found).decode()
    if isinstance(found, dict):
        return {str(key): shown(item) for key, item in found.items()}
    if isinstance(found, (list, tuple)):
        return [shown(item) for item in found]
    return found


def listed(source, name):
    objects, snapshot = source.objects, resolved(source, name)
    said = record(objects, snapshot)
    entries = {}
    for path, (found, beside) in directory_tree(state_of(objects, snapshot)).items():
        if found["what"] == "file":
            data = value(objects, found["content"], beside["index"])
            found["length"], found["sha256"] = len(data), hashlib.sha256(data).hexdigest()
        entries[path.decode("utf-8", "backslashreplace")] = {**shown(found), "note": shown(beside)}
    return {"snapshot": snapshot.hex(), "record": shown(said), "entries": entries}


def main(arguments):
    match arguments:
        case ["list", path]:
            source = opened(path)
            labels = {name: snapshot.hex() for name, snapshot in source.labels().items()}
            answer = {"snapshots": shown(source.snapshots()), "labels": labels, "objects": len(source.objects.names())}
        case ["list", path, name]:
            answer = listed(opened(path), name)
        case ["extract", path, name, top]:
            source = opened(path)
            extract(source.objects, resolved(source, name), top)
            answer = {"directory": top}
        case ["search", path, name]:
            answer = shown(saved_search(opened(path).objects, bytes.fromhex(name)))
        case ["browser", path]:
            answer = shown(Database(json.loads(pathlib.Path(path).read_text("utf-8"))).told())
        case ["dump", path]:
            answer = shown(dump(pathlib.Path(path).read_bytes()))
        case _:
            sys.exit(__doc__)
    json.dump(answer, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refused:
        sys.exit(f"refused: {refused}")
