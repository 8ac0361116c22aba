// SPDX-License-Identifier: MIT
//! Whatever a command does to its workspace, the snapshot it was forked from and the repository stay as they were; what was sealed
//! is complete, and what was not is gone, and said. By every materialiser.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::store::ObjectStore;
use cascow_native::Error;
use cascow_native::workspace::Materialize;
use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, is_privileged};
use cascow_tests::workspace_conformance::{Operation, Setting, round};
use serde_json::Value;

/// The materialisers that can be had here. Overlays take root, or a user namespace; without either, this says so.
fn materializers(test: &str) -> Vec<&'static str> {
    let sandbox = tree();
    match sandbox.cascow(["run", "s", "--materialize", "overlay", "--", "true"]).code {
        0 => vec!["overlay", "copy"],
        _ => {
            println!(
                "privileged, not run: {test}: no overlay can be mounted, so copies alone are tested"
            );
            vec!["copy"]
        }
    }
}

/// A repository with the snapshot `s` of a small tree.
fn tree() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("tree/kept", "kept");
    sandbox.write("tree/dir/file", "file");
    sandbox.cascow(["save", "tree", "--label", "s"]).done();
    sandbox
}

fn run(sandbox: &Sandbox, how: &str, script: &str) -> Answer {
    sandbox.cascow(["--json", "run", "s", "--materialize", how, "--", "sh", "-c", script])
}

/// The snapshot is as it was, nothing is left behind, and the repository is whole.
#[track_caller]
fn assert_untouched(sandbox: &Sandbox) {
    let listing: Vec<String> = sandbox
        .json(["ls", "s"])
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listing, ["dir", "dir/file", "kept"]);
    assert_eq!(sandbox.cascow(["cat", "s", "kept"]).done().stdout, b"kept");
    assert_eq!(fs::read_dir(sandbox.path(".cascow/work")).unwrap().count(), 0);
    assert_eq!(mounts_in(sandbox), 0, "nothing shows outside");
    sandbox.cascow(["fsck"]).done();
    // A workspace shows the snapshot as it is, from whatever is kept of it.
    let script = "cat kept dir/file; find . -mindepth 1 | sort";
    let again = sandbox.cascow(["run", "s", "--", "sh", "-c", script]).done();
    assert!(again.text().starts_with("keptfile./dir\n./dir/file\n./kept\n"), "{}", again.text());
}

fn mounts_in(sandbox: &Sandbox) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(sandbox.path("").to_str().unwrap())).count()
}

/// The log's newest snapshot.
fn newest(sandbox: &Sandbox) -> Value {
    let log = sandbox.cascow(["--json", "log"]).done().json_lines();
    log.last().unwrap()["snapshot"].clone()
}

#[test]
fn a_command_that_renames_or_removes_its_workspace_loses_nothing_but_its_own_work() {
    for how in materializers(
        "a_command_that_renames_or_removes_its_workspace_loses_nothing_but_its_own_work",
    ) {
        for script in [
            r#"mv "$PWD" "$PWD.away" 2>/dev/null; exit 0"#,
            r#"d=$PWD; cd /; rm -rf "$d" 2>/dev/null; exit 0"#,
            r#"d=$PWD; cd /; mv "$d" "$d.away" && ln -s / "$d"; exit 0"#,
        ] {
            let sandbox = tree();
            let before = newest(&sandbox);
            let answer = run(&sandbox, how, script);
            match answer.code {
                // The kernel kept the place of a mount; what is in it may be gone, which is a state like another.
                0 => assert!(answer.json()["snapshot"].is_string()),
                5 => {
                    assert!(answer.stderr.contains("nothing was kept"), "{}", answer.stderr);
                    assert_eq!(newest(&sandbox), before, "{how}: {script}");
                }
                code => panic!("{how}: exit {code}: {}", answer.stderr),
            }
            assert_untouched(&sandbox);
        }
    }
}

