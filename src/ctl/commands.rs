//! One function for each command: ask, then show.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::args::{CtlArgs, CtlCommand};
use super::cameras;
use super::claim;
use super::control;
use super::diag;
use super::entered;
use super::find;
use super::host::{Host, Local, token_for};
use super::link::{Link, read};
use super::network;
use super::record;
use super::reply::{CameraList, FileList, ServerInfo, Snapshot, Status, StreamUrl};
use super::reset;
use super::screen;
use super::table::render;
use super::update;
use super::watch;
use crate::auth::LINK_LIFETIME;
use crate::base::units::show_size;
use crate::base::{CameraId, Error, ErrorKind, Result};

/// Runs a command.
pub async fn run(args: CtlArgs, local: impl FnOnce() -> Option<Local>) -> Result<()> {
    if let CtlCommand::Find { time } = args.command {
        return match args.host {
            None => find::find(time, args.json).await,
            Some(_) => {
                Err(Error::param("host", "cannot be given to `find`", "it looks at the whole network"))
            }
        };
    }
    let claims = matches!(args.command, CtlCommand::Claim { .. });
    let (host, token) = token_for(args.host.as_ref(), args.token_file.as_deref(), local)?;
    let host = args.fingerprint.into_iter().fold(host, Host::with_fingerprint);
    let opened = if claims { claim::open(&host).await } else { entered(&host, token).await };
    let mut link = opened.map_err(|e| if args.host.is_none() { not_here(e) } else { e })?;
    let (link, json) = (&mut link, args.json);
    match args.command {
        CtlCommand::Find { .. } => Ok(()),
        CtlCommand::Claim { code } => claim::claim(link, code, json).await,
        CtlCommand::Status => status(link, json).await,
        CtlCommand::Cameras => cameras::list(link, json).await,
        CtlCommand::Name { camera, name } => {
            let device = resolve(link, &camera).await?;
            cameras::name(link, &device, name.as_deref(), json).await
        }
        CtlCommand::Pin { camera, off } => {
            let device = resolve(link, &camera).await?;
            cameras::pin(link, &device, !off, json).await
        }
        CtlCommand::Forget { camera } => {
            let device = resolve(link, &camera).await?;
            cameras::forget(link, &device, json).await
        }
        CtlCommand::Watch { camera } => {
            let device = match camera {
                Some(camera) => Some(resolve(link, &camera).await?),
                None => None,
            };
            watch::watch(link, device, json).await
        }
        CtlCommand::Snapshot { camera, output } => {
            let device = resolve(link, &camera).await?;
            let taken: Snapshot = link.ask("take_snapshot", json!({ "device": device })).await?;
            record::get(link, &taken.filename, output.as_deref(), json).await
        }
        CtlCommand::Record { camera, duration, output } => {
            let device = resolve(link, &camera).await?;
            record::record(link, &device, duration, output.as_deref(), json).await
        }
        CtlCommand::Recordings { limit, offset } => recordings(link, limit, offset, json).await,
        CtlCommand::Get { name, output } => record::get(link, &name, output.as_deref(), json).await,
        CtlCommand::Control { camera, name, value } => {
            let device = resolve(link, &camera).await?;
            control::control(link, &device, name.as_deref(), value.as_deref(), json).await
        }
        CtlCommand::Update { bundle, reboot, allow_downgrade } => {
            let wish = update::Wish { bundle: bundle.as_deref(), reboot, allow_downgrade };
            update::update(link, wish, json).await
        }
        CtlCommand::Network { command } => network::network(link, command, json).await,
        CtlCommand::Diag { output } => diag::diag(link, output.as_deref(), json).await,
        CtlCommand::Reload { force } => reload(link, force, json).await,
        CtlCommand::FactoryReset { confirm, keep_recordings } => {
            reset::reset(link, confirm, keep_recordings, json).await
        }
        CtlCommand::Stream { camera } => stream(link, &camera, json).await,
        CtlCommand::Call { method, params } => {
            let result = link.call(&method, params).await?;
            let pretty = || serde_json::to_string_pretty(&read::<Value>(&result)?).map_err(Error::internal);
            screen::line(&if json { result.get().to_owned() } else { pretty()? });
            Ok(())
        }
    }
}

