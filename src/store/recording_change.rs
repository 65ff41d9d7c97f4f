//! Changes of recordings: what must be written together is one transaction.

use rusqlite::{Connection, params};

use super::Store;
use super::recording_parts::{GapRow, NoteRow, SegmentRow};
use super::recordings::{RecordingRow, insert, update};
use crate::base::{Error, ErrorKind, Result};

/// What changed in one recording, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct RecordingChange {
    /// The recording's columns; `None` leaves them.
    pub row: Option<RecordingRow>,
    /// Segments to enter or update.
    pub segments: Vec<SegmentRow>,
    /// Segments that are no longer part of it.
    pub removed: Vec<u32>,
    /// Gaps that are none any more, by their start.
    pub removed_gaps: Vec<i64>,
    /// Gaps to enter or update.
    pub gaps: Vec<GapRow>,
    /// Notes to add.
    pub notes: Vec<NoteRow>,
}

pub(super) fn apply(c: &Connection, id: i64, change: &RecordingChange) -> Result<()> {
    if let Some(row) = &change.row {
        update(c, row)?;
    }
    for number in &change.removed {
        c.execute("DELETE FROM segments WHERE recording = ?1 AND number = ?2", params![id, number])?;
        c.execute("DELETE FROM gaps WHERE recording = ?1 AND number = ?2", params![id, number])?;
        c.execute("DELETE FROM fragments WHERE recording = ?1 AND number = ?2", params![id, number])?;
    }
    for start_us in &change.removed_gaps {
        c.execute("DELETE FROM gaps WHERE recording = ?1 AND start_us = ?2", params![id, start_us])?;
    }
    change.segments.iter().try_for_each(|s| s.write(c, id))?;
    change.gaps.iter().try_for_each(|g| g.write(c, id))?;
    change.notes.iter().try_for_each(|n| n.write(c, id))
}

impl Store {
    /// Writes what changed in recording `id`.
    pub async fn change_recording(&self, id: i64, change: RecordingChange) -> Result<()> {
        self.call(move |c| apply(c, id, &change)).await
    }

    /// Ends one recording and enters its continuation, both or neither; `None` = the name is taken.
    pub async fn continue_recording(
        &self,
        id: i64,
        change: RecordingChange,
        next: RecordingRow,
    ) -> Result<Option<i64>> {
        self.call(move |c| {
            apply(c, id, &change)?;
            match insert(c, &next)? {
                Some(id) => Ok(Some(id)),
                // Nothing of the change may stay when the continuation has no row.
                None => Err(Error::state("the name is taken", "taken", &[])),
            }
        })
        .await
        .or_else(|e| if e.kind() == ErrorKind::InvalidState { Ok(None) } else { Err(e) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CameraId;

    fn row(name: &str, camera: u32, start_us: i64, wanted: bool) -> RecordingRow {
        RecordingRow {
            id: 0,
            name: name.parse().unwrap(),
            camera: CameraId(camera),
            identity: "test:a".into(),
            camera_name: "A".into(),
            format: "mp4".into(),
            requested_us: start_us,
            start_us,
            limit_ms: Some(5000),
            until_us: None,
            wanted,
            end_us: None,
            duration_ms: 0,
            size: 0,
            codec: None,
            width: 1280,
            height: 720,
            stsd: None,
            ended: None,
            continues: None,
            protected: false,
        }
    }

    #[tokio::test]
    async fn a_camera_has_one_wanted_recording_and_a_name_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let id = store.add_recording(row("a", 0, 1, true)).await.unwrap().unwrap();
        assert_eq!(store.add_recording(row("a", 1, 1, true)).await.unwrap(), None);
        assert!(store.add_recording(row("b", 0, 2, true)).await.is_err());
        let mut ended = row("a", 0, 1, false);
        ended.id = id;
        ended.ended = Some("stopped".into());
        let change = RecordingChange { row: Some(ended.clone()), ..Default::default() };
        store.change_recording(id, change).await.unwrap();
        assert_eq!(store.recording(&ended.name).await.unwrap(), Some(ended));
        assert!(store.add_recording(row("b", 0, 2, true)).await.unwrap().is_some());
        assert_eq!(store.wanted_recordings().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_continuation_and_the_end_before_it_are_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let first = row("a", 0, 1, true);
        let id = store.add_recording(first.clone()).await.unwrap().unwrap();
        let change =
            RecordingChange { row: Some(RecordingRow { id, wanted: false, ..first }), ..Default::default() };
        let taken = store.continue_recording(id, change.clone(), row("a", 0, 2, true)).await.unwrap();
        assert_eq!(taken, None);
        assert!(store.wanted_recordings().await.unwrap()[0].id == id);
        let next = store.continue_recording(id, change, row("a_2", 0, 2, true)).await.unwrap();
        assert_eq!(store.wanted_recordings().await.unwrap()[0].id, next.unwrap());
    }

    #[tokio::test]
    async fn everything_of_a_recording_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        for n in 0..3 {
            store.add_recording(row(&format!("r{n}"), n, i64::from(n), true)).await.unwrap();
        }
        let (rows, total) = store.recordings(2, 0).await.unwrap();
        assert_eq!(total, 3);
        assert_eq!(rows[0].name.as_str(), "r2");
        let id = rows[0].id;
        let segment = SegmentRow {
            number: 1,
            file: "x.mp4".into(),
            stream: [7; 16],
            stream_number: 0,
            start_us: 5,
            duration_us: 6,
            size: 7,
            closed: true,
            lost: false,
            trimmed: false,
        };
        let gap = GapRow { number: 1, start_us: 1, duration_us: 2, cause: "unknown".into() };
        let note = NoteRow { at_us: 1, kind: "clock_step".into(), detail: "+5 s".into() };
        let change = RecordingChange {
            segments: vec![segment.clone()],
            gaps: vec![gap.clone()],
            notes: vec![note.clone()],
            ..Default::default()
        };
        store.change_recording(id, change).await.unwrap();
        assert_eq!(store.segments(id).await.unwrap(), [segment]);
        assert_eq!(store.gaps(id).await.unwrap(), [gap]);
        assert_eq!(store.notes(id).await.unwrap(), [note]);
        assert!(store.remove_recording(&rows[0].name).await.unwrap());
        assert!(store.segments(id).await.unwrap().is_empty());
        assert!(store.notes(id).await.unwrap().is_empty());
    }
}
