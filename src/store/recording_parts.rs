//! What belongs to a recording: its segments, gaps and notes.

use rusqlite::{Connection, Row, params};

use super::Store;
use super::connection::rows;
use crate::base::Result;

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
    /// Its file is gone; size and duration say what it had.
    pub lost: bool,
    /// Retention has taken it out: it is no part of the recording any more, its file is about to go.
    pub trimmed: bool,
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

impl SegmentRow {
    pub(super) const SELECT: &str =
        "SELECT number, file, stream, stream_number, start_us, duration_us, size, closed, lost, trimmed
        FROM segments WHERE recording = ?1 ORDER BY number";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: r.get(0)?,
            file: r.get(1)?,
            stream: r.get(2)?,
            stream_number: r.get(3)?,
            start_us: r.get(4)?,
            duration_us: r.get(5)?,
            size: r.get(6)?,
            closed: r.get(7)?,
            lost: r.get(8)?,
            trimmed: r.get(9)?,
        })
    }

    /// Enters or updates it in recording `id`.
    pub(super) fn write(&self, c: &Connection, id: i64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO segments
            (recording, number, file, stream, stream_number, start_us, duration_us, size, closed, lost, trimmed)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        c.prepare_cached(sql)?.execute(params![
            id,
            self.number,
            self.file,
            self.stream,
            self.stream_number,
            self.start_us,
            self.duration_us,
            self.size,
            self.closed,
            self.lost,
            self.trimmed
        ])?;
        Ok(())
    }
}

impl GapRow {
    pub(super) const SELECT: &str = "SELECT number, start_us, duration_us, cause
        FROM gaps WHERE recording = ?1 ORDER BY start_us";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { number: r.get(0)?, start_us: r.get(1)?, duration_us: r.get(2)?, cause: r.get(3)? })
    }

    /// Enters or updates it in recording `id`.
    pub(super) fn write(&self, c: &Connection, id: i64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO gaps (recording, number, start_us, duration_us, cause)
            VALUES (?1, ?2, ?3, ?4, ?5)";
        c.prepare_cached(sql)?.execute(params![
            id,
            self.number,
            self.start_us,
            self.duration_us,
            self.cause
        ])?;
        Ok(())
    }
}

impl NoteRow {
    pub(super) const SELECT: &str = "SELECT at_us, kind, detail FROM notes WHERE recording = ?1 ORDER BY id";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { at_us: r.get(0)?, kind: r.get(1)?, detail: r.get(2)? })
    }

    /// Adds it to recording `id`.
    pub(super) fn write(&self, c: &Connection, id: i64) -> Result<()> {
        let sql = "INSERT INTO notes (recording, at_us, kind, detail) VALUES (?1, ?2, ?3, ?4)";
        c.prepare_cached(sql)?.execute(params![id, self.at_us, self.kind, self.detail])?;
        Ok(())
    }
}

impl Store {
    /// A recording's segments in order, those that retention has taken out left out.
    pub async fn segments(&self, id: i64) -> Result<Vec<SegmentRow>> {
        let mut all = self.read(move |c| rows(c, SegmentRow::SELECT, [id], SegmentRow::read)).await?;
        all.retain(|s| !s.trimmed);
        Ok(all)
    }

    /// A recording's gaps in order.
    pub async fn gaps(&self, id: i64) -> Result<Vec<GapRow>> {
        self.read(move |c| rows(c, GapRow::SELECT, [id], GapRow::read)).await
    }

    /// A recording's notes in order.
    pub async fn notes(&self, id: i64) -> Result<Vec<NoteRow>> {
        self.read(move |c| rows(c, NoteRow::SELECT, [id], NoteRow::read)).await
    }
}
