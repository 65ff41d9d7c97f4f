//! The configuration read again while the box runs: load, check, compare, plan, act.
//!
//! Owns the settings in force and the decision what a new file means. Promises: a configuration with a
//! mistake changes nothing; cameras whose section did not change keep their processes, so that their
//! recordings have no gap; nothing interrupts a recording but force; what needs a restart is named and
//! left as it was. Costs nothing until asked.

mod added;
mod certificate;
mod plan;
mod retention;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{Mutex, watch};

use crate::base::{CameraId, Error, ErrorKind, Result};
use crate::camera::{CameraDef, roster, wanted};
use crate::config::{self, Discovery, Mistakes, Settings, Sources};
use crate::log;
use crate::pipeline::Cameras;
use crate::reach::Reach;
use crate::recording::Recordings;
use crate::retention::{Policy, Retention};
use crate::store::Store;
use crate::tls::Tls;

pub use plan::{Plan, Refusal, plan};

/// The room's handle; clones share everything.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    sources: Sources,
    /// The settings in force: those of the start, with what later reloads changed. One reload at a time.
    running: Mutex<Settings>,
    store: Store,
    cameras: Cameras,
    recordings: Recordings,
    retention: Retention,
    reach: Reach,
    tls: Option<Tls>,
    /// What holds for streams on the network.
    discovery: watch::Sender<Discovery>,
}

/// Whom a reload tells.
pub struct Rooms {
    /// Where settings made over the API are.
    pub store: Store,
    /// Cameras come and go.
    pub cameras: Cameras,
    /// What is recorded is not interrupted.
    pub recordings: Recordings,
    /// What goes by itself.
    pub retention: Retention,
    /// Which hosts may be connected to.
    pub reach: Reach,
    /// The certificate, where TLS is on.
    pub tls: Option<Tls>,
}

/// What a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Cameras that are new or back.
    pub added: Vec<CameraId>,
    /// Cameras that have new settings.
    pub changed: Vec<CameraId>,
    /// Cameras that are no longer configured; they keep their ids.
    pub removed: Vec<CameraId>,
    /// Cameras that nothing happened to.
    pub unchanged: Vec<CameraId>,
    /// Other settings that have new values now.
    pub settings: Vec<String>,
    /// Settings that differ from those in force and take a restart.
    pub needs_restart: Vec<String>,
}

impl Inner {
    /// Tells what holds for streams on the network, when it is something else than before.
    fn tell_discovery(&self, running: &Settings) {
        self.discovery.send_if_modified(|told| {
            let differs = *told != running.discovery;
            told.clone_from(&running.discovery);
            differs
        });
    }
}

impl Reloader {
    /// `running` are the settings that the box was started with, read from `sources`.
    pub fn new(sources: Sources, running: Settings, rooms: Rooms) -> Self {
        let Rooms { store, cameras, recordings, retention, reach, tls } = rooms;
        let discovery = watch::Sender::new(running.discovery.clone());
        let running = Mutex::new(running);
        let inner = Inner { sources, running, store, cameras, recordings, retention, reach, tls, discovery };
        Self(Arc::new(inner))
    }

    /// What holds for streams on the network, now and whenever it changes.
    pub fn discovery(&self) -> watch::Receiver<Discovery> {
        self.0.discovery.subscribe()
    }

    /// Whether synthetic cameras run because there was no other.
    fn stands_in(&self) -> bool {
        self.0.cameras.defs().iter().any(CameraDef::is_stand_in)
    }

