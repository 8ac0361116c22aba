// SPDX-License-Identifier: MIT
//! `mount` and `umount`: snapshots as directories that outlive the process that mounts them. Each test mounts in a mount namespace of
//! a script of its own, which takes everything away when it ends.

use std::fs;

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, is_privileged, text};
use serde_json::Value;

/// A sandbox with `tree` and its snapshot of the same label.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.shell(
        "mkdir -p tree/deep/er; echo one > tree/file; echo two > tree/deep/er/file; ln -s file tree/link
         echo three > tree/gone; mkdir tree/empty; chmod 4755 tree/file; chmod 1777 tree/empty",
    );
    sandbox.cascow(["save", "tree", "--label", "tree"]).done();
    sandbox
}

/// Runs a script in a mount namespace of its own, in a sandbox; commands in it must succeed. `None`, and a line that says so, where
/// that cannot be done.
#[track_caller]
fn run(test: &str, sandbox: &Sandbox, script: &str) -> Option<Answer> {
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount for others to see");
        return None;
    }
    let mut unshare = sandbox.command("unshare");
    let answer =
        Answer::of(unshare.args(["--mount", "sh", "-e", "-c", script]).env("CASCOW", program()));
    if answer.stderr.starts_with("unshare: ") {
        println!("privileged, not run: {test}: {}", answer.stderr.trim_end());
        return None;
    }
    assert_eq!(answer.code, 0, "{script}: {}{}", answer.text(), answer.stderr);
    Some(answer)
}

/// What the log says of a snapshot.
#[track_caller]
fn logged(sandbox: &Sandbox, name: &str) -> Value {
    let lines = sandbox.cascow(["log", name, "--json"]).done().json_lines();
    let labelled = |line: &Value| line["label"].to_string().contains(name);
    lines.into_iter().find(labelled).expect("the snapshot has this label")
}

/// A JSON document that a script has left.
#[track_caller]
fn document(sandbox: &Sandbox, path: &str) -> Value {
    serde_json::from_slice(&sandbox.read(path)).unwrap()
}

