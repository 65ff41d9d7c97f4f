//! The intents of before the start, and what becomes of them.

use std::collections::BTreeSet;
use std::io;
use std::sync::{MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::Recordings;
use super::adopt::{self, Folder};
use super::card::Facts;
use super::catalogue::trash;
use super::cause::EndReason;
use super::files::Files;
use super::folder::{Places, disk_error, make};
use super::mend::{Mended, difference, mend};
use super::reconcile::{self, Worklist};
use super::recover::{Fate, fate};
use super::session::Session;
use super::starts::Starts;
use super::view::Intent;
use super::watch::{Resumed, Watch};
use crate::base::{Error, Mono, RecordingName, Result};
use crate::notice::Fact;
use crate::store::{RecordingRow, Settle};

/// Where the starts of the daemon are kept.
pub(super) const STARTS: &str = "daemon_starts";

impl Recordings {
    /// Finds the recordings that go on, brings their folders in order and answers with them. To be
    /// called once, before MediaMTX starts: its first file has to record into their folders. The
    /// other recordings are looked at after [`Recordings::run`], beside everything else.
    pub async fn recover(&self) -> Result<Vec<Intent>> {
        let too_many = self.count_start().await?;
        let store = &self.shared.options.store;
        let deleted = self.blocking(|places| Ok(trash(&places))).await?;
        for name in deleted {
            store.remove_recording(&name).await?;
        }
        let merging = store.merging().await?;
        let (folders, foreign) = self.blocking(|places| adopt::folders(&places)).await?;
        if merging {
            self.take_cards().await?;
        }
        let known: BTreeSet<RecordingName> =
            store.recording_names().await?.iter().filter_map(|n| n.parse().ok()).collect();
        self.enter_running(&folders, &known).await?;
        let mut intents = Vec::new();
        let mut seen = BTreeSet::new();
        for row in store.wanted_recordings().await? {
            let name = row.name.clone();
            seen.insert(name.clone());
            match self.recover_one(row, too_many).await {
                Ok(intent) => intents.extend(intent),
                // One damaged folder must not keep the others from going on.
                Err(error) => tracing::error!(error = %error.chain(), %name, "it cannot go on"),
            }
        }
        let there: BTreeSet<&RecordingName> = folders.iter().map(|f| &f.1).collect();
        let without = known.iter().filter(|n| !there.contains(n) && !seen.contains(n)).cloned().collect();
        let folders = folders.into_iter().filter(|f| !seen.contains(&f.1)).collect();
        *self.work() = Some(Worklist { folders, without, merging, foreign });
        Ok(intents)
    }

    /// Recordings of an older copy of the index that were running then: their cards know better.
    async fn take_cards(&self) -> Result<()> {
        let store = &self.shared.options.store;
        let names = store.wanted_recordings().await?.into_iter().map(|r| r.name).collect();
        for known in store.whole_recordings(names).await?.into_iter().flatten() {
            let (id, known) = (known.row.id, Facts::from(known));
            let change = self.blocking(move |places| {
                reconcile::newer(&places, &known).map(|newer| difference(&known, &newer))
            });
            if let Some(change) = change.await? {
                store.settle(vec![Settle::Change(id, change)]).await?;
            }
        }
        Ok(())
    }

    /// Enters the recordings that were running and that the index does not know.
    async fn enter_running(&self, folders: &[Folder], known: &BTreeSet<RecordingName>) -> Result<()> {
        let store = &self.shared.options.store;
        let unknown: Vec<Folder> = folders.iter().filter(|f| !known.contains(&f.1)).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let busy: BTreeSet<_> = store.wanted_recordings().await?.iter().map(|r| r.camera).collect();
        for facts in self.blocking(move |places| adopt::running(&places, &unknown)).await? {
            if busy.contains(&facts.row.camera) {
                continue;
            }
            tracing::warn!(name = %facts.row.name, "a running recording was entered again from its card");
            let change = difference(&Facts::new(facts.row.clone()), &facts).unwrap_or_default();
            store.settle(vec![Settle::Adopt(Box::new(facts.row), change)]).await?;
        }
        Ok(())
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Option<Worklist>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(Places) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let places = self.shared.places.clone();
        tokio::task::spawn_blocking(move || job(places)).await.map_err(Error::internal)?.map_err(disk_error)
    }

    async fn count_start(&self) -> Result<bool> {
        let options = &self.shared.options;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut starts = Starts::parse(options.store.setting(STARTS).await?.as_deref());
        let too_many = starts.enter(boot.trim(), Mono::now(), options.clock.wall_us());
        options.store.set_setting(STARTS, starts.text()).await?;
        *self.shared.starts() = starts;
        Ok(too_many)
    }

    async fn recover_one(&self, row: RecordingRow, too_many: bool) -> Result<Option<Intent>> {
        let options = &self.shared.options;
        let name = row.name.clone();
        let whole = options.store.whole_recordings(vec![name.clone()]).await?.pop().flatten();
        let known = Facts::from(whole.ok_or_else(|| Error::not_found("Recording", &name))?);
        let id = known.row.id;
        let (now, now_us) = (Mono::now(), options.clock.wall_us());
        let before = known.clone();
        let Mended { mut facts, frame_us, .. } = self
            .blocking(move |places| {
                let dir = places.recording(known.row.camera, &known.row.name);
                if !dir.is_dir() {
                    make(&dir)?;
                }
                mend(&places, &known, now_us)
            })
            .await?;
        let fate = fate(&facts.row, facts.end_us(), now_us, too_many);
        if let Fate::End(reason) = fate {
            facts.row.wanted = false;
            facts.row.end_us = Some(facts.end_us().unwrap_or(facts.row.start_us));
            facts.row.ended = Some(reason.text().into());
        }
        if let Some(change) = difference(&before, &facts) {
            options.store.change_recording(id, change).await?;
        }
        match fate {
            Fate::End(reason) => {
                self.tell_end(&facts, reason).await;
                Ok(None)
            }
            Fate::GoOn(left) => {
                let known = Resumed {
                    began: !facts.segments.is_empty(),
                    left,
                    end_us: facts.end_us(),
                    frame_us,
                    stsd: facts.row.stsd.clone(),
                };
                let limit = facts.row.limit_ms.map(std::time::Duration::from_millis);
                let watch = Watch::resume(now, now_us, limit, known);
                let camera = facts.row.camera;
                let dir = self.shared.places.recording(camera, &name);
                let (commands, inbox) = mpsc::unbounded_channel();
                self.shared.enter(&facts, commands);
                tracing::warn!(%name, segments = facts.segments.len(), "the recording goes on");
                let until_us = watch.until_us();
                let files = Files::new(dir.clone(), &facts.segments);
                let session = Session::new(self.shared.clone(), facts, watch, files, inbox);
                self.resumed.lock().unwrap_or_else(PoisonError::into_inner).push(session);
                Ok(Some(Intent { camera, name, dir, until_us }))
            }
        }
    }

    async fn tell_end(&self, facts: &Facts, reason: EndReason) {
        let row = &facts.row;
        let dir = self.shared.places.recording(row.camera, &row.name);
        let card = facts.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || card.write(&dir)).await {
            tracing::warn!(%error, name = %row.name, "recording.json could not be written");
        }
        let (camera, name) = (row.camera, row.name.clone());
        let notices = &self.shared.options.notices;
        if reason == EndReason::RestartLoop {
            let message =
                "Fieldcam started more than three times within five minutes; the recording was left closed";
            tracing::error!(%name, reason = reason.text(), "recording.error: {message}");
            notices.send(Fact::RecordingError { camera, name: name.clone(), message: message.into() });
        } else {
            tracing::warn!(%name, reason = reason.text(), "the recording ended");
        }
        let duration_ms = row.duration_ms;
        notices.send(Fact::RecordingStopped { camera, name, reason: reason.text(), duration_ms });
    }
}
