//! Synthetic camera → encoder → real MediaMTX → its recorder: the times of the footage are the
//! times of capture, whatever the source does.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout, reason = "see common")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::mediaserver::Server;
use common::squares;
use fieldcam::base::Secret;
use fieldcam::capture::{Fanout, SourceEvent, TestPlan, TestSource};
use fieldcam::encoder::{EncodePlan, Encoder, EncoderEvent, EncoderSpec, Plan, repack};
use fieldcam::supervise::{Group, Phases, Spawner};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;

struct Rig {
    spawner: Spawner,
    group: Group,
    _phases: Phases,
    fanout: Fanout,
    server: Server,
}

impl Rig {
    fn new() -> Rig {
        let mut phases = Phases::default();
        let group = phases.add("cameras");
        let spawner = Spawner::start().unwrap();
        Rig {
            spawner,
            group,
            _phases: phases,
            fanout: Fanout::new(),
            server: Server::start(&["live", "live2", "repacked"]),
        }
    }

    async fn source(&self, deliver: Option<u32>, lose: Option<u32>) -> TestSource {
        let plan = TestPlan { pattern: "testsrc2".into(), width: 1280, height: 720, fps: 30, deliver, lose };
        let (events, mut inbox) = mpsc::channel(8);
        let (name, ffmpeg) = ("camera0", Path::new("ffmpeg"));
        let source =
            TestSource::start(name, plan, ffmpeg, &self.spawner, &self.group, self.fanout.clone(), events);
        let source = source.await.unwrap();
        assert_eq!(within("a first frame", inbox.recv()).await, Some(SourceEvent::FirstFrame));
        source
    }

    async fn encode(&self, plan: Plan, path: &str, fed: bool) -> (Encoder, mpsc::Receiver<EncoderEvent>) {
        let spec = EncoderSpec {
            name: "camera0".into(),
            ffmpeg: "ffmpeg".into(),
            plan,
            publish: Secret::new(self.server.url(path)),
        };
        let (events, inbox) = mpsc::channel(64);
        let frames = fed.then(|| self.fanout.subscribe("encoder", Encoder::QUEUE));
        (Encoder::start(spec, frames, &self.spawner, &self.group, events).await.unwrap(), inbox)
    }
}

const PLAN: EncodePlan = EncodePlan { width: 1280, height: 720, fps: 30 };

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

