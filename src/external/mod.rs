//! Streams on the network: looked for, and added as cameras.
//!
//! Owns the search (bounded in time, sockets and memory) and what it found. Promises: nothing is connected
//! to that `reach` does not allow, no redirect is followed, an added stream is a camera that comes back
//! after a restart, and no password leaves the room. Costs nothing until somebody searches or an interval
//! is set; then at most 128 sockets for at most 20 s.

mod answer;
mod ask;
mod family;
mod found;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod onvif;
mod search;
mod soap;
mod xml;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::{Clock, Error, Mono, Result};
use crate::config::{Discovery, RtspUrl, SourceSpec, hide_pairs};
use crate::log;
use crate::pipeline::{CameraStatus, Cameras};
use crate::reach::{Host, Reach, read_host};
use crate::reload::Reloader;
use crate::store::{ExternalRow, Store};
use crate::supervise::Group;

use family::Family;
use found::Catalogue;
pub use found::{Capabilities, Stream};
pub use search::{Options, Scan};

/// More cameras than a box of this size records.
const CAMERAS_MAX: usize = 64;
/// A search younger than this is answered again.
const FRESH: Duration = Duration::from_secs(30);
/// A stream that was added without saying what it is.
pub const GENERIC: &str = family::GENERIC.kind;

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct External(Arc<Inner>);

struct Inner {
    reach: Reach,
    reloader: Reloader,
    discovery: watch::Receiver<Discovery>,
    store: Store,
    cameras: Cameras,
    clock: Clock,
    found: Mutex<Catalogue>,
    /// One search at a time; the last one's begin and outcome.
    last: tokio::sync::Mutex<Option<(Mono, Options, Scan)>>,
}

impl External {
    /// Searches in `group` as often as the configuration says.
    pub fn start(
        reach: &Reach,
        reloader: Reloader,
        store: Store,
        cameras: Cameras,
        clock: Clock,
        group: &Group,
    ) -> Self {
        let discovery = reloader.discovery();
        let external = Self(Arc::new(Inner {
            reach: reach.apart(),
            reloader,
            discovery: discovery.clone(),
            store,
            cameras,
            clock,
            found: Mutex::default(),
            last: tokio::sync::Mutex::default(),
        }));
        let (searching, stop) = (external.clone(), group.stop().clone());
        group.spawn("search for streams", async move {
            stop.run_until_cancelled(searching.keep_searching(discovery)).await;
        });
        external
    }

