//! The index of stills.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

use super::Store;
use super::connection::{page, rows};
use crate::base::{CameraId, Result};

/// A still on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// File name with extension, unique on the box.
    pub name: String,
    /// Its camera.
    pub camera: CameraId,
    /// When it was asked for, microseconds since 1970 UTC.
    pub created_us: i64,
    /// Bytes.
    pub size: u64,
    /// Age of the picture at that moment.
    pub frame_age_ms: u64,
}

impl SnapshotRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            camera: CameraId(row.get(1)?),
            created_us: row.get(2)?,
            size: row.get(3)?,
            frame_age_ms: row.get(4)?,
        })
    }
}

pub(super) const COLUMNS: &str = "name, camera, created_us, size, frame_age_ms";

impl Store {
    /// Enters a still. `false` = the name is taken and nothing was changed.
    pub async fn add_snapshot(&self, s: SnapshotRow) -> Result<bool> {
        self.call(move |c| {
            let sql = format!("INSERT OR IGNORE INTO snapshots ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)");
            let values = params![s.name, s.camera.0, s.created_us, s.size, s.frame_age_ms];
            Ok(c.prepare_cached(&sql)?.execute(values)? == 1)
        })
        .await
    }

    /// Newest first, and how many there are in all.
    pub async fn snapshots(&self, limit: u32, offset: u32) -> Result<(Vec<SnapshotRow>, u64)> {
        self.read(move |c| {
            let select = format!("SELECT {COLUMNS} FROM snapshots ORDER BY created_us DESC, name DESC");
            page(c, "snapshots", &select, (limit, offset), SnapshotRow::read)
        })
        .await
    }

    /// Camera and size of every still, by name.
    pub async fn snapshot_sizes(&self) -> Result<BTreeMap<String, (CameraId, u64)>> {
        let read = |r: &Row<'_>| Ok((r.get(0)?, (CameraId(r.get(1)?), r.get(2)?)));
        self.read(move |c| {
            Ok(rows(c, "SELECT name, camera, size FROM snapshots", [], read)?.into_iter().collect())
        })
        .await
    }

    /// Enters or replaces some and forgets others, in one transaction.
    pub async fn settle_snapshots(&self, enter: Vec<SnapshotRow>, forget: Vec<String>) -> Result<()> {
        self.call(move |c| {
            let sql = format!("INSERT OR REPLACE INTO snapshots ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)");
            for s in &enter {
                let values = params![s.name, s.camera.0, s.created_us, s.size, s.frame_age_ms];
                c.prepare_cached(&sql)?.execute(values)?;
            }
            for name in &forget {
                c.prepare_cached("DELETE FROM snapshots WHERE name = ?1")?.execute([name])?;
            }
            Ok(())
        })
        .await
    }

    /// One still by name.
    pub async fn snapshot(&self, name: &str) -> Result<Option<SnapshotRow>> {
        let name = name.to_owned();
        self.read(move |c| {
            let sql = format!("SELECT {COLUMNS} FROM snapshots WHERE name = ?1");
            Ok(c.prepare_cached(&sql)?.query_row([name], SnapshotRow::read).optional()?)
        })
        .await
    }

    /// Forgets a still; `false` = there was none.
    pub async fn remove_snapshot(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.call(move |c| Ok(c.execute("DELETE FROM snapshots WHERE name = ?1", [name])? == 1)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_taken_once_and_lists_are_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        let row = |n: i64| SnapshotRow {
            name: format!("s{n}.jpg"),
            camera: CameraId(1),
            created_us: n,
            size: 10,
            frame_age_ms: 3,
        };
        for n in 0..5 {
            assert!(store.add_snapshot(row(n)).await.unwrap());
        }
        assert!(!store.add_snapshot(row(2)).await.unwrap());
        let (rows, total) = store.snapshots(2, 1).await.unwrap();
        assert_eq!((rows, total), (vec![row(3), row(2)], 5));
        assert!(store.remove_snapshot("s3.jpg").await.unwrap());
        assert!(!store.remove_snapshot("s3.jpg").await.unwrap());
        assert_eq!(store.snapshot("s2.jpg").await.unwrap(), Some(row(2)));
        assert_eq!(store.snapshots(50, 0).await.unwrap().1, 4);
    }
}
