//! A look at a database file from outside of the daemon, for `fieldcam diag`: counts and the newest
//! rows, without paths, names of people's own making or anything that could be a secret.

use std::fmt::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::claim::CLAIMED;

/// Columns that may be shown, of tables that are.
const NEWEST: &[(&str, &str)] = &[
    (
        "recordings",
        "SELECT name, camera, format, start_us, end_us, duration_ms, size, wanted, ended FROM recordings
         ORDER BY start_us DESC LIMIT 20",
    ),
    (
        "gaps",
        "SELECT recording, number, start_us, duration_us, cause FROM gaps ORDER BY start_us DESC LIMIT 20",
    ),
    (
        "snapshots",
        "SELECT camera, created_us, size, frame_age_ms FROM snapshots ORDER BY created_us DESC LIMIT 10",
    ),
    ("cameras", "SELECT number, strip_audio FROM cameras ORDER BY number LIMIT 100"),
    (
        "devices",
        "SELECT camera, kind, serial IS NOT NULL AS has_serial, pinned, first_us, seen_us FROM devices
         ORDER BY camera LIMIT 100",
    ),
    ("settings", "SELECT key FROM settings ORDER BY key LIMIT 100"),
];

/// What the database says of itself within `limit`. Never fails: what goes wrong is in the text.
pub fn inspect(path: &Path, limit: Duration) -> String {
    let conn = match open(path) {
        Ok(conn) => conn,
        Err(e) => return format!("cannot be opened: {e}\n"),
    };
    let interrupt = conn.get_interrupt_handle();
    let (done, wait) = mpsc::channel::<()>();
    let guard = std::thread::Builder::new().name("inspect".into()).spawn(move || {
        if wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let mut out = String::new();
    let version = conn.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
    let _ = writeln!(out, "schema version: {}", said(version));
    let tables = tables(&conn).unwrap_or_default();
    for table in &tables {
        let count = conn.query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |r| r.get::<_, i64>(0));
        let _ = writeln!(out, "{table}: {} rows", said(count));
    }
    for (table, sql) in NEWEST.iter().filter(|(table, _)| tables.iter().any(|t| t == table)) {
        let _ = writeln!(out, "\nnewest of {table}:");
        if let Err(e) = show(&conn, sql, &mut out) {
            let _ = writeln!(out, "  {e}");
        }
    }
    let _ = writeln!(out, "\nquick_check:");
    if let Err(e) = show(&conn, "PRAGMA quick_check(10)", &mut out) {
        let _ = writeln!(out, "  {e}");
    }
    drop(done);
    if let Ok(guard) = guard {
        let _ = guard.join();
    }
    out
}

/// Settings made over the API, as a database says that no daemon need have open; none when it cannot.
pub fn api_settings_of(path: &Path) -> Vec<(String, String)> {
    let read = || {
        let conn = open(path)?;
        let sql = "SELECT substr(key, 8), value FROM settings WHERE key GLOB 'config.*' ORDER BY key";
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().unwrap_or_default()
}

/// Whether a database that no daemon need have open says that its box is claimed; one that cannot be read does not.
pub fn is_claimed(path: &Path) -> bool {
    let read = || open(path)?.query_row("SELECT 1 FROM settings WHERE key = ?1", [CLAIMED], |_| Ok(true));
    read().unwrap_or_default()
}

/// Read only; where not even the shared memory of WAL can be made, as it lies on the disk.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let look = |conn: &Connection| {
        conn.busy_timeout(Duration::from_secs(1))?;
        conn.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get::<_, i64>(0))
    };
    let conn = Connection::open_with_flags(path, flags)?;
    if look(&conn).is_ok() {
        return Ok(conn);
    }
    let escaped: String = url::form_urlencoded::byte_serialize(path.to_string_lossy().as_bytes())
        .collect::<String>()
        .replace("%2F", "/")
        .replace('+', "%20");
    let conn = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    look(&conn)?;
    Ok(conn)
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    conn.prepare(sql)?.query_map([], |r| r.get(0))?.take(100).collect()
}

/// One line a row, `column=value`.
fn show(conn: &Connection, sql: &str, out: &mut String) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(sql)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut line = String::from(" ");
        for (n, name) in names.iter().enumerate() {
            let value = match row.get_ref(n)? {
                ValueRef::Null => "-".to_owned(),
                ValueRef::Integer(i) => i.to_string(),
                ValueRef::Real(f) => f.to_string(),
                ValueRef::Text(t) => String::from_utf8_lossy(t).replace(char::is_control, "?"),
                ValueRef::Blob(b) => format!("{} bytes", b.len()),
            };
            let _ = write!(line, " {name}={value}");
        }
        let _ = writeln!(out, "{line}");
    }
    Ok(())
}

fn said<T: ToString, E: ToString>(value: Result<T, E>) -> String {
    value.map_or_else(|e| e.to_string(), |v| v.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_good_database_is_counted_checked_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b?.db");
        let store = Store::open(&path).unwrap();
        let text = inspect(&path, LIMIT);
        for part in ["schema version: ", "recordings: 0 rows", "quick_check:", "ok"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        drop(store);
    }

    #[test]
    fn broken_files_are_described_and_never_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        assert!(inspect(&path, LIMIT).starts_with("cannot be opened"));
        std::fs::write(&path, b"no database at all").unwrap();
        assert!(inspect(&path, LIMIT).contains("not a database"));
        std::fs::remove_file(&path).unwrap();
        drop(Store::open(&path).unwrap());
        let good = std::fs::read(&path).unwrap();
        for cut in [20, 100, 4096, 5000, good.len() / 2] {
            let mut bytes = good.clone();
            bytes.truncate(cut);
            bytes.resize(good.len(), 0xa5);
            std::fs::write(&path, bytes).unwrap();
            let _ = inspect(&path, LIMIT);
        }
    }

    #[test]
    fn no_column_that_is_shown_holds_a_path_or_an_identity() {
        for (_, sql) in NEWEST {
            for word in ["identity", "file", "value", "camera_name", "*"] {
                assert!(!sql.split([' ', ',']).any(|w| w == word), "{sql}");
            }
        }
    }
}
