//! A database that turns out to be damaged while it is in use.
//!
//! Promises: it is told once, and noted for the next start, which looks at all of the file, however long
//! that takes, and makes the database again where it has to. Until then what runs goes on: MediaMTX
//! writes footage and the recordings' cards say what it is.

use std::fs;
use std::sync::Arc;

use tokio::sync::watch;

use super::Store;
use super::places::StorePlaces;
use crate::base::{Error, Result};
use crate::durable::replace;

/// What an error of such a database says.
pub(super) const DAMAGED: &str = "the database is damaged";

/// Goes off once. Clones are the same one.
#[derive(Clone)]
pub(super) struct Alarm {
    sender: Arc<watch::Sender<bool>>,
    places: Option<Arc<StorePlaces>>,
}

impl Alarm {
    pub(super) fn new(places: Option<Arc<StorePlaces>>) -> Self {
        Self { sender: Arc::default(), places }
    }

    /// Passes an answer on, and sees what it says.
    pub(super) fn look<T>(&self, answer: Result<T>) -> Result<T> {
        if let Err(error) = &answer
            && error.data().get("detail").is_some_and(|d| d == DAMAGED)
        {
            self.raise(error);
        }
        answer
    }

    pub(super) fn raise(&self, error: &Error) {
        if self.sender.send_replace(true) {
            return;
        }
        tracing::error!(
            error = %error.chain(),
            "the database is damaged; the next start takes the newest copy and enters the recordings again \
             from their own files"
        );
        if let Some(places) = &self.places
            && let Err(error) = replace(&places.damaged, format!("{}\n", error.chain()).as_bytes())
        {
            tracing::error!(%error, "that could not be noted for the next start");
        }
    }
}

impl Store {
    /// Whether the database turned out to be damaged since it was opened.
    pub fn damaged(&self) -> watch::Receiver<bool> {
        self.damage.sender.subscribe()
    }
}

/// Whether the last run found damage.
pub(super) fn was_raised(places: &StorePlaces) -> bool {
    places.damaged.exists()
}

/// The file was looked at whole, or is another one.
pub(super) fn clear(places: &StorePlaces) {
    let _ = fs::remove_file(&places.damaged);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::store::Opened;

    #[tokio::test]
    async fn damage_found_in_use_is_told_once_and_repaired_by_the_next_start() {
        let data = tempfile::tempdir().unwrap();
        let places = || StorePlaces::below(data.path());
        let (store, _) = Store::open_at(places()).unwrap();
        for n in 0..400 {
            let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)";
            let text = "x".repeat(200);
            store.call(move |c| Ok(c.execute(sql, (format!("k{n}"), text))?)).await.unwrap();
        }
        store.copy_now().unwrap();
        let damaged = store.damaged();
        assert!(!*damaged.borrow());
        // All of it from the log into the file, and then the file is not what it was.
        let other = rusqlite::Connection::open(data.path().join("fieldcam.db")).unwrap();
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let file = fs::File::options().write(true).open(data.path().join("fieldcam.db")).unwrap();
        let len = file.metadata().unwrap().len();
        file.write_all_at(&vec![0xa5; len as usize - 4096], 4096).unwrap();
        let all = "SELECT sum(length(value)) FROM settings";
        let read = store.read(move |c| Ok(c.query_row(all, [], |r| r.get::<_, i64>(0))?)).await;
        assert!(read.unwrap_err().message().contains("damaged"));
        assert!(*damaged.borrow() && was_raised(&places()));
        assert!(store.copy_now().is_err());
        drop(store);
        let (store, opened) = Store::open_at(places()).unwrap();
        assert!(matches!(opened, Opened::Rebuilt { copy: Some(1), .. }), "{opened:?}");
        assert!(!was_raised(&places()));
        assert!(store.setting("merging").await.unwrap().is_some());
    }
}
