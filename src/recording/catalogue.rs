//! What is recorded: lists, details, files to serve, deletion.

use std::fs;
use std::io;

use super::Recordings;
use super::folder::{self, Places, disk_error};
use super::shared::Slot;
use super::view::{Gap, RecordingDetails, RecordingInfo, SegmentFile};
use crate::base::{Error, RecordingName, Result};
use crate::store::{RecordingRow, SegmentRow};

/// Cause of the gap that a lost file leaves.
const FILE_LOST: &str = "file_lost";

impl Recordings {
    /// Newest first, and how many there are in all.
    pub async fn list(&self, limit: u32, offset: u32) -> Result<(Vec<RecordingInfo>, u64)> {
        let (rows, total) = self.shared.options.store.recordings(limit, offset).await?;
        Ok((rows.into_iter().map(|row| self.info_of(row)).collect(), total))
    }

    /// One recording.
    pub async fn info(&self, name: &RecordingName) -> Result<RecordingInfo> {
        Ok(self.info_of(self.row(name).await?))
    }

    /// One recording with its segments, gaps and notes.
    pub async fn details(&self, name: &RecordingName) -> Result<RecordingDetails> {
        let row = self.row(name).await?;
        let store = &self.shared.options.store;
        let (segments, gaps, notes) =
            tokio::try_join!(store.segments(row.id), store.gaps(row.id), store.notes(row.id))?;
        let segments = self.with_newest(&row, segments);
        let lost = segments.iter().filter(|s| s.lost && s.duration_us > 0).map(|s| Gap {
            start_us: s.start_us,
            duration_ms: s.duration_us / 1000,
            cause: FILE_LOST.to_owned(),
            segment: s.number,
        });
        let gaps = gaps.into_iter().map(|g| Gap {
            start_us: g.start_us,
            duration_ms: g.duration_us / 1000,
            cause: g.cause,
            segment: g.number,
        });
        let mut gaps: Vec<Gap> = gaps.chain(lost).collect();
        gaps.sort_by_key(|g| g.start_us);
        let segments = segments.iter().map(|s| s.file_in(&self.shared.places, &row)).collect();
        let notes = notes.into_iter().map(|n| (n.at_us, n.kind, n.detail));
        Ok(RecordingDetails { gaps, notes: notes.collect(), segments, info: self.info_of(row) })
    }

    /// One recording with the files that there are of it, in order.
    pub async fn files(&self, name: &RecordingName) -> Result<(RecordingInfo, Vec<SegmentFile>)> {
        let row = self.row(name).await?;
        let segments = self.with_newest(&row, self.shared.options.store.segments(row.id).await?);
        let there = segments.iter().filter(|s| !s.lost);
        let files = there.map(|s| s.file_in(&self.shared.places, &row)).collect();
        Ok((self.info_of(row), files))
    }

    /// A segment to serve, counted from 1.
    pub async fn segment_path(&self, name: &RecordingName, number: u32) -> Result<SegmentFile> {
        let row = self.row(name).await?;
        let segments = self.shared.options.store.segments(row.id).await?;
        let segments = self.with_newest(&row, segments);
        let found = segments.iter().find(|s| s.number == number);
        let found = found.ok_or_else(|| Error::not_found("Recording", format!("{name} segment {number}")))?;
        if found.lost {
            let text = format!("the file of segment {number} is gone from the disk; the others can be had");
            return Err(Error::not_found("Recording", format!("{name} segment {number}"))
                .with("reason", FILE_LOST)
                .with("suggestion", text));
        }
        Ok(found.file_in(&self.shared.places, &row))
    }

    /// Deletes a recording that has ended. Whatever happens meanwhile, afterwards it is either
    /// there as before or gone (at the latest after the next start).
    pub async fn delete(&self, name: &RecordingName) -> Result<()> {
        if self.runs(name) {
            let text = "the recording is still running; stop it first";
            return Err(Error::state(text, "RECORDING", &["STOPPED"]));
        }
        let _edit = self.shared.edits.lock().await;
        let row = self.row(name).await?;
        self.remove(name, row).await?;
        tracing::info!(%name, "recording deleted");
        Ok(())
    }

