//! Recordings, their segments, gaps and notes.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Store;
use crate::base::{CameraId, Error, RecordingName, Result};

/// A recording as the index knows it. While it runs, size and duration are those of the last entry;
/// the recording room knows the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRow {
    /// Row number; 0 before it is entered.
    pub id: i64,
    /// Its name, unique on the box.
    pub name: RecordingName,
    /// Its camera.
    pub camera: CameraId,
    /// What that camera was recognised by.
    pub identity: String,
    /// That camera's name then.
    pub camera_name: String,
    /// What was asked for: `fmp4` or `mp4` (the files are the same).
    pub format: String,
    /// When it was asked for, microseconds since 1970 UTC (so are all `_us` times).
    pub requested_us: i64,
    /// First recorded frame; until there is one, the request.
    pub start_us: i64,
    /// Length asked for.
    pub limit_ms: Option<u64>,
    /// Wall-clock end of a timed recording, once its first frame is recorded.
    pub until_us: Option<i64>,
    /// The intent: it is to go on.
    pub wanted: bool,
    /// End of the last recorded frame, once ended.
    pub end_us: Option<i64>,
    /// Recorded time without gaps.
    pub duration_ms: u64,
    /// Bytes in all segments.
    pub size: u64,
    /// Such as `h264`.
    pub codec: Option<String>,
    /// Picture width.
    pub width: u32,
    /// Picture height.
    pub height: u32,
    /// Sample description of its segments.
    pub stsd: Option<Vec<u8>>,
    /// Why it ended.
    pub ended: Option<String>,
    /// The recording of which this one is the continuation.
    pub continues: Option<RecordingName>,
}

/// A segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Position in the recording, from 1.
    pub number: u32,
    /// File name in the recording's folder.
    pub file: String,
    /// MediaMTX's id of the recorder session.
    pub stream: [u8; 16],
    /// MediaMTX's number within that session.
    pub stream_number: u64,
    /// First frame.
    pub start_us: i64,
    /// Recorded time.
    pub duration_us: u64,
    /// Bytes up to the end of the last whole fragment.
    pub size: u64,
    /// Nothing will be added to it.
    pub closed: bool,
}

/// Time that is missing before segment `number` or, where `start_us` is inside it, within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRow {
    /// The first segment that has footage from after the gap.
    pub number: u32,
    /// End of the last frame before it.
    pub start_us: i64,
    /// How long.
    pub duration_us: u64,
    /// Why.
    pub cause: String,
}

/// Something worth knowing about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteRow {
    /// When.
    pub at_us: i64,
    /// Such as `clock_step`.
    pub kind: String,
    /// For a person.
    pub detail: String,
}

/// What changed in one recording, written in one transaction.
#[derive(Clone, Debug, Default)]
pub struct RecordingChange {
    /// The recording's columns; `None` leaves them.
    pub row: Option<RecordingRow>,
    /// Segments to enter or update.
    pub segments: Vec<SegmentRow>,
    /// Segments that are no longer part of it.
    pub removed: Vec<u32>,
    /// Gaps to enter or update.
    pub gaps: Vec<GapRow>,
    /// Notes to add.
    pub notes: Vec<NoteRow>,
}

const COLUMNS: &str = "id, name, camera, identity, camera_name, format, requested_us, start_us, limit_ms, \
    until_us, wanted, end_us, duration_ms, size, codec, width, height, stsd, ended, continues";

fn name_from(text: String) -> rusqlite::Result<RecordingName> {
    text.parse().map_err(|e: Error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(e))
    })
}

