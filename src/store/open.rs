//! The start of the room: a database that can be relied on, whatever was found on the disk.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::alarm;
use super::check::{self, Damage};
use super::connection::{opening, prepare};
use super::copies::{self, NoCopy};
use super::places::StorePlaces;
use super::schema;
use crate::base::{Error, ErrorKind, Result};

/// The check may take this long of the start; 10,000 segments take a tenth of it.
const CHECK: Duration = Duration::from_millis(500);

/// What became of the database at this start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was there and sound.
    Sound,
    /// It is sound, though the last run had found it damaged.
    Suspected,
    /// There was none, and no copy of one.
    New,
    /// The one that was there could not be used.
    Rebuilt {
        /// Why; for the log and for whoever looks after the box. Without a path.
        why: String,
        /// The copy that was taken instead; `None` = an empty one.
        copy: Option<u32>,
    },
}

/// Opens the database, and where it cannot be used keeps it aside and takes the newest copy that can
/// be, in the end an empty one.
///
/// Fails only where the next one would too: the disk is full, read-only or does not answer.
pub(super) fn open(places: &StorePlaces) -> Result<(Connection, Opened)> {
    let found = look(&places.database).map_err(unusable)?;
    let suspected = alarm::was_raised(places);
    let mut copies = copies::list(places);
    let mut why = match found {
        Found::File => {
            make_writable(&places.database);
            match attempt(places)? {
                Ok(conn) => return Ok((conn, if suspected { Opened::Suspected } else { Opened::Sound })),
                Err(Damage(why)) => why,
            }
        }
        Found::Nothing if copies.is_empty() => {
            set_aside(places, "its database was gone").map_err(unusable)?;
            return Ok((create(places)?, Opened::New));
        }
        Found::Nothing => "the database was gone".to_owned(),
        Found::Empty => "the database was an empty file".to_owned(),
        Found::Other(what) => format!("{what} was in the place of the database"),
    };
    tracing::error!(why, "the database cannot be used; it is kept in quarantine and made again");
    loop {
        set_aside(places, &why).map_err(unusable)?;
        let Some(copy) = (!copies.is_empty()).then(|| copies.remove(0)) else {
            let conn = create(places)?;
            return Ok((conn, Opened::Rebuilt { why, copy: None }));
        };
        if copy.version > schema::VERSION {
            tracing::warn!(copy = copy.number, "this copy was made by a newer version and is left alone");
            continue;
        }
        copies::restore(places, &copy).map_err(unusable)?;
        match attempt(places)? {
            Ok(conn) => return Ok((conn, Opened::Rebuilt { why, copy: Some(copy.number) })),
            Err(Damage(also)) => {
                tracing::error!(why = also, copy = copy.number, "this copy cannot be used either");
                why = format!("{why}; copy {}: {also}", copy.number);
            }
        }
    }
}

enum Found {
    Nothing,
    Empty,
    File,
    Other(&'static str),
}

/// What stands where the database should be. A link is followed, as SQLite does.
fn look(path: &Path) -> io::Result<Found> {
    let meta = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(match fs::symlink_metadata(path) {
                Ok(_) => Found::Other("a link that leads nowhere"),
                Err(_) => Found::Nothing,
            });
        }
        other => other?,
    };
    Ok(match meta.file_type() {
        t if t.is_dir() => Found::Other("a folder"),
        t if !t.is_file() => Found::Other("something that is no file"),
        _ if meta.len() == 0 => Found::Empty,
        _ => Found::File,
    })
}

/// Opens what is there. `Ok(Err(_))`: it cannot be used, and never will be.
fn attempt(places: &StorePlaces) -> Result<Result<Connection, Damage>> {
    match open_checked(places) {
        Ok(conn) => Ok(Ok(conn)),
        Err(Failure::Damage(damage)) => Ok(Err(damage)),
        Err(Failure::Other(error)) => Err(error),
    }
}

pub(super) enum Failure {
    Damage(Damage),
    Other(Error),
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Failure::Damage(damage)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Self {
        check::damage_of(&e).map_or_else(|| Failure::Other(opening(e)), Failure::Damage)
    }
}

fn open_checked(places: &StorePlaces) -> std::result::Result<Connection, Failure> {
    let mut conn = connect(&places.database)?;
    let version = schema::version(&conn)?;
    if version > schema::VERSION {
        let why = format!(
            "it was written by a newer version of Fieldcam (schema {version}, this one knows {}); to use it \
             again install that version and move this file back to fieldcam.db while Fieldcam is stopped",
            schema::VERSION
        );
        return Err(Damage(why).into());
    }
    if version == 0 && !copies::list(places).is_empty() {
        // A log that was cut off leaves the file as it was before its first checkpoint.
        return Err(Damage("there was nothing in it".into()).into());
    }
    let suspect = alarm::was_raised(places);
    let budget = (!suspect).then_some(CHECK);
    check::check_structure(&conn, budget)??;
    if version > 0 && version < schema::VERSION {
        before_migration(&conn, places)?;
    }
    schema::migrate(&mut conn).map_err(|e| match e.sqlite_error_code() {
        // The disk's fault, not the file's.
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory,
        ) => Failure::from(e),
        _ => Damage(format!("it could not be brought from schema {version} to {}: {e}", schema::VERSION))
            .into(),
    })?;
    if let Some(name) = schema::missing(&conn)? {
        return Err(Damage(format!("its schema is not ours: {name}")).into());
    }
    check::check_rows(&conn, budget)??;
    if suspect {
        tracing::warn!("the database seemed damaged in the last run and is not");
        alarm::clear(places);
    }
    Ok(conn)
}

fn before_migration(conn: &Connection, places: &StorePlaces) -> std::result::Result<(), Failure> {
    match copies::make(conn, places, false) {
        Ok(copy) => {
            tracing::info!(copy = copy.number, "the database was copied before it is brought up to date");
            Ok(())
        }
        Err(NoCopy::Damaged(damage)) => Err(damage.into()),
        // The migration is one transaction: without a copy it is still all or nothing.
        Err(NoCopy::Failed(error)) => {
            tracing::warn!(error = %error, "the database could not be copied before it is brought up to date");
            Ok(())
        }
    }
}

fn create(places: &StorePlaces) -> Result<Connection> {
    let mut conn = connect(&places.database).map_err(opening)?;
    schema::migrate(&mut conn).map_err(opening)?;
    Ok(conn)
}

/// A writing connection to whatever is there.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    prepare(&conn)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    Ok(conn)
}

/// A copy put back by hand often has the permissions of where it came from.
fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(meta) = fs::metadata(path)
        && meta.permissions().mode() & 0o200 == 0
    {
        let mode = meta.permissions().mode() | 0o600;
        if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
            tracing::warn!(%error, "the database may not be written and that could not be changed");
        }
    }
}

/// Makes the place free, keeping everything.
fn set_aside(places: &StorePlaces, why: &str) -> io::Result<()> {
    // The database first: a start that finds only its companions comes here again, and one that found
    // it without them would take it for sound.
    for path in std::iter::once(places.database.clone()).chain(places.companions()) {
        if path.symlink_metadata().is_ok() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            places.quarantine.take(&path, &name, why)?;
        }
    }
    alarm::clear(places);
    Ok(())
}

fn unusable(e: io::Error) -> Error {
    let detail = match e.kind() {
        io::ErrorKind::StorageFull => "the disk is full; free some space and start again",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is mounted read-only",
        _ => "the database cannot be made again; check the disk and the data directory's permissions",
    };
    Error::new(ErrorKind::Config, detail).caused_by(e)
}

#[cfg(test)]
mod tests;