    async fn keep_searching(&self, mut discovery: watch::Receiver<Discovery>) {
        loop {
            let now = discovery.borrow_and_update().clone();
            if !now.external_enabled || now.interval.is_zero() {
                if discovery.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let options = Options { skydio: true, generic: true, force: true, offline: false };
            match self.discover(options).await {
                Ok(scan) => tracing::debug!(found = scan.streams.len(), "searched the network"),
                Err(error) => tracing::warn!("the network was not searched: {}", error.chain()),
            }
            // A new interval counts from now on, not after the old one.
            tokio::select! {
                () = tokio::time::sleep(now.interval) => {}
                changed = discovery.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether the box looks for streams: by itself from time to time, or right now. Never waits.
    pub fn is_searching(&self) -> bool {
        let discovery = self.0.discovery.borrow();
        let by_itself = discovery.external_enabled && !discovery.interval.is_zero();
        by_itself || self.0.last.try_lock().is_err()
    }

    fn enabled(&self) -> Result<Discovery> {
        let discovery = self.0.discovery.borrow().clone();
        if discovery.external_enabled {
            return Ok(discovery);
        }
        Err(Error::unsupported("external_streams", "network streams are switched off in the configuration")
            .with("reason", "feature_disabled")
            .with("suggestion", "set discovery.external_enabled = true in the box's configuration"))
    }

    /// Looks for streams; answers from the last search when that is younger than 30 s and asked the same.
    /// Who asks while one is under way waits for it; a new one that all of these forced is one.
    ///
    /// Fails with `Unsupported` (reason `feature_disabled`) where it is switched off.
    pub async fn discover(&self, options: Options) -> Result<Scan> {
        let discovery = self.enabled()?;
        let called = Mono::now();
        let mut last = self.0.last.lock().await;
        if let Some((begun, asked, scan)) = &*last
            && asked.same_search(&options)
            && (*begun >= called || !options.force && called.since(*begun) < FRESH)
        {
            return Ok(self.with_offline(scan.clone(), &options));
        }
        let begun = Mono::now();
        let outcome = search::run(&options, &discovery.allowed_hosts, &self.0.reach).await;
        let now_us = self.0.clock.wall_us();
        let streams = self.found().note(outcome.streams, now_us);
        let took = Mono::now().since(begun);
        let scan = Scan { streams, at_us: now_us, took, errors: outcome.errors };
        *last = Some((begun, options, scan.clone()));
        Ok(self.with_offline(scan, &options))
    }

    fn with_offline(&self, mut scan: Scan, options: &Options) -> Scan {
        if options.offline {
            let known = self.found().all();
            let wanted = |s: &Stream| if s.is_skydio() { options.skydio } else { options.generic };
            let missing = known.into_iter().filter(wanted);
            let missing: Vec<_> =
                missing.filter(|s| !scan.streams.iter().any(|t| t.identity == s.identity)).collect();
            scan.streams.extend(missing.into_iter().map(|s| Stream { works: false, ..s }));
        }
        scan
    }

    /// Makes a stream a camera and keeps it; answers with its address as it may be shown.
    ///
    /// Fails with `Unsupported` where it is switched off, `InvalidParams` for an address that cannot be or is
    /// not allowed, and `InvalidState` when it is a camera already.
    pub async fn add(&self, url: &str, name: &str, kind: &str) -> Result<String> {
        let parsed = parse(url)?;
        self.enabled()?;
        // A name that no name server knows now may be known when the camera is switched on.
        match self.0.reach.resolve(parsed.host(), parsed.port()).await {
            Err(error) if error.kind() == crate::base::ErrorKind::DependencyFailed => {}
            other => drop(other?),
        }
        parsed.secrets().iter().for_each(log::hide);
        let row = ExternalRow {
            identity: parsed.identity(),
            url: crate::base::Secret::new(parsed.expose().as_str()),
            name: name.to_owned(),
            kind: kind.to_owned(),
            added_us: self.0.clock.wall_us(),
        };
        let id = self.0.reloader.add(row, CAMERAS_MAX).await?;
        tracing::info!(camera = %id, "a network stream was added: {parsed}");
        Ok(shown(&parsed))
    }

    /// Gives an added stream up; answers with its address as it may be shown. Credentials in `url` don't
    /// matter.
    ///
    /// Fails with `NotFound` when it was not added, and with `InvalidState` while it is recorded.
    pub async fn remove(&self, url: &str) -> Result<String> {
        let parsed = parse(url)?;
        self.0.reloader.remove(&parsed.identity()).await?;
        tracing::info!("a network stream was removed: {parsed}");
        Ok(shown(&parsed))
    }

    /// Every stream that was added, then those that were found and not added.
    pub async fn list(&self) -> Result<Vec<Stream>> {
        let now_us = self.0.clock.wall_us();
        let defs = self.0.cameras.defs();
        let mut all = Vec::new();
        for row in self.0.store.external_streams().await? {
            let Ok(SourceSpec::Rtsp(url)) = row.url.expose().parse() else { continue };
            let camera = defs.iter().find(|def| def.identity == row.identity);
            let view = camera.and_then(|def| self.0.cameras.get(def.id).ok());
            let works = view.as_ref().is_some_and(|v| v.status == CameraStatus::Connected);
            let codec = view.as_ref().and_then(|v| v.stream.codec.clone()).unwrap_or_default();
            let mut metadata = serde_json::Map::new();
            metadata.insert("added".into(), true.into());
            if let Some(def) = camera {
                metadata.insert("device".into(), def.id.to_string().into());
            }
            let family = Family::of(&row.kind);
            all.push(Stream {
                identity: row.identity,
                url: shown(&url),
                kind: row.kind,
                name: row.name,
                works,
                found_us: row.added_us,
                seen_us: if works { now_us } else { row.added_us },
                capabilities: Capabilities::of(family, url.expose(), codec.to_ascii_lowercase(), metadata),
            });
        }
        let found = self.found().all();
        let new: Vec<_> =
            found.into_iter().filter(|s| !all.iter().any(|t| t.identity == s.identity)).collect();
        all.extend(new);
        Ok(all)
    }

    /// Sets and keeps how often the network is searched, in force at once; zero is never. Answers with what
    /// is in force: no longer than a year, and no shorter than 10 s.
    ///
    /// Fails with `Unsupported` where it is switched off.
    pub async fn set_interval(&self, seconds: u64) -> Result<u64> {
        self.enabled()?;
        let seconds = if seconds == 0 { 0 } else { seconds.clamp(10, 365 * 86_400) };
        self.0.reloader.set_discovery_interval(Duration::from_secs(seconds)).await?;
        Ok(seconds)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Catalogue> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a stream's address as the API takes it.
fn parse(text: &str) -> Result<RtspUrl> {
    let hint = "write it like rtsp://user:password@192.168.1.20/stream1";
    let refuse = |rule: &str| Error::param("stream_url", rule, hint).with("suggestion", hint);
    if text.len() > 2048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(refuse("must be a URL of at most 2048 printable ASCII characters"));
    }
    // A scheme is the same in capitals.
    let lower = text.find("://").map(|at| text[..at].to_ascii_lowercase() + &text[at..]);
    let lower = lower.filter(|t| t.starts_with("rtsp://") || t.starts_with("rtsps://"));
    let lower = lower.ok_or_else(|| refuse("must begin with rtsp:// or rtsps://"))?;
    let Ok(SourceSpec::Rtsp(url)) = lower.parse() else {
        return Err(refuse("is not an address of a stream; write special characters as %40 and the like"));
    };
    let inner = url.expose();
    if inner.username().is_empty() != inner.password().is_none_or(str::is_empty) {
        return Err(refuse("must hold both user and password, or neither"));
    }
    let bytes = lower.as_bytes();
    let broken = |(i, b): (usize, &u8)| {
        *b == b'%' && !bytes.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if bytes.iter().enumerate().any(broken) || lower.contains(['<', '>', '"', '\\', '^', '`', '{', '|', '}'])
    {
        return Err(refuse("holds a character that must be percent-encoded"));
    }
    // Written otherwise it would be another camera to the list, and the same to the network.
    match read_host(url.host()).map_err(|refusal| refusal.error())? {
        Host::Name(_) => Ok(url),
        Host::Address(address) => {
            let mut plain = inner.clone();
            let text = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            plain.set_host(Some(&text)).map_err(|_| refuse("names no host"))?;
            match plain.as_str().parse() {
                Ok(SourceSpec::Rtsp(url)) => Ok(url),
                _ => Err(refuse("names no host")),
            }
        }
    }
}

/// An address without what logs in: user, password, and pairs in its query that tell one.
fn shown(url: &RtspUrl) -> String {
    let mut bare = url.expose().clone();
    let cleared = bare.set_username("").is_ok() && bare.set_password(None).is_ok();
    if cleared { hide_pairs(bare.as_str()) } else { url.identity() }
}

#[cfg(test)]
mod tests;