impl RecordingRow {
    fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            name: name_from(r.get(1)?)?,
            camera: CameraId(r.get(2)?),
            identity: r.get(3)?,
            camera_name: r.get(4)?,
            format: r.get(5)?,
            requested_us: r.get(6)?,
            start_us: r.get(7)?,
            limit_ms: r.get(8)?,
            until_us: r.get(9)?,
            wanted: r.get(10)?,
            end_us: r.get(11)?,
            duration_ms: r.get(12)?,
            size: r.get(13)?,
            codec: r.get(14)?,
            width: r.get(15)?,
            height: r.get(16)?,
            stsd: r.get(17)?,
            ended: r.get(18)?,
            continues: r.get::<_, Option<String>>(19)?.map(name_from).transpose()?,
        })
    }
}

fn update(c: &Connection, row: &RecordingRow) -> Result<()> {
    let sql = "UPDATE recordings SET start_us = ?2, until_us = ?3, wanted = ?4, end_us = ?5,
        duration_ms = ?6, size = ?7, codec = ?8, width = ?9, height = ?10, stsd = ?11, ended = ?12
        WHERE id = ?1";
    c.prepare_cached(sql)?.execute(params![
        row.id,
        row.start_us,
        row.until_us,
        row.wanted,
        row.end_us,
        row.duration_ms,
        row.size,
        row.codec,
        row.width,
        row.height,
        row.stsd,
        row.ended,
    ])?;
    Ok(())
}

