//! Child processes: one spawning thread, cleared environment, own process group, death with us.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getppid};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::oneshot;

use crate::base::{Error, Mono, Result};

/// Where children, and we for them, look for programs.
pub(super) const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a child's standard stream is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// A pipe to us.
    Pipe,
}

/// What to start. The environment is always cleared; only `env` and a plain `PATH`, `LANG`, `TZ` are set.
#[derive(Clone)]
pub struct ChildSpec {
    /// Name in logs and errors, such as `mediamtx` or `encoder camera0`.
    pub name: String,
    /// Program: a path, or a name looked up in `PATH`.
    pub program: PathBuf,
    /// Arguments; never log them, they may hold a publishing credential.
    pub args: Vec<OsString>,
    /// Environment on top of the plain one.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

impl ChildSpec {
    /// A child without streams or environment of its own.
    pub fn new(name: impl Into<String>, program: impl AsRef<Path>) -> Self {
        Self {
            name: name.into(),
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

type Request = (ChildSpec, oneshot::Sender<io::Result<tokio::process::Child>>);

/// The spawning thread's handle. The kernel delivers a parent-death signal when the spawning
/// *thread* ends, so every child comes from this one, which lives as long as the last handle.
#[derive(Clone)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread; must be called inside the tokio runtime that will wait for the children.
    pub fn start() -> Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("spawner".into())
            .stack_size(256 << 10)
            .spawn(move || {
                let _inside = runtime.enter();
                while let Ok((spec, reply)) = inbox.recv() {
                    // A caller that went away drops the child, which kills it.
                    let _ = reply.send(spawn_here(&spec));
                }
            })
            .map_err(Error::internal)?;
        Ok(Self { requests })
    }

    /// Starts a child. Fails with `DependencyFailed` (dependency = the child's name).
    pub async fn spawn(&self, spec: ChildSpec) -> Result<Child> {
        let name = spec.name.clone();
        let program = spec.program.clone();
        let (reply, answer) = oneshot::channel();
        self.requests
            .send((spec, reply))
            .map_err(|_| Error::internal(io::Error::other("the spawning thread is gone")))?;
        let mut inner = answer
            .await
            .map_err(|_| Error::internal(io::Error::other("the spawning thread is gone")))?
            .map_err(|e| {
                let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let detail = match e.kind() {
                    io::ErrorKind::NotFound => format!("the program {file} was not found"),
                    io::ErrorKind::PermissionDenied => format!("the program {file} may not be run"),
                    _ => format!("the program {file} could not be started ({})", e.kind()),
                };
                Error::dependency(&name, detail).caused_by(e)
            })?;
        let pid = inner.id().expect("a child that was not waited for has a pid");
        Ok(Child {
            stdin: inner.stdin.take(),
            stdout: inner.stdout.take(),
            stderr: inner.stderr.take(),
            started: Mono::now(),
            ended: None,
            name,
            pid,
            inner,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the room that starts processes")]
#[expect(unsafe_code, reason = "pre_exec is the only way to ask for the parent-death signal")]
fn spawn_here(spec: &ChildSpec) -> io::Result<tokio::process::Child> {
    let stdio = |s: Stdio| match s {
        Stdio::Null => std::process::Stdio::null(),
        Stdio::Pipe => std::process::Stdio::piped(),
    };
    let us = nix::unistd::getpid();
    let mut command = std::process::Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .stdin(stdio(spec.stdin))
        .stdout(stdio(spec.stdout))
        .stderr(stdio(spec.stderr))
        .process_group(0);
    // SAFETY: between fork and exec only two system calls are made, both async-signal-safe; nothing
    // is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // Had we died before the call above, the signal would never come.
            if getppid() != us {
                return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
            }
            Ok(())
        });
    }
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true).spawn()
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or(0)),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(n) => match Signal::try_from(*n) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {n}"),
            },
        }
    }
}

/// A running child. Dropping it kills its whole process group.
pub struct Child {
    /// Its standard input, when piped.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, when piped.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, when piped.
    pub stderr: Option<ChildStderr>,
    /// When it was started.
    pub started: Mono,
    name: String,
    pid: u32,
    ended: Option<Exit>,
    inner: tokio::process::Child,
}

impl Child {
    /// Its process id (also its process group's).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the end; cancel-safe, and answers again when asked again.
    pub async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.ended {
            return exit;
        }
        let exit = match self.inner.wait().await {
            Ok(status) => Exit::from(status),
            Err(_) => Exit::Signal(0),
        };
        self.ended = Some(exit);
        exit
    }

    /// Sends a signal to the whole group; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            let _ = killpg(Pid::from_raw(self.pid as i32), signal);
        }
    }

    /// Asks with SIGTERM, and after `grace` ends it with SIGKILL. Closes our end of its input first.
    pub async fn stop(&mut self, grace: Duration) -> Exit {
        self.stdin = None;
        self.signal(Signal::SIGTERM);
        if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
            return exit;
        }
        tracing::warn!(child = %self.name, pid = self.pid, "did not stop in {grace:?}; killed");
        self.kill().await
    }

    /// SIGKILL to the whole group, then waits.
    pub async fn kill(&mut self) -> Exit {
        self.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn environment_is_cleared_and_group_is_its_own() {
        let spawner = Spawner::start().unwrap();
        let mut spec = ChildSpec::new("env", "/usr/bin/env");
        spec.stdout = Stdio::Pipe;
        spec.env.push(("ONLY".into(), "this".into()));
        let mut child = spawner.spawn(spec).await.unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        let mut names: Vec<_> = text.lines().filter_map(|l| l.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["LANG", "ONLY", "PATH", "TZ"]);
        assert_eq!(child.wait().await, Exit::Code(0));
    }

    #[tokio::test]
    async fn a_missing_program_is_named_without_its_path() {
        let spawner = Spawner::start().unwrap();
        let e = spawner.spawn(ChildSpec::new("x", "/nowhere/prog")).await.err().unwrap();
        assert!(e.message().contains("prog was not found"), "{e}");
        assert!(!e.message().contains("/nowhere"), "{e}");
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed() {
        let spawner = Spawner::start().unwrap();
        let mut spec = ChildSpec::new("stubborn", "/bin/sh")
            .args(["-c", "trap '' TERM; echo up; while :; do read x; done"]);
        spec.stdout = Stdio::Pipe;
        spec.stdin = Stdio::Pipe;
        let mut child = spawner.spawn(spec).await.unwrap();
        let mut up = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut up).await.unwrap();
        let exit = child.stop(Duration::from_millis(50)).await;
        assert_eq!(exit, Exit::Signal(Signal::SIGKILL as i32));
    }

    #[tokio::test]
    async fn dropping_kills_the_group() {
        let spawner = Spawner::start().unwrap();
        let child = spawner.spawn(ChildSpec::new("s", "sleep").args(["1000"])).await.unwrap();
        let pid = Pid::from_raw(child.pid() as i32);
        drop(child);
        let gone = async {
            while nix::sys::signal::kill(pid, None).is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the child is gone");
    }
}
