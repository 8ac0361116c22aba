// SPDX-License-Identifier: MIT
//! A server of static files, to this machine alone.

use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use tiny_http::{Method, Request, Server};

/// Serves `directory` until it is killed. The first line of output says where.
pub(crate) fn serve(directory: &Path, port: u16) -> Result<()> {
    let directory = directory
        .canonicalize()
        .with_context(|| format!("there is no directory {}", directory.display()))?;
    let server = Server::http((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| anyhow!("cannot listen on port {port}: {error}"))?;
    println!("serving {} at http://{}/", directory.display(), server.server_addr());
    for request in server.incoming_requests() {
        let found = match request.method() {
            Method::Get | Method::Head => find(&directory, request.url()),
            _ => None,
        };
        let answered = match found.and_then(|path| Some((fs::read(&path).ok()?, path))) {
            Some((bytes, path)) => answer(request, "200 OK", kind(&path), &bytes),
            None => answer(request, "404 Not Found", "text/plain", b"not found\n"),
        };
        // Who went away before the answer needs none.
        drop(answered);
    }
    Ok(())
}

/// Answers, and has the connection closed. A connection that stays open keeps one of the server's threads, and when two come at the
/// same moment the second may be given to a thread that waits for the first: the browser would wait for it without end.
fn answer(request: Request, status: &str, kind: &str, bytes: &[u8]) -> io::Result<()> {
    let head = *request.method() == Method::Head;
    let mut to = request.into_writer();
    write!(to, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", bytes.len())?;
    // A page that was built anew is to be seen at once.
    to.write_all(b"Cache-Control: no-cache\r\nConnection: close\r\n\r\n")?;
    to.write_all(if head { &[] } else { bytes })?;
    to.flush()
}

/// The file that a URL names; `None` if it has none, or names anything outside.
fn find(directory: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.contains(['%', '\\']) {
        return None;
    }
    let file = directory.join(path);
    let file = if file.is_dir() { file.join("index.html") } else { file };
    // Links may lead out.
    file.canonicalize().ok().filter(|file| file.is_file() && file.starts_with(directory))
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_found() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        assert_eq!(find(&directory, "/Cargo.toml?x=1"), Some(directory.join("Cargo.toml")));
        for url in [
            "/../Cargo.toml",
            "/%2e%2e/Cargo.toml",
            "//etc/passwd",
            "/src/../../Cargo.toml",
            "Cargo.toml",
            "/src",
        ] {
            assert_eq!(find(&directory, url), None, "{url}");
        }
    }
}
