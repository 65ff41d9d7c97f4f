//! Files that survive a power cut, and the place for those that did not.
//!
//! Owns `quarantine/` below the data directory. Promises: a file is replaced whole or not at all; what
//! is put into quarantine is never overwritten or deleted by the box, and the reason lies beside it.
//! Everything here blocks.

mod quarantine;

pub use quarantine::Quarantine;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes the entries of a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces a file with whole new contents, or leaves the old ones. A crash may leave
/// a file with the extension [`UNFINISHED`] behind.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(UNFINISHED);
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_data()?;
    drop(file);
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Extension of a file that is still being written by [`replace`].
pub const UNFINISHED: &str = "new";

#[cfg(test)]
mod tests {
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
    }
}
