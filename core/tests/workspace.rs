// SPDX-License-Identifier: MIT
//! Workspaces: which paths, entries and states are accepted, and what merging two of them gives.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use std::collections::{BTreeMap, BTreeSet};

use cascow_core::blob::{BlobId, BlobIndex};
use cascow_core::entry::{Entry, EntryError, EntryKind, Note, SYMLINK_MODE, Xattr};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::ListRoot;
use cascow_core::snapshot::merge::{ConflictKind, Policy};
use cascow_core::snapshot::{State, Value};
use cascow_core::workspace::{
    MAX_NAME_LEN, MAX_PATH_LEN, MergeConflictKind, Problem, entries, is_path, merge, parent,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

#[test]
fn paths_are_relative_and_of_plain_names() {
    let name = |len| "n".repeat(len);
    let longest = format!("{}/{}", [&name(254)[..]; 16].join("/"), name(15));
    assert_eq!(longest.len(), MAX_PATH_LEN);
    let longest_name = name(MAX_NAME_LEN);
    let accepted = [
        "a",
        "a/b",
        "a/b/c",
        "...",
        "..a",
        "a..",
        ".a",
        "a/.b/..c",
        " ",
        "-",
        "~",
        "\n",
        "\\",
        "a:b",
        "é",
        &longest_name,
        &format!("a/{longest_name}"),
        &longest,
    ];
    for path in accepted {
        assert!(is_path(path.as_bytes()), "{path:?}");
    }
    assert!(is_path(b"\xff\xfe/\x80"), "names need not be UTF-8");
    let too_long = format!("{longest}n");
    let long_name = name(256);
    let refused = [
        "",
        ".",
        "..",
        "/",
        "//",
        "/a",
        "a/",
        "a//b",
        "./a",
        "../a",
        "a/.",
        "a/..",
        "a/./b",
        "a/../b",
        "a\0",
        "\0",
        "a/\0/b",
        &long_name,
        &format!("a/{long_name}"),
        &format!("{long_name}/a"),
        &too_long,
    ];
    for path in refused {
        assert!(!is_path(path.as_bytes()), "{path:?}");
    }
}

#[test]
fn a_parent_is_the_path_before_the_last_slash() {
    for (path, expected) in [("a", None), ("a/b", Some("a")), ("a/b/c", Some("a/b"))] {
        assert_eq!(parent(path.as_bytes()), expected.map(str::as_bytes));
    }
}

fn file(content: &str) -> Entry {
    let hash = HashKind::Sha256.hash(content.as_bytes());
    let len = u32::try_from(content.len()).unwrap();
    Entry {
        kind: EntryKind::File(BlobId::Chunk { hash, len }),
        mode: 0o644,
        xattrs: vec![],
        links: None,
    }
}

fn directory() -> Entry {
    Entry { kind: EntryKind::Directory, mode: 0o755, xattrs: vec![], links: None }
}

fn symlink(target: &str) -> Entry {
    let kind = EntryKind::Symlink { target: target.into() };
    Entry { kind, mode: SYMLINK_MODE, xattrs: vec![], links: None }
}

fn linked(entry: Entry, first: &str) -> Entry {
    Entry { links: Some(first.into()), ..entry }
}

const NOTE: Note =
    Note { mtime_secs: -1, mtime_nanos: 999_999_999, uid: 1000, gid: 0, index: None };

fn value(entry: &Entry) -> Value {
    Value { bytes: entry.encode().into(), note: NOTE.encode().into() }
}

fn state<'a>(tree: impl IntoIterator<Item = (&'a str, Entry)>) -> State {
    tree.into_iter().map(|(path, entry)| (path.as_bytes(), value(&entry))).collect()
}

fn problem(state: &State) -> Option<(String, Problem)> {
    let error = entries(state).err()?;
    Some((String::from_utf8_lossy(&error.path).into_owned(), error.problem))
}

