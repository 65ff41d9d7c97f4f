//! The file that holds the box's secret.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::base::{Error, ErrorKind, Result, Secret};
use crate::durable::{self, Unfinished};

const NAME: &str = "jwt.key";
/// Secrets of before, a line each: until when in microseconds since 1970, then the secret.
const FORMER: &str = "jwt.former";
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

/// A secret of before.
pub(super) struct Former {
    pub(super) secret: Secret,
    /// When it ends, microseconds since 1970.
    pub(super) until_us: i64,
}

/// The secrets of before that still count, the latest first. When they cannot be read none of them counts,
/// and the box works all the same.
pub(super) fn read_former(dir: &Path, wall_us: i64) -> Vec<Former> {
    match std::fs::read(dir.join(FORMER)) {
        Ok(bytes) => formers(&String::from_utf8_lossy(&bytes)).filter(|f| f.until_us > wall_us).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::error!(%error, "secrets/{FORMER} cannot be read; tokens of former secrets are refused");
            Vec::new()
        }
    }
}

fn formers(text: &str) -> impl Iterator<Item = Former> {
    text.lines().filter_map(|line| {
        let (until, secret) = line.split_once(' ')?;
        Some(Former { secret: Secret::new(secret), until_us: until.parse().ok()? })
    })
}

/// Puts a new secret in the place of the present one, which counts until `until_us`. A power cut leaves
/// the one or the other, and the present one is never lost.
pub(super) fn rotate(dir: &Path, until_us: i64, wall_us: i64) -> Result<Secret> {
    let failed = |e: io::Error| Error::dependency("disk", "the new secret could not be kept").caused_by(e);
    let present = read_or_make(dir)?;
    let mut text = format!("{until_us} {}\n", present.expose());
    for former in read_former(dir, wall_us) {
        text.push_str(&format!("{} {}\n", former.until_us, former.secret.expose()));
    }
    durable::replace_private(&dir.join(FORMER), text.as_bytes()).map_err(failed)?;
    let secret = Secret::random(RANDOM_BYTES);
    durable::replace_private(&dir.join(NAME), format!("{}\n", secret.expose()).as_bytes()).map_err(failed)?;
    Ok(secret)
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
    fn a_secret_that_is_replaced_is_kept_for_its_time_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = read_or_make(dir.path()).unwrap();
        let second = rotate(dir.path(), 100, 0).unwrap();
        let third = rotate(dir.path(), 200, 50).unwrap();
        assert!(read_or_make(dir.path()).unwrap() == third && first != second);
        let former: Vec<_> = read_former(dir.path(), 99).into_iter().map(|f| f.secret).collect();
        assert_eq!(former, [second.clone(), first]);
        let former: Vec<_> = read_former(dir.path(), 100).into_iter().map(|f| f.secret).collect();
        assert_eq!(former, [second]);
        for name in [NAME, FORMER] {
            assert_eq!(std::fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        // Nobody writes such lines; they cost nothing but themselves.
        assert_eq!(formers("\n5\nx y\n7 z\n").map(|f| f.until_us).collect::<Vec<_>>(), [7]);
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
