//! From a camera at rest to its picture: by an RTSP reader alone, and by start_streaming.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::figure::{Figure, Unit, percentile};
use super::rtsp::Player;
use super::subject::Subject;
use super::until;
use crate::base::{Error, ErrorKind, Mono, Result};
use crate::ctl::Link;

const DEVICE: &str = "camera0";
const ROUNDS: usize = 10;
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct StreamUrl {
    stream_url: String,
}

/// Both ways, each from rest.
pub async fn measure(subject: &Subject) -> Result<Vec<Figure>> {
    let mut link = subject.link().await?;
    let (mut online, mut keyframe) = (Vec::new(), Vec::new());
    let (mut answered, mut by_call, mut by_call_keyframe) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rest(&mut link).await?;
        let url: StreamUrl = link.ask("get_stream_url", json!({ "device": DEVICE })).await?;
        let begun = Mono::now();
        let mut player = within(Player::describe(&url.stream_url)).await?;
        online.push(ms_since(begun, Mono::now()));
        keyframe.push(ms_since(begun, within(player.first_keyframe()).await?));
        drop(player);

        rest(&mut link).await?;
        let begun = Mono::now();
        link.call("start_streaming", Some(json!({ "device": DEVICE }))).await?;
        answered.push(ms_since(begun, Mono::now()));
        let mut player = within(Player::describe(&url.stream_url)).await?;
        by_call.push(ms_since(begun, Mono::now()));
        by_call_keyframe.push(ms_since(begun, within(player.first_keyframe()).await?));
    }
    rest(&mut link).await?;
    let mut figures = Vec::new();
    let mut add = |name: &str, samples: &mut Vec<f64>, goal: Option<f64>, bound: Option<f64>| {
        for percent in [50.0, 95.0] {
            let mut figure =
                Figure::new(format!("{name} p{percent}"), percentile(samples, percent), Unit::Ms);
            if let Some(goal) = goal {
                figure = figure.goal(goal, "issue 3, P10");
            }
            figures.push(if let Some(bound) = bound { figure.bound(bound) } else { figure });
        }
    };
    add("cold start by RTSP to path online", &mut online, Some(200.0), None);
    add("cold start by RTSP to first keyframe packet", &mut keyframe, Some(200.0), Some(400.0));
    add("start_streaming answered", &mut answered, None, None);
    add("start_streaming to path online", &mut by_call, Some(200.0), None);
    add("start_streaming to first keyframe packet", &mut by_call_keyframe, Some(200.0), Some(400.0));
    Ok(figures)
}

/// Milliseconds between two moments.
pub(super) fn ms_since(begun: Mono, end: Mono) -> f64 {
    end.since(begun).as_secs_f64() * 1000.0
}

async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(ErrorKind::DependencyFailed, format!("No picture within {LIMIT:?}"));
    tokio::time::timeout(LIMIT, work).await.map_err(late)?
}

/// What a stop leaves to be done: the FFmpeg for the next start is loaded.
const SETTLE: Duration = Duration::from_millis(500);

/// Stops the stream and waits until nothing of it runs any more, and the box is ready for the next start
/// as one is that has been at rest for long.
pub(super) async fn rest(link: &mut Link) -> Result<()> {
    until("the camera is at rest", LIMIT, async || {
        let status: Value = link.ask("get_stream_status", json!({ "device": DEVICE })).await?;
        let at_rest = status["status"] == "INACTIVE" && status["ffmpeg_process"]["running"] != true;
        // A reader that has just left may still be counted: then the stream goes on, and we ask again.
        if !at_rest {
            match link.call("stop_streaming", Some(json!({ "device": DEVICE }))).await {
                Err(e) if e.kind() != ErrorKind::InvalidState => return Err(e),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Ok((at_rest && status["ready"] != true).then_some(()))
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}