async fn until_frames(inbox: &mut mpsc::Receiver<EncoderEvent>, frames: u64) {
    loop {
        match within("progress", inbox.recv()).await.unwrap() {
            EncoderEvent::Progress(progress) => {
                assert_eq!(progress.doubled_or_dropped, 0);
                if progress.frames >= frames {
                    return;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Records `frames` frames and checks that the file's times are those burnt in.
async fn footage_keeps_time(deliver: Option<u32>, lose: Option<u32>, frames: u64, seconds: f64) {
    let rig = Rig::new();
    let source = rig.source(deliver, lose).await;
    let (encoder, mut inbox) = rig.encode(PLAN.plan(), "live", true).await;
    until_frames(&mut inbox, 1).await;
    // On a machine that is too busy to start FFmpeg in time the queue overflows once.
    let at_start = encoder.counters().dropped;
    until_frames(&mut inbox, frames).await;
    assert_eq!(encoder.counters().dropped, at_start);
    encoder.stop().await;
    source.stop().await;
    let (file, _dir) = rig.server.recorded("live");
    common::ffmpeg::decode_all(&file).unwrap();
    let run = squares::read(&file.to_string_lossy(), 0);
    let lasted = squares::assert_times_agree(&run, 0.1);
    assert!(lasted > seconds * 0.9, "{lasted}");
    // MediaMTX drops a session's last frame; all others are there.
    assert!(run.len() as u64 >= frames - 2, "{} of {frames}", run.len());
    // Past the start.
    let run = &run[run.len() / 8..];
    let steps = |by: u32| run.windows(2).filter(|w| w[1].frame - w[0].frame == by).count();
    match (deliver, lose) {
        (Some(12), None) => assert_eq!(steps(2) + steps(3), run.len() - 1),
        (None, Some(3)) => assert!(steps(1).abs_diff(steps(2)) <= 1),
        _ => assert!(squares::holes(run).is_empty()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_says_30_and_gives_12_keeps_time() {
    footage_keeps_time(Some(12), None, 240, 20.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_loses_every_third_frame_keeps_time() {
    footage_keeps_time(None, Some(3), 400, 20.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_source_arrives_whole() {
    footage_keeps_time(None, None, 150, 5.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_encoder_is_ended_and_capture_goes_on() {
    let rig = Rig::new();
    let _source = rig.source(None, None).await;
    let (encoder, mut inbox) = rig.encode(PLAN.plan(), "live", true).await;
    until_frames(&mut inbox, 10).await;
    kill(Pid::from_raw(encoder.pid() as i32), Signal::SIGSTOP).unwrap();
    let before = rig.fanout.counters().frames;
    let exit = loop {
        match within("the end", inbox.recv()).await.unwrap() {
            EncoderEvent::Ended { exit, .. } => break exit,
            EncoderEvent::Stalled | EncoderEvent::Progress(_) => {}
        }
    };
    assert_eq!(exit, fieldcam::supervise::Exit::Signal(Signal::SIGKILL as i32));
    assert!(rig.fanout.counters().frames > before + 20, "capture waited for the encoder");
    assert!(encoder.counters().dropped > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoder_without_its_server_ends_with_words_but_no_url() {
    let mut rig = Rig::new();
    let _source = rig.source(None, None).await;
    let _ = rig.server.child.kill();
    rig.server.child.wait().unwrap();
    let (_encoder, mut inbox) = rig.encode(PLAN.plan(), "live", true).await;
    let Some(EncoderEvent::Ended { words, .. }) = within("the end", inbox.recv()).await else {
        panic!("not ended");
    };
    assert!(words.contains("refused") && !words.contains("rtsp://"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repacking_keeps_the_picture_and_leaves_the_sound() {
    let rig = Rig::new();
    let sound = ["-f", "lavfi", "-i", "sine=sample_rate=48000", "-c:a", "aac"];
    let mut camera = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15"])
        .args(sound)
        .args(["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=15"])
        .args(["-f", "rtsp", "-rtsp_transport", "tcp", &rig.server.url("live2")])
        .spawn()
        .unwrap();
    common::wait_for("the camera is online", || rig.server.is_online("live2").then_some(()));
    let plan = repack(Secret::new(rig.server.url("live2")));
    let (encoder, mut inbox) = rig.encode(plan, "repacked", false).await;
    until_frames(&mut inbox, 30).await;
    let found = common::ffmpeg::probe(&rig.server.url("repacked"));
    let kinds: Vec<_> = found["streams"].as_array().unwrap().iter().map(|s| &s["codec_name"]).collect();
    assert_eq!(kinds, ["hevc"]);
    encoder.stop().await;
    camera.kill().unwrap();
    camera.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_gets_its_first_keyframe_soon() {
    use std::time::Instant;
    let rig = Rig::new();
    let _source = rig.source(None, None).await;
    // What the first start costs beyond the others is not the point.
    for round in 0..3 {
        let spawned = Instant::now();
        let (encoder, mut inbox) = rig.encode(PLAN.plan(), "live", true).await;
        common::wait_for("the path is online", || rig.server.is_online("live").then_some(()));
        let online = spawned.elapsed();
        let keyframes =
            fieldcam::snapshot::Keyframes::start("camera0", Secret::new(rig.server.url("live")), &rig.group);
        keyframes.wait(Duration::from_secs(30)).await.expect("a keyframe");
        let pictured = spawned.elapsed();
        println!("round {round}: spawn to online {online:?}, to first keyframe at a reader {pictured:?}");
        assert!(pictured < Duration::from_secs(4), "{pictured:?}");
        until_frames(&mut inbox, 1).await;
        encoder.stop().await;
    }
}
