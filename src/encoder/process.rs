//! The FFmpeg of one camera: fed, listened to, watched, ended.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::{Mono, Result, Secret};
use crate::capture::{Consumer, ConsumerMeter};
use crate::supervise::{Child, ChildSpec, Exit, FirstWords, Group, Spawner, Stdio, drain_lines};

use super::matroska::MatroskaStream;
use super::plan::Plan;
use super::progress::{Progress, ProgressParser};
use super::stall::StallWatch;

/// After its input has ended, FFmpeg may write out what it holds and say goodbye to MediaMTX.
const GOODBYE: Duration = Duration::from_millis(400);
const STOP_GRACE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(200);
/// A first frame older than this would stretch the stream's first interval; the next one is near.
const STALE: Duration = Duration::from_millis(500);

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

#[derive(Default)]
struct Shared {
    watch: Mutex<StallWatch>,
    written: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl Shared {
    fn watch(&self) -> MutexGuard<'_, StallWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let mut child_spec = ChildSpec::new(format!("encoder {}", spec.name), &spec.ffmpeg)
            .args(spec.plan.args(&spec.publish));
        let stream = spec.plan.input();
        if stream.is_some() {
            child_spec.stdin = Stdio::Pipe;
        }
        child_spec.stdout = Stdio::Pipe;
        child_spec.stderr = Stdio::Pipe;
        let mut child = spawner.spawn(child_spec).await?;
        let shared = Arc::new(Shared::default());
        let stop = group.stop().child_token();
        let (pid, started) = (child.pid(), child.started);
        let meter = frames.as_ref().map(Consumer::meter);

        let feeder = match (stream, child.stdin.take(), frames) {
            (Some(stream), Some(pipe), Some(frames)) => {
                let feed = Feed { stream, pipe, frames, shared: shared.clone() };
                let stop = stop.clone();
                let name = format!("encoder {} feeder", spec.name);
                Some(group.spawn(name, async move {
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
        listen_to_progress(&spec.name, &mut child, group, reports);
        let words = listen_to_words(&spec, &mut child, group);
        let keeper =
            Keeper { child, feeder, words, inbox, shared: shared.clone(), stop: stop.clone(), events };
        let task = group.spawn(format!("encoder {}", spec.name), keeper.run());
        Ok(Self { stop, task: Some(task), shared, meter, command: spec.plan.printable(), pid, started })
    }

    /// The command as people may see it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The process id of its FFmpeg.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// When it was started.
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

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Feed {
    stream: MatroskaStream,
    pipe: ChildStdin,
    frames: Consumer,
    shared: Arc<Shared>,
}

impl Feed {
    /// Ends when FFmpeg closes its input. While FFmpeg does not read, only the consumer's queue
    /// fills up, and that loses its oldest frames.
    async fn run(mut self) {
        let mut head = Vec::with_capacity(64);
        let mut opening = Some(self.stream.header());
        loop {
            let frame = self.frames.next().await;
            let now = Mono::now();
            if opening.is_some() && now.since(frame.captured) > STALE {
                continue;
            }
            if !self.stream.frame_head(frame.captured, frame.data.len(), &mut head) {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.shared.watch().fed(now);
            if let Some(header) = opening.take()
                && self.pipe.write_all(&header).await.is_err()
            {
                return;
            }
            if self.pipe.write_all(&head).await.is_err() || self.pipe.write_all(&frame.data).await.is_err() {
                return;
            }
            self.shared.watch().taken();
            self.shared.written.fetch_add(1, Ordering::Relaxed);
            self.shared.bytes.fetch_add((head.len() + frame.data.len()) as u64, Ordering::Relaxed);
        }
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

struct Words {
    text: Arc<Mutex<FirstWords>>,
    listener: Option<JoinHandle<()>>,
}

fn listen_to_words(spec: &EncoderSpec, child: &mut Child, group: &Group) -> Words {
    let text = Arc::new(Mutex::new(FirstWords::default()));
    let listener = child.stderr.take().map(|stderr| {
        let text = text.clone();
        let ffmpeg = spec.ffmpeg.clone();
        group.spawn(format!("encoder {} stderr", spec.name), async move {
            drain_lines(stderr, |line| {
                let line = without_secrets(line, &ffmpeg);
                text.lock().unwrap_or_else(PoisonError::into_inner).hear(&line);
            })
            .await;
        })
    });
    Words { text, listener }
}

/// FFmpeg repeats the URL it cannot open, with its password.
fn without_secrets(line: &str, ffmpeg: &Path) -> String {
    let mut out = String::with_capacity(line.len());
    for word in line.split(' ') {
        if !out.is_empty() {
            out.push(' ');
        }
        match word.find("://") {
            Some(_) => out.push_str("<url>"),
            None => out.push_str(word),
        }
    }
    match ffmpeg.to_str().filter(|path| path.len() > 6) {
        Some(path) => out.replace(path, "ffmpeg"),
        None => out,
    }
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
        if let Some(listener) = self.words.listener.take() {
            let _ = tokio::time::timeout(STOP_GRACE, listener).await;
        }
        let words = self.words.text.lock().unwrap_or_else(PoisonError::into_inner).text();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_urls_and_our_paths() {
        let said = "/opt/x/ffmpeg: rtsp://u:hidden@127.0.0.1:8554/camera0: Connection refused";
        assert_eq!(without_secrets(said, Path::new("/opt/x/ffmpeg")), "ffmpeg: <url> Connection refused");
    }
}
