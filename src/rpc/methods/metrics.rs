//! get_metrics: the figures of the box, its cameras, recordings and streams, all from memory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::shared::seconds;
use crate::base::clock::iso8601;
use crate::base::{CameraId, Mono, RecordingName, Result};
use crate::health::{Alert, Figures};
use crate::pipeline::{CameraStatus, CameraView, Hardware, StreamPhase};
use crate::rpc::params::Nothing;
use crate::rpc::session::Call;

#[derive(Serialize)]
pub(super) struct Metrics {
    timestamp: String,
    system_metrics: System,
    camera_metrics: Cameras,
    recording_metrics: Recordings,
    stream_metrics: Streams,
    /// From here on ours.
    connection_metrics: Connections,
    response_metrics: Responses,
    alerts: Vec<AlertRow>,
}

#[derive(Serialize)]
struct System {
    cpu_usage: f64,
    memory_usage: f64,
    disk_usage: f64,
    /// Tasks; the name is kept for clients of the service that was written in Go.
    goroutines: usize,
    // Ours.
    uptime: f64,
    process_memory: u64,
    open_files: usize,
    network_in: f64,
    network_out: f64,
    disk_read: f64,
    disk_written: f64,
}

#[derive(Serialize)]
struct Cameras {
    connected_cameras: usize,
    cameras: BTreeMap<CameraId, Camera>,
}

#[derive(Serialize)]
struct Camera {
    path: CameraId,
    name: String,
    status: &'static str,
    device_num: u32,
    last_seen: String,
    capabilities: Capabilities,
    formats: Vec<Format>,
}

#[derive(Serialize)]
struct Capabilities {
    driver_name: String,
    card_name: String,
    bus_info: String,
    version: &'static str,
    capabilities: &'static [&'static str],
    device_caps: &'static [&'static str],
}

#[derive(Serialize)]
struct Format {
    pixel_format: String,
    width: u32,
    height: u32,
    frame_rates: Vec<f64>,
}

#[derive(Serialize)]
struct Recordings {
    active_recordings: usize,
    recordings: BTreeMap<CameraId, Recording>,
}

#[derive(Serialize)]
struct Recording {
    filename: RecordingName,
    duration: u64,
    file_size: u64,
}

#[derive(Serialize)]
struct Streams {
    active_streams: usize,
    total_streams: usize,
    total_viewers: u64,
}

#[derive(Serialize)]
struct Connections {
    active: u64,
    limit: u32,
    utilisation: f64,
    peak: u64,
    established: u64,
    refused: u64,
    dropped: u64,
    established_last_minute: u64,
    refused_last_minute: u64,
    dropped_last_minute: u64,
}

