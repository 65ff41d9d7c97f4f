//! The box itself.

use serde::Serialize;

use crate::base::{CameraId, Result};
use crate::health::{Component, Report};
use crate::pipeline::{CameraStatus, CameraView};
use crate::rpc::params::Nothing;
use crate::rpc::session::Call;
use crate::tls::{Fingerprint, Tls};

#[derive(Serialize)]
pub(in crate::rpc) struct Status {
    status: &'static str,
    uptime: f64,
    version: &'static str,
    components: Components,
}

#[derive(Serialize)]
pub(in crate::rpc) struct Components {
    websocket_server: &'static str,
    camera_monitor: &'static str,
    mediamtx: &'static str,
}

pub(super) fn status(call: &Call, _: Nothing) -> Result<Status> {
    Ok(Status::of(&call.services.health.report()))
}

impl Status {
    /// As get_status and notifications show it.
    pub(in crate::rpc) fn of(report: &Report) -> Self {
        Self {
            status: report.verdict.word(),
            uptime: report.uptime.as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
            components: Components {
                // It answers, so it runs.
                websocket_server: Component::Running.word(),
                camera_monitor: report.observed.camera_monitor.word(),
                mediamtx: report.observed.mediamtx.word(),
            },
        }
    }
}

/// How far the start of the box has come.
#[derive(Serialize)]
pub(super) struct Progress {
    status: &'static str,
    message: String,
    available_cameras: Vec<CameraId>,
    discovery_active: bool,
}

pub(super) fn progress(call: &Call, _: Nothing) -> Result<Progress> {
    let services = &call.services;
    let observed = services.health.report().observed;
    let cameras = services.cameras.configured();
    let (status, mut message) = word(observed.mediamtx, &cameras);
    if let Some(checking) = observed.checking.text() {
        message = format!("{message}; {checking}");
    }
    let is_there = |view: &&CameraView| view.status == CameraStatus::Connected;
    Ok(Progress {
        status,
        message,
        available_cameras: cameras.iter().filter(is_there).map(|view| view.id).collect(),
        discovery_active: services.external.is_searching(),
    })
}

/// A box without its media server can do nothing with its cameras, so it is starting, or partly there
/// when that is an accident; else it is as much there as its cameras are.
fn word(mediamtx: Component, cameras: &[CameraView]) -> (&'static str, String) {
    let away = cameras.iter().filter(|view| view.status != CameraStatus::Connected);
    let away: Vec<String> = away.map(|view| view.id.to_string()).collect();
    match mediamtx {
        Component::Starting => ("starting", "the media server is starting".into()),
        Component::Running if cameras.is_empty() => ("ready", "no camera is configured".into()),
        Component::Running if away.is_empty() => ("ready", "every camera is there".into()),
        Component::Running => ("partial", format!("not there or not working: {}", away.join(", "))),
        _ => ("partial", "the media server does not run; it is being started again".into()),
    }
}

#[derive(Serialize)]
pub(super) struct ServerInfo {
    name: &'static str,
    version: &'static str,
    build_date: &'static str,
    /// Kept for clients of the service that was written in Go.
    go_version: String,
    architecture: &'static str,
    capabilities: &'static [&'static str],
    supported_formats: &'static [&'static str],
    max_cameras: u32,
    /// With TLS on.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_fingerprint: Option<Fingerprint>,
    /// Where boxes have to be claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<bool>,
}

/// More than a box of this size can encode; the ids have no end.
const MAX_CAMERAS: u32 = 16;

pub(super) fn server_info(call: &Call, _: Nothing) -> Result<ServerInfo> {
    Ok(ServerInfo {
        name: "fieldcam",
        version: env!("CARGO_PKG_VERSION"),
        build_date: env!("FIELDCAM_BUILD_DATE"),
        go_version: format!("n/a ({})", env!("FIELDCAM_RUSTC")),
        architecture: std::env::consts::ARCH,
        capabilities: &["snapshots", "recording", "streaming", "rtsp"],
        supported_formats: &["fmp4", "mp4", "jpeg"],
        max_cameras: MAX_CAMERAS,
        tls_fingerprint: call.services.tls.as_ref().map(Tls::fingerprint),
        claimed: call.services.auth.claimed(),
    })
}