/// Nothing of any mount is left in the repository.
#[track_caller]
fn assert_no_mounts(sandbox: &Sandbox) {
    let names: Vec<_> = fs::read_dir(sandbox.path(".cascow/mounts")).unwrap().collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_mount_shows_what_was_saved_and_nobody_can_write_to_it() {
    let test = "a_mount_shows_what_was_saved_and_nobody_can_write_to_it";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" --json mount tree "new mount" > mounted.json
        "$CASCOW" save "new mount" --json > saved.json
        fails() { if "$@" 2>> errors; then echo "done: $*" >&2; exit 1; fi; }
        fails touch "new mount/file"; fails rm "new mount/gone"
        fails mount -o remount,rw "new mount"; fails touch "new mount/file"
        grep " $PWD/new.040mount ro,nosuid,nodev" /proc/self/mountinfo > line
        cp -a "new mount" copy
        "$CASCOW" umount "new mount""#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let (mounted, saved) = (document(&sandbox, "mounted.json"), document(&sandbox, "saved.json"));
    let dir = sandbox.path("").canonicalize().unwrap().join("new mount");
    assert_eq!(mounted["dir"], dir.to_str().unwrap());
    assert_eq!(
        (&mounted["writable"], &mounted["materializer"]),
        (&false.into(), &"overlay".into())
    );
    assert_eq!(mounted["snapshot"], logged(&sandbox, "tree")["snapshot"]);
    assert_eq!(text(&saved["root"]), sandbox.root("tree"));
    let errors = String::from_utf8(sandbox.read("errors")).unwrap();
    assert_eq!(errors.matches("Read-only file system").count(), 3, "{errors}");
    sandbox.assert_equal_trees("tree", "copy");
    assert!(!sandbox.path("new mount").exists(), "the directory was made for the mount");
    assert_no_mounts(&sandbox);
}

#[test]
fn what_was_changed_in_a_writable_mount_becomes_a_snapshot() {
    let test = "what_was_changed_in_a_writable_mount_becomes_a_snapshot";
    let sandbox = sandbox();
    // Taken away from elsewhere, by another way to write its name; the directory was there and stays.
    let script = r#"
        mkdir there
        "$CASCOW" mount tree there --rw
        echo more >> there/file; rm there/gone; mv there/deep there/moved; chmod 700 there/empty; mkfifo there/fifo
        cp -a there copy
        here=$PWD; cd /
        "$CASCOW" --json umount "$here/./there//" --save --label changed > "$here/umount.json""#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let answer = document(&sandbox, "umount.json");
    let (tree, changed) = (logged(&sandbox, "tree"), logged(&sandbox, "changed"));
    assert_eq!(
        (&changed["snapshot"], &changed["parent"]),
        (&answer["snapshot"], &tree["snapshot"])
    );
    assert_eq!(changed["root"], answer["root"]);
    assert_eq!(text(&answer["root"]), sandbox.root("copy"));
    sandbox.cascow(["checkout", "changed", "out"]).done();
    sandbox.assert_equal_trees("copy", "out");
    assert!(sandbox.path("there").is_dir());
    // The snapshot that was mounted is as it was.
    sandbox.cascow(["checkout", "tree", "before"]).done();
    sandbox.assert_equal_trees("tree", "before");
    assert_no_mounts(&sandbox);
}

#[test]
fn names_of_one_file_stay_names_of_one_file_in_a_writable_mount() {
    let test = "names_of_one_file_stay_names_of_one_file_in_a_writable_mount";
    let sandbox = Sandbox::new();
    sandbox.shell("mkdir tree; echo one > tree/a; ln tree/a tree/b; ln tree/a tree/c; echo x > tree/x; ln tree/x tree/y");
    sandbox.cascow(["save", "tree", "--label", "tree"]).done();
    let script = r#"
        "$CASCOW" mount tree there --rw; "$CASCOW" --json umount there --save --label same > same.json
        "$CASCOW" mount tree there --rw
        echo more >> there/a; rm there/c; test "$(cat there/b)" = "one
more"
        cp -a there copy
        "$CASCOW" umount there --save --label changed"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let same = document(&sandbox, "same.json");
    assert_eq!((text(&same["root"]), &same["changes"]), (sandbox.root("tree"), &0.into()));
    sandbox.cascow(["checkout", "changed", "out"]).done();
    sandbox.assert_equal_trees("copy", "out");
    sandbox.shell("test out/a -ef out/b; test out/x -ef out/y");
}

#[test]
fn what_is_not_saved_is_thrown_away_and_counted() {
    let test = "what_is_not_saved_is_thrown_away_and_counted";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" mount tree there --rw
        "$CASCOW" umount there 2> nothing
        "$CASCOW" mount tree there --rw
        echo more >> there/file; rm there/gone
        "$CASCOW" stats --json > before
        "$CASCOW" --json umount there > umount.json 2> two
        "$CASCOW" stats --json > after"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    assert_eq!(sandbox.read("nothing"), b"");
    assert_eq!(String::from_utf8_lossy(&sandbox.read("two")), "threw away 2 changes\n");
    let answer = document(&sandbox, "umount.json");
    assert!(answer["snapshot"].is_null() && answer["root"].is_null(), "{answer}");
    assert_eq!(sandbox.read("before"), sandbox.read("after"), "nothing was stored");
    assert!(!sandbox.path("there").exists());
    assert_no_mounts(&sandbox);
}

#[test]
fn a_mount_in_use_stays_as_it_was() {
    let test = "a_mount_in_use_stays_as_it_was";
    let sandbox = sandbox();
    // `3>` is a writer, `3<` a reader; then something is mounted in it.
    let script = r#"
        refused() { code=0; "$CASCOW" umount there "$@" 2>> refusals || code=$?; test $code = 5; }
        "$CASCOW" mount tree there --rw
        exec 3>> there/file; refused --save; refused; echo more >&3; exec 3>&-
        exec 3< there/file; refused --save; echo more >> there/file; exec 3<&-
        mount -t tmpfs none there/empty; refused --save; umount there/empty
        echo more >> there/file
        "$CASCOW" umount there --save --label changed
        "$CASCOW" mount changed there
        exec 3< there/file; refused; exec 3<&-
        "$CASCOW" umount there"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let refusals = sandbox.read("refusals");
    let refusals = String::from_utf8_lossy(&refusals);
    let is_writing: Vec<bool> =
        refusals.lines().map(|line| line.contains("still writes in")).collect();
    assert_eq!(is_writing, [true, true, false, false, false], "{refusals}");
    assert!(refusals.lines().skip(2).all(|line| line.contains("is in use")), "{refusals}");
    assert_eq!(sandbox.cascow(["cat", "changed", "file"]).done().text(), "one\nmore\nmore\nmore\n");
    // Only what was sealed at last is in the history.
    assert_eq!(sandbox.cascow(["log", "--json"]).done().json_lines().len(), 2);
    assert_no_mounts(&sandbox);
}

#[test]
fn who_is_killed_before_mounting_leaves_nothing() {
    let test = "who_is_killed_before_mounting_leaves_nothing";
    let sandbox = sandbox();
    sandbox.shell("echo same > tree/a; ln tree/a tree/b");
    sandbox.cascow(["save", "tree", "--label", "linked"]).done();
    let script = r#"
        strace -V > strace || exit 0
        for snapshot in tree linked; do for how in --quiet --rw; do
        # The first mount writes what all stand on, which takes mounts of its own. From the second on, the last call of each kind
        # is the one for the mount that shows.
        for time in first second; do
            strace -f -o trace -e trace=fsopen,fsmount,move_mount "$CASCOW" mount $snapshot there $how
            "$CASCOW" umount there
        done
        for call in fsopen fsmount move_mount; do
            code=0
            strace -f -o killed -e trace=$call -e inject=$call:error=EIO:signal=KILL:when=$(grep -c " $call(" trace) \
                "$CASCOW" mount $snapshot there $how || code=$?
            test $code = 137
            test $(ls .cascow/mounts | wc -l) = 1
            "$CASCOW" gc --dry-run
            "$CASCOW" run tree -- true
            # Names of one file are in the upper layer from the beginning: one system call before the mount shows, they might be edits.
            test $snapshot$how$call != linked--rwmove_mount || "$CASCOW" umount there
            test ! -e there
            test $(ls .cascow/mounts | wc -l) = 0
        done; done; done
        echo done > done"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    if !sandbox.path("done").exists() {
        println!("privileged, not run: {test}: strace is not there to kill at a system call");
        return;
    }
    assert_no_mounts(&sandbox);
}

