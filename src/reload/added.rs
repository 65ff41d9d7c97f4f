//! Cameras that come and go by a call, with the settings that are in force.

use std::time::Duration;

use super::{Reloader, hurts};
use crate::base::{CameraId, Error, Result};
use crate::camera::{CameraDef, roster, wanted};
use crate::config::Settings;
use crate::store::ExternalRow;

/// Cameras that are remembered, gone ones included. A client that adds and removes can make no more.
const KNOWN_MAX: usize = 1000;

impl Reloader {
    /// Makes a stream a camera, and keeps it. The files are not read again.
    ///
    /// Fails with `InvalidState` when it is a camera already, when there would be more than `most`, or when
    /// too many are remembered for their footage.
    pub async fn add(&self, row: ExternalRow, most: usize) -> Result<CameraId> {
        let inner = &*self.0;
        let running = inner.running.lock().await;
        let cameras = inner.cameras.defs();
        if cameras.iter().any(|def| def.identity == row.identity) {
            return Err(Error::state("the stream is a camera of this box already", "ADDED", &["REMOVED"])
                .with("suggestion", "remove it first to add it with another password or name"));
        }
        if cameras.len() >= most {
            let what = format!("the box has {most} cameras, and takes no more");
            return Err(Error::state(what, "FULL", &["FREE"]).with("suggestion", "remove one first"));
        }
        self.make_room_for(&row.identity).await?;
        let identity = row.identity.clone();
        inner.store.add_external_stream(row).await?;
        let added = self.begin(&running, &identity).await;
        if added.is_err()
            && let Err(error) = inner.store.remove_external_stream(&identity).await
        {
            tracing::error!("a stream that could not be added is still in the database: {}", error.chain());
        }
        added
    }

    /// Sees to it that a camera more can be remembered: one that is gone without footage makes room.
    async fn make_room_for(&self, identity: &str) -> Result<()> {
        let inner = &*self.0;
        let known = inner.store.cameras().await?;
        if known.len() < KNOWN_MAX || known.iter().any(|camera| camera.identity == identity) {
            return Ok(());
        }
        for camera in known {
            if self.forget(camera.id).await? {
                return Ok(());
            }
        }
        let what = format!("the box keeps footage of {KNOWN_MAX} cameras, and takes no new one");
        Err(Error::state(what, "FULL", &["FREE"])
            .with("suggestion", "delete all recordings and snapshots of one that is gone"))
    }

    /// Leaves nothing of a camera that is gone, when no footage of it is kept. Answers whether that is so.
    async fn forget(&self, id: CameraId) -> Result<bool> {
        let inner = &*self.0;
        let is_here = inner.cameras.defs().iter().any(|def| def.id == id);
        let forgotten = !is_here && inner.store.forget_camera(id).await?;
        if forgotten {
            inner.cameras.forget(id);
        }
        Ok(forgotten)
    }

    /// Starts the camera of a stream that is in the database.
    async fn begin(&self, running: &Settings, identity: &str) -> Result<CameraId> {
        let inner = &*self.0;
        let roster = roster(running, &inner.store, self.stands_in()).await?;
        let added = roster.cameras.iter().find(|def| def.identity == identity).map(|def| def.id);
        let added = added.ok_or_else(|| Error::internal("an added stream is no camera"))?;
        inner.cameras.apply(roster, &[], &[]).await?;
        Ok(added)
    }

    /// Gives an added stream up; its camera ends. While footage of it is kept it keeps its number, otherwise
    /// nothing is left of it.
    ///
    /// Fails with `NotFound` when no such stream was added, and with `InvalidState` while it is recorded.
    pub async fn remove(&self, identity: &str) -> Result<()> {
        let inner = &*self.0;
        let running = inner.running.lock().await;
        let rows = inner.store.external_streams().await?;
        if !rows.iter().any(|row| row.identity == identity) {
            return Err(Error::not_found("Stream", identity)
                .with("suggestion", "use an added stream's url from get_external_streams"));
        }
        let rows: Vec<_> = rows.into_iter().filter(|row| row.identity != identity).collect();
        let known: Vec<_> = inner.store.cameras().await?.into_iter().map(|c| (c.id, c.identity)).collect();
        let recording = inner.recordings.wanted().borrow().clone();
        // Refused while it is recorded, whoever asks: what is recorded ends by stop_recording alone.
        let wanted = wanted(&running, &rows, &inner.store.devices().await?, self.stands_in());
        super::plan(&inner.cameras.defs(), &wanted, &known, &recording, false).map_err(|r| hurts(&r))?;
        inner.store.remove_external_stream(identity).await?;
        let roster = roster(&running, &inner.store, self.stands_in()).await?;
        inner.cameras.apply(roster, &[], &[]).await?;
        if let Some((id, _)) = known.into_iter().find(|(_, known)| known == identity) {
            self.forget(id).await?;
        }
        Ok(())
    }

    /// Makes every device that was ever plugged in a camera, as far as the settings in force want it. Those that
    /// are one already are left alone, but for a name that is new.
    pub async fn take_devices(&self) -> Result<()> {
        let inner = &*self.0;
        let running = inner.running.lock().await;
        let roster = roster(&running, &inner.store, self.stands_in()).await?;
        let before = inner.cameras.defs();
        let is_renamed = |now: &&CameraDef| before.iter().any(|was| was.id == now.id && was.name != now.name);
        let renamed: Vec<_> = roster.cameras.iter().filter(is_renamed).map(|def| def.id).collect();
        inner.cameras.apply(roster, &[], &renamed).await
    }

    /// Whether the settings in force give this camera a name.
    pub async fn names(&self, id: CameraId) -> bool {
        let running = self.0.running.lock().await;
        let identity = self.0.cameras.defs().into_iter().find(|def| def.id == id).map(|def| def.identity);
        running.camera.iter().any(|c| c.name.is_some() && identity == Some(c.source.identity()))
    }

    /// Sets and keeps how often the network is searched; zero is never.
    ///
    /// Fails with `InvalidState` when an environment variable says something else for ever.
    pub async fn set_discovery_interval(&self, interval: Duration) -> Result<()> {
        let inner = &*self.0;
        let mut running = inner.running.lock().await;
        self.must_be_free("the interval of searches", std::iter::once("discovery.interval"))?;
        let text = format!("\"{}s\"", interval.as_secs());
        inner.store.set_api_setting("discovery.interval", Some(text)).await?;
        running.discovery.interval = interval;
        inner.tell_discovery(&running);
        Ok(())
    }
}
