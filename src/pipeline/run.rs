//! What an actor waits for: the child of one run of its machine, the path that child feeds, a deadline.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::Mono;

use super::Parts;
use super::view::EncoderView;

/// How often a starting encoder's path is looked at; one look costs MediaMTX about 2 ms.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The child of one run.
pub(super) struct Run<T, E> {
    /// The machine's number for it.
    pub run: u64,
    /// Its process id; 0 when it is no process.
    pub pid: u32,
    /// When it was started.
    pub since: Mono,
    /// None once it was told to stop; its last event is still to come.
    child: Option<T>,
    events: mpsc::Receiver<E>,
}

impl<T, E> Run<T, E> {
    /// A child that was just started.
    pub fn new(run: u64, child: T, pid: u32, events: mpsc::Receiver<E>) -> Self {
        Self { run, pid, since: Mono::now(), child: Some(child), events }
    }

    /// Dropping a child stops it; the end arrives as its last event.
    pub fn stop(&mut self) {
        self.child = None;
    }

    /// Whether it was told to stop.
    pub fn was_stopped(&self) -> bool {
        self.child.is_none()
    }

    /// As clients see it.
    pub fn view(&self) -> EncoderView {
        EncoderView { pid: self.pid, uptime_s: Mono::now().since(self.since).as_secs() }
    }
}

/// The next event of the child, if there is one; waits for ever otherwise.
pub(super) async fn next_event<T, E>(run: &mut Option<Run<T, E>>) -> E {
    if let Some(run) = run
        && let Some(event) = run.events.recv().await
    {
        return event;
    }
    std::future::pending().await
}

/// Tells once that the path which the child of a run feeds can be read. Dropping it ends the looking.
pub(super) struct PathWatch {
    run: u64,
    ready: mpsc::Receiver<()>,
}

impl PathWatch {
    /// Looks until `path` can be read.
    pub fn start(parts: &Parts, path: String, run: u64) -> Self {
        let (sender, ready) = mpsc::channel(1);
        let mediamtx = parts.mediamtx.clone();
        let stop = parts.group.stop().clone();
        parts.group.spawn(format!("wait for {path}"), async move {
            let look = async {
                while !matches!(mediamtx.fetch_path(&path).await, Ok(Some(state)) if state.ready) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                let _ = sender.send(()).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sender.closed() => {}
                () = look => {}
            }
        });
        Self { run, ready }
    }
}

/// The run whose path can be read; waits for ever when none is looked for.
pub(super) async fn path_ready(watch: &mut Option<PathWatch>) -> u64 {
    if let Some(PathWatch { run, ready }) = watch
        && ready.recv().await.is_some()
    {
        let run = *run;
        *watch = None;
        return run;
    }
    std::future::pending().await
}

/// Sleeps until then; for ever without a deadline.
pub(super) async fn until(deadline: Option<Mono>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.from_now()).await,
        None => std::future::pending().await,
    }
}
