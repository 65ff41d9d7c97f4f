//! How a recording ends, and how it goes over into the next.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use super::card::Facts;
use super::cause::{EndReason, GapCause};
use super::files::Files;
use super::folder;
use super::mp4::{Header, Scan};
use super::session::Session;
use super::shared::{Recorder, recording_name};
use super::view::{CLOCK_NOTE, Finished};
use crate::base::{Mono, Result};
use crate::notice::Fact;
use crate::store::RecordingRow;

/// The recorder closes its file within milliseconds; this is for a machine in trouble.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Without an open file one may still come: a first part that was not written yet.
const FILE_LIMIT: Duration = Duration::from_millis(300);
/// After a change of files the next one is written with its first part, at the latest when the recorder
/// closes: milliseconds, on a machine in trouble more.
const NEXT_FILE_LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(4);

impl Session {
    /// Ends the recording: closes the recorder, waits for its last file, makes everything durable.
    pub(super) async fn close(&mut self, reason: EndReason) -> Result<Finished> {
        let recorder = self.shared.recorder();
        let path = self.facts.row.camera.to_string();
        if let Err(error) = recorder.set_record(&path, None).await {
            tracing::warn!(error = %error.chain(), path, "MediaMTX could not be told to stop recording");
        }
        self.wait_for_last_file(&*recorder).await;
        self.clear_up().await;
        self.end(reason).await
    }

    /// The files are as they will be: enters the end, everywhere.
    pub(super) async fn end(&mut self, reason: EndReason) -> Result<Finished> {
        let wall_us = self.shared.options.clock.wall_us();
        for segment in &mut self.facts.segments {
            segment.closed = true;
        }
        self.unsaved.segments = self.facts.segments.iter().rev().take(8).cloned().collect();
        self.facts.sum();
        let end_us = self.facts.end_us().unwrap_or(wall_us).max(self.facts.row.start_us);
        let row = &mut self.facts.row;
        row.wanted = false;
        row.end_us = Some(end_us);
        row.ended = Some(reason.text().into());
        let camera = row.camera;
        let finished = self.finished(end_us);
        let mut written = self.write_out().await;
        if written.is_err() {
            // What the reserve is for.
            self.shared.release_reserve().await;
            written = self.write_out().await;
        }
        self.shared.remove(camera);
        tracing::info!(
            name = %finished.name,
            reason = reason.text(),
            duration_ms = finished.duration_ms,
            size = finished.size,
            gaps = self.facts.gaps.len(),
            "recording ended"
        );
        self.shared.options.notices.send(Fact::RecordingStopped {
            camera,
            name: finished.name.clone(),
            reason: reason.text(),
            duration_ms: finished.duration_ms,
        });
        written.map(|()| finished)
    }

    /// What the one who stopped it is told.
    pub(super) fn finished(&self, end_us: i64) -> Finished {
        let row = &self.facts.row;
        Finished {
            name: row.name.clone(),
            start_us: row.start_us,
            end_us,
            duration_ms: row.duration_ms,
            size: row.size,
            format: row.format.clone(),
        }
    }

