//! A file that comes whole under a name that nobody had.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use super::sync_dir;

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
    /// What names of unfinished files begin with; a finished one should not. A crash may leave some.
    pub const PREFIX: &'static str = ".unfinished-";

    /// Writes and syncs `bytes` in `dir`; `tag` is unique among the writes of now. `mode` is who may
    /// read it, `modified` its time, where that is not now.
    pub fn write(
        dir: &'a Path,
        tag: &str,
        bytes: &[u8],
        mode: u32,
        modified: Option<SystemTime>,
    ) -> io::Result<Self> {
        let this = Self { dir, name: format!("{}{tag}", Self::PREFIX) };
        let path = dir.join(&this.name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        modified.map_or(Ok(()), |at| file.set_modified(at))?;
        file.sync_all()?;
        Ok(this)
    }

    /// Gives it its name, unless that is taken: the kernel decides, so no two writers can both win.
    /// By a second name, which every Linux file system has, and glibc and musl alike; dropping this
    /// takes the first one away.
    pub fn keep(&mut self, name: &str) -> io::Result<Written> {
        match std::fs::hard_link(self.dir.join(&self.name), self.dir.join(name)) {
            Ok(()) => {
                sync_dir(self.dir)?;
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
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_taken_name_keeps_its_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        for (tag, name, expected) in [("1", "a", Written::Yes), ("2", "a", Written::Taken)] {
            let mut file = Unfinished::write(dir.path(), tag, tag.as_bytes(), 0o640, None).unwrap();
            assert_eq!(file.keep(name).unwrap(), expected);
        }
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"1");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_refused_may_try_another_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"old").unwrap();
        let before_1970 = SystemTime::UNIX_EPOCH - std::time::Duration::from_micros(7);
        let mut file = Unfinished::write(dir.path(), "1", b"new", 0o600, Some(before_1970)).unwrap();
        assert_eq!(file.keep("a").unwrap(), Written::Taken);
        assert_eq!(file.keep("a_2").unwrap(), Written::Yes);
        drop(file);
        assert_eq!(std::fs::read(dir.path().join("a_2")).unwrap(), b"new");
        let facts = std::fs::metadata(dir.path().join("a_2")).unwrap();
        assert_eq!((facts.modified().unwrap(), facts.mode() & 0o777), (before_1970, 0o600));
    }
}
