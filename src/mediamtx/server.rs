//! The process: started from a fresh file, watched, and started again whatever ends it.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::task::JoinHandle;

use super::api::{Api, Fault};
use super::handle::{CALL, Desired, Inner};
use super::pulse::{Beat, Pulse};
use super::wake::WAKE_SOCKET;
use super::words::{self, Level};
use super::{MediaMtxOptions, PINNED_VERSION, ServerState, file, limits, ports, reply};
use crate::base::backoff::Backoff;
use crate::base::{Error, Mono, Result, Secret};
use crate::supervise::{Child, ChildSpec, Exit, FirstWords, Group, Spawner, Stdio, drain_lines};

/// How long a start may take. Measured 30 ms; the time is for a box that is busy booting.
const START: Duration = Duration::from_secs(15);
/// How long MediaMTX may take to close its recordings when the daemon ends.
const GRACE: Duration = Duration::from_secs(4);
/// Healthy for that long, it starts over with the shortest delay.
const HEALTHY: Duration = Duration::from_secs(60);
/// How long a port may still be held by a MediaMTX whose daemon just died.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// Keeps MediaMTX running.
pub(super) struct Server {
    pub inner: Arc<Inner>,
    pub group: Group,
    pub spawner: Spawner,
    pub probe: Api,
    pub callback: Secret,
    pub secret: Secret,
    pub wake_socket: PathBuf,
}

/// A child that answered, and what it said it is.
struct Running {
    child: Child,
    info: reply::Info,
}

/// What a child said, and the tasks that listen.
struct Heard {
    words: Arc<Mutex<FirstWords>>,
    ears: Vec<JoinHandle<()>>,
}

/// Why a running MediaMTX has to be started again.
enum End {
    Stop,
    Died(Exit),
    Silent,
}

impl Server {
    /// Starts it for the first time and hands it to a task that keeps it running.
    pub(super) async fn start(mut self) -> Result<()> {
        let stop = self.group.stop().clone();
        let running = tokio::select! {
            () = stop.cancelled() => return Err(Error::dependency("mediamtx", "the daemon is stopping")),
            first = self.launch(false) => first?,
        };
        let group = self.group.clone();
        group.spawn("mediamtx", self.keep(running));
        Ok(())
    }

