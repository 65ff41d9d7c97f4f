//! A real `fieldcam run` in its own folder, on ports of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{self, Process};
use super::rpc::Client;
use super::secrets;
use super::setup::Setup;
use super::spawn::{Lines, collect, spawn};
use super::turn::{self, Turn};
use super::wait_for;

/// The daemon under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_fieldcam");

/// A daemon that ended before it was ready.
#[derive(Debug)]
pub struct Failure {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it said.
    pub output: String,
}

/// Where a box's servers listen, from `run/endpoints.json`.
#[derive(Clone, Debug)]
pub struct Endpoints(Value);

impl Endpoints {
    /// One URL: ws, http, health, rtsp, hls, webrtc.
    #[track_caller]
    pub fn url(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("endpoints.json has no {name}: {}", self.0))
    }

    /// `host:port` of one URL.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let url = url::Url::parse(self.url(name)).unwrap();
        format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap())
    }
}

struct Run {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    endpoints: Endpoints,
    ready_after: Duration,
}

/// A running box. Dropping it kills the daemon and fails the test when one of its children lives on, or
/// when it said a secret.
pub struct TestBox {
    setup: Setup,
    dir: TempDir,
    data: PathBuf,
    run: Option<Run>,
    _turn: Turn,
}

impl TestBox {
    /// A box with two small synthetic cameras.
    #[track_caller]
    pub fn start() -> TestBox {
        Setup::new().start()
    }

    /// A box as `setup` wants it; `Err` when the daemon ends instead of becoming ready.
    pub(super) fn of(setup: Setup) -> Result<TestBox, Failure> {
        let turn = turn::take();
        let dir = tempfile::Builder::new().prefix("fieldcam-test-").tempdir().unwrap();
        let data = setup.data.clone().unwrap_or_else(|| dir.path().join("data"));
        std::fs::write(dir.path().join("fieldcam.toml"), &setup.toml).unwrap();
        let mut testbox = TestBox { setup, dir, data, run: None, _turn: turn };
        testbox.launch()?;
        Ok(testbox)
    }

    fn command(&self) -> Command {
        self.command_of(Command::new(PROGRAM))
    }

    fn command_of(&self, mut command: Command) -> Command {
        for (key, _) in std::env::vars().filter(|(k, _)| k.starts_with("FIELDCAM_")) {
            command.env_remove(key);
        }
        command.envs(self.setup.env.iter().map(|(k, v)| (k, v)));
        command.env("FIELDCAM_STORAGE__DATA_DIR", &self.data).stdin(Stdio::null());
        command
    }

    fn launch(&mut self) -> Result<(), Failure> {
        let _ = std::fs::remove_file(self.data.join("run/endpoints.json"));
        let mut command = match self.setup.prefix.split_first() {
            None => self.command(),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(PROGRAM);
                self.command_of(command)
            }
        };
        command.args(["run", "--config"]).arg(self.dir.path().join("fieldcam.toml"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = spawn(command);
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let ready = wait_for("the box is ready, or has ended", || {
            let has_ended = child.try_wait().unwrap();
            if stdout.lock().unwrap().iter().any(|l| l.starts_with("fieldcam ready")) {
                return Some(Ok(()));
            }
            has_ended.map(Err)
        });
        let ready_after = begun.elapsed();
        if let Err(status) = ready {
            // What it said last may still be in the pipes.
            wait_for("its last words are read", || {
                [&stdout, &stderr].iter().all(|lines| Arc::strong_count(lines) == 1).then_some(())
            });
            let output = [&stdout, &stderr].map(|l| l.lock().unwrap().join("\n")).join("\n");
            return Err(Failure { status, output });
        }
        let endpoints = self.read_endpoints();
        self.run = Some(Run { child, stdout, stderr, endpoints, ready_after });
        Ok(())
    }

    #[track_caller]
    fn read_endpoints(&self) -> Endpoints {
        let file = std::fs::read(self.data.join("run/endpoints.json"))
            .expect("a ready box has written endpoints.json");
        Endpoints(serde_json::from_slice(&file).expect("endpoints.json is JSON"))
    }

    #[track_caller]
    fn running(&self) -> &Run {
        self.run.as_ref().expect("the box is running")
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for the test's own files, removed with the box.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// From the start of the program to its ready line.
    pub fn ready_after(&self) -> Duration {
        self.running().ready_after
    }

    /// Where its servers listen.
    pub fn endpoints(&self) -> &Endpoints {
        &self.running().endpoints
    }

    /// An absolute URL for a path on the main port.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.endpoints().address("ws"))
    }

    /// `fieldcam ARGS…` as an operator would run it on the box itself.
    pub fn fieldcam(&self, args: &[&str]) -> std::process::Output {
        self.command().args(args).output().unwrap()
    }

    /// A log-in token, by `fieldcam token`.
    #[track_caller]
    pub fn token(&self, role: &str) -> String {
        let out = self.fieldcam(&["token", "--role", role]);
        assert!(out.status.success(), "fieldcam token: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// A connection that is not logged in.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.endpoints().url("ws"))
    }

    /// A connection logged in with a role.
    #[track_caller]
    pub fn login(&self, role: &str) -> Client {
        let mut client = self.connect();
        client.authenticate(&self.token(role));
        client
    }

    /// Everything the daemon has said so far.
    pub fn log(&self) -> String {
        let run = self.running();
        [&run.stdout, &run.stderr].map(|l| l.lock().unwrap().join("\n")).join("\n")
    }

    /// The lines on standard output.
    pub fn stdout(&self) -> Vec<String> {
        self.running().stdout.lock().unwrap().clone()
    }

    /// Waits until the daemon has logged a text.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        wait_for(&format!("the log says {text:?}"), || self.log().contains(text).then_some(()));
    }

    /// Its running children and theirs.
    pub fn children(&self) -> Vec<Process> {
        process::descendants(self.pid())
    }

    /// Waits for a child by program name, such as `mediamtx`, or by a part of its command line.
    #[track_caller]
    pub fn child(&self, part: &str) -> Process {
        wait_for(&format!("a child {part:?} runs"), || {
            self.children().into_iter().find(|p| p.name == part || p.command.contains(part))
        })
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Ends the daemon as a crash would, and waits until its children are gone, which must need no help.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_end();
    }

    /// Asks the daemon to stop; answers with how it ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_end()
    }

