//! What the rest of the program may know of a camera: plain copies, taken without waiting.

use super::rung::{Counts, Rung};
use crate::base::{CameraId, Mono};
use crate::capture::CaptureMeter;
use crate::encoder::Way;
use crate::notice::CameraRow;

/// Whether a camera delivers, as clients see it (contract.md: CONNECTED, DISCONNECTED, ERROR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraStatus {
    /// Its source answers, or would as soon as somebody asks.
    Connected,
    /// It is configured or known, but not there.
    Disconnected,
    /// It is there and does not work.
    Error,
}

impl CameraStatus {
    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            CameraStatus::Connected => "CONNECTED",
            CameraStatus::Disconnected => "DISCONNECTED",
            CameraStatus::Error => "ERROR",
        }
    }
}

/// Whether the capabilities were seen on the camera itself (contract.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Nobody looked yet.
    None,
    /// Seen once; the camera is away now.
    Disconnected,
    /// Seen on the connected camera.
    Confirmed,
}

impl Validation {
    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Validation::None => "NONE",
            Validation::Disconnected => "DISCONNECTED",
            Validation::Confirmed => "CONFIRMED",
        }
    }
}

/// Where a stream is between idle and running (contract.md, get_stream_status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPhase {
    /// Nobody asks for it.
    Inactive,
    /// Asked for, not readable yet.
    Starting,
    /// Readable.
    Active,
    /// On its way down.
    Stopping,
    /// Asked for and failing; retried.
    Error,
}

impl StreamPhase {
    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            StreamPhase::Inactive => "INACTIVE",
            StreamPhase::Starting => "STARTING",
            StreamPhase::Active => "ACTIVE",
            StreamPhase::Stopping => "STOPPING",
            StreamPhase::Error => "ERROR",
        }
    }
}

/// One camera.
#[derive(Clone, Debug)]
pub struct CameraView {
    /// Stable id.
    pub id: CameraId,
    /// Name for people.
    pub name: String,
    /// Status.
    pub status: CameraStatus,
    /// Width in pixels; 0 while unknown.
    pub width: u32,
    /// Height in pixels; 0 while unknown.
    pub height: u32,
    /// Frames per second, rounded; 0 while unknown.
    pub fps: u32,
    /// Pixel or stream formats, such as `MJPG` or `H264`.
    pub formats: Vec<String>,
    /// Frame sizes it can deliver.
    pub resolutions: Vec<(u32, u32)>,
    /// Whole rates it can deliver.
    pub fps_options: Vec<u32>,
    /// How far the three lists can be trusted.
    pub validation: Validation,
    /// Its stream.
    pub stream: StreamView,
    /// Whether a recording wants it.
    pub recording: bool,
    /// Why it does not work, for `Error` and `Disconnected`; without paths or secrets.
    pub problem: Option<String>,
    /// Its stream passes through an FFmpeg.
    pub needs_ffmpeg: bool,
    /// What brings its pictures: `synthetic`, `file`, `rtsp`; empty when it is no longer configured.
    pub driver: &'static str,
    /// What its V4L2 device says of itself; none of other cameras, and until it was asked.
    pub hardware: Option<Hardware>,
    /// When it was last connected; none when it has not been since the start.
    pub last_seen: Option<Mono>,
    /// What its stream will be, in MediaMTX's word, when this box encodes it; none when the camera decides.
    pub encoded_as: Option<&'static str>,
    /// What was tried and is tried to bring its pictures back; none for a camera that is no V4L2 device.
    pub recovery: Option<RecoveryView>,
}

/// What is tried to bring back a V4L2 camera that is plugged in and gives no pictures.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryView {
    /// What is tried now; none = nothing has to be.
    pub rung: Option<Rung>,
    /// How often each was tried since the start, and brought pictures.
    pub counts: Counts,
}

