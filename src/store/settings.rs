//! Small facts by key.

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use crate::base::Result;

/// Set while the database is an older copy into which the recordings' cards are still to be merged.
pub(super) const MERGING: &str = "merging";

/// Settings made over the API, each under its key's path behind this.
const API: &str = "config.";

impl Store {
    /// Whether this database was taken from a copy and what happened since is not all in it yet.
    pub async fn merging(&self) -> Result<bool> {
        Ok(self.setting(MERGING).await?.is_some())
    }

    /// It is all in it.
    pub async fn merged(&self) -> Result<()> {
        self.call(|c| {
            c.execute("DELETE FROM settings WHERE key = ?1", [MERGING])?;
            Ok(())
        })
        .await
    }

    /// Settings made over the API: path of the key, value as TOML writes it.
    pub async fn api_settings(&self) -> Result<Vec<(String, String)>> {
        self.read(|c| {
            let sql = "SELECT substr(key, 8), value FROM settings WHERE key GLOB 'config.*' ORDER BY key";
            super::connection::rows(c, sql, [], |r| Ok((r.get(0)?, r.get(1)?)))
        })
        .await
    }

    /// Keeps a setting made over the API, or gives it up; it wins over the files from the next load on.
    pub async fn set_api_setting(&self, path: &str, value: Option<String>) -> Result<()> {
        let path = path.to_owned();
        self.call(move |c| set_api(c, &path, value)).await
    }

    /// Keeps settings made over the API, or gives them up, all or none.
    pub async fn set_api_settings(&self, all: Vec<(&'static str, Option<String>)>) -> Result<()> {
        self.call(move |c| all.into_iter().try_for_each(|(path, value)| set_api(c, path, value))).await
    }

    /// The text stored under `key`.
    pub async fn setting(&self, key: &'static str) -> Result<Option<String>> {
        self.read(move |c| {
            let mut statement = c.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
            Ok(statement.query_row([key], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Stores `value` under `key`.
    pub async fn set_setting(&self, key: &'static str, value: String) -> Result<()> {
        self.call(move |c| {
            let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            c.prepare_cached(sql)?.execute(params![key, value])?;
            Ok(())
        })
        .await
    }
}

fn set_api(c: &Connection, path: &str, value: Option<String>) -> Result<()> {
    let key = format!("{API}{path}");
    match value {
        Some(value) => c
            .prepare_cached(
                "INSERT INTO settings (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![key, value])?,
        None => c.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_of_the_api_are_kept_apart_from_other_facts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        store.set_setting("other", "1".into()).await.unwrap();
        store.set_api_setting("log.level", Some("\"warn\"".into())).await.unwrap();
        store.set_api_setting("log.level", Some("\"debug\"".into())).await.unwrap();
        store.set_api_setting("storage.warn_percent", Some("50".into())).await.unwrap();
        store.set_api_setting("storage.warn_percent", None).await.unwrap();
        let all = store.api_settings().await.unwrap();
        assert_eq!(all, [("log.level".to_owned(), "\"debug\"".to_owned())]);
        drop(store);
        assert_eq!(crate::store::api_settings_of(&dir.path().join("t.db")), all);
        assert!(crate::store::api_settings_of(&dir.path().join("none.db")).is_empty());
    }
}
