//! API keys: what is kept of each is enough to know it again, and not to use it.

use rusqlite::{Connection, Row, params};

use super::Store;
use super::connection::rows;
use crate::base::Result;

/// A key without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Unique on the box, no secret.
    pub id: String,
    /// What its maker calls it; several may have one name.
    pub name: String,
    /// The contract's word.
    pub role: String,
    /// SHA-256 of the key.
    pub key_hash: [u8; 32],
    /// SHA-256 of its stream password.
    pub stream_hash: [u8; 32],
    /// Microseconds since 1970 UTC.
    pub created_us: i64,
    /// The same; none: it lasts until it is revoked.
    pub expires_us: Option<i64>,
    /// The same, a minute old at most; none: never used.
    pub used_us: Option<i64>,
}

impl ApiKeyRow {
    pub(super) const SELECT: &str =
        "SELECT id, name, role, key_hash, stream_hash, created_us, expires_us, used_us FROM api_keys";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: r.get(0)?,
            name: r.get(1)?,
            role: r.get(2)?,
            key_hash: r.get(3)?,
            stream_hash: r.get(4)?,
            created_us: r.get(5)?,
            expires_us: r.get(6)?,
            used_us: r.get(7)?,
        })
    }

    pub(super) fn insert(self, c: &Connection) -> Result<()> {
        let sql = "INSERT INTO api_keys (id, name, role, key_hash, stream_hash, created_us, expires_us)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let ApiKeyRow { id, name, role, key_hash, stream_hash, created_us, expires_us, .. } = self;
        let values = params![id, name, role, key_hash, stream_hash, created_us, expires_us];
        c.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

impl Store {
    /// Every key.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyRow>> {
        self.read(|c| rows(c, ApiKeyRow::SELECT, [], ApiKeyRow::read)).await
    }

    /// Enters a key; the one that it `replaces` expires at the moment given with it.
    pub async fn add_api_key(&self, key: ApiKeyRow, replaces: Option<(String, i64)>) -> Result<()> {
        self.call(move |c| {
            key.insert(c)?;
            if let Some((id, until_us)) = replaces {
                c.prepare_cached("UPDATE api_keys SET expires_us = ?2 WHERE id = ?1")?
                    .execute(params![id, until_us])?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets a key. `false`: there was none.
    pub async fn remove_api_key(&self, id: String) -> Result<bool> {
        self.call(move |c| Ok(c.prepare_cached("DELETE FROM api_keys WHERE id = ?1")?.execute([id])? == 1))
            .await
    }

    /// Notes when keys were used last.
    pub async fn api_keys_used(&self, used: Vec<(String, i64)>) -> Result<()> {
        self.call(move |c| {
            let mut statement = c.prepare_cached("UPDATE api_keys SET used_us = ?2 WHERE id = ?1")?;
            for (id, used_us) in used {
                statement.execute(params![id, used_us])?;
            }
            Ok(())
        })
        .await
    }
}