#[test]
fn a_directory_tree_is_a_workspace_and_comes_decoded_in_order() {
    let tree = [
        ("bin", directory()),
        ("bin/run", Entry { mode: 0o4755, ..file("run") }),
        ("bin-2", file("sorts before what bin holds")),
        ("link", symlink("../nowhere/\u{e9}")),
        ("one", linked(file("shared"), "one")),
        ("pipe", Entry { kind: EntryKind::Fifo, ..file("") }),
        ("two", linked(file("shared"), "one")),
    ];
    let state = state(tree.clone());
    let found = entries(&state).unwrap();
    let mut expected = BTreeMap::from(tree);
    for entry in &found {
        let path = std::str::from_utf8(entry.path).unwrap();
        assert_eq!(Some(&entry.entry), expected.get(path));
        assert_eq!(entry.note, NOTE);
        assert_eq!(entry.entry.content().is_some(), matches!(entry.entry.kind, EntryKind::File(_)));
        expected.remove(path);
    }
    assert!(expected.is_empty());
    assert!(found.is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(entries(&State::new()), Ok(vec![]));
}

#[test]
fn states_that_are_no_trees_are_refused() {
    let f = || file("x");
    let refused = [
        (state([("../escape", f())]), "../escape", Problem::Path),
        (state([("/etc/passwd", f())]), "/etc/passwd", Problem::Path),
        (state([("d", directory()), ("d/", f())]), "d/", Problem::Path),
        (state([("", directory())]), "", Problem::Path),
        (state([("missing/a", f())]), "missing/a", Problem::Parent),
        (state([("a", directory()), ("a/b/c", f())]), "a/b/c", Problem::Parent),
        (state([("a", f()), ("a/b", f())]), "a/b", Problem::Parent),
        (state([("a", symlink("/etc")), ("a/passwd", f())]), "a/passwd", Problem::Parent),
        (
            state([("a", Entry { kind: EntryKind::Fifo, ..f() }), ("a/b", f())]),
            "a/b",
            Problem::Parent,
        ),
    ];
    for (state, path, expected) in refused {
        assert_eq!(problem(&state), Some((path.into(), expected)));
    }
}

#[test]
fn groups_of_hard_links_are_whole_and_of_one_mind() {
    let group = |first: &'static str| move |content: &str| linked(file(content), first);
    let a = group("a");
    assert_eq!(problem(&state([("a", a("x")), ("b", a("x")), ("c", a("x"))])), None);
    let dir = linked(directory(), "a");
    let refused = [
        ("of one member", state([("a", a("x"))])),
        ("with members that differ", state([("a", a("x")), ("b", a("y"))])),
        ("with modes that differ", state([("a", a("x")), ("b", Entry { mode: 0o600, ..a("x") })])),
        ("whose first stands alone", state([("a", file("x")), ("b", a("x")), ("c", a("x"))])),
        ("whose first is not there", state([("b", a("x")), ("c", a("x"))])),
        ("of directories", state([("a", dir.clone()), ("b", dir)])),
    ];
    for (what, state) in refused {
        assert_eq!(problem(&state), Some(("a".into(), Problem::Links)), "{what}");
    }
    let after = group("b");
    let wrong_first = state([("a", after("x")), ("b", after("x"))]);
    assert_eq!(problem(&wrong_first), Some(("b".into(), Problem::Links)));
}

#[test]
fn values_and_notes_that_are_none_are_refused_by_path() {
    let good = value(&file("x"));
    let with = |bytes: &[u8], note: &[u8]| -> State {
        [(*b"path", Value { bytes: bytes.into(), note: note.into() })].into_iter().collect()
    };
    let path = || "path".to_owned();
    assert_eq!(problem(&with(&good.bytes, &good.note)), None);
    for (bytes, error) in [(&b""[..], EntryError::Malformed), (b"\xff", EntryError::Malformed)] {
        assert_eq!(problem(&with(bytes, &good.note)), Some((path(), Problem::Entry(error))));
        assert_eq!(problem(&with(&good.bytes, bytes)), Some((path(), Problem::Note(error))));
    }
    let longer = [&good.bytes[..], &[0]].concat();
    let expected = Problem::Entry(EntryError::NotCanonical);
    assert_eq!(problem(&with(&longer, &good.note)), Some((path(), expected)));
}

#[test]
fn fields_out_of_range_are_refused() {
    let xattr = |name: &str| Xattr { name: name.into(), value: b"value".into() };
    let with_xattrs =
        |names: &[&str]| Entry { xattrs: names.iter().map(|n| xattr(n)).collect(), ..file("x") };
    let good = [
        Entry { mode: 0, ..file("x") },
        Entry { mode: 0o7777, ..file("x") },
        with_xattrs(&["user.a", "user.b"]),
        symlink("target"),
        Entry { kind: EntryKind::CharacterDevice { major: u32::MAX, minor: 0 }, ..file("") },
    ];
    for entry in good {
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
    let bad = [
        Entry { mode: 0o10000, ..file("x") },
        Entry { mode: u16::MAX, ..directory() },
        Entry { mode: 0o755, ..symlink("target") },
        with_xattrs(&["user.b", "user.a"]),
        with_xattrs(&["user.a", "user.a"]),
    ];
    for entry in bad {
        assert_eq!(Entry::decode(&entry.encode()), Err(EntryError::OutOfRange), "{entry:?}");
    }
    let late = Note { mtime_nanos: 1_000_000_000, ..NOTE };
    assert_eq!(Note::decode(&late.encode()), Err(EntryError::OutOfRange));
}

#[test]
fn attributes_outside_the_user_namespace_are_refused() {
    for name in [
        "",
        "user.",
        "user",
        "users.a",
        "security.capability",
        "trusted.overlay.opaque",
        "user.a\0",
        "User.a",
    ] {
        let xattrs = vec![Xattr { name: name.into(), value: vec![] }];
        let entry = Entry { xattrs, ..file("x") };
        assert_eq!(Entry::decode(&entry.encode()), Err(EntryError::OutOfRange), "{name:?}");
    }
}

#[test]
fn targets_that_no_link_can_have_are_refused() {
    for target in ["", "\0", "a\0b"] {
        let encoded = symlink(target).encode();
        assert_eq!(Entry::decode(&encoded), Err(EntryError::OutOfRange), "{target:?}");
    }
}

/// `postcard` itself reads integers padded with empty groups of seven bits.
#[test]
fn padded_integers_are_refused() {
    let padded_mode = [&[1][..], &[0xed, 0x83, 0x00], &[0, 0]].concat();
    assert_eq!(directory().encode(), [&[1][..], &[0xed, 0x03], &[0, 0]].concat());
    assert_eq!(Entry::decode(&padded_mode), Err(EntryError::NotCanonical));
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None };
    assert_eq!(note.encode(), [0; 5]);
    assert_eq!(Note::decode(&[0x80, 0, 0, 0, 0, 0]), Err(EntryError::NotCanonical));
    assert_eq!(Note::decode(&[0; 6]), Err(EntryError::NotCanonical));
    assert_eq!(Note::decode(&[0; 4]), Err(EntryError::Malformed));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let id = prop_oneof![
        (any::<[u8; 32]>(), any::<u32>())
            .prop_map(|(hash, len)| BlobId::Chunk { hash: ContentHash::from_bytes(hash), len }),
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(root, len)| BlobId::List { root: ListRoot::from_bytes(root), len }),
    ];
    let kind = prop_oneof![
        id.prop_map(EntryKind::File),
        Just(EntryKind::Directory),
        vec(1..=u8::MAX, 1..20).prop_map(|target| EntryKind::Symlink { target }),
        Just(EntryKind::Fifo),
        any::<(u32, u32)>().prop_map(|(major, minor)| EntryKind::CharacterDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| EntryKind::BlockDevice { major, minor }),
    ];
    let xattrs = btree_map(vec(1..=u8::MAX, 1..5), vec(any::<u8>(), 0..5), 0..4).prop_map(|map| {
        let named = |(name, value): (Vec<u8>, Vec<u8>)| Xattr {
            name: [b"user.", &name[..]].concat(),
            value,
        };
        map.into_iter().map(named).collect()
    });
    let links = prop::option::of(vec(any::<u8>(), 0..9));
    (kind, 0..=0o7777u16, xattrs, links).prop_map(|(kind, mode, xattrs, links)| {
        let is_symlink = matches!(kind, EntryKind::Symlink { .. });
        Entry { kind, mode: if is_symlink { SYMLINK_MODE } else { mode }, xattrs, links }
    })
}

