// SPDX-License-Identifier: MIT
//! A real browser, driven through its debugging pipe: Debian's Chromium, without a window, with a profile that outlives it.
//!
//! The pipe carries one JSON message after another, each ended by a NUL. Nothing here waits for a time to pass: what a page does is
//! awaited as a promise, and a browser that says nothing for long fails the test.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::npm::{cargo_www, copy, gave, package, script};

/// How long an answer may take: far longer than any should on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server of static files, until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it is, with a slash at the end.
    pub url: String,
    directory: TempDir,
}

impl Server {
    /// Serves an empty page, the package at `pkg/`, and what is put into its directory.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("index.html"), "<!doctype html><title>test</title>")
            .unwrap();
        copy(package(), &directory.path().join("pkg"));
        let mut child = cargo_www()
            .args(["serve", "--port", "0"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // UNWRAP: it was piped above.
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).unwrap();
        let url = line.trim().rsplit_once(" at ").map(|(_, url)| url.to_owned());
        Self { child, url: url.unwrap_or_else(|| panic!("no address: {line:?}")), directory }
    }

    /// What it serves.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: File,
    messages: Receiver<Value>,
    next: u64,
    _pipes: TempDir,
}

/// A page of a browser.
#[derive(Clone, Debug)]
pub struct Tab {
    session: String,
    target: String,
}

impl Browser {
    /// Starts one with a profile directory.
    ///
    /// # Panics
    /// If there is no Chromium, or it does not start.
    #[must_use]
    pub fn start(profile: &Path) -> Self {
        let pipes = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| pipes.path().join(name));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        // The browser reads from descriptor 3 and writes to 4. A shell connects them.
        let script = "exec chromium \"$@\" 3<\"$TO\" 4>\"$FROM\"";
        let mut child = Command::new("bash")
            .args(["-c", script, "chromium", "--headless=new", "--remote-debugging-pipe"])
            // The browser's own sandbox does not run as root; what it opens is ours.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--disable-extensions", "--window-size=1280,900"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .env("TO", &to)
            .env("FROM", &from)
            .stdout(Stdio::null())
            .stderr(File::create(profile.with_extension("log")).unwrap())
            // All of its processes are killed together.
            .process_group(0)
            .spawn()
            .expect("bash");
        let open = || {
            let to = File::options().write(true).open(&to).ok()?;
            Some((to, File::open(&from).ok()?))
        };
        // Opening waits for the other side, which a browser that is not there never opens.
        let Some((to, from)) = open() else {
            let _ = child.kill();
            panic!("chromium does not start; Debian has it in a package of that name");
        };
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            let messages = BufReader::new(from).split(0).map_while(Result::ok);
            for message in messages.filter_map(|bytes| serde_json::from_slice(&bytes).ok()) {
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        Self { child, to, messages, next: 0, _pipes: pipes }
    }

    /// Sends a command; gives what it answers.
    ///
    /// # Panics
    /// If it fails, or nothing comes.
    #[track_caller]
    pub fn command(&mut self, session: Option<&Tab>, method: &str, params: Value) -> Value {
        let id = self.send(session, method, params);
        self.answer(id)
    }

    /// Sends a command without waiting for what it answers.
    ///
    /// # Panics
    /// If the browser is gone.
    pub fn send(&mut self, session: Option<&Tab>, method: &str, params: Value) -> u64 {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if let Some(tab) = session {
            message["sessionId"] = tab.session.clone().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        self.next
    }

    #[track_caller]
    fn answer(&self, id: u64) -> Value {
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{message}");
                return message["result"].clone();
            }
        }
    }

    /// Opens a page, and waits until it is there.
    ///
    /// # Panics
    /// If it does not load.
    #[track_caller]
    pub fn open(&mut self, url: &str) -> Tab {
        let target = self.command(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].as_str().unwrap_or_default().to_owned();
        let params = json!({ "targetId": target, "flatten": true });
        let session = self.command(None, "Target.attachToTarget", params);
        let session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        let tab = Tab { session, target };
        self.command(Some(&tab), "Page.enable", json!({}));
        self.navigate(&tab, url);
        tab
    }

    /// Goes to a page, and waits until it is there.
    ///
    /// # Panics
    /// If it does not load.
    #[track_caller]
    pub fn navigate(&mut self, tab: &Tab, url: &str) {
        self.send(Some(tab), "Page.navigate", json!({ "url": url }));
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the page loads");
            if message["method"] == "Page.loadEventFired" && message["sessionId"] == *tab.session {
                return;
            }
        }
    }

    /// Closes a page, as a person does.
    pub fn close_tab(&mut self, tab: Tab) {
        self.command(None, "Target.closeTarget", json!({ "targetId": tab.target }));
    }

    /// Runs the body of an asynchronous function that has the package at hand, and gives what it returns, or what it throws: as
    /// `Err` with the error's code, or with its text if it has none.
    ///
    /// # Errors
    /// What it throws.
    ///
    /// # Panics
    /// If the browser cannot run it at all.
    #[track_caller]
    pub fn run(&mut self, tab: &Tab, body: &str) -> Result<Value, String> {
        let id = self.begin(tab, body);
        let answer = self.answer(id);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        gave(&answer["result"]["value"])
    }

    /// Begins what [`run`](Self::run) does.
    pub fn begin(&mut self, tab: &Tab, body: &str) -> u64 {
        let expression = script("/pkg/index.js", &format!("{TAMPERING}\n{body}"));
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        self.send(Some(tab), "Runtime.evaluate", params)
    }

    /// Ends it as a person does: what it has to write it writes.
    pub fn close(mut self) {
        self.send(None, "Browser.close", json!({}));
        let _ = self.child.wait();
    }

    /// Kills it with all of its processes.
    pub fn kill(self) {
        drop(self);
    }
}

/// What the bodies of [`Browser::run`] have at hand besides what those of [`node`](crate::npm::node) have.
const TAMPERING: &str = r#"
    const raw = (name, version) => new Promise((done, fail) => {
        const request = indexedDB.open("cascow:" + name, version);
        request.onsuccess = () => done(request.result);
        request.onerror = () => fail(request.error);
    });
    // Changes every record of a store by `change`, which gives the new value.
    const tamper = async (name, store, change) => {
        const db = await raw(name);
        const transaction = db.transaction(store, "readwrite");
        const cursor = transaction.objectStore(store).openCursor();
        cursor.onsuccess = () => {
            if (!cursor.result) return;
            const value = change(cursor.result.value, cursor.result.key);
            if (value !== undefined) cursor.result.update(value);
            cursor.result.continue();
        };
        await new Promise((done, fail) => { transaction.oncomplete = done; transaction.onabort = () => fail(transaction.error); });
        db.close();
    };
"#;

impl Drop for Browser {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let group =
                i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}
