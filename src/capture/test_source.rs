//! A synthetic camera, or a file as one: FFmpeg draws or plays, we read its pictures off a pipe.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::base::{Mono, Result};
use crate::supervise::{Child, ChildSpec, Exit, FirstWords, Group, Spawner, Stdio, drain_lines};
use crate::v4l2::Mode;

use super::device_end::Ended;
use super::fanout::Fanout;
use super::frame::{Frame, FrameFormat, FramePool};
use super::mpjpeg::MpjpegParser;
use super::source_plan::SourcePlan;

/// Buffers a source may have in use: the consumers' queues and what each is working on.
const BUFFERS: usize = 48;
/// A source that gives nothing for this long is silent.
const SILENCE: Duration = Duration::from_secs(2);
/// Until the first frame, as the process has to start: that alone took FFmpeg 3.6 s on a busy emulated
/// processor, and one that is ended then begins from nothing again.
const FIRST: Duration = Duration::from_secs(10);
/// The least time between two frames of a source.
const APART: Duration = Duration::from_millis(1);
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Whether this box cannot draw text (no font, or an FFmpeg without drawtext); said once.
static WITHOUT_TEXT: AtomicBool = AtomicBool::new(false);

/// What a source tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// The first frame, or the first one after silence.
    FirstFrame,
    /// No frame for this long; said once for each silence.
    Silent(Duration),
    /// What a device delivers, as its driver has set it: before its first frame.
    Mode(Mode),
    /// The driver did not start for want of USB bandwidth; [`SourceEvent::Gone`] follows.
    BusFull,
    /// A call to the device failed. It is open still, and waits to be started anew or closed. Why, for the log and
    /// for people.
    Broken(String),
    /// The device was closed, and nothing more will come.
    Gone(Ended),
    /// The process is gone and nothing more will come.
    Ended {
        /// How it ended.
        exit: Exit,
        /// What it said first.
        words: String,
    },
}

/// A running synthetic camera. Dropping it stops it.
pub struct TestSource {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    pid: u32,
}

impl TestSource {
    /// Starts FFmpeg; frames go to `fanout`. A refused plan or a missing FFmpeg is an error, all
    /// else an event.
    pub async fn start(
        name: &str,
        plan: impl Into<SourcePlan>,
        ffmpeg: &Path,
        spawner: &Spawner,
        group: &Group,
        fanout: Fanout,
        events: mpsc::Sender<SourceEvent>,
    ) -> Result<Self> {
        let plan = plan.into();
        plan.check()?;
        let stop = group.stop().child_token();
        let runner = Runner {
            name: name.to_owned(),
            plan,
            ffmpeg: ffmpeg.to_owned(),
            spawner: spawner.clone(),
            group: group.clone(),
            fanout,
            events,
            stop: stop.clone(),
        };
        let child = runner.spawn().await?;
        let pid = child.pid();
        let task = group.spawn(format!("source {name}"), runner.run(child));
        Ok(Self { stop, task: Some(task), pid })
    }

    /// The process id of its FFmpeg.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops it and waits until its process is gone.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for TestSource {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Runner {
    name: String,
    plan: SourcePlan,
    ffmpeg: std::path::PathBuf,
    spawner: Spawner,
    group: Group,
    fanout: Fanout,
    events: mpsc::Sender<SourceEvent>,
    stop: CancellationToken,
}

impl Runner {
    async fn spawn(&self) -> Result<Child> {
        let text = !WITHOUT_TEXT.load(Ordering::Relaxed);
        let mut spec =
            ChildSpec::new(format!("source {}", self.name), &self.ffmpeg).args(self.plan.args(text));
        spec.stdout = Stdio::Pipe;
        spec.stderr = Stdio::Pipe;
        self.spawner.spawn(spec).await
    }

    async fn run(self, mut child: Child) {
        loop {
            let with_text = !WITHOUT_TEXT.load(Ordering::Relaxed);
            let (exit, words, frames) = self.read(&mut child).await;
            self.fanout.forget_latest();
            if frames == 0 && with_text && !self.stop.is_cancelled() && is_about_text(&words) {
                WITHOUT_TEXT.store(true, Ordering::Relaxed);
                tracing::warn!(words, "synthetic cameras go without the clock text: it cannot be drawn here");
                match self.spawn().await {
                    Ok(next) => child = next,
                    Err(error) => {
                        let words = error.message().to_owned();
                        return self.tell(SourceEvent::Ended { exit, words }).await;
                    }
                }
            } else {
                return self.tell(SourceEvent::Ended { exit, words }).await;
            }
        }
    }