#[test]
fn who_is_killed_after_mounting_leaves_a_mount_like_any_other() {
    let test = "who_is_killed_after_mounting_leaves_a_mount_like_any_other";
    let sandbox = sandbox();
    let script = r#"
        strace -V > strace || exit 0
        for how in --quiet --rw; do
            code=0
            strace -f -o trace -e trace=exit_group -e inject=exit_group:signal=KILL "$CASCOW" mount tree there $how || code=$?
            test $code = 137
            "$CASCOW" run tree -- true
            test "$(cat there/file)" = one
            test $how = --quiet || echo more >> there/file
            "$CASCOW" umount there --save --label "last$how"
        done
        echo done > done"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    if !sandbox.path("done").exists() {
        println!("privileged, not run: {test}: strace is not there to kill at a system call");
        return;
    }
    assert_eq!(sandbox.cascow(["cat", "last--rw", "file"]).done().text(), "one\nmore\n");
    assert_eq!(sandbox.cascow(["cat", "last--quiet", "file"]).done().text(), "one\n");
    assert_no_mounts(&sandbox);
}

#[test]
fn edits_outlive_their_mount_until_somebody_decides() {
    let test = "edits_outlive_their_mount_until_somebody_decides";
    let sandbox = sandbox();
    // As after a start of the machine: the mounts are gone behind our back, and the base of that time with them.
    let script = r#"
        for name in saved thrown; do
            "$CASCOW" mount tree $name --rw; echo more >> $name/file; mv $name/deep $name/moved
        done
        "$CASCOW" mount tree clean --rw
        "$CASCOW" mount tree shown
        cp -a saved copy
        umount -l saved; umount -l thrown; umount -l clean; umount -l shown
        for layer in .cascow/layers/*; do mv $layer $layer.gone; done
        "$CASCOW" run tree -- true 2> told
        ls .cascow/mounts | wc -l > left
        code=0; "$CASCOW" mount tree saved 2> refused || code=$?; test $code = 2
        "$CASCOW" gc --grace 0
        "$CASCOW" umount saved --save --label saved 2>> told
        "$CASCOW" umount thrown 2> thrown.told"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let told = String::from_utf8(sandbox.read("told")).unwrap();
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("were not saved")).collect();
    // By `run` of both, by the first `umount` of the other one.
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines.iter().all(|line| line.contains("--save")), "{told}");
    assert_eq!(String::from_utf8_lossy(&sandbox.read("left")).trim(), "2");
    assert!(
        String::from_utf8_lossy(&sandbox.read("refused"))
            .contains("has edits of a mount that is gone")
    );
    assert!(String::from_utf8_lossy(&sandbox.read("thrown.told")).starts_with("threw away "));
    sandbox.cascow(["checkout", "saved", "out"]).done();
    sandbox.assert_equal_trees("copy", "out");
    for dir in ["saved", "thrown", "clean", "shown"] {
        assert!(!sandbox.path(dir).exists(), "{dir} was made for a mount");
    }
    assert_no_mounts(&sandbox);
}

#[test]
fn a_mount_that_was_detached_with_somebody_in_it_is_left_alone() {
    let test = "a_mount_that_was_detached_with_somebody_in_it_is_left_alone";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" mount tree there --rw
        exec 3>> there/file; umount -l there
        "$CASCOW" run tree -- true
        code=0; "$CASCOW" umount there --save 2> refused || code=$?; test $code = 5
        echo more >&3; exec 3>&-
        "$CASCOW" umount there --save --label changed"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    assert!(String::from_utf8_lossy(&sandbox.read("refused")).contains("still used by a process"));
    assert_eq!(sandbox.cascow(["cat", "changed", "file"]).done().text(), "one\nmore\n");
}

#[test]
fn stale_mounts_within_each_other_are_swept() {
    let test = "stale_mounts_within_each_other_are_swept";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" mount tree outer --rw
        "$CASCOW" mount tree outer/inner
        "$CASCOW" mount tree outer/inner/empty
        umount -l outer
        rm -r .cascow/mounts/*/rooms/upper/*
        "$CASCOW" run tree -- true 2> told
        test ! -e outer"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    assert_eq!(sandbox.read("told"), b"");
    assert_no_mounts(&sandbox);
}

#[test]
fn what_is_mounted_is_neither_collected_nor_evicted() {
    let test = "what_is_mounted_is_neither_collected_nor_evicted";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" mount tree there --rw
        "$CASCOW" label tree --delete
        "$CASCOW" --json gc --grace 0 > kept.json
        echo more >> there/file
        # It claims more room than all bases may take, so whoever writes another one evicts it unless it is in use.
        mkdir other another; touch another/file; base=$(echo .cascow/layers/*); printf 99999999999999 > "$base/bytes"
        "$CASCOW" save other --label other; "$CASCOW" run other -- true
        test -e "$base"
        cp -a there copy
        snapshot=$("$CASCOW" --json umount there --save --label changed | sed 's/.*"snapshot":"\([0-9a-f]*\)".*/\1/')
        "$CASCOW" checkout $snapshot out
        "$CASCOW" save another --label another; "$CASCOW" run another -- true
        test ! -e "$base"
        for label in changed other another; do "$CASCOW" label $label --delete; done
        "$CASCOW" --json gc --grace 0 > gone.json"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let (kept, gone) = (document(&sandbox, "kept.json"), document(&sandbox, "gone.json"));
    assert_eq!((&kept["snapshots_removed"], &kept["removed"]), (&0.into(), &0.into()), "{kept}");
    assert_eq!(gone["snapshots_kept"], 0, "{gone}");
    sandbox.assert_equal_trees("copy", "out");
}

