//! FFmpeg's argument lists, as pure code. Only options that FFmpeg 5.1 and 7.1 both have.

use crate::base::Secret;
use crate::capture::FrameFormat;
use crate::config::H264Encoder;

use super::matroska::MatroskaStream;
use super::select::Way;

/// One a second. By time, because the rate varies; `-g` only has to stay out of the way. The 20 ms keep
/// a second's last frame from slipping into the GOP by jitter.
///
/// Whoever waits for the stream to start comes too late for its first frame, so each of the first half
/// second is one. Until 1.5 s they are a quarter of a second apart: a browser over WebRTC is there after
/// 200 to 500 ms, and HLS begins with a segment of at least half a second, which ends at a keyframe.
const KEYFRAMES: &str = "expr:lt(t,0.5)+lt(t,1.5)*gte(t,prev_forced_t+0.24)+gte(t,prev_forced_t+0.98)";

/// How the frames of one camera are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodePlan {
    /// What encodes.
    pub encoder: H264Encoder,
    /// Picture width in pixels.
    pub width: u32,
    /// Picture height in pixels.
    pub height: u32,
    /// The rate the camera says it has.
    pub fps: u32,
    /// What the frames are.
    pub format: FrameFormat,
}

/// One argument list; the places of its secrets are marked, so that it can be printed without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    args: Vec<Arg>,
    input: Option<MatroskaInput>,
}

/// What goes to FFmpeg's standard input.
type MatroskaInput = EncodePlan;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Arg {
    Plain(String),
    Source(Secret),
    Publish,
}

impl EncodePlan {
    /// How the frames become H.264.
    pub fn way(&self) -> Way {
        if self.format == FrameFormat::H264 { Way::Copy } else { Way::Encode(self.encoder) }
    }

    /// The list that reads our Matroska stream and publishes H.264, which is not encoded again if it is that.
    pub fn plan(&self) -> Plan {
        let mut args = opening();
        if self.way() != Way::Copy {
            args.extend(nobuffer());
        }
        args.extend(plain(&[
            // The header says all there is to know: start at the first frame.
            "-probesize",
            "32",
            "-analyzeduration",
            "0",
            // A second decoding thread would hold a frame back.
            "-threads",
            "1",
            "-f",
            "matroska",
            "-i",
            "pipe:0",
            "-map",
            "0:v:0",
        ]));
        if self.way() == Way::Copy {
            // Each frame once, at its own time, as it came.
            args.extend(plain(&["-c:v", "copy"]));
            args.extend(publishing());
            return Plan { args, input: Some(*self) };
        }
        args.extend(plain(&[
            "-filter_threads",
            "1",
            // Each frame once, at its own time, to the microsecond.
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:1000000",
            "-c:v",
            self.encoder.name(),
        ]));
        args.extend(match self.encoder {
            H264Encoder::Libx264 => plain(&["-preset", "ultrafast", "-tune", "zerolatency"]),
            H264Encoder::V4l2M2m | H264Encoder::Nvmpi => Vec::new(),
        });
        args.extend(plain(&["-pix_fmt", "yuv420p", "-bf", "0"]));
        let (kbit, threads) = (self.max_kbit(), self.threads());
        let rate = match self.encoder {
            // Good footage where the picture is calm, and a ceiling where it is not.
            H264Encoder::Libx264 => vec![
                ("-threads", threads.to_string()),
                ("-crf", "23".to_owned()),
                ("-maxrate", format!("{kbit}k")),
                ("-bufsize", format!("{}k", kbit * 2)),
                ("-forced-idr", "1".to_owned()),
            ],
            // They know a rate only, and every keyframe of theirs is an IDR.
            H264Encoder::V4l2M2m | H264Encoder::Nvmpi => vec![("-b:v", format!("{kbit}k"))],
        };
        let keyframes =
            [("-force_key_frames", KEYFRAMES.to_owned()), ("-g", (self.fps.max(1) * 10).to_string())];
        for (name, value) in rate.into_iter().chain(keyframes) {
            args.extend(plain(&[name, &value]));
        }
        args.extend(publishing());
        Plan { args, input: Some(*self) }
    }

