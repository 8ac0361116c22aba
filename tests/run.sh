#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs everything that must hold before a change is taken. `tests/run.sh --help` lists the steps.
#
# A step is a function `step_NAME`; it fetches what it needs, and fails with the first of its commands that does.
# A privileged test that this machine does not allow says so in a line that begins `privileged, not run: `, one for each
# test; these lines are collected, named and counted at the end, and what they name never counts as passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

steps=(
    "format      rustfmt would change nothing"
    "headers     every source file names its licence in its first lines"
    "reasons     every dependency says what it is for"
    "shellcheck  shellcheck finds nothing in the scripts"
    "reuse       every file has a licence and a copyright, by the REUSE specification"
    "tools       tests of the tools that judge the program, and of the documents"
    "clippy      clippy finds nothing in any crate, test or benchmark"
    "docs        the documentation builds without a warning"
    "targets     the core builds for Linux, WebAssembly and Cortex-M in each set of features"
    "core        tests of the core alone, with and without each of its features"
    "coverage    tests of the core alone, with all that it does by default, run at least 95 % of its lines"
    "miri        miri finds no undefined behaviour beneath the core in those of its tests that fit"
    "release     the program builds as it is installed"
    "tests       tests of every other crate, of the program from outside, and of the browser host and its page in Node and Chromium"
    "fuzz        some seconds of fuzzing find nothing in any verifier or decoder of the core"
    "firmware    a Cortex-M3 verifies the frozen proofs without heap or panics, in the figures of the guide"
    "wasm        the browser host builds for WebAssembly, and clippy finds nothing in it"
    "demo        the bundled example is what its description says"
    "deny        licences, sources and duplicates of all dependencies"
)
quick=(format clippy tests)
test_steps=(tools core coverage miri tests)

output=tests/output
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cascow-tests
deny_version=0.20.2
llvm_cov_version=0.9.1
# Undated: which nightly can be had differs from machine to machine, and miri only grows stricter.
nightly=nightly
reuse_version=6.2.0
fuzz_version=0.13.2
deny=$cache/cargo-deny-$deny_version/bin/cargo-deny
llvm_cov=$cache/cargo-llvm-cov-$llvm_cov_version/bin/cargo-llvm-cov
reuse=$cache/reuse-$reuse_version/bin/reuse
fuzz=$cache/cargo-fuzz-$fuzz_version/bin/cargo-fuzz
# Of each fuzz target, seconds.
fuzz_secs=3

# What is built once is not built again, so nothing is kept for building it again faster.
export CARGO_INCREMENTAL=0
# Logs are read by programs and by people without a terminal.
export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never PYTHONDONTWRITEBYTECODE=1

# --- What the steps stand on ---

# Inside a step, standard output is its log; this reaches the person who waits.
say() {
    echo "   $*"
    echo "   $*" >&3
}

install_packages() {
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    if ! command -v apt-get >/dev/null; then
        echo "missing, and there is no apt-get to install them with; the Debian packages are: $*"
        return 1
    fi
    say "installing Debian packages: $*"
    "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y "$@"
}