    /// Reads frames until the process ends or is stopped.
    async fn read(&self, child: &mut Child) -> (Exit, String, u64) {
        let words = Arc::new(Mutex::new(FirstWords::default()));
        let listener = child.stderr.take().map(|stderr| {
            let words = words.clone();
            self.group.spawn(format!("source {} stderr", self.name), async move {
                drain_lines(stderr, |line| {
                    words.lock().unwrap_or_else(PoisonError::into_inner).hear(line);
                })
                .await;
            })
        });
        let mut pipe = child.stdout.take().expect("the source's output is piped");
        let mut parser = MpjpegParser::new(FramePool::new(BUFFERS));
        let (width, height) = self.plan.size();
        let mut chunk = vec![0u8; 64 << 10];
        let mut sequence = 0u64;
        let mut captured = Mono::default();
        let mut last = Mono::now();
        let mut flowing = false;
        let mut told_silent = false;
        let broken = loop {
            let patience = if sequence == 0 { FIRST } else { SILENCE };
            let quiet = (last + patience).from_now();
            let size = tokio::select! {
                biased;
                () = self.stop.cancelled() => break None,
                size = pipe.read(&mut chunk) => size.unwrap_or(0),
                () = tokio::time::sleep(quiet), if !told_silent => {
                    flowing = false;
                    told_silent = true;
                    self.tell(SourceEvent::Silent(Mono::now().since(last))).await;
                    continue;
                }
            };
            if size == 0 {
                break None;
            }
            let before = sequence;
            let outcome = parser.push(&chunk[..size], Mono::now(), |part| {
                // After a busy moment one read brings several pictures; each needs a time of its own,
                // or the encoder's stream would have to leave all but one out.
                captured = part.arrived.max(captured + APART);
                self.fanout.publish(Frame {
                    data: part.data,
                    format: FrameFormat::Mjpeg,
                    key: None,
                    captured,
                    sequence,
                    width,
                    height,
                });
                sequence += 1;
            });
            if let Err(reason) = outcome {
                break Some(reason);
            }
            if sequence > before {
                last = Mono::now();
                told_silent = false;
                if !flowing {
                    flowing = true;
                    self.tell(SourceEvent::FirstFrame).await;
                }
            }
        };
        let exit = if self.stop.is_cancelled() || broken.is_some() {
            // A pattern has nothing to save, and nobody reads what it would write on its way out.
            child.kill().await
        } else {
            // The pipe is closed: it is on its way out, or will be made to be.
            match tokio::time::timeout(STOP_GRACE, child.wait()).await {
                Ok(exit) => exit,
                Err(_) => child.kill().await,
            }
        };
        if let Some(listener) = listener {
            let _ = tokio::time::timeout(STOP_GRACE, listener).await;
        }
        if parser.corrupt() + parser.starved() > 0 {
            let (corrupt, starved) = (parser.corrupt(), parser.starved());
            tracing::warn!(source = self.name, corrupt, starved, "frames were left out");
        }
        let mut text = words.lock().unwrap_or_else(PoisonError::into_inner).text();
        if let Some(reason) = broken {
            text = format!("{reason} {text}").trim_end().to_owned();
        }
        (exit, text, sequence)
    }

    async fn tell(&self, event: SourceEvent) {
        // Nobody listens any more: then nobody needs to know.
        let _ = self.events.send(event).await;
    }
}

