//! Who did what: bounded, the oldest entries go first.

use rusqlite::params;

use super::Store;
use super::connection::page;
use crate::base::Result;

/// Entries kept of what was done. At 120 bytes each both kinds stay below 1.5 MB.
const DONE_MAX: u32 = 8000;
/// Entries kept of what was refused or failed: a flood of them pushes out no deed.
const REFUSED_MAX: u32 = 2000;

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
                for (kind, most) in [("=", DONE_MAX), ("<>", REFUSED_MAX)] {
                    let sql = format!(
                        "DELETE FROM audit WHERE result {kind} 'ok' AND id <=
                         (SELECT id FROM audit WHERE result {kind} 'ok' ORDER BY id DESC LIMIT 1 OFFSET ?1)"
                    );
                    c.prepare_cached(&sql)?.execute([most])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Newest first, and how many there are in all.
    pub async fn audit(&self, limit: u32, offset: u32) -> Result<(Vec<AuditRow>, u64)> {
        self.read(move |c| {
            let select = "SELECT at_us, user, address, action, target, result FROM audit ORDER BY id DESC";
            page(c, "audit", select, (limit, offset), |r| {
                Ok(AuditRow {
                    at_us: r.get(0)?,
                    user: r.get(1)?,
                    address: r.get(2)?,
                    action: r.get(3)?,
                    target: r.get(4)?,
                    result: r.get(5)?,
                })
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_us: i64, result: &str) -> AuditRow {
        AuditRow {
            at_us,
            user: Some("ann".into()),
            address: None,
            action: "delete_recording".into(),
            target: None,
            result: result.into(),
        }
    }

    #[tokio::test]
    async fn the_oldest_go_and_refusals_push_out_no_deed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        store.add_audit(vec![entry(1, "ok")], true).await.unwrap();
        let flood = (0..3 * i64::from(REFUSED_MAX)).map(|n| entry(n + 2, "-32001")).collect();
        store.add_audit(flood, true).await.unwrap();
        let (newest, total) = store.audit(1, 0).await.unwrap();
        assert_eq!((total, newest[0].at_us), (u64::from(REFUSED_MAX) + 1, 3 * i64::from(REFUSED_MAX) + 1));
        let (oldest, _) = store.audit(1, REFUSED_MAX).await.unwrap();
        assert_eq!(oldest, [entry(1, "ok")]);
        let deeds = (0..i64::from(DONE_MAX)).map(|n| entry(n, "ok")).collect();
        store.add_audit(deeds, true).await.unwrap();
        let total = store.audit(1, 0).await.unwrap().1;
        assert_eq!(total, u64::from(DONE_MAX + REFUSED_MAX));
    }
}
