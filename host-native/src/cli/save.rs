// SPDX-License-Identifier: MIT
//! `init`, `save`, `checkout`: directories into a repository and out of it.

use std::mem;
use std::path::{Path, PathBuf};
use std::thread::{self, ScopedJoinHandle};

use cascow_native::Error;
use cascow_native::directory::{self, Known, Progress, ScanOptions};
use cascow_native::repository::Repository;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;

use super::Answer;
use super::args::{Checkout, Init, Save};
use super::output::{JsonPath, Output, printable, short};

pub(super) fn init(args: &Init, repo: Option<PathBuf>, output: &Output) -> Result<Answer, Error> {
    let dir = args.dir.clone().or(repo).unwrap_or_else(|| PathBuf::from("."));
    let repository = Repository::init(&dir, args.hash, args.store)?;
    let answer =
        json!({ "repository": repository.dir().to_string_lossy(), "hash": args.hash.name() });
    output.answer(&answer, || format!("made the repository {}", repository.dir().display()))?;
    Ok(Answer::Yes)
}

pub(super) fn save(args: &Save, repository: &Repository, output: &Output) -> Result<Answer, Error> {
    let parent = args.parent.as_deref().map(|name| repository.resolve_pinned(name)).transpose()?;
    let dir = args.dir.canonicalize().map_err(Error::io("open", &args.dir))?;
    if dir.starts_with(repository.dir()) {
        return Err(Error::Misuse(format!("{dir:?} is the repository itself or part of it")));
    }
    repository.lease()?;
    let known = if args.reread { Known::default() } else { known(repository, &dir)? };
    let options = ScanOptions {
        exclude: exclude(&args.exclude)?,
        outside: vec![repository.dir().to_owned()],
        known: Some(known),
    };
    let known = options.known.as_ref();
    let bar = output.byte_bar("saving");
    let mut scan = directory::scan(&args.dir, repository.store(), &options, &mut observer(&bar))?;
    bar.set_prefix("writing to the disk");
    let mut written = repository.write_snapshot(&scan.state, parent)?;
    // Where nothing was read and nothing is gone, what was kept holds as it is. It counts only once the history names the
    // snapshot, so it need not wait for that.
    let changed = known.filter(|known| scan.read > 0 || scan.learned.kept() != known.len());
    let learned = mem::take(&mut scan.learned);
    let (stored, published) = thread::scope(|scope| {
        let stored = changed.map(|known| {
            let (dir, snapshot) = (&dir, &written.snapshot);
            scope.spawn(move || directory::store_known(repository, dir, known, learned, snapshot))
        });
        let published = repository.publish(&written.snapshot, args.label.as_ref());
        (stored.map(ScopedJoinHandle::join), published)
    });
    published?;
    if let Some(Ok(Err(error))) = stored {
        output.message(&format!("the next save will read all files again: {error}"));
    }
    bar.finish_and_clear();

    written.added += scan.added;
    for path in &scan.unsettled {
        output.message(&format!(
            "{} changed each time it was read; what was saved of it may be of several moments",
            printable(path)
        ));
    }
    for skipped in &scan.skipped {
        output.message(&format!("left out {}: {}", printable(&skipped.path), skipped.reason));
    }
    let skipped: Vec<_> = scan
        .skipped
        .iter()
        .map(|skipped| {
            let mut item = serde_json::to_value(JsonPath::new(&skipped.path)).unwrap_or_default();
            item["reason"] = skipped.reason.into();
            item
        })
        .collect();
    let unsettled: Vec<_> = scan.unsettled.iter().map(|path| JsonPath::new(path)).collect();
    let answer = json!({
        "snapshot": written.snapshot.to_string(),
        "root": written.record.root.to_string(),
        "entries": written.record.entries,
        "bytes": scan.bytes,
        "files_read": scan.read,
        "new_objects": written.added.objects,
        "new_bytes": written.added.bytes,
        "skipped": skipped,
        "unsettled": unsettled,
    });
    output.answer(&answer, || {
        format!(
            "{}  {} entries, {}; {} new objects, {} stored",
            short(&written.snapshot),
            written.record.entries,
            HumanBytes(scan.bytes),
            written.added.objects,
            HumanBytes(written.added.bytes),
        )
    })?;
    // The process is about to end: to take a large state apart entry by entry would be for nothing.
    mem::forget((scan, options));
    Ok(Answer::Yes)
}

/// What the last save knew of the files. Their contents are not put again, so the snapshot that has them is pinned until the new
/// one is published; if a collection was faster, nothing is known.
fn known(repository: &Repository, dir: &Path) -> Result<Known, Error> {
    let (known, base) = directory::load_known(repository, dir)?;
    match base.map(|base| repository.pin(&base)).transpose() {
        Ok(_) => Ok(known),
        Err(Error::Absent { .. }) => Ok(Known::default()),
        Err(error) => Err(error),
    }
}

pub(super) fn checkout(
    args: &Checkout,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let state = repository.state(&repository.resolve_to_read(&args.snapshot)?)?;
    let bar = output.byte_bar("writing");
    let done = directory::checkout(&state, repository.store(), &args.dir, &mut observer(&bar))?;
    bar.finish_and_clear();
    output.answer(&json!({ "entries": done.entries, "bytes": done.bytes }), || {
        format!(
            "wrote {} entries, {} to {}",
            done.entries,
            HumanBytes(done.bytes),
            args.dir.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// Moves a bar as entries and bytes go by.
fn observer(bar: &ProgressBar) -> impl FnMut(Progress) {
    let mut done = 0;
    move |progress| match progress {
        Progress::Total { bytes } => bar.set_length(bytes),
        Progress::Step { entries, bytes } => {
            bar.inc(bytes);
            if entries > 0 {
                done += entries;
                bar.set_message(done.to_string());
            }
        }
    }
}

/// A pattern without a slash matches names at any depth; one with a slash, paths from the top. `*` does not cross a slash.
fn exclude(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if pattern.trim_matches('/').is_empty() {
            return Err(Error::Misuse(format!("--exclude {pattern:?} would leave out everything")));
        }
        let anchored = match pattern.strip_prefix('/') {
            Some(from_top) => from_top.to_owned(),
            None if pattern.trim_end_matches('/').contains('/') => pattern.clone(),
            None => format!("**/{pattern}"),
        };
        let glob = GlobBuilder::new(anchored.trim_end_matches('/')).literal_separator(true).build();
        set.add(
            glob.map_err(|error| {
                Error::Misuse(format!("--exclude {pattern:?}: {}", error.kind()))
            })?,
        );
    }
    set.build().map_err(|error| Error::Misuse(format!("--exclude: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusions_match_names_anywhere_and_paths_from_the_top() {
        let set = exclude(&["target".into(), "*.o".into(), "a/b".into(), "/top".into()])
            .unwrap_or_default();
        for excluded in ["target", "x/target", "m.o", "x/y/m.o", "a/b", "top"] {
            assert!(set.is_match(excluded), "{excluded}");
        }
        for kept in ["targets", "m.os", "x/a/b", "x/top", "a"] {
            assert!(!set.is_match(kept), "{kept}");
        }
        assert!(exclude(&["a[".into()]).is_err());
    }
}
