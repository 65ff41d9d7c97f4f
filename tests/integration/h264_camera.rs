//! A camera that delivers H.264 → FFmpeg without an encoder → real MediaMTX → its recorder: what is recorded is bit
//! for bit what the camera gave, but for pictures whose predecessor is missing.

use std::time::Duration;

use fieldcam::base::{Mono, Secret};
use fieldcam::capture::{Fanout, Frame, FrameFormat, Key};
use fieldcam::config::H264Encoder;
use fieldcam::encoder::{EncodePlan, Encoder, EncoderSpec};
use fieldcam::supervise::{Phases, Spawner};
use tokio::sync::mpsc;

use crate::common::ffmpeg;
use crate::common::mediaserver::Server;
use crate::common::wait_for;

const FRAMES: usize = 90;
const GROUP: usize = 15;
const W: u32 = 320;
const H: u32 = 180;

/// A camera's pictures: access units with start codes, of which the first alone brings parameter sets.
struct Footage {
    sets: Vec<u8>,
    units: Vec<Vec<u8>>,
}

/// The NAL units of a byte stream, without start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3).collect();
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([stream.len()]);
    let unit = |(from, to): (&usize, usize)| {
        let unit = &stream[*from..to];
        // A start code of four bytes begins with a zero.
        &unit[..unit.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1)]
    };
    starts.iter().zip(ends).map(unit).collect()
}

impl Footage {
    fn make() -> Footage {
        let source = format!("testsrc2=size={W}x{H}:rate=30");
        let gop = GROUP.to_string();
        let frames = FRAMES.to_string();
        let x264 =
            ["-c:v", "libx264", "-preset", "fast", "-bf", "0", "-sc_threshold", "0", "-pix_fmt", "yuv420p"];
        let out = ffmpeg::run(
            "ffmpeg",
            &[
                &["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &frames][..],
                &x264,
                // Where a picture begins.
                &["-g", &gop, "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-"],
            ]
            .concat(),
        );
        let (mut sets, mut all) = (Vec::new(), Vec::<Vec<u8>>::new());
        for unit in units(&out.stdout) {
            let unit_with_code = [&[0, 0, 0, 1], unit].concat();
            match unit[0] & 0x1f {
                9 => all.push(Vec::new()),
                7 | 8 if all.len() == 1 => sets.extend(unit_with_code),
                7 | 8 => {}
                _ => all.last_mut().unwrap().extend(unit_with_code),
            }
        }
        assert_eq!(all.len(), FRAMES, "{}", String::from_utf8_lossy(&out.stderr));
        Footage { sets, units: all }
    }

    fn frame(&self, number: usize) -> Frame {
        let is_key = number.is_multiple_of(GROUP);
        let has_own = number == 0;
        let data = match has_own {
            true => [&self.sets[..], &self.units[0]].concat(),
            false => self.units[number].clone(),
        };
        Frame {
            data: data.into(),
            format: FrameFormat::H264,
            key: is_key.then(|| Key { sets: self.sets.clone().into(), has_own }),
            captured: Mono::now(),
            sequence: number as u64,
            width: W,
            height: H,
        }
    }

    /// One checksum for each decoded picture.
    fn sums(&self) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&self.sets[..], &self.units.concat()].concat()).unwrap();
        sums(&["-f", "h264", "-i", &file.path().to_string_lossy()])
    }
}

fn sums(input: &[&str]) -> Vec<String> {
    let args =
        [&["-v", "error"], input, &["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"]];
    let out = ffmpeg::run("ffmpeg", &args.concat());
    let text = String::from_utf8(out.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_camera_encoded_is_recorded_as_it_was() {
    let footage = Footage::make();
    let mut phases = Phases::default();
    let group = phases.add("cameras");
    let spawner = Spawner::start().unwrap();
    let server = Server::start(&["live"]);
    let fanout = Fanout::new();
    let plan =
        EncodePlan { encoder: H264Encoder::Libx264, width: W, height: H, fps: 30, format: FrameFormat::H264 };
    let (events, _inbox) = mpsc::channel(64);
    let spec = EncoderSpec {
        name: "camera0".into(),
        ffmpeg: "ffmpeg".into(),
        plan: plan.plan(),
        publish: Secret::new(server.url("live")),
    };
    let frames = Some(fanout.subscribe("encoder", Encoder::QUEUE));
    let encoder = Encoder::start(spec, frames, &spawner, &group, events).await.unwrap();

    // One is lost on the way: those up to the next keyframe need it.
    const LOST: usize = 40;
    let good = |n: usize| n != LOST && !(LOST..GROUP * (LOST / GROUP + 1)).contains(&n);
    let mut beat = tokio::time::interval(Duration::from_millis(33));
    for number in 0..FRAMES {
        beat.tick().await;
        if number != LOST {
            fanout.publish(footage.frame(number));
        }
    }
    assert!(fanout.take_key_wanted(), "a keyframe was asked for");
    let wanted: Vec<usize> = (0..FRAMES).filter(|n| good(*n)).collect();
    wait_for("all of it is passed on", || (encoder.counters().written == wanted.len() as u64).then_some(()));
    encoder.stop().await;

    let (file, _dir) = server.recorded("live");
    let (given, recorded) = (footage.sums(), sums(&["-i", &file.to_string_lossy()]));
    let number = |sum: &String| given.iter().position(|other| other == sum);
    let recorded: Vec<_> = recorded.iter().map(number).collect();
    // The recorder may have come after the first keyframe, and MediaMTX drops a session's last pictures.
    let first = if recorded.first() == Some(&Some(0)) { 0 } else { GROUP };
    let wanted: Vec<_> = wanted[first..].iter().map(|n| Some(*n)).collect();
    assert!(recorded.len() + 3 > wanted.len(), "{recorded:?}");
    assert_eq!(recorded, wanted[..recorded.len()]);
}
