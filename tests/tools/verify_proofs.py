# SPDX-License-Identifier: MIT
"""A second verifier of cascow's proofs, written from core/PROOFS.md alone, with nothing but Python's standard library.

`verify_proofs.py FILE...` holds it against files of vectors; `verify(vector)` gives ("accepted", what it says) or ("refused",
fault). Slow, and in the order of the document.
"""

import hashlib
import json
import sys

EMPTY = bytes(32)


class Fault(Exception):
    """Why a proof is not accepted: the name of a fault."""


# --- BLAKE3, as in section 2 of its paper, since the standard library lacks it ---

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT = 1, 2, 4, 8
_MASK = 0xFFFFFFFF


def _compress(chaining, block, counter, length, flags):
    state = list(chaining) + list(_IV[:4]) + [counter & _MASK, counter >> 32, length, flags]
    words = [int.from_bytes(block[at:at + 4], "little") for at in range(0, 64, 4)]

    def turn(word, bits):
        return (word >> bits | word << (32 - bits)) & _MASK

    def mix(a, b, c, d, x, y):
        state[a] = (state[a] + state[b] + x) & _MASK
        state[d] = turn(state[d] ^ state[a], 16)
        state[c] = (state[c] + state[d]) & _MASK
        state[b] = turn(state[b] ^ state[c], 12)
        state[a] = (state[a] + state[b] + y) & _MASK
        state[d] = turn(state[d] ^ state[a], 8)
        state[c] = (state[c] + state[d]) & _MASK
        state[b] = turn(state[b] ^ state[c], 7)

    for _ in range(7):
        mix(0, 4, 8, 12, words[0], words[1])
        mix(1, 5, 9, 13, words[2], words[3])
        mix(2, 6, 10, 14, words[4], words[5])
        mix(3, 7, 11, 15, words[6], words[7])
        mix(0, 5, 10, 15, words[8], words[9])
        mix(1, 6, 11, 12, words[10], words[11])
        mix(2, 7, 8, 13, words[12], words[13])
        mix(3, 4, 9, 14, words[14], words[15])
        words = [words[at] for at in _ORDER]
    return [state[at] ^ state[at + 8] for at in range(8)]


def _last_of_chunk(chunk, counter):
    """The arguments of the last compression of a chunk, without its flags for the root."""
    chaining, flags = _IV, _CHUNK_START
    while len(chunk) > 64:
        chaining = _compress(chaining, chunk[:64], counter, 64, flags)
        chunk, flags = chunk[64:], 0
    return chaining, chunk.ljust(64, b"\0"), counter, len(chunk), flags | _CHUNK_END