    pub(super) async fn wait_for_last_file(&mut self, recorder: &dyn Recorder) {
        let started = Mono::now();
        let closed = |facts: &Facts| facts.segments.iter().filter(|s| s.closed).count();
        let before = closed(&self.facts);
        let mut had_open = false;
        loop {
            self.look_now().await;
            let open = self.files.as_ref().is_some_and(Files::has_open);
            had_open |= open || closed(&self.facts) > before;
            let full = self.shared.options.segment_duration.as_micros();
            let limit = if open {
                CLOSE_LIMIT
            } else if !had_open {
                FILE_LIMIT
            } else if self.facts.segments.last().is_some_and(|s| u128::from(s.duration_us) >= full) {
                // As long as files get: it may have been closed for the next one.
                NEXT_FILE_LIMIT
            } else {
                return;
            };
            if Mono::now().since(started) >= limit || !recorder.running() {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        if recorder.running() {
            return;
        }
        // Nobody writes any more, and nobody will patch the duration in.
        if let Some(mut files) = self.files.take() {
            let sealed = tokio::task::spawn_blocking(move || {
                let rows = files.seal_rest();
                (files, rows)
            });
            let (files, rows) = sealed.await.expect("sealing does not panic and is never aborted");
            self.files = Some(files);
            for row in rows {
                self.facts.put_segment(row);
            }
        }
    }

    /// Empty files of failed attempts go; anything else that is no segment is kept elsewhere.
    async fn clear_up(&mut self) {
        let Some(files) = &self.files else { return };
        let Ok(strangers) = files.strangers(&self.facts.segments) else { return };
        let (dir, places) = (files.dir().to_owned(), self.shared.places.clone());
        let _ = tokio::task::spawn_blocking(move || {
            for name in strangers {
                let file = dir.join(name);
                let empty = fs::metadata(&file).is_ok_and(|m| m.len() == 0);
                if !empty && has_footage(&file) {
                    // It came too late for this index; the next start enters it.
                    continue;
                }
                let done = if empty {
                    fs::remove_file(&file)
                } else {
                    folder::quarantine(&places, &file, "it has no whole header or no whole fragment")
                };
                if let Err(error) = done {
                    tracing::warn!(%error, "a stray file could not be put away");
                }
            }
        })
        .await;
    }

    /// A segment with another sample description has begun: this recording ends before it, the
    /// next one starts with it. `false` = that failed, and it stays where it is.
    pub(super) async fn split(&mut self, file: &str, header: &Header, start_us: i64) -> bool {
        match self.try_split(file, header, start_us).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = %error.chain(), "the next recording could not be begun");
                self.facts.notes.push(crate::store::NoteRow {
                    at_us: self.shared.options.clock.wall_us(),
                    kind: "parameters_changed".into(),
                    detail: format!("from {file} on the picture format is another"),
                });
                false
            }
        }
    }

    async fn try_split(&mut self, file: &str, header: &Header, start_us: i64) -> Result<()> {
        let shared = self.shared.clone();
        let old = self.facts.row.clone();
        let mut ended = self.facts.clone();
        ended.sum();
        let end_us = ended.end_us().unwrap_or(start_us);
        ended.row.wanted = false;
        ended.row.end_us = Some(end_us);
        ended.row.ended = Some(EndReason::ParametersChanged.text().into());
        let mut change = self.unsaved.clone();
        change.row = Some(ended.row.clone());
        let left = old.until_us.map(|until| until.saturating_sub(start_us).max(0) / 1000);
        let mut row = RecordingRow {
            requested_us: start_us,
            start_us,
            limit_ms: left.map(i64::unsigned_abs).or(old.limit_ms),
            duration_ms: 0,
            size: 0,
            codec: Some(header.codec.clone()),
            width: header.width,
            height: header.height,
            stsd: Some(header.stsd.clone()),
            continues: Some(old.name.clone()),
            ..old.clone()
        };
        let mut n = 1;
        let dir = loop {
            row.name = recording_name(old.camera, start_us, n);
            n += 1;
            let dir = shared.places.recording(row.camera, &row.name);
            if !shared.make_folder(&dir).await? {
                continue;
            }
            let store = &shared.options.store;
            match store.continue_recording(old.id, change.clone(), row.clone()).await? {
                Some(id) => {
                    row.id = id;
                    break dir;
                }
                None => shared.unmake_folder(&dir).await,
            }
        };
        // From here on the row is there: a start after a crash finds the file in either folder.
        let from = shared.places.recording(old.camera, &old.name);
        let to = dir.clone();
        let name = file.to_owned();
        let card = ended.clone();
        let moved = tokio::task::spawn_blocking(move || {
            fs::rename(from.join(&name), to.join(&name))?;
            folder::sync_dir(&to)?;
            folder::sync_dir(&from)?;
            card.write(&from)
        });
        if let Some(files) = &mut self.files
            && let Some(rest) = files.split_newest(dir.clone())
        {
            *files = rest;
        }
        self.facts = Facts::new(row);
        self.unsaved = Default::default();
        self.note(CLOCK_NOTE, self.shared.options.clock.trust().word().into());
        shared.replace(&old.name, &self.facts);
        self.watch.blame(GapCause::RecorderReopened);
        let told = shared.recorder().set_record(&old.camera.to_string(), Some(dir)).await;
        let duration_ms = ended.row.duration_ms;
        let (camera, reason) = (old.camera, EndReason::ParametersChanged.text());
        tracing::warn!(old = %old.name, new = %self.facts.row.name, "the picture format changed");
        let notices = &shared.options.notices;
        notices.send(Fact::RecordingStopped { camera, name: old.name, reason, duration_ms });
        notices.send(Fact::RecordingStarted { camera, name: self.facts.row.name.clone() });
        if let Err(error) = told {
            tracing::warn!(error = %error.chain(), "MediaMTX still records into the old folder");
        }
        if let Ok(Err(error)) = moved.await {
            // The next start of the daemon moves it; the row is there.
            tracing::error!(%error, "the first file of the next recording could not be moved to it");
        }
        Ok(())
    }
}

/// Whether something of it can be played. When in doubt it can.
fn has_footage(file: &Path) -> bool {
    let mut scan = Scan::new();
    let read = File::open(file).and_then(|file| scan.advance(&file, |_| {}));
    read.is_err() || scan.fragments() > 0
}

#[cfg(test)]
mod tests;