fn is_about_text(words: &str) -> bool {
    ["drawtext", "font", "Font"].iter().any(|hint| words.contains(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::TestPlan;
    use crate::supervise::Phases;

    fn plan(fps: u32) -> TestPlan {
        TestPlan { pattern: "testsrc2".into(), width: 640, height: 360, fps, deliver: None, lose: None }
    }

    async fn next(events: &mut mpsc::Receiver<SourceEvent>) -> SourceEvent {
        tokio::time::timeout(Duration::from_secs(30), events.recv()).await.unwrap().unwrap()
    }

    struct Rig {
        spawner: Spawner,
        group: Group,
        fanout: Fanout,
        sender: mpsc::Sender<SourceEvent>,
        events: mpsc::Receiver<SourceEvent>,
    }

    fn rig() -> Rig {
        let (sender, events) = mpsc::channel(16);
        Rig {
            spawner: Spawner::start().unwrap(),
            group: Phases::default().add("cameras"),
            fanout: Fanout::new(),
            sender,
            events,
        }
    }

    impl Rig {
        async fn start(&self, ffmpeg: &str, plan: TestPlan) -> Result<TestSource> {
            TestSource::start(
                "camera0",
                plan,
                Path::new(ffmpeg),
                &self.spawner,
                &self.group,
                self.fanout.clone(),
                self.sender.clone(),
            )
            .await
        }
    }

    #[test]
    fn only_complaints_about_text_cost_the_clock() {
        for words in ["No such filter: 'drawtext'", "Cannot find a valid font for the family Sans"] {
            assert!(is_about_text(words), "{words}");
        }
        assert!(!is_about_text("Error opening output files: No space left on device"));
    }

    #[tokio::test]
    async fn no_two_frames_have_the_same_time() {
        let mut rig = rig();
        let mut consumer = rig.fanout.subscribe("test", 100);
        // Small pictures at a high rate: several come with one read.
        let small = TestPlan { width: 160, height: 120, ..plan(120) };
        let source = rig.start("ffmpeg", small).await.unwrap();
        assert_eq!(next(&mut rig.events).await, SourceEvent::FirstFrame);
        let mut last = Mono::default();
        for _ in 0..90 {
            let frame = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await.unwrap();
            assert!(frame.captured >= last + APART);
            last = frame.captured;
        }
        source.stop().await;
    }

    #[tokio::test]
    async fn frames_arrive_in_order_whole_and_at_the_asked_rate() {
        let mut rig = rig();
        let mut consumer = rig.fanout.subscribe("test", 100);
        let source = rig.start("ffmpeg", plan(25)).await.unwrap();
        assert_eq!(next(&mut rig.events).await, SourceEvent::FirstFrame);
        let mut frames = Vec::new();
        while frames.len() < 50 {
            // Held frames would hold their buffers, and the source would have none left.
            let frame = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await.unwrap();
            frames.push((frame.sequence, frame.captured));
        }
        assert!(frames.iter().enumerate().all(|(n, frame)| frame.0 == n as u64));
        assert!(frames.is_sorted_by_key(|frame| frame.1));
        let took = frames[49].1.since(frames[0].1).as_secs_f64();
        assert!((1.0..20.0).contains(&took), "49 intervals of 40 ms took {took}");
        source.stop().await;
        assert!(matches!(next(&mut rig.events).await, SourceEvent::Ended { .. }));
        assert!(rig.fanout.latest().is_none(), "a stopped camera has no live picture");
    }

    #[tokio::test]
    async fn a_stopped_process_is_silence_and_goes_on_afterwards() {
        use nix::sys::signal::{Signal, kill};
        let mut rig = rig();
        let source = rig.start("ffmpeg", plan(25)).await.unwrap();
        assert_eq!(next(&mut rig.events).await, SourceEvent::FirstFrame);
        let pid = nix::unistd::Pid::from_raw(source.pid() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        assert!(matches!(next(&mut rig.events).await, SourceEvent::Silent(d) if d >= SILENCE));
        kill(pid, Signal::SIGCONT).unwrap();
        assert_eq!(next(&mut rig.events).await, SourceEvent::FirstFrame);
        kill(pid, Signal::SIGKILL).unwrap();
        let SourceEvent::Ended { exit, .. } = next(&mut rig.events).await else { panic!("not ended") };
        assert_eq!(exit, Exit::Signal(Signal::SIGKILL as i32));
    }

    #[tokio::test]
    async fn a_program_that_is_not_ffmpeg_ends_with_its_words() {
        let mut rig = rig();
        let _source = rig.start("/bin/ls", plan(25)).await.unwrap();
        let SourceEvent::Ended { exit, words } = next(&mut rig.events).await else { panic!("not ended") };
        assert_ne!(exit, Exit::Code(0));
        assert!(words.contains("ls"), "{words}");
        assert!(rig.start("/nowhere/ffmpeg", plan(25)).await.is_err());
        assert!(rig.start("ffmpeg", TestPlan { fps: 0, ..plan(25) }).await.is_err());
    }
}
