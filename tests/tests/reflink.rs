// SPDX-License-Identifier: MIT
//! Files with equal contents share their blocks where the filesystem can: on a btrfs of our own, which takes root to mount.

use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::{Sandbox, is_privileged};

#[test]
fn equal_files_of_a_checkout_share_their_blocks_where_the_filesystem_can() {
    let test = "equal_files_of_a_checkout_share_their_blocks_where_the_filesystem_can";
    if !is_privileged() {
        println!("privileged, not run: {test}: only root may mount a filesystem");
        return;
    }
    let sandbox = Sandbox::new();
    // Sixteen files of 4 MiB that are all alike, one of them without permissions, and one that is not like them.
    sandbox.shell(
        "mkdir tree; head -c 4194304 /dev/urandom > tree/00; head -c 4194304 /dev/urandom > tree/other
         for n in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do cp tree/00 tree/$n; done; chmod 0 tree/07
         truncate -s 256M disk; mkdir mount",
    );
    sandbox.cascow(["save", "tree", "--label", "alike"]).done();
    // In a mount namespace of its own, so that nothing stays mounted whatever happens.
    let script = r#"
        mkfs.btrfs -q disk && mount -o loop disk mount || exit 99
        set -e
        sync; before=$(df -k --output=used mount | tail -n 1)
        "$CASCOW" checkout alike mount/out
        sync; after=$(df -k --output=used mount | tail -n 1)
        echo $((after - before))
        diff -r tree mount/out"#;
    let mut unshare = sandbox.command("unshare");
    unshare.args(["--mount", "sh", "-c", script]).env("CASCOW", program());
    let answer = Answer::of(&mut unshare);
    if answer.code == 99 || answer.stderr.starts_with("unshare: ") {
        println!("privileged, not run: {test}: {}", answer.stderr.trim_end().replace('\n', " "));
        return;
    }
    assert_eq!(answer.code, 0, "{}{}", answer.text(), answer.stderr);
    let used = answer.text().lines().rev().find_map(|line| line.trim().parse::<u64>().ok());
    // Two contents of 4,096 KiB, and what the filesystem itself takes; sixteen copies would take 65,536.
    let used = used.expect("the script prints what was used");
    assert!((8_192..16_384).contains(&used), "{used} KiB were used");
}
