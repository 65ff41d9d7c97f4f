//! Cameras and what they can do.

use serde::Serialize;

use super::shared::Device;
use crate::base::{CameraId, Result};
use crate::notice::CameraRow;
use crate::pipeline::{CameraStatus, CameraView, Rung, Tries};
use crate::rpc::params::Nothing;
use crate::rpc::session::Call;

/// A camera as every list, status and notification shows it.
#[derive(Serialize)]
pub(in crate::rpc) struct Camera {
    device: CameraId,
    status: &'static str,
    name: String,
    resolution: String,
    fps: u32,
    streams: Streams,
    /// Ours: what is tried to bring its pictures back.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovering: Option<&'static str>,
}

/// Where it can be watched; empty when there is nothing to watch.
#[derive(Serialize)]
pub(in crate::rpc) struct Streams {
    #[serde(skip_serializing_if = "Option::is_none")]
    rtsp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hls: Option<String>,
}

#[derive(Serialize)]
pub(super) struct CameraList {
    cameras: Vec<Camera>,
    total: usize,
    connected: usize,
}

#[derive(Serialize)]
pub(super) struct FullStatus {
    #[serde(flatten)]
    camera: Camera,
    metrics: Metrics,
    capabilities: Formats,
    /// Ours: its pictures over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Preview>,
    /// Ours: why it does not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Ours: what was tried so far to bring its pictures back.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Vec<Tried>>,
}

/// One rung of the ladder.
#[derive(Serialize)]
pub(super) struct Tried {
    rung: &'static str,
    tried: u64,
    cured: u64,
}

/// Links that need no log-in.
#[derive(Serialize)]
pub(super) struct Preview {
    frame: String,
    mjpeg: String,
}

#[derive(Serialize)]
pub(super) struct Metrics {
    bytes_sent: u64,
    readers: u32,
    uptime: u64,
}

#[derive(Serialize)]
pub(super) struct Formats {
    formats: Vec<String>,
    resolutions: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Capabilities {
    device: CameraId,
    #[serde(flatten)]
    formats: Formats,
    fps_options: Vec<u32>,
    validation_status: &'static str,
}

pub(super) fn list(call: &Call, _: Nothing) -> Result<CameraList> {
    let views = call.services.cameras.list();
    Ok(CameraList {
        total: views.len(),
        connected: views.iter().filter(|v| v.status == CameraStatus::Connected).count(),
        cameras: views.into_iter().map(|v| camera(call, v)).collect(),
    })
}

pub(super) fn status(call: &Call, Device(id): Device) -> Result<FullStatus> {
    let view = call.services.cameras.get(id)?;
    let metrics = Metrics {
        bytes_sent: view.stream.bytes_sent,
        readers: view.stream.readers,
        uptime: call.seconds_since(view.stream.started_us),
    };
    let capabilities =
        Formats { formats: view.formats.clone(), resolutions: view.resolutions.iter().map(size).collect() };
    let problem = view.problem.clone();
    let recovery = view.recovery.map(|recovery| {
        let row = |(rung, Tries { tried, cured }): (Rung, Tries)| Tried { rung: rung.word(), tried, cured };
        Rung::ALL.into_iter().zip(recovery.counts).map(row).collect()
    });
    let preview = (view.status != CameraStatus::Disconnected).then(|| {
        let [frame, mjpeg] = call.preview_urls(view.id);
        Preview { frame, mjpeg }
    });
    Ok(FullStatus { camera: camera(call, view), metrics, capabilities, preview, problem, recovery })
}

pub(super) fn capabilities(call: &Call, Device(id): Device) -> Result<Capabilities> {
    let view = call.services.cameras.get(id)?;
    Ok(Capabilities {
        device: id,
        formats: Formats { resolutions: view.resolutions.iter().map(size).collect(), formats: view.formats },
        fps_options: view.fps_options,
        validation_status: view.validation.word(),
    })
}

fn camera(call: &Call, view: CameraView) -> Camera {
    Camera::of_view(call, view)
}

impl Camera {
    /// As lists show it to this caller.
    pub(in crate::rpc) fn of_view(call: &Call, view: CameraView) -> Self {
        Self::of_row(call, view.id, &view.row())
    }

    /// The same, of what a notice says.
    pub(in crate::rpc) fn of_row(call: &Call, id: CameraId, row: &CameraRow) -> Self {
        let watchable = row.status != CameraStatus::Disconnected.word();
        let streams =
            Streams { rtsp: watchable.then(|| call.rtsp_url(id)), hls: watchable.then(|| call.hls_url(id)) };
        Self {
            device: id,
            status: row.status,
            name: row.name.clone(),
            resolution: size(&(row.width, row.height)),
            fps: row.fps,
            streams,
            recovering: row.recovering,
        }
    }
}

fn size((width, height): &(u32, u32)) -> String {
    format!("{width}x{height}")
}
