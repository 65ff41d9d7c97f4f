//! The FFmpeg of one camera: fed, listened to, watched, ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::{Mono, Result, Secret};
use crate::capture::{Consumer, ConsumerMeter};
use crate::supervise::{Child, ChildSpec, Exit, Group, Spawner, Stdio, drain_lines};

use super::feed::{Feed, Shared};
use super::matroska::MatroskaStream;
use super::nodelay;
use super::plan::Plan;
use super::progress::{Progress, ProgressParser};
use super::words::Words;

/// After its input has ended, FFmpeg may write out what it holds and say goodbye to MediaMTX.
const GOODBYE: Duration = Duration::from_millis(400);
const STOP_GRACE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(200);
/// What to start.
#[derive(Debug)]
pub struct EncoderSpec {
    /// The camera, for logs and errors.
    pub name: String,
    /// The program.
    pub ffmpeg: PathBuf,
    /// Its arguments.
    pub plan: Plan,
    /// Where it publishes.
    pub publish: Secret,
}

/// What an encoder tells about itself.
#[derive(Clone, Debug, PartialEq)]
pub enum EncoderEvent {
    /// FFmpeg's report, twice a second.
    Progress(Progress),
    /// Frames went in and nothing came out; it is being ended, [`EncoderEvent::Ended`] follows.
    Stalled,
    /// The process is gone.
    Ended {
        /// How it ended.
        exit: Exit,
        /// What it said first, without URLs.
        words: String,
    },
}

/// What went through an encoder so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncoderCounters {
    /// Frames written to FFmpeg.
    pub written: u64,
    /// Bytes written to FFmpeg.
    pub bytes: u64,
    /// Frames left out: FFmpeg was too slow, or a frame was not later than the one before.
    pub dropped: u64,
}

/// An FFmpeg that has loaded everything and waits. Dropping it ends it.
pub struct Prepared {
    name: String,
    command: String,
    child: Child,
    stream: Option<MatroskaStream>,
    words: Words,
    /// Where it will publish, on this machine.
    port: Option<u16>,
}

/// A running encoder. Dropping it ends it.
pub struct Encoder {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    meter: Option<ConsumerMeter>,
    command: String,
    pid: u32,
    started: Mono,
}

impl Encoder {
    /// How many frames its [`Consumer`] should hold: what comes while FFmpeg starts or the box is
    /// busy for a moment, which it then catches up with.
    pub const QUEUE: usize = 30;

    /// Starts FFmpeg. `frames` feed it when the plan reads frames. A missing FFmpeg is an error,
    /// all else an event.
    pub async fn start(
        spec: EncoderSpec,
        frames: Option<Consumer>,
        spawner: &Spawner,
        group: &Group,
        events: mpsc::Sender<EncoderEvent>,
    ) -> Result<Self> {
        Ok(Self::prepare(spec, spawner, group).await?.start(frames, group, events))
    }

    /// Starts an FFmpeg that waits at its input: loading it is most of a cold start. It publishes
    /// nothing, and uses its credential, only after [`Prepared::start`].
    pub async fn prepare(spec: EncoderSpec, spawner: &Spawner, group: &Group) -> Result<Prepared> {
        let mut child_spec = ChildSpec::new(format!("encoder {}", spec.name), &spec.ffmpeg)
            .args(spec.plan.args(&spec.publish));
        let stream = spec.plan.input();
        if stream.is_some() {
            child_spec.stdin = Stdio::Pipe;
        }
        child_spec.stdout = Stdio::Pipe;
        child_spec.stderr = Stdio::Pipe;
        let mut child = spawner.spawn(child_spec).await?;
        let words = Words::listen(&spec.name, &spec.ffmpeg, &mut child, group);
        let port = url::Url::parse(spec.publish.expose()).ok().and_then(|url| url.port());
        Ok(Prepared { command: spec.plan.printable(), name: spec.name, child, stream, words, port })
    }

    /// The command as people may see it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The process id of its FFmpeg.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it began.
    pub fn started(&self) -> Mono {
        self.started
    }

