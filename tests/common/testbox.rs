//! A real `fieldcam run` in its own folder, on ports of its own.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{self, Process};
use super::rpc::Client;
use super::turn::{self, Turn};
use super::{PATIENCE, wait_for};

/// The daemon under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_fieldcam");

/// The MediaMTX to test with.
pub fn mediamtx() -> String {
    std::env::var("FIELDCAM_TEST_MEDIAMTX")
        .unwrap_or_else(|_| format!("{}/target/mediamtx/v1.20.1/amd64/mediamtx", env!("CARGO_MANIFEST_DIR")))
}

/// What kind of box to start. By default: two synthetic cameras, 640x360 at 30 fps, all ports free ones.
#[derive(Clone)]
pub struct Setup {
    toml: String,
    env: Vec<(String, String)>,
    data: Option<PathBuf>,
    prefix: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup::new()
    }
}

impl Setup {
    /// Two small synthetic cameras.
    pub fn new() -> Setup {
        let mut setup = Setup { toml: String::new(), env: Vec::new(), data: None, prefix: Vec::new() };
        for key in ["SERVER__LISTEN", "HEALTH__LISTEN"] {
            setup = setup.env(key, "127.0.0.1:0");
        }
        for key in ["RTSP_LISTEN", "HLS_LISTEN", "WEBRTC_LISTEN", "WEBRTC_UDP", "API_LISTEN"] {
            setup = setup.env(&format!("MEDIAMTX__{key}"), "127.0.0.1:0");
        }
        setup
            .env("MEDIAMTX__BINARY", &mediamtx())
            .env("CAMERAS__RESOLUTION", "640x360")
            .env("AUTH__RATE_LIMIT_PER_MINUTE", "1000000")
            .cameras(2)
    }

    /// This many synthetic cameras.
    pub fn cameras(self, count: u32) -> Setup {
        self.env("CAMERAS__SYNTHETIC", &count.to_string())
    }

    /// Adds to the configuration file.
    pub fn toml(mut self, text: &str) -> Setup {
        self.toml.push_str(text);
        self.toml.push('\n');
        self
    }

    /// Sets `FIELDCAM_<key>`, which wins over the file; a later value replaces an earlier one.
    pub fn env(mut self, key: &str, value: &str) -> Setup {
        let key = format!("FIELDCAM_{key}");
        self.env.retain(|(k, _)| *k != key);
        self.env.push((key, value.to_owned()));
        self
    }

    /// Sets an environment variable of any name.
    pub fn plain_env(mut self, key: &str, value: &str) -> Setup {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Takes `FIELDCAM_<key>` away, so that the file or the default decides.
    pub fn without(mut self, key: &str) -> Setup {
        self.env.retain(|(k, _)| k.strip_prefix("FIELDCAM_") != Some(key));
        self
    }

    /// Starts the daemon through a program that replaces itself with it.
    pub fn through(mut self, prefix: &[String]) -> Setup {
        self.prefix = prefix.to_vec();
        self
    }

    /// Uses a data directory that exists already; it is left alone at the end.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Setup {
        self.data = Some(path.into());
        self
    }

    /// Starts the box and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> TestBox {
        self.try_start().unwrap_or_else(|f| panic!("the box did not start ({}):\n{}", f.status, f.output))
    }

    /// As [`Setup::start`]; `Err` when the daemon ends instead of becoming ready.
    pub fn try_start(self) -> Result<TestBox, Failure> {
        let turn = turn::take();
        let dir = tempfile::Builder::new().prefix("fieldcam-test-").tempdir().unwrap();
        let data = self.data.clone().unwrap_or_else(|| dir.path().join("data"));
        std::fs::write(dir.path().join("fieldcam.toml"), &self.toml).unwrap();
        let mut testbox = TestBox { setup: self, dir, data, run: None, _turn: turn };
        testbox.launch()?;
        Ok(testbox)
    }
}

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

type Lines = Arc<Mutex<Vec<String>>>;

/// A running box. Dropping it kills the daemon and fails the test when one of its children lives on.
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
        let file = std::fs::read(self.data.join("run/endpoints.json"))
            .expect("a ready box has written endpoints.json");
        let endpoints = Endpoints(serde_json::from_slice(&file).expect("endpoints.json is JSON"));
        self.run = Some(Run { child, stdout, stderr, endpoints, ready_after });
        Ok(())
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

    #[track_caller]
    fn wait_end(&mut self) -> ExitStatus {
        let children = self.children();
        let mut run = self.run.take().expect("the box is running");
        let status = wait_for("the daemon ends", || run.child.try_wait().unwrap());
        let text = self.data.to_string_lossy().into_owned();
        wait_for(&format!("no child outlives the daemon of {text}: {children:#?}"), || {
            let others = process::naming(&self.data).into_iter().filter(|p| p.command.contains("mediamtx"));
            (!children.iter().any(Process::alive) && others.count() == 0).then_some(())
        });
        status
    }

    /// Starts the daemon again on the same data; ports may differ afterwards.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.run.is_none(), "it is still running");
        self.launch().unwrap_or_else(|f| panic!("the box did not start again ({}):\n{}", f.status, f.output));
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

/// The lines of a stream as they come; at its end nobody but the caller holds them.
fn collect(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            sink.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    lines
}

/// Starts a child that dies with this test program, however that ends. The kernel ties it to the
/// spawning *thread*, so one thread of the whole program starts them all.
#[expect(unsafe_code, reason = "one system call between fork and exec")]
pub fn spawn(mut command: Command) -> Child {
    type Job = (Command, mpsc::Sender<Child>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    // SAFETY: prctl is async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into));
    }
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in jobs {
                let child = command.spawn().unwrap_or_else(|e| panic!("cannot start the daemon: {e}"));
                let _ = reply.send(child);
            }
        });
        sender
    });
    let (reply, child) = mpsc::channel();
    spawner.send((command, reply)).unwrap();
    child.recv_timeout(PATIENCE).expect("the daemon can be started")
}
