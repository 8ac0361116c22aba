// SPDX-License-Identifier: MIT
//! Workspaces, by every materialiser: the same operations give the same states, and what is sealed is what was there.

use cascow_native::workspace::Materialize;
use cascow_tests::sandbox::is_privileged;
use cascow_tests::workspace_conformance::{Operation, Setting, compare, rounds};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use Operation::*;

/// Whether overlays can be mounted; else says that a test is not run.
fn can_mount(test: &str) -> bool {
    let can = is_privileged();
    if !can {
        println!(
            "privileged, not run: {test}: only root may mount in a process of several threads"
        );
    }
    can
}

#[test]
fn operations_that_overlayfs_has_its_own_ways_with_give_what_is_there() {
    if can_mount("operations_that_overlayfs_has_its_own_ways_with_give_what_is_there") {
        Setting::new().compare(&rounds(true));
    }
}

#[test]
fn layers_that_were_evicted_are_written_again_and_show_the_same() {
    if can_mount("layers_that_were_evicted_are_written_again_and_show_the_same") {
        let setting = Setting::new();
        let (overlay, copy) =
            (setting.workshop(Materialize::Overlay), setting.workshop(Materialize::Copy));
        overlay.keep_layers_within(0);
        compare(&[&overlay, &copy], setting.repository(), setting.base(), &rounds(true));
    }
}

/// Some file, directory or nothing: few names, so that operations meet.
fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        "b",
        "c",
        "a/a",
        "a/b",
        "a/c",
        "b/a",
        "b/b",
        "b/c",
        "a/a/a",
        "a/a/b",
        "a/b/a",
        "b/a/a",
        "linked",
        "deep",
        "deep/er",
        "deep/er/est",
        "deep/er/est/file",
        "deep/a",
    ])
    .prop_map(str::to_owned)
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let mode = prop::sample::select(vec![0o000, 0o600, 0o644, 0o755, 0o1777, 0o4755]);
    let name = || prop::sample::select(vec!["of", "overlay.opaque", "overlay.overlay.x"]);
    prop_oneof![
        (path(), bytes()).prop_map(|(path, bytes)| Write(path, bytes)),
        (path(), bytes()).prop_map(|(path, bytes)| Append(path, bytes)),
        (path(), 0..5000_u64).prop_map(|(path, len)| Truncate(path, len)),
        (path(), bytes()).prop_map(|(path, bytes)| Replace(path, bytes)),
        path().prop_map(Open),
        path().prop_map(Remove),
        path().prop_map(RemoveAll),
        path().prop_map(MakeDirectory),
        (path(), path()).prop_map(|(from, to)| Rename(from, to)),
        (path(), path()).prop_map(|(from, to)| Rename(from, to)),
        (path(), path()).prop_map(|(one, other)| Exchange(one, other)),
        (path(), path()).prop_map(|(path, new)| Link(path, new)),
        (path(), path()).prop_map(|(target, path)| Symlink(target, path)),
        (path(), mode).prop_map(|(path, mode)| SetMode(path, mode)),
        (path(), name(), bytes()).prop_map(|(path, name, value)| SetAttribute(
            path,
            name.into(),
            value
        )),
        (path(), name()).prop_map(|(path, name)| RemoveAttribute(path, name.into())),
        (path(), 0..1_000_000_000_u32).prop_map(|(path, nanos)| SetTime(path, nanos)),
        path().prop_map(MakeFifo),
    ]
}

#[test]
fn random_operations_give_what_is_there() {
    if !can_mount("random_operations_give_what_is_there") {
        return;
    }
    let setting = Setting::new();
    let (overlay, copy) =
        (setting.workshop(Materialize::Overlay), setting.workshop(Materialize::Copy));
    // Some layers stay, others go.
    overlay.keep_layers_within(100_000);
    let rounds = prop::collection::vec(prop::collection::vec(operation(), 0..8), 1..12);
    let cases = std::env::var("CASCOW_TEST_CASES").map_or(60, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, b"random sequences of file actions");
    TestRunner::new_with_rng(config, seed)
        .run(&rounds, |rounds| {
            compare(&[&overlay, &copy], setting.repository(), setting.base(), &rounds);
            Ok(())
        })
        .unwrap();
}