/// Nobody said which box, and there is none on this machine, or none that this user may enter.
fn not_here(error: Error) -> Error {
    let next =
        ["suggestion", "hint"].iter().find_map(|key| error.data().get(*key)?.as_str().map(str::to_owned));
    let find = "`fieldcam ctl find` lists the boxes of this network, and --host says which one is meant";
    let next = next.map_or_else(|| find.to_owned(), |next| format!("{next}; {find}"));
    error.with("suggestion", next)
}

async fn reload(link: &mut Link, force: bool, json: bool) -> Result<()> {
    let answer = link.call("reload_config", Some(json!({ "force": force }))).await;
    let raw = answer.inspect_err(|error| {
        for mistake in error.data().get("mistakes").and_then(Value::as_array).into_iter().flatten() {
            screen::remark(mistake.as_str().unwrap_or_default());
        }
    })?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let report: Value = read(&raw)?;
    let list = |name: &str| {
        let items = report[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        items.collect::<Vec<_>>().join(", ")
    };
    for (name, words) in [
        ("added", "added"),
        ("changed", "changed"),
        ("removed", "removed"),
        ("unchanged", "unchanged"),
        ("settings", "settings"),
        ("needs_restart", "needs a restart"),
    ] {
        let items = list(name);
        if !items.is_empty() {
            screen::line(&format!("{words:<15}  {items}"));
        }
    }
    Ok(())
}

/// The id of the camera that a person means: an id, or a name as `cameras` shows it.
async fn resolve(link: &mut Link, text: &str) -> Result<String> {
    if text.parse::<CameraId>().is_ok() {
        return Ok(text.to_owned());
    }
    let list: CameraList = link.ask("get_camera_list", Value::Null).await?;
    let mut named = list.cameras.iter().filter(|c| c.name.to_lowercase() == text.to_lowercase());
    match (named.next(), named.next()) {
        (Some(camera), None) => Ok(camera.device.clone()),
        (Some(_), Some(_)) => {
            Err(Error::new(ErrorKind::NotFound, format!("Several cameras are named {text:?}"))
                .with("suggestion", "use the id from `fieldcam ctl cameras`"))
        }
        _ => {
            let known: Vec<_> = list.cameras.iter().map(|c| c.device.as_str()).collect();
            let known = if known.is_empty() {
                "this box has none".into()
            } else {
                format!("there are {}", known.join(", "))
            };
            Err(Error::new(ErrorKind::NotFound, format!("Camera not found: {text:?}"))
                .with("suggestion", known))
        }
    }
}

async fn recordings(link: &mut Link, limit: u32, offset: u64, json: bool) -> Result<()> {
    let raw = link.call("list_recordings", Some(json!({ "limit": limit, "offset": offset }))).await?;
    if json {
        screen::line(raw.get());
        return Ok(());
    }
    let list: FileList = read(&raw)?;
    if list.files.is_empty() {
        screen::line(if list.total == 0 { "no recordings" } else { "no recordings that far back" });
        return Ok(());
    }
    let row = |f: &super::reply::File| {
        let duration = f.duration.map_or_else(|| "-".into(), show_time);
        vec![f.filename.clone(), show_size(f.file_size), duration, f.modified_time.clone()]
    };
    screen::line(&render(
        &["NAME", "SIZE", "LENGTH", "MODIFIED"],
        &list.files.iter().map(row).collect::<Vec<_>>(),
    ));
    let shown = offset + list.files.len() as u64;
    if shown < list.total {
        screen::remark(&format!("{} more: --offset {shown}", list.total - shown));
    }
    Ok(())
}

/// `1:02:03` or `2:03`.
fn show_time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// The ways to watch besides RTSP, as `protocol` of get_stream_url.
const LINKS: [&str; 3] = ["hls", "webrtc", "page"];

async fn stream(link: &mut Link, camera: &str, json: bool) -> Result<()> {
    let device = resolve(link, camera).await?;
    let raw = link.call("get_stream_url", Some(json!({ "device": device }))).await?;
    let mut links = Vec::new();
    for protocol in LINKS {
        let ask = json!({ "device": device, "protocol": protocol });
        match link.ask::<StreamUrl>("get_stream_url", ask).await {
            Ok(url) => links.push((protocol, link.host().zoned(&url.stream_url))),
            // A box of an earlier version.
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::InvalidParams) => {}
            Err(e) => return Err(e),
        }
    }
    let until = link.expires_at().map(str::to_owned);
    if json {
        let mut all: serde_json::Map<String, Value> = read(&raw)?;
        if let Some(Value::String(url)) = all.get_mut("stream_url") {
            *url = link.host().zoned(url);
        }
        all.extend(links.into_iter().map(|(protocol, url)| (protocol.to_owned(), url.into())));
        all.insert("valid_until".into(), until.into());
        screen::line(&Value::Object(all).to_string());
        return Ok(());
    }
    let url: StreamUrl = read(&raw)?;
    let line = |name: &str, text: &str| screen::line(&format!("{name:<11}  {text}"));
    line("rtsp", &link.host().zoned(&url.stream_url));
    links.iter().for_each(|(protocol, url)| line(protocol, url));
    if let Some(until) = until {
        line("valid until", &until);
        if !links.is_empty() {
            let minutes = LINK_LIFETIME.as_secs() / 60;
            screen::remark(&format!(
                "open hls, webrtc or page within {minutes} minutes; what is open plays until then too"
            ));
        }
    }
    if link.host().has_zone() {
        screen::remark(
            "browsers take no address with a zone: hls, webrtc and page open by the box's name or IPv4 address; \
             `fieldcam ctl find` lists them",
        );
    }
    if url.stream_status == "ERROR" {
        screen::remark("the camera does not deliver at present; see `fieldcam ctl cameras`");
    }
    Ok(())
}

