//! Live streams.

use serde::Serialize;

use super::shared::{Device, seconds};
use crate::base::clock::iso8601;
use crate::base::{CameraId, Result};
use crate::pipeline::{CameraStatus, StreamPhase};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;

/// A stream that nobody watches any more is closed after this (contract.md).
const AUTO_CLOSE: &str = "300s";

#[derive(Serialize)]
pub(super) struct Started {
    device: CameraId,
    stream_name: String,
    stream_url: String,
    status: &'static str,
    start_time: String,
    auto_close_after: &'static str,
    ffmpeg_command: String,
}

pub(super) async fn start(call: Call, Device(id): Device) -> Result<Started> {
    let started = call.services.cameras.start_streaming(id).await?;
    Ok(Started {
        device: id,
        stream_name: started.stream_name,
        stream_url: call.rtsp_url(id),
        status: "STARTED",
        start_time: iso8601(started.start_us),
        auto_close_after: AUTO_CLOSE,
        ffmpeg_command: started.ffmpeg_command,
    })
}

#[derive(Serialize)]
pub(super) struct Stopped {
    device: CameraId,
    stream_name: String,
    status: &'static str,
    start_time: String,
    end_time: String,
    duration: u64,
    stream_continues: bool,
    message: &'static str,
}

pub(super) async fn stop(call: Call, Device(id): Device) -> Result<Stopped> {
    let stopped = call.services.cameras.stop_streaming(id).await?;
    let us = stopped.end_us.saturating_sub(stopped.start_us).max(0).unsigned_abs();
    Ok(Stopped {
        device: id,
        stream_name: stopped.stream_name,
        status: "STOPPED",
        start_time: iso8601(stopped.start_us),
        end_time: iso8601(stopped.end_us),
        duration: seconds(us / 1000),
        stream_continues: stopped.stream_continues,
        message: if stopped.stream_continues {
            "released; the stream goes on for its other consumers"
        } else {
            "the stream has stopped"
        },
    })
}

/// `{device, protocol?}`; protocol is our addition.
pub(super) struct Which {
    device: CameraId,
    protocol: Protocol,
}

#[derive(Clone, Copy)]
enum Protocol {
    Rtsp,
    Hls,
    WebRtc,
    /// The page that plays the others.
    Page,
}

impl Params for Which {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let words = [
            ("rtsp", Protocol::Rtsp),
            ("hls", Protocol::Hls),
            ("webrtc", Protocol::WebRtc),
            ("page", Protocol::Page),
        ];
        let protocol = fields.optional_word("protocol", &words)?.unwrap_or(Protocol::Rtsp);
        Ok(Self { device: fields.device()?, protocol })
    }
}

#[derive(Serialize)]
pub(super) struct Url {
    device: CameraId,
    stream_name: String,
    stream_url: String,
    available: bool,
    active_consumers: u32,
    stream_status: &'static str,
}

pub(super) fn url(call: &Call, which: Which) -> Result<Url> {
    let view = call.services.cameras.get(which.device)?;
    let stream_url = match which.protocol {
        Protocol::Rtsp => call.rtsp_url(view.id),
        Protocol::Hls => call.hls_url(view.id),
        Protocol::WebRtc => call.whep_url(view.id),
        Protocol::Page => call.page_url(view.id),
    };
    Ok(Url {
        device: view.id,
        stream_name: view.id.to_string(),
        stream_url,
        available: view.status != CameraStatus::Disconnected,
        active_consumers: view.stream.readers,
        stream_status: match view.stream.phase {
            _ if view.status == CameraStatus::Error => "ERROR",
            StreamPhase::Error => "ERROR",
            _ if view.stream.ready => "READY",
            _ => "NOT_READY",
        },
    })
}

#[derive(Serialize)]
pub(super) struct Status {
    device: CameraId,
    stream_name: String,
    status: &'static str,
    ready: bool,
    ffmpeg_process: Process,
    mediamtx_path: Path,
    metrics: Metrics,
    /// Null while inactive.
    start_time: Option<String>,
    /// Ours: what encodes it, "copy" = a camera in the frame path that delivers H.264; left out of network cameras.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<EncoderJson>,
    /// Ours: what came from a V4L2 camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Capture>,
}

#[derive(Serialize)]
pub(super) struct EncoderJson {
    name: &'static str,
    reason: String,
    given_up: Vec<&'static str>,
}

/// Frames, since the camera was first seen.
#[derive(Serialize)]
pub(super) struct Capture {
    frames: u64,
    lost: u64,
    corrupt: u64,
    late: u64,
}

#[derive(Serialize)]
pub(super) struct Process {
    running: bool,
    /// 0 while there is none.
    pid: u32,
    uptime: u64,
}

#[derive(Serialize)]
pub(super) struct Path {
    exists: bool,
    ready: bool,
    readers: u32,
}

#[derive(Serialize)]
pub(super) struct Metrics {
    bytes_sent: u64,
    frames_sent: u64,
    bitrate: u64,
    fps: f64,
}

pub(super) fn status(call: &Call, Device(id): Device) -> Result<Status> {
    let view = call.services.cameras.get(id)?;
    let stream = view.stream;
    let given_up = stream.given_up.iter().map(|way| way.name()).collect();
    Ok(Status {
        encoder: stream.chosen.map(|(way, reason)| EncoderJson { name: way.name(), reason, given_up }),
        capture: stream.captured.map(|meter| meter.counters()).map(|c| Capture {
            frames: c.good,
            lost: c.lost,
            corrupt: c.corrupt,
            late: c.late,
        }),
        device: id,
        stream_name: id.to_string(),
        status: stream.phase.word(),
        ready: stream.ready,
        ffmpeg_process: Process {
            running: stream.encoder.is_some(),
            pid: stream.encoder.map_or(0, |e| e.pid),
            uptime: stream.encoder.map_or(0, |e| e.uptime_s),
        },
        mediamtx_path: Path { exists: stream.path_exists, ready: stream.ready, readers: stream.readers },
        metrics: Metrics {
            bytes_sent: stream.bytes_sent,
            frames_sent: stream.frames_sent,
            bitrate: stream.bitrate,
            fps: stream.fps,
        },
        start_time: stream.started_us.map(iso8601),
    })
}

/// One element of get_streams, which answers a bare array.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    source: String,
    ready: bool,
    readers: u32,
    bytes_sent: u64,
}

pub(super) fn list(call: &Call, _: Nothing) -> Result<Vec<Row>> {
    let views = call.services.cameras.list().into_iter().filter(|v| v.stream.path_exists);
    Ok(views
        .map(|v| Row {
            name: v.id.to_string(),
            source: v.name,
            ready: v.stream.ready,
            readers: v.stream.readers,
            bytes_sent: v.stream.bytes_sent,
        })
        .collect())
}