#[test]
fn a_process_left_behind_that_writes_on_is_told_of_and_nothing_is_kept() {
    let test = "a_process_left_behind_that_writes_on_is_told_of_and_nothing_is_kept";
    // Copies have no way to see that a file is open.
    for how in materializers(test).into_iter().filter(|how| *how == "overlay") {
        let sandbox = tree();
        let before = newest(&sandbox);
        let place = sandbox.path("pid");
        // In a session of its own, it outlives the command's group.
        let script = format!(
            "setsid sh -c 'exec 3>>open; echo $$ > {0}.new; mv {0}.new {0}; exec sleep 100' >/dev/null 2>&1 & until [ -e {0} ]; do sleep 0.01; done",
            place.display()
        );
        let answer = run(&sandbox, how, &script);
        let left: i32 = fs::read_to_string(&place).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(left).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(answer.code, 5, "{}", answer.stderr);
        let who = format!("process {left} (sleep), which the command left behind");
        assert!(answer.stderr.contains(&who), "{}", answer.stderr);
        assert_eq!(newest(&sandbox), before);
        assert_untouched(&sandbox);
    }
}

#[test]
fn a_file_that_is_still_mapped_for_writing_keeps_a_workspace_from_being_sealed() {
    let test = "a_file_that_is_still_mapped_for_writing_keeps_a_workspace_from_being_sealed";
    // Copies have no way to see it.
    for how in materializers(test).into_iter().filter(|how| *how == "overlay") {
        let sandbox = tree();
        let before = newest(&sandbox);
        let place = sandbox.path("pid");
        sandbox.write(
            "map.py",
            "import mmap, os, sys, time\n\
             file = open('kept', 'r+b'); map = mmap.mmap(file.fileno(), 4); file.close(); map[0:1] = b'K'\n\
             open(sys.argv[1] + '.new', 'w').write(str(os.getpid())); os.rename(sys.argv[1] + '.new', sys.argv[1])\n\
             time.sleep(100)\n",
        );
        let (program, place_name) = (sandbox.path("map.py"), place.display());
        let script = format!(
            "setsid python3 {} {place_name} >/dev/null 2>&1 & until [ -e {place_name} ]; do sleep 0.01; done",
            program.display()
        );
        let answer = run(&sandbox, how, &script);
        let left: i32 = fs::read_to_string(&place).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(left).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(answer.code, 5, "{}", answer.stderr);
        assert!(answer.stderr.contains("still writes"), "{}", answer.stderr);
        assert_eq!(newest(&sandbox), before);
        assert_untouched(&sandbox);
    }
}

#[test]
fn a_process_left_behind_that_only_reads_keeps_nothing_from_being_sealed() {
    for how in
        materializers("a_process_left_behind_that_only_reads_keeps_nothing_from_being_sealed")
    {
        let sandbox = tree();
        let place = sandbox.path("pid");
        let script = format!(
            "echo new > new; setsid sh -c 'exec 3<kept; echo $$ > {0}.new; mv {0}.new {0}; exec sleep 100' >/dev/null 2>&1 & until [ -e {0} ]; do sleep 0.01; done",
            place.display()
        );
        let answer = run(&sandbox, how, &script).done();
        let left: i32 = fs::read_to_string(&place).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(left).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let snapshot = answer.json()["snapshot"].as_str().unwrap().to_owned();
        assert_eq!(sandbox.cascow(["cat", &snapshot, "new"]).done().stdout, b"new\n");
        assert_untouched(&sandbox);
    }
}

#[test]
fn what_a_command_mounts_is_no_part_of_the_state_and_goes_with_it() {
    let test = "what_a_command_mounts_is_no_part_of_the_state_and_goes_with_it";
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount");
        return;
    }
    let mut roots = BTreeSet::new();
    for how in materializers(test) {
        let sandbox = tree();
        let script = "mount -t tmpfs none dir && echo hidden > dir/hidden && echo new > new";
        let answer = run(&sandbox, how, script);
        if answer.stderr.contains("mount: ") {
            println!("privileged, not run: {test}: {}", answer.stderr.lines().next().unwrap());
            return;
        }
        let answer = answer.done().json();
        roots.insert(answer["root"].as_str().unwrap().to_owned());
        let snapshot = answer["snapshot"].as_str().unwrap();
        assert_eq!(sandbox.cascow(["cat", snapshot, "dir/file"]).done().stdout, b"file");
        assert_untouched(&sandbox);
    }
    assert_eq!(roots.len(), 1);
}

