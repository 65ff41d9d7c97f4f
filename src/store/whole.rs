//! Recordings with all that belongs to them, many at a time: for bringing index and files together.

use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::connection::rows;
use super::recording_change::{RecordingChange, apply};
use super::recording_parts::{GapRow, NoteRow, SegmentRow};
use super::recordings::{COLUMNS, RecordingRow, insert};
use crate::base::{RecordingName, Result};

/// Everything the index knows about one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRecording {
    /// Its columns.
    pub row: RecordingRow,
    /// Its segments in order.
    pub segments: Vec<SegmentRow>,
    /// Its gaps in order.
    pub gaps: Vec<GapRow>,
    /// Its notes in order.
    pub notes: Vec<NoteRow>,
}

/// What is to become of one recording.
#[derive(Clone, Debug)]
pub enum Settle {
    /// Enter it; nothing happens when its name is taken.
    Adopt(Box<RecordingRow>, RecordingChange),
    /// Change it; nothing happens when it is gone.
    Change(i64, RecordingChange),
    /// Forget it.
    Forget(i64),
}

fn read(c: &Connection, name: &RecordingName) -> Result<Option<WholeRecording>> {
    let sql = format!("SELECT {COLUMNS} FROM recordings WHERE name = ?1");
    let row = c.prepare_cached(&sql)?.query_row([name.as_str()], RecordingRow::read).optional()?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(WholeRecording {
        segments: rows(c, SegmentRow::SELECT, [row.id], SegmentRow::read)?,
        gaps: rows(c, GapRow::SELECT, [row.id], GapRow::read)?,
        notes: rows(c, NoteRow::SELECT, [row.id], NoteRow::read)?,
        row,
    }))
}

impl Store {
    /// These recordings, in the order of their names; `None` where there is none.
    pub async fn whole_recordings(&self, names: Vec<RecordingName>) -> Result<Vec<Option<WholeRecording>>> {
        self.read(move |c| names.iter().map(|name| read(c, name)).collect()).await
    }

    /// Settles all of them in one transaction.
    pub async fn settle(&self, all: Vec<Settle>) -> Result<()> {
        self.call(move |c| all.iter().try_for_each(|one| settle(c, one))).await
    }
}

fn settle(c: &Connection, one: &Settle) -> Result<()> {
    match one {
        Settle::Adopt(row, change) => match insert(c, row)? {
            Some(id) => apply(c, id, change),
            None => Ok(()),
        },
        Settle::Change(id, change) => {
            let there = c.prepare_cached("SELECT 1 FROM recordings WHERE id = ?1")?.exists([id])?;
            if there { apply(c, *id, change) } else { Ok(()) }
        }
        Settle::Forget(id) => {
            c.prepare_cached("DELETE FROM recordings WHERE id = ?1")?.execute([id])?;
            Ok(())
        }
    }
}
