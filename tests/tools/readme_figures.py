#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes the README's table of figures from benches/RESULTS.md, so that none is typed.

`readme_figures.py` fails if the README has another table; `readme_figures.py --write` writes it anew. Which rows are shown stands below,
those that cascow loses among them.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS, README = ROOT / "benches/RESULTS.md", ROOT / "README.md"
BEGIN, END = "<!-- figures of the benchmarks: begin -->\n", "<!-- figures of the benchmarks: end -->\n"

# Section, how the row's work begins, what its peer has in it (empty if it has none), and how the README calls it.
ROWS = [
    ("maps", "fork a state of 1024 keys and change one (8-byte keys, 32-byte values), each fork kept", "imbl 7 OrdMap",
     "fork a state of 1,024 keys, change one, keep both"),
    ("maps", "memory of a snapshot with one changed key of 1,024, one million of them, all forked from one", "",
     "memory of such a fork"),
    ("roots", "change one key of 1024 (8-byte keys, 32-byte values) and compute the root, each version kept", "jmt",
     "change one key of 1,024 and compute the root, each version kept"),
    ("roots", "root of a state from all of its 1024 keys (8-byte keys, 32-byte values), SHA-256", "merkle-search-tree",
     "root of a state from all of its 1,024 keys"),
    ("states", "1000 random backtracks among 1000000 positions of Connect Four", "", "go to any of 10^6 positions of Connect Four"),
    ("search", "1000000 evaluations, one thread", "mcts 0.3, PUCT", "playouts of Connect Four, 10^6 nodes, one thread"),
    ("search", "1000000 evaluations, two workers", "(one worker)", "the same by two workers on two processors"),
    ("search", "100000 evaluations, one thread", "our rules in plain structures", "the same, 10^5 nodes, beside the same rules without sharing or proofs"),
    ("workspaces", "fork a workspace of 10000 files, as root", "bare system calls", "fork a directory of 10,000 files (overlay, root)"),
    ("workspaces", "seal one changed file in a workspace of 100000 files", "", "make a state of it again after one change, of 100,000 files"),
    ("stores", "put 10,000 objects of 256 B and sync, by the wall, one thread", "LMDB alone", "put 10,000 objects of 256 B and sync"),
    ("stores", "get an object of 256 B of 100,000, warm and verified, one thread", "LMDB alone", "get one of 100,000, hashed again"),
    ("programs", "first save", "(git)", "save a tree of 9,583 files, 160 MB"),
    ("programs", "save again after one file has changed", "(restic)", "save it again after one file has changed"),
    ("programs", "size of the repository on the disk, of both saves", "(restic)", "size of the repository, of both saves"),
]


class NotThere(Exception):
    """A row that the README shows is not in the results."""


def row(results, section, work, peer):
    """The cells of the one row that is meant: the first of its kind."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", results, re.MULTILINE | re.DOTALL)
    for line in (found[1] if found else "").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0].startswith(work) and (peer in cells[2] if peer else not cells[2]):
            return cells
    raise NotThere(f"benches/RESULTS.md, section {section}: no row \"{work}\" beside \"{peer}\"")


def table(results):
    lines = ["| | cascow | beside | ratio | section |", "|---|---:|---:|---:|---|"]
    for section, work, peer, called in ROWS:
        _, ours, theirs, ratio, *_ = row(results, section, work, peer)
        # The times by processor that some sections add, and what is said of the peer's settings, are in the section.
        ours = re.sub(r" \([0-9.]+ s\)$", "", ours).split(", that is")[0]
        theirs = re.sub(r"^(\S+ s) \([0-9.]+ s\)", r"\1", theirs)
        lines.append(f"| {called} | {ours} | {theirs} | {ratio} | `{section}` |")
    return "\n".join(lines) + "\n"


def main(arguments):
    results, readme = RESULTS.read_text("utf-8"), README.read_text("utf-8")
    before, _, rest = readme.partition(BEGIN)
    found, _, after = rest.partition(END)
    if not after:
        sys.exit("the README has no place for the figures")
    wanted = table(results)
    if arguments == ["--write"]:
        README.write_text(before + BEGIN + wanted + END + after, "utf-8")
    elif found != wanted:
        sys.exit("the README's figures are not those of benches/RESULTS.md: tests/tools/readme_figures.py --write")


if __name__ == "__main__":
    main(sys.argv[1:])
