//! Brings the folder of stills and its index into agreement, beside everything else.
//!
//! Looks only at what was there at the start: a still that is being taken has its file before its row.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::stills::{Snapshots, check_name, storage};
use crate::base::{CameraId, Error, Result};
use crate::durable::Quarantine;
use crate::store::SnapshotRow;

/// Names of foreign files that the log gets to see.
const MAX_NAMES: usize = 8;
/// Rows written at a time, in one transaction of some milliseconds.
const MAX_ROWS: usize = 500;

/// What stood in the folder at the start.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Files whose names stills may have.
    pub stills: Vec<String>,
    /// Everything else: never touched.
    pub foreign: Vec<String>,
}

impl Listing {
    /// Enters one entry of the folder.
    pub(super) fn take(&mut self, entry: &fs::DirEntry) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_still = entry.file_type().is_ok_and(|t| t.is_file()) && check_name(&name).is_ok();
        if is_still { self.stills.push(name) } else { self.foreign.push(name) }
    }
}

impl Snapshots {
    /// Enters files without a row, forgets rows without a file, puts empty files away. To be called
    /// once; does nothing the second time.
    pub async fn reconcile(&self) -> Result<()> {
        let Some(listing) = self.take_listing() else { return Ok(()) };
        let known = self.store().snapshot_sizes().await?;
        let (dir, quarantine) = (self.dir().to_owned(), self.quarantine());
        let looked = move || look(&dir, &quarantine, listing, known);
        let found = tokio::task::spawn_blocking(looked).await.map_err(Error::internal)?.map_err(storage)?;
        let (entered, forgotten) = (found.enter.len(), found.forget.len());
        for rows in found.enter.chunks(MAX_ROWS) {
            self.store().settle_snapshots(rows.to_vec(), Vec::new()).await?;
        }
        for names in found.forget.chunks(MAX_ROWS) {
            self.store().settle_snapshots(Vec::new(), names.to_vec()).await?;
        }
        if entered + forgotten > 0 {
            tracing::warn!(entered, forgotten, "snapshots and their index were brought together");
        }
        if !found.foreign.is_empty() {
            let names = found.foreign.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
            let count = found.foreign.len();
            tracing::info!(
                count,
                names,
                "files that are not Fieldcam's stand among the snapshots; left alone"
            );
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Found {
    enter: Vec<SnapshotRow>,
    forget: Vec<String>,
    foreign: Vec<String>,
}

fn look(
    dir: &Path,
    quarantine: &Quarantine,
    listing: Listing,
    mut known: BTreeMap<String, (CameraId, u64)>,
) -> io::Result<Found> {
    let mut found = Found { foreign: listing.foreign, ..Found::default() };
    for name in listing.stills {
        let path = dir.join(&name);
        let row = known.remove(&name);
        let meta = match path.symlink_metadata() {
            // Deleted meanwhile, and its row with it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if row.is_some_and(|(_, size)| size == meta.len()) {
            continue;
        }
        if is_jpeg(&path)? {
            let camera = row.map_or_else(|| camera_of(&name), |r| r.0);
            found.enter.push(SnapshotRow {
                camera,
                created_us: written_us(&meta),
                size: meta.len(),
                frame_age_ms: 0,
                name,
            });
        } else if row.is_some() {
            quarantine.take(&path, &format!("snapshot__{name}"), "it is no JPEG picture any more")?;
            found.forget.push(name);
        } else {
            found.foreign.push(name);
        }
    }
    for name in known.into_keys() {
        // One that was taken since has its file.
        if dir.join(&name).symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            found.forget.push(name);
        }
    }
    Ok(found)
}

fn is_jpeg(path: &Path) -> io::Result<bool> {
    let mut start = [0; 3];
    match File::open(path)?.read_exact(&mut start) {
        Ok(()) => Ok(start == [0xff, 0xd8, 0xff]),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// A still's file carries the time at which it was asked for.
fn written_us(meta: &fs::Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt;
    meta.mtime().saturating_mul(1_000_000).saturating_add(meta.mtime_nsec() / 1000)
}

/// Names of ours begin with the camera; of others it is not known any more, and nobody is told.
fn camera_of(name: &str) -> CameraId {
    name.split('_').next().and_then(|c| c.parse().ok()).unwrap_or(CameraId(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::Clock;
    use crate::notice::Notices;
    use crate::store::Store;

    fn open(data: &Path) -> Snapshots {
        let store = Store::open(&data.join("t.db")).unwrap();
        Snapshots::open(data.join("snapshots"), store, Notices::new(), Clock::new()).unwrap()
    }

    #[tokio::test]
    async fn index_and_files_agree_after_a_start_and_foreign_files_stay() {
        let data = tempfile::tempdir().unwrap();
        let snapshots = open(data.path());
        let jpeg = || vec![0xff, 0xd8, 0xff, 1, 0xff, 0xd9];
        for name in ["a.jpg", "b.jpg", "c.jpg", "camera7_x.jpg"] {
            snapshots.save(CameraId(2), Some(name.into()), jpeg(), Duration::ZERO).await.unwrap();
        }
        let before = snapshots.list(50, 0).await.unwrap();
        let dir = snapshots.dir().to_owned();
        // A crash between file and row, a file gone, one that is empty now, and what is not ours.
        for name in ["a.jpg", "camera7_x.jpg"] {
            snapshots.store().remove_snapshot(name).await.unwrap();
        }
        fs::remove_file(dir.join("b.jpg")).unwrap();
        fs::write(dir.join("c.jpg"), "").unwrap();
        fs::write(dir.join("own.jpg"), "theirs").unwrap();
        fs::create_dir(dir.join("folder.jpg")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.join("zero.jpg")).unwrap();
        drop(snapshots);
        let snapshots = open(data.path());
        let during = snapshots.save(CameraId(1), Some("new.jpg".into()), jpeg(), Duration::ZERO);
        during.await.unwrap();
        snapshots.reconcile().await.unwrap();
        let (mut rows, _) = snapshots.list(50, 0).await.unwrap();
        rows.retain(|r| r.name != "new.jpg");
        rows.iter_mut().filter(|r| r.name == "a.jpg").for_each(|r| r.camera = CameraId(2));
        let mut expected = before.0.clone();
        expected.retain(|r| r.name != "b.jpg" && r.name != "c.jpg");
        expected.iter_mut().filter(|r| r.name == "camera7_x.jpg").for_each(|r| r.camera = CameraId(7));
        assert_eq!(rows, expected);
        assert!(data.path().join("quarantine/snapshot__c.jpg").exists());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 6);
        // A second start changes nothing.
        let again = open(data.path());
        again.reconcile().await.unwrap();
        assert_eq!(again.list(50, 0).await.unwrap().1, 3);
    }
}
