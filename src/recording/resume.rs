//! The intents of before the start, and what becomes of them.

use std::sync::PoisonError;

use tokio::sync::mpsc;

use super::Recordings;
use super::adopt::adopt_unknown;
use super::card::Facts;
use super::catalogue::empty_trash;
use super::cause::EndReason;
use super::files::Files;
use super::folder::disk_error;
use super::recover::{Fate, Mended, fate, mend};
use super::session::Session;
use super::starts::Starts;
use super::view::Intent;
use super::watch::{Resumed, Watch};
use crate::base::{Error, Mono, Result};
use crate::notice::Fact;
use crate::store::{RecordingChange, RecordingRow};

/// Where the starts of the daemon are kept.
pub(super) const STARTS: &str = "daemon_starts";

impl Recordings {
    /// Brings index and files together and answers with the recordings that go on. To be called
    /// once, before MediaMTX starts: its first file has to record into their folders.
    pub async fn recover(&self) -> Result<Vec<Intent>> {
        let too_many = self.count_start().await?;
        empty_trash(&self.shared).await?;
        let mut intents = Vec::new();
        for row in self.shared.options.store.wanted_recordings().await? {
            let name = row.name.clone();
            match self.recover_one(row, too_many).await {
                Ok(intent) => intents.extend(intent),
                // One damaged folder must not keep the others from going on.
                Err(error) => tracing::error!(error = %error.chain(), %name, "it cannot go on"),
            }
        }
        adopt_unknown(&self.shared).await?;
        Ok(intents)
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
        let mut facts = Facts::new(row);
        let id = facts.row.id;
        facts.segments = options.store.segments(id).await?;
        facts.gaps = options.store.gaps(id).await?;
        facts.notes = options.store.notes(id).await?;
        let (places, known) = (self.shared.places.clone(), facts.clone());
        let mended: Mended = tokio::task::spawn_blocking(move || mend(&places, &known))
            .await
            .map_err(Error::internal)?
            .map_err(disk_error)?;
        let (now, now_us) = (Mono::now(), options.clock.wall_us());
        let notes = mended.apply(&mut facts, now_us);
        let fate = fate(&facts.row, facts.end_us(), now_us, too_many);
        if let Fate::End(reason) = fate {
            facts.row.wanted = false;
            facts.row.end_us = Some(facts.end_us().unwrap_or(facts.row.start_us));
            facts.row.ended = Some(reason.text().into());
        }
        let change = RecordingChange {
            row: Some(facts.row.clone()),
            segments: mended.changed.clone(),
            removed: mended.removed.clone(),
            gaps: mended.gaps.clone(),
            notes,
        };
        options.store.change_recording(id, change).await?;
        let name = facts.row.name.clone();
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
                    frame_us: mended.frame_us,
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