fn insert(c: &Connection, row: &RecordingRow) -> Result<Option<i64>> {
    let taken: Option<i64> = c
        .prepare_cached("SELECT id FROM recordings WHERE name = ?1")?
        .query_row([row.name.as_str()], |r| r.get(0))
        .optional()?;
    if taken.is_some() {
        return Ok(None);
    }
    let sql = format!(
        "INSERT INTO recordings ({COLUMNS}) VALUES
        (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
    );
    c.prepare_cached(&sql)?.execute(params![
        row.name.as_str(),
        row.camera.0,
        row.identity,
        row.camera_name,
        row.format,
        row.requested_us,
        row.start_us,
        row.limit_ms,
        row.until_us,
        row.wanted,
        row.end_us,
        row.duration_ms,
        row.size,
        row.codec,
        row.width,
        row.height,
        row.stsd,
        row.ended,
        row.continues.as_ref().map(RecordingName::as_str),
    ])?;
    Ok(Some(c.last_insert_rowid()))
}

fn apply(c: &Connection, id: i64, change: &RecordingChange) -> Result<()> {
    if let Some(row) = &change.row {
        update(c, row)?;
    }
    for number in &change.removed {
        c.execute("DELETE FROM segments WHERE recording = ?1 AND number = ?2", params![id, number])?;
        c.execute("DELETE FROM gaps WHERE recording = ?1 AND number = ?2", params![id, number])?;
    }
    for s in &change.segments {
        let sql = "INSERT OR REPLACE INTO segments
            (recording, number, file, stream, stream_number, start_us, duration_us, size, closed)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        c.prepare_cached(sql)?.execute(params![
            id,
            s.number,
            s.file,
            s.stream,
            s.stream_number,
            s.start_us,
            s.duration_us,
            s.size,
            s.closed
        ])?;
    }
    for g in &change.gaps {
        let sql = "INSERT OR REPLACE INTO gaps (recording, number, start_us, duration_us, cause)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        c.prepare_cached(sql)?.execute(params![id, g.number, g.start_us, g.duration_us, g.cause])?;
    }
    for n in &change.notes {
        let sql = "INSERT INTO notes (recording, at_us, kind, detail) VALUES (?1, ?2, ?3, ?4)";
        c.prepare_cached(sql)?.execute(params![id, n.at_us, n.kind, n.detail])?;
    }
    Ok(())
}

impl Store {
    /// Enters a recording; `None` = the name is taken. Fails when the camera has a wanted one.
    pub async fn add_recording(&self, row: RecordingRow) -> Result<Option<i64>> {
        self.call(move |c| insert(c, &row)).await
    }

    /// Enters a recording with all that belongs to it; nothing happens when the name is taken.
    pub async fn adopt_recording(&self, row: RecordingRow, change: RecordingChange) -> Result<()> {
        self.call(move |c| match insert(c, &row)? {
            Some(id) => apply(c, id, &change),
            None => Ok(()),
        })
        .await
    }

    /// The name of every recording.
    pub async fn recording_names(&self) -> Result<Vec<String>> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT name FROM recordings")?;
            let rows = statement.query_map([], |r| r.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

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
        .or_else(|e| if e.kind() == crate::base::ErrorKind::InvalidState { Ok(None) } else { Err(e) })
    }

    /// The recordings whose intent still stands.
    pub async fn wanted_recordings(&self) -> Result<Vec<RecordingRow>> {
        self.read(|c| {
            let sql = format!("SELECT {COLUMNS} FROM recordings WHERE wanted = 1 ORDER BY camera");
            let mut statement = c.prepare_cached(&sql)?;
            let rows = statement.query_map([], RecordingRow::read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Newest first, and how many there are in all.
    pub async fn recordings(&self, limit: u32, offset: u32) -> Result<(Vec<RecordingRow>, u64)> {
        self.read(move |c| {
            let sql = format!(
                "SELECT {COLUMNS} FROM recordings ORDER BY start_us DESC, id DESC LIMIT ?1 OFFSET ?2"
            );
            let mut statement = c.prepare_cached(&sql)?;
            let rows = statement.query_map([limit, offset], RecordingRow::read)?;
            let rows = rows.collect::<rusqlite::Result<_>>()?;
            let total: u64 =
                c.prepare_cached("SELECT count(*) FROM recordings")?.query_row([], |r| r.get(0))?;
            Ok((rows, total))
        })
        .await
    }

    /// One recording by name.
    pub async fn recording(&self, name: &RecordingName) -> Result<Option<RecordingRow>> {
        let name = name.clone();
        self.read(move |c| {
            let sql = format!("SELECT {COLUMNS} FROM recordings WHERE name = ?1");
            let mut statement = c.prepare_cached(&sql)?;
            Ok(statement.query_row([name.as_str()], RecordingRow::read).optional()?)
        })
        .await
    }

    /// A recording's segments in order.
    pub async fn segments(&self, id: i64) -> Result<Vec<SegmentRow>> {
        self.read(move |c| {
            let sql = "SELECT number, file, stream, stream_number, start_us, duration_us, size, closed
                FROM segments WHERE recording = ?1 ORDER BY number";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([id], |r| {
                Ok(SegmentRow {
                    number: r.get(0)?,
                    file: r.get(1)?,
                    stream: r.get(2)?,
                    stream_number: r.get(3)?,
                    start_us: r.get(4)?,
                    duration_us: r.get(5)?,
                    size: r.get(6)?,
                    closed: r.get(7)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// A recording's gaps in order.
    pub async fn gaps(&self, id: i64) -> Result<Vec<GapRow>> {
        self.read(move |c| {
            let sql = "SELECT number, start_us, duration_us, cause FROM gaps WHERE recording = ?1
                ORDER BY start_us";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement.query_map([id], |r| {
                Ok(GapRow {
                    number: r.get(0)?,
                    start_us: r.get(1)?,
                    duration_us: r.get(2)?,
                    cause: r.get(3)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// A recording's notes in order.
    pub async fn notes(&self, id: i64) -> Result<Vec<NoteRow>> {
        self.read(move |c| {
            let sql = "SELECT at_us, kind, detail FROM notes WHERE recording = ?1 ORDER BY id";
            let mut statement = c.prepare_cached(sql)?;
            let rows = statement
                .query_map([id], |r| Ok(NoteRow { at_us: r.get(0)?, kind: r.get(1)?, detail: r.get(2)? }))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Forgets a recording and all that belongs to it; `false` = there was none.
    pub async fn remove_recording(&self, name: &RecordingName) -> Result<bool> {
        let name = name.clone();
        self.call(move |c| Ok(c.execute("DELETE FROM recordings WHERE name = ?1", [name.as_str()])? == 1))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