    /// What went through so far.
    pub fn counters(&self) -> EncoderCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lost = self.meter.as_ref().map_or(0, |meter| meter.counters().lost);
        EncoderCounters {
            written: get(&self.shared.written),
            bytes: get(&self.shared.bytes),
            dropped: get(&self.shared.refused) + lost,
        }
    }

    /// Ends it, gently first, and waits until its process is gone.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Prepared {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Whether it still waits.
    pub fn is_alive(&mut self) -> bool {
        self.child.wait().now_or_never().is_none()
    }

    /// Lets it begin.
    pub fn start(
        mut self,
        frames: Option<Consumer>,
        group: &Group,
        events: mpsc::Sender<EncoderEvent>,
    ) -> Encoder {
        let shared = Arc::new(Shared::default());
        let stop = group.stop().child_token();
        let pid = self.child.pid();
        let meter = frames.as_ref().map(Consumer::meter);
        if let Some(port) = self.port {
            // One that is not fed by us reads from MediaMTX too.
            let sockets = if self.stream.is_some() { 1 } else { 2 };
            let stop = stop.clone();
            group.spawn(format!("encoder {} hurry", self.name), async move {
                stop.run_until_cancelled(nodelay::hurry(pid, port, sockets)).await;
            });
        }
        let feeder = match (self.stream, self.child.stdin.take(), frames) {
            (Some(stream), Some(pipe), Some(frames)) => {
                let feed = Feed { stream, pipe, frames, shared: shared.clone() };
                let stop = stop.clone();
                Some(group.spawn(format!("encoder {} feeder", self.name), async move {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = feed.run() => {}
                    }
                }))
            }
            _ => None,
        };
        let (reports, inbox) = mpsc::channel(8);
        listen_to_progress(&self.name, &mut self.child, group, reports);
        let (child, words) = (self.child, self.words);
        let keeper =
            Keeper { child, feeder, words, inbox, shared: shared.clone(), stop: stop.clone(), events };
        let task = Some(group.spawn(format!("encoder {}", self.name), keeper.run()));
        Encoder { stop, task, shared, meter, command: self.command, pid, started: Mono::now() }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn listen_to_progress(name: &str, child: &mut Child, group: &Group, reports: mpsc::Sender<Progress>) {
    let Some(stdout) = child.stdout.take() else { return };
    group.spawn(format!("encoder {name} progress"), async move {
        let mut parser = ProgressParser::default();
        drain_lines(stdout, |line| {
            if let Some(progress) = parser.line(line) {
                // When nobody takes them a report is worth nothing: the next one says it all.
                let _ = reports.try_send(progress);
            }
        })
        .await;
    });
}

struct Keeper {
    child: Child,
    feeder: Option<JoinHandle<()>>,
    words: Words,
    inbox: mpsc::Receiver<Progress>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    events: mpsc::Sender<EncoderEvent>,
}

impl Keeper {
    async fn run(mut self) {
        let exit = self.watch().await;
        self.stop.cancel();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.await;
        }
        let words = self.words.end().await;
        let _ = self.events.send(EncoderEvent::Ended { exit, words }).await;
    }

    async fn watch(&mut self) -> Exit {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.end().await,
                exit = self.child.wait() => return exit,
                Some(progress) = self.inbox.recv() => {
                    self.shared.watch().reported(progress.frames);
                    let _ = self.events.try_send(EncoderEvent::Progress(progress));
                }
                _ = look.tick() => {
                    let stalled = self.shared.watch().is_stalled(Mono::now());
                    if stalled {
                        let _ = self.events.send(EncoderEvent::Stalled).await;
                        // It does not answer: there is nothing to wait for.
                        return self.child.kill().await;
                    }
                }
            }
        }
    }

    /// End of input, then SIGTERM, then SIGKILL.
    async fn end(&mut self) -> Exit {
        if let Some(feeder) = self.feeder.take() {
            // It watches the same token; with it goes our end of the pipe.
            let _ = feeder.await;
            if let Ok(exit) = tokio::time::timeout(GOODBYE, self.child.wait()).await {
                return exit;
            }
        }
        self.child.stop(STOP_GRACE).await
    }
}
