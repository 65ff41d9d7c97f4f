//! Putting the room together: run directory, ports, listener, first start, background tasks.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::api::{Api, Door};
use super::arrivals::Arrivals;
use super::callback::{self, Desk};
use super::doors::Doors;
use super::handle::{Desired, Inner, MediaMtx};
use super::place::Place;
use super::server::Server;
use super::wake::Bell;
use super::{Endpoints, Gate, MediaMtxOptions, follow, ports};
use crate::base::{Error, Result};
use crate::supervise::{Group, Spawner};
use crate::tls::Tls;

/// Wake-ups kept while the pipeline is busy; more than a box has cameras.
const WAKES: usize = 256;
/// First starts, when ports were left to us.
const TRIES: u32 = 3;
/// Failed pulls that a slow listener may miss; each camera only waits for its own next one.
const FAILURES: usize = 64;

impl MediaMtx {
    /// Starts MediaMTX in `group` and waits until it answers. Fails, with no process left running, when
    /// the first start does; whatever ends it later is answered with a restart.
    pub async fn start(
        options: MediaMtxOptions,
        group: &Group,
        spawner: &Spawner,
        gate: Arc<dyn Gate>,
    ) -> Result<Self> {
        // A port that was found free may be another box's a moment later.
        for _ in 1..TRIES {
            match Self::try_start(options.clone(), group, spawner, gate.clone()).await {
                Err(e) if ports::may_be_at_fault(options.listens, &e) => {
                    tracing::warn!("other ports are tried: {}", e.chain());
                }
                other => return other,
            }
        }
        Self::try_start(options, group, spawner, gate).await
    }

    async fn try_start(
        options: MediaMtxOptions,
        group: &Group,
        spawner: &Spawner,
        gate: Arc<dyn Gate>,
    ) -> Result<Self> {
        check_options(&options)?;
        let mut desired = Desired::new();
        for spec in &options.paths {
            spec.check()?;
            desired.insert(spec.name.clone(), (spec.clone(), 0));
        }
        make_run_dir(&options.run_dir)?;
        let bell = Bell::hang(&options.run_dir)
            .map_err(|e| Error::dependency("mediamtx", "the wake socket could not be made").caused_by(e))?;

        let listens = ports::fill(options.listens)?;
        let endpoints = Endpoints {
            rtsp: listens.rtsp,
            rtsps: listens.rtsps,
            hls: listens.hls,
            webrtc: listens.webrtc,
            api: listens.api,
        };
        let (wake_in, wakes) = mpsc::channel(WAKES);
        let (from_reader, from_hook) = (wake_in.clone(), wake_in);
        let own = [listens.rtsp.ip(), listens.api.ip()].into_iter().filter(|ip| !ip.is_unspecified());
        let desk = Arc::new(Desk {
            doors: Mutex::new(Doors::new(own.collect())),
            gate,
            admitted: Mutex::default(),
            arrivals: Arrivals::default(),
            // A full queue already holds a wake-up for nearly every camera there can be.
            on_reader: Box::new(move |path| drop(from_reader.try_send(path.to_owned()))),
        });
        let (callback, secret) = callback::listen(desk.clone(), group).await?;
        let door = Door::new(ports::reach(listens.api));
        let api = || Api::new(door.clone(), group.clone());
        let wake_socket = bell.path.clone();
        let inner = Arc::new(Inner {
            options: MediaMtxOptions { listens, ..options },
            endpoints,
            desk,
            desired: Mutex::new((desired, 0)),
            writer: tokio::sync::Mutex::new(api()),
            reader: api(),
            server: watch::Sender::default(),
            paths: watch::Sender::default(),
            failures: broadcast::Sender::new(FAILURES),
            nudge: Notify::new(),
            doubt: Notify::new(),
            wakes: Mutex::new(Some(wakes)),
            listen: watch::Sender::new(true),
            door: door.clone(),
        });
        let server = Server {
            inner: inner.clone(),
            group: group.clone(),
            spawner: spawner.clone(),
            probe: api(),
            callback,
            secret,
            wake_socket,
            place: Place::default(),
            folder: inner.options.run_dir.clone(),
            certificate: inner.options.tls.as_ref().map(Tls::follow),
        };
        server.start().await?;
        group.spawn("mediamtx paths", follow::paths(inner.clone(), api(), group.stop().clone()));
        group.spawn("mediamtx logins", follow::logins(inner.clone(), api(), group.stop().clone()));
        group.spawn("mediamtx wake-ups", listen(inner.clone(), bell, from_hook, group.stop().clone()));
        Ok(Self { inner })
    }
}

/// Refuses options MediaMTX could not be run with.
fn check_options(options: &MediaMtxOptions) -> Result<()> {
    let day = Duration::from_secs(24 * 3600);
    if options.segment_duration.is_zero() || options.segment_duration > day {
        return Err(Error::param("recording.segment_duration", "must be at most 24h and not 0", "set 15m"));
    }
    for (what, path) in [("the run directory", &options.run_dir), ("our own program", &options.exe)] {
        if path.to_str().is_none() || !path.is_absolute() {
            return Err(Error::dependency("mediamtx", format!("{what} needs an absolute path in UTF-8")));
        }
    }
    Ok(())
}

/// Makes the run directory, for this user alone.
fn make_run_dir(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)))
        .map_err(|e| Error::dependency("storage", "the run directory could not be made").caused_by(e))
}

/// Hears the hook, as long as the run directory may be used.
async fn listen(inner: Arc<Inner>, bell: Bell, wakes: mpsc::Sender<String>, stop: CancellationToken) {
    let mut wanted = inner.listen.subscribe();
    let mut bell = Some(bell);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                // A bound socket keeps its file system in use.
                bell = None;
                if *wanted.borrow_and_update() {
                    let hung = Bell::hang(&inner.options.run_dir);
                    bell = hung.map_err(|error| tracing::warn!(%error, "the wake socket could not be made again")).ok();
                }
            }
            rung = next(bell.as_ref()) => match rung {
                Ok(name) => drop(wakes.try_send(name)),
                Err(error) => {
                    tracing::warn!(%error, "the wake socket failed");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
}

async fn next(bell: Option<&Bell>) -> std::io::Result<String> {
    match bell {
        Some(bell) => bell.next().await,
        None => std::future::pending().await,
    }
}
