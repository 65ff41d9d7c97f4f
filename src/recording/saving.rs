//! A running recording's facts on their way into the index and its `recording.json`.

use super::session::Session;
use crate::base::{Mono, Result};
use crate::store::RecordingChange;

impl Session {
    /// Brings database and `recording.json` up to date. What cannot be written now is kept.
    pub(super) async fn save(&mut self) {
        if self.changed {
            if let Err(error) = self.write_out().await {
                if let Some(disk) = self.shared.disk.get() {
                    disk.suspect();
                }
                let name = self.facts.row.name.clone();
                self.complain(|more| {
                    tracing::warn!(error = %error.chain(), %name, more, "the index could not be written");
                });
            }
        } else if self.card_stale && self.look.is_none() {
            // With the rhythm of the looks: a folder that takes nothing is not asked all the time.
            self.write_card().await;
        }
    }

    /// Says something that may come again twice a second for hours.
    pub(super) fn complain(&mut self, say: impl FnOnce(u64)) {
        if let Some(more) = self.complaints.allow(Mono::now()) {
            say(more);
        }
    }

    pub(super) async fn write_out(&mut self) -> Result<()> {
        self.unsaved.row = Some(self.facts.row.clone());
        let store = self.shared.options.store.clone();
        let written = store.change_recording(self.facts.row.id, self.unsaved.clone());
        let (written, ()) = tokio::join!(written, self.write_card());
        written?;
        self.unsaved = RecordingChange::default();
        self.changed = false;
        Ok(())
    }

    /// The index holds the same facts, so a failure is no more than a reason to try again.
    async fn write_card(&mut self) {
        let dir = self.shared.places.recording(self.facts.row.camera, &self.facts.row.name);
        let facts = self.facts.clone();
        let written = tokio::task::spawn_blocking(move || facts.write(&dir)).await;
        self.card_stale = !matches!(written, Ok(Ok(())));
        if let Ok(Err(error)) = written {
            self.shared.suspect(&error);
            let name = self.facts.row.name.clone();
            self.complain(|more| {
                tracing::warn!(%error, %name, more, "recording.json could not be written");
            });
        }
    }
}
