//! The one descriptor of the data directory that everything goes through, and the lock.
//!
//! Its number never changes: taking up a disk again puts the new directory under the same number, so
//! `/proc/<pid>/fd/<number>/…` is a path that always leads to the right disk or nowhere. MediaMTX
//! uses it too (it is our child and of the same user), since its recorder makes missing folders.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::dup3;
use uuid::Uuid;

use super::identity::{self, Stamp};
use crate::base::{Error, ErrorKind, Result};

/// Leads nowhere: it is no directory.
const NOWHERE: &str = "/dev/null";

/// The disk in our hands.
pub(super) struct Held {
    fd: OwnedFd,
    /// What tells the disk.
    pub id: Uuid,
    /// The identity file and the directory as they were when the disk was taken up; none when it was
    /// let go.
    pub seen: Option<Seen>,
    lock: Option<Flock<File>>,
}

/// By what the disk is known again without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub stamp: Stamp,
    /// Device and inode of the directory.
    pub dir: (u64, u64),
}

/// Why a disk could not be taken up.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another daemon holds the lock.
    Taken,
    /// It is not the disk we know.
    Other,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(e: io::Error) -> Self {
        Refused::Io(e)
    }
}

impl Held {
    /// At the start of the daemon.
    pub(super) fn first(root: &Path) -> Result<Self> {
        let lock = take_lock(root).map_err(|e| match e {
            Refused::Taken => Error::new(
                ErrorKind::Config,
                format!(
                    "another fieldcam is running on {}; stop it, or set storage.data_dir to another folder",
                    root.display()
                ),
            ),
            Refused::Io(e) => unusable(root, e),
            Refused::Other => unusable(root, io::Error::other("another disk")),
        })?;
        let open = || -> io::Result<Self> {
            let id = identity::read_or_make(root)?;
            let dir = open_dir(root)?;
            let seen = Seen { stamp: Stamp::of(root)?, dir: place(&dir.metadata()?) };
            Ok(Self { fd: dir.into(), id, seen: Some(seen), lock: Some(lock) })
        };
        open().map_err(|e| unusable(root, e))
    }

    /// The directory as a path for this process and its children.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }

    /// Takes the disk at `root` in our hands, if it is the one we know.
    pub(super) fn take_up(&mut self, root: &Path) -> std::result::Result<(), Refused> {
        let dir = open_dir(root)?;
        // From here on through the descriptor: what is mounted at `root` may change at any time.
        let through = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        if identity::read(&through)? != Some(self.id) {
            return Err(Refused::Other);
        }
        let seen = Seen { stamp: Stamp::of(&through)?, dir: place(&dir.metadata()?) };
        let lock = take_lock(&through)?;
        dup3(&dir, &mut self.fd, OFlag::O_CLOEXEC).map_err(io::Error::from)?;
        self.lock = Some(lock);
        self.seen = Some(seen);
        Ok(())
    }

    /// Lets go of the disk, so that it can be unmounted and repaired.
    pub(super) fn let_go(&mut self) {
        if self.seen.take().is_none() {
            return;
        }
        self.lock = None;
        let nowhere = File::open(NOWHERE).map_err(|e| e.to_string());
        let done = nowhere.and_then(|n| dup3(&n, &mut self.fd, OFlag::O_CLOEXEC).map_err(|e| e.to_string()));
        if let Err(error) = done {
            tracing::error!(error, "the data directory could not be let go");
        }
    }
}

/// Device and inode.
pub(super) fn place(m: &std::fs::Metadata) -> (u64, u64) {
    (m.dev(), m.ino())
}

fn open_dir(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path)
}

/// The lock file is made at the first start only: on a bare mount point there is no `run`.
fn take_lock(root: &Path) -> std::result::Result<Flock<File>, Refused> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(root.join("run/lock"))?;
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Refused::Taken,
        other => Refused::Io(other.into()),
    })?;
    // For `fieldcam diag`; the lock itself does not depend on it.
    let _ = lock.set_len(0).and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()));
    Ok(lock)
}

// The operator reads this on the console of the box, so it may and must name the folder.
fn unusable(root: &Path, error: io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::StorageFull => "the disk is full",
        _ => "it cannot be written",
    };
    let text = format!(
        "the data directory {} cannot be used: {why}; make it writable or set storage.data_dir",
        root.display()
    );
    Error::new(ErrorKind::Config, text).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn data() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        dir
    }

    #[test]
    fn what_was_let_go_leads_nowhere_and_comes_back_under_the_same_path() {
        let dir = data();
        let mut held = Held::first(dir.path()).unwrap();
        let path = held.path();
        fs::write(path.join("a"), "1").unwrap();
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"1");
        held.let_go();
        assert!(fs::write(path.join("b"), "2").is_err());
        assert!(fs::create_dir_all(path.join("c/d")).is_err());
        held.take_up(dir.path()).unwrap();
        assert_eq!(held.path(), path);
        assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
        assert!(matches!(take_lock(dir.path()), Err(Refused::Taken)));
    }

    #[test]
    fn the_directory_is_held_wherever_it_goes_and_another_one_is_not_taken() {
        let dir = data();
        let root = dir.path().join("run/data");
        fs::create_dir_all(root.join("run")).unwrap();
        let mut held = Held::first(&root).unwrap();
        fs::rename(&root, dir.path().join("elsewhere")).unwrap();
        fs::create_dir_all(root.join("run")).unwrap();
        fs::write(held.path().join("a"), "1").unwrap();
        assert!(dir.path().join("elsewhere/a").exists());
        held.let_go();
        identity::read_or_make(&root).unwrap();
        assert!(matches!(held.take_up(&root), Err(Refused::Other)));
        assert!(fs::read_dir(held.path()).is_err());
    }
}
