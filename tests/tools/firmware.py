#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the firmware, runs it in an emulator with the frozen vectors, measures it, and compares the figures in the documents.

They are compared if the compiler is the one that they were made with; the bounds are checked with every one.

`firmware.py` fails if an answer, a bound or a figure is wrong; `firmware.py --write` writes the figures anew. It needs the target
thumbv7m-none-eabi, the component llvm-tools and qemu-system-arm.

What is measured, and how:

- flash: the sizes of sections and symbols of images that hold verifiers alone;
- stack: painted by the firmware itself, the deepest over all vectors; and bounded from the machine code: the frames of every
  function that can be reached, along the deepest way, where a recursion or a call through a pointer is an error;
- instructions: counted by the emulator, which writes one line for each, from the verifier's first to the one after its last.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "tests/firmware"
FIXTURES = ROOT / "tests/fixtures/proofs"
README = ROOT / "README.md"
GUIDE = ROOT / "guides/devices.md"
TARGET = "thumbv7m-none-eabi"
BEGIN, END = "<!-- figures of the firmware: begin -->\n", "<!-- figures of the firmware: end -->\n"

FLASH_LIMIT = 8 * 1024
STACK_LIMIT = 1024
HASHING_LIMIT = 0.85
# A run takes seconds; an emulator that waits for itself is ended.
RUN_LIMIT_SECS = 240

FACES = ["face_state", "face_many", "face_range", "face_chunk", "face_inclusion", "face_consistency"]


class Wrong(Exception):
    """What does not hold."""


def require(holds, what):
    if not holds:
        raise Wrong(what)


# --- Building ---


def target_dir():
    base = os.environ.get("CARGO_TARGET_DIR")
    return pathlib.Path(base) / "firmware" if base else ROOT / "target/firmware"


