//! Synthetic camera → encoder → real MediaMTX → its recorder: the times of the footage are the
//! times of capture, whatever the source does.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::mediaserver::Server;
use crate::common::squares;
use fieldcam::base::{Mono, Secret};
use fieldcam::capture::{Fanout, Frame, FrameBytes, FrameFormat, SourceEvent, TestPlan, TestSource};
use fieldcam::config::H264Encoder;
use fieldcam::encoder::{EncodePlan, Encoder, EncoderEvent, EncoderSpec, Plan, repack};
use fieldcam::supervise::{Group, Phases, Spawner};
use fieldcam::v4l2::FourCc;
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

    fn spec(&self, plan: Plan, path: &str) -> EncoderSpec {
        let publish = Secret::new(self.server.url(path));
        EncoderSpec { name: "camera0".into(), ffmpeg: "ffmpeg".into(), plan, publish }
    }

    async fn encode(&self, plan: Plan, path: &str, fed: bool) -> (Encoder, mpsc::Receiver<EncoderEvent>) {
        let (events, inbox) = mpsc::channel(64);
        let frames = fed.then(|| self.fanout.subscribe("encoder", Encoder::QUEUE));
        let spec = self.spec(plan, path);
        (Encoder::start(spec, frames, &self.spawner, &self.group, events).await.unwrap(), inbox)
    }
}

const PLAN: EncodePlan = EncodePlan {
    encoder: H264Encoder::Libx264,
    width: 1280,
    height: 720,
    fps: 30,
    format: FrameFormat::Mjpeg,
};

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
    until_frames(&mut inbox, frames).await;
    // On a machine too busy to encode in time the queue overflows; what is there must still be right.
    let dropped = encoder.counters().dropped as usize;
    encoder.stop().await;
    source.stop().await;
    let (file, _dir) = rig.server.recorded("live");
    crate::common::ffmpeg::decode_all(&file).unwrap();
    let run = squares::read(&file.to_string_lossy(), 0);
    let lasted = squares::assert_times_agree(&run, 0.1);
    assert!(lasted > seconds * 0.9, "{lasted}");
    // MediaMTX drops a session's last frame; all others are there.
    assert!(run.len() as u64 >= frames - 2, "{} of {frames}", run.len());
    let steps = |by: u32| run.windows(2).filter(|w| w[1].frame - w[0].frame == by).count();
    let regular = match (deliver, lose) {
        (Some(12), None) => steps(2) + steps(3),
        (None, Some(3)) => 2 * steps(1).min(steps(2)) + 1,
        _ => steps(1),
    };
    assert!(regular + 2 * dropped + 1 >= run.len() - 1, "{regular} of {}, dropped {dropped}", run.len());
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
    crate::common::wait_for("the camera is online", || rig.server.is_online("live2").then_some(()));
    let plan = repack(Secret::new(rig.server.url("live2")));
    let (encoder, mut inbox) = rig.encode(plan, "repacked", false).await;
    until_frames(&mut inbox, 30).await;
    let found = crate::common::ffmpeg::probe(&rig.server.url("repacked"));
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
    let mut times = Vec::new();
    for (round, prepared) in [false, true, false, true, false, true].into_iter().enumerate() {
        let (events, mut inbox) = mpsc::channel(64);
        let spec = rig.spec(PLAN.plan(), "live");
        let mut ready = None;
        if prepared {
            let mut waiting =
                Encoder::prepare(rig.spec(PLAN.plan(), "live"), &rig.spawner, &rig.group).await.unwrap();
            // As long as it takes to load: it then sleeps at its input.
            crate::common::wait_for("FFmpeg waits", || {
                // A system call on descriptor 0: it reads its input.
                let call = std::fs::read_to_string(format!("/proc/{}/syscall", waiting.pid())).unwrap();
                (call.split(' ').nth(1) == Some("0x0")).then_some(())
            });
            assert!(waiting.is_alive());
            ready = Some(waiting);
        }
        let asked = Instant::now();
        let frames = Some(rig.fanout.subscribe("encoder", Encoder::QUEUE));
        let encoder = match ready {
            Some(waiting) => waiting.start(frames, &rig.group, events),
            None => Encoder::start(spec, frames, &rig.spawner, &rig.group, events).await.unwrap(),
        };
        crate::common::wait_for("the path is online", || rig.server.is_online("live").then_some(()));
        let online = asked.elapsed();
        let keyframes =
            fieldcam::snapshot::Keyframes::start("camera0", Secret::new(rig.server.url("live")), &rig.group);
        keyframes.wait(Duration::from_secs(30)).await.expect("a keyframe");
        let pictured = asked.elapsed();
        println!("round {round}, prepared {prepared}: online {online:?}, keyframe at a reader {pictured:?}");
        times.push(pictured);
        until_frames(&mut inbox, 1).await;
        encoder.stop().await;
    }
    times.sort();
    assert!(times[2] < Duration::from_secs(4), "{times:?}");
}