/// Sockets, pipes, devices, set-id files, directories without permissions, links out of the tree, names of any bytes.
const EVERYTHING: &str = r#"
import os, socket, stat, sys
socket.socket(socket.AF_UNIX).bind('socket')
os.mkfifo('pipe')
if os.geteuid() == 0:
    os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod('loop', stat.S_IFBLK | 0o600, os.makedev(7, 0))
open('setuid', 'w').write('x'); os.chmod('setuid', 0o6755)
os.mkdir('closed'); open('closed/in', 'w').write('in'); os.chmod('closed', 0)
os.symlink('../../../../etc/passwd', 'out'); os.symlink('/', 'root'); os.symlink('nowhere', 'dangling')
names = [bytes([b]) for b in range(1, 256) if b not in b'/.'] + [b'\xff\xfe', b' ', b'..a', b'-', b'\n', b'x' * 255]
os.mkdir('names')
for name in names:
    open(b'names/' + name, 'wb').write(name)
deep = 'deep'
os.mkdir(deep); os.chdir(deep)
for _ in range(300):
    os.mkdir('d' * 12); os.chdir('d' * 12)
open('bottom', 'w').write('bottom')
"#;

#[test]
fn sockets_devices_set_id_files_closed_directories_and_names_of_any_bytes_are_the_same_state() {
    let test =
        "sockets_devices_set_id_files_closed_directories_and_names_of_any_bytes_are_the_same_state";
    let mut roots = BTreeSet::new();
    for how in materializers(test) {
        let sandbox = tree();
        sandbox.write("everything.py", EVERYTHING);
        let script = format!("exec python3 {}", sandbox.path("everything.py").display());
        let answer = run(&sandbox, how, &script).done();
        assert!(answer.stderr.contains("left out socket: a socket"), "{}", answer.stderr);
        let answer = answer.json();
        assert_eq!(answer["exit"], 0, "{how}");
        roots.insert(answer["root"].as_str().unwrap().to_owned());
        // What was sealed is complete: it can be forked in its turn, and nothing changes by that.
        let snapshot = answer["snapshot"].as_str().unwrap();
        let again = sandbox.json(["run", snapshot, "--materialize", how, "--", "true"]);
        assert_eq!((&again["root"], &again["changes"]), (&answer["root"], &serde_json::json!([])));
        assert_untouched(&sandbox);
    }
    assert_eq!(roots.len(), 1, "{roots:?}");
}

#[test]
fn a_hundred_thousand_files_are_sealed() {
    let sandbox = tree();
    let script = "exec python3 -c \"
import os
for d in range(100):
    os.mkdir(f'many{d}')
    for n in range(1000):
        os.close(os.open(f'many{d}/{n}', os.O_CREAT | os.O_WRONLY))
\"";
    let answer = run(&sandbox, "auto", script).done().json();
    assert_eq!(answer["changes"].as_array().unwrap().len(), 100_100);
    assert_untouched(&sandbox);
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let test = "a_full_disk_is_said_and_loses_nothing";
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount a filesystem");
        return;
    }
    for how in materializers(test) {
        let sandbox = Sandbox::without_repository();
        sandbox.write("tree/kept", "kept");
        sandbox.write("tree/dir/file", "file");
        sandbox.shell("truncate -s 48M disk; mkdir mount");
        let script = r#"
            mkfs.ext4 -q disk && mount -o loop disk mount || exit 99
            export CASCOW_REPO=mount
            "$CASCOW" init mount && "$CASCOW" save tree --label s || exit 98
            "$CASCOW" run s --materialize "$HOW" -- sh -c 'head -c 100M /dev/urandom > big'; echo "run $?"
            "$CASCOW" run s --materialize "$HOW" -- sh -c 'head -c 25M /dev/urandom > half'; echo "run $?"
            "$CASCOW" fsck && "$CASCOW" cat s kept && "$CASCOW" run s --materialize "$HOW" -- cat dir/file"#;
        let mut unshare = sandbox.command("unshare");
        unshare.args(["--mount", "sh", "-c", script]).env("CASCOW", program()).env("HOW", how);
        let answer = Answer::of(&mut unshare);
        if answer.code == 99 || answer.stderr.starts_with("unshare: ") {
            println!(
                "privileged, not run: {test}: {}",
                answer.stderr.trim_end().replace('\n', " ")
            );
            return;
        }
        let (text, errors) = (answer.text(), &answer.stderr);
        assert_eq!(answer.code, 0, "{how}: {text}{errors}");
        assert!(text.contains("run 5"), "{how}: what could not be kept is said: {text}{errors}");
        assert!(errors.contains("No space left on device"), "{how}: {errors}");
        assert!(text.contains("keptfile"), "{how}: {text}{errors}");
    }
}