fn any_note() -> impl Strategy<Value = Note> {
    let index = (any::<u8>(), any::<[u8; 32]>())
        .prop_map(|(depth, top)| BlobIndex { depth, top: ContentHash::from_bytes(top) });
    (any::<i64>(), 0..1_000_000_000u32, any::<(u32, u32)>(), prop::option::of(index)).prop_map(
        |(mtime_secs, mtime_nanos, (uid, gid), index)| Note {
            mtime_secs,
            mtime_nanos,
            uid,
            gid,
            index,
        },
    )
}

proptest! {
    #[test]
    fn entries_and_notes_come_back(entry in any_entry(), note in any_note()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        prop_assert_eq!(Note::decode(&note.encode()), Ok(note));
    }

    #[test]
    fn bytes_that_decode_are_what_they_encode_to(
        entry in any_entry(),
        note in any_note(),
        at in any::<prop::sample::Index>(),
        byte: u8,
        bytes in vec(any::<u8>(), 0..100),
    ) {
        let altered = |mut bytes: Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        };
        for bytes in [bytes, altered(entry.encode()), altered(note.encode())] {
            if let Ok(entry) = Entry::decode(&bytes) {
                prop_assert_eq!(&entry.encode(), &bytes);
            }
            if let Ok(note) = Note::decode(&bytes) {
                prop_assert_eq!(&note.encode(), &bytes);
            }
        }
    }
}

