//! Copies of the database: made in small steps beside the running one, checked, kept in generations.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::Store;
use super::alarm::DAMAGED;
use super::check::{self, Damage};
use super::places::StorePlaces;
use super::settings::MERGING;
use crate::base::Error;
use crate::durable::sync_dir;

/// Generations kept, beside the newest of the schema before this one: that is what a box needs which
/// goes back to its former program.
const GENERATIONS: usize = 3;

/// Pages of 4 KiB copied at a time. Reading and writing 128 KiB of cached pages takes well below a
/// millisecond; then the disk and the processor are everybody's again.
const PAGES: i32 = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// A copy in `backup/`: `fieldcam_000012_v1.db`, counted up, with the schema version it has. Numbers
/// and not times, because a box without a clock battery does not know the time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation {
    pub number: u32,
    pub version: u32,
}

impl Generation {
    pub fn file(&self) -> String {
        format!("fieldcam_{:06}_v{}.db", self.number, self.version)
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, version) = name.strip_prefix("fieldcam_")?.strip_suffix(".db")?.split_once("_v")?;
        let this = Self { number: number.parse().ok()?, version: version.parse().ok()? };
        (this.file() == name).then_some(this)
    }
}

/// What there is, newest first.
pub(super) fn list(places: &StorePlaces) -> Vec<Generation> {
    let entries = fs::read_dir(&places.copies).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.filter_map(|e| Generation::parse(e.file_name().to_str()?)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

/// Those that may go, of a list that is newest first.
fn surplus(all: &[Generation]) -> Vec<Generation> {
    let Some(newest) = all.first() else { return Vec::new() };
    let former = all.iter().find(|g| g.version < newest.version);
    all.iter().skip(GENERATIONS).filter(|g| Some(*g) != former).cloned().collect()
}

/// Why there is no new copy.
#[derive(Debug)]
pub(super) enum NoCopy {
    /// The database itself is damaged; older copies were left alone.
    Damaged(Damage),
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for NoCopy {
    fn from(error: E) -> Self {
        NoCopy::Failed(Box::new(error))
    }
}

/// Copies the database as `source` sees it at this moment, checks the copy, and lets the oldest go.
/// Writers go on meanwhile: the source reads one state throughout (a WAL snapshot).
///
/// `pause` = between the steps; without one it is done as fast as it can be (at start).
pub(super) fn make(source: &Connection, places: &StorePlaces, pause: bool) -> Result<Generation, NoCopy> {
    fs::create_dir_all(&places.copies)?;
    let temporary = places.copies.join(UNFINISHED);
    remove_unfinished(&temporary)?;
    let made = write(source, &temporary, pause);
    let version = match made {
        Ok(version) => version,
        Err(no) => {
            let _ = remove_unfinished(&temporary);
            return Err(no);
        }
    };
    let known = list(places);
    let number = known.first().map_or(1, |g| g.number.saturating_add(1));
    let generation = Generation { number, version };
    fs::rename(&temporary, places.copies.join(generation.file()))?;
    sync_dir(&places.copies)?;
    let mut all = known;
    all.insert(0, generation.clone());
    for old in surplus(&all) {
        fs::remove_file(places.copies.join(old.file()))?;
    }
    Ok(generation)
}

const UNFINISHED: &str = "unfinished.db";

fn write(source: &Connection, temporary: &Path, pause: bool) -> Result<u32, NoCopy> {
    let mut copy = Connection::open(temporary)?;
    // Made durable as a whole at the end; a crash before that leaves no copy, not half of one.
    copy.pragma_update(None, "synchronous", "OFF")?;
    let snapshot = source.unchecked_transaction()?;
    let copied = (|| -> Result<(), NoCopy> {
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get::<_, i64>(0))?;
        let backup = Backup::new(&snapshot, &mut copy)?;
        loop {
            match backup.step(PAGES)? {
                StepResult::Done => return Ok(()),
                _ if pause => std::thread::sleep(PAUSE),
                _ => {}
            }
        }
    })();
    copied.map_err(|no| match no {
        NoCopy::Failed(e) => match e.downcast_ref::<rusqlite::Error>().and_then(check::damage_of) {
            Some(damage) => NoCopy::Damaged(damage),
            None => NoCopy::Failed(e),
        },
        other => other,
    })?;
    drop(snapshot);
    // One file that needs nothing beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let version: u32 = copy.pragma_query_value(None, "user_version", |r| r.get(0))?;
    check::check_structure(&copy, None)?.map_err(NoCopy::Damaged)?;
    drop(copy);
    File::open(temporary)?.sync_all()?;
    Ok(version)
}

fn remove_unfinished(temporary: &Path) -> io::Result<()> {
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut name = temporary.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(PathBuf::from(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

impl Store {
    /// Copies the database now; answers with the copy's number. Blocks for as long as that takes, in
    /// nobody's way.
    pub fn copy_now(&self) -> Result<u32, Error> {
        let gone = || Error::internal(io::Error::other("this database has no place for copies"));
        let places = self.places.as_deref().ok_or_else(gone)?;
        let source = source(places)?;
        match make(&source, places, true) {
            Ok(copy) => Ok(copy.number),
            Err(NoCopy::Damaged(Damage(why))) => {
                self.damage.look(Err(Error::dependency("database", DAMAGED).caused_by(why)))
            }
            Err(NoCopy::Failed(cause)) => {
                Err(Error::dependency("database", "it could not be copied").caused_by(cause))
            }
        }
    }
}

/// A connection for [`make`] that does not stand in anybody's way.
fn source(places: &StorePlaces) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(&places.database, flags)?;
    source.busy_timeout(Duration::from_secs(5))?;
    source.pragma_update(None, "query_only", true)?;
    source.pragma_update(None, "cache_size", -256)?;
    Ok(source)
}

/// Puts a copy in the place of the database, which has to be free with all that belongs to it. From
/// the first moment it says of itself that it is one.
pub(super) fn restore(places: &StorePlaces, copy: &Generation) -> io::Result<()> {
    let from = places.copies.join(copy.file());
    let temporary = places.database.with_extension(crate::durable::UNFINISHED);
    let copied = fs::copy(&from, &temporary).and_then(|_| {
        mark(&temporary, copy)?;
        File::open(&temporary)?.sync_all()
    });
    match copied {
        // On a full disk the copy itself is better than none.
        Err(e) if e.kind() == io::ErrorKind::StorageFull => {
            let _ = remove_unfinished(&temporary);
            fs::rename(&from, &places.database)?;
            mark(&places.database, copy)?;
        }
        Err(e) => return Err(e),
        Ok(()) => fs::rename(&temporary, &places.database)?,
    }
    places.database.parent().map_or(Ok(()), sync_dir)
}

/// A copy that is damaged cannot be marked; whoever opens it finds out why.
fn mark(path: &Path, copy: &Generation) -> io::Result<()> {
    let marked = Connection::open(path).and_then(|conn| {
        conn.execute(
            "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)",
            rusqlite::params![MERGING, copy.number.to_string()],
        )
    });
    match marked {
        Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(list: &[(u32, u32)]) -> Vec<Generation> {
        list.iter().map(|&(number, version)| Generation { number, version }).collect()
    }

    #[test]
    fn the_newest_stay_and_the_one_from_before_the_migration() {
        let go = |list: &[(u32, u32)]| surplus(&generations(list));
        assert_eq!(go(&[(3, 1), (2, 1), (1, 1)]), []);
        assert_eq!(go(&[(4, 1), (3, 1), (2, 1), (1, 1)]), generations(&[(1, 1)]));
        assert_eq!(go(&[(5, 2), (4, 2), (3, 2), (2, 1), (1, 1)]), generations(&[(1, 1)]));
        assert_eq!(go(&[(6, 3), (5, 3), (4, 3), (3, 3), (2, 2), (1, 1)]), generations(&[(3, 3), (1, 1)]));
    }

    #[test]
    fn names_are_read_back_and_others_are_not_ours() {
        let generation = Generation { number: 12, version: 3 };
        assert_eq!(generation.file(), "fieldcam_000012_v3.db");
        assert_eq!(Generation::parse(&generation.file()), Some(generation));
        for other in ["fieldcam.db", "fieldcam_12_v3.db", "fieldcam_000012_v3.db-wal", "fieldcam_x_v1.db", ""]
        {
            assert_eq!(Generation::parse(other), None, "{other}");
        }
    }
}