impl CameraView {
    /// What clients see of it in a list.
    pub fn row(&self) -> CameraRow {
        CameraRow {
            status: self.status.word(),
            name: self.name.clone(),
            width: self.width,
            height: self.height,
            fps: self.fps,
            recovering: self.recovery.and_then(|r| r.rung).map(Rung::word),
        }
    }

    /// A camera of which nothing is known but its number and name.
    pub(super) fn unseen(id: CameraId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            status: CameraStatus::Disconnected,
            width: 0,
            height: 0,
            fps: 0,
            formats: Vec::new(),
            resolutions: Vec::new(),
            fps_options: Vec::new(),
            validation: Validation::None,
            stream: StreamView::idle(),
            recording: false,
            problem: None,
            needs_ffmpeg: false,
            driver: "",
            hardware: None,
            last_seen: None,
            encoded_as: None,
            recovery: None,
        }
    }
}

/// What a V4L2 device says of itself (VIDIOC_QUERYCAP).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// Its driver, such as `uvcvideo`.
    pub driver: String,
    /// What it is.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
}

/// A camera's stream.
#[derive(Clone, Debug)]
pub struct StreamView {
    /// Where it is.
    pub phase: StreamPhase,
    /// Whether a reader can play it now.
    pub ready: bool,
    /// Whether MediaMTX knows the path.
    pub path_exists: bool,
    /// The FFmpeg that feeds it, when there is one.
    pub encoder: Option<EncoderView>,
    /// How it is encoded or would be, and why so; none when a network camera does it.
    pub chosen: Option<(Way, String)>,
    /// What died too often here.
    pub given_up: Vec<Way>,
    /// Counts what comes from its V4L2 device, also while nothing else of the stream changes; none for other cameras.
    pub captured: Option<CaptureMeter>,
    /// Readers other than ours.
    pub readers: u32,
    /// Bytes sent to readers since the path became ready.
    pub bytes_sent: u64,
    /// Frames that the encoder sent.
    pub frames_sent: u64,
    /// Bits per second, as lately measured.
    pub bitrate: u64,
    /// Frames per second, as lately measured.
    pub fps: f64,
    /// When it started, microseconds since 1970; none while inactive.
    pub started_us: Option<i64>,
    /// `H264`, `H265`, …; none until known.
    pub codec: Option<String>,
    /// Whether start_streaming holds it open.
    pub held: bool,
}

impl StreamView {
    /// The stream of a camera that nobody asks for.
    pub(super) fn idle() -> Self {
        Self {
            phase: StreamPhase::Inactive,
            ready: false,
            path_exists: false,
            encoder: None,
            chosen: None,
            given_up: Vec::new(),
            captured: None,
            readers: 0,
            bytes_sent: 0,
            frames_sent: 0,
            bitrate: 0,
            fps: 0.0,
            started_us: None,
            codec: None,
            held: false,
        }
    }
}

/// Whether there is an FFmpeg to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FfmpegState {
    /// It is there.
    There,
    /// It is not; streams do without, stills of network cameras do not.
    Missing,
    /// It is not, and a camera cannot stream without.
    Needed,
}

/// A running FFmpeg.
#[derive(Clone, Copy, Debug)]
pub struct EncoderView {
    /// Process id.
    pub pid: u32,
    /// Seconds since it was started.
    pub uptime_s: u64,
}

/// Answer of start_streaming.
#[derive(Clone, Debug)]
pub struct StreamStarted {
    /// Path name in MediaMTX, `camera0`.
    pub stream_name: String,
    /// When it started, microseconds since 1970.
    pub start_us: i64,
    /// The encoder's command without device paths and secrets; empty when MediaMTX pulls the camera itself.
    pub ffmpeg_command: String,
}

/// Answer of stop_streaming.
#[derive(Clone, Debug)]
pub struct StreamStopped {
    /// Path name in MediaMTX.
    pub stream_name: String,
    /// When it had been started, microseconds since 1970.
    pub start_us: i64,
    /// When it was stopped.
    pub end_us: i64,
    /// Other consumers keep it running.
    pub stream_continues: bool,
}
