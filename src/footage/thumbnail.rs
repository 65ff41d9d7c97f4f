//! A small picture from the start of a recording, made once and kept in its folder.
//!
//! It is no part of the recording: no size counts it and it goes with the folder.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Footage;
use crate::base::{Error, RecordingName, Result};
use crate::durable::replace;
use crate::recording::mp4::{Index, ReadAt};
use crate::recording::{SegmentFile, THUMBNAIL};
use crate::snapshot::one_picture;
use crate::supervise::{ChildSpec, Spawner, Stdio};

/// As wide as a list of recordings shows it; a smaller picture stays as it is.
const SCALE: &str = "scale='min(320,iw)':-2";
/// One 4K keyframe on a slow box takes a second; starting FFmpeg takes as long again.
const LIMIT: Duration = Duration::from_secs(15);
const MAX_FRAGMENT: u64 = 64 << 20;

/// Makes thumbnails, one at a time on the whole box: pictures of lists are never urgent.
pub(super) struct Thumbnails {
    ffmpeg: PathBuf,
    spawner: Spawner,
    turn: Semaphore,
    /// Those being made; whoever wants the same one waits for it.
    making: Mutex<HashMap<RecordingName, Weak<tokio::sync::Mutex<()>>>>,
}

impl Thumbnails {
    pub(super) fn new(ffmpeg: PathBuf, spawner: Spawner) -> Self {
        Self { ffmpeg, spawner, turn: Semaphore::new(1), making: Mutex::default() }
    }

    fn place(&self, name: &RecordingName) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.retain(|_, place| place.strong_count() > 0);
        if let Some(place) = making.get(name).and_then(Weak::upgrade) {
            return place;
        }
        let place = Arc::default();
        making.insert(name.clone(), Arc::downgrade(&place));
        place
    }
}

impl Footage {
    /// The file of a recording's thumbnail; made when it is asked for the first time.
    ///
    /// Fails with `NotFound` while there is no footage, and with `DependencyFailed` when FFmpeg
    /// cannot make it.
    pub async fn thumbnail(&self, name: &RecordingName) -> Result<PathBuf> {
        let (_, files) = self.inner.recordings.files(name).await?;
        let none = || Error::not_found("Thumbnail", name).with("suggestion", "there is no footage to show");
        let files: Vec<SegmentFile> = files.into_iter().filter(|f| f.size > 0).collect();
        let folder = files.first().and_then(|f| f.path.parent()).ok_or_else(none)?;
        let path = folder.join(THUMBNAIL);
        if is_there(&path).await {
            return Ok(path);
        }
        let thumbnails = &self.inner.thumbnails;
        let place = thumbnails.place(name);
        let _mine = place.lock().await;
        if is_there(&path).await {
            return Ok(path);
        }
        let _turn = thumbnails.turn.acquire().await.map_err(Error::internal)?;
        let first =
            tokio::task::spawn_blocking(move || first_picture(&files)).await.map_err(Error::internal)?;
        let jpeg = thumbnails.make(&first.ok_or_else(none)?).await?;
        let target = path.clone();
        let kept =
            tokio::task::spawn_blocking(move || replace(&target, &jpeg)).await.map_err(Error::internal)?;
        kept.map_err(|e| Error::dependency("storage", "the thumbnail cannot be written").caused_by(e))?;
        Ok(path)
    }
}

async fn is_there(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|m| m.len() > 0)
}

/// A file of one fragment: the first one of the recording that a player can start at.
fn first_picture(files: &[SegmentFile]) -> Option<Vec<u8>> {
    files.iter().find_map(|f| {
        let read = File::open(&f.path).and_then(|file| fragment(&file, f.size));
        read.inspect_err(|error| tracing::debug!(%error, file = f.file, "no picture of this segment")).ok()?
    })
}

fn fragment(file: &File, size: u64) -> io::Result<Option<Vec<u8>>> {
    // The first fragments are enough; an index of the whole file would read all of it.
    let Ok(index) = Index::of_file_first(file, size)? else { return Ok(None) };
    let mut entries = index.entries();
    while let Some(e) = entries.next() {
        if !e.keyframe || e.size > MAX_FRAGMENT {
            continue;
        }
        let (header, size) = (index.header_len as usize, e.size as usize);
        let mut bytes = vec![0; header + size];
        file.fill_at(&mut bytes[..header], 0)?;
        file.fill_at(&mut bytes[header..], e.offset)?;
        return Ok(Some(bytes));
    }
    Ok(None)
}

impl Thumbnails {
    async fn make(&self, film: &[u8]) -> Result<Vec<u8>> {
        let mut spec = ChildSpec::new("thumbnail", &self.ffmpeg).args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "quiet",
            "-threads",
            "1",
            "-f",
            "mp4",
            "-i",
            "pipe:0",
            "-map",
            "0:v:0",
            "-frames:v",
            "1",
            "-vf",
            SCALE,
            "-c:v",
            "mjpeg",
            "-q:v",
            "4",
            "-pix_fmt",
            "yuvj420p",
            "-f",
            "mjpeg",
            "pipe:1",
        ]);
        (spec.stdin, spec.stdout) = (Stdio::Pipe, Stdio::Pipe);
        let child = self.spawner.spawn(spec).await?;
        one_picture(child, film, LIMIT, "the recording's first picture").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::mp4::build;

    #[test]
    fn the_first_fragment_that_plays_is_taken_and_damaged_files_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = |number: u32, bytes: &[u8]| {
            let name = format!("{number}.mp4");
            let path = dir.path().join(&name);
            std::fs::write(&path, bytes).unwrap();
            let size = bytes.len() as u64;
            let stream = ([0; 16], 0);
            SegmentFile {
                path,
                file: name,
                stream,
                number,
                start_us: 0,
                duration_us: 0,
                size,
                closed: true,
                lost: false,
            }
        };
        let whole = build::segment(4, 0, 0);
        let files = [file(1, b"not a film"), file(2, &whole), file(3, &whole)];
        let film = first_picture(&files).unwrap();
        let index = Index::of_file(&film[..], film.len() as u64).unwrap().unwrap();
        assert_eq!(index.count, 1);
        assert!(whole.starts_with(&film));
        assert!(first_picture(&files[..1]).is_none());
    }
}
