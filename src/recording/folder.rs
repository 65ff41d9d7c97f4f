//! Folders of recordings: made, synced, moved, thrown away. Everything here blocks.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::card::CARD;
use crate::base::id::is_plain_name;
use crate::base::{CameraId, Error, RecordingName};
use crate::durable::Quarantine;
pub(super) use crate::durable::sync_dir;

/// The places of the room below the data directory.
#[derive(Clone, Debug)]
pub(super) struct Places {
    root: PathBuf,
}

impl Places {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn recordings(&self) -> PathBuf {
        self.root.join("recordings")
    }

    /// `DATA/recordings/<camera>/<recording>`
    pub(super) fn recording(&self, camera: CameraId, name: &RecordingName) -> PathBuf {
        self.recordings().join(camera.to_string()).join(name.as_str())
    }

    pub(super) fn quarantine(&self) -> Quarantine {
        Quarantine::below(&self.root)
    }

    /// Recordings on their way out; on the same file system, so that getting there is one rename.
    /// The name is no camera's and the cleaner of no one else.
    pub(super) fn trash(&self) -> PathBuf {
        self.recordings().join(".deleted")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }
}

/// Makes a recording's folder so that it survives a power cut. `false` = the name is taken.
pub(super) fn make(dir: &Path) -> io::Result<bool> {
    let camera = dir.parent().unwrap_or(dir);
    fs::create_dir_all(camera)?;
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        other => other?,
    }
    sync_dir(camera)?;
    if let Some(recordings) = camera.parent() {
        sync_dir(recordings)?;
    }
    Ok(true)
}

/// What is in a recording's folder.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Names of the segment files in name order. Their names carry their time, so that is nearly always
    /// the order of recording.
    pub segments: Vec<String>,
    /// What a crash of ours left half-done.
    pub leftovers: Vec<String>,
    /// What somebody else put there: links, folders, sockets, other files. Never touched.
    pub foreign: Vec<String>,
}

/// Looks into a recording's folder.
pub(super) fn contents(dir: &Path) -> io::Result<Contents> {
    let mut found = Contents::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(text) = name.to_str().filter(|_| entry.file_type().is_ok_and(|t| t.is_file())) else {
            found.foreign.push(name.to_string_lossy().into_owned());
            continue;
        };
        if is_segment_name(text) {
            found.segments.push(text.to_owned());
        } else if LEFTOVERS.contains(&text) {
            found.leftovers.push(text.to_owned());
        } else if text != CARD && !text.ends_with(".jpg") {
            found.foreign.push(text.to_owned());
        }
    }
    found.segments.sort_unstable();
    Ok(found)
}

/// Names of the segment files in a folder, in name order.
pub(super) fn segment_files(dir: &Path) -> io::Result<Vec<String>> {
    contents(dir).map(|c| c.segments)
}

/// Names that only unfinished files of ours have: the card before it is whole, a probe of the disk.
const LEFTOVERS: [&str; 2] = ["recording.new", ".probe"];

/// Whether a segment may have this name.
pub(super) fn is_segment_name(name: &str) -> bool {
    is_plain_name(name) && name.ends_with(".mp4")
}

/// Whether the recorder gave this name: `2025-01-15_14-30-00-123456.mp4`. Somebody
/// else's file in a folder of ours has another.
pub(super) fn is_recorders_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".mp4") else { return false };
    let nine = |c: char| if c.is_ascii_digit() { '9' } else { c };
    stem.chars().map(nine).eq("9999-99-99_99-99-99-999999".chars())
}

/// The picture of a recording's start, which the footage room makes; it goes when that start goes.
pub const THUMBNAIL: &str = "thumbnail.jpg";

/// Removes segments that are no part of their recording any more, durably; one that is gone is fine. Of
/// a link the link is removed, not what it leads to.
pub(super) fn remove_segments<'a>(dir: &Path, names: impl Iterator<Item = &'a str>) -> io::Result<()> {
    for name in names.chain([THUMBNAIL]) {
        match fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    sync_dir(dir)
}

/// Moves a file out of its recording and leaves the reason beside it.
pub(super) fn quarantine(places: &Places, file: &Path, reason: &str) -> io::Result<()> {
    places.quarantine().take(file, &quarantine_name(file), reason).map(drop)
}

/// Copies the end of a file, from `offset` on, to where it can still be looked at.
pub(super) fn quarantine_tail(places: &Places, file: &Path, offset: u64, reason: &str) -> io::Result<()> {
    let name = quarantine_name(&file.with_extension("tail"));
    places.quarantine().take_tail(file, offset, &name, reason)
}

/// Copies a part of a file, from the first byte to before the second, likewise.
pub(super) fn quarantine_part(
    places: &Places,
    file: &Path,
    (from, to): (u64, u64),
    reason: &str,
) -> io::Result<()> {
    let name = quarantine_name(&file.with_extension("damaged"));
    places.quarantine().take_part(file, from..to, &name, reason)
}

/// `<recording>__<file>`
pub(super) fn quarantine_name(file: &Path) -> String {
    let text = |p: Option<&OsStr>| p.unwrap_or_default().to_string_lossy().into_owned();
    format!("{}__{}", text(file.parent().and_then(Path::file_name)), text(file.file_name()))
}

/// A failure of the disk, in words for a client.
pub(super) fn disk_error(e: io::Error) -> Error {
    let detail = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
        io::ErrorKind::PermissionDenied => "the recordings folder may not be written",
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only",
        io::ErrorKind::NotFound => "the recordings folder is gone",
        _ => "the disk does not answer",
    };
    Error::dependency("storage", detail)
        .with("suggestion", "check the disk and the free space, then try again")
        .caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_folder_is_never_used() {
        let data = tempfile::tempdir().unwrap();
        let dir = data.path().join("recordings/camera0/r");
        assert!(make(&dir).unwrap());
        assert!(!make(&dir).unwrap());
    }

    #[test]
    fn quarantine_keeps_every_file_and_says_why() {
        let data = tempfile::tempdir().unwrap();
        let places = Places::new(data.path());
        let dir = data.path().join("recordings/camera0/r");
        for _ in 0..2 {
            make(&dir).unwrap();
            fs::write(dir.join("a.mp4"), "x").unwrap();
            quarantine(&places, &dir.join("a.mp4"), "no header").unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(data.path().join("quarantine")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["r__a.mp4", "r__a.mp4.reason.txt", "r__a.mp4_2", "r__a.mp4_2.reason.txt"]);
    }
}
