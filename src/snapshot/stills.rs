//! The snapshot folder and its rows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use crate::base::clock::name_stamp;
use crate::base::id::{PLAIN_NAME_RULE, is_plain_name};
use crate::base::{CameraId, Clock, Error, Mono, Result};
use crate::capture::{Frame, FrameFormat, with_tables};
use crate::durable::{Quarantine, Unfinished, Written};
use crate::notice::{Fact, Notices};
use crate::store::{SnapshotRow, Store};

use super::decoder::Decoder;
use super::pixels::jpeg_of_pixels;
use super::reader::Keyframe;
use super::reconcile::Listing;

/// How many stills of one camera may be taken in one second under default names.
const TRIES: u32 = 200;
/// Of the JPEG that is made of a raw picture.
const QUALITY: u8 = 92;

/// A still.
pub type SnapshotInfo = SnapshotRow;

/// The handle; clones are the same folder.
#[derive(Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    store: Store,
    notices: Notices,
    clock: Clock,
    writes: AtomicU64,
    /// What stood in the folder when it was opened, until somebody compares it with the index.
    listing: Mutex<Option<Listing>>,
}

impl Snapshots {
    /// Opens (makes) the folder and removes what a crash left half-written.
    pub fn open(dir: PathBuf, store: Store, notices: Notices, clock: Clock) -> Result<Self> {
        std::fs::create_dir_all(&dir).map_err(storage)?;
        let mut listing = Listing::default();
        for entry in std::fs::read_dir(&dir).map_err(storage)? {
            let entry = entry.map_err(storage)?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(Unfinished::PREFIX)) {
                std::fs::remove_file(entry.path()).map_err(storage)?;
            } else {
                listing.take(&entry);
            }
        }
        let listing = Mutex::new(Some(listing));
        let inner = Inner { dir, store, notices, clock, writes: AtomicU64::new(0), listing };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps a frame of a camera in the frame path that can be shown by itself: an MJPEG camera's own picture.
    pub async fn take_from_frame(
        &self,
        camera: CameraId,
        name: Option<String>,
        frame: &Frame,
        decoder: &Decoder,
    ) -> Result<SnapshotInfo> {
        match frame.format {
            FrameFormat::Mjpeg => {
                let age = Mono::now().since(frame.captured);
                match with_tables(&frame.data) {
                    Some(whole) => self.save(camera, name, whole, age).await,
                    None => self.save(camera, name, frame.data.clone(), age).await,
                }
            }
            FrameFormat::H264 => match Keyframe::of(frame) {
                Some(keyframe) => self.take_from_keyframe(camera, name, &keyframe, decoder).await,
                None => Err(Error::dependency("camera", "its picture cannot be shown by itself")),
            },
            FrameFormat::Raw(_) => {
                check_wish(name.as_deref())?;
                let age = Mono::now().since(frame.captured);
                let frame = frame.clone();
                let made = tokio::task::spawn_blocking(move || {
                    let mut jpeg = Vec::new();
                    jpeg_of_pixels(&frame, QUALITY, &mut jpeg).map(|()| jpeg)
                });
                let jpeg = made.await.map_err(Error::internal)?;
                let jpeg = jpeg.map_err(|why| {
                    Error::dependency("camera", "its picture cannot be made a JPEG")
                        .caused_by(std::io::Error::other(why))
                })?;
                self.save(camera, name, jpeg, age).await
            }
        }
    }

    /// Decodes and keeps the newest keyframe of a network camera, or of one that delivers H.264.
    pub async fn take_from_keyframe(
        &self,
        camera: CameraId,
        name: Option<String>,
        keyframe: &Keyframe,
        decoder: &Decoder,
    ) -> Result<SnapshotInfo> {
        check_wish(name.as_deref())?;
        let age = Mono::now().since(keyframe.arrived);
        let jpeg = decoder.decode(keyframe.codec, &keyframe.data).await?;
        self.save(camera, name, jpeg, age).await
    }

