// SPDX-License-Identifier: MIT
//! A server of static files, to this machine alone.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use tiny_http::{Header, Method, Response, Server};

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
        let answered = match found.and_then(|path| Some((File::open(&path).ok()?, path))) {
            Some((file, path)) => {
                let mut response = Response::from_file(file);
                // A page that was built anew is to be seen at once.
                let headers = [("Content-Type", kind(&path)), ("Cache-Control", "no-cache")];
                for (name, value) in headers {
                    // UNWRAP: both are fixed ASCII.
                    let header = Header::from_bytes(name, value).expect("a plain header");
                    response.add_header(header);
                }
                request.respond(response)
            }
            None => request.respond(Response::from_string("not found\n").with_status_code(404)),
        };
        // Who went away before the answer needs none.
        drop(answered);
    }
    Ok(())
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
