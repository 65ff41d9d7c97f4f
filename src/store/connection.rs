//! The two connections and the threads that own them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row};
use tokio::sync::oneshot;

use super::alarm::{Alarm, DAMAGED};
use super::open::{self, Opened};
use super::places::StorePlaces;
use super::{camera_card, schema};
use crate::base::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce(&mut Link) + Send>;

/// What a thread works on.
pub(super) enum Link {
    /// The connection.
    Open(Connection),
    /// None for now, and why in words for a client.
    Closed(&'static str),
}

impl Link {
    fn open(&mut self) -> Result<&mut Connection> {
        match self {
            Link::Open(connection) => Ok(connection),
            Link::Closed(why) => Err(Error::dependency("database", *why)),
        }
    }
}

/// Handle of the database. Clones are the same one; dropping the last one closes both connections
/// and waits for it: afterwards nothing of this process touches the files any more.
#[derive(Clone)]
pub struct Store {
    pub(super) writer: mpsc::Sender<Job>,
    pub(super) reader: mpsc::Sender<Job>,
    /// Where what is kept beside the database is.
    pub(super) places: Option<Arc<StorePlaces>>,
    pub(super) damage: Alarm,
    /// Stands behind the senders: fields are dropped in this order, so the threads' queues are at
    /// their end when the last handle waits for them.
    _threads: Arc<Threads>,
}

/// The threads of both connections. SQLite removes the log by its name as it closes: one that closes
/// later than its owner thinks would remove the log of whatever stands in its place by then.
struct Threads(Vec<JoinHandle<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        let Threads(threads) = self;
        while let Some(thread) = threads.pop() {
            // The last handle may be that of a job on one of the threads, which cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or creates the database of a box and brings its schema up to date. One that cannot be
    /// used is kept in quarantine and made again from the newest copy that can be. Blocks; meant for
    /// the start.
    pub fn open_at(places: StorePlaces) -> Result<(Self, Opened)> {
        let (writer, opened) = open::open(&places)?;
        let places = Arc::new(places);
        camera_card::restore(&writer, &places).map_err(opening)?;
        let reader = open_reader(places.database.clone()).map_err(opening)?;
        Ok((Self::over(writer, reader, Some(places))?, opened))
    }

    /// Opens or creates a database that stands alone: nothing is kept beside it, and a damaged one is
    /// refused. Blocks.
    pub fn open(path: &Path) -> Result<Self> {
        let mut writer = open::connect(path).map_err(opening)?;
        if schema::version(&writer).map_err(opening)? > schema::VERSION {
            let detail = "the database was written by a newer version of Fieldcam; install that one again";
            return Err(Error::new(ErrorKind::Config, detail));
        }
        schema::migrate(&mut writer).map_err(opening)?;
        let reader = open_reader(path.to_owned()).map_err(opening)?;
        Self::over(writer, reader, None)
    }

    fn over(writer: Connection, reader: Connection, places: Option<Arc<StorePlaces>>) -> Result<Self> {
        let (writer, writing) = serve("store", writer)?;
        let (reader, reading) = serve("store read", reader)?;
        let threads = Arc::new(Threads(vec![writing, reading]));
        Ok(Self { writer, reader, damage: Alarm::new(places.clone()), places, _threads: threads })
    }

    /// Runs `job` on the writing connection, inside one transaction that is committed when the job
    /// answers `Ok` and undone otherwise.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = submit(&self.writer, move |conn| {
            let transaction = conn.transaction()?;
            let value = job(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })?;
        self.damage.look(answer.await.map_err(|_| gone())?)
    }

    /// Runs `job` on the reading connection: it sees everything committed so far.
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = submit(&self.reader, move |conn| job(conn))?;
        self.damage.look(answer.await.map_err(|_| gone())?)
    }

    /// As [`Store::call`] for code outside the runtime (start of the program, blocking threads).
    pub fn call_blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = mpsc::channel();
        self.writer
            .send(Box::new(move |link| {
                let run = |conn: &mut Connection| {
                    let transaction = conn.transaction()?;
                    let value = job(&transaction)?;
                    transaction.commit()?;
                    Ok(value)
                };
                let _ = reply.send(link.open().and_then(run));
            }))
            .map_err(|_| gone())?;
        self.damage.look(answer.recv().map_err(|_| gone())?)
    }
}

