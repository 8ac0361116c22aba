// SPDX-License-Identifier: MIT
//! `export`, `import`: snapshots on their way from one repository to another, or to a browser.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cascow_native::Error;
use cascow_native::replace::replace_with;
use cascow_native::repository::{Imported, Repository};
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;

use super::args::{Export, Import};
use super::output::{Output, short};
use super::{Answer, interrupt_flag};

pub(super) fn export(
    args: &Export,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && output.json {
        return Err(Error::Misuse(
            "with --json, standard output is for the answer; use -o FILE".to_owned(),
        ));
    }
    if to_stdout && io::stdout().is_terminal() {
        return Err(Error::Misuse("a bundle is no text; use -o FILE".to_owned()));
    }
    let resolve = |name: &String| repository.resolve_to_read(name);
    let heads = args.snapshots.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
    let interrupt = interrupt_flag()?;
    let bar = output.figure_bar("exporting");
    let mut observe = observer(&bar, &interrupt);
    let exported = if to_stdout {
        let mut stdout = BufWriter::new(io::stdout().lock());
        repository.export(&heads, Path::new("standard output"), &mut stdout, &mut observe)?
    } else {
        replace_with(&args.output, |out: &mut dyn Write| {
            repository.export(&heads, &args.output, out, &mut observe)
        })?
    };
    bar.finish_and_clear();
    let text = format!(
        "{} snapshots, {} objects, {}",
        exported.snapshots,
        exported.objects,
        HumanBytes(exported.len)
    );
    if to_stdout {
        output.message(&text);
        return Ok(Answer::Yes);
    }
    let answer = json!({
        "snapshots": exported.snapshots,
        "objects": exported.objects,
        "bytes": exported.len,
    });
    output.answer(&answer, || text)?;
    Ok(Answer::Yes)
}

pub(super) fn import(
    args: &Import,
    repository: &Repository,
    output: &Output,
) -> Result<Answer, Error> {
    let (path, mut bundle): (_, Box<dyn Read>) = if args.file == Path::new("-") {
        (Path::new("standard input"), Box::new(io::stdin().lock()))
    } else {
        let file = File::open(&args.file).map_err(Error::io("open", &args.file))?;
        (&*args.file, Box::new(file))
    };
    let interrupt = interrupt_flag()?;
    let bar = output.figure_bar("importing");
    let mut observe = observer(&bar, &interrupt);
    let imported = repository.import(path, &mut bundle, args.label.as_ref(), &mut observe)?;
    bar.finish_and_clear();
    let Imported { heads, snapshots, new_snapshots, objects, new_objects, bytes, new_bytes } =
        imported;
    let names: Vec<String> = heads.iter().map(ToString::to_string).collect();
    let answer = json!({
        "heads": names,
        "snapshots": snapshots,
        "new_snapshots": new_snapshots,
        "objects": objects,
        "new_objects": new_objects,
        "bytes": bytes,
        "new_bytes": new_bytes,
    });
    output.answer(&answer, || {
        let heads: String = heads.iter().map(|head| format!("{}\n", short(head))).collect();
        format!(
            "{heads}{snapshots} snapshots, {new_snapshots} of them new; {objects} objects, {new_objects} of them new, {} stored\n",
            HumanBytes(new_bytes)
        )
    })?;
    Ok(Answer::Yes)
}

/// Moves a bar as bytes go by, until the user wants everything to stop.
fn observer<'a>(
    bar: &'a ProgressBar,
    interrupt: &'a AtomicBool,
) -> impl FnMut(u64) -> Result<(), Error> + 'a {
    move |bytes| {
        if !bar.is_hidden() {
            bar.set_message(HumanBytes(bytes).to_string());
        }
        if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
