//! The box itself.

use serde::Serialize;

use crate::base::Result;
use crate::health::{Component, Report};
use crate::rpc::params::Nothing;
use crate::rpc::session::Call;

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
}

/// More than a box of this size can encode; the ids have no end.
const MAX_CAMERAS: u32 = 16;

pub(super) fn server_info(_: &Call, _: Nothing) -> Result<ServerInfo> {
    Ok(ServerInfo {
        name: "fieldcam",
        version: env!("CARGO_PKG_VERSION"),
        build_date: env!("FIELDCAM_BUILD_DATE"),
        go_version: format!("n/a ({})", env!("FIELDCAM_RUSTC")),
        architecture: std::env::consts::ARCH,
        capabilities: &["snapshots", "recording", "streaming", "rtsp"],
        supported_formats: &["fmp4", "mp4", "jpeg"],
        max_cameras: MAX_CAMERAS,
    })
}
