//! One search of the network.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::Map;
use url::{Position, Url};

use super::ask::{Said, ask};
use super::family::{Family, GENERIC, HOSTS_MAX, SKYDIO, Target, targets};
use super::found::{Capabilities, Stream};
use super::onvif;
use crate::config::HostEntry;
use crate::reach::{Reach, in_words, own_addresses};

/// Servers that are asked at a time: 256 hosts of which none answers, at five ports, take 10 s so.
const AT_ONCE: usize = 128;
/// A whole search; what was found until then counts.
const LIMIT: Duration = Duration::from_secs(20);
/// Streams of one search.
const STREAMS_MAX: usize = 256;
const ERRORS_MAX: usize = 16;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Drones.
    pub skydio: bool,
    /// Any RTSP server, and ONVIF devices.
    pub generic: bool,
    /// The last search is no answer.
    pub force: bool,
    /// Streams that answered before and don't now, too.
    pub offline: bool,
}

impl Options {
    pub(super) fn same_search(&self, other: &Self) -> bool {
        (self.skydio, self.generic) == (other.skydio, other.generic)
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Drones first.
    pub streams: Vec<Stream>,
    /// When it ended, microseconds since 1970.
    pub at_us: i64,
    /// How long it took.
    pub took: Duration,
    /// What went wrong, for people.
    pub errors: Vec<String>,
}

#[derive(Default)]
pub(super) struct Outcome {
    pub streams: Vec<Stream>,
    pub errors: Vec<String>,
}

impl Outcome {
    fn tell(&mut self, error: String) {
        if self.errors.len() < ERRORS_MAX && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn found(&mut self, stream: Stream) {
        if self.streams.len() < STREAMS_MAX && !self.streams.iter().any(|s| s.identity == stream.identity) {
            self.streams.push(stream);
        }
    }
}

/// Looks for what `options` say at the hosts that are `allowed`.
pub(super) async fn run(options: &Options, allowed: &[HostEntry], reach: &Reach) -> Outcome {
    let (mut out, mut named) = (Outcome::default(), Outcome::default());
    let asked = async {
        if options.skydio {
            servers(&SKYDIO, allowed, reach, &mut out).await;
        }
        if options.generic {
            servers(&GENERIC, allowed, reach, &mut out).await;
        }
    };
    let called = async {
        if options.generic {
            devices(reach, &mut named).await;
        }
    };
    let all = async { tokio::join!(asked, called) };
    if tokio::time::timeout(LIMIT, all).await.is_err() {
        out.tell(format!("the search was ended after {} s; allow fewer hosts", LIMIT.as_secs()));
    }
    named.streams.into_iter().for_each(|stream| out.found(stream));
    named.errors.into_iter().for_each(|error| out.tell(error));
    out.streams.sort_by(|a, b| (!a.is_skydio(), &a.url).cmp(&(!b.is_skydio(), &b.url)));
    out
}

async fn servers(family: &'static Family, allowed: &[HostEntry], reach: &Reach, out: &mut Outcome) {
    let (targets, left_out) = targets(family, allowed);
    if left_out {
        out.tell(format!("only the first {HOSTS_MAX} hosts of discovery.allowed_hosts are looked at"));
    }
    let mut answers = iter(targets)
        .map(|target| async move {
            let said = server(family, &target, reach).await;
            (target, said)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((target, said)) = answers.next().await {
        match said {
            Ok(Some(said)) => enter(family, &target, said, out),
            Ok(None) => {}
            Err(why) => out.tell(why),
        }
        // Judging an address is work and no waiting: others have their turn between two.
        tokio::task::yield_now().await;
    }
}

type Paths = Vec<(String, Said)>;

/// What one server says; nothing when none answers. The address that is connected to is the one judged.
async fn server(family: &Family, target: &Target, reach: &Reach) -> Result<Option<Paths>, String> {
    let addresses = match reach.resolve(&target.host, target.port).await {
        Ok(addresses) => addresses,
        // A range may well hold the box itself.
        Err(_) if !target.named => return Ok(None),
        Err(error) => return Err(format!("{}: {}", target.host, in_words(&error))),
    };
    let paths: Vec<_> = family.paths.iter().map(|(path, ..)| *path).collect();
    let Some(address) = addresses.first() else { return Ok(None) };
    Ok(ask(*address, &bracketed(&target.host), &paths).await)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn enter(family: &'static Family, target: &Target, said: Paths, out: &mut Outcome) {
    let any = said.iter().any(|(_, said)| matches!(said, Said::Stream { .. }));
    let mut asked_for_login = false;
    for ((path, said), (_, _, name)) in said.into_iter().zip(family.paths) {
        let mut metadata = Map::new();
        let (works, codec) = match said {
            Said::Stream { codec, server } => {
                if !server.is_empty() {
                    metadata.insert("server".into(), server.into());
                }
                (true, codec)
            }
            // Many servers want a log-in before they tell which paths there are: one row tells it all. A
            // drone has none, so this is no drone.
            Said::Login(kind) if !any && !asked_for_login && family.kind == GENERIC.kind => {
                asked_for_login = true;
                metadata.insert("login".into(), kind.into());
                (false, String::new())
            }
            Said::Moved => {
                out.tell(format!("{}: it sends elsewhere, which is not followed", target.host));
                continue;
            }
            Said::Login(_) | Said::Nothing => continue,
        };
        let text = format!("rtsp://{}:{}{path}", bracketed(&target.host), target.port);
        let Ok(url) = Url::parse(&text) else { continue };
        let capabilities = Capabilities::of(family, &url, codec, metadata);
        let name =
            if family.kind == SKYDIO.kind { (*name).into() } else { format!("{name} {}", target.host) };
        out.found(Stream::new(family, &url, name, works, capabilities));
    }
}

/// Devices that answer ONVIF's call, each with the stream that it names.
async fn devices(reach: &Reach, out: &mut Outcome) {
    let four = own_addresses().into_iter().filter_map(|own| match own {
        IpAddr::V4(four) if !four.is_loopback() => Some(four),
        _ => None,
    });
    let devices = match onvif::devices(&four.collect::<Vec<_>>()).await {
        Ok(devices) => devices,
        Err(error) => {
            tracing::debug!("no ONVIF search: {error}");
            out.tell("the network takes no ONVIF search (multicast)".into());
            return;
        }
    };
    let mut answers = iter(devices)
        .map(|device| async move {
            let outcome = match onvif::stream(reach, &device).await {
                Ok(Some((url, at))) => Ok(named(url, at).await),
                Ok(None) => Err("does not tell strangers its stream".to_owned()),
                Err(error) => Err(in_words(&error)),
            };
            (device.host, outcome)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((host, outcome)) = answers.next().await {
        match outcome {
            Ok(stream) => out.found(stream),
            Err(why) => out.tell(format!("{host}, an ONVIF device: {why}")),
        }
    }
}

/// The stream that a device names, asked for what it is.
async fn named(url: Url, at: SocketAddr) -> Stream {
    let mut metadata = Map::new();
    metadata.insert("onvif".into(), true.into());
    let host = url.host_str().unwrap_or_default().to_owned();
    let path = &url[Position::BeforePath..Position::AfterQuery];
    // What is encrypted is believed.
    let said = if url.scheme() == "rtsp" { ask(at, &host, &[path]).await } else { None };
    let (works, codec) = match said.and_then(|said| said.into_iter().next()) {
        Some((_, Said::Stream { codec, .. })) => (true, codec),
        Some((_, Said::Login(kind))) => {
            metadata.insert("login".into(), kind.into());
            (false, String::new())
        }
        Some((_, Said::Moved | Said::Nothing)) => (false, String::new()),
        None => (url.scheme() != "rtsp", String::new()),
    };
    let capabilities = Capabilities::of(&GENERIC, &url, codec, metadata);
    Stream::new(&GENERIC, &url, format!("ONVIF camera {host}"), works, capabilities)
}

#[cfg(test)]
mod tests;