/// A picture whose left half is red and whose right half is blue (ITU-R BT.601), in a format of V4L2.
fn red_and_blue(format: FourCc, width: usize, height: usize) -> Vec<u8> {
    let at = |x: usize| if x < width / 2 { [81, 90, 240] } else { [41, 240, 110] };
    let plane = |n: usize, step: usize, rows: usize| -> Vec<u8> {
        (0..rows).flat_map(|_| (0..width).step_by(step).map(|x| at(x)[n])).collect()
    };
    match format {
        FourCc::YUYV | FourCc::UYVY => (0..height)
            .flat_map(|_| (0..width).step_by(2).map(at))
            .flat_map(|[y, u, v]| if format == FourCc::YUYV { [y, u, y, v] } else { [u, y, v, y] })
            .collect(),
        FourCc::NV12 => {
            let chroma =
                (0..height / 2).flat_map(|_| (0..width).step_by(2).flat_map(|x| [at(x)[1], at(x)[2]]));
            plane(0, 1, height).into_iter().chain(chroma).collect()
        }
        FourCc::YU12 => [plane(0, 1, height), plane(1, 2, height / 2), plane(2, 2, height / 2)].concat(),
        _ => plane(0, 1, height),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_pictures_arrive_in_their_colours() {
    let (width, height) = (320, 180);
    for format in [FourCc::YUYV, FourCc::UYVY, FourCc::NV12, FourCc::YU12, FourCc::GREY] {
        let rig = Rig::new();
        let picture: FrameBytes = red_and_blue(format, width, height).into();
        let (width, height) = (width as u32, height as u32);
        let format = FrameFormat::Raw(format);
        let plan = EncodePlan { encoder: H264Encoder::Libx264, width, height, fps: 20, format };
        let (encoder, mut inbox) = rig.encode(plan.plan(), "live", true).await;
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        let feed = async {
            for sequence in 0.. {
                beat.tick().await;
                let (captured, data) = (Mono::now(), picture.clone());
                rig.fanout.publish(Frame { data, format, key: None, captured, sequence, width, height });
            }
        };
        tokio::select! {
            () = feed => {}
            () = until_frames(&mut inbox, 30) => {}
        }
        encoder.stop().await;
        let (file, _dir) = rig.server.recorded("live");
        // The two halves as one pixel each.
        let one = ["-frames:v", "1", "-vf", "format=rgb24,scale=2:1:flags=area", "-f", "rawvideo", "-"];
        let file = file.to_string_lossy();
        let args = [&["-v", "error", "-i", &file], &one[..]].concat();
        let seen = crate::common::ffmpeg::run("ffmpeg", &args).stdout;
        let wanted: [u8; 6] = if format == FrameFormat::Raw(FourCc::GREY) {
            [76, 76, 76, 29, 29, 29]
        } else {
            [255, 0, 0, 0, 0, 255]
        };
        let far = seen.iter().zip(wanted).map(|(s, w)| s.abs_diff(w)).max();
        assert!(seen.len() == 6 && far < Some(20), "{format:?}: {seen:?}, not {wanted:?}");
    }
}
