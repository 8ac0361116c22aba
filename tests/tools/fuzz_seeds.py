#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the frozen vectors and objects as seeds for the fuzz targets: `fuzz_seeds.py DIR` makes one directory for each target."""

import hashlib
import json
import pathlib
import sys

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"


def seeds():
    """(target, bytes) of each."""
    for vector in json.loads((FIXTURES / "proofs/vectors.json").read_text("ascii"))["vectors"]:
        data = bytes.fromhex(vector["proof"])
        if vector["about"] == "range":
            # The target takes the range from the first sixteen bytes.
            data = b"".join(bound.to_bytes(8, "little") for bound in vector["trusted"]["range"]) + data
        yield vector["about"], data
    for path in sorted(FIXTURES.glob("v1/*/objects/*/*/*")):
        yield "frame", path.read_bytes()
        yield "listing", path.read_bytes()
    for path in sorted(FIXTURES.glob("v1/*.bundle")):
        yield "bundle", path.read_bytes()


def main():
    top = pathlib.Path(sys.argv[1])
    for target, data in seeds():
        (top / target).mkdir(parents=True, exist_ok=True)
        (top / target / hashlib.sha256(data).hexdigest()[:32]).write_bytes(data)


if __name__ == "__main__":
    main()