    /// Keeps a JPEG under `name`, or under the camera's name and the time. A wished name that is
    /// taken is `InvalidState`.
    pub async fn save<J>(
        &self,
        camera: CameraId,
        name: Option<String>,
        jpeg: J,
        frame_age: Duration,
    ) -> Result<SnapshotInfo>
    where
        J: std::ops::Deref<Target = [u8]> + Send + Sync + 'static,
    {
        check_wish(name.as_deref())?;
        let created_us = self.inner.clock.wall_us();
        let candidates: Vec<String> = match name {
            Some(name) => vec![name],
            None => default_names(camera, created_us),
        };
        let row = SnapshotRow {
            name: String::new(),
            camera,
            created_us,
            size: jpeg.len() as u64,
            frame_age_ms: u64::try_from(frame_age.as_millis()).unwrap_or(u64::MAX),
        };
        let known = self.known(&candidates).await?;
        let free: Vec<String> = candidates.into_iter().filter(|name| !known.contains(name)).collect();
        let inner = self.inner.clone();
        let kept = tokio::task::spawn_blocking(move || inner.write(&jpeg, created_us, &free))
            .await
            .map_err(Error::internal)?
            .map_err(storage)?;
        let Some(name) = kept else {
            return Err(Error::state("a snapshot of this name exists", "exists", &["absent"])
                .with("hint", "choose another filename, or leave it out"));
        };
        let row = SnapshotRow { name, ..row };
        let entered = self.inner.store.add_snapshot(row.clone()).await;
        if !matches!(entered, Ok(true)) {
            // Without its row nobody would ever find or delete it.
            let _ = std::fs::remove_file(self.inner.dir.join(&row.name));
            entered?;
            return Err(Error::state("a snapshot of this name exists", "exists", &["absent"]));
        }
        self.inner.notices.send(Fact::SnapshotTaken { camera, name: row.name.clone() });
        Ok(row)
    }

    /// Which of these names have a row: a file may be gone while its row is not. Only the first is
    /// looked up unless it has one, which is nearly always the end of it.
    async fn known(&self, names: &[String]) -> Result<Vec<String>> {
        let mut known = Vec::new();
        for name in names {
            if self.inner.store.snapshot(name).await?.is_none() {
                break;
            }
            known.push(name.clone());
        }
        Ok(known)
    }

    /// Newest first, and how many there are.
    pub async fn list(&self, limit: u32, offset: u32) -> Result<(Vec<SnapshotInfo>, u64)> {
        self.inner.store.snapshots(limit, offset).await
    }

    /// One by name.
    pub async fn info(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        self.inner.store.snapshot(name).await?.ok_or_else(|| Error::not_found("Snapshot", name))
    }