    /// The stream to write to FFmpeg's standard input.
    pub fn stream(&self) -> MatroskaStream {
        MatroskaStream::new(self.width, self.height, self.fps, self.format)
    }

    /// 4 Mbit/s for 720p30, and less than in proportion above: bigger pictures compress better.
    fn max_kbit(&self) -> u32 {
        let rate = f64::from(self.width) * f64::from(self.height) * f64::from(self.fps.max(1));
        let scale = (rate / (1280.0 * 720.0 * 30.0)).powf(0.75);
        // Whole hundreds; a positive number far below the limits of u32.
        ((4000.0 * scale / 100.0).round() as u32).max(3) * 100
    }

    /// One thread encodes 1080p30 in real time; more only cut the picture into slices.
    fn threads(&self) -> u32 {
        let rate = u64::from(self.width) * u64::from(self.height) * u64::from(self.fps);
        if rate > 1920 * 1080 * 45 { 2 } else { 1 }
    }
}

/// The list that takes the picture alone from `source` (RTSP on loopback, H.264 or H.265) and
/// publishes it unchanged: for a camera that sends sound which must not be kept.
pub fn repack(source: Secret) -> Plan {
    let mut args = opening();
    args.extend(nobuffer());
    args.extend(plain(&["-rtsp_transport", "tcp", "-allowed_media_types", "video", "-i"]));
    args.push(Arg::Source(source));
    args.extend(plain(&["-map", "0:v:0", "-c", "copy", "-an"]));
    args.extend(publishing());
    Plan { args, input: None }
}

/// Quiet but for errors, reporting twice a second, and waiting for nothing at its input.
fn opening() -> Vec<Arg> {
    plain(&[
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "error",
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.5",
        // Nobody needs the rate beforehand, and counting frames for it takes 20 of them.
        "-fpsprobesize",
        "0",
    ])
}

/// Packets that FFmpeg has read to know the stream are thrown away with it: of H.264 that is the first keyframe.
fn nobuffer() -> Vec<Arg> {
    plain(&["-fflags", "nobuffer"])
}

fn publishing() -> Vec<Arg> {
    let mut args = plain(&[
        "-flush_packets",
        "1",
        "-f",
        "rtsp",
        "-rtsp_transport",
        "tcp",
        // FFmpeg's own 1472 makes MediaMTX repack every packet.
        "-pkt_size",
        "1452",
    ]);
    args.push(Arg::Publish);
    args
}

fn plain(args: &[&str]) -> Vec<Arg> {
    args.iter().map(|arg| Arg::Plain((*arg).to_owned())).collect()
}

impl Plan {
    /// The arguments; never to be logged.
    pub fn args(&self, publish: &Secret) -> Vec<String> {
        self.fill(|arg| match arg {
            Arg::Plain(text) => text.clone(),
            Arg::Source(url) => url.expose().to_owned(),
            Arg::Publish => publish.expose().to_owned(),
        })
    }

    /// The command as people may see it: without URLs, credentials or paths.
    pub fn printable(&self) -> String {
        let args = self.fill(|arg| match arg {
            Arg::Plain(text) => text.clone(),
            Arg::Source(_) => "<camera>".to_owned(),
            Arg::Publish => "<mediamtx>".to_owned(),
        });
        format!("ffmpeg {}", args.join(" "))
    }

    /// What goes to FFmpeg's standard input, if anything does.
    pub fn input(&self) -> Option<MatroskaStream> {
        self.input.map(|plan| plan.stream())
    }

