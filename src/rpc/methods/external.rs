//! Streams on the network.

use serde::Serialize;
use serde_json::{Map, Value};

use super::shared::line;
use crate::base::clock::iso8601;
use crate::base::{Error, Result};
use crate::external::{GENERIC, Options, Stream};
use crate::rpc::params::{Fields, Nothing, Params};
use crate::rpc::session::Call;

#[derive(Clone, Serialize)]
pub(super) struct Row {
    url: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    status: &'static str,
    discovered_at: String,
    last_seen: String,
    capabilities: Capabilities,
}

#[derive(Clone, Serialize)]
pub(super) struct Capabilities {
    protocol: String,
    format: String,
    source: String,
    stream_type: String,
    port: u16,
    stream_path: String,
    codec: String,
    metadata: Map<String, Value>,
}

impl Row {
    fn of(stream: Stream) -> Self {
        let known = stream.capabilities;
        Self {
            url: stream.url,
            kind: stream.kind,
            name: stream.name,
            status: if stream.works { "DISCOVERED" } else { "ERROR" },
            discovered_at: iso8601(stream.found_us),
            last_seen: iso8601(stream.seen_us),
            capabilities: Capabilities {
                protocol: known.protocol,
                format: known.format,
                source: known.source,
                stream_type: known.stream_type,
                port: known.port,
                stream_path: known.path,
                codec: known.codec,
                metadata: known.metadata,
            },
        }
    }
}

/// All rows, drones, and others.
fn sorted(streams: Vec<Stream>) -> (Vec<Row>, Vec<Row>, Vec<Row>) {
    let rows = |streams: Vec<Stream>| streams.into_iter().map(Row::of).collect();
    let (skydio, generic) = streams.iter().cloned().partition(Stream::is_skydio);
    (rows(streams), rows(skydio), rows(generic))
}

/// `{skydio_enabled?, generic_enabled?, force_rescan?, include_offline?}`.
pub(super) struct Search(Options);

impl Params for Search {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self(Options {
            skydio: fields.optional_switch("skydio_enabled")?.unwrap_or(true),
            generic: fields.optional_switch("generic_enabled")?.unwrap_or(false),
            force: fields.optional_switch("force_rescan")?.unwrap_or(false),
            offline: fields.optional_switch("include_offline")?.unwrap_or(false),
        }))
    }
}

#[derive(Serialize)]
pub(super) struct Found {
    discovered_streams: Vec<Row>,
    skydio_streams: Vec<Row>,
    generic_streams: Vec<Row>,
    scan_timestamp: String,
    total_found: usize,
    discovery_options: Asked,
    scan_duration: String,
    errors: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Asked {
    skydio_enabled: bool,
    generic_enabled: bool,
    force_rescan: bool,
    include_offline: bool,
}

pub(super) async fn discover(call: Call, Search(options): Search) -> Result<Found> {
    let scan = call.services.external.discover(options).await?;
    let (discovered_streams, skydio_streams, generic_streams) = sorted(scan.streams);
    Ok(Found {
        total_found: discovered_streams.len(),
        discovered_streams,
        skydio_streams,
        generic_streams,
        scan_timestamp: iso8601(scan.at_us),
        discovery_options: Asked {
            skydio_enabled: options.skydio,
            generic_enabled: options.generic,
            force_rescan: options.force,
            include_offline: options.offline,
        },
        scan_duration: format!("{:.1}s", scan.took.as_secs_f64()),
        errors: scan.errors,
    })
}

/// `{stream_url, stream_name, stream_type?}`.
pub(super) struct New {
    url: String,
    name: String,
    kind: String,
}

impl Params for New {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let hint = "a name for people, such as Yard";
        let url = url(fields)?;
        let name = line("stream_name", fields.string("stream_name", hint)?, 128, hint)?;
        let hint = "leave it out, or give a word such as generic_rtsp";
        let kind = fields.optional_string("stream_type", hint)?;
        let kind = kind.map(|kind| line("stream_type", kind, 64, hint)).transpose()?;
        Ok(Self { url, name, kind: kind.unwrap_or_else(|| GENERIC.into()) })
    }
}

/// An address in the form that the API document gives; whether it leads anywhere is judged later.
fn url(fields: &Fields<'_>) -> Result<String> {
    let hint = "write it like rtsp://user:password@192.168.1.20/stream1";
    let url = fields.string("stream_url", hint)?;
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("rtsp" | "rtsps")) {
        return Err(Error::param("stream_url", "must begin with rtsp:// or rtsps://", hint));
    }
    if !(8..=2048).contains(&url.chars().count()) {
        return Err(Error::param("stream_url", "must have 8 to 2048 characters", hint));
    }
    Ok(url)
}

#[derive(Serialize)]
pub(super) struct Added {
    stream_url: String,
    stream_name: String,
    stream_type: String,
    status: &'static str,
    timestamp: String,
}

pub(super) async fn add(call: Call, new: New) -> Result<Added> {
    let stream_url = call.services.external.add(&new.url, &new.name, &new.kind).await?;
    Ok(Added {
        stream_url,
        stream_name: new.name,
        stream_type: new.kind,
        status: "ADDED",
        timestamp: iso8601(call.services.clock.wall_us()),
    })
}

/// `{stream_url}`.
pub(super) struct Which(String);

impl Params for Which {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        url(fields).map(Self)
    }
}

#[derive(Serialize)]
pub(super) struct Removed {
    stream_url: String,
    status: &'static str,
    timestamp: String,
}

pub(super) async fn remove(call: Call, Which(url): Which) -> Result<Removed> {
    let stream_url = call.services.external.remove(&url).await?;
    Ok(Removed { stream_url, status: "REMOVED", timestamp: iso8601(call.services.clock.wall_us()) })
}

#[derive(Serialize)]
pub(super) struct Known {
    external_streams: Vec<Row>,
    skydio_streams: Vec<Row>,
    generic_streams: Vec<Row>,
    total_count: usize,
    timestamp: String,
}

pub(super) async fn list(call: Call, _: Nothing) -> Result<Known> {
    let (external_streams, skydio_streams, generic_streams) = sorted(call.services.external.list().await?);
    Ok(Known {
        total_count: external_streams.len(),
        external_streams,
        skydio_streams,
        generic_streams,
        timestamp: iso8601(call.services.clock.wall_us()),
    })
}

/// `{scan_interval}`.
pub(super) struct Interval(u64);

impl Params for Interval {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        let missing = || Error::param("scan_interval", "is required", "give seconds; 0 switches it off");
        fields.optional_integer("scan_interval", 0..=u64::MAX)?.map(Self).ok_or_else(missing)
    }
}

#[derive(Serialize)]
pub(super) struct Updated {
    scan_interval: u64,
    status: &'static str,
    message: String,
    timestamp: String,
}

pub(super) async fn set_interval(call: Call, Interval(asked): Interval) -> Result<Updated> {
    let seconds = call.services.external.set_interval(asked).await?;
    let message = match seconds {
        0 => "the network is not searched by itself".to_owned(),
        n if n == asked => format!("the network is searched every {n} s"),
        n => format!("the network is searched every {n} s, which is what comes nearest"),
    };
    let timestamp = iso8601(call.services.clock.wall_us());
    Ok(Updated { scan_interval: seconds, status: "UPDATED", message, timestamp })
}