    /// Deletes one: the file first, so that a row never outlives a failure to delete.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let info = self.info(name).await?;
        let path = self.inner.dir.join(&info.name);
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        removed.await.map_err(Error::internal)?.map_err(storage)?;
        self.inner.store.remove_snapshot(&info.name).await?;
        Ok(())
    }

    /// Where the file of an existing still is.
    pub async fn path_of(&self, name: &str) -> Result<PathBuf> {
        Ok(self.inner.dir.join(self.info(name).await?.name))
    }

    pub(super) fn take_listing(&self) -> Option<Listing> {
        self.inner.listing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The folder lies in the data directory.
    pub(super) fn quarantine(&self) -> Quarantine {
        Quarantine::below(self.inner.dir.parent().unwrap_or(&self.inner.dir))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
}

impl Inner {
    fn write(&self, bytes: &[u8], created_us: i64, names: &[String]) -> io::Result<Option<String>> {
        let tag = self.writes.fetch_add(1, Ordering::Relaxed).to_string();
        // Should the index be lost, the time is known from the file.
        let at = Duration::from_micros(created_us.unsigned_abs());
        let at = if created_us < 0 { UNIX_EPOCH.checked_sub(at) } else { UNIX_EPOCH.checked_add(at) };
        let at = Some(at.unwrap_or(UNIX_EPOCH));
        let mut file = Unfinished::write(&self.dir, &tag, bytes, 0o640, at)?;
        for name in names {
            if file.keep(name)? == Written::Yes {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }
}

fn default_names(camera: CameraId, created_us: i64) -> Vec<String> {
    let stem = format!("{camera}_{}", name_stamp(created_us));
    let numbered = (2..=TRIES).map(|n| format!("{stem}_{n}.jpg"));
    std::iter::once(format!("{stem}.jpg")).chain(numbered).collect()
}

fn check_wish(name: Option<&str>) -> Result<()> {
    name.map_or(Ok(()), check_name)
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if !is_plain_name(name) {
        return Err(Error::param("filename", PLAIN_NAME_RULE, "for example gate.jpg"));
    }
    if !name.ends_with(".jpg") || name.len() <= 4 {
        return Err(Error::param("filename", "must end in .jpg", "for example gate.jpg"));
    }
    Ok(())
}

pub(super) fn storage(error: io::Error) -> Error {
    let detail = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only",
        io::ErrorKind::PermissionDenied => "the snapshot folder may not be written",
        _ => "the snapshot folder cannot be used",
    };
    Error::dependency("storage", detail).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    const CAMERA: CameraId = CameraId(0);

    fn open(dir: &Path) -> (Snapshots, Notices) {
        let store = Store::open(&dir.join("t.db")).unwrap();
        let notices = Notices::new();
        (Snapshots::open(dir.join("snapshots"), store, notices.clone(), Clock::new()).unwrap(), notices)
    }

    fn jpeg(n: u8) -> Vec<u8> {
        vec![0xff, 0xd8, 0xff, n, 0xff, 0xd9]
    }

    #[tokio::test]
    async fn stills_of_one_second_get_numbers_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshots, notices) = open(dir.path());
        let mut facts = notices.subscribe();
        let mut names = std::collections::BTreeSet::new();
        for n in 0..20 {
            let age = Duration::from_millis(7);
            let info = snapshots.save(CAMERA, None, jpeg(n), age).await.unwrap();
            assert_eq!((info.size, info.frame_age_ms), (6, 7));
            assert!(info.name.starts_with("camera0_20") && info.name.ends_with(".jpg"), "{info:?}");
            let path = snapshots.path_of(&info.name).await.unwrap();
            assert_eq!(std::fs::read(path).unwrap(), jpeg(n));
            assert!(matches!(facts.try_recv(), Ok(Fact::SnapshotTaken { name, .. }) if name == info.name));
            names.insert(info.name);
        }
        assert_eq!(names.len(), 20);
        assert!(names.iter().any(|name| name.ends_with("_2.jpg")));
        assert_eq!(snapshots.list(5, 0).await.unwrap().1, 20);
    }

    #[tokio::test]
    async fn a_wished_name_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshots, _) = open(dir.path());
        let take = |n| snapshots.save(CAMERA, Some("gate.jpg".into()), jpeg(n), Duration::ZERO);
        take(1).await.unwrap();
        assert_eq!(take(2).await.unwrap_err().kind(), ErrorKind::InvalidState);
        assert_eq!(std::fs::read(snapshots.dir().join("gate.jpg")).unwrap(), jpeg(1));
        // A file that somebody put there is not ours to overwrite either.
        std::fs::write(snapshots.dir().join("own.jpg"), b"theirs").unwrap();
        let wish = snapshots.save(CAMERA, Some("own.jpg".into()), jpeg(3), Duration::ZERO).await;
        assert_eq!(wish.unwrap_err().kind(), ErrorKind::InvalidState);
        assert_eq!(std::fs::read(snapshots.dir().join("own.jpg")).unwrap(), b"theirs");
    }

    #[tokio::test]
    async fn names_that_are_no_plain_jpg_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshots, _) = open(dir.path());
        for bad in ["", ".jpg", "a.png", "../a.jpg", "a/b.jpg", "a.jpg/", "a\0.jpg", "-a.jpg", "a.JPG"] {
            let wish = snapshots.save(CAMERA, Some(bad.into()), jpeg(1), Duration::ZERO).await;
            assert_eq!(wish.unwrap_err().kind(), ErrorKind::InvalidParams, "{bad:?}");
            assert!(snapshots.path_of(bad).await.is_err(), "{bad:?}");
        }
        assert_eq!(std::fs::read_dir(snapshots.dir()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_deleted_still_is_gone_and_its_name_free() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshots, _) = open(dir.path());
        let name = || Some("a.jpg".to_owned());
        snapshots.save(CAMERA, name(), jpeg(1), Duration::ZERO).await.unwrap();
        snapshots.delete("a.jpg").await.unwrap();
        assert_eq!(snapshots.delete("a.jpg").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(snapshots.info("a.jpg").await.unwrap_err().kind(), ErrorKind::NotFound);
        snapshots.save(CAMERA, name(), jpeg(2), Duration::ZERO).await.unwrap();
        // Deleted by hand: the row goes without complaint.
        std::fs::remove_file(snapshots.dir().join("a.jpg")).unwrap();
        snapshots.delete("a.jpg").await.unwrap();
    }

    #[tokio::test]
    async fn what_a_crash_left_half_written_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        let left = dir.path().join("snapshots").join(format!("{}0", Unfinished::PREFIX));
        std::fs::write(&left, b"half").unwrap();
        let (snapshots, _) = open(dir.path());
        assert!(!left.exists());
        snapshots.save(CAMERA, None, jpeg(1), Duration::ZERO).await.unwrap();
    }
}