# Each argument is PROGRAM:PACKAGE.
need_programs() {
    local pair missing=()
    for pair; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

need_targets() {
    local target
    for target; do
        [[ -d $(rustc --print target-libdir --target "$target") ]] || rustup target add "$target"
    done
}

need_deny() { need_crate "$deny" "cargo-deny@$deny_version"; }

# For the tests of the browser host; they build its package themselves.
need_browser() {
    need_programs cc:build-essential chromium:chromium node:nodejs npm:npm
    need_targets wasm32-unknown-unknown
}

# PROGRAM CRATE@VERSION. It runs for seconds; optimising it would take longer than all of its runs.
need_crate() {
    need_programs cc:build-essential
    [[ -x $1 ]] && return
    say "installing ${2/@/ }, some minutes the first time"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug --root "$(dirname "$(dirname "$1")")" "$2"
}

# Undated: see `nightly`.
need_nightly() {
    rustup toolchain list | grep -q "^$nightly-" || rustup toolchain install "$nightly" --profile minimal
}

# COMPONENT, of the toolchain that runs here.
need_component() {
    rustup component list --installed | grep -q "^$1" || rustup component add "$1"
}

need_reuse() {
    need_programs python3:python3
    [[ -x $reuse ]] && return
    python3 -c 'import ensurepip' || install_packages python3-venv
    say "installing reuse $reuse_version"
    python3 -m venv "$(dirname "$(dirname "$reuse")")"
    "$(dirname "$reuse")/pip" install --quiet "reuse==$reuse_version"
}

# --- The steps ---

step_format() {
    cargo fmt --version || rustup component add rustfmt
    cargo fmt --all --check
    cargo fmt --manifest-path tests/firmware/Cargo.toml --check
    cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
}

# Fixtures are frozen bytes, and have their licence from REUSE.toml.
step_headers() {
    local file without=0
    while IFS= read -r -d '' file; do
        # Written as a pattern, lest `reuse` take this line for a licence of its own.
        if ! head -n 5 "$file" | grep -q 'SPDX-License-Identifier[:] MIT'; then
            echo "no SPDX-License-Identifier in the first five lines: $file"
            without=1
        fi
    done < <(git ls-files -z .ci/run '*.rs' '*.sh' '*.py' '*.toml' '*.js' '*.mjs' '*.html' '*.css' '*.md' '*.yml' \
        ':!tests/fixtures/')
    return "$without"
}

# The workspace's own crates need no reason; a comment stands on a line of the entry itself, as headings group several.
step_reasons() {
    awk '
        function verdict() { if (entry != "" && entry !~ /# ./ && entry !~ /path *=/) { print "no reason: " entry; bad = 1 } entry = "" }
        /^\[/ { verdict(); inside = ($0 == "[workspace.dependencies]"); next }
        !inside { next }
        /^[A-Za-z0-9_-]+ *=/ { verdict(); entry = $0; seen++; next }
        /^#/ || /^$/ { verdict(); next }
        { entry = entry $0 }
        END { verdict(); print seen " dependencies"; exit bad || !seen }
    ' Cargo.toml
}

# The example's own scripts are broken on purpose.
step_shellcheck() {
    need_programs shellcheck:shellcheck
    git ls-files -z .ci/run '*.sh' ':!host-native/demo/workspace/' | xargs -0 shellcheck
}

step_reuse() {
    need_reuse
    "$reuse" lint
}

step_tools() {
    need_programs python3:python3 zstd:zstd
    python3 tests/tools/test_tools.py
    python3 tests/tools/test_proofs.py
    python3 tests/tools/test_formats.py
    python3 tests/tools/test_documents.py
}

step_clippy() {
    need_programs cc:build-essential
    cargo clippy --version || rustup component add clippy
    cargo clippy --locked --workspace --all-targets -- -D warnings
}

step_docs() {
    need_programs cc:build-essential
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
}

step_targets() {
    local target features
    need_programs cc:build-essential
    need_targets x86_64-unknown-linux-gnu wasm32v1-none thumbv7em-none-eabihf
    for target in x86_64-unknown-linux-gnu wasm32v1-none thumbv7em-none-eabihf; do
        for features in sha256 blake3 sha256,blake3; do
            build_core "$target" "$features"
            build_core "$target" "owned,$features"
            build_core "$target" "alloc,$features"
        done
    done
    for features in sha256 blake3 sha256,blake3; do
        build_core x86_64-unknown-linux-gnu "std,$features"
    done
}

# `cargo rustc` gives the flag to the core alone, so that its dependencies are built once.
build_core() {
    echo "== $1: $2"
    cargo rustc --locked -p cascow-core --lib --no-default-features --target "$1" --features "$2" -- -D warnings
}

# The core alone, since beside other crates it has their features too; `targets` builds every set of features. Its development dependencies switch no feature of its own
# dependencies on, and the library that its integration tests link with cannot name them: there, what a set of features lacks
# is lacking. Unit tests are built with them, so `targets` builds the library without any test.
step_core() {
    local features
    need_programs cc:build-essential
    for features in sha256 blake3 owned,sha256 alloc,sha256 std,blake3; do
        echo "== $features"
        run_tests -p cascow-core --no-default-features --features "$features"
    done
    # Its other tests with all features are those of `coverage`.
    run_tests -p cascow-core --doc
}

# Instrumented code has a directory of its own below the target directory, so nothing is built twice from run to run.
step_coverage() {
    need_crate "$llvm_cov" "cargo-llvm-cov@$llvm_cov_version"
    need_component llvm-tools
    "$llvm_cov" llvm-cov --locked -p cascow-core --no-report --no-fail-fast -- --show-output
    "$llvm_cov" llvm-cov report -p cascow-core --fail-under-lines 95 --show-missing-lines | tee "$output/coverage.txt"
    cat "$output/coverage.txt" >&3
}

# The core has no unsafe code of its own; this looks at what its dependencies do with it. Nightly, since miri comes with no
# other. `cpufeatures` and blake3 know miri and choose portable code, so the hashes are computed, and slowly: some thousand times.
#
# So what fits are tests with few hashes, one or more for each layer. What does not: whatever tries every bit or length of a
# frame, record or proof; noise of many chunks (`chunking`, `blob`, `record`, `frozen_repository`); states of many entries
# (`state_root`, `state_proof`); random histories (`snapshot_tree`, `workspace`) and whole searches, some minutes each.
step_miri() {
    local tests=(
        # hash, merkle
        a_build_has published_inputs proofs_of_version_1 emptiness_follows
        # chunk, frame
        nothing_has_no_chunks a_length_that_lies_is_refused_before the_errors_name text_is_deflated
        # snapshot, workspace, search
        an_id_beyond the_last_word notes_travel what_they_wrote_back bushy_trees a_long_delta a_cursors_root a_cursor_refuses
        of_two_changes a_full_tree a_tree_with_all_keys a_slot_that_is a_directory_tree_is a_shared_child_weighs
        # what all of them say
        errors_of kinds_have digests_name
    )
    need_programs cc:build-essential
    need_nightly
    rustup component add --toolchain "$nightly" miri rust-src
    MIRIFLAGS=-Zmiri-disable-isolation cargo "+$nightly" miri test --locked -p cascow-core --lib \
        --test bare --test counts --test messages --test search --test snapshot_cursor --test snapshot_tree --test workspace -- "${tests[@]}"
}

step_release() {
    need_programs cc:build-essential
    cargo build --locked --release -p cascow-native
}

step_tests() {
    need_browser
    need_programs python3:python3 setfattr:attr patch:patch busybox:busybox \
        mkfs.btrfs:btrfs-progs strace:strace fsck.erofs:erofs-utils zstd:zstd
    run_tests --workspace --exclude cascow-core
    # New repositories keep objects in segments. What the program does must not depend on it.
    CASCOW_TEST_STORE=files run_tests -p cascow-tests --test bad_input --test commands --test concurrency --test mended \
        --test search --test tree
}

# The output of tests that passed is kept too: it says which of them could not do their work here.
run_tests() { cargo test --locked --no-fail-fast "$@" -- --show-output; }

# Without a sanitizer, since there is no unsafe code to watch; with overflow checks. A find is kept in the step's output.
step_fuzz() {
    local target scratch=$output/fuzz
    need_programs python3:python3 c++:build-essential
    need_nightly
    need_crate "$fuzz" "cargo-fuzz@$fuzz_version"
    local build=("$fuzz" fuzz build --fuzz-dir tests/fuzz --target-dir "${CARGO_TARGET_DIR:-target}/fuzz" -O -a -s none)
    RUSTUP_TOOLCHAIN=$nightly "${build[@]}"
    rm -rf "$scratch" && mkdir -p "$scratch/found"
    python3 tests/tools/fuzz_seeds.py "$scratch"
    for target in state multi range inclusion consistency frame entry delta listing piece bundle search; do
        mkdir -p "$scratch/$target"
        "${CARGO_TARGET_DIR:-target}/fuzz/x86_64-unknown-linux-gnu/release/$target" "$scratch/$target" -max_total_time=$fuzz_secs \
            -max_len=4096 -print_final_stats=1 -verbosity=0 -artifact_prefix="$scratch/found/$target-" >"$scratch/$target.log" 2>&1 ||
            { cat "$scratch/$target.log" && return 1; }
        say "$target: $(grep -o 'number_of_executed_units.*' "$scratch/$target.log")"
    done
}

# The figures are written anew by tests/tools/firmware.py --write.
step_firmware() {
    need_programs python3:python3 qemu-system-arm:qemu-system-arm
    need_targets thumbv7m-none-eabi
    need_component llvm-tools
    python3 tests/tools/firmware.py
}

step_wasm() {
    need_targets wasm32-unknown-unknown
    cargo build --locked -p cascow-wasm --target wasm32-unknown-unknown
    cargo clippy --locked -p cascow-wasm --target wasm32-unknown-unknown -- -D warnings
}

# Part of `tests`, too; alone it is quick.
step_demo() {
    need_programs python3:python3
    python3 host-native/demo/check.py
}

step_deny() {
    need_deny
    "$deny" check licenses bans sources
    "$deny" --manifest-path tests/firmware/Cargo.toml --config "$PWD/deny.toml" check licenses bans sources
    "$deny" --manifest-path tests/fuzz/Cargo.toml --config "$PWD/deny.toml" check licenses bans sources
}

# --- Running and counting ---

not_run_pattern='^privileged, not run: '
passed=0 failed=0 summary=() not_run=()

# "PASSED FAILED IGNORED" of a log, as cargo test and Python's unittest count.
count_tests() {
    awk '
        /^test result: /         { passed += $4; failed += $6; ignored += $8 }
        /^Ran [0-9]+ tests? in / { passed += $2 }
        /^FAILED \(/             { n = 0; while (match($0, /(failures|errors)=[0-9]+/)) {
                                       n += substr($0, index($0, "=") + 1); sub(/(failures|errors)=/, "") }
                                   passed -= n; failed += n }
        END                      { print passed + 0, failed + 0, ignored + 0 }
    ' "$1"
}

# One line for each run of tests that had any.
show_test_results() {
    awk '
        /^ +(Running|Doc-tests) /              { what = $0; sub(/^ +/, "", what); sub(/ \(.*/, "", what) }
        /^test result: / && $4 + $6 + $8 > 0   { print "   " what ": " $4 " passed, " $6 " failed" }
        /^test .* FAILED$/ || /^(FAIL|ERROR): / { print "   " $0 }
        /^Ran [0-9]+ tests? in /               { print "   " $0 }
    ' "$1"
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

paint() {
    local colour
    case $1 in
        passed) colour=32 ;;
        failed) colour=31 ;;
        *) colour=33 ;;
    esac
    if [[ -t 1 && -z ${NO_COLOR:-} ]]; then printf '\e[%dm%s\e[0m' $colour "$1"; else printf '%s' "$1"; fi
}

run_step() {
    local name=$1 log=$output/$1.log start=$SECONDS status result=passed counts="" lines=()
    echo "== $name"
    # Not in a condition: there, the shell would go on after a command that failed.
    (set -e && "step_$name") 3>&1 >"$log" 2>&1
    status=$?
    mapfile -t lines < <(grep -E "$not_run_pattern" "$log")
    not_run+=("${lines[@]}")
    ((status == 0)) || result=failed

    if [[ " ${test_steps[*]} " == *" $name "* ]]; then
        local ok bad ignored
        read -r ok bad ignored < <(count_tests "$log")
        ((ok -= ${#lines[@]}))
        show_test_results "$log"
        if ((ignored > 0)); then
            echo "   $ignored ignored: a test is run, or says why it cannot be"
            result=failed
        elif ((ok + bad + ${#lines[@]} == 0)); then
            echo "   no test was run"
            result=failed
        fi
        [[ $result == failed && $bad == 0 ]] && bad=1
        counts="$ok passed, $bad failed"
        ((passed += ok, failed += bad))
    elif ((status != 0)); then
        ((failed += 1))
    elif ((${#lines[@]} > 0)); then
        result="not run"
    else
        ((passed += 1))
    fi

    if [[ $result == failed ]]; then
        # Of a failed test, the reason stands far above the end.
        grep -A 3 ' panicked at ' "$log"
        tail -n 100 "$log"
    fi
    echo "   $(paint "$result") in $(clock $((SECONDS - start)))"
    summary+=("$(printf '%-11s %-8s %6s  %s' "$name" "$result" "$(clock $((SECONDS - start)))" "$counts")")
}

summarise() {
    echo
    printf '%-11s %-8s %6s  %s\n' step result time tests
    printf '%s\n' "${summary[@]}"
    printf '%-11s %-8s %6s\n\n' all "" "$(clock $SECONDS)"
    if ((${#not_run[@]} > 0)); then
        echo "${#not_run[@]} not run on this machine, and not counted as passed:"
        printf '  %s\n' "${not_run[@]}"
        echo
    fi
    echo "Each run of a test counts as one, and so does each step that is not a run of tests. Logs: $output/"
    echo "$passed passed, $failed failed"
}

usage() {
    echo "usage: tests/run.sh [--quick | STEP...]"
    echo "Without arguments, all steps in this order; --quick runs: ${quick[*]}."
    echo
    printf '  %s\n' "${steps[@]}"
}

main() {
    local chosen=() step
    case ${1:-} in
        --help) usage && return ;;
        --quick) chosen=("${quick[@]}") ;;
        "") chosen=("${steps[@]%% *}") ;;
        *) chosen=("$@") ;;
    esac
    for step in "${chosen[@]}"; do
        if ! printf '%s\n' "${steps[@]%% *}" | grep -qxF -e "$step"; then
            usage >&2
            return 2
        fi
    done
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install Rust by rustup, https://rustup.rs" >&2
        return 2
    fi
    mkdir -p "$output"
    for step in "${chosen[@]}"; do
        run_step "$step"
    done
    summarise
    ((failed == 0))
}

main "$@"
