//! Whether a database can be relied on.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Params, Row};

use super::api_keys::ApiKeyRow;
use super::audit::AuditRow;
use super::cameras::CameraRow;
use super::devices::DeviceRow;
use super::recording_parts::{GapRow, NoteRow, SegmentRow};
use super::recordings::{self, RecordingRow};
use super::snapshots::{self, SnapshotRow};
use crate::base::Mono;

/// Why a database cannot be used. For the log and the reason file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage(pub String);

/// Virtual machine steps between two looks at the clock; some microseconds.
const STEPS: i32 = 2000;

/// Looks at the structure of every table and index. Ends with what was found so far after `budget`: a
/// large database must not delay the start, and the daily copy looks at all of it.
///
/// `Err` is a failure that says nothing about the file (it is in use, memory is short).
pub(super) fn check_structure(
    conn: &Connection,
    budget: Option<Duration>,
) -> rusqlite::Result<Result<(), Damage>> {
    within(conn, budget, |conn| {
        let verdict: String = conn.query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
        Ok(if verdict == "ok" { Ok(()) } else { Err(Damage(verdict.replace('\n', " "))) })
    })
}

/// Reads every row as what it is to be: SQLite keeps whatever a flipped bit makes of a value, and what
/// our queries cannot read would fail them for ever. Needs the newest schema; else as
/// [`check_structure`].
pub(super) fn check_rows(
    conn: &Connection,
    budget: Option<Duration>,
) -> rusqlite::Result<Result<(), Damage>> {
    within(conn, budget, |conn| rows(conn).map(Ok))
}

fn within(
    conn: &Connection,
    budget: Option<Duration>,
    look: impl FnOnce(&Connection) -> rusqlite::Result<Result<(), Damage>>,
) -> rusqlite::Result<Result<(), Damage>> {
    let started = Mono::now();
    if let Some(budget) = budget {
        conn.progress_handler(STEPS, Some(move || Mono::now().since(started) > budget))?;
    }
    let found = look(conn);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Ok(verdict) => Ok(verdict),
        Err(e) => match damage_of(&e) {
            Some(damage) => Ok(Err(damage)),
            None if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(Ok(())),
            None => Err(e),
        },
    }
}

/// What an error of SQLite says about the file itself.
pub(super) fn damage_of(e: &rusqlite::Error) -> Option<Damage> {
    use rusqlite::ffi;
    let damaged = match e {
        // A value of another kind than any of ours, or text that is not UTF-8.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // An error in the statement, or a file format from the future: our statements are right, so
            // it is the schema that is not.
            ErrorCode::Unknown => true,
            // A sector that cannot be read will not be readable later.
            ErrorCode::SystemIoFailure => matches!(
                code.extended_code,
                ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS
            ),
            _ => false,
        },
        _ => false,
    };
    damaged.then(|| Damage(e.to_string()))
}

fn rows(conn: &Connection) -> rusqlite::Result<()> {
    let text = |r: &Row<'_>| -> rusqlite::Result<(String, String)> { Ok((r.get(0)?, r.get(1)?)) };
    each(conn, "SELECT key, value FROM settings", [], text)?;
    each(conn, CameraRow::SELECT, [], CameraRow::read)?;
    each(conn, DeviceRow::SELECT, [], DeviceRow::read)?;
    each(conn, &format!("SELECT {} FROM snapshots", snapshots::COLUMNS), [], SnapshotRow::read)?;
    each(conn, ApiKeyRow::SELECT, [], ApiKeyRow::read)?;
    each(conn, AuditRow::SELECT, [], AuditRow::read)?;
    let recordings = format!("SELECT {} FROM recordings", recordings::COLUMNS);
    let mut statement = conn.prepare(&recordings)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let id = RecordingRow::read(row)?.id;
        each(conn, SegmentRow::SELECT, [id], SegmentRow::read)?;
        each(conn, GapRow::SELECT, [id], GapRow::read)?;
        each(conn, NoteRow::SELECT, [id], NoteRow::read)?;
    }
    Ok(())
}

fn each<T>(
    conn: &Connection,
    sql: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}
