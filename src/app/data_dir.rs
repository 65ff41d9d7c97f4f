//! The data directory: its folders, and the disk they are on.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorKind, Result};
use crate::disk::DataDisk;
use crate::recording;

/// The folders of product.md, "Data directory". Holding this holds the lock.
pub struct DataDir {
    root: PathBuf,
    disk: DataDisk,
}

impl DataDir {
    /// Makes what is missing and takes the lock.
    ///
    /// Fails with `Config` when the directory cannot be written or another daemon holds it.
    pub fn open(root: &Path) -> Result<Self> {
        make(root, 0o755)?;
        // An absolute path: the daemon's children and the generated file outlive a change of directory.
        let root = root.canonicalize().map_err(|e| refused(root, &e))?;
        recording::make_room_to_start(&root);
        for (name, mode) in [
            ("recordings", 0o755),
            ("snapshots", 0o755),
            ("quarantine", 0o755),
            ("media", 0o755),
            ("secrets", 0o700),
            ("run", 0o755),
        ] {
            make(&root.join(name), mode)?;
        }
        let disk = DataDisk::open(&root)?;
        Ok(Self { root, disk })
    }

    /// `fieldcam.db`.
    pub fn database(&self) -> PathBuf {
        self.root.join("fieldcam.db")
    }

    /// The disk it is on, for everything that is written while the box runs.
    pub fn disk(&self) -> &DataDisk {
        &self.disk
    }

    /// `media`, for file cameras.
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `run`.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// `secrets`, mode 0700.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// `snapshots`, through the held descriptor.
    pub fn snapshots(&self) -> PathBuf {
        self.disk.held().join("snapshots")
    }
}

fn make(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| refused(path, &e))
}

// The operator reads this on the console of the box, so it may and must name the folder.
fn refused(path: &Path, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::StorageFull => "the disk is full",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "there is a file in the way",
        _ => "it cannot be written",
    };
    Error::new(
        ErrorKind::Config,
        format!(
            "the data directory {} cannot be used: {why}; make it writable or set storage.data_dir",
            path.display()
        ),
    )
    .caused_by(io::Error::from(error.kind()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_second_daemon_is_refused_with_the_folder_named() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).err().unwrap();
        assert!(error.message().contains("another fieldcam"), "{error}");
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("recordings"), "x").unwrap();
        let error = DataDir::open(dir.path()).err().unwrap();
        assert!(error.message().contains("recordings"), "{error}");
    }
}