/// What a merge gave: the tree's paths with what stands there, and the conflicts.
fn merged(
    base: &State,
    ours: &State,
    theirs: &State,
    policy: Policy,
) -> (BTreeMap<String, Entry>, Vec<(String, MergeConflictKind)>) {
    let (state, conflicts) = merge(base, ours, theirs, policy).unwrap();
    let text = |path: &[u8]| String::from_utf8(path.into()).unwrap();
    let tree = state.iter().map(|(path, value)| (text(path), Entry::decode(&value.bytes).unwrap()));
    let conflicts = conflicts.iter().map(|conflict| (text(&conflict.path), conflict.kind));
    (tree.collect(), conflicts.collect())
}

type Tree = Vec<(&'static str, Entry)>;

#[test]
fn each_clash_of_two_trees_merges_by_its_rule() {
    use ConflictKind::*;
    use MergeConflictKind::{Entry as AtEntry, Links, Parent};

    let f = file;
    let d = directory;
    let l = |content: &str, first: &str| linked(file(content), first);
    struct Case {
        what: &'static str,
        base: Tree,
        ours: Tree,
        theirs: Tree,
        conflicts: Vec<(&'static str, MergeConflictKind)>,
        by_ours: Tree,
        by_theirs: Tree,
    }
    let table = [
        Case {
            what: "a file edited on both sides",
            base: vec![("a", f("1")), ("b", f("1"))],
            ours: vec![("a", f("2")), ("b", f("2"))],
            theirs: vec![("a", f("3")), ("b", f("1"))],
            conflicts: vec![("a", AtEntry(ModifiedModified))],
            by_ours: vec![("a", f("2")), ("b", f("2"))],
            by_theirs: vec![("a", f("3")), ("b", f("2"))],
        },
        Case {
            what: "different files added and removed",
            base: vec![("a", f("1")), ("b", f("1"))],
            ours: vec![("b", f("1")), ("c", f("1"))],
            theirs: vec![("a", f("1")), ("d", f("1"))],
            conflicts: vec![],
            by_ours: vec![("c", f("1")), ("d", f("1"))],
            by_theirs: vec![("c", f("1")), ("d", f("1"))],
        },
        Case {
            what: "a directory deleted by us, a file added below it by them",
            base: vec![("d", d()), ("d/a", f("1"))],
            ours: vec![],
            theirs: vec![("d", d()), ("d/a", f("1")), ("d/b", f("2"))],
            conflicts: vec![("d/b", Parent)],
            by_ours: vec![],
            by_theirs: vec![("d", d()), ("d/b", f("2"))],
        },
        Case {
            what: "a file added by us below a directory that they deleted",
            base: vec![("d", d())],
            ours: vec![("d", d()), ("d/e", d()), ("d/e/b", f("2"))],
            theirs: vec![],
            conflicts: vec![("d/e", Parent)],
            by_ours: vec![("d", d()), ("d/e", d()), ("d/e/b", f("2"))],
            by_theirs: vec![],
        },
        Case {
            what: "a file made a directory by us, edited by them",
            base: vec![("a", f("1"))],
            ours: vec![("a", d()), ("a/x", f("1"))],
            theirs: vec![("a", f("2"))],
            conflicts: vec![("a", AtEntry(ModifiedModified))],
            by_ours: vec![("a", d()), ("a/x", f("1"))],
            by_theirs: vec![("a", f("2"))],
        },
        Case {
            what: "a file edited by us, made a directory by them",
            base: vec![("a", f("1"))],
            ours: vec![("a", f("2"))],
            theirs: vec![("a", d()), ("a/x", f("1"))],
            conflicts: vec![("a", AtEntry(ModifiedModified)), ("a/x", Parent)],
            by_ours: vec![("a", f("2"))],
            by_theirs: vec![("a", d()), ("a/x", f("1"))],
        },
        Case {
            what: "a group of hard links edited by us, extended by them",
            base: vec![("a", l("1", "a")), ("b", l("1", "a"))],
            ours: vec![("a", l("2", "a")), ("b", l("2", "a"))],
            theirs: vec![("a", l("1", "a")), ("b", l("1", "a")), ("c", l("1", "a"))],
            conflicts: vec![("a", Links)],
            by_ours: vec![("a", l("2", "a")), ("b", l("2", "a")), ("c", f("1"))],
            by_theirs: vec![("a", l("1", "a")), ("b", l("1", "a")), ("c", l("1", "a"))],
        },
        Case {
            what: "a group of three made two by both, differently",
            base: vec![("a", l("1", "a")), ("b", l("1", "a")), ("c", l("1", "a"))],
            ours: vec![("a", l("1", "a")), ("b", l("1", "a"))],
            theirs: vec![("a", l("1", "a")), ("c", l("1", "a"))],
            conflicts: vec![("a", Links)],
            by_ours: vec![("a", l("1", "a")), ("b", l("1", "a"))],
            by_theirs: vec![("a", l("1", "a")), ("c", l("1", "a"))],
        },
        Case {
            what: "a group extended by both, differently",
            base: vec![("a", f("1"))],
            ours: vec![("a", l("1", "a")), ("b", l("1", "a"))],
            theirs: vec![("a", l("1", "a")), ("c", l("1", "a"))],
            conflicts: vec![],
            by_ours: vec![("a", l("1", "a")), ("b", l("1", "a")), ("c", l("1", "a"))],
            by_theirs: vec![("a", l("1", "a")), ("b", l("1", "a")), ("c", l("1", "a"))],
        },
    ];
    for Case { what, base, ours, theirs, conflicts, by_ours, by_theirs } in table {
        let tree = |tree: Tree| -> BTreeMap<String, Entry> {
            tree.into_iter().map(|(path, entry)| (path.into(), entry)).collect()
        };
        let [base, ours, theirs] = [base, ours, theirs].map(state);
        let (_, reported) = merged(&base, &ours, &theirs, Policy::Report);
        let expected: Vec<_> =
            conflicts.into_iter().map(|(path, kind)| (path.to_owned(), kind)).collect();
        assert_eq!(reported, expected, "{what}");
        assert_eq!(merged(&base, &ours, &theirs, Policy::Ours), (tree(by_ours), vec![]), "{what}");
        assert_eq!(
            merged(&base, &ours, &theirs, Policy::Theirs),
            (tree(by_theirs), vec![]),
            "{what}"
        );
    }
}

/// Taking their file for our directory takes the link in it, and so leaves the link elsewhere without its group.
#[test]
fn a_hard_link_whose_group_a_merge_removes_stands_alone() {
    let link = || linked(file("1"), "d/x");
    let base = state([("d", directory())]);
    let ours = state([("d", directory()), ("d/x", link()), ("e", link())]);
    let theirs = state([("d", file("2"))]);
    let (by_theirs, conflicts) = merge(&base, &ours, &theirs, Policy::Theirs).unwrap();
    assert_eq!((by_theirs, conflicts), (state([("d", file("2")), ("e", file("1"))]), vec![]));
    let (by_ours, conflicts) = merge(&base, &ours, &theirs, Policy::Ours).unwrap();
    assert_eq!((by_ours, conflicts), (ours, vec![]));
}

#[test]
fn what_is_no_workspace_is_not_merged() {
    let good = state([("a", file("1"))]);
    let bad = state([("a/b", file("1"))]);
    for (base, ours, theirs) in [(&bad, &good, &good), (&good, &bad, &good), (&good, &good, &bad)] {
        let error = merge(base, ours, theirs, Policy::Ours).unwrap_err();
        assert_eq!((&*error.path, error.problem), (&b"a/b"[..], Problem::Parent));
    }
}

const PATHS: [&str; 11] = ["a", "a/x", "a/x/k", "a/x/l", "a/y", "b", "b/x", "b/y", "c", "d", "d/x"];

/// What a test tree holds at a path; a group of hard links is meant to hold its first member's entry.
#[derive(Clone, Debug)]
enum Spec {
    Directory(bool),
    File(u8),
    Symlink,
    Linked { group: u8, content: u8 },
}

type Specs = BTreeMap<&'static str, Spec>;

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        3 => any::<bool>().prop_map(Spec::Directory),
        2 => (0..3u8).prop_map(Spec::File),
        1 => Just(Spec::Symlink),
        3 => (0..2u8, 0..2u8).prop_map(|(group, content)| Spec::Linked { group, content }),
    ]
}

