//! Small facts by key.

use rusqlite::{OptionalExtension, params};

use super::Store;
use crate::base::Result;

impl Store {
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