/// Every row that `sql` finds with these `values`, each read by `read`.
pub(super) fn rows<T>(
    c: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map(values, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Part of a list, and how many rows `table` has in all. `select` says columns, table and order.
pub(super) fn page<T>(
    c: &Connection,
    table: &str,
    select: &str,
    (limit, offset): (u32, u32),
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<(Vec<T>, u64)> {
    let rows = rows(c, &format!("{select} LIMIT ?1 OFFSET ?2"), [limit, offset], read)?;
    let count = format!("SELECT count(*) FROM {table}");
    Ok((rows, c.prepare_cached(&count)?.query_row([], |r| r.get(0))?))
}

fn submit<T: Send + 'static>(
    thread: &mpsc::Sender<Job>,
    job: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<oneshot::Receiver<Result<T>>> {
    let (reply, answer) = oneshot::channel();
    thread
        .send(Box::new(move |link| {
            // The caller may have been cancelled; what it asked for is done all the same.
            let _ = reply.send(link.open().and_then(job));
        }))
        .map_err(|_| gone())?;
    Ok(answer)
}

/// Runs `job` on a thread's link itself, whether it is open or not.
pub(super) fn on_link<T: Send + 'static>(
    thread: &mpsc::Sender<Job>,
    job: impl FnOnce(&mut Link) -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>> {
    let (reply, answer) = oneshot::channel();
    let run: Job = Box::new(move |link| drop(reply.send(job(link))));
    thread.send(run).map_err(|_| gone())?;
    Ok(answer)
}

fn serve(name: &str, connection: Connection) -> Result<(mpsc::Sender<Job>, JoinHandle<()>)> {
    let mut link = Link::Open(connection);
    let (sender, jobs) = mpsc::channel::<Job>();
    let thread = std::thread::Builder::new()
        .name(name.into())
        .stack_size(512 << 10)
        .spawn(move || {
            while let Ok(job) = jobs.recv() {
                job(&mut link);
            }
        })
        .map_err(Error::internal)?;
    Ok((sender, thread))
}

pub(super) fn open_reader(path: PathBuf) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    prepare(&reader)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // A row that is lost is footage that nobody finds: each commit is on the disk when it answers.
    conn.pragma_update(None, "synchronous", "FULL")?;
    // KiB; the default of 2 MiB for each connection is a sixth of the daemon's memory goal.
    conn.pragma_update(None, "cache_size", -512)?;
    conn.pragma_update(None, "journal_size_limit", 1 << 20)?;
    conn.set_prepared_statement_cache_capacity(48);
    Ok(())
}

pub(super) fn opening(e: rusqlite::Error) -> Error {
    let detail = match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "the database file is damaged",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the data directory cannot be written; check its permissions and that it is not mounted read-only"
        }
        Some(ErrorCode::DiskFull) => "the disk is full; free some space and start again",
        _ => "the database cannot be opened",
    };
    Error::new(ErrorKind::Config, detail).caused_by(e)
}

pub(super) fn gone() -> Error {
    Error::internal(std::io::Error::other("the database thread is gone"))
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Self {
        let detail = match e.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::SystemIoFailure) => "the disk does not answer",
            Some(ErrorCode::ReadOnly) => "the disk is read-only",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DAMAGED,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "the database is in use",
            _ => return Error::internal(e),
        };
        Error::dependency("database", detail).caused_by(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_call_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let failed = store
            .call(|c| {
                c.execute("INSERT INTO settings (key, value) VALUES ('a', '1')", [])?;
                Err::<(), _>(Error::internal(std::io::Error::other("no")))
            })
            .await;
        assert!(failed.is_err());
        let rows: i64 = store
            .read(|c| Ok(c.query_row("SELECT count(*) FROM settings", [], |r| r.get(0))?))
            .await
            .unwrap();
        assert_eq!(rows, 0);
    }

    #[tokio::test]
    async fn reads_see_what_was_committed_and_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        store.set_setting("k", "v".into()).await.unwrap();
        assert_eq!(store.setting("k").await.unwrap().as_deref(), Some("v"));
        let refused = store.read(|c| Ok(c.execute("DELETE FROM settings", [])?)).await;
        assert!(refused.is_err());
    }

    #[test]
    fn the_last_handle_leaves_the_files_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let held = || std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let held = || held().filter_map(|f| f.path().read_link().ok()).filter(|f| f.starts_with(&path));
        for _ in 0..50 {
            let store = Store::open(&path).unwrap();
            let other = store.clone();
            // Work that is still queued when the handles go is done first.
            for _ in 0..5 {
                let insert = "INSERT INTO settings (key, value) VALUES (hex(randomblob(8)), '1')";
                drop(submit(&store.writer, move |c| Ok(c.execute(insert, [])?)).unwrap());
            }
            drop(store);
            assert_ne!(held().count(), 0);
            drop(other);
            assert_eq!(held().count(), 0);
            assert!(!dir.path().join("t.db-wal").exists(), "closed with its log written back");
        }
        let store = Store::open(&path).unwrap();
        let count = "SELECT count(*) FROM settings";
        let rows = store.call_blocking(|c| Ok(c.query_row(count, [], |r| r.get::<_, i64>(0))?));
        assert_eq!(rows.unwrap(), 250);
    }

    #[test]
    fn a_damaged_file_is_named_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let e = Store::open(&path).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Config);
        assert!(e.message().contains("damaged"), "{e}");
    }
}
