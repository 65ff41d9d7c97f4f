//! Who did what: bounded, so that no flood of one kind pushes out the others.

use rusqlite::{Row, params};

use super::Store;
use super::connection::page;
use crate::base::Result;

/// The newest entries kept of each action that was done, and of all that was refused or failed. A poller that
/// takes a still each second keeps nobody from seeing who made a key. At 120 bytes an entry, and with the 21
/// actions that there are, all of them stay below 2 MB.
const KEPT: u32 = 500;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditRow {
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Who; none before a log-in.
    pub user: Option<String>,
    /// From where; none: the box itself.
    pub address: Option<String>,
    /// The method, or what else was tried.
    pub action: String,
    /// What it was done to.
    pub target: Option<String>,
    /// `ok`, or the error's code.
    pub result: String,
}

impl AuditRow {
    pub(super) const SELECT: &str =
        "SELECT at_us, user, address, action, target, result FROM audit ORDER BY id DESC";

    pub(super) fn read(r: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at_us: r.get(0)?,
            user: r.get(1)?,
            address: r.get(2)?,
            action: r.get(3)?,
            target: r.get(4)?,
            result: r.get(5)?,
        })
    }
}

impl Store {
    /// Appends entries; `prune` also takes out what is too much.
    pub async fn add_audit(&self, entries: Vec<AuditRow>, prune: bool) -> Result<()> {
        self.call(move |c| {
            let sql = "INSERT INTO audit (at_us, user, address, action, target, result)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut statement = c.prepare_cached(sql)?;
            for AuditRow { at_us, user, address, action, target, result } in entries {
                statement.execute(params![at_us, user, address, action, target, result])?;
            }
            if prune {
                let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM (
                               SELECT id, row_number() OVER (
                                   PARTITION BY CASE result WHEN 'ok' THEN action ELSE '' END ORDER BY id DESC
                               ) AS age FROM audit
                           ) WHERE age > ?1)";
                c.prepare_cached(sql)?.execute([KEPT])?;
            }
            Ok(())
        })
        .await
    }

    /// Newest first, and how many there are in all.
    pub async fn audit(&self, limit: u32, offset: u32) -> Result<(Vec<AuditRow>, u64)> {
        self.read(move |c| page(c, "audit", AuditRow::SELECT, (limit, offset), AuditRow::read)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_us: i64, action: &str, result: &str) -> AuditRow {
        AuditRow {
            at_us,
            user: Some("ann".into()),
            address: None,
            action: action.into(),
            target: None,
            result: result.into(),
        }
    }

    #[tokio::test]
    async fn the_oldest_of_each_kind_go_and_push_out_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let first = entry(0, "create_api_key", "ok");
        store.add_audit(vec![first.clone()], true).await.unwrap();
        let flood = |action: &'static str, result: &'static str| {
            (0..3 * i64::from(KEPT)).map(move |n| entry(n, action, result))
        };
        let refused = flood("create_api_key", "-32002").chain(flood("authenticate", "-32001"));
        store.add_audit(refused.chain(flood("take_snapshot", "ok")).collect(), true).await.unwrap();
        let (all, total) = store.audit(1000 + 1, 0).await.unwrap();
        assert_eq!(total, u64::from(2 * KEPT + 1));
        assert_eq!(all.last(), Some(&first));
        let of = |result: &str| all.iter().filter(|e| e.result == result).map(|e| e.at_us).min();
        assert_eq!(all.iter().filter(|e| e.action == "take_snapshot").count(), KEPT as usize);
        assert_eq!(of("-32001"), Some(i64::from(2 * KEPT)), "the newest stay");
    }
}
