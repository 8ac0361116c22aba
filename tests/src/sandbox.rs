// SPDX-License-Identifier: MIT
//! A temporary directory with a repository, and room for trees beside it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Answer, program};

/// The user who owns nothing: what runs under this number has no privileges.
const NOBODY: &str = "65534";

/// A temporary directory; all paths given to it are relative to it, and commands run in it.
#[derive(Debug)]
pub struct Sandbox {
    /// `None` only while it is being dropped.
    dir: Option<TempDir>,
}

impl Sandbox {
    /// With an empty repository of SHA-256, and of the store that `$CASCOW_TEST_STORE` names, else of the program's choice.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Self {
        match std::env::var("CASCOW_TEST_STORE") {
            Ok(store) => Self::with_store(&store),
            Err(_) => {
                let sandbox = Self::without_repository();
                sandbox.cascow(["init"]).done();
                sandbox
            }
        }
    }

    /// With an empty repository of this kind of store.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn with_store(store: &str) -> Self {
        let sandbox = Self::without_repository();
        sandbox.cascow(["init", "--store", store]).done();
        sandbox
    }

    /// Without a repository.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn without_repository() -> Self {
        let dir = tempfile::Builder::new().prefix("cascow-test-").tempdir().expect("a directory");
        // Other users may look in, and the tests that become them do.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { dir: Some(dir) }
    }

    /// Where it is, or a path in it.
    ///
    /// # Panics
    /// Never while it is used.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.as_ref().expect("the directory is there").path().join(path)
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("files lie in directories")).expect("directories");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    /// Reads a file.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    /// Runs a shell's commands.
    ///
    /// # Panics
    /// If they fail.
    #[track_caller]
    pub fn shell(&self, commands: &str) -> Answer {
        let answer = Answer::of(self.command("sh").args(["-e", "-c", commands]));
        assert_eq!(answer.code, 0, "{commands}: {}{}", answer.text(), answer.stderr);
        answer
    }

    /// The program with arguments, run to its end.
    ///
    /// # Panics
    /// If it is killed.
    pub fn cascow<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Answer {
        Answer::of(self.command(program()).args(arguments))
    }

    /// The document that the program prints with `--json`.
    ///
    /// # Panics
    /// If the program fails, or prints anything else.
    #[track_caller]
    pub fn json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Value {
        self.cascow(["--json"].into_iter().chain(arguments)).done().json()
    }

    /// A snapshot of a directory.
    ///
    /// # Panics
    /// If it cannot be saved.
    #[track_caller]
    pub fn save(&self, dir: &str) -> String {
        text(&self.json(["save", dir])["snapshot"])
    }

    /// The root of a directory's state.
    ///
    /// # Panics
    /// If it cannot be saved.
    #[track_caller]
    pub fn root(&self, dir: &str) -> String {
        text(&self.json(["save", dir])["root"])
    }

    /// A command that runs here, with nothing on standard input and no settings of the caller's that concern the program.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("")).stdin(Stdio::null());
        command.env_remove("CASCOW_REPO").env_remove("NO_COLOR").env("LC_ALL", "C");
        command
    }

    /// One of `tests/tools`.
    pub fn tool(&self, name: &str) -> Command {
        let mut python = self.command("python3");
        python.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(name));
        python
    }

    /// Two directories are equal, by the judgement of `compare_trees.py`; they themselves may differ.
    ///
    /// # Panics
    /// If they are not.
    #[track_caller]
    pub fn assert_equal_trees(&self, a: &str, b: &str) {
        let compared = Answer::of(self.tool("compare_trees.py").args(["--no-root", a, b]));
        assert_eq!(compared.code, 0, "{}{}", compared.text(), compared.stderr);
    }

    /// A command that runs here without privileges: as we are, if we have none; `None`, and a line that says so, if they cannot be
    /// given up on this machine.
    ///
    /// # Panics
    /// If the program cannot be put where anybody may run it.
    pub fn ordinary_command(
        &self,
        test: &str,
        program: impl AsRef<std::ffi::OsStr>,
    ) -> Option<Command> {
        if !is_privileged() {
            return Some(self.command(program));
        }
        let mut command = self.command("setpriv");
        command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}"));
        command.args(["--clear-groups", "--inh-caps=-all"]);
        let mut probe = self.command("setpriv");
        let probed = probe.args(command.get_args()).arg("true").output();
        if !probed.is_ok_and(|output| output.status.success()) {
            println!("privileged, not run: {test}: setpriv cannot make us another user");
            return None;
        }
        command.arg(program);
        Some(command)
    }

    /// The program, where any user may run it.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn public_program(&self) -> PathBuf {
        let copy = self.path("cascow");
        if !copy.exists() {
            fs::copy(program(), &copy).expect("the program can be copied");
        }
        copy
    }

    /// Gives a directory of this sandbox, with all in it, to the user that [`Sandbox::ordinary_command`] becomes.
    ///
    /// # Panics
    /// If it cannot be given away.
    pub fn give_to_ordinary_user(&self, dir: &str) {
        if is_privileged() {
            self.shell(&format!("chown -R {NOBODY}:{NOBODY} {dir}"));
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            // A test that failed already says more than a directory that stays behind.
            let _ = cascow_native::directory::remove(&dir.keep());
        }
    }
}

/// A string of a document.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// Whether permissions do not hold for us.
pub fn is_privileged() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