def cargo(*arguments, check=True):
    command = ["cargo", *arguments, "--locked", "--release", "--target-dir", str(target_dir())]
    done = subprocess.run(command, cwd=FIRMWARE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode:
        print(done.stdout)
        raise Wrong(f"{' '.join(command)} failed")
    return done


def image(name):
    return target_dir() / TARGET / "release" / name


def require_refusal(feature, symbol):
    """What panics or allocates must not link: else the other images' linking would show nothing."""
    done = cargo("build", "--bin", "all", "--features", feature, check=False)
    undefined = f"undefined symbol: {symbol}"
    require(done.returncode and undefined in done.stdout, f"an image with {feature} must fail with '{undefined}'")
    print(f"an image with {feature} does not link: {undefined}")


def tool(name, *arguments):
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], cwd=FIRMWARE, stdout=subprocess.PIPE, text=True, check=True)
    found = sorted(pathlib.Path(sysroot.stdout.strip()).glob(f"lib/rustlib/*/bin/{name}"))
    require(found, f"{name} is missing: rustup component add llvm-tools")
    return subprocess.run([str(found[0]), *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True).stdout


# --- Flash ---

HASH = re.compile(r"cascow_core::hash::|sha2::|digest::|block_buffer::|hybrid_array::|blake3::")
STARTUP = re.compile(r"^(Reset|DefaultHandler_|DefaultPreInit|HardFault_|main|__RESET_VECTOR|__EXCEPTIONS|__INTERRUPTS)$")


def symbols(path):
    """(address, size, demangled name) of everything in flash that has a size."""
    lines = tool("llvm-nm", "--print-size", "--demangle", path).splitlines()
    for line in lines:
        match = re.match(r"([0-9a-f]{8}) ([0-9a-f]{8}) [tTrR] (.*)$", line)
        if match:
            yield int(match[1], 16), int(match[2], 16), match[3]


def functions(table, end):
    """(size, name) of each function of `table` below `end`, with the padding that it may need.

    What padding there is depends on the order of the functions, and that on the path of the sources. A function in assembly has no size:
    it goes on to the next.
    """
    table = sorted(((address & ~1, -size, symbol) for address, size, symbol in table if 0x400 <= address < end))
    starts = [*sorted({address for address, _, _ in table}), end]
    behind = 0
    for address, size, symbol in table:
        # Other names of a function, and labels within one, are no functions.
        if address >= behind:
            behind = address - size if size else starts[starts.index(address) + 1]
            yield -(-(behind - address) // 4) * 4, symbol


def flash(name):
    """Bytes of the hash function, and of all else but start-up: the verifier, and what the compiler has it call."""
    sections = dict(re.findall(r"^(\.\w+)\s+(\d+)", tool("llvm-size", "-A", image(name)), re.MULTILINE))
    table, end = list(symbols(image(name))), 0x400 + int(sections[".text"])
    code = list(functions(table, end))
    constants = sum(size for address, size, symbol in table if address >= end and HASH.search(symbol))
    hashing = constants + sum(size for size, symbol in code if HASH.search(symbol))
    startup = sum(size for size, symbol in code if STARTUP.match(symbol))
    require(hashing > 500 and startup > 40, f"{name}: the symbols have other names than expected")
    whole = sum(size for size, _ in code) + sum(int(sections.get(section, 0)) for section in (".rodata", ".data"))
    return hashing, whole - hashing - startup


# --- Stack, from the machine code ---


class Code:
    """The functions of an image: their frames and whom they call."""

    def __init__(self, path):
        self.calls, self.frames, self.returns = {}, {}, {}
        function = None
        lines = tool("llvm-objdump", "-d", "--no-show-raw-insn", path).splitlines()
        called = None
        for line in lines:
            start = re.match(r"[0-9a-f]{8} <(.*)>:$", line)
            if start:
                function = start[1]
                self.calls[function], self.frames[function] = set(), 0
                continue
            instruction = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*?)(?:\s*@.*)?$", line)
            if not instruction or function is None:
                continue
            address, name, operands = int(instruction[1], 16), instruction[2], instruction[3]
            if called:
                self.returns.setdefault(called, []).append(address)
                called = None
            called = self.read(function, name, operands)

    def read(self, function, name, operands):
        base = name.split(".")[0]
        if base == "push" or (base == "stmdb" and operands.startswith("sp!")):
            self.frames[function] += 4 * registers(operands)
        elif base in ("sub", "subw") and re.match(r"sp(, sp)?, #", operands):
            self.frames[function] += int(operands.rsplit("#")[1], 0)
        elif base in ("sub", "mov") and operands.startswith("sp,") and "#" not in operands:
            require(base == "mov" and operands == "sp, r7" or base == "mov", f"{function}: a frame of unknown size")
        elif re.match(r"str", base) and re.search(r"\[sp, #-(\d+|0x[0-9a-f]+)\]!", operands):
            self.frames[function] += int(re.search(r"\[sp, #-(\w+)\]!", operands)[1], 0)
        target = re.search(r"<([^>+]+)>", operands)
        if base in ("bl", "b", "cbz", "cbnz") or re.fullmatch(r"b(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)", base):
            if target and target[1] != function:
                self.calls[function].add(target[1])
                return target[1] if base == "bl" else None
        elif base == "blx" or (base == "bx" and operands != "lr"):
            self.calls[function].add("a pointer")
        return None

    def deepest(self, function, above=()):
        require(function != "a pointer", f"{above[-1:]}: a call through a pointer")
        require(function not in above, f"{function}: recursion")
        require(function in self.frames, f"{function}: unknown")
        below = [self.deepest(called, (*above, function)) for called in self.calls[function]]
        return self.frames[function] + max(below, default=0)

    def named(self, part):
        found = [function for function in self.calls if part in function]
        require(len(found) == 1, f"{part}: {found}")
        return found[0]


def registers(operands):
    count = 0
    for item in re.search(r"\{(.*)\}", operands)[1].split(","):
        first, _, last = item.strip().partition("-")
        count += 1 if not last else int(last[1:]) - int(first[1:]) + 1
    return count


# --- Messages and answers ---


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(data):
    return varint(len(data)) + data


def messages(vector, piece_len):
    """What the device receives: `receive.rs` has the types."""
    trusted, proof = vector["trusted"], bytes.fromhex(vector["proof"])
    root = bytes.fromhex(trusted.get("root", ""))
    chunks = [bytes.fromhex(chunk) for chunk in trusted.get("chunks", [])]
    if vector["about"] == "state":
        yield varint(0) + root
    elif vector["about"] == "multi":
        yield varint(1) + root
    elif vector["about"] == "range":
        start, end = trusted["range"]
        yield varint(2) + root + varint(start) + varint(end) + varint(len(chunks))
    elif vector["about"] == "inclusion":
        yield varint(3) + varint(trusted["size"]) + root
    else:
        (old, old_root), (new, new_root) = trusted["old"], trusted["new"]
        yield varint(4) + varint(old) + bytes.fromhex(old_root) + varint(new) + bytes.fromhex(new_root)
    for at in range(0, len(proof), piece_len) or [0]:
        yield varint(5) + varint(len(proof)) + varint(at) + sized(proof[at:at + piece_len])
    for chunk in chunks:
        yield varint(6) + sized(chunk)


def answer(vector, functions):
    """The line that the device must send. A build without a hash function refuses it before it reads on."""
    proof = bytes.fromhex(vector["proof"])
    refused, said = vector["refused"], vector["accepted"]
    unknown = len(proof) > 5 and proof[5] in (1, 2) and proof[5] not in functions
    if unknown and refused not in ("empty", "magic", "version"):
        return "refused hash"
    if refused is not None:
        return f"refused {refused}"
    if vector["about"] in ("state", "multi"):
        pairs = [key + ("-" if value is None else f"={value}") for key, value in said["says"]]
        return f"accepted entries {said['entries']} {' '.join(pairs)}"
    if vector["about"] == "range":
        return f"accepted bytes {said['bytes']} remaining {said['remaining']}"
    if vector["about"] == "inclusion":
        return f"accepted index {said['index']} leaf {said['leaf']}"
    return "accepted"


def vectors(name):
    return json.loads((FIXTURES / name).read_text("ascii"))


# --- Running ---


def run(path, vectors_to_send, *more, piece_len=200):
    """The lines that the device sends."""
    with tempfile.TemporaryDirectory(prefix="cascow-firmware-") as scratch:
        with open(pathlib.Path(scratch) / "messages", "wb") as file:
            for vector in vectors_to_send:
                for message in messages(vector, piece_len):
                    file.write(len(message).to_bytes(2, "little") + message)
        command = ["qemu-system-arm", "-machine", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "none",
                   "-semihosting-config", "enable=on,target=native", "-kernel", str(path), *more]
        done = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              timeout=RUN_LIMIT_SECS, check=False)
    lines = done.stdout.splitlines()
    require(done.returncode == 0, f"the device stopped: {lines[-1:]}")
    return lines