#[test]
fn a_killed_run_leaves_nothing_that_the_next_does_not_clear_away() {
    for how in materializers("a_killed_run_leaves_nothing_that_the_next_does_not_clear_away") {
        let sandbox = tree();
        let before = newest(&sandbox);
        let started = sandbox.path("started");
        let script = format!(
            "echo new > new; echo $$ > {0}.new; mv {0}.new {0}; exec sleep 100",
            started.display()
        );
        let mut command = sandbox.command(program());
        command.args(["run", "s", "--materialize", how, "--", "sh", "-c", &script]);
        let mut child = command.stderr(Stdio::null()).process_group(0).spawn().unwrap();
        while !started.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let orphan: i32 = fs::read_to_string(&started).unwrap().trim().parse().unwrap();
        assert_eq!(mounts_in(&sandbox), 0, "{how}");
        // The orphan still stands in the workspace; that keeps nobody from working.
        sandbox.cascow(["run", "s", "--materialize", how, "--", "true"]).done();
        let pid = rustix::process::Pid::from_raw(orphan).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(sandbox.cascow(["--json", "log"]).done().json_lines().len(), 2);
        assert_ne!(newest(&sandbox), before, "a run that changed nothing is kept too");
        sandbox.cascow(["run", "s", "--materialize", how, "--", "true"]).done();
        assert_untouched(&sandbox);
    }
}

#[test]
fn where_no_overlay_can_be_mounted_states_are_written_out_and_it_is_said_why() {
    let test = "where_no_overlay_can_be_mounted_states_are_written_out_and_it_is_said_why";
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount a filesystem");
        return;
    }
    // A repository on an overlay, as in a container: an overlay cannot be the upper layer of another.
    let sandbox = Sandbox::without_repository();
    sandbox.write("lower/tree/kept", "kept");
    sandbox.shell("mkdir upper work mount");
    let script = r#"
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work mount || exit 99
        cd mount; "$CASCOW" init . && "$CASCOW" save tree --label s
        "$CASCOW" --json run s -- true; echo
        "$CASCOW" run s --materialize overlay -- true; echo "exit $?""#;
    let mut unshare = sandbox.command("unshare");
    unshare.args(["--mount", "sh", "-c", script]).env("CASCOW", program());
    let answer = Answer::of(&mut unshare);
    if answer.code == 99 || answer.stderr.starts_with("unshare: ") {
        println!("privileged, not run: {test}: {}", answer.stderr.trim_end().replace('\n', " "));
        return;
    }
    let (text, errors) = (answer.text(), &answer.stderr);
    assert!(text.contains(r#""materializer":"copy""#), "{text}{errors}");
    assert!(text.contains("exit 5"), "{text}{errors}");
    let why = "the repository lies on an overlay itself";
    assert_eq!(errors.matches(why).count(), 2, "{errors}");
    assert!(errors.contains("written out whole"), "{errors}");
}

/// Overlays of this process, or `None` and a line.
fn can_mount(test: &str) -> bool {
    if !is_privileged() {
        println!(
            "privileged, not run: {test}: only root may mount in a process of several threads"
        );
    }
    is_privileged()
}

#[test]
fn a_mark_that_nobody_knows_is_an_error_not_a_guess() {
    if !can_mount("a_mark_that_nobody_knows_is_an_error_not_a_guess") {
        return;
    }
    let setting = Setting::new();
    let workshop = setting.workshop(Materialize::Overlay);
    let origin = workshop.origin(setting.base(), None).unwrap();
    let mut workspace = workshop.fork(&origin);
    fs::write(workspace.path().unwrap().join("marked"), "x").unwrap();
    let upper = uppers(&setting).into_iter().find(|upper| upper.join("marked").exists()).unwrap();
    let mark = "trusted.overlay.unheard-of";
    rustix::fs::setxattr(upper.join("marked"), mark, b"y", rustix::fs::XattrFlags::CREATE).unwrap();
    let error = workspace.seal().unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("marked") && error.to_string().contains(mark), "{error}");
}

