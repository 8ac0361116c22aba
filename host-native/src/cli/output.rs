// SPDX-License-Identifier: MIT
//! What the program says, and where: answers on standard output, messages and progress on standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use cascow_native::Error;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How the user wants to be spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Gives an answer: a JSON document, or what a person reads.
    pub(crate) fn answer(
        &self,
        json: &impl Serialize,
        person: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        if self.json {
            self.json_line(json)
        } else {
            let text = person();
            if text.is_empty() || text.ends_with('\n') {
                self.bytes(text.as_bytes())
            } else {
                self.bytes(format!("{text}\n").as_bytes())
            }
        }
    }

    /// Prints one JSON document on a line of its own.
    pub(crate) fn json_line(&self, json: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(json)
            .map_err(|error| Error::Misuse(format!("cannot write JSON: {error}")))?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(Error::io("write", Path::new("standard output")))
    }

    /// Tells a person something, unless they want quiet.
    pub(crate) fn message(&self, text: &str) {
        if !self.quiet {
            // There is nowhere else to tell it.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Tells what went wrong: on one line, and as JSON if that is wanted.
    pub(crate) fn error(&self, code: &str, message: &str) {
        let message = message.replace('\n', " ");
        let _ = writeln!(io::stderr(), "cascow: {message}");
        if self.json {
            let error = serde_json::json!({ "error": { "code": code, "message": message } });
            // The exit code says it too.
            let _ = self.json_line(&error);
        }
    }

    /// A bar of bytes done, their rate and the time left, on a terminal; its message is the number of entries done.
    pub(crate) fn byte_bar(&self, verb: &'static str) -> ProgressBar {
        self.bar(
            verb,
            "{prefix} [{wide_bar}] {bytes}/{total_bytes}, {msg} entries, {bytes_per_sec}, {eta} left",
        )
    }

    /// A line of figures, on a terminal.
    pub(crate) fn figure_bar(&self, verb: &'static str) -> ProgressBar {
        self.bar(verb, "{spinner} {prefix} {msg} {elapsed}")
    }

    fn bar(&self, verb: &'static str, template: &str) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_prefix(verb);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// Whether an error says that nobody reads our output any more, which is no error.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// A path for JSON: as text, and where it is no text, also in hex.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JsonPath {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl JsonPath {
    pub(crate) fn new(path: &[u8]) -> Self {
        let text = String::from_utf8_lossy(path);
        let path_hex = matches!(text, std::borrow::Cow::Owned(_)).then(|| hex(path));
        Self { path: text.into_owned(), path_hex }
    }

    /// Puts the path into a document under a name of the document's.
    pub(crate) fn insert_as(self, name: &str, document: &mut serde_json::Value) {
        if let Some(hex) = self.path_hex {
            document[format!("{name}_hex")] = hex.into();
        }
        document[name] = self.path.into();
    }
}

/// Bytes in lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Content for JSON: text if it is text, hex if not.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JsonContent {
    len: usize,
    encoding: &'static str,
    data: String,
}

impl JsonContent {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        match String::from_utf8(bytes) {
            Ok(data) => Self { len, encoding: "utf-8", data },
            Err(error) => Self { len, encoding: "hex", data: hex(error.as_bytes()) },
        }
    }
}

/// A path for a terminal: what would not print is escaped, so that a name cannot take the line.
pub(crate) fn printable(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

/// The first digits of a hash, for people.
pub(crate) fn short(hash: &impl ToString) -> String {
    hash.to_string()[..12].to_owned()
}
