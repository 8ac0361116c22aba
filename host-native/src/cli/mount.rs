// SPDX-License-Identifier: MIT
//! `mount`, `umount`: a snapshot as a directory that stays when the program has ended.

use cascow_native::Error;
use cascow_native::repository::Repository;
use cascow_native::workspace::Materializer;
use cascow_native::workspace::mounts::{self, Fate, Left};
use serde_json::json;

use super::Answer;
use super::args::{Mount, Umount};
use super::output::{JsonPath, Output, printable, short};

pub(super) fn mount(
    args: &Mount,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    sweep(repository, output);
    let snapshot = repository.resolve_pinned(&args.snapshot)?;
    let dir = mounts::mount(repository, &snapshot, &args.dir, args.rw)?;
    let path = dir.as_os_str().as_encoded_bytes();
    let mut answer = json!({
        "snapshot": snapshot.to_string(),
        "writable": args.rw,
        "materializer": Materializer::Overlay.name(),
    });
    JsonPath::new(path).insert_as("dir", &mut answer);
    output.answer(&answer, || {
        let how = if args.rw { "writable" } else { "read-only" };
        format!("mounted {} on {}, {how}", short(&snapshot), printable(path))
    })?;
    Ok(Answer::Yes)
}

pub(super) fn umount(
    args: &Umount,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let fate = if args.save { Fate::Saved(args.label.as_ref()) } else { Fate::Discarded };
    let unmounted = mounts::unmount(repository, &args.dir, fate)?;
    for skipped in &unmounted.skipped {
        output.message(&format!("left out {}: {}", printable(&skipped.path), skipped.reason));
    }
    if !args.save {
        match unmounted.changes {
            Some(0) => {}
            Some(1) => output.message("threw away 1 change"),
            Some(changes) => output.message(&format!("threw away {changes} changes")),
            None => output.message("threw away what was changed, which could not be read"),
        }
    }
    let path = unmounted.dir.as_os_str().as_encoded_bytes();
    let saved = unmounted.saved;
    let mut answer = json!({
        "snapshot": saved.map(|saved| saved.snapshot.to_string()),
        "root": saved.map(|saved| saved.root.to_string()),
        "parent": unmounted.parent.to_string(),
        "changes": unmounted.changes,
    });
    JsonPath::new(path).insert_as("dir", &mut answer);
    output.answer(&answer, || match saved {
        Some(saved) => {
            let changes = unmounted.changes.unwrap_or_default();
            format!("{}  {changes} changes", short(&saved.snapshot))
        }
        None => format!("unmounted {}", printable(path)),
    })?;
    // Last: what this command dealt with is nothing to tell of.
    sweep(repository, output);
    Ok(Answer::Yes)
}

/// Takes away what is left of mounts that are gone, and tells of what only the user can decide about.
pub(super) fn sweep(repository: &Repository, output: &Output) {
    // What cannot be swept keeps nobody from working, and the next one tries again.
    for left in mounts::sweep(repository).unwrap_or_default() {
        match left {
            Left::Edits { dir } => {
                let dir = printable(dir.as_os_str().as_encoded_bytes());
                output.message(&format!(
                    "the mount on {dir} is gone, and edits in it were not saved: `cascow umount {dir} --save` keeps them, \
                     `cascow umount {dir}` throws them away"
                ));
            }
            Left::Unreadable(error) => output.message(&error.to_string()),
            _ => {}
        }
    }
}
