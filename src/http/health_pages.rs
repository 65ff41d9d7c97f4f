//! `/health*`, for monitoring.

use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::answer::{self, Body};
use crate::base::clock::iso8601;
use crate::health::{Component, Health, Report, Verdict};

pub(super) fn answer<B>(health: &Health, request: &Request<B>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "health can only be read", "use GET");
    }
    let report = health.report();
    let code = match report.verdict {
        Verdict::Healthy | Verdict::Degraded => StatusCode::OK,
        Verdict::Unhealthy => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match request.uri().path() {
        "/health" => answer::json(code, &summary(&report)),
        "/health/detailed" => answer::json(code, &detailed(&report)),
        "/health/ready" => {
            let ready = report.observed.mediamtx == Component::Running
                && report.observed.camera_monitor == Component::Running;
            let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let mut message = if ready { "ready".into() } else { why(&report) };
            if let Some(doing) = report.observed.checking.text() {
                message = format!("{message}; {doing}");
            }
            answer::json(
                code,
                &json!({"ready": ready, "timestamp": iso8601(report.at_us), "message": message}),
            )
        }
        "/health/live" => {
            answer::json(StatusCode::OK, &json!({"alive": true, "timestamp": iso8601(report.at_us)}))
        }
        _ => answer::refusal(
            StatusCode::NOT_FOUND,
            "nothing is here",
            "ask for /health, /health/detailed, /health/ready or /health/live",
        ),
    }
}

fn why(report: &Report) -> String {
    let texts: Vec<_> = report.reasons.iter().map(|r| r.text.as_str()).collect();
    if texts.is_empty() { "starting".into() } else { texts.join("; ") }
}

fn summary(report: &Report) -> serde_json::Value {
    json!({
        "status": report.verdict.lower(),
        "timestamp": iso8601(report.at_us),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": report.uptime.as_secs_f64(),
    })
}

fn detailed(report: &Report) -> serde_json::Value {
    let mut body = summary(report);
    let reason = |what: &str| report.reasons.iter().find(|r| r.what == what);
    let storage = reason("storage");
    let works = report.observed.disk.is_fine();
    let ffmpeg = match reason("ffmpeg") {
        None => json!({"name": "ffmpeg", "status": "healthy", "state": Component::Running.word()}),
        Some(r) => json!({"name": "ffmpeg", "status": r.verdict.lower(), "state": Component::Error.word(),
            "message": r.text}),
    };
    let component = |name: &str, c: Component| {
        let status = if c == Component::Running { "healthy" } else { "unhealthy" };
        json!({"name": name, "status": status, "state": c.word()})
    };
    body["components"] = json!([
        component("websocket_server", Component::Running),
        component("camera_monitor", report.observed.camera_monitor),
        component("mediamtx", report.observed.mediamtx),
        ffmpeg,
        {
            "name": "storage",
            "status": storage.map_or("healthy", |r| r.verdict.lower()),
            "state": if works { Component::Running.word() } else { Component::Error.word() },
            "message": storage.map(|r| r.text.as_str()),
        },
    ]);
    body["metrics"] = json!({
        "memory_usage": report.sample.memory_percent,
        "disk_usage": report.observed.used_percent,
        "error_rate": report.sample.error_percent,
        "mean_response_ms": report.sample.mean_response.as_secs_f64() * 1000.0,
        "active_connections": report.traffic.connections,
        "refused_connections": report.traffic.refused,
        "calls": report.traffic.calls,
    });
    let reasons =
        report.reasons.iter().map(|r| json!({"what": r.what, "status": r.verdict.lower(), "text": r.text}));
    body["reasons"] = reasons.collect();
    body
}
