//! The file that tells the data disk from every other one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use crate::durable::replace;

/// Its name in the data directory.
pub(super) const FILE: &str = "disk-id";

/// Which file that was, without reading it. Another disk's file has another change time, even when
/// device and inode are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Of the identity file in `dir`.
    pub(super) fn of(dir: &Path) -> io::Result<Stamp> {
        let m = fs::metadata(dir.join(FILE))?;
        Ok(Stamp { device: m.dev(), inode: m.ino(), modified: (m.mtime(), m.mtime_nsec()) })
    }
}

/// The identity of the disk at `dir`. One that cannot be read as such is another disk's, or nobody's.
pub(super) fn read(dir: &Path) -> io::Result<Option<Uuid>> {
    let mut text = String::new();
    match File::open(dir.join(FILE))?.take(256).read_to_string(&mut text) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(None),
        Err(e) => return Err(e),
    }
    Ok(parse(&text))
}

/// The first line that is not a remark.
fn parse(text: &str) -> Option<Uuid> {
    text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).and_then(|l| l.parse().ok())
}

/// The identity of the disk at `dir`; a new one when it has none, durable when this returns.
pub(super) fn read_or_make(dir: &Path) -> io::Result<Uuid> {
    match read(dir) {
        Ok(Some(id)) => return Ok(id),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        // Damaged by a power cut at the very first start: nothing else knows it yet.
        Ok(None) | Err(_) => {}
    }
    let id = Uuid::new_v4();
    let text = format!("# Fieldcam knows its data disk by this line.\n{id}\n");
    replace(&dir.join(FILE), text.as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_made_once_and_known_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let id = read_or_make(dir.path()).unwrap();
        let stamp = Stamp::of(dir.path()).unwrap();
        assert_eq!(read_or_make(dir.path()).unwrap(), id);
        assert_eq!(Stamp::of(dir.path()).unwrap(), stamp);
        // As a copy of the whole directory onto another disk has it.
        let copy = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join(FILE), copy.path().join(FILE)).unwrap();
        assert_eq!(read(copy.path()).unwrap(), Some(id));
        assert_ne!(Stamp::of(copy.path()).unwrap(), stamp);
    }

    #[test]
    fn a_damaged_one_is_made_again_at_a_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), [0xff; 40]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let id = read_or_make(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(id));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,300}") {
            let _ = parse(&text);
        }
    }
}
