//! What retention asks of the index: sums, and recordings in outline.

use std::collections::BTreeMap;

use super::Store;
use super::connection::rows;
use super::recordings::name_from;
use super::snapshots::SnapshotRow;
use crate::base::{CameraId, RecordingName, Result};

/// Bytes that the index knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In recordings that do not run, by camera.
    pub recordings: BTreeMap<CameraId, u64>,
    /// In stills.
    pub snapshots: u64,
}

/// A recording, as far as its age and order tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its row; rows are made in the order of the recordings.
    pub id: i64,
    /// Its name.
    pub name: RecordingName,
    /// Its camera.
    pub camera: CameraId,
    /// First frame that is there, microseconds since 1970 UTC.
    pub start_us: i64,
    /// Bytes; of one that runs those of its last entry.
    pub size: u64,
    /// It runs.
    pub wanted: bool,
    /// Nothing of it may go.
    pub protected: bool,
    /// When the wall clock was last set while it ran, by the clock as it was then.
    pub stepped_us: Option<i64>,
}

impl Store {
    /// The bytes of everything, from the index alone.
    pub async fn sizes(&self) -> Result<Sizes> {
        self.read(|c| {
            let sql = "SELECT camera, sum(size) FROM recordings WHERE wanted = 0 GROUP BY camera";
            let recordings = rows(c, sql, [], |r| Ok((CameraId(r.get(0)?), r.get(1)?)))?;
            let sql = "SELECT coalesce(sum(size), 0) FROM snapshots";
            let snapshots = c.prepare_cached(sql)?.query_row([], |r| r.get(0))?;
            Ok(Sizes { recordings: recordings.into_iter().collect(), snapshots })
        })
        .await
    }

    /// Every recording in outline, in the order in which they were made.
    pub async fn outlines(&self) -> Result<Vec<Outline>> {
        self.read(|c| {
            let sql = "SELECT id, name, camera, start_us, size, wanted, protected,
                    (SELECT max(at_us) FROM notes WHERE recording = recordings.id AND kind = 'clock_step')
                FROM recordings ORDER BY id";
            rows(c, sql, [], |r| {
                Ok(Outline {
                    id: r.get(0)?,
                    name: name_from(r.get(1)?)?,
                    camera: CameraId(r.get(2)?),
                    start_us: r.get(3)?,
                    size: r.get(4)?,
                    wanted: r.get(5)?,
                    protected: r.get(6)?,
                    stepped_us: r.get(7)?,
                })
            })
        })
        .await
    }

    /// Recordings of which a file is about to go.
    pub async fn trimmed_recordings(&self) -> Result<Vec<RecordingName>> {
        self.read(|c| {
            let sql = "SELECT DISTINCT recordings.name FROM segments
                JOIN recordings ON recordings.id = segments.recording WHERE segments.trimmed = 1";
            rows(c, sql, [], |r| name_from(r.get(0)?))
        })
        .await
    }

    /// The oldest stills made from `from_us` on and before `until_us`, at most `limit`.
    pub async fn oldest_snapshots(
        &self,
        from_us: i64,
        until_us: i64,
        limit: u32,
    ) -> Result<Vec<SnapshotRow>> {
        self.read(move |c| {
            let sql = format!(
                "SELECT {} FROM snapshots WHERE created_us >= ?1 AND created_us < ?2
                ORDER BY created_us, name LIMIT ?3",
                super::snapshots::COLUMNS
            );
            rows(c, &sql, rusqlite::params![from_us, until_us, limit], SnapshotRow::read)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stills_are_found_oldest_first_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("t.db")).unwrap();
        for n in [5, 1, 3, 9] {
            let row = SnapshotRow {
                name: format!("s{n}.jpg"),
                camera: CameraId(0),
                created_us: n,
                size: 10,
                frame_age_ms: 0,
            };
            assert!(store.add_snapshot(row).await.unwrap());
        }
        let names = |rows: Vec<SnapshotRow>| rows.into_iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(names(store.oldest_snapshots(2, 9, 10).await.unwrap()), ["s3.jpg", "s5.jpg"]);
        assert_eq!(names(store.oldest_snapshots(0, 10, 1).await.unwrap()), ["s1.jpg"]);
        assert_eq!(store.sizes().await.unwrap(), Sizes { recordings: BTreeMap::new(), snapshots: 40 });
        assert!(store.outlines().await.unwrap().is_empty());
    }
}
