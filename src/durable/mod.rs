//! Files that survive a power cut, and the place for those that did not.
//!
//! Owns `quarantine/` below the data directory. Promises: a file is replaced whole or not at all, and a
//! new one comes whole under a name that nobody had; what is put into quarantine is never overwritten or deleted by the box, and the reason lies beside it.
//! Everything here blocks.

mod quarantine;
mod unfinished;

pub use quarantine::Quarantine;
pub use unfinished::{Unfinished, Written};

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes the entries of a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file with whole new contents, or leaves the old ones. A crash may leave
/// a file with the extension [`UNFINISHED`] behind.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    swap(path, contents, 0o644, true)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// As [`replace`], for what nobody else may read.
pub fn replace_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    swap(path, contents, 0o600, true)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// As [`replace`], for what is made anew at each start: other programs see the old or the new contents,
/// a power cut may leave neither. `mode` is who may read it.
pub fn publish(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    swap(path, contents, mode, false)
}

/// As [`replace`], for what programs of other users read: everybody may, whatever the umask says.
pub fn replace_for_all(path: &Path, contents: &[u8]) -> io::Result<()> {
    swap_with(path, contents, 0o644, |file| {
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()
    })?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn swap(path: &Path, contents: &[u8], mode: u32, synced: bool) -> io::Result<()> {
    swap_with(path, contents, mode, |file| if synced { file.sync_data() } else { Ok(()) })
}

/// `end`: what happens to the whole file before it gets its name.
fn swap_with(
    path: &Path,
    contents: &[u8],
    mode: u32,
    end: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = path.with_extension(UNFINISHED);
    // One that a crash left may have another mode.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = (|| {
        file.write_all(contents)?;
        end(&file)?;
        fs::rename(&temporary, path)
    })();
    // A full disk needs the room.
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Extension of a file that is still being written by [`replace`] or [`publish`].
pub const UNFINISHED: &str = "new";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // What cannot be written leaves the old contents.
        fs::create_dir(dir.path().join("b.new")).unwrap();
        fs::write(dir.path().join("b.json"), b"old").unwrap();
        assert!(replace(&dir.path().join("b.json"), b"new").is_err());
        assert_eq!(fs::read(dir.path().join("b.json")).unwrap(), b"old");
        // Nor does what cannot get its name stay.
        fs::create_dir(dir.path().join("c.json")).unwrap();
        assert!(replace(&dir.path().join("c.json"), b"new").is_err());
        assert!(!dir.path().join("c.new").exists());
    }

    #[test]
    fn a_published_file_is_as_private_as_asked_whatever_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.new"), b"half").unwrap();
        publish(&dir.path().join("a.json"), b"whole", 0o600).unwrap();
        assert_eq!(fs::read(dir.path().join("a.json")).unwrap(), b"whole");
        assert_eq!(fs::metadata(dir.path().join("a.json")).unwrap().mode() & 0o777, 0o600);
    }
}
