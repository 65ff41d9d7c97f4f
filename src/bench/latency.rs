//! Calls on a live camera: snapshots, and recordings that start and stop.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::figure::{Figure, Unit, percentile};
use super::ping::calls;
use super::subject::Subject;
use super::until;
use crate::base::{ErrorKind, Mono, Result};
use crate::ctl::Link;

const DEVICE: &str = "camera0";
const LIVE_LIMIT: Duration = Duration::from_secs(20);

/// Starts a camera's stream and waits until it can be watched.
pub async fn go_live(link: &mut Link, device: &str) -> Result<()> {
    match link.call("start_streaming", Some(json!({ "device": device }))).await {
        Err(e) if e.kind() != ErrorKind::InvalidState => return Err(e),
        _ => {}
    }
    until("the camera is live", LIVE_LIMIT, async || {
        let status: Value = link.ask("get_stream_status", json!({ "device": device })).await?;
        Ok((status["ready"] == true).then_some(()))
    })
    .await
}

/// Snapshots, one after another.
pub async fn snapshot(subject: &Subject) -> Result<Vec<Figure>> {
    let mut link = subject.link().await?;
    go_live(&mut link, DEVICE).await?;
    let params = json!({ "device": DEVICE });
    calls(&mut link, "take_snapshot", &params, 3).await?;
    let mut samples = calls(&mut link, "take_snapshot", &params, 100).await?;
    let p50 =
        Figure::new("snapshot of a live synthetic camera p50", percentile(&mut samples, 50.0), Unit::Ms);
    let p95 =
        Figure::new("snapshot of a live synthetic camera p95", percentile(&mut samples, 95.0), Unit::Ms);
    Ok(vec![p50.goal(20.0, "issue 3"), p95.goal(200.0, "P01")])
}

#[derive(Deserialize)]
struct Started {
    filename: String,
}

#[derive(Deserialize)]
struct Size {
    file_size: u64,
}

/// Recordings, each started, let to grow to its first bytes, and stopped.
pub async fn record(subject: &Subject) -> Result<Vec<Figure>> {
    let mut link = subject.link().await?;
    go_live(&mut link, DEVICE).await?;
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let begun = Mono::now();
        let started: Started = link.ask("start_recording", json!({ "device": DEVICE })).await?;
        starts.push(Mono::now().since(begun).as_secs_f64() * 1000.0);
        let name = json!({ "filename": started.filename });
        until("a recording has its first bytes", LIVE_LIMIT, async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match link.ask::<Size>("get_recording_info", name.clone()).await {
                Ok(size) => Ok((size.file_size > 0).then_some(())),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                Err(e) => Err(e),
            }
        })
        .await?;
        let begun = Mono::now();
        link.call("stop_recording", Some(json!({ "device": DEVICE }))).await?;
        stops.push(Mono::now().since(begun).as_secs_f64() * 1000.0);
    }
    let mut figures = Vec::new();
    for (method, samples, p95) in
        [("start_recording", &mut starts, 100.0), ("stop_recording", &mut stops, 50.0)]
    {
        let live = format!("{method} on a live camera");
        figures.push(
            Figure::new(format!("{live} p50"), percentile(samples, 50.0), Unit::Ms).goal(50.0, "issue 3"),
        );
        figures
            .push(Figure::new(format!("{live} p95"), percentile(samples, 95.0), Unit::Ms).goal(p95, "P01"));
    }
    Ok(figures)
}
