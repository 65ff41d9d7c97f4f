//! Letting go of the database while its disk is away, and opening it again.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Store;
use super::connection::{Link, gone, on_link, open_reader, prepare};
use crate::base::Result;

impl Store {
    /// Closes both connections, after what was asked before; every call is answered with `why` until
    /// [`Store::resume`]. Nothing is written on the way out: what the write-ahead log holds stays in
    /// it, and the next opening finds it there.
    pub async fn suspend(&self, why: &'static str) -> Result<()> {
        let reader = on_link(&self.reader, move |link| close(link, why))?;
        reader.await.map_err(|_| gone())?;
        let writer = on_link(&self.writer, move |link| close(link, why))?;
        writer.await.map_err(|_| gone())
    }

    /// Opens the database again. It has to be there: none is made, so a path that leads to another
    /// place than before fails and stays empty.
    pub async fn resume(&self, path: &Path) -> Result<()> {
        let at = path.to_owned();
        let writer = on_link(&self.writer, move |link| open(link, || open_writer(&at)))?;
        writer.await.map_err(|_| gone())??;
        let at = path.to_owned();
        let reader = on_link(&self.reader, move |link| open(link, || open_reader(at)))?;
        reader.await.map_err(|_| gone())?
    }
}

fn close(link: &mut Link, why: &'static str) {
    if let Link::Open(connection) = std::mem::replace(link, Link::Closed(why)) {
        // A last checkpoint would write into what may be another disk's place by now.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err((_, error)) = connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

fn open(link: &mut Link, connect: impl FnOnce() -> rusqlite::Result<Connection>) -> Result<()> {
    if matches!(link, Link::Closed(_)) {
        *link = Link::Open(connect()?);
    }
    Ok(())
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let writer = Connection::open_with_flags(path, flags)?;
    prepare(&writer)?;
    // An opening alone reads nothing.
    writer.query_row("SELECT count(*) FROM settings", [], |_| Ok(()))?;
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[tokio::test]
    async fn a_suspended_database_answers_why_writes_nothing_and_comes_back_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let store = Store::open(&path).unwrap();
        store.set_setting("k", "v".into()).await.unwrap();
        let bytes = || ["t.db", "t.db-wal"].map(|n| std::fs::read(dir.path().join(n)).unwrap());
        let before = bytes();
        store.suspend("the data disk is gone").await.unwrap();
        assert_eq!(bytes(), before);
        for refused in [store.set_setting("k", "w".into()).await, store.setting("k").await.map(drop)] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DependencyFailed);
            assert!(error.message().contains("gone"), "{error}");
        }
        store.resume(&path).await.unwrap();
        assert_eq!(store.setting("k").await.unwrap().as_deref(), Some("v"));
        store.set_setting("k", "w".into()).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_made_where_the_database_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        store.suspend("gone").await.unwrap();
        let bare = tempfile::tempdir().unwrap();
        assert!(store.resume(&bare.path().join("t.db")).await.is_err());
        assert_eq!(std::fs::read_dir(bare.path()).unwrap().count(), 0);
        assert!(store.setting("k").await.is_err());
        store.resume(&dir.path().join("t.db")).await.unwrap();
        store.setting("k").await.unwrap();
    }
}
