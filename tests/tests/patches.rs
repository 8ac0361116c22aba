// SPDX-License-Identifier: MIT
//! `diff --patch` says in patch's own language how one text tree becomes another.

use cascow_tests::sandbox::Sandbox;

const TREE: &str = r#"
    mkdir -p tree/dir/deep "tree/with space" tree/gone
    seq 1 100 > tree/numbers; printf 'no newline' > tree/unended; echo same > tree/same; : > tree/empty
    echo '#!/bin/sh' > tree/script; echo a > "tree/with space/a file"; echo b > tree/dir/deep/b
    echo q > 'tree/qu"ote\d'; echo tab > "$(printf 'tree/tab\tname')"; echo only > tree/gone/only
    printf 'one\r\ntwo\r\n' > tree/dos; printf 'a\rb\rc\nnext\n' > tree/progress; printf '\303\244\n' > "$(printf 'tree/\303\244')"
    ln -s numbers tree/link; echo -- > tree/-dash"#;

/// What is left of a tree in a text patch: names, contents and whether a file may be executed.
const DESCRIBE: &str = r#"find . ! -type d \( -type l -printf '%P -> %l\n' -o -printf '%P ' -perm -100 -printf 'x ' -exec sha256sum '{}' ';' -o -exec sha256sum '{}' ';' \) | sort"#;

/// Applies the patch from `tree` as it is to `tree` after `commands` to a checkout of the former.
#[track_caller]
fn patches_to(commands: &str) {
    let sandbox = Sandbox::new();
    sandbox.shell(TREE);
    let before = sandbox.save("tree");
    sandbox.shell(&format!("cd tree; {commands}"));
    let after = sandbox.save("tree");
    for (from, to) in [(&before, &after), (&after, &before)] {
        sandbox.shell("rm -rf from to");
        sandbox.cascow(["checkout", from, "from"]).done();
        sandbox.cascow(["checkout", to, "to"]).done();
        let patch = sandbox.cascow(["diff", "--patch", from, to]).done();
        sandbox.write("the.patch", &patch.stdout);
        let shown = String::from_utf8_lossy(&patch.stdout);
        let mut apply = sandbox.command("patch");
        let applied = apply.args(["-p1", "--batch", "-d", "from", "-i", "../the.patch"]).output();
        let applied = applied.unwrap();
        let said = String::from_utf8_lossy(&applied.stdout);
        assert!(applied.status.success(), "{commands}: {said}\n{shown}");
        let [from, to] = ["from", "to"]
            .map(|dir| sandbox.shell(&format!("cd {dir}; {DESCRIBE}")).text().to_owned());
        assert_eq!(from, to, "{commands}: {said}\n{shown}");
    }
}

#[test]
fn edited_lines() {
    patches_to("sed -i 's/^5$/five/; s/^50$/fifty/; 77d; 99a after' numbers");
}

#[test]
fn files_without_a_last_newline() {
    patches_to("printf 'now another' > unended; printf 'same' > same; echo >> dir/deep/b");
}

#[test]
fn added_and_deleted_files() {
    patches_to("rm same gone/only dir/deep/b; echo new > new; mkdir more; echo x > more/x");
}

#[test]
fn empty_files() {
    patches_to("rm empty; : > new; : > 'new with space'; : > same; rm 'with space/a file'");
}

#[test]
fn modes() {
    patches_to("chmod +x script; chmod +x numbers; echo more >> numbers");
}

#[test]
fn modes_of_names_with_spaces() {
    patches_to("chmod +x 'with space/a file'");
}

#[test]
fn names_with_spaces_quotes_tabs_dashes_and_umlauts() {
    patches_to(
        "for name in 'with space/a file' 'qu\"ote\\d' \"$(printf 'tab\\tname')\" ./-dash \"$(printf '\\303\\244')\"
         do echo changed >> \"$name\"; done; echo new > ' new one '; rm ./-dash",
    );
}

#[test]
fn carriage_returns() {
    patches_to(
        "sed -i 's/two/2/' dos; printf 'a\\rB\\rc\\nnext\\n' > progress; printf 'x\\ry' > new",
    );
}

#[test]
fn new_and_deleted_links() {
    patches_to("rm link; ln -s dir/deep new; ln -s 'with space/a file' 'new space'");
}

#[test]
fn links_that_point_elsewhere() {
    patches_to("ln -sfn same link");
}

#[test]
fn a_link_that_becomes_a_file() {
    patches_to("rm link; echo file > link");
}

#[test]
fn what_a_text_patch_cannot_say_is_named_in_it() {
    let sandbox = Sandbox::new();
    sandbox.shell("mkdir tree; printf 'a\\0b' > tree/binary; echo x > tree/x");
    let before = sandbox.save("tree");
    sandbox.shell(
        "cd tree; printf 'a\\0c' > binary; mkdir empty; mkfifo pipe; setfattr -n user.a -v b x",
    );
    let after = sandbox.save("tree");
    let patch = sandbox.cascow(["diff", "--patch", &before, &after]).done();
    for named in [
        "a/binary and b/binary differ",
        "directory added: empty",
        "pipe added: pipe",
        "attributes, links or permissions modified: x",
    ] {
        assert!(patch.text().contains(named), "{named}: {}", patch.text());
    }
}