    /// Waits until the daemon has ended, which it was told to; answers with how.
    #[track_caller]
    pub fn wait_end(&mut self) -> ExitStatus {
        let children = self.children();
        let log = self.log();
        let mut run = self.run.take().expect("the box is running");
        let status = wait_for("the daemon ends", || run.child.try_wait().unwrap());
        let text = self.data.to_string_lossy().into_owned();
        wait_for(&format!("no child outlives the daemon of {text}: {children:#?}"), || {
            let others = process::naming(&self.data).into_iter().filter(|p| p.command.contains("mediamtx"));
            (!children.iter().any(Process::alive) && others.count() == 0).then_some(())
        });
        secrets::assert_none(&log, &self.data, &self.setup.env);
        status
    }

    /// Starts the daemon again on the same data; ports may differ afterwards.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.run.is_none(), "it is still running");
        self.launch().unwrap_or_else(|f| panic!("the box did not start again ({}):\n{}", f.status, f.output));
    }

    /// Waits until the daemon has begun anew of itself; ports may differ afterwards.
    #[track_caller]
    pub fn wait_begun_anew(&mut self) {
        wait_for("the box is ready a second time", || {
            let ready = self.stdout().iter().filter(|l| l.starts_with("fieldcam ready")).count();
            (ready > 1).then_some(())
        });
        let endpoints = self.read_endpoints();
        self.run.as_mut().expect("the box is running").endpoints = endpoints;
    }

    /// Changes the setup that [`TestBox::start_again`] uses.
    pub fn change(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(self.setup.clone());
        std::fs::write(self.dir.path().join("fieldcam.toml"), &self.setup.toml).unwrap();
    }
}

impl Drop for TestBox {
    fn drop(&mut self) {
        let Some(run) = self.run.as_mut() else { return };
        if std::thread::panicking() {
            let log = [&run.stdout, &run.stderr].map(|l| l.lock().unwrap().join("\n")).join("\n");
            let tail: Vec<_> = log.lines().rev().take(80).collect();
            // `None` = it still runs.
            let status = run.child.try_wait().ok().flatten().map(|s| s.to_string());
            eprintln!("--- the box's last words ({status:?}) ---");
            tail.iter().rev().for_each(|l| eprintln!("{l}"));
            let children = process::descendants(run.child.id());
            let _ = run.child.kill();
            let _ = run.child.wait();
            for orphan in children.iter().filter(|p| p.alive()) {
                let _ = kill(Pid::from_raw(orphan.pid as i32), Signal::SIGKILL);
            }
        } else if run.child.try_wait().unwrap().is_none() {
            self.kill();
        }
    }
}