#[test]
fn what_cannot_be_mounted_or_unmounted_is_said_in_one_line() {
    let test = "what_cannot_be_mounted_or_unmounted_is_said_in_one_line";
    let sandbox = sandbox();
    sandbox.shell("mkdir -p full free; touch full/file; ln -s nowhere dangling; touch plain");
    let script = r#"
        fails() { want=$1; shift; code=0; "$CASCOW" "$@" 2>> told || code=$?; echo "$code $want $*" >> codes; }
        fails 2 mount tree .; fails 2 mount tree /; fails 2 mount tree .cascow/new; fails 2 mount tree .cascow/work
        fails 2 mount tree full; fails 2 mount tree plain; fails 2 mount tree dangling; fails 3 mount tree no/where
        fails 3 mount nothing free; fails 3 umount free; fails 3 umount nowhere; fails 3 umount /
        "$CASCOW" mount tree free
        fails 2 mount tree free; fails 2 mount tree free/
        mount -t tmpfs none full; fails 3 umount full; umount full
        mount -t tmpfs none free; fails 5 umount free; umount free
        fails 2 umount free --label l; "$CASCOW" umount free
        fails 3 umount free"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let (codes, told) = (sandbox.read("codes"), sandbox.read("told"));
    let (codes, told) = (String::from_utf8_lossy(&codes), String::from_utf8_lossy(&told));
    for line in codes.lines() {
        let mut words = line.split(' ');
        assert_eq!(words.next(), words.next(), "{line}: {told}");
    }
    assert_eq!(codes.lines().count(), told.lines().count(), "one line each: {codes}{told}");
    assert!(told.lines().all(|line| line.starts_with("cascow: ")), "{told}");
    assert!(told.contains("is a mount of snapshot"), "{told}");
    assert!(
        sandbox.path("free").is_dir()
            && !sandbox.path("no").exists()
            && !sandbox.path("nowhere").exists()
    );
    assert_no_mounts(&sandbox);
}

