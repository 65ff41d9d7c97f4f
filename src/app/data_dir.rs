//! The data directory: its folders, and the lock that keeps a second daemon away from it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::base::{Error, ErrorKind, Result};

/// The folders of product.md, "Data directory". Holding this holds the lock.
pub struct DataDir {
    root: PathBuf,
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes what is missing and takes the lock.
    ///
    /// Fails with `Config` when the directory cannot be written or another daemon holds it.
    pub fn open(root: &Path) -> Result<Self> {
        make(root, 0o755)?;
        // An absolute path: the daemon's children and the generated file outlive a change of directory.
        let root = root.canonicalize().map_err(|e| refused(root, &e))?;
        for (name, mode) in [
            ("recordings", 0o755),
            ("snapshots", 0o755),
            ("quarantine", 0o755),
            ("secrets", 0o700),
            ("run", 0o755),
        ] {
            make(&root.join(name), mode)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("run/lock"))
            .map_err(|e| refused(&root, &e))?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => Error::new(
                ErrorKind::Config,
                format!(
                    "another fieldcam is running on {}; stop it, or set storage.data_dir to another folder",
                    root.display()
                ),
            ),
            other => refused(&root, &io::Error::from(other)),
        })?;
        // For `fieldcam diag`; the lock itself does not depend on it.
        let _ = lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { root, _lock: lock })
    }

    /// `fieldcam.db`.
    pub fn database(&self) -> PathBuf {
        self.root.join("fieldcam.db")
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

    /// `snapshots`.
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
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

/// Writes a file whole: a reader sees the old or the new one, never half.
pub fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
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
