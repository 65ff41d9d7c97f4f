//! One file, written whole under a name that nobody had.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Names of unfinished files begin like this; no still's name may begin with a dot.
pub const UNFINISHED: &str = ".unfinished-";

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The file is there and survives a power cut.
    Yes,
    /// The name was taken; nothing was changed.
    Taken,
}

/// A whole file without its final name yet; dropping it removes what has none.
pub struct Unfinished<'a> {
    dir: &'a Path,
    name: String,
}

impl<'a> Unfinished<'a> {
    /// Writes and syncs `bytes` in `dir`; `tag` is unique among the writes of now. The file's time is
    /// `at_us`, microseconds since 1970: should the index be lost, it is known from there.
    pub fn write(dir: &'a Path, tag: &str, bytes: &[u8], at_us: i64) -> io::Result<Self> {
        let this = Self { dir, name: format!("{UNFINISHED}{tag}") };
        let path = dir.join(&this.name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
        file.write_all(bytes)?;
        let at = Duration::from_micros(at_us.unsigned_abs());
        let at = if at_us < 0 { UNIX_EPOCH.checked_sub(at) } else { UNIX_EPOCH.checked_add(at) };
        file.set_modified(at.unwrap_or(UNIX_EPOCH))?;
        file.sync_all()?;
        Ok(this)
    }

    /// Gives it its name, unless that is taken: the kernel decides, so no two writers can both win.
    /// By a second name, which every Linux file system has, and glibc and musl alike; dropping this
    /// takes the first one away.
    pub fn keep(&mut self, name: &str) -> io::Result<Written> {
        match std::fs::hard_link(self.dir.join(&self.name), self.dir.join(name)) {
            Ok(()) => {
                File::open(self.dir)?.sync_all()?;
                Ok(Written::Yes)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Taken),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.dir.join(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_keeps_its_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        for (tag, name, expected) in [("1", "a", Written::Yes), ("2", "a", Written::Taken)] {
            let mut file = Unfinished::write(dir.path(), tag, tag.as_bytes(), 7).unwrap();
            assert_eq!(file.keep(name).unwrap(), expected);
        }
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"1");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_refused_may_try_another_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"old").unwrap();
        let mut file = Unfinished::write(dir.path(), "1", b"new", -7).unwrap();
        assert_eq!(file.keep("a").unwrap(), Written::Taken);
        assert_eq!(file.keep("a_2").unwrap(), Written::Yes);
        drop(file);
        assert_eq!(std::fs::read(dir.path().join("a_2")).unwrap(), b"new");
    }
}
