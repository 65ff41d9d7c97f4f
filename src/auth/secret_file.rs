//! The file that holds the box's secret.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::base::{Error, ErrorKind, Result, Secret};
use crate::durable::Unfinished;

const NAME: &str = "jwt.key";
const RANDOM_BYTES: usize = 32;

/// Reads the secret; makes it first when there is none. Two starts at once end with the same one.
pub(super) fn read_or_make(dir: &Path) -> Result<Secret> {
    let unreadable = |e: io::Error| {
        let what = match e.kind() {
            io::ErrorKind::PermissionDenied => "may not be read by this user",
            io::ErrorKind::ReadOnlyFilesystem => "cannot be made on a read-only file system",
            _ => "cannot be read or made",
        };
        Error::new(
            ErrorKind::Config,
            format!("the box's secret (secrets/{NAME} in the data directory) {what}"),
        )
        .caused_by(e)
    };
    let path = dir.join(NAME);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make(dir).map_err(unreadable)?;
            std::fs::read_to_string(&path).map_err(unreadable)?
        }
        Err(e) => return Err(unreadable(e)),
    };
    if std::fs::metadata(&path).is_ok_and(|m| m.mode() & 0o077 != 0) {
        tracing::warn!("secrets/{NAME} could be read by others; its mode is 0600 again");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(unreadable)?;
    }
    Ok(Secret::new(text.trim_end()))
}

/// A whole secret appears under its name or none does; another process's stays, when that was first.
fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let text = format!("{}\n", Secret::random(RANDOM_BYTES).expose());
    Unfinished::write(dir, Secret::random(8).expose(), text.as_bytes(), 0o600, None)?.keep(NAME).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("secrets");
        let first = read_or_make(&dir).unwrap();
        assert_eq!(first.expose().len(), 2 * RANDOM_BYTES);
        assert_eq!(std::fs::metadata(dir.join(NAME)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert!(first == read_or_make(&dir).unwrap());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn an_open_file_is_closed_again() {
        let dir = tempfile::tempdir().unwrap();
        read_or_make(dir.path()).unwrap();
        let path = dir.path().join(NAME);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        read_or_make(dir.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn starts_at_the_same_moment_agree() {
        let dir = tempfile::tempdir().unwrap();
        let secrets: Vec<_> = std::thread::scope(|s| {
            let all: Vec<_> = (0..8).map(|_| s.spawn(|| read_or_make(dir.path()).unwrap())).collect();
            all.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(secrets.windows(2).all(|w| w[0] == w[1]));
    }
}
