#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves what the bundled example promises: exactly one set of repairs, in any order, scores 1.0.

Runs the actions and the score command in throw-away copies, as the search does, but shares no code with it. Prints each claim as it is
established, and exits with 1 at the first that does not hold.

    python3 check.py [--jobs N] [--quick]
"""

import argparse
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

DEMO = Path(__file__).resolve().parent
SCORE = "sh tests/run.sh"

# What each action is meant to be. The repairs are listed by the file they edit; everything else is told apart by its effect.
REPAIRS = {
    "lib/money.sh": ["pad the cents to two digits", "round half a cent up"],
    "lib/date.sh": [
        "centuries are leap years every 400 years",
        "read 08 and 09 as decimal",
        "carry December into the next year",
        "count weekdays from Sunday",
        "look for the weekend at 6 and 0",
    ],
    "lib/text.sh": ["trim only at the ends"],
    "lib/order.sh": ["read a last line without a newline"],
    "lib/invoice.sh": ["give the discount from ten on"],
}
RIGHT = [name for names in REPAIRS.values() for name in names]
RIVALS = {  # half a repair: the whole one
    "round every fraction of a cent up": "round half a cent up",
    "centuries are not leap years": "centuries are leap years every 400 years",
    "trim without expanding stars": "trim only at the ends",
}
EXCLUSIVE = {"centuries are not leap years", "trim without expanding stars"}  # after one of a pair, the other finds nothing to edit
HARMFUL = {"write thousands with a dot", "send for free from 40.00", "no VAT on sending"}
COSMETIC = {"reword a comment", "rename a variable", "mention the licence"}  # another state, the same score
IDLE = {"run the tests", "keep notes and throw them away"}  # the same state
FAILING = {"print the currency"}

ACTIONS = {action["name"]: action["run"] for action in tomllib.loads((DEMO / "actions.toml").read_text())["action"]}

# A tree is a sorted tuple of (path, mode, contents), with None for the contents of a directory: two trees are equal when `diff -r` and
# `ls -lR` see no difference but times.


def read_tree(top):
    paths = sorted(top.rglob("*"))
    return tuple((str(p.relative_to(top)), p.stat().st_mode, p.read_bytes() if p.is_file() else None) for p in paths)


def write_tree(tree, top):
    for path, mode, contents in tree:
        target = top / path
        if contents is None:
            target.mkdir()
        else:
            target.write_bytes(contents)
        target.chmod(mode)


def run(tree, command, environment=None):
    """Runs a command in a copy of the tree: (exit code, standard output, tree afterwards)."""
    with tempfile.TemporaryDirectory(prefix="cascow-demo-") as copy:
        top = Path(copy)
        write_tree(tree, top)
        done = subprocess.run(
            ["sh", "-c", command], cwd=top, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        )
        return done.returncode, done.stdout.decode(), read_tree(top)


@lru_cache(maxsize=None)
def act(tree, name):
    """The tree after an action, and whether the action succeeded."""
    code, _, after = run(tree, ACTIONS[name])
    return after, code == 0


def walk(tree, names):
    for name in names:
        tree, _ = act(tree, name)
    return tree


def entry(tree, path):
    return next(e for e in tree if e[0] == path)


def verdict(output):
    """The score and the cases that pass, from what the tests print."""
    *cases, last = output.splitlines()
    passing = frozenset(line.split(" - ", 1)[1] for line in cases if line.startswith("ok "))
    return json.loads(last)["score"], passing


@lru_cache(maxsize=None)
def judge(tree):
    code, output, _ = run(tree, SCORE)
    claim(code == 0, f"the tests end with exit code {code}")
    return verdict(output)


def score(tree):
    return judge(tree)[0]


def claim(holds, what):
    if not holds:
        sys.exit(f"check: this does not hold: {what}")


def say(text):
    print(f"ok - {text}", flush=True)


def subsets(items):
    return itertools.chain.from_iterable(itertools.combinations(items, n) for n in range(len(items) + 1))


def check_roles(start):
    known = [*RIGHT, *RIVALS, *HARMFUL, *COSMETIC, *IDLE, *FAILING]
    claim(sorted(known) == sorted(ACTIONS), "every action has one role")
    for name in ACTIONS:
        after, succeeded = act(start, name)
        claim(succeeded == (name not in FAILING), f"'{name}' succeeds, or is meant to fail")
        claim((after == start) == (name in IDLE | FAILING), f"'{name}' changes the tree, or is meant not to")
        if name not in IDLE | COSMETIC | FAILING:
            again, succeeded = act(after, name)
            claim(not succeeded and again == after, f"'{name}' finds nothing to edit the second time, and changes nothing")
    say(f"{len(ACTIONS)} actions: {len(RIGHT)} repairs, {len(RIVALS)} half repairs, {len(HARMFUL)} harmful, "
        f"{len(COSMETIC)} cosmetic, {len(IDLE)} idle, {len(FAILING)} failing")


def check_start(start):
    claim(0.2 <= score(start) <= 0.6, f"the initial score {score(start)} is between 0.2 and 0.6")
    say(f"the broken program scores {score(start)}")


def check_order(start, repaired):
    claim(score(repaired) == 1.0, "the repairs score 1.0")
    for seed in range(24):
        order = random.Random(seed).sample(RIGHT, len(RIGHT))
        claim(walk(start, order) == repaired, f"the repairs reach the same bytes in the order {order}")
    say("the repairs score 1.0, and reach the same bytes in 24 random orders")

    pairs = 0
    for one, other in itertools.combinations(ACTIONS, 2):
        exclusive = any(rival in EXCLUSIVE and {rival, RIVALS[rival]} == {one, other} for rival in RIVALS)
        commute = walk(start, [one, other]) == walk(start, [other, one])
        claim(commute != exclusive, f"'{one}' and '{other}' commute, or exclude each other")
        pairs += 1
    say(f"of {pairs} pairs of actions, all commute but the {len(EXCLUSIVE)} that exclude each other")


def check_subsets(start, jobs):
    chosen = list(subsets(RIGHT))
    trees = {names: walk(start, names) for names in chosen}
    with ThreadPoolExecutor(jobs) as pool:
        scores = dict(zip(chosen, pool.map(score, trees.values())))
    perfect = [names for names in chosen if scores[names] == 1.0]
    claim(len(set(trees.values())) == len(chosen), "different sets of repairs give different trees")
    claim(perfect == [tuple(RIGHT)], f"no part of the repairs scores 1.0: {perfect}")
    most = max(scores[names] for names in chosen if len(names) <= 2)
    claim(most < 0.6, f"no two repairs do most of the work: {most}")
    least = min(scores[tuple(RIGHT)] - scores[tuple(n for n in RIGHT if n != name)] for name in RIGHT)
    say(f"of {len(chosen)} sets of repairs only the whole scores 1.0; the best pair scores {most}, the least last step gains {least:.4f}")


def check_masking(start):
    weekday, weekend = "count weekdays from Sunday", "look for the weekend at 6 and 0"
    broken, first, second, both = (score(walk(start, names)) for names in [(), (weekday,), (weekend,), (weekday, weekend)])
    claim(second < broken < first < both, "the weekend's repair makes sense only after the weekday's")
    say("two defects hide each other: the weekend's repair loses alone, and gains after the weekday's")


def check_extras(start, repaired):
    for extra in [*RIVALS, *HARMFUL]:
        claim(score(walk(start, [extra, *RIGHT])) < 1.0, f"'{extra}' spoils the repairs that follow")
        after = walk(start, [*RIGHT, extra])
        claim(after == repaired if extra in EXCLUSIVE else score(after) < 1.0, f"'{extra}' spoils the repairs before it, or finds no hold")
    for rival, whole in RIVALS.items():
        half, full = score(walk(start, [rival])), score(walk(start, [whole]))
        claim(score(start) < half < full, f"'{rival}' gains something, '{whole}' more")
    for extras in subsets([*COSMETIC, *IDLE, *FAILING]):
        claim(score(walk(start, [*extras, *RIGHT])) == 1.0, f"{extras} spoil nothing")
    say("each half repair gains less than the whole; each spoils it, as does each harmful action; the others never do")


def check_only_answer(start, repaired):
    """Every state that any sequence of actions can reach, file by file.

    Each action edits one file, so a state is one variant of each. The functions of money, date and text call no other library, and their
    cases pass or fail with their own file alone: a state scores 1.0 only if each of these files is right by itself. Given that, order and
    then invoice are judged with the files before them repaired.
    """
    libraries = {path: Path(path).stem for path in REPAIRS}
    edited = {name: {path for (path, *old), (_, *new) in zip(start, act(start, name)[0]) if old != new} for name in ACTIONS}
    claim(all(len(paths) <= 1 for paths in edited.values()), "each action edits at most one file")
    contents = {path: data.decode() for path, _, data in start if data is not None}
    for path, prefix in libraries.items():
        functions = re.findall(r"^(\w+)\(\)", contents[path], re.MULTILINE)
        claim(all(function.startswith(f"{prefix}_") for function in functions), f"the functions of {path} bear its name")

    states, runs = 1, 0
    for path, names in REPAIRS.items():
        alone = path in {"lib/money.sh", "lib/date.sh", "lib/text.sh"}
        others = "|".join(prefix for other, prefix in libraries.items() if other != path)
        claim(not alone or not re.search(rf"\b({others})_\w", contents[path]), f"{path} calls no other library")

        editors = [name for name in ACTIONS if edited[name] == {path}]
        # Of two that exclude each other the first wins, so both orders are tried; all others commute.
        orders = [order for chosen in subsets(editors) for order in (chosen, chosen[::-1])]
        variants = {entry(walk(start, order), path) for order in orders}
        right = {entry(walk(start, [*names, *cosmetic]), path) for cosmetic in subsets(COSMETIC)}

        others_repaired = [e for e in repaired if e[0] != path and not (alone and e[0] in libraries)]
        passing = {variant: judge(tuple(sorted([*others_repaired, variant])))[1] for variant in variants}
        own_cases = passing[entry(repaired, path)]
        claim({variant for variant in variants if own_cases <= passing[variant]} == right, f"only the repaired {path} passes its cases")
        states, runs = states * len(variants), runs + len(variants)
    say(f"{states} states of the libraries can be reached, and by the cases of {runs} variants only the repaired ones score 1.0")


def check_greedy(start):
    tree, steps = start, []
    while score(tree) < 1.0:
        gains = sorted(((score(act(tree, name)[0]), name) for name in ACTIONS if name not in steps), reverse=True)
        claim(gains[0][0] > score(tree), f"some action gains after {steps}")
        steps.append(gains[0][1])
        tree, _ = act(tree, steps[-1])
    claim(sorted(steps) == sorted(RIGHT), f"the greedy walk takes the repairs: {steps}")
    say(f"a greedy walk climbs all the way, in {len(steps)} steps")


def check_random_walks(start):
    for seed in range(100):
        dice = random.Random(seed)
        order = dice.sample(list(ACTIONS), dice.randrange(len(ACTIONS) + 1))
        spoiled = any(name in order for name in HARMFUL | (RIVALS.keys() - EXCLUSIVE)) or any(
            rival in order and rival in order[: order.index(RIVALS[rival])] for rival in EXCLUSIVE if RIVALS[rival] in order)
        complete = all(name in order for name in RIGHT)
        claim((score(walk(start, order)) == 1.0) == (complete and not spoiled), f"the score of {order} is foreseen")
    say("the scores of 100 random walks are as foreseen")


def check_shells(start, repaired):
    found = []
    hostile = {"LC_ALL": "tr_TR.UTF-8", "answer": "1", "terms": "99", "tax": "7", "IFS": "1", "CDPATH": "/", "POSIXLY_CORRECT": "1"}
    for shell in ["dash", "bash", "busybox"]:
        program = shutil.which(shell)
        if program is None:
            print(f"# no {shell} here")
            continue
        with tempfile.TemporaryDirectory(prefix="cascow-demo-sh-") as path:
            # As `sh`, bash is POSIX; busybox brings its own tools too.
            for name in ["sh", "sed", "cat", "rm"] if shell == "busybox" else ["sh"]:
                os.symlink(program, Path(path, name))
            for extra in [{}, hostile]:
                environment = {**os.environ, **extra, "PATH": f"{path}:{os.environ['PATH']}"}
                for tree in [start, repaired]:
                    claim(run(tree, SCORE, environment) == run(tree, SCORE), f"the tests print the same under {shell}")
                tree = start
                for name in RIGHT:
                    _, _, tree = run(tree, ACTIONS[name], environment)
                claim(tree == repaired, f"the repairs reach the same bytes under {shell}")
                for name in set(ACTIONS) - set(RIGHT):
                    code, _, tree = run(start, ACTIONS[name], environment)
                    claim((tree, code == 0) == act(start, name), f"'{name}' does the same under {shell}")
        found.append(shell)
    claim(found, "there is a shell to check")
    invoices = {run(repaired, "bin/invoice <orders/ada.txt")[1]}
    claim(len(invoices) == 1 and "Total" in invoices.pop(), "the repaired program prints its invoice")
    say(f"tests and actions do the same as {', '.join(found)}, also in a hostile environment")


def check_damage(repaired):
    """Whatever a library does, the tests end well and say less than 1.0."""
    damages = {"a syntax error": "if then (", "an exit": "exit 0", "an endless loop": "while :; do :; done", "nothing at all": ""}
    for what, text in damages.items():
        for library in ["lib/money.sh", "lib/invoice.sh"]:
            damaged = tuple((path, mode, text.encode() if path == library else data) for path, mode, data in repaired)
            code, output, after = run(damaged, SCORE)
            claim(code == 0 and verdict(output)[0] < 1.0 and after == damaged, f"the tests survive {what} in {library}")
    head = b"text_fit() {\n"
    endless = tuple((path, mode, data and data.replace(head, head + b"while :; do :; done\n")) for path, mode, data in repaired)
    claim(endless != repaired, "there is a text_fit to damage")
    claim(0.8 < verdict(run(endless, SCORE)[1])[0] < 1.0, "the tests survive a function that never ends, and go on")
    say("the tests survive syntax errors, exits, endless loops and missing functions in the libraries")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="copies at work at once")
    parser.add_argument("--quick", action="store_true", help="without the 1024 sets of repairs, which the argument by files covers too")
    options = parser.parse_args()
    start = read_tree(DEMO / "workspace")
    repaired = walk(start, RIGHT)
    check_roles(start)
    check_start(start)
    check_order(start, repaired)
    if not options.quick:
        check_subsets(start, options.jobs)
    check_masking(start)
    check_extras(start, repaired)
    check_only_answer(start, repaired)
    check_greedy(start)
    check_random_walks(start)
    check_shells(start, repaired)
    check_damage(repaired)
    claim(read_tree(DEMO / "workspace") == start, "the workspace is as it was")
    print(f"{judge.cache_info().currsize} distinct states scored, {act.cache_info().currsize} actions run")


if __name__ == "__main__":
    main()