    /// Reads everything again and does what follows from it.
    ///
    /// The certificate's files are read again too; connections that are open keep the one they have.
    ///
    /// Fails with `InvalidState` (data: `mistakes`) when the configuration or the certificate is wrong, and
    /// when a camera that is being recorded would be interrupted and `force` is not given; nothing has changed then.
    pub async fn reload(&self, force: bool) -> Result<Report> {
        let inner = &*self.0;
        let mut running = inner.running.lock().await;
        let mut sources = inner.sources.clone();
        sources.api = inner.store.api_settings().await?;
        let loaded = tokio::task::spawn_blocking(move || config::load(&sources))
            .await
            .map_err(Error::internal)?
            .map_err(|mistakes| refused(&mistakes))?;
        let new = loaded.settings;
        let known: Vec<_> = inner.store.cameras().await?.into_iter().map(|c| (c.id, c.identity)).collect();
        let recording = inner.recordings.wanted().borrow().clone();
        let now = inner.cameras.defs();
        let (streams, devices) = (inner.store.external_streams().await?, inner.store.devices().await?);
        let stand_in = self.stands_in();
        let wanted = wanted(&new, &streams, &devices, stand_in);
        let plan = plan(&now, &wanted, &known, &recording, force).map_err(|r| hurts(&r))?;

        let live = |path: &String| config::keys().iter().any(|key| key.live && key.path() == *path);
        let pair = certificate::read(inner.tls.as_ref(), &running.server, &new.server).await?;
        let (mut settings, needs_restart): (Vec<_>, Vec<_>) =
            running.differing(&new).into_iter().partition(live);
        log::change(&new)?;
        if certificate::put(inner.tls.as_ref(), pair) && !settings.iter().any(|s| s == certificate::SETTING) {
            settings.push(certificate::SETTING.to_owned());
        }
        // Before cameras start that were not allowed before.
        inner.reach.allow(&new.discovery.allowed_hosts);
        for id in plan.removed.iter().filter(|id| recording.contains(id)) {
            if let Err(error) = inner.recordings.stop(*id).await {
                tracing::warn!(camera = %id, "its recording did not end in order: {}", error.chain());
            }
        }
        let roster = roster(&new, &inner.store, stand_in).await?;
        let added = roster.cameras.iter().filter(|def| plan.added.contains(&def.identity)).map(|def| def.id);
        let report = Report {
            added: added.collect(),
            changed: sorted(plan.restarted.iter().chain(&plan.settled)),
            removed: sorted(&plan.removed),
            unchanged: sorted(&plan.unchanged),
            settings,
            needs_restart,
        };
        inner.cameras.apply(roster, &plan.restarted, &plan.settled).await?;
        running.take_live(&new);
        inner.retention.set(Policy::of(&running.storage));
        inner.tell_discovery(&running);
        tell(&report);
        Ok(report)
    }
}

fn sorted<'a>(ids: impl IntoIterator<Item = &'a CameraId>) -> Vec<CameraId> {
    let mut ids: Vec<_> = ids.into_iter().copied().collect();
    ids.sort();
    ids
}

fn tell(report: &Report) {
    let Report { added, changed, removed, unchanged, settings, needs_restart } = report;
    tracing::info!(?added, ?changed, ?removed, ?unchanged, ?settings, "the configuration was read again");
    if !needs_restart.is_empty() {
        tracing::warn!("these settings take effect after a restart only: {}", needs_restart.join(", "));
    }
}

/// Every mistake, with the file's name but not where it lies: this may leave the box.
fn refused(mistakes: &Mistakes) -> Error {
    tracing::error!("the configuration is not read again, the old settings stay:\n{mistakes}");
    stays(mistakes.iter().map(|m| m.without_folder()).collect())
}

fn stays(mistakes: Vec<String>) -> Error {
    let list: Vec<serde_json::Value> = mistakes.into_iter().map(Into::into).collect();
    let count = list.len();
    let s = if count == 1 { "" } else { "s" };
    let what = format!("the configuration has {count} mistake{s}; the old settings stay");
    Error::state(what, "INVALID_CONFIGURATION", &["VALID_CONFIGURATION"])
        .with("mistakes", list)
        .with("suggestion", "correct the files; `fieldcam check-config` on the box lists every mistake too")
}

fn hurts(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Recording(cameras) => {
            let names: Vec<_> = cameras.iter().map(CameraId::to_string).collect();
            let names = names.join(", ");
            tracing::error!(
                "the configuration is not read again: {names} would be interrupted while recording"
            );
            Error::state(
                format!("{names} would be interrupted while being recorded; the old settings stay"),
                "RECORDING",
                &["IDLE"],
            )
            .with("suggestion", "stop the recording first, or reload with force")
        }
        Refusal::Id(id) => {
            tracing::error!(camera = %id, "the configuration is not read again: the id belongs to another camera");
            Error::new(
                ErrorKind::InvalidState,
                format!("Invalid state: {id} belongs to another camera; the old settings stay"),
            )
            .with("state", "INVALID_CONFIGURATION")
            .with("allowed_states", vec![serde_json::Value::from("VALID_CONFIGURATION")])
            .with("suggestion", "give the camera an id that is free, or none")
        }
    }
}