#[test]
fn without_the_right_to_mount_it_is_said_what_to_do_instead() {
    let test = "without_the_right_to_mount_it_is_said_what_to_do_instead";
    let sandbox = sandbox();
    let Some(mut command) = sandbox.ordinary_command(test, sandbox.public_program()) else {
        return;
    };
    sandbox.give_to_ordinary_user(".");
    let answer = Answer::of(command.args(["mount", "tree", "there"]));
    let message = answer.error(5);
    assert!(message.contains("`cascow checkout`") && message.contains("`cascow run`"), "{message}");
    assert!(!sandbox.path("there").exists());
}

#[test]
fn a_user_may_mount_in_a_namespace_of_their_own() {
    let test = "a_user_may_mount_in_a_namespace_of_their_own";
    let sandbox = sandbox();
    let Some(mut command) = sandbox.ordinary_command(test, "unshare") else { return };
    let program = sandbox.public_program();
    sandbox.give_to_ordinary_user(".");
    let script = r#"
        ./cascow mount tree there --rw
        echo more >> there/file; rm -r there/deep; mkdir there/deep
        ./cascow umount there --save --label changed
        ./cascow mount changed there
        if touch there/file; then exit 1; fi
        test "$(cat there/file)" = "one
more"
        ./cascow umount there"#;
    let answer = Answer::of(command.args(["-Urm", "sh", "-e", "-c", script]));
    if answer.stderr.starts_with("unshare: ") {
        println!("privileged, not run: {test}: {}", answer.stderr.trim_end());
        return;
    }
    assert_eq!(answer.code, 0, "{program:?}: {}{}", answer.text(), answer.stderr);
    assert_eq!(
        sandbox.cascow(["ls", "changed", "deep", "--json"]).done().json().as_array().map(Vec::len),
        Some(1)
    );
    assert_no_mounts(&sandbox);
}

#[test]
fn a_directory_of_any_name_is_found_again() {
    let test = "a_directory_of_any_name_is_found_again";
    let sandbox = sandbox();
    let script = r#"
        name=$(printf 'a\\040b\tc\377 d\ne')
        "$CASCOW" mount tree "$name" --rw; echo more >> "$name/file"
        ln -s "$name" link
        "$CASCOW" umount link --save --label changed
        test ! -e "$name""#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    assert_eq!(sandbox.cascow(["cat", "changed", "file"]).done().text(), "one\nmore\n");
    assert_no_mounts(&sandbox);
}

#[test]
fn a_mount_in_another_namespace_is_left_alone() {
    let test = "a_mount_in_another_namespace_is_left_alone";
    let sandbox = sandbox();
    // Two pipes: one says that it is mounted, the other that it is to be taken away.
    let script = r#"
        mkfifo mounted end; trap 'kill $! 2> /dev/null || true' EXIT
        for how in --quiet --rw; do
            unshare --mount sh -e -c '"$CASCOW" mount tree there $0; echo > mounted; read line < end
                test "$(cat there/file)" = one; "$CASCOW" umount there' $how &
            read line < mounted
            "$CASCOW" run tree -- true
            code=0; "$CASCOW" umount there 2>> refused || code=$?; test $code = 5
            test $(ls .cascow/mounts | wc -l) = 1
            echo > end; wait $!
        done"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let refused = String::from_utf8(sandbox.read("refused")).unwrap();
    assert_eq!(refused.matches("in another mount namespace").count(), 2, "{refused}");
    assert_no_mounts(&sandbox);
}

#[test]
fn a_mount_whose_record_is_damaged_is_left_alone_and_told_of() {
    let test = "a_mount_whose_record_is_damaged_is_left_alone_and_told_of";
    let sandbox = sandbox();
    let script = r#"
        "$CASCOW" mount tree there --rw; echo more >> there/file
        record=$(echo .cascow/mounts/*/record); cp $record record; head -c 50 record > $record
        umount there
        "$CASCOW" run tree -- true 2> told
        # What it showed cannot be known, so nothing may go.
        code=0; "$CASCOW" gc --grace 0 2>> told || code=$?; test $code = 4
        cp record $record
        "$CASCOW" umount there --save --label changed"#;
    if run(test, &sandbox, script).is_none() {
        return;
    }
    let told = String::from_utf8(sandbox.read("told")).unwrap();
    assert_eq!(told.matches("the record of a mount is cut off").count(), 2, "{told}");
    assert_eq!(sandbox.cascow(["cat", "changed", "file"]).done().text(), "one\nmore\n");
    assert_no_mounts(&sandbox);
}
