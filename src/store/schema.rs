//! The schema: numbered steps, each in one transaction, `user_version` = steps done.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// Step n brings version n to n + 1. A released step is never edited.
const STEPS: &[&str] = &[
    "
CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE cameras (
    number      INTEGER PRIMARY KEY,
    identity    TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL DEFAULT '',
    strip_audio INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE recordings (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    camera       INTEGER NOT NULL,
    identity     TEXT NOT NULL,
    camera_name  TEXT NOT NULL,
    format       TEXT NOT NULL,
    requested_us INTEGER NOT NULL,
    -- the first recorded frame; until there is one, the request
    start_us     INTEGER NOT NULL,
    -- length asked for, and the wall clock's idea of the end once a frame was recorded
    limit_ms     INTEGER,
    until_us     INTEGER,
    wanted       INTEGER NOT NULL,
    end_us       INTEGER,
    duration_ms  INTEGER NOT NULL DEFAULT 0,
    size         INTEGER NOT NULL DEFAULT 0,
    codec        TEXT,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    -- sample description of the first segment: another one cannot share the recording
    stsd         BLOB,
    ended        TEXT,
    continues    TEXT
);
CREATE INDEX recordings_newest ON recordings (start_us DESC, id DESC);
CREATE UNIQUE INDEX recordings_wanted ON recordings (camera) WHERE wanted = 1;

CREATE TABLE segments (
    recording     INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    file          TEXT NOT NULL,
    stream        BLOB NOT NULL,
    stream_number INTEGER NOT NULL,
    start_us      INTEGER NOT NULL,
    duration_us   INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    closed        INTEGER NOT NULL,
    PRIMARY KEY (recording, number)
) WITHOUT ROWID;

-- missing time: before segment `number`, or inside it
CREATE TABLE gaps (
    recording   INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    start_us    INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    cause       TEXT NOT NULL,
    PRIMARY KEY (recording, start_us)
) WITHOUT ROWID;

CREATE TABLE notes (
    id        INTEGER PRIMARY KEY,
    recording INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    at_us     INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    detail    TEXT NOT NULL
);
CREATE INDEX notes_recording ON notes (recording);

CREATE TABLE snapshots (
    name         TEXT PRIMARY KEY,
    camera       INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    frame_age_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX snapshots_newest ON snapshots (created_us DESC, name DESC);
",
    "
-- where the fragments of a closed segment are; valid for this file of this size only
CREATE TABLE fragments (
    recording INTEGER NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number    INTEGER NOT NULL,
    file      TEXT NOT NULL,
    size      INTEGER NOT NULL,
    fragments BLOB NOT NULL,
    PRIMARY KEY (recording, number)
);
",
    "
-- the file is gone: told as long as the recording is there
ALTER TABLE segments ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
",
    "
-- retention leaves it alone
ALTER TABLE recordings ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;
-- retention has taken it out: file and row are about to go, at the latest when the program starts
ALTER TABLE segments ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX segments_trimmed ON segments (recording) WHERE trimmed = 1;
-- sums are read from the index alone
CREATE INDEX recordings_sizes ON recordings (camera, wanted, size);
",
    "
-- network streams that were added over the API, and are cameras
CREATE TABLE external_streams (
    identity TEXT PRIMARY KEY,
    -- with its password
    url      TEXT NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    added_us INTEGER NOT NULL
) WITHOUT ROWID;
",
    "
CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    -- SHA-256: the keys are random, so nothing slower is needed
    key_hash    BLOB NOT NULL,
    stream_hash BLOB NOT NULL,
    created_us  INTEGER NOT NULL,
    expires_us  INTEGER,
    used_us     INTEGER
) WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at_us   INTEGER NOT NULL,
    user    TEXT,
    address TEXT,
    action  TEXT NOT NULL,
    target  TEXT,
    result  TEXT NOT NULL
);
",
    "
-- V4L2 cameras ever seen: what makes each the same again
CREATE TABLE devices (
    camera   INTEGER PRIMARY KEY REFERENCES cameras (number) ON DELETE CASCADE,
    kind     TEXT NOT NULL,
    serial   TEXT,
    -- where it was plugged in last
    port     TEXT NOT NULL,
    -- it is whatever of its kind is plugged in there
    pinned   INTEGER NOT NULL DEFAULT 0,
    model    TEXT NOT NULL,
    -- what an operator calls it
    name     TEXT,
    first_us INTEGER,
    seen_us  INTEGER
);
",
    "
-- what operators set on V4L2 cameras
CREATE TABLE camera_controls (
    camera INTEGER NOT NULL REFERENCES cameras (number) ON DELETE CASCADE,
    -- the driver's number of it
    id     INTEGER NOT NULL,
    name   TEXT NOT NULL,
    -- JSON
    value  TEXT NOT NULL,
    PRIMARY KEY (camera, id)
) WITHOUT ROWID;
",
];

/// The version that this program works with.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Which version a database has; 0 = there is nothing in it.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a database that is not newer than [`VERSION`] up to date, all steps or none.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let done = version(conn)?;
    if done >= VERSION {
        return Ok(());
    }
    let transaction = conn.transaction()?;
    for step in STEPS.iter().skip(done as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Which of the tables and indexes that a migrated database has this one lacks, or has otherwise. A
/// flipped bit in the text of the schema is another schema to SQLite, not a damaged one.
pub(super) fn missing(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let read = |conn: &Connection| -> rusqlite::Result<BTreeMap<String, String>> {
        let mut statement = conn.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
        statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
    };
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model)?;
    let there = read(conn)?;
    Ok(read(&model)?.into_iter().find(|(name, sql)| there.get(name) != Some(sql)).map(|(name, _)| name))
}

#[cfg(test)]
mod tests;
