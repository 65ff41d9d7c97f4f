//! `secrets/claim`: the code of a box that is not claimed yet, for root and the service alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ClaimCode;
use crate::durable;

/// The file. Everything here blocks.
pub struct ClaimFile(PathBuf);

impl ClaimFile {
    /// That of a box, in its folder of secrets.
    pub fn below(secrets: &Path) -> Self {
        Self(secrets.join("claim"))
    }

    /// The code; none when there is none that can be used.
    pub fn read(&self) -> io::Result<Option<ClaimCode>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(ClaimCode::parse(&text)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps a code, in place of another one. It survives a power cut.
    pub fn put(&self, code: &ClaimCode) -> io::Result<()> {
        durable::replace_private(&self.0, format!("{}\n", code.shown()).as_bytes())
    }

    /// The code; makes one when there is none.
    pub fn read_or_make(&self) -> io::Result<ClaimCode> {
        if let Some(code) = self.read()? {
            return Ok(code);
        }
        let code = ClaimCode::random();
        self.put(&code)?;
        Ok(code)
    }

    /// Takes the code away. Whether there was one.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => {
                self.0.parent().map_or(Ok(()), durable::sync_dir)?;
                Ok(true)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_code_is_made_once_for_its_owner_and_a_broken_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = ClaimFile::below(dir.path());
        assert!(file.read().unwrap().is_none());
        let code = file.read_or_make().unwrap();
        assert!(file.read_or_make().unwrap() == code && file.read().unwrap() == Some(code.clone()));
        let path = dir.path().join("claim");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for broken in [&b"01AB"[..], b"\xff\xff"] {
            fs::write(&path, broken).unwrap();
            assert!(file.read().unwrap().is_none());
            assert!(file.read_or_make().unwrap() != code);
        }
        assert!(file.remove().unwrap() && !file.remove().unwrap());
    }
}
