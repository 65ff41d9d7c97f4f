//! The process: started from a fresh file, watched, and started again whatever ends it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ServerState;
use super::api::{Api, Fault};
use super::handle::Inner;
use super::launch::Running;
use super::pulse::{Beat, Pulse};
use super::reconcile::reconcile;
use super::reply::Info;
use crate::base::backoff::Backoff;
use crate::base::{Error, Mono, Result, Secret};
use crate::supervise::{Exit, Group, Spawner};

/// How long MediaMTX may take to close its recordings when the daemon ends.
const GRACE: Duration = Duration::from_secs(4);
/// Healthy for that long, it starts over with the shortest delay.
const HEALTHY: Duration = Duration::from_secs(60);

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

    /// Returns when it has to be started again or to stop.
    async fn watch(&self, running: &mut Running) -> End {
        let stop = self.group.stop().clone();
        let mut pulse = Pulse::new(Mono::now());
        // A write may be missing. Failing to make up for it counts as a missed answer: otherwise
        // one change told to a MediaMTX that stands still would keep the probes away for ever.
        let mut doubtful = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                exit = running.child.wait() => return End::Died(exit),
                () = self.inner.doubt.notified(), if !doubtful => doubtful = true,
                () = tokio::time::sleep(pulse.next_probe().from_now()) => {}
            }
            let ask = async {
                if doubtful {
                    self.make_good().await
                } else {
                    self.probe.info(Pulse::TIME_OUT).await.map(Some)
                }
            };
            let answer = tokio::select! {
                () = stop.cancelled() => return End::Stop,
                exit = running.child.wait() => return End::Died(exit),
                answer = ask => answer,
            };
            doubtful &= answer.is_err();
            if let Ok(Some(info)) = &answer
                && info.started != running.info.started
            {
                // Cannot be while the child lives, unless another MediaMTX took its port.
                tracing::error!("MediaMTX says it was started anew; every path is told again");
                running.info = info.clone();
                self.set_state(|s| s.generation += 1);
                doubtful = true;
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

    async fn make_good(&self) -> Result<Option<Info>, Fault> {
        let api = self.inner.writer.lock().await;
        reconcile(&self.inner, &api).await.map(|()| None)
    }

    pub(super) fn set_state(&self, change: impl FnOnce(&mut ServerState)) {
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
<<<<<<< HEAD

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
=======
>>>>>>> 8c039fd (mediamtx: make changes and arriving publishers take turns, count failing changes as missed answers)
