// SPDX-License-Identifier: MIT
//! Running a command with an end to it.
//!
//! The command leads a process group of its own. When it ends, exceeds its time, or is interrupted, the whole group is killed, so
//! that nothing it left in the background goes on changing a workspace. (A process that made itself a session of its own
//! escapes; this is no sandbox.) Of captured output the last part is kept, whatever its length.
//!
//! A [`Keeper`] sees to it that groups do not outlive this process should it be killed outright.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::Error;

/// Bytes kept of each captured stream: enough for a score, a proposal or the end of a compiler's complaint.
const TAIL_LEN: usize = 64 * 1024;

/// How often the interrupt flag is looked at when no signal ends the wait: another thread may have taken it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What may end a command before its own end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits<'a> {
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// Set to true when the user wants everything to stop.
    pub interrupt: Option<&'a AtomicBool>,
    /// The same, for those that set it to end what others began for them.
    pub halt: Option<&'a AtomicBool>,
    /// When whatever runs is ended as if the user wanted it.
    pub until: Option<Instant>,
    /// Who ends the command should this process be killed.
    pub keeper: Option<&'a Keeper>,
}

impl Limits<'_> {
    /// Whether everything is to stop.
    fn is_over(&self) -> bool {
        let flags = [self.interrupt, self.halt];
        flags.into_iter().flatten().any(|flag| flag.load(Ordering::Relaxed))
            || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Ends commands when the process that began them was killed and could not.
///
/// A small shell, outside of this process's group, is told which groups run and reads from a pipe that closes when this process
/// ends, however it ends; then it kills them. A [`kept_shell`] tells it of itself before it does anything else; of other commands it
/// is told when they have begun, and the moment between is not covered. Neither are processes that made themselves a session of their own.
/// Who kills the shell too keeps the commands.
#[derive(Debug)]
pub struct Keeper {
    shell: Child,
    /// `None` only while it is being dropped.
    pipe: Mutex<Option<ChildStdin>>,
}

/// What the shell runs: `+ GROUP` for one that begins, `- GROUP` for one that has ended.
const KEEPER: &str = r#"
groups=
while read -r sign group; do
    case $sign in
    +) groups="$groups $group" ;;
    -) left=
       for one in $groups; do [ "$one" = "$group" ] || left="$left $one"; done
       groups=$left ;;
    esac
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
"#;

impl Keeper {
    /// Begins one. Its directory is `/`, so that it holds nobody's.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no shell.
    pub fn new() -> Result<Self, Error> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(KEEPER).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().map_err(Error::io("run", "sh"))?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// What a command may tell it by.
    fn writer(&self) -> Result<Stdio, Error> {
        let pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = pipe.as_ref().map(|pipe| pipe.as_fd().try_clone_to_owned()).transpose();
        Ok(writer.map_err(Error::io("open", "a pipe"))?.map_or_else(Stdio::null, Stdio::from))
    }

    fn tell(&self, sign: char, group: u32) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = &mut *pipe {
            // Without it, commands are still ended by us as long as we live.
            let _ = pipe.write_all(format!("{sign} {group}\n").as_bytes());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.shell.wait();
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, not from us.
    Killed(i32),
    /// By us, since its time was over.
    TimedOut,
    /// By us, since the user wants everything to stop.
    Interrupted,
}

impl Finished {
    /// The last line of standard error that says anything.
    pub fn complaint(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.stderr);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        last.map(str::to_owned)
    }
}

impl End {
    /// Whether it ended by itself with code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

/// A command that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How.
    pub end: End,
    /// The end of its standard output, if that was captured.
    pub stdout: Vec<u8>,
    /// Whether standard output was longer than what was kept.
    pub stdout_was_cut: bool,
    /// The end of its standard error, if that was captured.
    pub stderr: Vec<u8>,
}

/// A program in a workspace. Git does not look for a repository above it: a workspace may lie within the user's own.
pub fn within(program: impl AsRef<OsStr>, workspace: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace);
    if let Some(above) = workspace.parent() {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    command
}

/// `sh -c COMMAND` in a workspace, with nothing on standard input.
pub fn shell(command: &str, workspace: &Path) -> Command {
    let mut shell = within("sh", workspace);
    shell.arg("-c").arg(command).stdin(Stdio::null());
    shell
}

