//! `quarantine/`: what cannot be used any more and is not ours to throw away.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::sync_dir;

/// The folder. Made when something is put into it.
#[derive(Clone, Debug)]
pub struct Quarantine {
    dir: PathBuf,
}

impl Quarantine {
    /// `quarantine/` below the data directory.
    pub fn below(data: &Path) -> Self {
        Self { dir: data.join("quarantine") }
    }

    /// Moves a file (or a folder) here under `name`, with a number when that is taken, and leaves the
    /// reason beside it. Answers with where it is now. Fails when it is on another file system.
    pub fn take(&self, file: &Path, name: &str, reason: &str) -> io::Result<PathBuf> {
        let target = self.take_loosely(file, name, reason)?;
        self.settle(file.parent())?;
        Ok(target)
    }

    /// As [`Quarantine::take`], but durable only after [`Quarantine::settle`]: a disk that was full can
    /// leave thousands of empty files. A power cut before that leaves the file in one of both places.
    pub fn take_loosely(&self, file: &Path, name: &str, reason: &str) -> io::Result<PathBuf> {
        let target = self.free_place(name)?;
        write_reason(&target, reason)?;
        fs::rename(file, &target)?;
        tracing::warn!(reason, file = ?target.file_name(), "a damaged file was put into quarantine");
        Ok(target)
    }

    /// Makes durable what was taken out of `dir`.
    pub fn settle(&self, dir: Option<&Path>) -> io::Result<()> {
        sync_dir(&self.dir)?;
        dir.map_or(Ok(()), sync_dir)
    }

    /// Copies the end of a file, from `offset` on, to where it can still be looked at.
    pub fn take_tail(&self, file: &Path, offset: u64, name: &str, reason: &str) -> io::Result<()> {
        self.copy(file, offset..u64::MAX, name, &format!("{reason}; cut off at byte {offset}"))
    }

    /// Copies a part of a file that is about to be overwritten in its place.
    pub fn take_part(&self, file: &Path, part: Range<u64>, name: &str, reason: &str) -> io::Result<()> {
        let reason = format!("{reason}; bytes {} to {} of the file", part.start, part.end);
        self.copy(file, part, name, &reason)
    }

    fn copy(&self, file: &Path, part: Range<u64>, name: &str, reason: &str) -> io::Result<()> {
        let mut source = File::open(file)?;
        source.seek(SeekFrom::Start(part.start))?;
        let target = self.free_place(name)?;
        let mut out = File::create_new(&target)?;
        io::copy(&mut source.take(part.end.saturating_sub(part.start)), &mut out)?;
        out.sync_data()?;
        write_reason(&target, reason)?;
        sync_dir(&self.dir)
    }

    fn free_place(&self, name: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.dir)?;
        // Not `exists`: that follows a link, and a link that leads nowhere would be overwritten.
        let taken = |p: &Path| p.symlink_metadata().is_ok() || reason_of(p).symlink_metadata().is_ok();
        let mut target = self.dir.join(name);
        let mut n = 2;
        while taken(&target) {
            target = self.dir.join(format!("{name}_{n}"));
            n += 1;
        }
        Ok(target)
    }
}

fn reason_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".reason.txt");
    PathBuf::from(name)
}

fn write_reason(target: &Path, reason: &str) -> io::Result<()> {
    let mut file = File::create_new(reason_of(target))?;
    writeln!(file, "{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_kept_with_its_reason_and_none_is_overwritten() {
        let data = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::below(data.path());
        let file = data.path().join("a.mp4");
        let mut kept = Vec::new();
        for n in 0..3 {
            fs::write(&file, format!("{n}")).unwrap();
            kept.push(quarantine.take(&file, "r__a.mp4", &format!("reason {n}")).unwrap());
            assert!(!file.exists());
        }
        for (n, path) in kept.iter().enumerate() {
            assert_eq!(fs::read_to_string(path).unwrap(), format!("{n}"));
            assert_eq!(fs::read_to_string(reason_of(path)).unwrap(), format!("reason {n}\n"));
        }
        // A link that leads nowhere is somebody's too.
        std::os::unix::fs::symlink("nowhere", data.path().join("quarantine/b")).unwrap();
        fs::write(&file, "b").unwrap();
        let path = quarantine.take(&file, "b", "why").unwrap();
        assert_eq!(path.file_name().unwrap(), "b_2");
    }
}