#[test]
fn a_whiteout_that_is_a_file_with_a_mark_is_one_too() {
    if !can_mount("a_whiteout_that_is_a_file_with_a_mark_is_one_too") {
        return;
    }
    let setting = Setting::new();
    let workshop = setting.workshop(Materialize::Overlay);
    let origin = workshop.origin(setting.base(), None).unwrap();
    let mut workspace = workshop.fork(&origin);
    let path = workspace.path().unwrap();
    // The kernel makes devices; tools that build layers, where they may not, make files with a mark in a directory with one.
    fs::write(path.join("b/a"), "").unwrap();
    let upper = uppers(&setting).into_iter().find(|upper| upper.join("b/a").exists()).unwrap();
    let create = rustix::fs::XattrFlags::CREATE;
    rustix::fs::setxattr(upper.join("b/a"), "trusted.overlay.whiteout", b"", create).unwrap();
    rustix::fs::setxattr(upper.join("b"), "trusted.overlay.opaque", b"x", create).unwrap();
    let sealed = workspace.seal().unwrap();
    let state = sealed.origin.state();
    assert!(setting.base().get(b"b/a").is_some() && state.get(b"b/a").is_none());
    // What the directory did not mention still is there.
    assert!(state.get(b"b/b").is_some());
    assert_eq!(state.len(), setting.base().len() - 1);
}

fn uppers(setting: &Setting) -> Vec<PathBuf> {
    let shops = fs::read_dir(setting.repository().work_dir()).unwrap().flatten();
    let dirs = shops.flat_map(|shop| fs::read_dir(shop.path()).unwrap().flatten());
    let paths = dirs.map(|dir| dir.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "upper")).collect()
}

/// Mounts, open files, and directories of workspaces, as they are now.
fn left_behind(setting: &Setting) -> (usize, usize, usize) {
    let shops = fs::read_dir(setting.repository().work_dir()).unwrap().flatten();
    (
        fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines().count(),
        fs::read_dir("/proc/self/fd").unwrap().count(),
        shops.map(|shop| fs::read_dir(shop.path()).unwrap().count()).sum(),
    )
}

#[test]
fn many_forks_and_seals_leave_nothing_behind() {
    // Other tests of this process open files meanwhile: this one counts in a process of its own.
    let test = "many_forks_and_seals_leave_nothing_behind";
    if !can_mount(test) {
        return;
    }
    if std::env::var_os("CASCOW_TEST_ALONE").is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", test, "--nocapture"]).env("CASCOW_TEST_ALONE", "1");
        let answer = Answer::of(&mut alone);
        assert_eq!(answer.code, 0, "{}{}", answer.text(), answer.stderr);
        return;
    }
    let setting = Setting::new();
    let workshop = setting.workshop(Materialize::Overlay);
    let origin = workshop.origin(setting.base(), None).unwrap();
    drop(workshop.fork(&origin).seal().unwrap());
    let mut first = workshop.fork(&origin);
    first.path().unwrap();
    drop(first);
    workshop.settle();
    let before = left_behind(&setting);
    for number in 0..300_u32 {
        let mut workspace = workshop.fork(&origin);
        fs::write(workspace.path().unwrap().join("new"), number.to_string()).unwrap();
        if number.is_multiple_of(3) {
            drop(workspace);
        } else {
            let sealed = workspace.seal().unwrap();
            assert_eq!(sealed.delta.len(), 1);
        }
    }
    workshop.settle();
    assert_eq!(left_behind(&setting), before);
}