/// As [`shell`], but it tells the keeper of itself by its standard input, and only then closes that and runs the command. Until it has, the
/// keeper's pipe is open, so it hears of it even if this process is killed meanwhile.
///
/// # Errors
/// [`Error::Io`] if there are no more file descriptors.
pub fn kept_shell(command: &str, workspace: &Path, keeper: &Keeper) -> Result<Command, Error> {
    /// Without a keeper to read it, the line is lost and the command runs.
    const TELL: &str = r#"trap '' PIPE
echo "+ $$" >&0 2>/dev/null
trap - PIPE
exec sh -c "$1" </dev/null"#;
    let mut shell = within("sh", workspace);
    shell.args(["-c", TELL, "sh", command]).stdin(keeper.writer()?);
    Ok(shell)
}

/// Runs a command and captures its output.
///
/// # Errors
/// [`Error::Io`] if it cannot be started or watched.
pub fn capture(command: Command, limits: Limits<'_>) -> Result<Finished, Error> {
    capture_within(command, limits, TAIL_LEN)
}

/// As [`capture`], keeping so many bytes of each stream.
///
/// # Errors
/// [`Error::Io`] if it cannot be started or watched.
pub fn capture_within(
    mut command: Command,
    limits: Limits<'_>,
    kept_len: usize,
) -> Result<Finished, Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    run_within(command, limits, kept_len)
}

/// Runs a command with the standard output and error that it was given.
///
/// # Errors
/// [`Error::Io`] if it cannot be started or watched.
pub fn run(command: Command, limits: Limits<'_>) -> Result<Finished, Error> {
    run_within(command, limits, TAIL_LEN)
}

fn run_within(
    mut command: Command,
    limits: Limits<'_>,
    kept_len: usize,
) -> Result<Finished, Error> {
    let program = command.get_program().to_owned();
    let start = Instant::now();
    command.process_group(0);
    let mut child = command.spawn().map_err(Error::io("run", &program))?;
    if let Some(keeper) = limits.keeper {
        keeper.tell('+', child.id());
    }
    let watched = watch(&mut child, limits, start, kept_len);
    // Also after a failure to watch: nothing may be left running. The group lives on while a member does, and its number is not
    // given to another before the child is waited for.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        // It says nothing any more then, of itself either.
        let _ = rustix::process::waitid(
            WaitId::Pid(group),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        );
    }
    // Before the number may be another's.
    if let Some(keeper) = limits.keeper {
        keeper.tell('-', child.id());
    }
    let status = child.wait().map_err(Error::io("wait for", &program))?;
    let (early, mut stdout, mut stderr) = watched.map_err(Error::io("watch", &program))?;
    for stream in [&mut stdout, &mut stderr].into_iter().flatten() {
        stream.read_available().map_err(Error::io("read the output of", &program))?;
    }
    let end = early.unwrap_or(match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    });
    let stdout_was_cut = stdout.as_ref().is_some_and(|stream| stream.was_cut);
    let tail = |stream: Option<Stream>| stream.map(|stream| stream.tail).unwrap_or_default();
    Ok(Finished { end, stdout: tail(stdout), stdout_was_cut, stderr: tail(stderr) })
}

type Watched = (Option<End>, Option<Stream>, Option<Stream>);

/// Reads the child's output until it ends, or until a limit is reached: then says which.
fn watch(
    child: &mut Child,
    limits: Limits<'_>,
    start: Instant,
    kept_len: usize,
) -> io::Result<Watched> {
    let stream = |pipe: OwnedFd| Stream::new(pipe, kept_len);
    let mut stdout = child.stdout.take().map(|pipe| stream(pipe.into())).transpose()?;
    let mut stderr = child.stderr.take().map(|pipe| stream(pipe.into())).transpose()?;
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        if limits.is_over() {
            return Ok((Some(End::Interrupted), stdout, stderr));
        }
        let left = match limits.timeout {
            Some(timeout) => timeout.saturating_sub(start.elapsed()),
            None => LOOK_EVERY,
        };
        if left.is_zero() {
            return Ok((Some(End::TimedOut), stdout, stderr));
        }
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        let open = [&stdout, &stderr].into_iter().flatten().filter(|stream| stream.is_open);
        fds.extend(open.map(|stream| PollFd::new(&stream.pipe, PollFlags::IN)));
        let wait =
            Timespec::try_from(left.min(LOOK_EVERY)).map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_ended = fds[0].revents().contains(PollFlags::IN);
        drop(fds);
        if has_ended {
            return Ok((None, stdout, stderr));
        }
        for stream in [&mut stdout, &mut stderr].into_iter().flatten() {
            stream.read_available()?;
        }
    }
}

