//! The process: started from a fresh file, watched, and started again whatever ends it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::api::{Api, Fault};
use super::handle::Inner;
use super::launch::Running;
use super::place::Place;
use super::pulse::{Beat, Pulse};
use super::reconcile::reconcile;
use super::reply::Info;
use super::{ServerState, certificate};
use crate::base::backoff::Backoff;
use crate::base::{Error, Mono, Result, Secret};
use crate::supervise::{Exit, Group, Spawner};
use crate::tls::Pair;

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
    pub place: Place,
    /// Where the newest file is.
    pub folder: PathBuf,
    /// Changes of the certificate, where there is one.
    pub certificate: Option<watch::Receiver<Arc<Pair>>>,
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
    async fn watch(&mut self, running: &mut Running) -> End {
        let stop = self.group.stop().clone();
        let mut pulse = Pulse::new(Mono::now());
        // A write may be missing. Failing to make up for it counts as a missed answer: otherwise
        // one change told to a MediaMTX that stands still would keep the probes away for ever.
        let mut doubtful = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                exit = running.child.wait() => return End::Died(exit),
                pair = changed(&mut self.certificate) => {
                    self.show(&pair);
                    continue;
                }
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

    /// Tells MediaMTX of a new certificate, beside everything else.
    fn show(&self, pair: &Pair) {
        let Some(rtsps) = self.inner.endpoints.rtsps else { return };
        let (folder, pem, wanted) = (self.folder.clone(), pair.pem().clone(), pair.fingerprint());
        let stop = self.group.stop().clone();
        self.group.spawn("mediamtx certificate", async move {
            let _ = stop.run_until_cancelled(certificate::change(&folder, rtsps, &pem, wanted)).await;
        });
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

/// The next certificate; never, where there is none.
async fn changed(certificate: &mut Option<watch::Receiver<Arc<Pair>>>) -> Arc<Pair> {
    if let Some(changes) = certificate
        && changes.changed().await.is_ok()
    {
        return changes.borrow_and_update().clone();
    }
    std::future::pending().await
}