#[test]
fn a_snapshot_hundreds_of_forks_deep_stands_on_few_layers() {
    if !can_mount("a_snapshot_hundreds_of_forks_deep_stands_on_few_layers") {
        return;
    }
    let setting = Setting::new();
    let workshop = setting.workshop(Materialize::Overlay);
    let mut origin = workshop.origin(setting.base(), None).unwrap();
    for number in 0..600_u32 {
        let mut workspace = workshop.fork(&origin);
        let path = workspace.path().unwrap();
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let own = mounts.lines().find(|line| line.contains(path.to_str().unwrap())).unwrap();
        let layers = own.matches("lowerdir").count();
        assert!((1..=30).contains(&layers), "{number} deep: {layers} layers");
        fs::write(path.join(format!("a/{}", number % 50)), number.to_string()).unwrap();
        origin = workspace.seal().unwrap().origin;
    }
    // And it is what the same changes come to without any layers.
    let flat = workshop.origin(&origin.state(), None).unwrap();
    let kind = setting.repository().store().hash_kind();
    let nothing: [Operation; 0] = [];
    let deep = round(&workshop, setting.repository(), &origin, &nothing);
    let flat = round(&workshop, setting.repository(), &flat, &nothing);
    assert_eq!(deep.state.root(kind), flat.state.root(kind));
}

#[test]
fn whenever_a_run_or_a_search_is_killed_what_was_sealed_is_whole_and_the_rest_is_gone() {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};
    let test = "whenever_a_run_or_a_search_is_killed_what_was_sealed_is_whole_and_the_rest_is_gone";
    const SEED: u64 = 2026;
    println!("seed {SEED}");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    for how in materializers(test) {
        let sandbox = tree();
        // Each action adds a file, so that states are many deltas deep and layers are joined.
        let actions: String = (0..24)
            .map(|n| {
                format!("[[action]]\nname = \"{n}\"\nrun = \"echo {n} > dir/{n}; rm -f kept\"\n")
            })
            .collect();
        sandbox.write("actions.toml", actions);
        let script = "echo new > dir/new && rm kept && mv dir/file moved";
        let run = ["run", "s", "--label", "ran", "--materialize", how, "--", "sh", "-c", script];
        let search = [
            "search",
            "--workspace",
            "tree",
            "--actions",
            "actions.toml",
            "--materialize",
            how,
            "--score",
            "ls dir | wc -l | awk '{ print $1 / 100 }'",
        ];
        // Once to its end: how long that takes here, and what the label names from then on.
        let start = Instant::now();
        sandbox.cascow(run).done();
        let whole = u64::try_from(start.elapsed().as_micros()).unwrap();
        for round in 0..30 {
            let mut command = sandbox.command(program());
            // A search gets as far as to join layers.
            let most = if round % 2 == 0 {
                command.args(run);
                whole * 3 / 2
            } else {
                command.args(search);
                whole * 12
            };
            command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
            let mut child = command.spawn().unwrap();
            thread::sleep(Duration::from_micros(random.next_u64() % most));
            // The whole group: what the program runs has groups of its own, and may live on for a moment.
            let _ = child.kill();
            child.wait().unwrap();
            // A label is set after all that it names.
            let labels = sandbox.json(["label"]);
            let ran = labels.as_array().unwrap().iter().find(|label| label["label"] == "ran");
            let snapshot = ran.unwrap()["snapshot"].as_str().unwrap().to_owned();
            assert_eq!(sandbox.cascow(["cat", &snapshot, "dir/new"]).done().stdout, b"new\n");
            assert_eq!(sandbox.cascow(["cat", &snapshot, "moved"]).done().stdout, b"file");
        }
        // Whatever was left is cleared away by who comes next, once the last of the commands is gone.
        sandbox.cascow(["run", "s", "--materialize", how, "--", "true"]).done();
        assert_untouched(&sandbox);
    }
}