    async fn keep(mut self, first: Running) {
        let stop = self.group.stop().clone();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut next = Some(first);
        let mut failures = 0;
        loop {
            let running = match next.take() {
                Some(running) => Ok(running),
                None => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        // After two failures in a row the file itself may be what it trips over.
                        again = self.launch(failures >= 2) => again,
                    }
                }
            };
            let delay = match running {
                Ok(mut running) => {
                    failures = 0;
                    let since = Mono::now();
                    self.tell_running(&running);
                    let end = self.watch(&mut running).await;
                    let problem = match end {
                        End::Stop => {
                            self.tell_down(None);
                            running.child.stop(GRACE).await;
                            return;
                        }
                        End::Died(exit) => format!("the media server ended ({exit}) and is started again"),
                        End::Silent => {
                            running.child.kill().await;
                            "the media server did not answer and is started again".to_owned()
                        }
                    };
                    tracing::error!(pid = running.child.pid(), "{problem}");
                    self.tell_down(Some(problem));
                    if Mono::now().since(since) >= HEALTHY {
                        backoff.reset();
                    }
                    // The first time at once: a recording waits.
                    if backoff.attempts() == 0 {
                        backoff.next_delay();
                        Duration::ZERO
                    } else {
                        backoff.next_delay()
                    }
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(failures, "MediaMTX could not be started: {}", error.chain());
                    self.tell_down(Some(error.message().to_owned()));
                    backoff.next_delay()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Writes the file, starts the child, waits until it answers, and brings it up to what was
    /// wished meanwhile. With `bare`, the file holds no paths and they are told one by one, so that
    /// one MediaMTX refuses keeps none of the others away.
    async fn launch(&mut self, bare: bool) -> Result<Running> {
        let key = {
            let mut doors = self.inner.desk.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.renew_api()
        };
        self.inner.door.set_key(&key);
        let options = &self.inner.options;
        ports::check(options.listens, PORT_PATIENCE).await?;
        let (revision, text) = {
            let desired = self.inner.desired();
            let none = Desired::new();
            let paths = if bare { &none } else { &desired.0 };
            let text = file::generate(&options.listens, &self.callback, options.segment_duration, paths);
            (desired.1, text)
        };
        file::write(&options.run_dir, &text).map_err(|e| {
            Error::dependency("mediamtx", "its file could not be written to the run directory").caused_by(e)
        })?;

        let (mut child, heard) = self.spawn().await?;
        let info = match self.wait_ready(&mut child).await {
            Ok(info) => info,
            Err(end) => {
                child.kill().await;
                return Err(self.explain(end, heard).await);
            }
        };
        if info.version != PINNED_VERSION {
            child.kill().await;
            return Err(wrong_version(&info.version));
        }
        let running = Running { child, info };
        let api = self.inner.writer.lock().await;
        if bare || self.inner.desired().1 != revision {
            reconcile(&self.inner, &api).await;
        }
        // Still under the writer's lock: a change made from now on is told by whoever makes it.
        self.set_state(|s| {
            s.running = true;
            s.generation += 1;
            s.pid = Some(running.child.pid());
            s.version = Some(running.info.version.clone());
            s.problem = None;
        });
        drop(api);
        Ok(running)
    }

    async fn spawn(&self) -> Result<(Child, Heard)> {
        let options = &self.inner.options;
        let mut spec =
            ChildSpec::new("mediamtx", &options.binary).args([options.run_dir.join(file::FILE_NAME)]);
        let text = |p: &Path| p.to_str().expect("checked when the options were").to_owned();
        spec.env = vec![
            ("GOMEMLIMIT".into(), limits::go_memory_limit()),
            ("FIELDCAM_EXE".into(), text(&options.exe)),
            (WAKE_SOCKET.into(), text(&self.wake_socket)),
        ];
        spec.stdout = Stdio::Pipe;
        spec.stderr = Stdio::Pipe;
        let mut child = self.spawner.spawn(spec).await.map_err(|e| {
            let hint = "set mediamtx.binary, or run scripts/get-mediamtx";
            Error::dependency("mediamtx", format!("{} ({hint})", detail(&e))).caused_by(e)
        })?;
        let words = Arc::new(Mutex::new(FirstWords::default()));
        let mut ears = Vec::new();
        let mut hear = |stream: Box<dyn AsyncRead + Send + Unpin>| {
            let drain = drain(stream, self.inner.clone(), words.clone(), self.secret.clone());
            ears.push(self.group.spawn("mediamtx output", drain));
        };
        if let Some(out) = child.stdout.take() {
            hear(Box::new(out));
        }
        if let Some(err) = child.stderr.take() {
            hear(Box::new(err));
        }
        Ok((child, Heard { words, ears }))
    }

    async fn wait_ready(&self, child: &mut Child) -> Result<reply::Info, Option<Exit>> {
        let answers = async {
            loop {
                match self.probe.info(Duration::from_secs(1)).await {
                    Ok(info) => return info,
                    Err(_) => tokio::time::sleep(Duration::from_millis(3)).await,
                }
            }
        };
        tokio::select! {
            info = answers => Ok(info),
            exit = child.wait() => Err(Some(exit)),
            () = tokio::time::sleep(START) => Err(None),
        }
    }

    /// What a start that failed should tell: another version refuses our file before it answers.
    async fn explain(&self, end: Option<Exit>, heard: Heard) -> Error {
        if let Some(found) = self.ask_version().await
            && found != PINNED_VERSION
        {
            return wrong_version(&found);
        }
        // Its last words may still be in the pipe.
        for ear in heard.ears {
            let _ = tokio::time::timeout(Duration::from_millis(500), ear).await;
        }
        let words = heard.words.lock().unwrap_or_else(PoisonError::into_inner).text();
        let what = match end {
            Some(exit) => format!("the media server ended at its start ({exit})"),
            None => format!("the media server did not answer within {START:?} of its start"),
        };
        Error::dependency("mediamtx", what).caused_by(words::redact(&words, &self.secret))
    }

    async fn ask_version(&self) -> Option<String> {
        let mut spec = ChildSpec::new("mediamtx --version", &self.inner.options.binary).args(["--version"]);
        spec.stdout = Stdio::Pipe;
        let mut child = self.spawner.spawn(spec).await.ok()?;
        let out = child.stdout.take()?;
        let mut first = None;
        let reading = drain_lines(out, |line| {
            first.get_or_insert_with(|| line.trim().to_owned());
        });
        let _ = tokio::time::timeout(Duration::from_secs(3), reading).await;
        first.filter(|v| v.starts_with('v') && v.len() < 40 && !v.contains(char::is_whitespace))
    }

    /// Returns when it has to be started again or to stop.
    async fn watch(&self, running: &mut Running) -> End {
        let stop = self.group.stop().clone();
        let mut pulse = Pulse::new(Mono::now());
        loop {
            let probe = async {
                tokio::time::sleep(pulse.next_probe().from_now()).await;
                self.probe.info(Pulse::TIME_OUT).await
            };
            let answer = tokio::select! {
                () = stop.cancelled() => return End::Stop,
                exit = running.child.wait() => return End::Died(exit),
                () = self.inner.doubt.notified() => {
                    self.reconcile_now().await;
                    continue;
                }
                answer = probe => answer,
            };
            if let Ok(info) = &answer
                && info.started != running.info.started
            {
                // Cannot be while the child lives, unless another MediaMTX took its port.
                tracing::error!("MediaMTX says it was started anew; every path is told again");
                running.info = info.clone();
                self.set_state(|s| s.generation += 1);
                self.reconcile_now().await;
            }
            match pulse.beat(answer.is_ok(), Mono::now()) {
                Beat::Alive => {}
                Beat::Missed(n) => {
                    tracing::warn!(missed = n, fault = ?answer.err(), "MediaMTX did not answer");
                }
                Beat::Dead => return End::Silent,
            }
        }
    }

    async fn reconcile_now(&self) {
        let api = self.inner.writer.lock().await;
        if !reconcile(&self.inner, &api).await {
            self.inner.doubt.notify_one();
            drop(api);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn set_state(&self, change: impl FnOnce(&mut ServerState)) {
        self.inner.server.send_modify(change);
    }

    fn tell_running(&self, running: &Running) {
        let took = Mono::now().since(running.child.started);
        tracing::info!(
            pid = running.child.pid(),
            version = running.info.version,
            "MediaMTX runs after {took:?}"
        );
        self.inner.nudge.notify_one();
    }

    fn tell_down(&self, problem: Option<String>) {
        self.set_state(|s| {
            s.running = false;
            s.pid = None;
            s.problem = problem;
        });
        self.inner.paths.send_if_modified(|known| {
            let news = !known.is_empty();
            *known = Arc::default();
            news
        });
    }
}

/// Makes MediaMTX's paths those desired: what is too many goes, all others are told again, which
/// changes nothing where nothing differs. Answers false when MediaMTX stopped answering.
async fn reconcile(inner: &Inner, api: &Api) -> bool {
    let mut present = Vec::new();
    let listed = api.list("config/paths", CALL, |page| present.extend(reply::names(page))).await;
    if let Err(fault) = listed {
        tracing::warn!(?fault, "MediaMTX's paths could not be listed");
        return false;
    }
    let wanted: Vec<String> = inner.desired().0.keys().cloned().collect();
    let extra = present.into_iter().filter(|name| !wanted.contains(name)).collect::<Vec<_>>();
    for name in wanted.iter().chain(&extra) {
        let told = match inner.body(name) {
            Some(body) => api.replace_path(name, &body, CALL).await,
            None => api.delete_path(name, CALL).await,
        };
        match told {
            Ok(()) => {}
            Err(Fault::Down(_)) => return false,
            Err(fault @ Fault::Refused(..)) => {
                let error = super::handle::outward(fault);
                tracing::error!(path = name, "MediaMTX refused a path: {}", error.chain());
            }
        }
    }
    true
}

/// Reads all the child says: into the log, and for the explanation of a failed start.
async fn drain(
    stream: Box<dyn AsyncRead + Send + Unpin>,
    inner: Arc<Inner>,
    heard: Arc<Mutex<FirstWords>>,
    secret: Secret,
) {
    let mut writer = words::Writer::new(secret);
    drain_lines(stream, |line| {
        let line = words::parse(line);
        if matches!(line.level, Level::Warn | Level::Error) {
            heard.lock().unwrap_or_else(PoisonError::into_inner).hear(&line.message);
            if let Some((path, why)) = words::source_failure(&line) {
                // Without a camera that listens nobody needs to know.
                let _ = inner.failures.send((path.to_owned(), why.to_owned()));
            }
        } else if words::tells_of_change(&line.message) {
            inner.nudge.notify_one();
        }
        writer.write(&line);
    })
    .await;
}

/// The outward detail of a dependency's error, without the prefix it already has.
fn detail(e: &Error) -> String {
    e.data().get("detail").and_then(|d| d.as_str()).unwrap_or(e.message()).to_owned()
}

fn wrong_version(found: &str) -> Error {
    Error::dependency(
        "mediamtx",
        format!(
            "the program is version {found}, this build needs {PINNED_VERSION}; run scripts/get-mediamtx or set mediamtx.binary"
        ),
    )
    .with("found", found)
    .with("needed", PINNED_VERSION)
}

/// Refuses options MediaMTX could not be run with.
pub(super) fn check_options(options: &MediaMtxOptions) -> Result<()> {
    let day = Duration::from_secs(24 * 3600);
    if options.segment_duration.is_zero() || options.segment_duration > day {
        return Err(Error::param("recording.segment_duration", "must be at most 24h and not 0", "set 15m"));
    }
    for (what, path) in [("the run directory", &options.run_dir), ("our own program", &options.exe)] {
        if path.to_str().is_none() || !path.is_absolute() {
            return Err(Error::dependency("mediamtx", format!("{what} needs an absolute path in UTF-8")));
        }
    }
    Ok(())
}

/// Makes the run directory, for this user alone.
pub(super) fn make_run_dir(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)))
        .map_err(|e| Error::dependency("storage", "the run directory could not be made").caused_by(e))
}
