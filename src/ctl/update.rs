//! `ctl update`: sends a new version to the box, and follows it.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::link::{Link, read};
use super::progress::Progress;
use super::table::render;
use super::{screen, web};
use crate::base::{Error, ErrorKind, Result};

/// What the command line asks for.
pub struct Wish<'a> {
    /// A file here, or an address that the box fetches; none: only tell how it stands.
    pub bundle: Option<&'a str>,
    /// Restart the box when it is installed.
    pub reboot: bool,
    /// Take an older version too.
    pub allow_downgrade: bool,
}

#[derive(Debug, Deserialize)]
struct Status {
    state: String,
    message: String,
    version: String,
    #[serde(default)]
    slots: Vec<Slot>,
    progress: Step,
    last_error: Option<Fault>,
    commit: Option<Commit>,
}

#[derive(Debug, Deserialize)]
struct Slot {
    name: String,
    booted: bool,
    next: bool,
    bootable: bool,
    version: Option<String>,
    tries_left: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Step {
    percent: u64,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Fault {
    reason: String,
    message: String,
    suggestion: String,
}

#[derive(Debug, Deserialize)]
struct Commit {
    seconds_left: u64,
    waiting_for: Vec<String>,
}

/// Does what is asked and tells how it ended.
pub async fn update(link: &mut Link, wish: Wish<'_>, json: bool) -> Result<()> {
    let Some(bundle) = wish.bundle else {
        if wish.reboot {
            return restart(link, json).await;
        }
        return status(link, json).await;
    };
    // From here on each step is heard of.
    link.call("subscribe_events", Some(json!({ "topics": ["update_status_update"] }))).await?;
    let mut params = json!({ "allow_downgrade": wish.allow_downgrade });
    if bundle.starts_with("http://") || bundle.starts_with("https://") {
        params["url"] = bundle.into();
    } else {
        let (name, sha256) = send(link, Path::new(bundle)).await?;
        params["file"] = name.into();
        params["sha256"] = sha256.into();
    }
    let begun: Status = link.ask("install_update", params).await?;
    let installed = follow(link, begun).await?;
    if wish.reboot {
        screen::remark(&installed.message);
        return restart(link, json).await;
    }
    if json {
        return status(link, true).await;
    }
    screen::line(&installed.message);
    Ok(())
}

async fn restart(link: &mut Link, json: bool) -> Result<()> {
    let raw = match link.call("reboot", Some(json!({}))).await {
        // A box that stops at once may end the connection before its answer is out.
        Err(_) if link.is_stopped() => {
            serde_json::value::to_raw_value(&json!({})).map_err(Error::internal)?
        }
        answer => answer?,
    };
    if json {
        screen::line(raw.get());
    } else {
        screen::line("the box restarts; `fieldcam ctl update` tells afterwards whether the version is kept");
    }
    Ok(())
}

/// Sends the file. Answers with its name on the box and its checksum, as the box worked it out.
async fn send(link: &Link, file: &Path) -> Result<(String, String)> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".raucb").unwrap_or(&name).to_owned();
    let unreadable = |e: std::io::Error| {
        Error::dependency("disk", format!("{} cannot be read: {e}", file.display()))
            .with("suggestion", "give the bundle's file, NAME.raucb, or its http:// address")
    };
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let size = opened.metadata().map_err(unreadable)?.len();
    let mut progress = Progress::bytes(&format!("sending {name}"), size);
    let sent = web::put(link, &format!("/update/{name}.raucb"), opened, size, &mut progress).await;
    progress.finish();
    let stored = sent?;
    let text = |key: &str| stored[key].as_str().map(str::to_owned);
    match (text("name"), text("sha256")) {
        (Some(name), Some(sum)) => Ok((name, sum)),
        _ => Err(Error::new(ErrorKind::DependencyFailed, "The box answered in an unknown form")),
    }
}

/// Shows each step until the version is installed.
async fn follow(link: &mut Link, begun: Status) -> Result<Status> {
    let mut progress = Progress::percent("installing");
    let mut now = begun;
    loop {
        match now.state.as_str() {
            "installed" => {
                progress.finish();
                return Ok(now);
            }
            "failed" => {
                progress.finish();
                let fault = now.last_error.unwrap_or_else(|| Fault {
                    reason: "install_failed".into(),
                    message: now.message,
                    suggestion: "try again".into(),
                });
                return Err(Error::new(ErrorKind::InvalidState, format!("Not installed: {}", fault.message))
                    .with("reason", fault.reason)
                    .with("suggestion", fault.suggestion));
            }
            _ => progress.set(now.progress.percent, &now.progress.message),
        }
        let note = link.note().await?;
        if note.method == "update_status_update" {
            now = serde_json::from_value(note.params).map_err(Error::internal)?;
        }
    }
}

async fn status(link: &mut Link, json: bool) -> Result<()> {
    let raw = link.call("update_status", None).await?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let status: Status = read(&raw)?;
    screen::line(&format!("version    {}", status.version));
    screen::line(&format!("state      {}: {}", status.state, status.message));
    if let Some(commit) = status.commit.filter(|commit| !commit.waiting_for.is_empty()) {
        screen::line(&format!("waits for  {} ({} s)", commit.waiting_for.join(", "), commit.seconds_left));
    }
    if let Some(fault) = status.last_error {
        screen::line(&format!("last error {}; {}", fault.message, fault.suggestion));
    }
    let yes = |is: bool| if is { "yes" } else { "-" }.to_owned();
    let row = |slot: &Slot| {
        vec![
            slot.name.clone(),
            slot.version.clone().unwrap_or_else(|| "-".into()),
            yes(slot.booted),
            yes(slot.next),
            yes(slot.bootable),
            slot.tries_left.map_or_else(|| "-".into(), |left| left.to_string()),
        ]
    };
    let rows: Vec<_> = status.slots.iter().map(row).collect();
    screen::line(&render(&["SLOT", "VERSION", "RUNS", "NEXT", "BOOTABLE", "TRIES LEFT"], &rows));
    Ok(())
}
