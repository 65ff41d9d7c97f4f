//! `ctl watch`: what happens on the box, one line for each event, through losses of the connection.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::ctrl_c;

use super::link::{Link, Note};
use super::{describe, screen};
use crate::base::backoff::Backoff;
use crate::base::{Clock, Error, ErrorKind, Result};

/// The names that older boxes and services know too.
const TOPICS: [&str; 6] = [
    "camera_status_update",
    "recording_status_update",
    "snapshot.taken",
    "system_health_update",
    "system.startup",
    "system.shutdown",
];

/// Prints events until Ctrl-C, which is a good end.
pub async fn watch(link: &mut Link, device: Option<String>, json: bool) -> Result<()> {
    let interrupted = ctrl_c();
    tokio::pin!(interrupted);
    tokio::select! {
        outcome = follow(link, device, json) => outcome,
        _ = &mut interrupted => Ok(()),
    }
}

async fn follow(link: &mut Link, device: Option<String>, json: bool) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        match listen(link, device.as_deref(), json, &mut backoff).await {
            Err(error) if !is_passing(&error) => return Err(error),
            Err(error) => {
                let what = describe(&error);
                let what = what.lines().next().unwrap_or_default();
                screen::remark(&format!("{what}; trying again"));
            }
            Ok(()) => {}
        }
        // Said once: the box may be away for hours.
        loop {
            tokio::time::sleep(backoff.delay_spread(1.0)).await;
            match link.reopen().await {
                Ok(()) => break,
                Err(error) if !is_passing(&error) => return Err(error),
                Err(_) => {}
            }
        }
        screen::remark(&format!("connected to {} again; what happened meanwhile is not shown", link.host()));
    }
}

async fn listen(link: &mut Link, device: Option<&str>, json: bool, backoff: &mut Backoff) -> Result<()> {
    let mut params = json!({ "topics": TOPICS });
    if let Some(device) = device {
        params["filters"] = json!({ "device": device });
    }
    link.call("subscribe_events", Some(params)).await?;
    backoff.reset();
    screen::remark(&format!("watching {}; Ctrl-C ends", link.host()));
    loop {
        let note = link.note().await?;
        if json {
            screen::line(&serde_json::to_string(&note).map_err(Error::internal)?);
        } else {
            let now = Clock::new().wall().strftime("%H:%M:%SZ").to_string();
            screen::line(&format!("{now}  {}", line(&note)));
        }
    }
}

/// The box or the network is away; anything else will not get better by itself.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DependencyFailed | ErrorKind::RateLimited)
}

/// One event in words.
fn line(note: &Note) -> String {
    let text = |name: &str| note.params[name].as_str().unwrap_or("?");
    match note.method.as_str() {
        "camera_status_update" => {
            let fps = note.params["fps"].as_u64().unwrap_or_default();
            let (device, status) = (text("device"), text("status"));
            format!("{device:<10} {status:<12} {} {fps} fps  {}", text("resolution"), text("name"))
        }
        "recording_status_update" => {
            let length = match note.params["duration"].as_u64() {
                Some(seconds) if text("status") == "STOPPED" => format!(" ({seconds} s)"),
                _ => String::new(),
            };
            format!("{:<10} {:<12} {}{length}", text("device"), text("status"), text("filename"))
        }
        "camera_control_update" => {
            let control = &note.params["control"];
            let (name, value) = (control["name"].as_str().unwrap_or("?"), &control["value"]);
            format!("{:<10} {:<12} {name} = {value}", text("device"), "CONTROL")
        }
        "snapshot.taken" => format!("{:<10} {:<12} {}", text("device"), "SNAPSHOT", text("filename")),
        "system_health_update" => format!("{:<10} {}", "box", text("status")),
        "system.startup" => format!("{:<10} STARTED", "box"),
        "system.shutdown" => format!("{:<10} STOPPING", "box"),
        other => {
            let params =
                if note.params.is_null() { Value::Object(Default::default()) } else { note.params.clone() };
            format!("{other} {params}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let note = |method: &str, params: Value| line(&Note { method: method.into(), params });
        let camera =
            json!({"device":"camera0","status":"ERROR","name":"Gate","resolution":"640x360","fps":30});
        assert_eq!(note("camera_status_update", camera), "camera0    ERROR        640x360 30 fps  Gate");
        let stopped = json!({"device":"camera0","status":"STOPPED","filename":"a","duration":5});
        assert_eq!(note("recording_status_update", stopped), "camera0    STOPPED      a (5 s)");
        assert_eq!(note("something.new", Value::Null), "something.new {}");
        assert_eq!(note("camera_status_update", json!([])), "?          ?            ? 0 fps  ?");
    }
}
