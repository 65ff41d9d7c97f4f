//! Whether the box was ever claimed, and how often somebody tried with a wrong code.

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::api_keys::ApiKeyRow;
use crate::base::Result;

/// When it was claimed, microseconds since 1970.
pub(super) const CLAIMED: &str = "claimed";
const WRONG: &str = "claim.wrong";

/// What is known of the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimState {
    /// Somebody owns the box.
    pub claimed: bool,
    /// Wrong codes so far.
    pub wrong: u32,
}

impl Store {
    /// What is known of the claim.
    pub async fn claim_state(&self) -> Result<ClaimState> {
        self.read(|c| {
            let of = |key: &str| -> Result<Option<String>> {
                let mut statement = c.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
                Ok(statement.query_row([key], |row| row.get(0)).optional()?)
            };
            let wrong = of(WRONG)?.map_or(0, |text| text.parse().unwrap_or(u32::MAX));
            Ok(ClaimState { claimed: of(CLAIMED)?.is_some(), wrong })
        })
        .await
    }

    /// Makes the box claimed, with the owner's key where there is one; `at_us`: microseconds since 1970. All of
    /// it or nothing.
    pub async fn claim(&self, key: Option<ApiKeyRow>, at_us: i64) -> Result<()> {
        self.call(move |c| {
            key.map_or(Ok(()), |key| key.insert(c))?;
            c.execute("DELETE FROM settings WHERE key = ?1", [WRONG])?;
            put(c, CLAIMED, &at_us.to_string())
        })
        .await
    }

    /// Makes the box claimed with keys that were made elsewhere; those it has already stay as they are. Blocks.
    pub fn claim_with_blocking(&self, keys: Vec<ApiKeyRow>, at_us: i64) -> Result<()> {
        self.call_blocking(move |c| {
            for key in keys {
                let mut there = c.prepare_cached("SELECT 1 FROM api_keys WHERE id = ?1")?;
                if !there.exists([&key.id])? {
                    ApiKeyRow { created_us: at_us, ..key }.insert(c)?;
                }
            }
            c.execute("DELETE FROM settings WHERE key = ?1", [WRONG])?;
            put(c, CLAIMED, &at_us.to_string())
        })
    }

    /// Notes how many wrong codes there were.
    pub async fn claim_tried(&self, wrong: u32) -> Result<()> {
        self.call(move |c| put(c, WRONG, &wrong.to_string())).await
    }
}

fn put(c: &Connection, key: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    c.prepare_cached(sql)?.execute(params![key, value])?;
    Ok(())
}