fn edits() -> impl Strategy<Value = BTreeMap<&'static str, Option<Spec>>> {
    btree_map(prop::sample::select(PATHS.to_vec()), prop::option::weighted(0.7, spec()), 0..4)
}

/// A tree and two that come from it by edits.
fn three_trees() -> impl Strategy<Value = [Specs; 3]> {
    (btree_map(prop::sample::select(PATHS.to_vec()), spec(), 0..11), edits(), edits()).prop_map(
        |(base, ours, theirs)| {
            let edited = |edits: BTreeMap<&'static str, Option<Spec>>| {
                let mut specs = base.clone();
                for (path, spec) in edits {
                    match spec {
                        Some(spec) => _ = specs.insert(path, spec),
                        None => _ = specs.remove(path),
                    }
                }
                specs
            };
            [base.clone(), edited(ours), edited(theirs)]
        },
    )
}

/// The workspace that specifications come to: what has no directory is left out, groups are of one mind.
fn tree(specs: &Specs) -> State {
    let mut directories = BTreeSet::new();
    let mut standing: Vec<(&str, &Spec)> = Vec::new();
    for (path, spec) in specs {
        if parent(path.as_bytes()).is_none_or(|parent| directories.contains(parent)) {
            if matches!(spec, Spec::Directory(_)) {
                directories.insert(path.as_bytes());
            }
            standing.push((path, spec));
        }
    }
    let members = |of: u8| {
        let of_group = move |(path, spec): &(&'static str, &Spec)| match spec {
            Spec::Linked { group, content } if *group == of => Some((*path, *content)),
            _ => None,
        };
        standing.iter().filter_map(of_group).collect::<Vec<_>>()
    };
    let entry = |spec: &Spec| match spec {
        Spec::Directory(open) => Entry { mode: if *open { 0o777 } else { 0o700 }, ..directory() },
        Spec::File(content) => file(&content.to_string()),
        Spec::Symlink => symlink("a/x"),
        Spec::Linked { group, .. } => match &members(*group)[..] {
            [(_, content)] => file(&content.to_string()),
            [(first, content), ..] => linked(file(&content.to_string()), first),
            [] => unreachable!("the group of this one"),
        },
    };
    state(standing.iter().map(|(path, spec)| (*path, entry(spec))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_policy_that_takes_a_side_always_gives_a_workspace(trees in three_trees()) {
        let [base, ours, theirs] = trees.map(|specs| tree(&specs));
        for (policy, preferred) in [(Policy::Ours, &ours), (Policy::Theirs, &theirs)] {
            let (merged, conflicts) = merge(&base, &ours, &theirs, policy).unwrap();
            prop_assert_eq!(conflicts, vec![], "{:?}", policy);
            prop_assert_eq!(entries(&merged).err(), None, "{:?}", policy);
            // What the side changed, it has its way with.
            for change in base.diff(preferred) {
                prop_assert_eq!(merged.get(&change.key), preferred.get(&change.key), "{:?}", policy);
            }
        }
    }

    #[test]
    fn a_merge_without_conflicts_is_a_workspace_and_the_same_from_both_sides(trees in three_trees()) {
        let [base, ours, theirs] = trees.map(|specs| tree(&specs));
        let (one, conflicts) = merge(&base, &ours, &theirs, Policy::Report).unwrap();
        let (other, mirrored) = merge(&base, &theirs, &ours, Policy::Report).unwrap();
        prop_assert_eq!(conflicts.is_empty(), mirrored.is_empty());
        if conflicts.is_empty() {
            prop_assert_eq!(entries(&one).err(), None);
            prop_assert_eq!(&one, &other);
            for policy in [Policy::Ours, Policy::Theirs] {
                let (decided, _) = merge(&base, &ours, &theirs, policy).unwrap();
                prop_assert_eq!(&decided, &one, "{:?}", policy);
            }
        }
    }

    #[test]
    fn a_side_that_changed_nothing_changes_nothing(trees in three_trees()) {
        let [base, other, _] = trees.map(|specs| tree(&specs));
        for policy in [Policy::Report, Policy::Ours, Policy::Theirs] {
            for (ours, theirs) in [(&base, &other), (&other, &base), (&other, &other)] {
                let (merged, conflicts) = merge(&base, ours, theirs, policy).unwrap();
                prop_assert_eq!(&merged, &other, "{:?}", policy);
                prop_assert_eq!(conflicts, vec![]);
            }
        }
    }
}