    fn fill(&self, each: impl FnMut(&Arg) -> String) -> Vec<String> {
        self.args.iter().map(each).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: EncodePlan = EncodePlan {
        encoder: H264Encoder::Libx264,
        width: 1280,
        height: 720,
        fps: 30,
        format: FrameFormat::Mjpeg,
    };

    #[test]
    fn the_encoder_command_is_exactly_this() {
        assert_eq!(
            PLAN.plan().printable(),
            "ffmpeg -hide_banner -nostdin -nostats -loglevel error -progress pipe:1 -stats_period 0.5 \
             -fpsprobesize 0 -fflags nobuffer -probesize 32 -analyzeduration 0 -threads 1 -f matroska \
             -i pipe:0 -map 0:v:0 -filter_threads 1 -fps_mode passthrough -enc_time_base 1:1000000 \
             -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -bf 0 -threads 1 -crf 23 \
             -maxrate 4000k -bufsize 8000k -forced-idr 1 \
             -force_key_frames expr:lt(t,0.5)+lt(t,1.5)*gte(t,prev_forced_t+0.24)+gte(t,prev_forced_t+0.98) \
             -g 300 \
             -flush_packets 1 -f rtsp -rtsp_transport tcp -pkt_size 1452 <mediamtx>"
        );
    }

    #[test]
    fn an_encoder_in_hardware_gets_a_rate_and_keyframes_and_nothing_of_libx264s() {
        let command = EncodePlan { encoder: H264Encoder::V4l2M2m, ..PLAN }.plan().printable();
        assert!(
            command.contains("-c:v h264_v4l2m2m -pix_fmt yuv420p -bf 0 -b:v 4000k -force_key_frames"),
            "{command}"
        );
        for other in ["-preset", "-tune", "-crf", "-forced-idr"] {
            assert!(!command.contains(other), "{other}: {command}");
        }
    }

    #[test]
    fn h264_is_passed_on_as_it_is() {
        assert_eq!(
            EncodePlan { format: FrameFormat::H264, ..PLAN }.plan().printable(),
            "ffmpeg -hide_banner -nostdin -nostats -loglevel error -progress pipe:1 -stats_period 0.5 \
             -fpsprobesize 0 -probesize 32 -analyzeduration 0 -threads 1 -f matroska -i pipe:0 -map 0:v:0 -c:v copy -flush_packets 1 -f rtsp -rtsp_transport tcp -pkt_size 1452 <mediamtx>"
        );
    }

    #[test]
    fn the_repack_command_is_exactly_this() {
        let plan = repack(Secret::new("rtsp://u:hidden@127.0.0.1:8554/pull/camera3"));
        assert_eq!(
            plan.printable(),
            "ffmpeg -hide_banner -nostdin -nostats -loglevel error -progress pipe:1 -stats_period 0.5 \
             -fpsprobesize 0 -fflags nobuffer -rtsp_transport tcp -allowed_media_types video -i <camera> -map 0:v:0 \
             -c copy -an -flush_packets 1 -f rtsp -rtsp_transport tcp -pkt_size 1452 <mediamtx>"
        );
        assert!(plan.input().is_none());
    }

    #[test]
    fn secrets_are_in_the_arguments_alone() {
        let plan = repack(Secret::new("rtsp://u:hidden@h/a"));
        let args = plan.args(&Secret::new("rtsp://u:other@h/b"));
        assert!(args.iter().any(|a| a.contains("hidden")));
        assert_eq!(args.last().unwrap(), "rtsp://u:other@h/b");
        for text in [plan.printable(), format!("{plan:?}")] {
            assert!(!text.contains("hidden") && !text.contains("other"), "{text}");
        }
    }

    #[test]
    fn the_ceiling_and_the_threads_follow_the_picture() {
        let at = |width, height, fps| {
            let plan = EncodePlan { width, height, fps, ..PLAN };
            (plan.max_kbit(), plan.threads())
        };
        assert_eq!(at(640, 480, 30), (1800, 1));
        assert_eq!(at(1280, 720, 30), (4000, 1));
        assert_eq!(at(1920, 1080, 30), (7300, 1));
        assert_eq!(at(3840, 2160, 30), (20800, 2));
        assert_eq!(at(16, 16, 1), (300, 1));
    }
}