def compare(path, sent, functions):
    """Compares every answer; gives the deepest stack of each verifier."""
    lines = run(path, sent)
    require(len(lines) == len(sent) + len(FACES), f"{len(lines)} lines of {len(sent)} proofs")
    wrong = 0
    for vector, line in zip(sent, lines):
        if line != answer(vector, functions):
            wrong += 1
            print(vector["about"], vector["hash"], vector["attack"], vector["what"])
            print("   expected", answer(vector, functions)[:200])
            print("   found   ", line[:200])
    require(not wrong, f"{wrong} answers are wrong")
    found = [line.split() for line in lines[len(sent):]]
    require([words[1] for words in found] == FACES, "the report of stacks")
    return {words[1]: int(words[2]) for words in found}


def one_by_one():
    """The emulator's option to write a line for each instruction; its name changed in version 8.1."""
    text = subprocess.run(["qemu-system-arm", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    version = tuple(map(int, re.search(r"version (\d+)\.(\d+)", text).groups()))
    return ["-accel", "tcg,one-insn-per-tb=on"] if version >= (8, 1) else ["-singlestep"]


def instructions(path, code, vector):
    """(all, of hashing) from the verifier's entry to its return."""
    table = sorted(symbols(path))
    entry = [address for address, _, symbol in table if "face_state" in symbol]
    back = code.returns[code.named("face_state")]
    require(len(entry) == 1 and len(back) == 1, "the verifier is called from one place")
    owners = {}
    for address, size, symbol in table:
        if re.match(r"(__aeabi_)?mem|compiler_builtins::mem|OUTLINED_FUNCTION|__aeabi", symbol):
            owner = None
        else:
            owner = bool(HASH.search(symbol))
        for at in range(address & ~1, (address & ~1) + size, 2):
            owners[at] = owner
    whole = hashing = 0
    owner, inside = False, False
    with tempfile.TemporaryDirectory(prefix="cascow-trace-") as scratch:
        log = pathlib.Path(scratch) / "trace"
        run(path, [vector], *one_by_one(), "-d", "exec,nochain", "-D", str(log), piece_len=4096)
        with open(log, encoding="ascii", errors="replace") as lines:
            for line in lines:
                match = re.match(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", line)
                if not match:
                    continue
                at = int(match[1], 16)
                if at == entry[0] & ~1:
                    inside = True
                elif at == back[0]:
                    inside = False
                if inside:
                    # What the compiler has called (copies, outlined code) belongs to whom it was called by.
                    known = owners.get(at)
                    owner = owner if known is None else known
                    whole += 1
                    hashing += owner
    require(whole > 10_000, f"{whole} instructions")
    return whole, hashing


# --- Figures ---


def compiler():
    """Sizes and instructions are one compiler's."""
    text = subprocess.run(["rustc", "--version"], cwd=FIRMWARE, stdout=subprocess.PIPE, text=True, check=True).stdout
    return " ".join(text.split()[:2])


def in_bytes(number):
    return f"{number:,} B"


def table(measured):
    rows = ["| Cortex-M3, SHA-256, optimised for size | hash | verifier | together |", "|---|---:|---:|---:|"]
    names = {
        "state": "flash: a key, present or absent",
        "logs": "flash: logs, inclusion and consistency",
        "many": "flash: many keys",
        "ranges": "flash: ranges of a long value",
        "all": "flash: all of these",
    }
    for name, what in names.items():
        hashing, rest = measured["flash"][name]
        rows.append(f"| {what} | {in_bytes(hashing)} | {in_bytes(rest)} | {in_bytes(hashing + rest)} |")
    rows += ["", "| stack, beside slots that the caller lends | painted, over all vectors | bound, from the machine code |",
             "|---|---:|---:|"]
    faces = {
        "face_state": "a key, present or absent",
        "face_inclusion": "a leaf in a log",
        "face_consistency": "a log that continues another",
        "face_many": "many keys; slots of 33 B, fewer than keys",
        "face_range": "a range; slots of 33 B, one a level of the value's list",
        "face_chunk": "a chunk of a range, 8 KiB or less",
    }
    for face, what in faces.items():
        rows.append(f"| {what} | {in_bytes(measured['painted'][face])} | {in_bytes(measured['bound'][face])} |")
    whole, hashing = measured["instructions"]
    figures = measured["figures"]
    share = figures["multi_proof_bytes"] / figures["single_proofs_bytes"]
    accepted, refused = measured["answers"]
    rows += ["", f"Built by {compiler()}. {accepted + refused:,} proofs were received, {accepted} accepted and {refused:,} refused, each as its vector says.",
             "", "| a state of 2^20 entries | |", "|---|---:|",
             f"| proof of a key: median (shortest, longest) of {figures['proofs']:,} | {figures['median_bytes']} B"
             f" ({figures['shortest_bytes']}, {figures['longest_bytes']}) |",
             f"| one proof of {figures['keys']} keys, beside as many proofs of one | {in_bytes(figures['multi_proof_bytes'])} of"
             f" {in_bytes(figures['single_proofs_bytes'])}: {share:.1%} |",
             f"| instructions to verify the median proof | {whole:,} |",
             f"| … of which hashing | {hashing / whole:.1%} |"]
    return "\n".join(rows) + "\n"


def summary(measured):
    """The table in a few lines."""
    figures, painted = measured["figures"], measured["painted"]
    key, whole = (sum(measured["flash"][name]) for name in ("state", "all"))
    text = (f"A proof of a key, present or absent, is verified in {in_bytes(key)} of flash and {in_bytes(painted['face_state'])} of stack; all"
            f" verifiers together take {in_bytes(whole)} of flash and {in_bytes(max(painted.values()))} of stack. In a state of 2^20 entries the"
            f" proof has {figures['median_bytes']} B in the median, and takes {measured['instructions'][0]:,} instructions.")
    return textwrap.fill(text, 130) + "\n"


def check_bounds(measured):
    """The bounds that hold whatever the table says."""
    for name, (hashing, rest) in measured["flash"].items():
        require(hashing + rest <= FLASH_LIMIT, f"flash of {name}: {hashing + rest} bytes")
    for face in FACES:
        painted, bound = measured["painted"][face], measured["bound"][face]
        require(0 < painted <= bound, f"{face}: painted {painted} bytes, bound {bound}")
        require(bound <= STACK_LIMIT, f"{face}: a stack of {bound} bytes")
    whole, hashing = measured["instructions"]
    require(hashing >= HASHING_LIMIT * whole, f"{hashing} of {whole} instructions hash")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the figures into the documents")
    write = parser.parse_args().write
    cargo("build")
    require_refusal("panics", "a_panic_is_reachable")
    require_refusal("heap", "an_allocation_is_reachable")
    small, million = vectors("vectors.json"), vectors("million.json")
    sent = small["vectors"] + million["vectors"]
    accepted = sum(answer(vector, {1}).startswith("accepted") for vector in sent)
    code = Code(image("receive"))
    measured = {
        "flash": {name: flash(name) for name in ("state", "logs", "many", "ranges", "all")},
        "painted": compare(image("receive"), sent, {1}),
        "bound": {face: code.deepest(code.named(face)) for face in FACES},
        "instructions": instructions(image("receive"), code, million["vectors"][0]),
        "figures": million["figures"],
        "answers": (accepted, len(sent) - accepted),
    }
    print(table(measured))
    check_bounds(measured)
    cargo("build", "--bin", "receive", "--features", "blake3")
    compare(image("receive"), sent, {1, 2})
    print("and with BLAKE3")
    is_ours = f"Built by {compiler()}." in GUIDE.read_text("utf-8")
    for path, figures in ((GUIDE, table(measured)), (README, summary(measured))):
        text = path.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        found, _, after = rest.partition(END)
        require(after, f"{path.name} has no place for the figures")
        if write:
            path.write_text(before + BEGIN + figures + END + after, "utf-8")
        elif is_ours:
            require(found == figures, f"the figures of {path.name} are others: tests/tools/firmware.py --write")
    if not write and not is_ours:
        # Another compiler gives other figures. The bounds hold all the same: they were checked above.
        print(f"not compared: the figures were not built by {compiler()}")


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"firmware: {wrong}")