    /// Removes one that does not run, whole, unless somebody reads it.
    pub(super) async fn remove(&self, name: &RecordingName, row: RecordingRow) -> Result<()> {
        // From here on nobody starts to read it.
        let _deleting = self.shared.leases.begin_delete(name)?;
        let (places, gone) = (self.shared.places.clone(), row.clone());
        tokio::task::spawn_blocking(move || to_trash(&places, &gone))
            .await
            .map_err(Error::internal)?
            .map_err(disk_error)?;
        self.shared.options.store.remove_recording(name).await?;
        let trash = self.shared.places.trash().join(name.as_str());
        let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(trash)).await;
        if let Ok(Err(error)) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, %name, "a deleted recording's files remain until the next start");
        }
        Ok(())
    }

    pub(super) async fn row(&self, name: &RecordingName) -> Result<RecordingRow> {
        let row = self.shared.options.store.recording(name).await?;
        row.ok_or_else(|| Error::not_found("Recording", name))
    }

    pub(super) fn runs(&self, name: &RecordingName) -> bool {
        self.shared.slots().values().any(|s| matches!(s, Slot::Active(a) if a.view.name == *name))
    }

    fn info_of(&self, row: RecordingRow) -> RecordingInfo {
        let mut info = RecordingInfo {
            id: row.id,
            modified_us: row.end_us.unwrap_or(row.start_us),
            recording: row.wanted,
            name: row.name,
            camera: row.camera,
            camera_name: row.camera_name,
            start_us: row.start_us,
            end_us: row.end_us,
            duration_ms: row.duration_ms,
            size: row.size,
            format: row.format,
            codec: row.codec,
            width: row.width,
            height: row.height,
            ended: row.ended,
            continues: row.continues,
            protected: row.protected,
        };
        if let Some(Slot::Active(active)) = self.shared.slots().get(&info.camera)
            && active.view.name == info.name
        {
            info.start_us = active.view.started_us;
            info.duration_ms = active.view.duration_ms;
            info.size = active.view.size;
            let newest = active.newest.as_ref();
            info.modified_us =
                newest.map_or(info.start_us, |s| s.start_us.saturating_add_unsigned(s.duration_us));
        }
        info
    }

    /// The growing segment as it is now.
    fn with_newest(&self, row: &RecordingRow, mut segments: Vec<SegmentRow>) -> Vec<SegmentRow> {
        if let Some(Slot::Active(active)) = self.shared.slots().get(&row.camera)
            && active.view.name == row.name
            && let Some(newest) = &active.newest
        {
            segments.retain(|s| s.number != newest.number);
            segments.push(newest.clone());
        }
        segments
    }
}

impl SegmentRow {
    /// As it may be served.
    pub(super) fn file_in(&self, places: &Places, row: &RecordingRow) -> SegmentFile {
        SegmentFile {
            path: places.recording(row.camera, &row.name).join(&self.file),
            file: self.file.clone(),
            stream: (self.stream, self.stream_number),
            number: self.number,
            start_us: self.start_us,
            duration_us: self.duration_us,
            size: self.size,
            closed: self.closed,
            lost: self.lost,
        }
    }
}

/// The step after which a recording is deleted: one rename. Blocks.
fn to_trash(places: &Places, row: &RecordingRow) -> io::Result<()> {
    let from = places.recording(row.camera, &row.name);
    let trash = places.trash();
    fs::create_dir_all(&trash)?;
    match fs::rename(&from, trash.join(row.name.as_str())) {
        // Only the row is left of it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    folder::sync_dir(&trash)?;
    from.parent().map_or(Ok(()), folder::sync_dir)
}

/// The recordings whose deletion a crash interrupted. Blocks.
pub(super) fn trash(places: &Places) -> Vec<RecordingName> {
    let entries = fs::read_dir(places.trash()).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}