/// One captured stream of a child.
#[derive(Debug)]
struct Stream {
    pipe: File,
    tail: Vec<u8>,
    kept_len: usize,
    was_cut: bool,
    is_open: bool,
}

impl Stream {
    fn new(pipe: OwnedFd, kept_len: usize) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&pipe)?;
        rustix::fs::fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)?;
        Ok(Self { pipe: pipe.into(), tail: Vec::new(), kept_len, was_cut: false, is_open: true })
    }

    /// Reads what is there, up to a pipe's fill, and keeps the end of it.
    fn read_available(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        // Bounded: a child that writes without end must not keep us from looking at the clock.
        for _ in 0..8 {
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    self.is_open = false;
                    return Ok(());
                }
                Ok(count) => {
                    self.tail.extend_from_slice(&buffer[..count]);
                    let excess = self.tail.len().saturating_sub(self.kept_len);
                    self.tail.drain(..excess);
                    self.was_cut |= excess > 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(command: &str, limits: Limits<'_>) -> Finished {
        capture(shell(command, Path::new("/")), limits).unwrap()
    }

    #[test]
    fn output_and_exit_code_are_captured() {
        let finished = finish("echo out; echo err >&2; exit 3", Limits::default());
        assert_eq!(finished.end, End::Exited(3));
        assert_eq!((&*finished.stdout, &*finished.stderr), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_command_that_kills_itself_is_told_from_one_that_fails() {
        assert_eq!(finish("kill -SEGV $$", Limits::default()).end, End::Killed(11));
    }

    #[test]
    fn a_command_without_end_is_ended_with_all_its_children() {
        let limits = Limits { timeout: Some(Duration::from_millis(200)), ..Limits::default() };
        let finished = finish("sleep 1000 & echo $!; wait", limits);
        assert_eq!(finished.end, End::TimedOut);
        let child: i32 = String::from_utf8(finished.stdout).unwrap().trim().parse().unwrap();
        // Killed, it dies as soon as it is given the processor, and goes when its new parent has waited for it.
        let start = Instant::now();
        loop {
            let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") || state.contains(") X ") {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{state}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn of_endless_output_the_end_is_kept_and_time_still_runs() {
        let limits = Limits { timeout: Some(Duration::from_millis(300)), ..Limits::default() };
        let finished = finish("while :; do echo garbage; done", limits);
        assert_eq!(finished.end, End::TimedOut);
        assert!(finished.stdout.len() <= TAIL_LEN);
        assert!(finished.stdout.ends_with(b"garbage\n") || finished.stdout.len() == TAIL_LEN);
    }

    #[test]
    fn a_child_left_in_the_background_does_not_delay_the_end() {
        let start = Instant::now();
        let finished = finish("sleep 1000 & echo done", Limits::default());
        assert_eq!((finished.end, &*finished.stdout), (End::Exited(0), &b"done\n"[..]));
        assert!(start.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn a_kept_shell_dies_with_who_began_it_though_nobody_told_of_it() {
        for _ in 0..20 {
            let keeper = Keeper::new().unwrap();
            let mut shell = kept_shell("sleep 1000", Path::new("/"), &keeper).unwrap();
            let mut child = shell.process_group(0).spawn().unwrap();
            // All that this process has of the pipe is closed, as when it ends.
            drop(shell);
            drop(keeper);
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
    }

    #[test]
    fn a_kept_shell_reads_nothing_and_runs_without_its_keeper_too() {
        let mut keeper = Keeper::new().unwrap();
        keeper.shell.kill().unwrap();
        keeper.shell.wait().unwrap();
        let shell = kept_shell("cat; echo $#; exit 3", Path::new("/"), &keeper).unwrap();
        let finished = capture(shell, Limits { keeper: Some(&keeper), ..Limits::default() });
        let finished = finished.unwrap();
        assert_eq!((finished.end, &*finished.stdout), (End::Exited(3), &b"0\n"[..]));
    }

    #[test]
    fn an_interrupt_ends_the_command() {
        let interrupt = AtomicBool::new(true);
        let limits = Limits { interrupt: Some(&interrupt), ..Limits::default() };
        assert_eq!(finish("sleep 1000", limits).end, End::Interrupted);
    }
}