#[derive(Serialize)]
struct Responses {
    requests: u64,
    requests_per_second: f64,
    error_rate: f64,
    mean_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct AlertRow {
    subject: &'static str,
    level: &'static str,
    value: f64,
    threshold: f64,
    since: String,
    message: String,
}

pub(super) fn metrics(call: &Call, _: Nothing) -> Result<Metrics> {
    let services = &call.services;
    let (figures, report) = (services.health.figures(), services.health.report());
    let views = services.cameras.list();
    let recordings = views.iter().filter_map(|view| {
        let active = services.recordings.active(view.id)?;
        let (duration, file_size) = (seconds(active.duration_ms), active.size);
        Some((view.id, Recording { filename: active.name, duration, file_size }))
    });
    let recordings: BTreeMap<_, _> = recordings.collect();
    let is_active = |v: &&CameraView| v.stream.phase == StreamPhase::Active;
    let load = &figures.load;
    Ok(Metrics {
        timestamp: iso8601(figures.at_us),
        system_metrics: System {
            // What the kernel of this box does not tell is 0: the contract knows no "unknown".
            cpu_usage: tenths(load.cpu_percent.unwrap_or(0.0)),
            memory_usage: tenths(load.memory_percent.unwrap_or(0.0)),
            disk_usage: tenths(report.observed.used_percent.unwrap_or(0.0)),
            goroutines: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            uptime: tenths(report.uptime.as_secs_f64()),
            process_memory: figures.resident.unwrap_or(0),
            open_files: figures.open_files.unwrap_or(0),
            network_in: load.network.unwrap_or_default().inward.round(),
            network_out: load.network.unwrap_or_default().outward.round(),
            disk_read: load.disks.unwrap_or_default().inward.round(),
            disk_written: load.disks.unwrap_or_default().outward.round(),
        },
        stream_metrics: Streams {
            active_streams: views.iter().filter(is_active).count(),
            total_streams: views.iter().filter(|v| v.stream.path_exists).count(),
            total_viewers: views.iter().map(|v| u64::from(v.stream.readers)).sum(),
        },
        camera_metrics: Cameras {
            connected_cameras: views.iter().filter(|v| v.status == CameraStatus::Connected).count(),
            cameras: views.into_iter().map(|view| (view.id, camera(call, view))).collect(),
        },
        recording_metrics: Recordings { active_recordings: recordings.len(), recordings },
        connection_metrics: connections(&figures, report.sample.connection_percent),
        response_metrics: responses(&figures),
        alerts: figures.alerts.into_iter().map(alert).collect(),
    })
}

fn camera(call: &Call, view: CameraView) -> Camera {
    let ago = view.last_seen.map(|then| Mono::now().since(then).as_micros());
    // 1970 for one that was not there since the start: the contract knows no "never".
    let last_seen_us = ago
        .map_or(0, |us| call.services.clock.wall_us().saturating_sub(i64::try_from(us).unwrap_or(i64::MAX)));
    let rates: Vec<f64> =
        view.fps_options.iter().map(|fps| f64::from(*fps)).filter(|fps| *fps > 0.0).collect();
    let format = |pixel_format: &String| {
        let (pixel_format, rates) = (pixel_format.clone(), rates.clone());
        view.resolutions.iter().map(move |(width, height)| Format {
            pixel_format: pixel_format.clone(),
            width: *width,
            height: *height,
            frame_rates: rates.clone(),
        })
    };
    let caps: &[&str] = if view.driver.is_empty() { &[] } else { &["VIDEO_CAPTURE", "STREAMING"] };
    let hardware = view.hardware.unwrap_or_else(|| Hardware {
        driver: view.driver.to_owned(),
        card: view.name.clone(),
        // Where a camera is on the network is nobody's business but the box's.
        bus: match view.driver {
            "rtsp" => "network",
            "" => "",
            _ => "virtual",
        }
        .to_owned(),
    });
    Camera {
        path: view.id,
        status: view.status.word(),
        device_num: view.id.0,
        last_seen: iso8601(last_seen_us),
        capabilities: Capabilities {
            driver_name: hardware.driver,
            card_name: hardware.card,
            bus_info: hardware.bus,
            version: if view.driver.is_empty() { "" } else { env!("CARGO_PKG_VERSION") },
            capabilities: caps,
            device_caps: caps,
        },
        formats: view.formats.iter().flat_map(format).collect(),
        name: view.name,
    }
}

fn connections(figures: &Figures, percent: f64) -> Connections {
    let (all, minute) = (&figures.traffic, &figures.minute);
    Connections {
        active: all.connections,
        limit: figures.connections_max,
        utilisation: tenths(percent.min(100.0)),
        peak: all.most_connections,
        established: all.established,
        refused: all.refused,
        dropped: all.dropped,
        established_last_minute: minute.established,
        refused_last_minute: minute.refused,
        dropped_last_minute: minute.dropped,
    }
}

fn responses(figures: &Figures) -> Responses {
    let minute = &figures.minute;
    Responses {
        requests: figures.traffic.calls,
        requests_per_second: tenths(minute.calls_per_second),
        error_rate: tenths(minute.error_percent.min(100.0)),
        mean_ms: ms(minute.mean),
        p50_ms: ms(minute.p50),
        p95_ms: ms(minute.p95),
        p99_ms: ms(minute.p99),
    }
}

fn alert(alert: Alert) -> AlertRow {
    AlertRow {
        subject: alert.subject.word(),
        level: alert.level.word(),
        value: tenths(alert.value),
        threshold: alert.threshold,
        since: iso8601(alert.since_us),
        message: alert.text,
    }
}

/// As exact as such figures are.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