def _last_of_tree(data, counter):
    if len(data) <= 1024:
        return _last_of_chunk(data, counter)
    half = 1024
    while 2 * half < len(data):
        half *= 2
    parts = [(data[:half], counter), (data[half:], counter + half // 1024)]
    words = [word for part, at in parts for word in _compress(*_last_of_tree(part, at))]
    return _IV, b"".join(word.to_bytes(4, "little") for word in words), 0, 64, _PARENT


def blake3(data):
    """The BLAKE3 digest of bytes."""
    *arguments, flags = _last_of_tree(data, 0)
    return b"".join(word.to_bytes(4, "little") for word in _compress(*arguments, flags | _ROOT))


def sha256(data):
    """The SHA-256 digest of bytes."""
    return hashlib.sha256(data).digest()


FUNCTIONS = {1: sha256, 2: blake3}


# --- Every proof ---


class Input:
    """What is left of a proof, and its hash function."""

    def __init__(self, proof, magic):
        self.rest = proof
        if self.take(4) != magic:
            raise Fault("magic")
        version, self.number = self.take(2)
        if version != 1:
            raise Fault("version")
        if self.number not in FUNCTIONS:
            raise Fault("hash")

    def hash(self, *parts):
        return FUNCTIONS[self.number](b"".join(parts))

    def take(self, length):
        if length > len(self.rest):
            raise Fault("truncated")
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def number_of(self, length):
        return int.from_bytes(self.take(length), "little")

    def prefixed(self):
        return self.take(self.number_of(4))

    def finish(self):
        if self.rest:
            raise Fault("trailing")


def require(holds):
    if not holds:
        raise Fault("not canonical")


def bit(digest, depth):
    return digest[depth // 8] >> (7 - depth % 8) & 1


def common_bits(one, other):
    return next((depth for depth in range(256) if bit(one, depth) != bit(other, depth)), 256)


def read_path(proof):
    """The siblings, the topmost first; None where there is no mark."""
    levels = proof.number_of(2)
    require(levels <= 256)
    marks = int.from_bytes(proof.take((levels + 7) // 8), "little")
    require(marks >> levels == 0)
    count = bin(marks).count("1")
    there = [proof.take(32) for _ in range(count)]
    require(EMPTY not in there)
    return [there.pop() if marks >> level & 1 else None for level in range(levels)]


def parent(proof, key, depth, ours, sibling):
    if bit(key, depth):
        return proof.hash(b"\x13", sibling, ours)
    return proof.hash(b"\x13", ours, sibling)


def own_leaf(proof, key, value):
    return proof.hash(b"\x12", key, proof.hash(b"\x11", value))


def check_root(proof, entries, top, root):
    found = proof.hash(b"\x14\x01", bytes([proof.number]), entries.to_bytes(8, "little"), top)
    if found != root:
        raise Fault("root")


# --- CCSP ---


def verify_state(data, root):
    proof = Input(data, b"CCSP")
    terminal, zero = proof.take(2)
    require(zero == 0)
    entries = proof.number_of(8)
    key = proof.prefixed()
    digest = proof.hash(b"\x10", key)
    if terminal != 1:
        require(proof.take(8) == digest[-8:])
    require(terminal <= 2)
    value = proof.prefixed() if terminal == 1 else None
    other = (proof.take(32), proof.take(32)) if terminal == 2 else None
    path = read_path(proof)
    proof.finish()
    subtree = EMPTY
    if terminal == 1:
        subtree = own_leaf(proof, digest, value)
    elif terminal == 2:
        require(other[0] != digest and common_bits(other[0], digest) >= len(path))
        subtree = proof.hash(b"\x12", *other)
    for depth in reversed(range(len(path))):
        subtree = parent(proof, digest, depth, subtree, path[depth] or EMPTY)
    check_root(proof, entries, subtree, root)
    return entries, [(key, value)]


# --- CCMP ---


class Place:
    """Where the paths of one key or of several end."""

    def __init__(self, digest, leaf, other, is_to_be_shown, path):
        self.first = self.last = digest
        self.leaf = leaf
        self.other = other
        self.is_to_be_shown = is_to_be_shown
        self.is_own = is_to_be_shown or (leaf is not None and other is None)
        self.path = path


def verify_multi(data, root):
    proof = Input(data, b"CCMP")
    entries, count = proof.number_of(8), proof.number_of(4)
    place, waiting, last_stop, said = None, [], 0, []

    def climb(following):
        nonlocal last_stop
        branch = None if following is None else common_bits(place.last, following)
        stop = 0 if branch is None else branch + 1
        depth = stop + len(place.path)
        require(not place.is_to_be_shown)
        require(common_bits(place.first, place.last) >= depth)
        require(place.other is None or common_bits(place.first, place.other) >= depth)
        require(last_stop <= depth <= 256)
        subtree = place.leaf or EMPTY
        for level in reversed(range(len(place.path))):
            sibling = place.path[level]
            if waiting and waiting[-1][0] == stop + level:
                require(sibling is None)
                sibling = waiting.pop()[1]
            subtree = parent(proof, place.first, stop + level, subtree, sibling or EMPTY)
        if branch is not None:
            waiting.append((branch, subtree))
        last_stop = stop
        return subtree

    for _ in range(count):
        tag = proof.take(1)[0]
        key = proof.prefixed()
        end, is_joined = tag & ~4, bool(tag & 4)
        require(end <= 3)
        value = seal = other = path = None
        if end == 1:
            value = proof.prefixed()
        else:
            seal = proof.take(8)
        if end == 2 and not is_joined:
            other = (proof.take(32), proof.take(32))
        if not is_joined:
            path = read_path(proof)
        digest = proof.hash(b"\x10", key)
        require(seal is None or seal == digest[-8:])
        require(place is None or place.last < digest)
        require(place is not None or not is_joined)
        if is_joined:
            if end == 0:
                require(place.leaf is None and not place.is_own)
            elif end == 2:
                require(place.other is not None and place.other != digest)
            else:
                require(place.is_own)
            if end == 1:
                require(place.is_to_be_shown)
                place.leaf, place.is_to_be_shown = own_leaf(proof, digest, value), False
            place.last = digest
        else:
            if place is not None:
                climb(digest)
            leaf = None
            if end == 1:
                leaf = own_leaf(proof, digest, value)
            elif end == 2:
                require(other[0] != digest)
                leaf = proof.hash(b"\x12", *other)
            place = Place(digest, leaf, other and other[0], end == 3, path)
        said.append((key, value))
    proof.finish()
    require(place is not None)
    check_root(proof, entries, climb(None), root)
    return entries, said


# --- CCBR ---


def verify_range(data, root, start, end, chunks):
    if start >= end:
        raise Fault("empty")
    proof = Input(data, b"CCBR")
    offset, lefts, count, rights = (proof.number_of(length) for length in (8, 1, 4, 1))
    stack = []

    def push(digest, is_bare, joins):
        for _ in range(joins):
            require(stack)
            left, is_left_bare = stack.pop()
            require(not (is_bare and is_left_bare))
            digest, is_bare = proof.hash(b"\x01", left, digest), False
        stack.append((digest, is_bare))
        require(len(stack) <= 65)

    def push_subtrees(number):
        for _ in range(number):
            digest = proof.take(32)
            push(digest, True, proof.number_of(1))

    push_subtrees(lefts)
    require(count > 0)
    named, at = [], offset
    for _ in range(count):
        name, length_bytes = proof.take(32), proof.take(4)
        length = int.from_bytes(length_bytes, "little")
        leaf = proof.hash(b"\x00", name, at.to_bytes(8, "little"), length_bytes)
        push(leaf, False, proof.number_of(1))
        require(length > 0 and at + length < 1 << 64)
        named.append((name, at, length))
        at += length
    push_subtrees(rights)
    proof.finish()
    require(len(stack) == 1)
    if stack[0][0] != root:
        raise Fault("root")
    first, last = named[0], named[-1]
    if not (first[1] <= start < first[1] + first[2] and last[1] < end <= at):
        raise Fault("range")
    received, coming = b"", list(named)
    for chunk in chunks:
        if not coming:
            raise Fault("complete")
        name, at, length = coming[0]
        if len(chunk) != length:
            raise Fault("chunk length")
        if proof.hash(chunk) != name:
            raise Fault("chunk")
        coming.pop(0)
        received += chunk[max(start - at, 0):max(end - at, 0)]
    return received, end - start - len(received)


# --- CCLI and CCLC ---


def verify_inclusion(data, size, root):
    proof = Input(data, b"CCLI")
    index, said_size = proof.number_of(8), proof.number_of(8)
    leaf = proof.prefixed()
    require(index < said_size)
    digest = proof.hash(b"\x00", leaf)
    fn, sn = index, said_size - 1
    while sn:
        sibling = proof.take(32)
        if fn % 2 or fn == sn:
            digest = proof.hash(b"\x01", sibling, digest)
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            digest = proof.hash(b"\x01", digest, sibling)
        fn, sn = fn // 2, sn // 2
    proof.finish()
    check_head(said_size, digest, size, root)
    return index, leaf


def check_head(said_size, digest, size, root):
    if said_size != size:
        raise Fault("size")
    if digest != root:
        raise Fault("root")


def verify_consistency(data, old_size, old_root, new_size, new_root):
    proof = Input(data, b"CCLC")
    old, new = proof.number_of(8), proof.number_of(8)
    require(0 < old < new)
    fn, sn = old - 1, new - 1
    while fn % 2:
        fn, sn = fn // 2, sn // 2
    first = second = old_root if fn == 0 else proof.take(32)
    while sn:
        sibling = proof.take(32)
        if fn % 2 or fn == sn:
            first = proof.hash(b"\x01", sibling, first)
            second = proof.hash(b"\x01", sibling, second)
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            second = proof.hash(b"\x01", second, sibling)
        fn, sn = fn // 2, sn // 2
    proof.finish()
    check_head(old, first, old_size, old_root)
    check_head(new, second, new_size, new_root)


# --- Vectors ---


def accepted(vector):
    """What an accepted proof says, as the vectors write it."""
    proof, trusted = bytes.fromhex(vector["proof"]), vector["trusted"]
    about = vector["about"]
    if about in ("state", "multi"):
        verify_it = verify_state if about == "state" else verify_multi
        entries, said = verify_it(proof, bytes.fromhex(trusted["root"]))
        said = [[key.hex(), None if value is None else value.hex()] for key, value in said]
        return {"entries": entries, "says": said}
    if about == "range":
        chunks = [bytes.fromhex(chunk) for chunk in trusted["chunks"]]
        received, remaining = verify_range(proof, bytes.fromhex(trusted["root"]), *trusted["range"], chunks)
        return {"bytes": received.hex(), "remaining": remaining}
    if about == "inclusion":
        index, leaf = verify_inclusion(proof, trusted["size"], bytes.fromhex(trusted["root"]))
        return {"index": index, "leaf": leaf.hex()}
    heads = [trusted["old"], trusted["new"]]
    verify_consistency(proof, *(part for size, root in heads for part in (size, bytes.fromhex(root))))
    return {}


def verify(vector):
    """("accepted", what it says) or ("refused", fault)."""
    try:
        return "accepted", accepted(vector)
    except Fault as fault:
        return "refused", str(fault)


def expected(vector):
    """What the vector demands, in the same form."""
    if vector["refused"] is None:
        return "accepted", vector["accepted"]
    return "refused", vector["refused"]


def main():
    differing = 0
    for path in sys.argv[1:]:
        with open(path, encoding="ascii") as file:
            vectors = json.load(file)["vectors"]
        for vector in vectors:
            if verify(vector) != expected(vector):
                differing += 1
                print(path, vector["about"], vector["hash"], vector["attack"], vector["what"])
                print("   expected", expected(vector), "found", verify(vector))
        print(f"{path}: {len(vectors)} vectors")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