async fn status(link: &mut Link, json: bool) -> Result<()> {
    // A viewer may not see the health; the rest of the answer is still worth having.
    let health = match link.call("get_status", None).await {
        Ok(raw) => Some(raw),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => None,
        Err(e) => return Err(e),
    };
    let server = link.call("get_server_info", None).await?;
    let cameras = link.call("get_camera_list", None).await?;
    if json {
        let part =
            |raw: &Option<Box<RawValue>>| raw.as_ref().map_or("null".to_owned(), |r| r.get().to_owned());
        let (server, cameras) = (server.get(), cameras.get());
        screen::line(&format!(r#"{{"status":{},"server":{server},"cameras":{cameras}}}"#, part(&health)));
        return Ok(());
    }
    let server: ServerInfo = read(&server)?;
    screen::line(&format!("{} {} on {} ({})", server.name, server.version, link.host(), server.architecture));
    if let Some(fingerprint) = &server.tls_fingerprint {
        screen::line(&format!("certificate {fingerprint}"));
    }
    match health.map(|raw| read::<Status>(&raw)).transpose()? {
        Some(health) => {
            screen::line(&format!("{}, up {}", health.status, show_time(health.uptime.max(0.0) as u64)));
            for (part, state) in &health.components {
                screen::line(&format!("  {part:<17} {}", state.as_str().unwrap_or("?")));
            }
        }
        None => screen::line("health: needs a token with the role admin"),
    }
    let list: CameraList = read(&cameras)?;
    screen::line(&format!("{} of {} cameras connected", list.connected, list.total));
    if !list.cameras.is_empty() {
        screen::line(&cameras::table(&list, &[]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_player_shows_them() {
        assert_eq!(show_time(9), "0:09");
        assert_eq!(show_time(3723), "1:02:03");
    }
}
