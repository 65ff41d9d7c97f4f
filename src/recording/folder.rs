//! Folders of recordings: made, synced, moved, thrown away. Everything here blocks.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::{CameraId, Error, RecordingName};

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

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
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

/// Makes the entries of a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file with whole new contents, or leaves the old ones.
pub(super) fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_data()?;
    drop(file);
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Names of the segment files in a folder, in name order. Their names carry their time, so that is
/// nearly always the order of recording.
pub(super) fn segment_files(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if Path::new(&name).extension() == Some(OsStr::new("mp4"))
            && let Ok(name) = name.into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Moves a file out of its recording and leaves the reason beside it.
pub(super) fn quarantine(places: &Places, file: &Path, reason: &str) -> io::Result<()> {
    let target = free_place(&places.quarantine(), file)?;
    write_reason(&target, reason)?;
    fs::rename(file, &target)?;
    sync_dir(&places.quarantine())?;
    if let Some(dir) = file.parent() {
        sync_dir(dir)?;
    }
    tracing::warn!(reason, file = ?target.file_name(), "a damaged file was put into quarantine");
    Ok(())
}

/// Copies the end of a file, from `offset` on, to where it can still be looked at.
pub(super) fn quarantine_tail(places: &Places, file: &Path, offset: u64, reason: &str) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut source = File::open(file)?;
    source.seek(SeekFrom::Start(offset))?;
    let target = free_place(&places.quarantine(), &file.with_extension("tail"))?;
    let mut out = File::create_new(&target)?;
    io::copy(&mut source, &mut out)?;
    out.sync_data()?;
    write_reason(&target, &format!("{reason}; cut off at byte {offset}"))?;
    sync_dir(&places.quarantine())
}

fn write_reason(target: &Path, reason: &str) -> io::Result<()> {
    let mut name = target.as_os_str().to_owned();
    name.push(".reason.txt");
    let mut file = File::create(PathBuf::from(name))?;
    writeln!(file, "{reason}")?;
    file.sync_data()
}

/// `<recording>__<file>` in `dir`, with a number when it is taken.
fn free_place(dir: &Path, file: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let text = |p: Option<&OsStr>| p.unwrap_or_default().to_string_lossy().into_owned();
    let base = format!("{}__{}", text(file.parent().and_then(Path::file_name)), text(file.file_name()));
    let mut target = dir.join(&base);
    let mut n = 2;
    while target.exists() {
        target = dir.join(format!("{base}_{n}"));
        n += 1;
    }
    Ok(target)
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
            fs::read_dir(places.quarantine()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["r__a.mp4", "r__a.mp4.reason.txt", "r__a.mp4_2", "r__a.mp4_2.reason.txt"]);
    }
}
