#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The second verifier of proofs, and the document that it was written from, against the frozen vectors.

What the document shows of its worked examples is computed here from its own rules.
"""

import copy
import json
import pathlib
import re
import unittest

import verify_proofs
from verify_proofs import blake3, sha256, verify, expected

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ["vectors.json", "million.json"]


def vectors(name):
    text = (ROOT / "tests/fixtures/proofs" / name).read_text("ascii")
    return json.loads(text)["vectors"]


def u(number, length):
    return number.to_bytes(length, "little")


def prefixed(data):
    return u(len(data), 4) + data


def examples():
    """Everything that the document's worked examples show, by label."""
    keys = {key: sha256(b"\x10" + key) for key in (b"a", b"b", b"c")}
    values = {key: sha256(b"\x11" + value) for key, value in ((b"a", b"1"), (b"b", b"2"))}
    leaves = {key: sha256(b"\x12" + keys[key] + values[key]) for key in values}
    bits = {key: keys[key][0] >> 7 for key in keys}
    assert bits == {b"a": 0, b"b": 1, b"c": 0}, "the examples' shape"
    top = sha256(b"\x13" + leaves[b"a"] + leaves[b"b"])
    root = sha256(b"\x14\x01\x01" + u(2, 8) + top)
    head = b"\x01\x01"
    path = u(1, 2) + b"\x01" + leaves[b"b"]
    present = b"CCSP" + head + b"\x01\x00" + u(2, 8) + prefixed(b"a") + prefixed(b"1") + path
    absent = b"CCSP" + head + b"\x02\x00" + u(2, 8) + prefixed(b"c") + keys[b"c"][-8:] + keys[b"a"] + values[b"a"] + path
    many = b"CCMP" + head + u(2, 8) + u(2, 4)
    many += b"\x01" + prefixed(b"a") + prefixed(b"1") + u(0, 2)
    many += b"\x01" + prefixed(b"b") + prefixed(b"2") + u(1, 2) + b"\x00"
    chunks = [b"one chunk, ", b"and another"]
    names = [sha256(chunk) for chunk in chunks]
    listed = [sha256(b"\x00" + name + u(11 * at, 8) + u(11, 4)) for at, name in enumerate(names)]
    list_root = sha256(b"\x01" + listed[0] + listed[1])
    some = b"CCBR" + head + u(11, 8) + u(1, 1) + u(1, 4) + u(0, 1)
    some += listed[0] + u(0, 1) + names[1] + u(11, 4) + u(1, 1)
    log = [sha256(b"\x00" + leaf) for leaf in (b"first", b"second", b"third")]
    two = sha256(b"\x01" + log[0] + log[1])
    three = sha256(b"\x01" + two + log[2])
    inclusion = b"CCLI" + head + u(1, 8) + u(3, 8) + prefixed(b"second") + log[0] + log[2]
    consistency = b"CCLC" + head + u(2, 8) + u(3, 8) + log[2]
    shown = {
        "key digest of a": keys[b"a"],
        "key digest of b": keys[b"b"],
        "key digest of c": keys[b"c"],
        "value digest of 1": values[b"a"],
        "leaf of a": leaves[b"a"],
        "leaf of b": leaves[b"b"],
        "top": top,
        "root": root,
        "proof of a": present,
        "proof of c": absent,
        "proof of a and b": many,
        "name of the second chunk": names[1],
        "leaf of the first chunk": listed[0],
        "list root": list_root,
        "proof of bytes 11 to 14": some,
        "root of two": two,
        "root of three": three,
        "proof of second": inclusion,
        "proof of continuation": consistency,
    }
    said = {
        "proof of a": (2, [(b"a", b"1")]) == verify_proofs.verify_state(present, root),
        "proof of c": (2, [(b"c", None)]) == verify_proofs.verify_state(absent, root),
        "proof of a and b": (2, [(b"a", b"1"), (b"b", b"2")]) == verify_proofs.verify_multi(many, root),
        "proof of bytes 11 to 14": (b"and", 0) == verify_proofs.verify_range(some, list_root, 11, 14, chunks[1:]),
        "proof of second": (1, b"second") == verify_proofs.verify_inclusion(inclusion, 3, three),
        "proof of continuation": verify_proofs.verify_consistency(consistency, 2, two, 3, three) is None,
    }
    return shown, said


class Proofs(unittest.TestCase):
    def test_the_second_verifier_agrees_on_every_vector(self):
        for name in FILES:
            for vector in vectors(name):
                with self.subTest(file=name, about=vector["about"], attack=vector["attack"], what=vector["what"]):
                    self.assertEqual(verify(vector), expected(vector))

    def test_a_vector_that_demands_something_else_is_noticed(self):
        for vector in vectors("vectors.json")[::40]:
            altered = copy.deepcopy(vector)
            if vector["refused"] is None:
                altered["accepted"]["more"] = 1
            else:
                altered["refused"] = "another"
            self.assertNotEqual(verify(altered), expected(altered))

    def test_blake3_is_that_of_its_authors(self):
        # Input lengths and digests of their test_vectors.json: bytes that count from 0 to 250, again and again.
        for length, digest in ((0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
                               (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
                               (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444")):
            data = bytes(at % 251 for at in range(length))
            self.assertEqual(blake3(data).hex(), digest, length)

    def test_the_worked_examples_are_what_the_rules_give(self):
        text = (ROOT / "core/PROOFS.md").read_text("utf-8")
        in_document = {}
        for label, first, rest in re.findall(r"^([a-z][a-z0-9 ]*): ([0-9a-f]+)((?:\n  [0-9a-f]+)*)$", text, re.MULTILINE):
            in_document[label] = re.sub(r"\s", "", first + rest)
        shown, said = examples()
        self.assertEqual(in_document, {label: value.hex() for label, value in shown.items()})
        self.assertEqual(said, dict.fromkeys(said, True))


if __name__ == "__main__":
    unittest.main()
