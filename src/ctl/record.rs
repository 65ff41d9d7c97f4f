//! `record` and `get`: recordings from the camera to a file on the laptop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::download::fetch;
use super::link::{Link, read};
use super::progress::Progress;
use super::range::{extension_of, path_of, target};
use super::reply::{Info, Started};
use super::screen;
use crate::base::backoff::Backoff;
use crate::base::units::show_size;
use crate::base::{Error, ErrorKind, Mono, Result};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a box may be away (a restart, a network that drops) before we stop asking about its recording.
const AWAY_LIMIT: Duration = Duration::from_secs(120);

impl Info {
    /// Whether the recording has ended; none when the box does not tell.
    fn has_ended(&self) -> Option<bool> {
        match (&self.state, &self.end_time) {
            (Some(word), _) => Some(!word.eq_ignore_ascii_case("recording")),
            (None, Some(_)) => Some(true),
            (None, None) => None,
        }
    }
}

/// Starts a recording, shows it growing until it ends or Ctrl-C ends it, and downloads it.
pub async fn record(
    link: &mut Link,
    device: &str,
    duration: Option<Duration>,
    output: Option<&Path>,
    json: bool,
) -> Result<()> {
    let mut params = json!({ "device": device });
    if let Some(duration) = duration {
        params["duration"] = json!(duration.as_secs());
    }
    let started: Started = link.ask("start_recording", params).await?;
    let name = started.filename;
    let wanted = duration.map_or(0, |d| d.as_secs());
    let advice = if wanted == 0 { " (Ctrl-C ends it)" } else { "" };
    let mut progress = Progress::seconds(&format!("recording {name}{advice}"), wanted);
    let ended = follow(link, device, &name, duration, &mut progress).await;
    progress.finish();
    ended?;
    get(link, &name, output, json).await
}

async fn follow(
    link: &mut Link,
    device: &str,
    name: &str,
    duration: Option<Duration>,
    progress: &mut Progress,
) -> Result<()> {
    let begun = Mono::now();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut interrupt => {
                progress.remark("ending the recording");
                return stop(link, device).await;
            }
        }
        let info: Info = match link.ask("get_recording_info", json!({ "filename": name })).await {
            Ok(info) => info,
            Err(_) if link.is_broken() => {
                progress.remark("the box does not answer; waiting for it");
                come_back(link).await?;
                continue;
            }
            // Its first bytes are not there yet.
            Err(e) if e.kind() == ErrorKind::NotFound && Mono::now().since(begun) < AWAY_LIMIT => continue,
            Err(e) => return Err(e),
        };
        progress.set(info.duration, &show_size(info.file_size));
        match (info.has_ended(), duration) {
            (Some(true), _) => return Ok(()),
            // A box that does not tell: by then it has ended, or ends now.
            (None, Some(d)) if Mono::now().since(begun) > d + Duration::from_secs(3) => {
                return stop(link, device).await;
            }
            _ => {}
        }
    }
}

async fn stop(link: &mut Link, device: &str) -> Result<()> {
    match link.call("stop_recording", Some(json!({ "device": device }))).await {
        Err(e) if e.kind() != ErrorKind::InvalidState => Err(e),
        _ => Ok(()),
    }
}

async fn come_back(link: &mut Link) -> Result<()> {
    let since = Mono::now();
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        match link.reopen().await {
            Ok(()) => return Ok(()),
            Err(e) if Mono::now().since(since) > AWAY_LIMIT || e.kind() == ErrorKind::AuthFailed => {
                return Err(
                    e.with("suggestion", "the recording goes on by itself; fetch it later with `ctl get`")
                );
            }
            Err(_) => sleep(backoff.next_delay()).await,
        }
    }
}

/// Downloads a recording, or a snapshot by its `.jpg` name.
pub async fn get(link: &mut Link, name: &str, output: Option<&Path>, json: bool) -> Result<()> {
    let method =
        if name.to_ascii_lowercase().ends_with(".jpg") { "get_snapshot_info" } else { "get_recording_info" };
    let raw = link.call(method, Some(json!({ "filename": name }))).await?;
    let (mut shown, info) = (read::<Value>(&raw)?, read::<Info>(&raw)?);
    let (file, size) = download(link, &info, output).await?;
    for gap in &info.gaps {
        screen::remark(&format!("gap of {:.1} s at {}: {}", gap.duration, gap.start_time, gap.cause));
    }
    if let Some(reason) = info.reason.filter(|r| !matches!(r.as_str(), "stopped" | "duration_reached")) {
        screen::remark(&format!("the recording ended for this reason: {reason}"));
    }
    let file = file.display();
    if json {
        shown["saved_as"] = file.to_string().into();
        screen::line(&shown.to_string());
    } else {
        screen::line(&format!("{file}  {}", show_size(size)));
    }
    Ok(())
}

/// Answers with the file written and its size.
async fn download(link: &Link, info: &Info, output: Option<&Path>) -> Result<(PathBuf, u64)> {
    let path = path_of(&info.download_url)?;
    let name = match extension_of(&path) {
        Some(extension) if !info.filename.ends_with(&format!(".{extension}")) => {
            format!("{}.{extension}", info.filename)
        }
        _ => info.filename.clone(),
    };
    let file = target(output, &name, output.is_some_and(Path::is_dir))?;
    if output.is_none() && file.exists() {
        let here = std::fs::metadata(&file).map_or(0, |m| m.len());
        if here != info.file_size {
            let what = format!("{} is here already and is another file", file.display());
            return Err(
                Error::new(ErrorKind::InvalidState, what).with("suggestion", "choose a name with -o FILE")
            );
        }
        screen::remark(&format!("{} is here already", file.display()));
        return Ok((file, here));
    }
    let size = fetch(link.host(), &info.download_url, &file, info.file_size).await?;
    Ok((file, size))
}
