//! The intents of before the start, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::Recordings;
use super::adopt::{self, Folder};
use super::card::Facts;
use super::card_reader;
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
        self.take_cards(merging).await?;
        let known: BTreeSet<RecordingName> =
            store.recording_names().await?.iter().filter_map(|n| n.parse().ok()).collect();
        self.enter_running(&folders, &known, merging).await?;
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

    /// The cards of recordings that are wanted as far as the index knows. One that says that it has ended
    /// is right: a database that was put back, by us or by hand, is older than the stop. Where the index
    /// is a copy of ours the card is newer in everything, and what has no folder any more was deleted.
    async fn take_cards(&self, merging: bool) -> Result<()> {
        let store = &self.shared.options.store;
        let names = store.wanted_recordings().await?.into_iter().map(|r| r.name).collect();
        for known in store.whole_recordings(names).await?.into_iter().flatten() {
            let (id, known) = (known.row.id, Facts::from(known));
            let settle = self.blocking(move |places| {
                let row = &known.row;
                let dir = places.recording(row.camera, &row.name);
                if merging && reconcile::is_gone(&dir) {
                    return Ok(Some(Settle::Forget(id)));
                }
                let card = card_reader::read(&dir, row.camera, &row.name)?;
                Ok(card.and_then(|card| {
                    let newer = newer(&known, card, merging)?;
                    difference(&known, &newer).map(|change| Settle::Change(id, change))
                }))
            });
            if let Some(settle) = settle.await? {
                store.settle(vec![settle]).await?;
            }
        }
        Ok(())
    }

    /// Enters the recordings that were running and that the index does not know. Of an index that is
    /// neither new nor a copy they are only believed where nothing speaks against them: somebody may have
    /// put a folder here that was copied while it grew, and a camera must not begin to record by that.
    async fn enter_running(
        &self,
        folders: &[Folder],
        known: &BTreeSet<RecordingName>,
        merging: bool,
    ) -> Result<()> {
        let store = &self.shared.options.store;
        let unknown: Vec<Folder> = folders.iter().filter(|f| !known.contains(&f.1)).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let busy: BTreeSet<_> = store.wanted_recordings().await?.iter().map(|r| r.camera).collect();
        let cameras = store.cameras().await?;
        let newest = if merging { BTreeMap::new() } else { store.newest_requests().await? };
        let mut settle = Vec::new();
        for facts in self.blocking(move |places| adopt::running(&places, &unknown)).await? {
            let row = &facts.row;
            let others =
                cameras.iter().any(|c| c.id == row.camera && !c.is_unknown() && c.identity != row.identity);
            let older = newest.get(&row.camera).is_some_and(|known| *known > row.requested_us);
            if busy.contains(&row.camera) || others || older {
                continue;
            }
            tracing::warn!(name = %row.name, "a running recording was entered again from its card");
            let change = difference(&Facts::new(row.clone()), &facts).unwrap_or_default();
            settle.push(Settle::Adopt(Box::new(facts.row), change));
        }
        // All or none: with the first one entered the index is no new one any more.
        if settle.is_empty() { Ok(()) } else { store.settle(settle).await }
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

/// What the card knows better than the index of a recording that is wanted there.
fn newer(known: &Facts, card: Facts, merging: bool) -> Option<Facts> {
    if merging {
        let mut newer = card;
        newer.row.id = known.row.id;
        return Some(newer);
    }
    if card.row.wanted {
        return None;
    }
    let mut newer = known.clone();
    newer.row.wanted = false;
    newer.row.ended = card.row.ended;
    newer.row.end_us = card.row.end_us.or(known.end_us());
    Some(newer)
}

#[cfg(test)]
mod tests;
